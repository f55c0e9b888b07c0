"""The error budget against scatter, derivatives by hand, and laws."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import SaturationImages
from cestle.cest.noise import noise_correlation, roughness
from cestle.cest.uncertainty import (
    ErrorBudget,
    UncertaintySettings,
    error_budget,
    split_repeats,
    within_scan_repeatability,
)
from cestle.errors import NumericalError
from cestle.protocol import JUPITER_5T_GLUCEST
from unit.builders import F0_MHZ, axial_grid, fields, images_from

OFFSETS = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
GRID = axial_grid(shape=(1, 32, 32), spacing=(11.0, 2.0, 2.0))
INDICES = {"dai": ("left", "right")}


def moving(size_mm):
    """The same displacement along rows and columns."""
    return {"motion_row_mm": size_mm, "motion_column_mm": size_mm}


QUIET = UncertaintySettings(
    b0_noise_hz=0.0, b1_noise=0.0, b1_calibration_error=0.0, motion_deg=0.0, **moving(0.0)
)


def boxes(grid=GRID):
    """Two boxes of 48 voxels, left at higher columns."""
    shares = {name: np.zeros(grid.shape) for name in ("left", "right")}
    shares["left"][0, 12:20, 20:26] = 1.0
    shares["right"][0, 12:20, 6:12] = 1.0
    return shares


def evaluate_with(b0=B0Method.LN_QUADRATIC, b1=B1Method.NONE):
    """The map by the given methods, ready for the budget."""
    chosen = GluCestSettings(b0_method=b0, b1_method=b1)
    return functools.partial(compute_glucest, settings=chosen)


def flat(negative=0.2, contrast=0.1, slope=0.0):
    """Ln S that rises by `slope` per ppm away from water on both sides."""

    def spectrum(offset):
        level = np.log(np.where(offset < 0, negative, negative * (1.0 - contrast)))
        return level + slope * (np.abs(offset) - 3.0)

    return spectrum


def budget(images, field_maps, evaluate=None, **changes):
    """The error budget of the two boxes."""
    return error_budget(
        images,
        field_maps,
        evaluate=evaluate or evaluate_with(),
        regions=boxes(),
        indices=INDICES,
        settings=UncertaintySettings(**({**vars_of(QUIET), **changes})),
    )


def vars_of(chosen):
    return {name: getattr(chosen, name) for name in chosen.__dataclass_fields__}


def with_signal(images, signal):
    return SaturationImages(
        signal=signal, offsets_ppm=images.offsets_ppm, grid=images.grid, f0_mhz=images.f0_mhz
    )


def mean_of(images, share):
    """Mean of the map over a region."""
    percent = evaluate_with(B0Method.QUADRATIC)(images, fields(GRID)).percent
    return np.average(percent, weights=share)


@pytest.mark.parametrize("blur", [0.0, 0.8])
def test_noise_of_a_mean_is_its_scatter(blur):
    """The noise term equals the scatter of the mean over 200 scans, also with smooth noise."""
    clean = images_from(flat(), GRID)
    generator = np.random.default_rng(2)
    share = boxes()["left"]
    means, stated = [], []
    for _ in range(200):
        noise = generator.normal(0.0, 4.0, clean.signal.shape)
        if blur:
            noise = gaussian_filter(noise, (0, 0, blur, blur))
        images = with_signal(clean, clean.signal + noise)
        means.append(mean_of(images, share))
        if len(stated) < 20:
            result = budget(images, fields(GRID), evaluate_with(B0Method.QUADRATIC))
            stated.append(result.regions["left"].noise)
    # the scatter of 200 draws is itself known to 5 %
    assert np.mean(stated) == pytest.approx(np.std(means), rel=0.15)


def test_white_noise_is_not_correlated():
    """The correlation of white noise is 1 in the middle and below 0.1 elsewhere."""
    images = images_from(flat(), axial_grid(shape=(1, 80, 80)), noise=4.0)
    correlation = noise_correlation(images, np.ones(images.grid.shape, dtype=bool))
    assert correlation[2, 2] == pytest.approx(1.0)
    assert np.sum(np.abs(correlation)) - 1.0 < 0.2


def test_correlation_of_filtered_noise_is_that_of_the_filter():
    """Noise averaged over three columns is correlated by 2/3 and 1/3 along rows of the image."""
    images = images_from(flat(), axial_grid(shape=(1, 120, 120)))
    noise = np.random.default_rng(1).normal(0.0, 4.0, images.signal.shape)
    smooth = (noise + np.roll(noise, 1, axis=-1) + np.roll(noise, 2, axis=-1)) / 3.0
    correlation = noise_correlation(
        with_signal(images, images.signal + smooth), np.ones(images.grid.shape, dtype=bool)
    )
    np.testing.assert_allclose(correlation[2], [1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3], atol=0.04)
    np.testing.assert_allclose(correlation[0], 0.0, atol=0.06)


def test_roughness_is_the_noise_on_a_smooth_map():
    """White noise of 2 on a field that bends by 60 over the image is found within 10 %."""
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    smooth = 60.0 * (x**2 + y - x * y**2)
    noisy = smooth + np.random.default_rng(4).normal(0.0, 2.0, smooth.shape)
    mask = np.ones((1, 96, 96), dtype=bool)
    assert roughness(noisy[None], mask) == pytest.approx(2.0, rel=0.1)
    assert roughness(smooth[None], mask) < 0.01
    assert roughness(noisy[None, :3, :3], mask[:, :3, :3]) is None


def test_b0_noise_follows_the_slope_of_the_spectrum():
    """With ln S of slope s, a shift error ε moves the contrast by 200·s·ε·S₊/S₋ in each voxel."""
    slope, noise_hz = 0.4, 3.0
    images = images_from(flat(slope=slope), GRID)
    result = budget(images, fields(GRID), b0_noise_hz=noise_hz)
    per_voxel = 200.0 * slope * 0.9 * noise_hz / F0_MHZ
    assert result.regions["left"].b0_map == pytest.approx(per_voxel / np.sqrt(48), rel=1e-3)
    # each side contributes (1/2)·(its relative error) to the index
    expected = per_voxel / np.sqrt(48) / 10.0 / np.sqrt(2.0)
    assert result.indices["dai"].b0_map == pytest.approx(expected, rel=1e-3)


def test_a_common_b0_error_cancels_between_equal_sides():
    """An error that all voxels share moves both means but not the index of equal sides."""
    images = images_from(flat(slope=0.4), GRID)
    result = budget(images, fields(GRID), b0_common_hz=5.0)
    assert result.regions["left"].b0_map == pytest.approx(200 * 0.4 * 0.9 * 5 / F0_MHZ, rel=1e-3)
    assert result.indices["dai"].b0_map == pytest.approx(0.0, abs=1e-9)


def test_b1_term_is_a_share_of_the_correction():
    """Dividing 10 % by 0.8 corrects by 2.5 points; 10 % of that is the error of the mean."""
    b1 = np.ones(GRID.shape)
    b1[0, :, 16:] = 0.8
    images = images_from(flat(), GRID)
    result = budget(
        images,
        fields(GRID, relative_b1=b1),
        evaluate_with(b1=B1Method.DIVIDE),
        b1_calibration_error=0.1,
    )
    assert result.regions["left"].b1 == pytest.approx(0.25, rel=1e-6)
    assert result.regions["right"].b1 == pytest.approx(0.0, abs=1e-9)
    slope = 2.0 * 10.0 / (12.5 + 10.0) ** 2
    assert result.indices["dai"].b1 == pytest.approx(0.25 * slope, rel=1e-6)


def test_without_a_b1_correction_its_error_is_unknown_not_zero():
    """A map that does not use B1 has no B1 term."""
    result = budget(images_from(flat(), GRID), fields(GRID, relative_b1=0.8))
    assert result.regions["left"].b1 is None
    assert result.indices["dai"].b1 is None


def test_motion_follows_the_slope_of_the_images():
    """Four images count by half where B0 is right: the error is 90·σ·slope of ln S."""
    ramp = 1.0 + 0.01 * (np.arange(32)[:, None] - 15.5) * np.ones((1, 32))
    clean = images_from(flat(), GRID)
    images = with_signal(clean, clean.signal * ramp)
    result = budget(images, fields(GRID), **moving(0.1))
    expected = 90.0 * 0.1 * np.mean(0.005 / ramp[12:20])
    assert result.regions["left"].motion == pytest.approx(expected, rel=0.01)


def test_flat_images_have_no_motion_term():
    """Where nothing varies, displacement does not matter."""
    result = budget(images_from(flat(), GRID), fields(GRID), **moving(0.5), motion_deg=1.0)
    assert result.indices["dai"].motion == pytest.approx(0.0, abs=1e-9)


def test_region_shift_follows_the_slope_of_the_map():
    """On a map of 0.2 points per mm along columns, a shift of 0.5 mm errs by 0.1 points."""
    columns_mm = 2.0 * (np.arange(32) - 15.5)
    clean = images_from(flat(), GRID)
    signal = np.array(clean.signal)
    signal[OFFSETS > 0] = signal[0] * (1.0 - (10.0 + 0.2 * columns_mm) / 100.0)
    result = budget(with_signal(clean, signal), fields(GRID), region_shift_mm=0.5)
    assert result.regions["left"].partial_volume == pytest.approx(0.1, rel=1e-6)


@given(terms=st.lists(st.none() | st.floats(0.0, 10.0), min_size=5, max_size=5))
def test_terms_add_in_quadrature(terms):
    """The squared total is the sum of the squared known terms, unless noise is unknown."""
    names = ("noise", "b0_map", "b1", "motion", "partial_volume")
    result = ErrorBudget(**dict(zip(names, terms, strict=True)))
    if terms[0] is None:
        assert result.total is None
    else:
        known = [term for term in terms if term is not None]
        assert result.total**2 == pytest.approx(np.sum(np.square(known)))


@given(scale=st.floats(0.01, 100.0))
@settings(max_examples=5, deadline=None)
def test_budget_is_free_of_scale(scale):
    """Scaling all images changes no term."""
    images = images_from(flat(slope=0.3), GRID, noise=2.0)
    chosen = {"b0_noise_hz": 2.0, **moving(0.1)}
    one = budget(images, fields(GRID), **chosen).indices["dai"]
    other = budget(with_signal(images, images.signal * scale), fields(GRID), **chosen).indices[
        "dai"
    ]
    for name in ("noise", "b0_map", "motion", "partial_volume"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6), name


def test_slices_that_regions_do_not_meet_do_not_matter():
    """The budget of a slice is the same within a stack of three."""
    grid = axial_grid(shape=(3, 32, 32), spacing=(11.0, 2.0, 2.0))
    images = images_from(flat(slope=0.3), grid, noise=2.0)
    shares = {name: np.concatenate([0 * s, s, 0 * s]) for name, s in boxes().items()}
    common = {"evaluate": evaluate_with(), "indices": INDICES, "settings": QUIET}
    whole = error_budget(images, fields(grid), regions=shares, **common)
    part = SaturationImages(
        signal=images.signal[:, 1:2], offsets_ppm=OFFSETS, grid=GRID, f0_mhz=F0_MHZ
    )
    alone = error_budget(part, fields(GRID), regions=boxes(), **common)
    # noise is measured in one slice or in three
    assert whole.indices["dai"].noise == pytest.approx(alone.indices["dai"].noise, rel=0.15)


def test_a_region_without_valid_voxel_is_refused_by_name():
    """An empty region raises and the message names it."""
    with pytest.raises(NumericalError, match="no valid voxel lies in left"):
        error_budget(
            images_from(flat(), GRID),
            fields(GRID),
            evaluate=evaluate_with(),
            regions=boxes() | {"left": np.zeros(GRID.shape)},
            indices=INDICES,
        )


def test_halves_share_what_was_acquired_once():
    """Each half holds six images: one of each ±3.0 pair and all others."""
    images = images_from(flat(), GRID, noise=3.0)
    first, last = split_repeats(images)
    np.testing.assert_array_equal(first.offsets_ppm, OFFSETS[:6])
    np.testing.assert_array_equal(last.offsets_ppm, OFFSETS[2:])
    np.testing.assert_array_equal(last.signal[-1], images.signal[7])


def test_equal_repeats_repeat():
    """Without noise either half gives the same index, that of the sides' contrasts."""
    images = images_from(flat(), GRID)
    signal = np.array(images.signal)
    signal[OFFSETS > 0, ..., 16:] *= 0.88 / 0.90
    found = within_scan_repeatability(
        with_signal(images, signal),
        fields(GRID),
        evaluate=evaluate_with(),
        regions=boxes(),
        indices=INDICES,
    )["dai"]
    assert found.difference == pytest.approx(0.0, abs=1e-12)
    assert found.first == pytest.approx((12.0 - 10.0) / (12.0 + 10.0), rel=1e-9)


def test_without_repeats_nothing_is_said():
    """Six different offsets have no halves, no noise and no total."""
    images = images_from(flat(), GRID)
    once = SaturationImages(
        signal=images.signal[:6], offsets_ppm=OFFSETS[:6], grid=GRID, f0_mhz=F0_MHZ
    )
    assert split_repeats(once) is None
    result = budget(once, fields(GRID))
    assert result.indices["dai"].noise is None
    assert result.indices["dai"].total is None
