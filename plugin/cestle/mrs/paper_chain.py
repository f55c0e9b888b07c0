"""The published processing of this protocol, step by step, so that a site can reproduce it.

Residual water by HSVD (done before), Hanning apodisation, zero filling to 4096 points, NAA as the
frequency reference, a polynomial baseline, a fixed phase from creatine, choline and NAA, the
difference, and nonlinear least squares on peaks. Where the publication gives no number the choice
is ours and stands as a constant below. Apodisation broadens lines and leaves their areas alone.
"""

from typing import Final

import numpy as np

from cestle.mrs.band import moved
from cestle.mrs.peaks import FIT_PPM, PeakRatios, peak_ratios
from cestle.mrs.quality import naa_fit
from cestle.mrs.referencing import creatine_fit
from cestle.mrs.series import EditedSpectra, MegaProtocol
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from cestle.physics import Bool, Complex, Real

POINTS: Final = 4096
BASELINE_DEGREE: Final = 4
_PEAKS_PPM: Final = ((2.82, 3.32), (3.58, 4.02))
"""Left out of the polynomial: GABA+ and choline, Glx and the other creatine."""


def quantify_as_published(spectra: EditedSpectra) -> PeakRatios:
    """GABA+/Cr and Glx/Cr by the published chain, full difference.

    Parameters
    ----------
    spectra
        Prepared spectra; residual water is gone.

    Raises
    ------
    NumericalError
        When creatine or the range of the fit is missing.
    """
    protocol = spectra.protocol
    on, off = (zero_filled(hanning(fid)) for fid in (spectra.on, spectra.off))
    turn_hz, phase_rad = _reference(off, protocol)
    on, off = moved(
        np.stack([on, off]),
        protocol.dwell_s,
        np.full(2, turn_hz),
        np.full(2, phase_rad),
    )
    difference = without_baseline(on, protocol) - without_baseline(off, protocol)
    return peak_ratios(
        difference,
        creatine_fit(off, protocol),
        protocol,
        baseline_degree=-1,
        oversampling=len(off) / len(spectra.off),
    )


def hanning(fid: Complex) -> Complex:
    """A FID times the falling half of a Hanning window, 1 at its first point."""
    count = len(fid)
    window = 0.5 * (1.0 + np.cos(np.pi * np.arange(count) / count))
    filtered: Complex = fid * window
    return filtered


def zero_filled(fid: Complex) -> Complex:
    """A FID with zeros up to `POINTS`; longer ones stay as they are."""
    return np.pad(fid, (0, max(0, POINTS - len(fid))))


def _reference(off: Complex, protocol: MegaProtocol) -> tuple[float, float]:
    """Frequency of NAA off its place [Hz], and the phase of the three singlets together [rad]."""
    naa, others = naa_fit(off, protocol), creatine_fit(off, protocol)
    total = naa.amplitudes[0] + others.amplitudes.sum()
    return naa.shift_hz, float(np.angle(total))


def without_baseline(fid: Complex, protocol: MegaProtocol) -> Complex:
    """A FID whose spectrum has lost the polynomial that runs between the peaks."""
    axis, spectrum = ppm_axis(len(fid), protocol), to_spectrum(fid)
    inside = (axis >= FIT_PPM[0]) & (axis <= FIT_PPM[1])
    between = inside & ~_under_peaks(axis)
    place = (axis - FIT_PPM[0]) / (FIT_PPM[1] - FIT_PPM[0]) * 2.0 - 1.0
    legendre = np.polynomial.legendre.legvander(place, BASELINE_DEGREE)
    coefficients = np.linalg.lstsq(legendre[between], spectrum[between].real, rcond=None)[0]
    flat = spectrum.copy()
    flat[inside] -= legendre[inside] @ coefficients
    back = np.fft.ifft(np.fft.ifftshift(flat))
    back[0] *= 2.0
    cleaned: Complex = back
    return cleaned


def _under_peaks(axis: Real) -> Bool:
    covered = np.zeros(len(axis), dtype=np.bool_)
    for low, high in _PEAKS_PPM:
        covered |= (axis >= low) & (axis <= high)
    return covered
