"""A body whose share of a thick voxel is known: the chord through the slab is exact."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid along the axes of the patient.

    Parameters
    ----------
    centre_mm
        Its centre.
    half_axes_mm
        Along left, posterior and superior; a hippocampus by default.
    """

    centre_mm: np.ndarray
    half_axes_mm: np.ndarray = field(default_factory=lambda: np.array([8.0, 18.0, 7.0]))

    def share_of_slab(self, grid, points=24):
        """Share of each voxel: exact through the slab, by so many points squared in its plane."""
        centres = grid.to_lps(_index_of(grid)) - self.centre_mm
        normal = grid.affine[:3, 0] / np.linalg.norm(grid.affine[:3, 0])
        half = grid.slice_thickness_mm / 2.0
        along = normal / self.half_axes_mm
        total = np.zeros(grid.shape)
        for row in _midpoints(points):
            for column in _midpoints(points):
                place = centres + row * grid.affine[:3, 1] + column * grid.affine[:3, 2]
                place = place / self.half_axes_mm
                # |place + t·along|² = 1
                a, b = along @ along, place @ along
                root = b * b - a * (np.sum(place**2, axis=-1) - 1.0)
                reach = np.sqrt(np.maximum(root, 0.0)) / a
                first = np.maximum(-b / a - reach, -half)
                last = np.minimum(-b / a + reach, half)
                total += np.where(root > 0.0, np.clip(last - first, 0.0, None), 0.0)
        return total / points**2 / grid.slice_thickness_mm

    def share_of_voxels(self, grid, points):
        """Share of each voxel by so many points along each axis; 1 gives whole voxels."""
        index, total = _index_of(grid), np.zeros(grid.shape)
        for shift in np.array(np.meshgrid(*[_midpoints(points)] * 3)).reshape(3, -1).T:
            place = (grid.to_lps(index + shift) - self.centre_mm) / self.half_axes_mm
            total += np.sum(place**2, axis=-1) < 1.0
        return total / points**3


def _index_of(grid):
    return np.moveaxis(np.indices(grid.shape), 0, -1).astype(float)


def _midpoints(count):
    return (np.arange(count) + 0.5) / count - 0.5
