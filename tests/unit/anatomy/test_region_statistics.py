"""All regions in one fit: right on mixtures without noise, and free of scale and side."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cestle.anatomy.region_statistics import region_statistics, regression_weights
from cestle.anatomy.sampling import RegionEstimator
from cestle.errors import NumericalError

SHAPE = (1, 40, 60)
CONTRAST = {"grey": 7.0, "white": 4.5, "fluid": 0.3}
SIGNAL = {"grey": 1.0, "white": 0.8, "fluid": 3.5}


def ball(row, column, radius):
    y, x = np.indices(SHAPE[1:])
    sharp = (np.hypot(y - row, x - column) < radius).astype(float)
    return gaussian_filter(sharp, 1.5)[None]


def shares():
    """Blurred regions: two hippocampi with an amygdala in front of each, in grey and white."""
    regions = {
        "hippocampus_left": ball(22, 42, 4.0),
        "hippocampus_right": ball(22, 18, 3.5),
        "amygdala_left": ball(12, 41, 3.0),
        "amygdala_right": ball(12, 19, 3.0),
    }
    taken = np.clip(sum(regions.values()), 0.0, 1.0)
    random = np.random.default_rng(1)
    grey = np.clip(0.5 + gaussian_filter(random.normal(size=SHAPE), (0, 3, 3)) * 6.0, 0.1, 0.9)
    fluid = np.clip(gaussian_filter(random.normal(size=SHAPE), (0, 2, 2)), 0.0, 0.09)
    beside = 1.0 - taken
    white = (1.0 - grey - fluid).clip(0.0)
    total = grey + white + fluid
    tissue = [beside * one / total for one in (grey, white, fluid)]
    tissue[0] = tissue[0] + taken
    return regions, np.stack(tissue)


REGIONS, TISSUE = shares()


def mixture(true, signal=1.0):
    """The map of voxels that hold several substances: Σ f s c / Σ f s."""
    parts = list(REGIONS.values())
    rest = TISSUE.copy()
    rest[0] -= sum(parts)
    fractions = np.stack([*parts, *rest])
    contrast = np.array([*(true[name] for name in REGIONS), *CONTRAST.values()])
    level = np.array([signal] * len(parts) + list(SIGNAL.values()))
    reference = np.tensordot(level, fractions, 1)
    return np.tensordot(level * contrast, fractions, 1) / reference, reference


def values_of(map_, reference, estimator=RegionEstimator.REGRESSION):
    found, reasons = region_statistics(
        map_,
        None,
        np.ones(SHAPE, dtype=bool),
        REGIONS,
        estimator=estimator,
        reference=reference,
        tissue=TISSUE,
    )
    assert not reasons
    return {name: one.value for name, one in found.items()}


CONTRASTS = st.lists(st.floats(2.0, 15.0), min_size=4, max_size=4)


@given(numbers=CONTRASTS, signal=st.floats(0.7, 1.4))
@settings(deadline=None, max_examples=25)
def test_mixtures_without_noise_are_taken_apart(numbers, signal):
    """The fit gives each region the contrast that was put in; a mean does not."""
    true = dict(zip(REGIONS, numbers, strict=True))
    map_, reference = mixture(true, signal)
    found = values_of(map_, reference)
    assert found == pytest.approx(true, rel=1e-6)


def test_a_mean_is_drawn_to_its_surround_where_the_fit_is_not():
    """Of 12 % in grey matter of 7 % the mean shows less, the fit all of it."""
    true = dict.fromkeys(REGIONS, 12.0)
    map_, reference = mixture(true)
    mean = values_of(map_, reference, RegionEstimator.MEAN)
    assert mean["amygdala_left"] < 11.5
    assert values_of(map_, reference)["amygdala_left"] == pytest.approx(12.0)


@given(factor=st.floats(0.2, 5.0), numbers=CONTRASTS)
@settings(deadline=None, max_examples=15)
def test_scale_and_sides(factor, numbers):
    """A scaled map scales all values; mirrored images exchange the sides."""
    true = dict(zip(REGIONS, numbers, strict=True))
    map_, reference = mixture(true)
    plain = values_of(map_, reference)
    assert values_of(factor * map_, reference) == pytest.approx(
        {name: factor * value for name, value in plain.items()}
    )
    other = {"left": "right", "right": "left"}
    mirrored = {
        f"{name.split('_')[0]}_{other[name.split('_')[1]]}": np.flip(share, 2)
        for name, share in REGIONS.items()
    }
    weights = regression_weights(
        mirrored, np.flip(TISSUE, 3), np.ones(SHAPE, dtype=bool), np.flip(reference, 2)
    )
    found = {name: float(np.sum(weights[name] * np.flip(map_, 2))) for name in mirrored}
    for structure in ("hippocampus", "amygdala"):
        assert found[f"{structure}_left"] == pytest.approx(plain[f"{structure}_right"])
        assert found[f"{structure}_right"] == pytest.approx(plain[f"{structure}_left"])


def test_the_fit_needs_tissues_and_tells_what_it_cannot_tell_apart():
    """Without shares, and with two regions alike, there is a reason and no number."""
    everywhere = np.ones(SHAPE, dtype=bool)
    with pytest.raises(NumericalError, match="3D T1"):
        regression_weights(REGIONS, None, everywhere, None)
    twice = {name: 0.5 * REGIONS["hippocampus_left"] for name in ("a", "b")}
    with pytest.raises(NumericalError, match="do not tell"):
        regression_weights(twice, TISSUE, everywhere, None)
    found, reasons = region_statistics(
        np.ones(SHAPE), None, everywhere, REGIONS, estimator=RegionEstimator.REGRESSION
    )
    assert found == {}
    assert set(reasons) == set(REGIONS)


def test_voxels_mostly_inside_count_alike():
    """`threshold_0.5` is the plain mean of voxels of which half or more lies in the region."""
    random = np.random.default_rng(2)
    map_ = random.normal(8.0, 1.0, SHAPE)
    inside = REGIONS["hippocampus_left"] >= 0.5
    assert inside.sum() >= 20
    expected = map_[inside].mean()
    chosen = values_of(map_, None, RegionEstimator.THRESHOLD)
    assert chosen["hippocampus_left"] == pytest.approx(expected)
    found, _ = region_statistics(
        map_, None, np.ones(SHAPE, dtype=bool), REGIONS, estimator=RegionEstimator.MEAN
    )
    assert found["hippocampus_left"].threshold_mean == pytest.approx(expected)


def test_few_voxels_mostly_inside_give_no_mean_of_them():
    """With 19 of them the side number is absent, and the estimator gives a reason."""
    share = np.full(SHAPE, 0.4)
    share.flat[:19] = 0.6
    args = (np.ones(SHAPE), None, np.ones(SHAPE, dtype=bool), {"hippocampus_left": share})
    found, _ = region_statistics(*args, estimator=RegionEstimator.MEAN)
    assert found["hippocampus_left"].threshold_mean is None
    _, reasons = region_statistics(*args, estimator=RegionEstimator.THRESHOLD)
    assert "19 voxels" in reasons["hippocampus_left"]
