"""Does the B0 map fit the images? A wrong sign, unit or scale shows in the corrected map itself.

After a right correction GluCEST does not depend on the B0 shift. With the sign flipped it
changes by about 105 percentage points per ppm in a model of the 5T protocol, with the map not
applied by 50, with half its scale by 23; rightly corrected by −4 to +2 over 25 field seeds, the
rest being anatomy that happens to follow the field.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cestle.cest.images import FieldMaps, GluCestMap
from cestle.physics import Bool, Real

WARN_SLOPE: Final = 10.0
STOP_SLOPE: Final = 15.0
LEAST_SPREAD_PPM: Final = 0.04
LEAST_VOXELS: Final = 200
_INNER_SHIFT_PPM: Final = 0.3
_ROUNDS: Final = 6


class Fit(StrEnum):
    """Whether the B0 map fits the images."""

    RIGHT = "right"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """Outcome of the test.

    Parameters
    ----------
    fit
        The verdict.
    slope
        Change of corrected GluCEST with the B0 shift [percentage points / ppm]; None when it
        cannot be tested.
    spread_ppm
        Standard deviation of the B0 shift over the voxels used [ppm].
    """

    fit: Fit
    slope: float | None
    spread_ppm: float


def check_b0_map(glucest: GluCestMap, fields: FieldMaps) -> SelfTest:
    """Hold the corrected map against the B0 map.

    Parameters
    ----------
    glucest
        The map after B0 correction.
    fields
        The fields that it was corrected with.

    Returns
    -------
        The verdict. A field that is nearly uniform cannot be tested: then a wrong sign does
        little harm as well.
    """
    shift = fields.b0_shift_ppm
    with np.errstate(invalid="ignore"):
        used: Bool = glucest.valid & (np.abs(shift) <= _INNER_SHIFT_PPM)
    spread = float(np.std(shift[used])) if used.any() else 0.0
    if int(used.sum()) < LEAST_VOXELS or spread < LEAST_SPREAD_PPM:
        return SelfTest(fit=Fit.NOT_TESTABLE, slope=None, spread_ppm=spread)
    slope = robust_slope(shift[used], glucest.percent[used])
    size = abs(slope)
    fit = Fit.WRONG if size > STOP_SLOPE else Fit.DOUBTFUL if size > WARN_SLOPE else Fit.RIGHT
    return SelfTest(fit=fit, slope=slope, spread_ppm=spread)


def robust_slope(x: Real, y: Real) -> float:
    """Slope of a straight line through points of which some belong elsewhere.

    Parameters
    ----------
    x, y
        Points, both of shape (n,), x not constant.

    Returns
    -------
        Slope after repeatedly leaving out points beyond three robust standard deviations.
    """
    keep = np.ones(len(x), dtype=np.bool_)
    slope = 0.0
    for _ in range(_ROUNDS):
        slope, level = (float(value) for value in np.polyfit(x[keep], y[keep], 1))
        residual = y - (level + slope * x)
        centre = np.median(residual[keep])
        scale = 1.482602218505602 * np.median(np.abs(residual[keep] - centre))
        closer = np.abs(residual - centre) <= 3.0 * scale
        if scale == 0.0 or closer.sum() < LEAST_VOXELS // 2 or np.array_equal(closer, keep):
            break
        keep = closer
    return slope
