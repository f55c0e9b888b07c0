"""Fit of methyl singlets with one common line shape: place, phase and width.

The line is a Voigt profile, built in the time domain so that it is sampled as the data are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import least_squares

from cestle.mrs.band import Band
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import time_axis
from cestle.physics import Complex, Real

Singlet = tuple[tuple[float, float], ...]
"""Chemical shift [ppm] and share of each line that has one amplitude with the others."""

_WIDEST_HZ: Final = 60.0
_START: Final = (0.0, 4.0, 4.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SingletFit:
    """Singlets of one spectrum.

    Parameters
    ----------
    singlets
        What was fitted, with the places where it belongs.
    shift_hz
        How far they are above their places [Hz].
    lorentz_hz, gauss_hz
        Full widths at half maximum of the two factors of the line [Hz].
    amplitudes
        Complex amplitude of each at the start of the FID for a share of 1, shape (singlet,)
        [a.u.].
    errors
        Standard error of each amplitude, from the residual, shape (singlet,) [a.u.].
    heights
        Height of a line of share 1 in the spectrum, shape (singlet,) [a.u.].
    """

    singlets: tuple[Singlet, ...]
    shift_hz: float
    lorentz_hz: float
    gauss_hz: float
    amplitudes: Complex
    errors: Real
    heights: Real

    @property
    def misfit(self) -> float:
        """Standard error of the first amplitude over that amplitude."""
        return float(self.errors[0] / np.abs(self.amplitudes[0]))

    @property
    def fwhm_hz(self) -> float:
        """Full width of the Voigt line (Olivero and Longbothum, to 0.02 %) [Hz]."""
        lorentz, gauss = self.lorentz_hz, self.gauss_hz
        return 0.5346 * lorentz + float(np.sqrt(0.2166 * lorentz**2 + gauss**2))

    def envelope(self, time: Real) -> Real:
        """Decay of the lines, 1 at the start, shape of `time` [s]."""
        return _envelope(time, self.lorentz_hz, self.gauss_hz)

    def fids(self, protocol: MegaProtocol, time: Real) -> Complex:
        """The fitted singlets, shape (singlet, point) [a.u.]."""
        carriers = _carriers(self.singlets, protocol, time)
        turn = np.exp(2j * np.pi * self.shift_hz * time)
        fids: Complex = self.amplitudes[:, None] * carriers * turn * self.envelope(time)
        return fids


def fit_singlets(
    fid: Complex, protocol: MegaProtocol, singlets: Sequence[Singlet], band: Band
) -> SingletFit:
    """Fit singlets at given places with a common displacement and line shape.

    Parameters
    ----------
    fid
        Shape (point,) [a.u.].
    protocol
        How it was acquired.
    singlets
        What to fit.
    band
        Range of the fit; what is smooth over it is not fitted. Its length is how much of the FID
        is used.
    """
    time = time_axis(band.points, protocol.dwell_s)
    carriers = _carriers(singlets, protocol, time)
    data = band.take(fid[: band.points])
    scale = max(float(np.linalg.norm(data)), np.finfo(np.float64).tiny)

    def split(values: Real) -> tuple[Complex, Complex, Complex]:
        shift, lorentz, gauss = values
        turn = np.exp(2j * np.pi * shift * time)
        design = band.take(carriers * turn * _envelope(time, lorentz, gauss))
        amplitudes = data @ np.linalg.pinv(design)
        return design, amplitudes, data - amplitudes @ design

    def residual(values: Real) -> Real:
        rest = split(values)[2] / scale
        return np.concatenate([rest.real, rest.imag])

    bounds = ((-np.inf, 0.0, 0.0), (np.inf, _WIDEST_HZ, _WIDEST_HZ))
    found = least_squares(residual, _START, bounds=bounds, x_scale=(1.0, 2.0, 2.0)).x
    design, amplitudes, rest = split(found)
    spread = np.linalg.inv(design.conj() @ design.T).diagonal().real
    freedom = len(rest) - len(band.smooth) - len(carriers)
    variance = np.sum(np.abs(rest) ** 2) / max(1, freedom)
    return SingletFit(
        singlets=tuple(singlets),
        shift_hz=float(found[0]),
        lorentz_hz=float(found[1]),
        gauss_hz=float(found[2]),
        amplitudes=amplitudes,
        errors=np.sqrt(0.5 * variance * spread),
        heights=np.abs(amplitudes) * float(_envelope(time, *found[1:]).sum() - 0.5),
    )


def _carriers(singlets: Sequence[Singlet], protocol: MegaProtocol, time: Real) -> Complex:
    """Undamped FIDs of amplitude 1, shape (singlet, point)."""
    carriers = np.zeros((len(singlets), len(time)), dtype=np.complex128)
    for number, singlet in enumerate(singlets):
        for place_ppm, share in singlet:
            offset_hz = (place_ppm - protocol.transmitter_ppm) * protocol.frequency_mhz
            carriers[number] += share * np.exp(2j * np.pi * offset_hz * time)
    return carriers


def _envelope(time: Real, lorentz_hz: float, gauss_hz: float) -> Real:
    gauss = (np.pi * gauss_hz * time) ** 2 / (4.0 * np.log(2.0))
    envelope: Real = np.exp(-np.pi * lorentz_hz * time - gauss)
    return envelope
