"""Regions on small grids: a share for each voxel of a whole head would fill the memory."""

import numpy as np

from cestle.geometry import Grid
from cestle.physics import Real


def cut_to_size(fraction: Real, grid: Grid) -> tuple[Real, Grid]:
    """The bounding box of what is not 0, with one empty voxel around it, and its grid.

    Parameters
    ----------
    fraction
        Shares, shape of `grid`, at least one of them above 0.
    grid
        Place of the voxels.

    Returns
    -------
        The shares in the box, and the part of the voxel lattice that they stand on; the empty
        rim may reach beyond the old grid.
    """
    first, last = _bounds(fraction)
    first, last = first - 1, last + 1
    shape = tuple(int(n) for n in last - first + 1)
    cut = np.zeros(shape)
    low, high = np.maximum(first, 0), np.minimum(last, np.array(fraction.shape) - 1)
    source = tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))
    target = tuple(slice(a, b + 1) for a, b in zip(low - first, high - first, strict=True))
    cut[target] = fraction[source]
    affine = np.array(grid.affine)
    affine[:3, 3] = grid.to_lps(first.astype(np.float64))
    return cut, Grid(
        shape=(shape[0], shape[1], shape[2]),
        affine=affine,
        frame_of_reference_uid=grid.frame_of_reference_uid,
        slice_thickness_mm=grid.slice_thickness_mm,
    )


def _bounds(fraction: Real) -> tuple[np.ndarray, np.ndarray]:
    first, last = [], []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        taken = np.flatnonzero(np.any(fraction > 0.0, axis=others))
        first.append(int(taken[0]))
        last.append(int(taken[-1]))
    return np.array(first), np.array(last)
