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

_WIDEST_HZ: Final = 60.0
_START_HZ: Final = 4.0


@dataclass(frozen=True, kw_only=True, eq=False)
class SingletFit:
    """Singlets of one spectrum.

    Parameters
    ----------
    places_ppm
        Where they belong [ppm].
    shift_hz
        How far they are above their places [Hz].
    lorentz_hz, gauss_hz
        Full widths at half maximum of the two factors of the line [Hz].
    amplitudes
        Complex amplitude of each at the start of the FID, shape (singlet,) [a.u.].
    errors
        Standard error of each amplitude, from the residual, shape (singlet,) [a.u.].
    heights
        Height of each line in the spectrum, shape (singlet,) [a.u.].
    """

    places_ppm: tuple[float, ...]
    shift_hz: float
    lorentz_hz: float
    gauss_hz: float
    amplitudes: Complex
    errors: Real
    heights: Real

    @property
    def fwhm_hz(self) -> float:
        """Full width of the Voigt line (Olivero and Longbothum, to 0.02 %) [Hz]."""
        lorentz, gauss = self.lorentz_hz, self.gauss_hz
        return 0.5346 * lorentz + float(np.sqrt(0.2166 * lorentz**2 + gauss**2))

    def envelope(self, time: Real) -> Real:
        """Decay of the lines, 1 at the start, shape of `time` [s]."""
        return _envelope(time, self.lorentz_hz, self.gauss_hz)

    def fids(self, protocol: MegaProtocol, time: Real) -> Complex:
        """The fitted lines, shape (singlet, point) [a.u.]."""
        offset_hz = _offsets_hz(self.places_ppm, protocol) + self.shift_hz
        carriers = np.exp(2j * np.pi * np.outer(offset_hz, time))
        fids: Complex = self.amplitudes[:, None] * carriers * self.envelope(time)
        return fids


def fit_singlets(
    fid: Complex, protocol: MegaProtocol, places_ppm: Sequence[float], band: Band
) -> SingletFit:
    """Fit singlets at given places with a common displacement and line shape.

    Parameters
    ----------
    fid
        Shape (point,) [a.u.].
    protocol
        How it was acquired.
    places_ppm
        Chemical shifts of the singlets [ppm].
    band
        Range of the fit; what is smooth over it is not fitted. Its length is how much of the FID
        is used.
    """
    time = time_axis(band.points, protocol.dwell_s)
    offset_hz = _offsets_hz(places_ppm, protocol)
    data = band.take(fid[: band.points])

    def lines(shift: float, lorentz: float, gauss: float) -> Complex:
        carriers = np.exp(2j * np.pi * np.outer(offset_hz + shift, time))
        decaying: Complex = carriers * _envelope(time, lorentz, gauss)
        return decaying

    def split(values: Real) -> tuple[Complex, Complex, Complex]:
        design = band.take(lines(*values))
        amplitudes = data @ np.linalg.pinv(design)
        return design, amplitudes, data - amplitudes @ design

    def residual(values: Real) -> Real:
        rest = split(values)[2]
        return np.concatenate([rest.real, rest.imag])

    scale = float(np.linalg.norm(data))
    found = least_squares(
        lambda values: residual(values) / max(scale, np.finfo(np.float64).tiny),
        (0.0, _START_HZ, _START_HZ),
        bounds=((-np.inf, 0.0, 0.0), (np.inf, _WIDEST_HZ, _WIDEST_HZ)),
        x_scale=(1.0, 2.0, 2.0),
    )
    design, amplitudes, rest = split(found.x)
    spread = np.linalg.inv(design.conj() @ design.T).diagonal().real
    variance = np.sum(np.abs(rest) ** 2) / max(1, len(rest) - len(band.smooth) - len(offset_hz))
    return SingletFit(
        places_ppm=tuple(places_ppm),
        shift_hz=float(found.x[0]),
        lorentz_hz=float(found.x[1]),
        gauss_hz=float(found.x[2]),
        amplitudes=amplitudes,
        errors=np.sqrt(0.5 * variance * spread),
        heights=np.abs(amplitudes) * float(_envelope(time, *found.x[1:]).sum() - 0.5),
    )


def _offsets_hz(places_ppm: Sequence[float], protocol: MegaProtocol) -> Real:
    offset: Real = (np.asarray(places_ppm) - protocol.transmitter_ppm) * protocol.frequency_mhz
    return offset


def _envelope(time: Real, lorentz_hz: float, gauss_hz: float) -> Real:
    gauss = (np.pi * gauss_hz * time) ** 2 / (4.0 * np.log(2.0))
    envelope: Real = np.exp(-np.pi * lorentz_hz * time - gauss)
    return envelope
