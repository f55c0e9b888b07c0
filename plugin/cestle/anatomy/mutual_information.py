"""How much two images tell of each other, whatever their contrasts.

C. Studholme, D. L. G. Hill, D. J. Hawkes: An overlap invariant entropy measure of 3D medical
image alignment. Pattern Recognition 32:71-86 (1999), doi:10.1016/S0031-3203(98)00091-0.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.anatomy.shading import Single
from cestle.physics import Real

BINS: Final = 32
_TAIL_PERCENT: Final = 1.0


class NormalisedMutualInformation:
    """(H(A) + H(B)) / H(A, B) of a fixed image A with others.

    Parameters
    ----------
    fixed
        Samples of the image that stays, shape (n,).
    """

    def __init__(self, fixed: Real) -> None:
        low, high = np.percentile(fixed, [_TAIL_PERCENT, 100.0 - _TAIL_PERCENT])
        self._row: npt.NDArray[np.int64] = BINS * _levels(fixed, low, high).astype(np.int64)

    def of(self, other: Real | Single, low: float, high: float) -> float:
        """The measure, 1 for images that tell nothing of each other.

        A sample counts in the two nearest bins of its image, so that the measure changes smoothly
        as the image moves.

        Parameters
        ----------
        other
            Samples of the image that moves at the same places, shape (n,).
        low, high
            Brightness of the ends of its range.
        """
        level = _levels(other, low, high)
        floor = np.minimum(level.astype(np.int64), BINS - 2)
        upper = level - floor
        at = self._row + floor
        counts = np.bincount(at, weights=1.0 - upper, minlength=BINS * BINS)
        counts[1:] += np.bincount(at, weights=upper, minlength=BINS * BINS)[:-1]
        joint: Real = counts.reshape(BINS, BINS).astype(np.float64)
        return (_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / _entropy(joint)


def _levels(values: Real | Single, low: float, high: float) -> Real:
    scaled = (values.astype(np.float64) - low) * ((BINS - 1) / max(high - low, 1e-12))
    return np.clip(scaled, 0.0, BINS - 1.0)


def _entropy(counts: Real) -> float:
    share = counts[counts > 0.0] / counts.sum()
    return -float(np.sum(share * np.log(share)))
