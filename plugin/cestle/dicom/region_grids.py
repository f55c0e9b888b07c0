"""Regions on small grids: a share for each voxel of a whole head would fill the memory."""

from collections.abc import Sequence

import numpy as np

from cestle.anatomy.regions import Region
from cestle.geometry import Grid, Indices, same_voxels
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


def _bounds(fraction: Real) -> tuple[Indices, Indices]:
    first, last = [], []
    for axis in range(3):
        others = tuple(one for one in range(3) if one != axis)
        taken = np.flatnonzero(np.any(fraction > 0.0, axis=others))
        first.append(int(taken[0]))
        last.append(int(taken[-1]))
    return np.array(first), np.array(last)


def without_overlap(regions: Sequence[Region]) -> tuple[tuple[Region, ...], int]:
    """Take voxels that two regions claim away from both.

    Shares that add up to at most 1 are no overlap. Regions on different voxel lattices are not
    compared.

    Returns
    -------
        The regions, and the number of voxels that were claimed twice.
    """
    fractions = [np.array(region.fraction) for region in regions]
    claimed = 0
    for i, a in enumerate(regions):
        for j in range(i + 1, len(regions)):
            own, other = _claimed_twice(a, regions[j])
            claimed += len(own)
            fractions[i][tuple(own.T)] = 0.0
            fractions[j][tuple(other.T)] = 0.0
    if claimed == 0:
        return tuple(regions), 0
    cleaned = tuple(
        Region(
            structure=region.structure,
            side=region.side,
            fraction=fraction,
            grid=region.grid,
            source=region.source,
        )
        for region, fraction in zip(regions, fractions, strict=True)
    )
    return cleaned, claimed


def _claimed_twice(a: Region, b: Region) -> tuple[Indices, Indices]:
    """Indices in `a` and in `b` of the voxels whose shares add up to more than one voxel."""
    inside = np.argwhere(a.fraction > 0.0)
    nothing = inside[:0]
    if a.grid.frame_of_reference_uid != b.grid.frame_of_reference_uid:
        return nothing, nothing
    nearest = same_voxels(inside, a.grid, b.grid)
    if nearest is None:
        return nothing, nothing
    within = np.all((nearest >= 0) & (nearest < np.array(b.grid.shape)), axis=1)
    inside, nearest = inside[within], nearest[within]
    total = a.fraction[tuple(inside.T)] + b.fraction[tuple(nearest.T)]
    twice = total > 1.0 + 1e-6
    return inside[twice], nearest[twice]
