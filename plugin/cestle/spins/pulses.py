"""Shaped pulses and what they do to one spin or to many coupled ones.

A pulse is a train of hard rotations about x with free precession between them (symmetric
splitting), which is exact for a train and second order in the step for the smooth shape.

References
----------
Pauly J et al. IEEE Trans Med Imaging 1991;10:53-65. doi:10.1109/42.75611
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

import numpy as np
from scipy.optimize import brentq
from scipy.signal import remez

from cestle.physics import Complex, Real
from cestle.spins.operators import hadamard, magnetic_numbers

_STEP_S: Final = 5.0e-5
_EDGE: Final = 0.01
_WIDEST: Final = 8.0
"""Half of every inversion profile lies nearer to the centre than this over the duration."""
_SLICE_STEPS: Final = 128
_SLICE_PRODUCT: Final = 6.0
_SLICE_TRANSITION: Final = 0.3
_SLICE_FLIP: Final = 0.9999
_MINIMUM_PHASE_POINTS: Final = 1 << 16


class PulseShape(StrEnum):
    """Envelopes of pulses of 180°, all symmetric in time.

    ``gauss``: Gaussian that has fallen to 1 % at its ends; the full width of its inversion is
    1.53 / duration. ``sinc-gauss``: central lobe of a sinc times that Gaussian; 1.81 / duration.
    ``slice``: linear-phase refocusing pulse by the Shinnar-Le Roux method; 5.39 / duration.
    """

    GAUSS = "gauss"
    SINC_GAUSS = "sinc-gauss"
    SLICE = "slice"

    def angles(self, steps: int) -> Real:
        """Rotation of each step at resonance, shape (step,) [rad]; a slice has its own steps."""
        if self is PulseShape.SLICE:
            return _slice_angles()
        position = (np.arange(steps) + 0.5) / steps * 2.0 - 1.0
        if self is PulseShape.GAUSS:
            envelope: Real = np.exp(np.log(_EDGE) * position**2)
        else:
            envelope = np.sinc(position) * np.exp(np.log(_EDGE) * position**2)
        angles: Real = np.pi * envelope / envelope.sum()
        return angles


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """A pulse of 180° about x.

    Parameters
    ----------
    shape
        Its envelope.
    duration_s
        Its duration [s].
    """

    shape: PulseShape
    duration_s: float

    def angles(self) -> Real:
        """Rotation of each step at resonance, shape (step,) [rad]."""
        return self.shape.angles(max(64, round(self.duration_s / _STEP_S)))


def inversion(pulse: Pulse, offset_hz: Real) -> Real:
    """Probability that an uncoupled spin is flipped, 0 to 1.

    Parameters
    ----------
    pulse
        The pulse.
    offset_hz
        Resonance relative to the centre of the pulse, shape (offset,) [Hz].

    Returns
    -------
        Share of the magnetisation that goes from +z to −z, shape (offset,); the same share of
        a transverse magnetisation is refocused between crushers.
    """
    zero = np.zeros((2, 2))
    propagator = shaped_propagators(pulse, zero, offset_hz)
    return np.abs(propagator[:, 1, 0]) ** 2


def full_width_hz(shape: PulseShape, duration_s: float) -> float:
    """Full width at half of the inversion profile [Hz]."""
    pulse = Pulse(shape=shape, duration_s=duration_s)

    def above_half(offset_hz: float) -> float:
        return float(inversion(pulse, np.array([offset_hz]))[0]) - 0.5

    return 2.0 * float(brentq(above_half, 0.0, _WIDEST / duration_s))


def slice_pulse(width_hz: float) -> Pulse:
    """Refocusing pulse whose slice profile has this full width at half [Hz]."""
    product = full_width_hz(PulseShape.SLICE, 1.0e-2) * 1.0e-2
    return Pulse(shape=PulseShape.SLICE, duration_s=product / width_hz)


def free_propagator(energies: Real, states: Real, duration_s: float) -> Complex:
    """exp(−i H t) from the eigenvalues [rad/s] and eigenvectors (columns) of H."""
    propagator: Complex = (states * np.exp(-1j * energies * duration_s)) @ states.T
    return propagator


def shaped_propagators(pulse: Pulse, hamiltonian: Real, offset_hz: Real) -> Complex:
    """Propagators of a pulse on coupled spins for several centres of the pulse.

    Parameters
    ----------
    pulse
        The pulse.
    hamiltonian
        Real symmetric, relative to the reference, shape (state, state) [rad/s].
    offset_hz
        Reference relative to the centre of the pulse, shape (offset,) [Hz].

    Returns
    -------
        Shape (offset, state, state), in the frame of the reference: precession about the offset
        is taken out again, symmetrically about the middle of the pulse.
    """
    spins = hamiltonian.shape[0].bit_length() - 1
    energies, states = np.linalg.eigh(hamiltonian)
    angles = pulse.angles()
    step_s = pulse.duration_s / len(angles)
    numbers = magnetic_numbers(spins).sum(axis=1)
    turn = 2.0 * np.pi * offset_hz[:, None] * numbers[None, :]
    to_x = hadamard(spins)
    half = np.exp(-0.5j * turn * step_s)[:, :, None] * free_propagator(
        energies, states, 0.5 * step_s
    )
    whole = np.exp(-1j * turn * step_s)[:, :, None] * free_propagator(energies, states, step_s)
    step = to_x @ whole @ to_x
    current = to_x @ half
    for angle in angles:
        current = step @ (np.exp(-1j * angle * numbers)[:, None] * current)
    # the last step was a whole one: half of it is taken back
    propagator = np.conj(np.swapaxes(half, 1, 2)) @ (to_x @ current)
    back = np.exp(0.5j * turn * pulse.duration_s)
    result: Complex = back[:, :, None] * propagator * back[:, None, :]
    return result


@cache
def _slice_angles() -> Real:
    """Hard rotations of the Shinnar-Le Roux refocusing pulse, shape (step,) [rad]."""
    edge = 0.5 * _SLICE_PRODUCT / _SLICE_STEPS
    bands = [0.0, (1.0 - _SLICE_TRANSITION) * edge, (1.0 + _SLICE_TRANSITION) * edge, 0.5]
    b = np.asarray(remez(_SLICE_STEPS, bands, [1.0, 0.0], weight=[1.0, 1.0]))
    response = np.abs(np.fft.fft(b, _MINIMUM_PHASE_POINTS))
    b = b * (_SLICE_FLIP / response.max())
    return _rotations(_partner(b), b)


def _partner(b: Real) -> Real:
    """The minimum-phase polynomial a with |a|² + |b|² = 1 on the unit circle."""
    power = 1.0 - np.abs(np.fft.fft(b, _MINIMUM_PHASE_POINTS)) ** 2
    cepstrum = np.fft.ifft(0.5 * np.log(power))
    middle = _MINIMUM_PHASE_POINTS // 2
    cepstrum[1:middle] *= 2.0
    cepstrum[middle + 1 :] = 0.0
    a = np.fft.ifft(np.exp(np.fft.fft(cepstrum)))
    real: Real = a[: len(b)].real
    return real


def _rotations(a: Real, b: Real) -> Real:
    """Peel off one hard rotation after the other, the last one first."""
    angles = np.empty(len(b))
    for step in range(len(b) - 1, -1, -1):
        ratio = b[0] / a[0]
        cosine = 1.0 / np.sqrt(1.0 + ratio**2)
        angles[step] = 2.0 * np.arctan(ratio)
        a, b = cosine * (a + ratio * b), cosine * (b - ratio * a)
        a, b = a[:-1], b[1:]
    return angles
