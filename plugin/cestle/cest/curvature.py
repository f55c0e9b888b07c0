"""Curvature of the spectrum, shared by all voxels of a tissue class."""

from typing import Final

import numpy as np

from cestle.cest.tissue import BACKGROUND, Classes
from cestle.measurement import MAD_TO_SD
from cestle.physics import Real

LEAST_VOXELS: Final = 30
"""A class with fewer voxels takes the curvature of all classes together."""

LARGEST_DISTANCE_PPM: Final = 0.4
"""Voxels further off do not contribute: their offsets sample another part of the spectrum."""

LARGEST_SAMPLE: Final = 8000
"""Voxels that a fit uses at most, evenly taken; more would not make a curvature better known."""

_HUBER: Final = 1.5
_ROUNDS: Final = 20


def pooled_curvature(
    curvature: Real, distance_ppm: Real, classes: Classes, *, depends_on_distance: bool
) -> Real:
    """Curvature of each voxel's class.

    Noise makes the curvature of one voxel useless; that of thousands is known well. A robust fit
    keeps voxels at edges, which mix tissues or moved, from bending it.

    Parameters
    ----------
    curvature
        Curvature of each voxel by itself, any shape [1/ppm²]; NaN is left out.
    distance_ppm
        Where each voxel is read, relative to the middle offset, same shape [ppm].
    classes
        Class of each voxel, −1 for none, same shape.
    depends_on_distance
        Whether the curvature may vary linearly with `distance_ppm` within a class. A shifted
        voxel has its offsets on another part of the spectrum, so that the curvature at the
        offsets changes by the third derivative.

    Returns
    -------
        Same shape; 0 where the class is −1.
    """
    shared = np.zeros(curvature.shape)
    usable = (
        (classes != BACKGROUND)
        & np.isfinite(curvature)
        & (np.abs(distance_ppm) <= LARGEST_DISTANCE_PPM)
    )
    if not usable.any():
        return shared
    together = _fit(curvature[usable], distance_ppm[usable], depends_on_distance)
    for number in np.unique(classes[classes != BACKGROUND]):
        members = classes == number
        known = members & usable
        enough = np.count_nonzero(known) >= LEAST_VOXELS
        level, slope = (
            _fit(curvature[known], distance_ppm[known], depends_on_distance) if enough else together
        )
        shared[members] = level + slope * distance_ppm[members]
    return shared


def _fit(values: Real, distance_ppm: Real, depends_on_distance: bool) -> tuple[float, float]:
    """Level and slope of a line through `values`, by Huber's weights."""
    step = -(-len(values) // LARGEST_SAMPLE)
    values, distance_ppm = values[::step], distance_ppm[::step]
    columns: Real = np.ones((len(values), 1))
    spread = float(np.ptp(distance_ppm))
    # the same distance everywhere says nothing of a slope
    if depends_on_distance and spread > 1e-3:
        columns = np.column_stack([columns, distance_ppm])
    coefficients: Real = np.zeros(columns.shape[1])
    coefficients[0] = np.median(values)
    for _ in range(_ROUNDS):
        residual = np.abs(values - columns @ coefficients)
        limit = _HUBER * MAD_TO_SD * float(np.median(residual))
        if limit <= 0.0:
            break
        root = np.sqrt(np.minimum(1.0, limit / np.maximum(residual, limit)))
        solved = np.linalg.lstsq(columns * root[:, None], values * root, rcond=None)[0]
        coefficients = np.asarray(solved, dtype=np.float64)
    slope = float(coefficients[1]) if len(coefficients) > 1 else 0.0
    return float(coefficients[0]), slope
