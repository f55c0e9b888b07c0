"""One number for a region: estimators, their weights, and the eroded edge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cestle.anatomy.sampling import RegionEstimator, eroded, region_statistic
from cestle.errors import NumericalError

SHAPE = (1, 5, 6)
SINGLE = sorted(set(RegionEstimator) - {RegionEstimator.REGRESSION, RegionEstimator.THRESHOLD})
"""Estimators that need neither other regions nor many voxels."""
VALUES = arrays(np.float64, SHAPE, elements=st.integers(-20_000, 40_000).map(lambda n: n / 1000))
SHARES = arrays(np.float64, SHAPE, elements=st.floats(0.05, 1.0))
ALL = np.ones(SHAPE, dtype=bool)


def statistic(values, shares, estimator, reference=None):
    return region_statistic(values, None, ALL, shares, estimator=estimator, reference=reference)


@given(values=VALUES, shares=SHARES, estimator=st.sampled_from(SINGLE))
def test_weights_are_shares_of_the_value(values, shares, estimator):
    """Weights are not negative and sum to one; but for the median they make the value."""
    found = statistic(values, shares, estimator, np.ones(SHAPE))
    assert found.weight.min() >= 0.0
    assert found.weight.sum() == pytest.approx(1.0)
    assert values.min() - 1e-9 <= found.value <= values.max() + 1e-9
    if estimator is not RegionEstimator.MEDIAN:
        assert found.value == pytest.approx(np.sum(found.weight * values))


@given(values=VALUES, shares=SHARES, estimator=st.sampled_from(SINGLE))
def test_value_moves_with_offset_and_scale(values, shares, estimator):
    """Adding a constant adds it to the value, doubling all values doubles it."""
    reference = np.ones(SHAPE)
    plain = statistic(values, shares, estimator, reference).value
    assert statistic(values + 3.0, shares, estimator, reference).value == pytest.approx(plain + 3.0)
    assert statistic(2.0 * values, shares, estimator, reference).value == pytest.approx(2.0 * plain)


@given(shares=SHARES, seed=st.integers(0, 1000))
def test_ratio_of_means_is_the_ratio_of_summed_signals(shares, seed):
    """Weighted by its denominator, a mean of 100·(a − b)/a is 100·(Σa − Σb)/Σa."""
    generator = np.random.default_rng(seed)
    a = generator.uniform(50.0, 150.0, SHAPE)
    b = a * generator.uniform(0.8, 1.0, SHAPE)
    found = statistic(100.0 * (a - b) / a, shares, RegionEstimator.RATIO_OF_MEANS, a)
    expected = 100.0 * np.sum(shares * (a - b)) / np.sum(shares * a)
    assert found.value == pytest.approx(expected)


def test_ratio_of_means_needs_the_denominator():
    """Without the denominator of the map the ratio of means is refused."""
    with pytest.raises(NumericalError, match="denominator"):
        statistic(np.ones(SHAPE), np.ones(SHAPE), RegionEstimator.RATIO_OF_MEANS)


def test_trimming_leaves_out_a_tenth_at_each_end():
    """Of thirty equal shares the three lowest and the three highest values have no weight."""
    values = np.arange(30.0).reshape(SHAPE)
    weight = statistic(values, np.ones(SHAPE), RegionEstimator.TRIMMED).weight.ravel()
    assert np.all(weight[:3] == 0.0)
    assert np.all(weight[-3:] == 0.0)
    assert weight[3:-3] == pytest.approx(np.full(24, 1.0 / 24.0))


def test_stated_error_of_the_median_covers_its_scatter():
    """The error of the mean of the middle half is 1.0 to 1.3 times the scatter of the median."""
    generator = np.random.default_rng(3)
    medians, errors = [], []
    for _ in range(400):
        found = statistic(generator.normal(size=SHAPE), np.ones(SHAPE), RegionEstimator.MEDIAN)
        medians.append(found.value)
        errors.append(np.sqrt(np.sum(found.weight**2)))
    assert 1.0 < np.mean(errors) / np.std(medians) < 1.3


def test_erosion_is_in_plane_and_by_layers():
    """A box of five by six loses one layer in its plane with each step, none between slices."""
    box = np.zeros((2, 9, 10))
    box[:, 2:7, 2:8] = 1.0
    assert eroded(box, 0) is box
    assert eroded(box, 1).sum() == 2 * 3 * 4
    assert eroded(box, 2).sum() == 2 * 1 * 2
    assert eroded(box, 3).sum() == 0.0
