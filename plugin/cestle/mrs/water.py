"""Residual water: damped modes found by a singular value decomposition, and taken away.

References
----------
Pijnappel WWF et al. J Magn Reson 1992;97:122-134. doi:10.1016/0022-2364(92)90241-X
"""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.linalg import eigh

from cestle.mrs.series import MegaProtocol
from cestle.physics import Bool, Complex

WATER_PPM: Final = 4.68
"""Chemical shift of water at 37 °C, creatine at 3.027 ppm."""


_SHORTEST: Final = 1e-3
"""A mode that leaves less of itself after one point is none."""

_SMALLEST: Final = 1e-6
"""Singular values below this share of the largest are nothing that modes can be told apart by."""


@dataclass(frozen=True, kw_only=True)
class WaterSettings:
    """How residual water is described.

    Parameters
    ----------
    half_width_ppm
        Modes within this of water are water [ppm].
    modes
        Number of damped modes for the whole signal.
    rows
        Rows of the Hankel matrix.
    seen_s
        Part of the FID that the modes are found in [s].
    """

    half_width_ppm: float = 0.35
    modes: int = 30
    rows: int = 256
    seen_s: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class WaterModes:
    """Modes of a FID; the same ones are taken from every transient, each with its own amplitudes.

    Parameters
    ----------
    signals
        All modes over time, shape (mode, point).
    amplitudes
        Turns a FID into the amplitudes of all modes, shape (point, mode).
    water
        Which modes are water, shape (mode,).
    """

    signals: Complex
    amplitudes: Complex
    water: Bool

    @classmethod
    def of(cls, fid: Complex, protocol: MegaProtocol, settings: WaterSettings) -> Self:
        """Find the modes of one FID, shape (point,)."""
        points = len(fid)
        seen = fid[: min(points, int(np.ceil(settings.seen_s / protocol.dwell_s)))]
        poles = hankel_poles(seen, modes=settings.modes, rows=settings.rows)
        signals = np.exp(np.multiply.outer(np.log(poles), np.arange(points)))
        frequency = np.angle(poles) / (2.0 * np.pi * protocol.dwell_s)
        place = protocol.transmitter_ppm + frequency / protocol.frequency_mhz
        amplitudes: Complex = np.asarray(
            np.linalg.pinv(signals, rcond=_SMALLEST), dtype=np.complex128
        )
        return cls(
            signals=signals,
            amplitudes=amplitudes,
            water=np.abs(place - WATER_PPM) <= settings.half_width_ppm,
        )

    def taken_from(self, fids: Complex) -> Complex:
        """FIDs without water, shape (…, point)."""
        rest: Complex = fids - (fids @ self.amplitudes)[..., self.water] @ self.signals[self.water]
        return rest


def hankel_poles(fid: Complex, *, modes: int, rows: int) -> Complex:
    """Poles of a sum of damped modes, shape (mode,), growing and momentary ones left out.

    The signal subspace is that of the largest eigenvalues of H Hᴴ, whose entries follow from each
    other along the diagonals, so that no large matrix product is needed.
    """
    rows = min(rows, len(fid) // 2)
    columns = len(fid) - rows + 1
    window = np.lib.stride_tricks.sliding_window_view(fid, columns)
    gram = np.empty((rows, rows), dtype=np.complex128)
    gram[0] = window[0] @ window.conj().T
    gram[:, 0] = gram[0].conj()
    new, old = fid[columns:], fid[: rows - 1]
    for row in range(rows - 1):
        gram[row + 1, 1:] = gram[row, :-1] + new[row] * new.conj() - old[row] * old.conj()
    space = eigh(gram, subset_by_index=(rows - modes, rows - 1))[1]
    poles: Complex = np.asarray(
        np.linalg.eigvals(np.linalg.lstsq(space[:-1], space[1:], rcond=None)[0]),
        dtype=np.complex128,
    )
    size = np.abs(poles)
    return poles[(size > _SHORTEST) & (size < 1.0)]
