"""The scanner's own difference against ours: sign, scale, and whether it is the same at all."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.band import Band, moved
from cestle.mrs.series import MegaProtocol
from cestle.physics import Complex

ALIKE: Final = 0.8
"""Least correlation at which sign and scale mean something."""

_LOW_PPM: Final = 1.85
_HIGH_PPM: Final = 4.0
_DEGREE: Final = 3
_SEEN_S: Final = 0.35
_SOUGHT_HZ: Final = 12.0


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the scanner's difference relates to ours.

    Parameters
    ----------
    correlation
        −1…1; negative when the scanner subtracts ON from OFF.
    scale
        Theirs over ours, with its sign; one half where the scanner halves.
    """

    correlation: float
    scale: float

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        if abs(self.correlation) < ALIKE:
            return (
                f"the scanner's difference does not agree with ON minus OFF (correlation "
                f"{self.correlation:.2f}); it was not used"
            )
        order = "ON minus OFF" if self.scale > 0.0 else "OFF minus ON"
        return (
            f"the scanner's difference is {order} times {abs(self.scale):.2f} (correlation "
            f"{self.correlation:.2f}); it was not used"
        )


def compare(theirs: Complex, ours: Complex, protocol: MegaProtocol) -> Comparison:
    """Hold the scanner's difference against ours.

    Parameters
    ----------
    theirs
        With the frequency and phase taken away that were taken from edit OFF, shape (point,).
    ours
        ON minus OFF, shape (point,).
    protocol
        How they were acquired.
    """
    points = min(len(ours), int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, _LOW_PPM, _HIGH_PPM, degree=_DEGREE)
    mine = band.take(ours[:points])
    # the scanner may have moved its spectra by itself
    steps = np.arange(-_SOUGHT_HZ, _SOUGHT_HZ + 0.5)
    copies = np.repeat(theirs[None, :points], len(steps), axis=0)
    other = band.take(moved(copies, protocol.dwell_s, steps, np.zeros(len(steps))))
    inner = other @ mine.conj()
    best = int(np.argmax(np.abs(inner)))
    sizes = float(np.linalg.norm(mine)), float(np.linalg.norm(other[best]))
    if not min(sizes) > 0.0:
        return Comparison(correlation=0.0, scale=0.0)
    return Comparison(
        correlation=float(inner[best].real) / (sizes[0] * sizes[1]),
        scale=float(inner[best].real) / sizes[0] ** 2,
    )
