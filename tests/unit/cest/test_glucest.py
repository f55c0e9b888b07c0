"""The GluCEST formula and map against values from the definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Calibration, B1Method, TissueCurve
from cestle.cest.glucest import GluCestSettings, compute_glucest, glucest_percent
from cestle.cest.images import SaturationImages
from cestle.cest.tissue import TissueClass
from cestle.errors import ConfigError, GeometryError, InputError, ProtocolError
from cestle.protocol import JUPITER_5T_GLUCEST
from unit.builders import F0_MHZ, axial_grid, fields, images_from

GRID = axial_grid(shape=(1, 12, 12))


def flat_with_amine(contrast):
    """Ln S of a spectrum of 0.3 at negative and 0.3·(1 − contrast) at positive offsets."""

    def spectrum(offset):
        return np.where(offset < 0, np.log(0.3), np.log(0.3 * (1.0 - contrast)))

    return spectrum


def calibration(**changes):
    b = np.linspace(0.5, 1.5, 11)
    content = {
        "name": "test-1",
        "provenance": "model",
        "made_on": "2026-01-15",
        "subjects": 0,
        "f0_mhz": F0_MHZ,
        "b1_rms_ut": 4.0,
        "saturation_s": 1.0,
        "repetition_s": 6.0,
        "offsets_ppm": (-3.4, -3.0, -2.6, 2.6, 3.0, 3.4),
        "target_offset_ppm": 3.0,
        "relative_b1": b,
        "curves": {
            TissueClass.GREY: TissueCurve(
                negative=np.exp(-1.2 * (b - 1.0)), positive=0.9 * np.exp(-1.5 * (b - 1.0))
            )
        },
        "tissue": TissueClass.GREY,
    }
    return B1Calibration(**(content | changes))


def test_formula_has_the_negative_side_as_denominator():
    """S(−3) = 200 and S(+3) = 180 give exactly 10 %."""
    assert glucest_percent(np.array([200.0]), np.array([180.0])) == pytest.approx([10.0])


def test_formula_gives_no_number_without_signal():
    """A denominator that is not positive gives NaN, never a number."""
    assert np.isnan(glucest_percent(np.array([0.0, -1.0]), np.array([1.0, 1.0]))).all()


@given(contrast=st.floats(-0.2, 0.5), shift=st.floats(-0.39, 0.39))
def test_map_recovers_a_flat_contrast_at_any_shift(contrast, shift):
    """A spectrum that is flat on each side gives its contrast whatever the B0 shift is."""
    images = images_from(flat_with_amine(contrast), GRID, b0_shift_ppm=shift)
    result = compute_glucest(images, fields(GRID, shift), GluCestSettings())
    np.testing.assert_allclose(result.percent, 100.0 * contrast, atol=1e-9)
    assert result.valid.all()


@given(scale=st.floats(1e-3, 1e3))
def test_map_is_free_of_scale(scale):
    """Scaling all images changes no percent."""
    images = images_from(flat_with_amine(0.1), GRID, noise=2.0)
    scaled = SaturationImages(
        signal=images.signal * scale,
        offsets_ppm=images.offsets_ppm,
        grid=GRID,
        f0_mhz=F0_MHZ,
    )
    one = compute_glucest(images, fields(GRID), GluCestSettings())
    other = compute_glucest(scaled, fields(GRID), GluCestSettings())
    np.testing.assert_allclose(one.percent, other.percent, rtol=1e-9)
    np.testing.assert_allclose(one.standard_error, other.standard_error, rtol=1e-9)


@given(order=st.permutations(range(8)))
def test_order_of_images_does_not_matter(order):
    """Any acquisition order of the eight images gives the same map."""
    images = images_from(flat_with_amine(0.1), GRID, b0_shift_ppm=0.1, noise=2.0)
    shuffled = SaturationImages(
        signal=images.signal[list(order)],
        offsets_ppm=images.offsets_ppm[list(order)],
        grid=GRID,
        f0_mhz=F0_MHZ,
    )
    one = compute_glucest(images, fields(GRID, 0.1), GluCestSettings())
    other = compute_glucest(shuffled, fields(GRID, 0.1), GluCestSettings())
    np.testing.assert_allclose(one.percent, other.percent, rtol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.15, -0.3])
@pytest.mark.parametrize("method", [m for m in B0Method if m is not B0Method.NONE])
def test_standard_error_matches_the_scatter_of_repeated_scans(shift, method):
    """The predicted standard error equals the scatter over noisy repetitions within 10 %."""
    grid = axial_grid(shape=(1, 100, 100))
    images = images_from(flat_with_amine(0.1), grid, b0_shift_ppm=shift, noise=5.0, seed=3)
    result = compute_glucest(images, fields(grid, shift), GluCestSettings(b0_method=method))
    # PCHIP is not linear, its noise is only about that of the parabola
    tolerance = 0.3 if method is B0Method.PCHIP else 0.1
    predicted = np.nanmean(result.standard_error)
    assert np.nanstd(result.percent) == pytest.approx(predicted, rel=tolerance)


def test_voxels_out_of_range_are_masked():
    """Voxels beyond the B0 range, beyond the B1 range or without signal are NaN and not valid."""
    shift = np.zeros(GRID.shape)
    shift[0, 0, 0] = 0.45
    shift[0, 0, 1] = np.nan
    b1 = np.ones(GRID.shape)
    b1[0, 1, 0] = 0.5
    b1[0, 1, 1] = 1.5
    images = images_from(flat_with_amine(0.1), GRID)
    signal = np.array(images.signal)
    signal[:, 0, 2, :] = 0.0
    images = SaturationImages(
        signal=signal, offsets_ppm=images.offsets_ppm, grid=GRID, f0_mhz=F0_MHZ
    )
    result = compute_glucest(images, fields(GRID, shift, b1), GluCestSettings())
    expected = np.ones(GRID.shape, dtype=bool)
    expected[0, 0, :2] = expected[0, 1, :2] = False
    expected[0, 2, :] = False
    np.testing.assert_array_equal(result.valid, expected)
    np.testing.assert_array_equal(np.isfinite(result.percent), expected)


def test_missing_b0_map_is_refused():
    """Without a B0 map no number is made, and the message says what to send."""
    images = images_from(flat_with_amine(0.1), GRID)
    with pytest.raises(InputError, match="no B0 map was found"):
        compute_glucest(images, None, GluCestSettings())


def test_b0_map_of_another_matrix_is_refused():
    """A B0 map with other voxels is refused with both sizes named."""
    other = axial_grid(shape=(1, 10, 12))
    images = images_from(flat_with_amine(0.1), GRID)
    with pytest.raises(GeometryError, match="the B0 map is 10×12×1 but the CEST series is 12×12×1"):
        compute_glucest(images, fields(other), GluCestSettings())


def test_offsets_that_do_not_enclose_the_target_are_refused():
    """Offsets all beyond 3 ppm cannot give the value at 3 ppm."""
    images = images_from(flat_with_amine(0.1), GRID)
    moved = SaturationImages(
        signal=images.signal,
        offsets_ppm=images.offsets_ppm * 2.0,
        grid=GRID,
        f0_mhz=F0_MHZ,
    )
    with pytest.raises(ProtocolError, match=r"do not enclose -3\.00 ppm"):
        compute_glucest(moved, fields(GRID), GluCestSettings())


def test_dividing_by_b1():
    """b1_method divide gives the contrast over the relative B1."""
    images = images_from(flat_with_amine(0.1), GRID)
    settings = GluCestSettings(b1_method=B1Method.DIVIDE)
    result = compute_glucest(images, fields(GRID, relative_b1=0.8), settings)
    np.testing.assert_allclose(result.percent, 10.0 / 0.8, rtol=1e-9)


@given(b=st.floats(0.61, 1.39))
def test_calibration_brings_each_side_to_nominal(b):
    """Signals that follow the calibration curves come back as at nominal B1."""
    curve = calibration()

    def spectrum(offset):
        slope = np.where(offset < 0, -1.2, -1.5)
        return flat_with_amine(0.1)(offset) + slope * (b - 1.0)

    settings = GluCestSettings(b1_method=B1Method.CALIBRATION, b1_calibration=curve)
    result = compute_glucest(images_from(spectrum, GRID), fields(GRID, relative_b1=b), settings)
    np.testing.assert_allclose(result.percent, 10.0, atol=0.01)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"f0_mhz": 297.2}, "field 297.2 MHz instead of 210.8"),
        ({"b1_rms_ut": 3.0}, "B1rms"),
        ({"saturation_s": 0.8}, "saturation"),
        ({"target_offset_ppm": 3.5}, "target offset"),
        ({"repetition_s": 5.0}, r"TR \[s\] 5 instead of 6"),
        ({"offsets_ppm": (-3.0, 3.0)}, r"offsets \[ppm\] -3 3 instead of -3.4 -3 -2.6 2.6 3 3.4"),
    ],
)
def test_calibration_of_another_protocol_is_refused(change, named):
    """A calibration of another field, amplitude, timing or offsets stops the map."""
    settings = GluCestSettings(b1_method=B1Method.CALIBRATION, b1_calibration=calibration(**change))
    with pytest.raises(ProtocolError, match=named):
        compute_glucest(images_from(flat_with_amine(0.1), GRID), fields(GRID), settings)


def test_calibration_without_b1_map_is_refused():
    """A calibration without a B1 map stops the map instead of assuming nominal B1."""
    settings = GluCestSettings(b1_method=B1Method.CALIBRATION, b1_calibration=calibration())
    images = images_from(flat_with_amine(0.1), GRID)
    with pytest.raises(InputError, match="no B1 map was found"):
        compute_glucest(images, fields(GRID, relative_b1=None), settings)


def test_calibration_file_with_bad_curve_is_refused():
    """A curve that does not enclose nominal B1 is refused when it is made."""
    with pytest.raises(ConfigError, match="rising values around 1"):
        calibration(relative_b1=np.linspace(1.1, 1.5, 11))


def test_protocol_has_the_published_offsets():
    """The preset holds ±3.0 twice and ±3.4 and ±2.6 once each."""
    assert sorted(JUPITER_5T_GLUCEST.offsets_ppm) == [-3.4, -3.0, -3.0, -2.6, 2.6, 3.0, 3.0, 3.4]
