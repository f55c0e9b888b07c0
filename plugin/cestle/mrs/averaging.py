"""The weighted mean of the kept transients, and which of ON and OFF are neighbours in time."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from cestle.mrs.alignment import trust
from cestle.physics import Complex, Real


def weights_of(misfit: Real) -> Real:
    """Weights of the transients of one edit state, sum 1, from their misfit."""
    weight = trust(misfit)
    weights: Real = weight / weight.sum()
    return weights


def mean_of(fids: Complex, weights: Real) -> Complex:
    """Weighted mean, shape (point,)."""
    mean: Complex = weights @ fids
    return mean


def neighbours(on: npt.NDArray[np.int64], off: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs of ON and OFF that lie closest in time, each used once.

    Parameters
    ----------
    on, off
        Places of the kept transients in the order of acquisition.

    Returns
    -------
        Indices into `on` and into `off`, shape (pair, 2).
    """
    # a convex cost pairs without crossing
    cost = (on[:, None] - off[None, :]).astype(np.float64) ** 2
    return np.stack(linear_sum_assignment(cost), axis=1).astype(np.int64)
