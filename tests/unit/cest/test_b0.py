"""B0 correction against spectra whose value at ±3 ppm is known exactly."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cest.b0 import B0Method, correct_side
from cestle.cest.b0map import smooth_b0
from cestle.cest.zspectrum import ZSpectrumSide, split_sides
from cestle.errors import ProtocolError
from unit.builders import axial_grid, images_from

GRID = axial_grid(shape=(1, 2, 3))
INTERPOLATING = [method for method in B0Method if method is not B0Method.NONE]
POOLING = [B0Method.POOLED, B0Method.LN_POOLED]


def three_nodes(spectrum, grid=GRID):
    """A side at 2.6, 3.0 (twice) and 3.4 ppm whose signal is `spectrum` of the distance from 3."""
    distance = np.array([2.6, 3.0, 3.4])
    return ZSpectrumSide(
        distance_ppm=distance,
        signal=np.stack([np.broadcast_to(spectrum(u), grid.shape) for u in distance - 3.0]),
        repeats=np.array([1.0, 2.0, 1.0]),
    )


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


@pytest.mark.parametrize("method", POOLING)
def test_variance_factor_of_a_pooled_line(method):
    """On a flat spectrum a pooled line averages four images, and beyond 0.3 ppm the parabola acts.

    A line through nodes −0.4, 0 (twice) and 0.4 has the variance 1/4 + u²/0.32.
    """
    _, positive = sides(np.zeros_like, 0.0)
    for shift, factor in {0.0: 0.25, 0.2: 0.375, -0.3: 0.53125, 0.4: 1.0}.items():
        corrected = correct_side(positive, np.full(GRID.shape, 3.0 + shift), method)
        np.testing.assert_allclose(corrected.variance_factor, factor, rtol=1e-6)


@given(shift=st.floats(-0.3, 0.3), k=st.floats(-0.3, 0.3), seed=st.integers(0, 2**20))
def test_shared_relative_curvature_is_recovered_exactly(shift, k, seed):
    """Voxels of any level and slope come back exactly when a (1 + k u²) + b u has one k."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(100.0, 1000.0, GRID.shape)
    slope = rng.uniform(-0.5, 0.5, GRID.shape) * level
    side = three_nodes(lambda u: level * (1.0 + k * u**2) + slope * u)
    corrected = correct_side(side, np.full(GRID.shape, 3.0 + shift), B0Method.POOLED)
    truth = level * (1.0 + k * shift**2) + slope * shift
    np.testing.assert_allclose(corrected.signal, truth, rtol=1e-9)


def test_each_class_has_its_own_curvature():
    """Two classes of different curvature come back exactly, each by its own."""
    grid = axial_grid(shape=(2, 10, 10))
    k = np.zeros(grid.shape)
    k[1] = -0.3
    side = three_nodes(lambda u: 500.0 * (1.0 + k * u**2) + 100.0 * u, grid)
    corrected = correct_side(
        side,
        np.full(grid.shape, 3.2),
        B0Method.POOLED,
        classes=np.where(k < 0.0, 1, 0).astype(np.int8),
    )
    np.testing.assert_allclose(corrected.signal, 500.0 * (1.0 + k * 0.04) + 20.0, rtol=1e-9)


def test_voxels_without_class_get_the_parabola():
    """A voxel of class −1 is read by its own parabola."""
    side = three_nodes(lambda u: 500.0 * (1.0 - 0.2 * u**2) + 100.0 * u)
    distance = np.full(GRID.shape, 3.2)
    none = np.full(GRID.shape, -1, dtype=np.int8)
    pooled = correct_side(side, distance, B0Method.POOLED, classes=none)
    parabola = correct_side(side, distance, B0Method.QUADRATIC)
    np.testing.assert_array_equal(pooled.signal, parabola.signal)


@pytest.mark.parametrize("method", POOLING)
def test_a_few_wild_voxels_do_not_bend_the_others(method):
    """Five percent of voxels with a wild curvature move the others by less than 0.02 percent."""
    grid = axial_grid(shape=(1, 20, 20))
    clean = three_nodes(lambda u: 500.0 * np.exp(0.3 * u) * np.ones(grid.shape), grid)
    signal = np.array(clean.signal)
    signal[0, 0, 0, :] *= 1.5
    spoiled = replace(clean, signal=signal)
    distance = 3.0 + np.linspace(-0.3, 0.3, 400).reshape(grid.shape)
    one = correct_side(clean, distance, method).signal[0, 1:]
    other = correct_side(spoiled, distance, method).signal[0, 1:]
    np.testing.assert_allclose(other, one, rtol=2e-4)


def test_pooling_halves_the_noise_at_the_middle():
    """Without shift the scatter of a pooled side is that of the mean of four images."""
    grid = axial_grid(shape=(1, 100, 100))
    rng = np.random.default_rng(2)
    side = three_nodes(lambda u: np.full(grid.shape, 500.0 + 50.0 * u), grid)
    noise = rng.normal(0.0, 5.0, (3, *grid.shape)) / np.sqrt(side.repeats).reshape(-1, 1, 1, 1)
    noisy = replace(side, signal=side.signal + noise)
    corrected = correct_side(noisy, np.full(grid.shape, 3.0), B0Method.POOLED)
    assert np.std(corrected.signal) == pytest.approx(5.0 * np.sqrt(0.25), rel=0.05)


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


def test_smoothing_the_b0_map_keeps_uniform_maps_gaps_and_steps():
    """A uniform map stays bit by bit, unknown voxels stay unknown, a large step stays sharp."""
    uniform = np.full((2, 6, 6), 0.123)
    np.testing.assert_array_equal(smooth_b0(uniform), uniform)
    uniform[0, 2, 2] = np.nan
    smoothed = smooth_b0(uniform)
    assert np.isnan(smoothed[0, 2, 2])
    assert np.isfinite(smoothed).sum() == uniform.size - 1
    step = np.zeros((1, 8, 8))
    step[..., 4:] = 0.5
    np.testing.assert_allclose(smooth_b0(step), step, atol=1e-6)


def test_smoothing_the_b0_map_lowers_its_noise():
    """Noise of 3 Hz is lowered to less than half."""
    noise = np.random.default_rng(3).normal(0.0, 3.0 / 210.8, (1, 60, 60))
    assert np.std(smooth_b0(noise)) < 0.5 * np.std(noise)


def spread_of(method, noise, told):
    """Scatter of one side over many equal voxels, and its error without noise."""
    grid = axial_grid(shape=(1, 60, 60))

    def spectrum(offset):
        return -1.2 + 0.3 * (np.abs(offset) - 3.0) - 0.4 * (np.abs(offset) - 3.0) ** 2

    images = images_from(spectrum, grid, b0_shift_ppm=0.2, noise=noise, seed=9)
    _, positive = split_sides(images)
    distance = np.full(grid.shape, 3.2)
    return correct_side(positive, distance, method, noise=told).signal


def test_noise_decides_how_far_a_voxel_is_trusted():
    """Told of no noise, pooling returns the parabola; told of much, it scatters less than that."""
    parabola = spread_of(B0Method.QUADRATIC, 0.0, None)
    np.testing.assert_allclose(spread_of(B0Method.POOLED, 0.0, 0.0), parabola, rtol=1e-9)
    noisy = spread_of(B0Method.QUADRATIC, 5.0, None)
    assert np.std(spread_of(B0Method.POOLED, 5.0, 5.0)) < 0.95 * np.std(noisy)
