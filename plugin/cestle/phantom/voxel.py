"""Where the spectroscopy voxel lies: on the hippocampus of one side."""

from typing import Final

import numpy as np

from cestle.measurement import Side
from cestle.mrs.series import Voxel

SIZE_MM: Final = (35.0, 15.0, 15.0)
"""Along the hippocampus, upwards, and across to the patient's left [mm]."""

_CENTRE_MM: Final = (27.5, 27.0, -14.0)
_ELEVATION_DEG: Final = 26.0
_INWARD_DEG: Final = 8.0


def hippocampal_voxel(side: Side) -> Voxel:
    """The box along the long axis of the hippocampus, LPS.

    The axis runs backwards, upwards and, with the tail, slightly to the midline; both sides are
    mirror images. The rows of `edges_mm` form a right-handed system.
    """
    mirror = 1.0 if side is Side.LEFT else -1.0
    elevation, inward = np.radians(_ELEVATION_DEG), np.radians(-mirror * _INWARD_DEG)
    along = np.array(
        [
            np.sin(inward) * np.cos(elevation),
            np.cos(inward) * np.cos(elevation),
            np.sin(elevation),
        ]
    )
    across = np.cross(along, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    upwards = np.cross(across, along)
    directions = np.stack([along, upwards, across])
    return Voxel(
        centre_mm=np.array([mirror, 1.0, 1.0]) * _CENTRE_MM,
        edges_mm=directions * np.array(SIZE_MM)[:, None],
    )
