"""Coils are combined with the signal-to-noise ratio that theory allows."""

import numpy as np
import pytest

from cestle.mrs.coils import coil_weights, combine
from phantoms.transients import Scene, protocol


def received(rng, gains, mixing, *, transients=40, points=1024, amplitude=3.0):
    """Singlets with random phases through coils of given gains and mixed noise."""
    scene = Scene(points=points)
    time = np.arange(points) * scene.dwell_s
    signal = amplitude * np.exp((-2j * np.pi * 350.0 - np.pi * 6.0) * time)
    turns = np.exp(2j * np.pi * rng.uniform(size=transients))
    clean = turns[:, None, None] * gains[None, :, None] * signal[None, None, :]
    shape = clean.shape
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    return clean, np.einsum("cd,tdn->tcn", mixing, noise), protocol(scene)


@pytest.mark.parametrize("with_water", [True, False])
def test_the_best_signal_to_noise_is_reached(with_water):
    """With correlated noise it comes to 97 % of √(gᴴ Ψ⁻¹ g), which no combination exceeds."""
    rng = np.random.default_rng(4)
    gains = rng.uniform(0.1, 1.0, 6) * np.exp(2j * np.pi * rng.uniform(size=6))
    mixing = np.diag([1.0, 1.0, 2.0, 0.5, 1.0, 1.0]) + 0.3 * rng.standard_normal((6, 6))
    clean, noise, acquisition = received(rng, gains, mixing)
    water = 1e3 * clean[:1] if with_water else None
    weights = coil_weights(clean + noise, water, acquisition)
    # circular noise of unit variance in each part
    covariance = mixing @ mixing.T
    best = np.sqrt((gains.conj() @ np.linalg.solve(covariance, gains)).real)
    ours = np.abs(weights @ gains) / np.sqrt((weights @ covariance @ weights.conj()).real)
    assert 0.97 * best < ours <= best * (1.0 + 1e-9)


def test_the_amplitude_is_that_of_the_root_of_squares():
    """Coils of gains 3 and 4 give a signal of gain 5."""
    rng = np.random.default_rng(1)
    clean, noise, acquisition = received(rng, np.array([3.0, 4.0j]), np.eye(2))
    weights = coil_weights(clean + 1e-3 * noise, None, acquisition)
    assert np.abs(weights @ np.array([3.0, 4.0j])) == pytest.approx(5.0, rel=1e-3)


def test_a_dead_coil_does_no_harm():
    """A coil of zeros, or one of mere noise, leaves the rest as good as it was."""
    rng = np.random.default_rng(2)
    gains = np.array([1.0, 0.7j, 0.0, 0.0])
    mixing = np.diag([1.0, 1.0, 0.0, 30.0])
    clean, noise, acquisition = received(rng, gains, mixing)
    weights = coil_weights(clean + noise, None, acquisition)
    ours = np.abs(weights @ gains) / np.sqrt(np.abs(weights) ** 2 @ np.diag(mixing) ** 2)
    assert ours > 0.95 * np.linalg.norm(gains)


def test_conjugated_coils_give_the_conjugated_signal():
    """The combination knows no sign of the FID."""
    rng = np.random.default_rng(3)
    clean, noise, acquisition = received(rng, np.array([1.0, 1j, -0.5]), np.eye(3))
    fids = clean + noise
    one = combine(fids, coil_weights(fids, None, acquisition))
    other = combine(fids.conj(), coil_weights(fids.conj(), None, acquisition))
    np.testing.assert_allclose(other, one.conj(), atol=1e-9 * np.abs(one).max())


def test_one_coil_is_left_as_it_is():
    """What the scanner combined is not scaled."""
    rng = np.random.default_rng(5)
    clean, noise, acquisition = received(rng, np.array([0.3j]), np.eye(1))
    fids = clean + noise
    np.testing.assert_array_equal(combine(fids, coil_weights(fids, None, acquisition)), fids[:, 0])
