"""What subtraction left of creatine and choline, which should cancel in ON minus OFF."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.band import Band
from cestle.mrs.pairing import gaba_under_creatine, stacked
from cestle.mrs.series import MegaProtocol
from cestle.mrs.singlet_fit import SingletFit
from cestle.mrs.spectrum import time_axis
from cestle.physics import Complex

_LOW_PPM: Final = 2.85
_HIGH_PPM: Final = 3.40
_DEGREE: Final = 3
_SEEN_S: Final = 0.35


@dataclass(frozen=True, kw_only=True)
class SubtractionResidual:
    """Size of what is left, relative to the line in edit OFF, without what noise alone leaves.

    Parameters
    ----------
    creatine_percent
        Of creatine, what is turned or displaced; its in-phase part is not told from GABA+ and
        shows in choline [%].
    choline_percent
        Of choline, whatever looks like it [%].
    """

    creatine_percent: float
    choline_percent: float


def subtraction_residual(
    difference: Complex, protocol: MegaProtocol, creatine: SingletFit
) -> SubtractionResidual:
    """Measure what subtraction left.

    The difference is fitted by the lines of edit OFF, by the same turned by 90° and displaced,
    and by GABA+ under creatine. One percent of amplitude, 0.6° and about 0.03 Hz leave 1 %.

    Parameters
    ----------
    difference
        ON minus OFF, shape (point,) [a.u.].
    protocol
        How it was acquired.
    creatine
        Creatine and choline of edit OFF.
    """
    points = min(len(difference), int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, _LOW_PPM, _HIGH_PPM, degree=_DEGREE)
    time = time_axis(points, protocol.dwell_s)
    lines = creatine.fids(protocol, time)
    slower = 2j * np.pi * time
    columns = [part for line in lines for part in (line, 1j * line, slower * line)]
    columns.extend(gaba_under_creatine(protocol, creatine, time))
    design = stacked(band.take(np.stack(columns)))
    data = stacked(band.take(difference[:points]))
    factors = data @ np.linalg.pinv(design)
    freedom = len(data) - 2 * len(band.smooth) - len(design)
    variance = float(np.sum((data - factors @ design) ** 2)) / freedom
    noise = variance * np.linalg.inv(design @ design.T)

    def percent(line: int, used: slice) -> float:
        part = design[used]
        explained = float(np.sum((factors[used] @ part) ** 2))
        by_noise = float(np.trace(part @ part.T @ noise[used, used]))
        whole = float(np.sum(design[line] ** 2))
        return 100.0 * float(np.sqrt(max(0.0, explained - by_noise) / whole))

    return SubtractionResidual(
        creatine_percent=percent(0, slice(1, 3)), choline_percent=percent(3, slice(3, 6))
    )
