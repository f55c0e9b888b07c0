"""What a box in space, such as a spectroscopy voxel, holds of a region and of the tissues."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import map_coordinates

from cestle.anatomy.regions import Region
from cestle.anatomy.tissue_segmentation import segment_tissues
from cestle.geometry import Grid
from cestle.physics import Real

STEP_MM: Final = 1.0
"""Distance of the sample points."""
MOST_POINTS: Final = 100
"""Sample points along an edge, at most; so many are enough for a box of any size."""
_TISSUE_MM: Final = 2.0
"""Voxels in which the tissues around a box are told apart; each is an average over finer ones."""


@dataclass(frozen=True, kw_only=True)
class BoxTissue:
    """Shares of a box, 0…1; what is missing to 1 is outside the brain or a vessel."""

    grey: float
    white: float
    fluid: float


def share_of_box(region: Region, centre_mm: Real, edges_mm: Real) -> float:
    """The share of a box that lies in a region.

    Parameters
    ----------
    region
        The region on its own grid; beyond the grid there is nothing of it.
    centre_mm
        Centre of the box in LPS, shape (3,) [mm].
    edges_mm
        Its edge vectors as rows, shape (3, 3) [mm].

    Returns
    -------
        0…1, from sample points of equal weight.
    """
    return _mean_in_box(region.fraction, region.grid, centre_mm, edges_mm)


def tissue_of_box(values: Real, source: Grid, centre_mm: Real, edges_mm: Real) -> BoxTissue:
    """The tissues in a box, told apart in slices of the T1 at the height of the box.

    Parameters
    ----------
    values
        T1-weighted volume with the skull on, shape of `source` [a.u.].
    source
        Its grid.
    centre_mm, edges_mm
        As in `share_of_box`.

    Raises
    ------
    NumericalError
        When no brain is found at that height or its tissues cannot be told apart.
    """
    slices = _slices_around(source, centre_mm, edges_mm)
    found = segment_tissues(values, source, slices)
    grey, white, fluid = (
        _mean_in_box(share, slices, centre_mm, edges_mm)
        for share in (found.grey, found.white, found.fluid)
    )
    return BoxTissue(grey=grey, white=white, fluid=fluid)


def _mean_in_box(share: Real, grid: Grid, centre_mm: Real, edges_mm: Real) -> float:
    lengths = np.linalg.norm(edges_mm, axis=1) / STEP_MM
    counts = np.clip(np.ceil(lengths), 1, MOST_POINTS).astype(int)
    along = [(np.arange(count) + 0.5) / count - 0.5 for count in counts]
    places = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)
    index = grid.to_index(places @ edges_mm + centre_mm)
    inside = map_coordinates(share, index.T, order=1, mode="constant", cval=0.0)
    return float(np.clip(inside, 0.0, 1.0).mean())


def _slices_around(source: Grid, centre_mm: Real, edges_mm: Real) -> Grid:
    """Axial slices through all of the image in plane and all of the box in height."""
    ends = [(0.0, count - 1.0) for count in source.shape]
    corners = source.to_lps(np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    low, high = corners.min(axis=0), corners.max(axis=0)
    reach = 0.5 * float(np.abs(edges_mm[:, 2]).sum()) + _TISSUE_MM
    low[2], high[2] = centre_mm[2] - reach, centre_mm[2] + reach
    counts = np.ceil((high - low) / _TISSUE_MM).astype(int)
    affine = np.eye(4)
    for axis, direction in enumerate((2, 1, 0)):
        affine[:3, axis] = _TISSUE_MM * np.eye(3)[direction]
    affine[:3, 3] = 0.5 * (low + high) - 0.5 * _TISSUE_MM * (counts - 1)
    return Grid(
        shape=(int(counts[2]), int(counts[1]), int(counts[0])),
        affine=affine,
        frame_of_reference_uid=source.frame_of_reference_uid,
        slice_thickness_mm=_TISSUE_MM,
    )
