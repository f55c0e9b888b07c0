"""Motion of the head between the images, by moving the voxels through the head instead.

A head that has moved by d shows at x what was at x − d. Fields move with the head, since most of
the B0 shift comes from the air inside it; the maps are those of the place at the beginning.
"""

from dataclasses import dataclass

import numpy as np

from cestle.errors import ConfigError
from cestle.geometry import Grid
from cestle.physics import Real


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadMotion:
    """Where the head is in each image, relative to the field maps and regions.

    Parameters
    ----------
    row_mm, column_mm
        Shift towards larger row and column numbers, each of shape (images,) [mm].
    rotation_deg
        Rotation about the centre of the image that turns the row axis towards the column axis,
        shape (images,) [degrees].
    """

    row_mm: Real
    column_mm: Real
    rotation_deg: Real

    def __post_init__(self) -> None:
        for name in ("row_mm", "column_mm", "rotation_deg"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != np.shape(self.row_mm) or values.ndim != 1:
                raise ConfigError(
                    f"{name} has shape {values.shape}, one value for each image was expected; "
                    "give the three lists one length."
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)


def random_motion(seed: int, *, images: int, rms_mm: float, rms_deg: float) -> HeadMotion:
    """Independent normal motion of every image.

    Parameters
    ----------
    seed
        Same seed, same motion.
    images
        Number of images.
    rms_mm, rms_deg
        Root mean square of the shift along each axis and of the rotation [mm], [degrees].
    """
    draws = np.random.default_rng([seed, 0x307E]).normal(size=(3, images))
    return HeadMotion(
        row_mm=rms_mm * draws[0], column_mm=rms_mm * draws[1], rotation_deg=rms_deg * draws[2]
    )


def moved_grid(grid: Grid, *, row_mm: float, column_mm: float, rotation_deg: float) -> Grid:
    """The voxels as a head that has moved in plane sees them.

    Parameters
    ----------
    grid
        Voxels at rest; rows and columns at right angles.
    row_mm, column_mm, rotation_deg
        Motion of the head, as in `HeadMotion`.

    Returns
    -------
        The grid that samples the head at rest where `grid` samples the moved one.
    """
    _, row_step, column_step = grid.spacing_mm
    _, rows, columns = grid.shape
    # To the centre, back by the shift, back by the angle, and away from the centre, in mm
    to_mm = np.diag([1.0, row_step, column_step, 1.0])
    to_mm[1:3, 3] = -0.5 * row_step * (rows - 1), -0.5 * column_step * (columns - 1)
    shift = np.eye(4)
    shift[1:3, 3] = -row_mm, -column_mm
    cosine, sine = np.cos(np.radians(rotation_deg)), np.sin(np.radians(rotation_deg))
    turn = np.eye(4)
    turn[1:3, 1:3] = [[cosine, sine], [-sine, cosine]]
    return Grid(
        shape=grid.shape,
        affine=grid.affine @ np.linalg.inv(to_mm) @ turn @ shift @ to_mm,
        frame_of_reference_uid=grid.frame_of_reference_uid,
        slice_thickness_mm=grid.slice_thickness_mm,
    )
