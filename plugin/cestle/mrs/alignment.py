"""Frequency and phase of each transient against the others of its edit state.

Spectral registration, solved for all transients at once: to first order a transient is the
reference times a complex factor, plus the derivative of the reference times another. The second
over the first is the displacement in its real and half of the broadening in its imaginary part, so
that one linear fit gives amplitude, phase, frequency and width; a few rounds make it exact.

References
----------
Near J et al. Magn Reson Med 2015;73:44-50. doi:10.1002/mrm.25094
Mikkelsen M et al. NMR Biomed 2020;33:e4368. doi:10.1002/nbm.4368
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.band import Band, damped, moved
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import time_axis
from cestle.physics import Bool, Complex, Real

LOW_PPM: Final = 1.85
HIGH_PPM: Final = 3.45
"""What is registered: choline, creatine, and in edit OFF NAA."""

_DEGREE: Final = 5
_SEEN_S: Final = 0.35
_DAMPING_HZ: Final = 4.0
_LARGEST_STEP_HZ: Final = 3.0
_FARTHEST_HZ: Final = 12.0


@dataclass(frozen=True, kw_only=True)
class AlignmentSettings:
    """When the search ends.

    Parameters
    ----------
    rounds
        Most rounds.
    tolerance_hz
        It ends when no transient moves by more [Hz].
    """

    rounds: int = 12
    tolerance_hz: float = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """What was found for each transient of one edit state, all of shape (transient,).

    Parameters
    ----------
    frequency_hz, phase_rad
        To be taken away [Hz], [rad].
    gain
        Amplitude relative to the reference.
    broadening_hz
        By how much its lines are wider than those of the reference [Hz].
    misfit
        Root mean square of what is not explained, over the median of all transients.
    covariance
        Of the noise of frequency and phase, shape (transient, 2, 2) [Hz², Hz·rad, rad²].
    """

    frequency_hz: Real
    phase_rad: Real
    gain: Real
    broadening_hz: Real
    misfit: Real
    covariance: Real


def align(
    fids: Complex, protocol: MegaProtocol, settings: AlignmentSettings, *, kept: Bool | None = None
) -> Alignment:
    """Register transients to their common mean.

    Parameters
    ----------
    fids
        Transients of one edit state, within a few Hz of each other and roughly in phase, shape
        (transient, point) [a.u.].
    protocol
        How they were acquired.
    settings
        When to stop.
    kept
        Transients that the reference may be made of; all when None, shape (transient,).
    """
    points = min(fids.shape[-1], int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, LOW_PPM, HIGH_PPM, degree=_DEGREE)
    seen = fids[:, :points]
    used: Real = np.ones(len(fids)) if kept is None else kept.astype(np.float64)
    search = _Search(band, seen, protocol, used)
    for _ in range(settings.rounds):
        if search.step() < settings.tolerance_hz:
            break
    return search.found()


def trust(misfit: Real) -> Real:
    """Weights of transients by their misfit: equal up to the median, then falling quickly."""
    weight: Real = 1.0 / np.maximum(misfit, 1.0) ** 2
    return weight


class _Search:
    """State of the search between two rounds."""

    def __init__(self, band: Band, fids: Complex, protocol: MegaProtocol, kept: Real) -> None:
        self._band, self._fids, self._protocol, self._kept = band, fids, protocol, kept
        count = len(fids)
        self._frequency, self._phase = np.zeros(count), np.zeros(count)
        self._gain, self._width, self._misfit = np.ones(count), np.zeros(count), self._first()
        self._covariance = np.zeros((count, 2, 2))

    def _first(self) -> Real:
        """Distance of each transient to the median of all, before anything is known."""
        spectra = self._band.take(self._fids)
        used = spectra[self._kept > 0.0]
        middle = np.median(used.real, axis=0) + 1j * np.median(used.imag, axis=0)
        return self._relative(spectra - middle)

    def _relative(self, rest: Complex) -> Real:
        size: Real = np.linalg.norm(rest, axis=1)
        middle = float(np.median(size[self._kept > 0.0]))
        return size / middle if middle > 0.0 else np.ones(len(size))

    def step(self) -> float:
        """One round; the largest movement of a transient of the reference [Hz]."""
        now = moved(self._fids, self._protocol.dwell_s, self._frequency, self._phase)
        weights = self._kept * trust(self._misfit)
        mean = weights @ now / weights.sum()
        time = time_axis(len(mean), self._protocol.dwell_s)
        slope = np.stack([np.ones(len(time)), 2j * np.pi * time])
        design = self._band.take(slope * mean)
        # the noise of the reference at late times would swamp its derivative; damped copies as
        # instruments weigh it down and leave the solution where it is
        instruments = self._band.take(
            damped(slope * mean, self._protocol.dwell_s, width_hz=_DAMPING_HZ)
        )
        solve = _solution(design, instruments)
        spectra = self._band.take(now)
        factor = spectra @ solve
        same = np.where(factor[:, 0] == 0.0, 1.0, factor[:, 0])
        change = factor[:, 1] / same
        step = np.clip(change.real, -_LARGEST_STEP_HZ, _LARGEST_STEP_HZ)
        before = self._frequency
        self._frequency = np.clip(before + step, -_FARTHEST_HZ, _FARTHEST_HZ)
        self._phase = self._phase + np.angle(same)
        self._gain, self._width = np.abs(factor[:, 0]), 2.0 * change.imag
        rest = spectra - factor @ design
        self._misfit = self._relative(rest)
        self._covariance = self._noise(solve, rest)
        return float(np.max(np.abs(self._frequency - before) * (self._kept > 0.0)))

    def _noise(self, solve: Complex, rest: Complex) -> Real:
        """Noise of frequency and phase, from what is left in each transient."""
        # circular noise of two complex factors: the phase is in the imaginary part of the first,
        # the frequency in the real part of the second
        spread = 0.5 * solve.T @ solve.conj()
        shape = np.array(
            [
                [spread[1, 1].real, spread[0, 1].imag],
                [spread[0, 1].imag, spread[0, 0].real],
            ]
        )
        freedom = rest.shape[1] - len(solve.T) - len(self._band.smooth)
        variance = np.sum(np.abs(rest) ** 2, axis=1) / freedom
        gain = np.where(self._gain > 0.0, self._gain, 1.0)
        noise: Real = (variance / gain**2)[:, None, None] * shape
        return noise

    def found(self) -> Alignment:
        """What the last round left."""
        return Alignment(
            frequency_hz=self._frequency,
            phase_rad=self._phase,
            gain=self._gain,
            broadening_hz=self._width,
            misfit=self._misfit,
            covariance=self._covariance,
        )


def _solution(design: Complex, instruments: Complex) -> Complex:
    """What turns a spectrum into the two factors, shape (bin, 2); zeros without a reference."""
    inner = design @ instruments.conj().T
    if not np.any(inner):
        return np.zeros_like(design.T)
    solution: Complex = np.asarray(
        instruments.conj().T @ np.linalg.pinv(inner), dtype=np.complex128
    )
    return solution
