"""The processing that the 5T study of temporal lobe epilepsy describes, step by step.

Residual water by Hankel singular value decomposition, Hanning window, zero filling to 4096 points,
NAA as the frequency reference, polynomial baseline, a fixed phase from Cr, Cho and NAA, difference,
nonlinear least squares on peaks. What the description leaves open - regions and degree of the
polynomial, shapes of the peaks - is chosen here. Its OFF − ON is ON − OFF here: only the sign.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.peaks import (
    DIFFERENCE_PPM,
    OFF_PPM,
    PeakModel,
    creatine_peaks,
    edited_peaks,
)
from cestle.mrs.series import EditedSpectra, MegaProtocol
from cestle.mrs.spectrum import frequency_hz, time_axis, to_spectrum
from cestle.mrs.water import WaterModes, WaterSettings
from cestle.physics import Complex, Real

ZERO_FILLED: Final = 4096
NAA_PPM: Final = 2.008

_SINGLETS: Final[Mapping[str, tuple[float, float]]] = {
    "NAA": (1.93, 2.09),
    "Cr": (2.95, 3.11),
    "Cho": (3.14, 3.28),
}
_FLAT_PPM: Final = ((0.3, 0.7), (1.5, 1.8), (2.75, 2.88), (3.32, 3.45), (4.15, 4.25))
_DEGREE: Final = 3


def fit_as_published(spectra: EditedSpectra) -> PeakModel:
    """Run the chain on mean ON and mean OFF.

    Parameters
    ----------
    spectra
        Prepared spectra.

    Raises
    ------
    NumericalError
        When NAA is not found in OFF, or the spectrum does not reach over what is fitted.
    """
    protocol, points = spectra.protocol, len(spectra.off)
    hanning = 0.5 * (1.0 + np.cos(np.pi * np.arange(points) / points))
    fids = [_without_water(fid, protocol) * hanning for fid in (spectra.on, spectra.off)]
    turn = _reference(fids[1], protocol)
    on, off = (_flattened(fid * turn, protocol) for fid in fids)
    off_window = _window(points, protocol, OFF_PPM)
    edited_window = _window(points, protocol, DIFFERENCE_PPM)
    return PeakModel(
        off=creatine_peaks(off[off_window.rows], off_window, protocol, hanning),
        difference=edited_peaks((on - off)[edited_window.rows], edited_window, protocol, hanning),
    )


def _length(points: int) -> int:
    return max(ZERO_FILLED, points)


def _without_water(fid: Complex, protocol: MegaProtocol) -> Complex:
    return WaterModes.of(fid, protocol, WaterSettings()).taken_from(fid)


def _axis_ppm(length: int, protocol: MegaProtocol) -> Real:
    shift = frequency_hz(length, protocol.dwell_s) / protocol.frequency_mhz
    axis: Real = protocol.transmitter_ppm + shift
    return axis


def _reference(off: Complex, protocol: MegaProtocol) -> Complex:
    """Frequency by NAA and phase by the three singlets, as a factor for FIDs, shape (point,)."""
    length = _length(len(off))
    spectrum, axis = to_spectrum(off, points=length), _axis_ppm(length, protocol)
    tops = {}
    for name, (low, high) in _SINGLETS.items():
        inside = np.flatnonzero((axis >= low) & (axis <= high))
        tops[name] = inside[np.argmax(np.abs(spectrum[inside]))]
    naa = tops["NAA"]
    if not np.abs(spectrum[naa]) > 0.0:
        raise NumericalError("NAA was not found in OFF; the published chain has no reference.")
    away_hz = (axis[naa] - NAA_PPM) * protocol.frequency_mhz
    phase = float(np.angle(sum(spectrum[top] for top in tops.values())))
    time = time_axis(len(off), protocol.dwell_s)
    turn: Complex = np.exp(-2j * np.pi * away_hz * time - 1j * phase)
    return turn


def _flattened(fid: Complex, protocol: MegaProtocol) -> Real:
    """Real part less a polynomial through regions without singlets, in the order of the FFT."""
    length = _length(len(fid))
    spectrum, axis = to_spectrum(fid, points=length).real, _axis_ppm(length, protocol)
    flat = np.zeros(length, dtype=bool)
    for low, high in _FLAT_PPM:
        flat |= (axis >= low) & (axis <= high)
    trend = np.polynomial.Polynomial.fit(axis[flat], spectrum[flat], _DEGREE)
    return np.fft.ifftshift(spectrum - trend(axis))


def _window(points: int, protocol: MegaProtocol, range_ppm: tuple[float, float]) -> FitWindow:
    """The window in the spectrum zero-filled to 4096 points."""
    length = _length(points)
    axis = _axis_ppm(length, protocol)
    window = FitWindow.of(points, protocol, range_ppm)
    inside = np.flatnonzero((axis >= range_ppm[0]) & (axis <= range_ppm[1]))
    return replace(window, rows=(inside - length // 2) % length, ppm=axis[inside], length=length)
