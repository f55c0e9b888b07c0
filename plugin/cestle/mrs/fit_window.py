"""The part of a spectrum that is fitted: its places, its noise and its baseline functions.

The real part of a spectrum zero-filled to twice its length holds all that the complex FID holds,
and its noise is white; one real baseline suffices, and the phase is a parameter of the fit.

References
----------
Bartholdi E, Ernst RR. J Magn Reson 1973;11:9-19. doi:10.1016/0022-2364(73)90076-0
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.fft import fft
from scipy.interpolate import BSpline

from cestle.errors import NumericalError
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from cestle.physics import Complex, Real

NOISE_PPM: Final = ((8.0, 9.2), (-1.6, -0.2))
"""Where no signal is expected; the first that the spectrum covers is taken."""

_FEWEST_NOISE_POINTS: Final = 32
_TAIL: Final = 0.75


@dataclass(frozen=True, kw_only=True, eq=False)
class FitWindow:
    """A range of chemical shifts of the zero-filled spectrum.

    Parameters
    ----------
    rows
        Places in the unshifted FFT of `length` points, ascending in ppm, shape (row,).
    ppm
        Chemical shifts, shape (row,) [ppm].
    length
        Points after zero filling.
    """

    rows: npt.NDArray[np.int64]
    ppm: Real
    length: int

    @classmethod
    def of(cls, points: int, protocol: MegaProtocol, range_ppm: tuple[float, float]) -> "FitWindow":
        """The window for FIDs of so many points.

        Raises
        ------
        NumericalError
            When the spectrum does not reach over the range.
        """
        length = 2 * points
        ppm = ppm_axis(length, protocol)
        low, high = range_ppm
        if ppm[0] > low or ppm[-1] < high:
            raise NumericalError(
                f"the spectrum reaches from {ppm[0]:.2f} to {ppm[-1]:.2f} ppm; {low:g} to {high:g} "
                "ppm are fitted, acquire with a wider spectral width."
            )
        inside = np.flatnonzero((ppm >= low) & (ppm <= high))
        return cls(rows=(inside - length // 2) % length, ppm=ppm[inside], length=length)

    def spectrum(self, fids: Complex) -> Real:
        """Real part of the spectra within the window, shape (…, row) [a.u.]."""
        halved = fids.copy()
        halved[..., 0] *= 0.5
        values: Real = fft(halved, n=self.length, axis=-1)[..., self.rows].real
        return values

    def splines(self, spacing_ppm: float) -> Real:
        """Cubic B-splines with knots at about this spacing, shape (row, function)."""
        low, high = float(self.ppm[0]), float(self.ppm[-1])
        pieces = max(1, round((high - low) / spacing_ppm))
        knots = np.concatenate([[low] * 3, np.linspace(low, high, pieces + 1), [high] * 3])
        functions: Real = BSpline.design_matrix(self.ppm, knots, 3).toarray()
        return functions


def noise_sd(fid: Complex, protocol: MegaProtocol) -> float:
    """Standard deviation of the noise of the spectrum's real part, not filtered [a.u.].

    Parameters
    ----------
    fid
        Shape (point,) [a.u.].
    protocol
        How it was acquired.

    Returns
    -------
        From real and imaginary part in `NOISE_PPM`, each less a parabola; from the last quarter
        of the FID where the spectrum covers neither range. Zero filling does not change it.
    """
    spectrum, ppm = to_spectrum(fid), ppm_axis(len(fid), protocol)
    for low, high in NOISE_PPM:
        inside = (ppm >= low) & (ppm <= high)
        if ppm[0] <= low and ppm[-1] >= high and inside.sum() >= _FEWEST_NOISE_POINTS:
            place, part = np.linspace(-1.0, 1.0, inside.sum()), spectrum[inside]
            trend = np.polynomial.polynomial.polyvander(place, 2)
            left = part - trend @ np.linalg.lstsq(trend, part, rcond=None)[0]
            return float(np.sqrt(0.5 * np.sum(np.abs(left) ** 2) / (len(part) - 3)))
    tail = fid[round(_TAIL * len(fid)) :]
    return float(np.sqrt(0.5 * len(fid) * np.mean(np.abs(tail - tail.mean()) ** 2)))
