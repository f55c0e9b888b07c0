"""The frequency axis: one convention for all of cestle.

A FID is exp(+i 2π f t), its FFT has an ascending frequency axis, and ppm = transmitter + f / f0
(PS3.3 C.8.14.4.1).
"""

import numpy as np

from cestle.mrs.series import MegaProtocol
from cestle.physics import Complex, Real


def frequency_hz(points: int, dwell_s: float) -> Real:
    """Ascending frequency axis of `to_spectrum`, shape (point,) [Hz]."""
    index: Real = np.arange(points, dtype=np.float64) - points // 2
    return index / (points * dwell_s)


def ppm_axis(points: int, protocol: MegaProtocol) -> Real:
    """Ascending chemical shift axis of `to_spectrum`, shape (point,) [ppm]."""
    shift: Real = frequency_hz(points, protocol.dwell_s) / protocol.frequency_mhz
    return protocol.transmitter_ppm + shift


def time_axis(points: int, dwell_s: float) -> Real:
    """Time of each point of a FID, shape (point,) [s]."""
    return np.arange(points, dtype=np.float64) * dwell_s


def to_spectrum(fid: Complex, *, points: int | None = None) -> Complex:
    """Spectrum of a FID along its last axis, frequencies ascending.

    Parameters
    ----------
    fid
        Shape (…, point) [a.u.].
    points
        Length after zero filling; that of the FID when None.

    Returns
    -------
        Shape (…, points). The first point of the FID is halved, so that a decaying line has no
        constant offset; the sum of the real part over the axis divided by its length is then
        half of the amplitude of the FID.
    """
    halved = fid.copy()
    halved[..., 0] *= 0.5
    return np.fft.fftshift(np.fft.fft(halved, n=points, axis=-1), axes=-1)
