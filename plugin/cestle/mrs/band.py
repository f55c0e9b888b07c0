"""A range of chemical shifts, with what is smooth across it left out.

Tails of water and broad signals are smooth over more than a ppm, lines are not: a polynomial of
fifth degree takes the tails of water that is ten thousand times stronger than creatine and less
than one percent of creatine.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from cestle.errors import ProtocolError
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import frequency_hz, ppm_axis, time_axis, to_spectrum
from cestle.physics import Complex, Real


@dataclass(frozen=True, kw_only=True, eq=False)
class Band:
    """Bins of a spectrum within a range, and smooth functions over them.

    Parameters
    ----------
    points
        Length of the spectrum.
    bins
        Indices into the ascending axis, shape (bin,).
    frequency_hz
        Their frequencies [Hz].
    smooth
        Orthonormal polynomials over the bins, shape (degree + 1, bin).
    """

    points: int
    bins: npt.NDArray[np.int64]
    frequency_hz: Real
    smooth: Real

    @classmethod
    def of(
        cls, protocol: MegaProtocol, points: int, low_ppm: float, high_ppm: float, *, degree: int
    ) -> Self:
        """The band of `points` bins from `low_ppm` to `high_ppm`.

        Parameters
        ----------
        degree
            Of the polynomials; −1 for none.

        Raises
        ------
        ProtocolError
            When the spectrum does not reach over the range.
        """
        axis = ppm_axis(points, protocol)
        if axis[0] > low_ppm or axis[-1] < high_ppm:
            raise ProtocolError(
                f"the spectrum reaches from {axis[0]:.2f} to {axis[-1]:.2f} ppm; expected "
                f"{low_ppm:.2f} to {high_ppm:.2f} ppm; check spectral width, transmitter "
                "frequency and its chemical shift."
            )
        bins = np.flatnonzero((axis >= low_ppm) & (axis <= high_ppm))
        place = np.linspace(-1.0, 1.0, len(bins))
        powers = np.polynomial.legendre.legvander(place, degree) if degree >= 0 else place[:, :0]
        smooth = np.linalg.qr(powers)[0].T
        return cls(
            points=points,
            bins=bins,
            frequency_hz=frequency_hz(points, protocol.dwell_s)[bins],
            smooth=smooth,
        )

    def take(self, fids: Complex) -> Complex:
        """Spectra of FIDs within the band, without what is smooth, shape (…, bin)."""
        return self.rough(to_spectrum(fids, points=self.points)[..., self.bins])

    def rough(self, spectra: Complex) -> Complex:
        """Spectra over the bins without what is smooth."""
        rest: Complex = spectra - (spectra @ self.smooth.T) @ self.smooth
        return rest


def damped(fids: Complex, dwell_s: float, *, width_hz: float) -> Complex:
    """FIDs whose lines are broader by `width_hz`, to see them in noise; never for the result."""
    return fids * np.exp(-np.pi * width_hz * time_axis(fids.shape[-1], dwell_s))


def moved(fids: Complex, dwell_s: float, frequency_hz: Real, phase_rad: Real) -> Complex:
    """FIDs with a frequency and a phase of each taken away, shape (transient, point)."""
    turn = phase_rad[:, None] + 2.0 * np.pi * np.outer(
        frequency_hz, time_axis(fids.shape[-1], dwell_s)
    )
    turned: Complex = fids * np.exp(-1j * turn)
    return turned
