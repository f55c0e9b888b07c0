"""B0 correction against spectra whose value at ±3 ppm is known exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cest.b0 import B0Method, correct_side
from cestle.cest.zspectrum import split_sides
from cestle.errors import ProtocolError
from unit.builders import axial_grid, images_from

GRID = axial_grid(shape=(1, 2, 3))
INTERPOLATING = [method for method in B0Method if method is not B0Method.NONE]


def lorentzian_dip(offset):
    """Ln S of a symmetric water line of 4 ppm half width."""
    return np.log(1.0 - 0.9 / (1.0 + (offset / 4.0) ** 2))


def sides(log_spectrum, shift):
    return split_sides(images_from(log_spectrum, GRID, b0_shift_ppm=shift))


@pytest.mark.parametrize("method", list(B0Method))
def test_without_shift_the_node_is_returned(method):
    """Without B0 shift every method returns the acquired image at ±3 ppm."""
    for side in sides(lorentzian_dip, 0.0):
        corrected = correct_side(side, np.full(GRID.shape, 3.0), method)
        np.testing.assert_allclose(corrected.signal, side.signal[1], rtol=1e-12)


@given(
    shift=st.floats(-0.4, 0.4),
    a=st.floats(-1.0, 0.0),
    b=st.floats(-0.5, 0.5),
    c=st.floats(-0.3, 0.3),
)
def test_log_parabola_is_recovered_exactly(shift, a, b, c):
    """A spectrum that is a parabola in ln S on each side comes back exactly at any shift."""

    def spectrum(offset):
        return a + b * (np.abs(offset) - 3.0) + c * (np.abs(offset) - 3.0) ** 2

    negative, positive = sides(spectrum, shift)
    for side, distance in ((negative, 3.0 - shift), (positive, 3.0 + shift)):
        corrected = correct_side(side, np.full(GRID.shape, distance), B0Method.LN_QUADRATIC)
        np.testing.assert_allclose(corrected.signal, 1000.0 * np.exp(a), rtol=1e-9)


@pytest.mark.parametrize("method", INTERPOLATING)
@pytest.mark.parametrize("shift", [-0.3, 0.3])
def test_shift_is_undone_in_the_right_direction(method, shift):
    """Undoing the shift with its sign leaves a far smaller error than with the sign flipped."""
    truth = 1000.0 * np.exp(lorentzian_dip(3.0))
    negative, positive = sides(lorentzian_dip, shift)
    for side, sign in ((negative, -1.0), (positive, 1.0)):
        right = correct_side(side, np.full(GRID.shape, 3.0 + sign * shift), method)
        wrong = correct_side(side, np.full(GRID.shape, 3.0 - sign * shift), method)
        assert np.max(np.abs(right.signal - truth)) < 0.02 * truth
        assert np.min(np.abs(wrong.signal - truth)) > 0.08 * truth


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (B0Method.LINEAR, {0.0: 0.50, 0.2: 0.375, 0.4: 1.0}),
        (B0Method.QUADRATIC, {0.0: 0.50, 0.2: 0.4375, 0.4: 1.0}),
    ],
)
def test_variance_factor_of_published_weights(method, expected):
    """The variance of one side equals the sum of squared weights over the repeats."""
    _, positive = sides(lorentzian_dip, 0.0)
    for shift, factor in expected.items():
        corrected = correct_side(positive, np.full(GRID.shape, 3.0 + shift), method)
        np.testing.assert_allclose(corrected.variance_factor, factor, rtol=1e-9)


@pytest.mark.parametrize("method", INTERPOLATING)
def test_voxels_are_independent(method):
    """Each voxel is read at its own distance: a map equals its voxels done one by one."""
    rng = np.random.default_rng(1)
    distance = 3.0 + rng.uniform(-0.4, 0.4, GRID.shape)
    _, positive = sides(lorentzian_dip, 0.0)
    whole = correct_side(positive, distance, method).signal
    for index in np.ndindex(GRID.shape):
        single = correct_side(positive, np.full(GRID.shape, distance[index]), method).signal
        assert whole[index] == pytest.approx(single[index], rel=1e-12)


def test_parabola_refuses_other_numbers_of_offsets():
    """The parabola through three offsets refuses a side with two."""
    _, positive = sides(lorentzian_dip, 0.0)
    pair = type(positive)(
        distance_ppm=positive.distance_ppm[:2],
        signal=positive.signal[:2],
        repeats=positive.repeats[:2],
    )
    with pytest.raises(ProtocolError, match="2 offsets found on one side of water"):
        correct_side(pair, np.full(GRID.shape, 3.0), B0Method.QUADRATIC)
