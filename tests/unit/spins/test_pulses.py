"""Pulses against the Bloch equations, solved as differential equations."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from cestle.spins.operators import hamiltonian, magnetic_numbers
from cestle.spins.pulses import (
    Pulse,
    PulseShape,
    full_width_hz,
    inversion,
    shaped_propagators,
    slice_pulse,
)

EDITING = [(PulseShape.GAUSS, 0.014), (PulseShape.SINC_GAUSS, 0.014), (PulseShape.GAUSS, 0.020)]


def nutation(pulse):
    """Angular velocity of the continuous envelope about x, normalised to 180°, over time."""
    edge = np.log(0.01)

    def envelope(position):
        gauss = np.exp(edge * position**2)
        return gauss * np.sinc(position) if pulse.shape is PulseShape.SINC_GAUSS else gauss

    fine = np.linspace(-1, 1, 20001)
    area = np.trapezoid(envelope(fine), fine) * pulse.duration_s / 2
    return lambda t: np.pi / area * envelope(2 * t / pulse.duration_s - 1)


def total_x(spins):
    states = 2**spins
    matrix = np.zeros((states, states))
    for spin in range(spins):
        for state in range(states):
            matrix[state, state ^ (1 << spin)] += 0.5
    return matrix


def integrated(pulse, static):
    """Propagator of a Hamiltonian and the continuous pulse, by an ODE solver."""
    size = len(static)
    field, drive = nutation(pulse), total_x(size.bit_length() - 1)

    def slope(t, flat):
        return (-1j * (static + field(t) * drive) @ flat.reshape(size, size)).ravel()

    start = np.eye(size, dtype=complex).ravel()
    solved = solve_ivp(slope, (0, pulse.duration_s), start, rtol=1e-9, atol=1e-10, method="DOP853")
    return solved.y[:, -1].reshape(size, size)


@pytest.mark.parametrize(("shape", "duration_s"), EDITING)
def test_inversion_is_that_of_the_bloch_equations(shape, duration_s):
    """The profile agrees with a solver of differential equations to 0.1 %."""
    pulse = Pulse(shape=shape, duration_s=duration_s)
    offsets = np.array([0.0, 20.0, 45.0, 60.0, 90.0, 200.0])
    expected = []
    for offset in offsets:
        propagator = integrated(pulse, 2 * np.pi * np.diag([offset / 2, -offset / 2]))
        expected.append(abs(propagator[1, 0]) ** 2)
    np.testing.assert_allclose(inversion(pulse, offsets), expected, atol=1e-3)


def test_coupled_spins_turn_as_the_schroedinger_equation_says():
    """Three strongly coupled spins under an off-resonance pulse, in the frame of the reference."""
    coupling = np.array([[0, 7.3, 4.6], [7.3, 0, -14.8], [4.6, -14.8, 0]])
    static = hamiltonian(np.array([157.0, -203.0, -186.0]), coupling)
    pulse = Pulse(shape=PulseShape.GAUSS, duration_s=0.014)
    offset = 231.0
    turn = 2 * np.pi * offset * magnetic_numbers(3).sum(axis=1)
    back = np.diag(np.exp(0.5j * turn * pulse.duration_s))
    expected = back @ integrated(pulse, static + np.diag(turn)) @ back
    found = shaped_propagators(pulse, static, np.array([offset]))[0]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(("shape", "duration_s"), [*EDITING, (PulseShape.SLICE, 0.004)])
def test_propagators_are_unitary_and_invert_at_their_centre(shape, duration_s):
    """Nothing is created or lost, and the centre is inverted."""
    pulse = Pulse(shape=shape, duration_s=duration_s)
    static = hamiltonian(np.array([0.0, 30.0]), np.array([[0, 7.0], [7.0, 0]]))
    for propagator in shaped_propagators(pulse, static, np.array([-40.0, 0.0, 300.0])):
        np.testing.assert_allclose(propagator @ propagator.conj().T, np.eye(4), atol=1e-11)
    assert inversion(pulse, np.array([0.0]))[0] > 0.995


@pytest.mark.parametrize("shape", list(PulseShape))
def test_the_band_is_inverse_to_the_duration(shape):
    """Twice the duration inverts half of the band."""
    assert full_width_hz(shape, 0.028) == pytest.approx(full_width_hz(shape, 0.014) / 2, rel=2e-3)


def test_slices_have_the_width_that_was_asked_for():
    """Half of the profile at ± half of the width, nearly all inside, nearly nothing outside."""
    profile = inversion(slice_pulse(1360.0), np.array([0.0, 400.0, 680.0, 1000.0, 3000.0]))
    assert profile[0] > 0.98
    assert profile[1] > 0.9
    assert profile[2] == pytest.approx(0.5, abs=0.01)
    assert profile[3] < 0.01
    assert profile[4] < 0.01
