"""The part of a spectrum that is fitted: its places and its baseline functions.

The real part of a spectrum zero-filled to twice its length holds all that the complex FID holds,
and its noise is white; one real baseline suffices, and the phase is a parameter of the fit.

References
----------
Bartholdi E, Ernst RR. J Magn Reson 1973;11:9-19. doi:10.1016/0022-2364(73)90076-0
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.fft import fft
from scipy.interpolate import BSpline

from cestle.errors import NumericalError
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import ppm_axis
from cestle.physics import Complex, Real


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
