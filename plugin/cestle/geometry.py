"""Where voxels are: one convention, DICOM's patient space (LPS, millimetres).

Arrays are indexed (slice, row, column), as highdicom's volumes are. A single 2D slice is a
volume with one slice.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.errors import GeometryError
from cestle.physics import Real

Indices = npt.NDArray[np.int64]

_SAME_VOXEL: Final = 0.05
"""Distance of centres, in voxels, up to which they are those of one voxel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Shape and place of a voxel grid.

    Parameters
    ----------
    shape
        Number of (slices, rows, columns).
    affine
        Maps the index (slice, row, column, 1) of a voxel centre to LPS millimetres, shape
        (4, 4). For a single slice the first column is the slice normal times the thickness.
    frame_of_reference_uid
        (0020,0052) of the images, empty when they state none.
    slice_thickness_mm
        Thickness of the excited slab, which may differ from the distance of the slices [mm].
    """

    shape: tuple[int, int, int]
    affine: Real
    frame_of_reference_uid: str
    slice_thickness_mm: float

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.all(np.isfinite(affine)):
            raise GeometryError(
                f"the affine has shape {affine.shape} or is not finite; a finite 4 by 4 matrix "
                "was expected. Check ImageOrientationPatient and PixelSpacing."
            )
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise GeometryError(
                "the voxel axes are not independent; check ImageOrientationPatient, "
                "PixelSpacing and SliceThickness of the series."
            )
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along (slice, row, column) [mm]."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of the cell that a voxel stands for [mm³]."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def to_lps(self, index: Real) -> Real:
        """LPS positions [mm] of voxel indices, both of shape (..., 3)."""
        lps: Real = index @ self.affine[:3, :3].T + self.affine[:3, 3]
        return lps

    def to_index(self, lps_mm: Real) -> Real:
        """Continuous voxel indices of LPS positions [mm], both of shape (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        index: Real = lps_mm @ inverse[:3, :3].T + inverse[:3, 3]
        return index


@dataclass(frozen=True, kw_only=True)
class StorageOrder:
    """How a grid is stored, against the order of its axes along the patient.

    Parameters
    ----------
    swapped
        Whether rows and columns change places.
    flipped
        Which axes (slice, row, column), after the exchange, run against the patient's.
    """

    swapped: bool
    flipped: tuple[bool, bool, bool]

    def stored(self, values: Real) -> Real:
        """Values in the patient's order, shape (slices, rows, columns), as they are stored."""
        axes = tuple(axis for axis, flip in enumerate(self.flipped) if flip)
        turned: Real = np.flip(values, axes)
        return turned.swapaxes(1, 2) if self.swapped else turned


def in_patient_order(grid: Grid) -> tuple[Grid, StorageOrder]:
    """The same voxels with axes that run to the left, to the back and to the head.

    What is computed there does not depend on how a scanner or an archive stores the plane.

    Parameters
    ----------
    grid
        Any grid; slices stay the first axis.

    Returns
    -------
        The grid whose rows and columns are ordered by the patient axis that they follow most, and
        how to bring values back.
    """
    follows = np.argmax(np.abs(grid.affine[:3, :3]), axis=0)
    swapped = bool(follows[1] < follows[2])
    order = [0, 2, 1] if swapped else [0, 1, 2]
    shape = np.array(grid.shape)[order]
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, order]
    axes = np.arange(3)
    flips = affine[follows[order], axes] < 0.0
    for axis in axes[flips]:
        affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
        affine[:3, axis] *= -1.0
    turned = Grid(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        affine=affine,
        frame_of_reference_uid=grid.frame_of_reference_uid,
        slice_thickness_mm=grid.slice_thickness_mm,
    )
    return turned, StorageOrder(
        swapped=swapped, flipped=(bool(flips[0]), bool(flips[1]), bool(flips[2]))
    )


def same_voxels(index: Indices, a: Grid, b: Grid) -> Indices | None:
    """Where voxels of one grid are in another that has the same lattice.

    Parameters
    ----------
    index
        Voxels of `a`, shape (n, 3).
    a, b
        Grids of one frame of reference; either may be a part of the other, or be stored in
        another direction.

    Returns
    -------
        Their indices in `b`, which may lie outside its shape; None when the grids have voxels of
        different sizes, or centres that do not coincide within a twentieth of a voxel.
    """
    if not np.allclose(a.spacing_mm, b.spacing_mm, atol=1e-3):
        return None
    exact = b.to_index(a.to_lps(index.astype(np.float64)))
    nearest = np.rint(exact).astype(np.int64)
    return None if np.any(np.abs(exact - nearest) > _SAME_VOXEL) else nearest


def grid_difference_mm(a: Grid, b: Grid) -> float:
    """Largest distance between the corner voxels of two grids of one shape [mm]."""
    extent = np.array(a.shape, dtype=np.float64) - 1
    corners = np.array(np.meshgrid(*[[0.0, e] for e in extent])).reshape(3, -1).T
    return float(np.max(np.linalg.norm(a.to_lps(corners) - b.to_lps(corners), axis=1)))


def require_same_grid(
    a: Grid, b: Grid, *, name_a: str, name_b: str, tolerance_mm: float = 0.05
) -> None:
    """Refuse two grids that are not the same voxels.

    Raises
    ------
    GeometryError
        When shape, place or stated frame of reference differ.
    """
    if a.shape != b.shape:
        raise GeometryError(
            f"{name_b} is {_shape_text(b)} but {name_a} is {_shape_text(a)}; "
            f"acquire {name_b} with the geometry of {name_a}."
        )
    if a.frame_of_reference_uid != b.frame_of_reference_uid:
        raise GeometryError(
            f"{name_a} and {name_b} have different Frame of Reference UIDs "
            f"({a.frame_of_reference_uid or 'none'}, {b.frame_of_reference_uid or 'none'}); "
            "send series of one examination without repositioning."
        )
    distance = grid_difference_mm(a, b)
    if distance > tolerance_mm:
        raise GeometryError(
            f"{name_b} lies up to {distance:.2f} mm away from {name_a}, at most "
            f"{tolerance_mm:g} mm was expected; acquire {name_b} with the geometry of {name_a}."
        )


def _shape_text(grid: Grid) -> str:
    slices, rows, columns = grid.shape
    return f"{rows}×{columns}×{slices}"
