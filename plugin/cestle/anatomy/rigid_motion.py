"""A turn and a shift in patient space, and what they make of a grid."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from scipy.spatial.transform import Rotation

from cestle.geometry import Grid
from cestle.physics import Real


@dataclass(frozen=True, kw_only=True, eq=False)
class RigidMotion:
    """Where points of a body went: turned, then shifted.

    Parameters
    ----------
    matrix
        Maps LPS positions (x, y, z, 1) before the motion to those after it, shape (4, 4) [mm].
    """

    matrix: Real

    @classmethod
    def about(cls, centre_mm: Real, *, shift_mm: Real, rotation_deg: Real) -> Self:
        """A turn about a point, then a shift.

        Parameters
        ----------
        centre_mm
            The point that the turn leaves where it is, shape (3,) [mm].
        shift_mm
            Shift along x, y, z of LPS, shape (3,) [mm].
        rotation_deg
            Axis of the turn in LPS times its angle, right-handed, shape (3,) [degrees].
        """
        turn = Rotation.from_rotvec(np.asarray(rotation_deg), degrees=True).as_matrix()
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        matrix[:3, 3] = centre_mm - turn @ np.asarray(centre_mm) + shift_mm
        return cls(matrix=matrix)

    @classmethod
    def none(cls) -> Self:
        """Nothing moves."""
        return cls(matrix=np.eye(4))

    def after(self, first: Self) -> Self:
        """The motion of what `first` has moved already."""
        return replace(self, matrix=self.matrix @ first.matrix)

    def inverse(self) -> Self:
        """The way back."""
        back: Real = np.linalg.inv(self.matrix).astype(np.float64)
        return replace(self, matrix=back)

    def move(self, lps_mm: Real) -> Real:
        """Where points of LPS go, both of shape (..., 3) [mm]."""
        moved: Real = lps_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved

    def move_grid(self, grid: Grid) -> Grid:
        """The voxels of a grid after the motion."""
        return replace(grid, affine=self.matrix @ grid.affine)

    def shift_at(self, point_mm: Real) -> Real:
        """How far a point goes, shape (3,) in LPS [mm]."""
        shift: Real = self.move(point_mm) - point_mm
        return shift

    @property
    def rotation_deg(self) -> Real:
        """Axis of the turn in LPS times its angle, shape (3,) [degrees]."""
        vector: Real = Rotation.from_matrix(self.matrix[:3, :3]).as_rotvec(degrees=True)
        return vector

    @property
    def angle_deg(self) -> float:
        """Size of the turn [degrees]."""
        return float(np.linalg.norm(self.rotation_deg))
