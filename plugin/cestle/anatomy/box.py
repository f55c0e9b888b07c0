"""How much of a box in space, such as a spectroscopy voxel, belongs to a region."""

from typing import Final

import numpy as np
from scipy.ndimage import map_coordinates

from cestle.anatomy.regions import Region
from cestle.physics import Real

STEP_MM: Final = 1.0
"""Distance of the sample points."""
MOST_POINTS: Final = 100
"""Sample points along an edge, at most; so many are enough for a box of any size."""


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
    lengths = np.linalg.norm(edges_mm, axis=1) / STEP_MM
    counts = np.clip(np.ceil(lengths), 1, MOST_POINTS).astype(int)
    along = [(np.arange(count) + 0.5) / count - 0.5 for count in counts]
    places = np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)
    index = region.grid.to_index(places @ edges_mm + centre_mm)
    inside = map_coordinates(region.fraction, index.T, order=1, mode="constant", cval=0.0)
    return float(np.clip(inside, 0.0, 1.0).mean())
