"""Volumes on grids along the axes of the patient, and their way to SimpleITK and back.

Every grid here runs along LPS, so that a position is the same triple of numbers for numpy,
SimpleITK and the template, and no direction matrix can be forgotten.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import affine_transform, distance_transform_edt, gaussian_filter
from scipy.optimize import linear_sum_assignment

from cestle.geometry import Grid
from cestle.physics import Bool, Real

Single = npt.NDArray[np.float32]

_ANTIALIAS: Final = 0.42
"""Standard deviation of the smoothing before thinning out, in steps of the coarser grid."""
_WHOLE_STEP: Final = 0.8
"""Size a block of voxels may reach to be averaged at once, in millimetres of a step of 1 mm."""
_ALIKE: Final = 1.1
"""Ratio of squared steps up to which nothing needs to be smoothed."""
_REACH: Final = 8
"""Voxels around a box on which its spline and smoothing depend."""
_AFFINE_DIGITS: Final = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Values on a grid along L, P and S, indexed (z, y, x).

    Parameters
    ----------
    values
        Any brightness or amount, shape (z, y, x).
    origin_mm
        LPS of the first voxel.
    step_mm
        Distance of the voxels, the same along all axes.
    """

    values: Single
    origin_mm: Real
    step_mm: float

    @property
    def points_mm(self) -> Real:
        """LPS of all voxels, shape (z, y, x, 3)."""
        z, y, x = (
            start + self.step_mm * np.arange(count)
            for start, count in zip(self.origin_mm[::-1], self.values.shape, strict=True)
        )
        points = np.empty((*self.values.shape, 3))
        points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z[:, None, None]
        return points

    def grid(self, frame_of_reference_uid: str) -> Grid:
        """The place of the voxels."""
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = self.step_mm
        affine[:3, 3], affine[3, 3] = self.origin_mm, 1.0
        z, y, x = self.values.shape
        return Grid(
            shape=(z, y, x),
            affine=affine,
            frame_of_reference_uid=frame_of_reference_uid,
            slice_thickness_mm=self.step_mm,
        )

    def index(self, points_mm: Real) -> Real:
        """Continuous indices (z, y, x) of LPS positions, first axis 3 as scipy wants them."""
        found: Real = np.moveaxis((points_mm - self.origin_mm) / self.step_mm, -1, 0)[::-1]
        return found

    def with_values(self, values: npt.NDArray[np.generic]) -> "Volume":
        """Other values on the same voxels."""
        return replace(self, values=np.ascontiguousarray(values, dtype=np.float32))

    def image(self) -> sitk.Image:
        """The same as SimpleITK's image."""
        image = sitk.GetImageFromArray(self.values)
        image.SetOrigin([float(mm) for mm in self.origin_mm])
        image.SetSpacing([self.step_mm] * 3)
        return image

    def on_step(self, step_mm: float) -> "Volume":
        """The same field of view in coarser voxels."""
        smooth = gaussian_filter(self.values, _ANTIALIAS * step_mm / self.step_mm, truncate=3.0)
        ratio = step_mm / self.step_mm
        shape = tuple(max(1, int((count - 1) / ratio) + 1) for count in self.values.shape)
        values = affine_transform(smooth, np.full(3, ratio), output_shape=shape, order=1)
        return Volume(values=values, origin_mm=self.origin_mm, step_mm=step_mm)


def from_image(image: sitk.Image, like: Volume) -> Volume:
    """What SimpleITK made on the voxels of `like`."""
    return like.with_values(sitk.GetArrayFromImage(image))


def widened(volume: Volume, inside: Bool, margin_mm: float) -> Bool:
    """A mask and what lies within a distance of it."""
    near: Bool = distance_transform_edt(~inside, sampling=volume.step_mm) <= margin_mm
    return near


def patient_ordered(values: npt.NDArray[np.generic], grid: Grid) -> tuple[Single, Grid]:
    """The voxels with axes that run to the head, to the back and to the left.

    What is computed from them does not depend on how a scanner stores the volume: all 48 orders
    and directions of the axes give the same numbers, to the last bit.
    """
    affine = grid.affine
    cosines = affine[:3, :3] / np.array(grid.spacing_mm)
    along, axes = linear_sum_assignment(-np.abs(cosines[::-1]))
    order = axes[np.argsort(along)]
    turned = values.transpose(order)
    sorted_affine = affine.copy()
    sorted_affine[:3, :3] = affine[:3, order]
    for axis, towards in enumerate((2, 1, 0)):
        if sorted_affine[towards, axis] < 0.0:
            sorted_affine[:3, 3] += sorted_affine[:3, axis] * (turned.shape[axis] - 1)
            sorted_affine[:3, axis] *= -1.0
            turned = np.flip(turned, axis)
    slices, rows, columns = turned.shape
    # the sums above depend on the corner they started from in the last digits
    sorted_affine = np.round(sorted_affine, _AFFINE_DIGITS) + 0.0
    return np.ascontiguousarray(turned, dtype=np.float32), replace(
        grid,
        shape=(slices, rows, columns),
        affine=sorted_affine,
        slice_thickness_mm=float(np.linalg.norm(sorted_affine[:3, 0])),
    )


def in_blocks(values: Single, grid: Grid) -> tuple[Single, Grid]:
    """Means of blocks of voxels that are much smaller than a millimetre."""
    counts = np.maximum(1, np.floor(1.0 / np.array(grid.spacing_mm) + 1.0 - _WHOLE_STEP)).astype(
        int
    )
    if np.all(counts == 1):
        return values, grid
    kept = values[tuple(slice(0, n // k * k) for n, k in zip(values.shape, counts, strict=True))]
    a, b, c = (n // k for n, k in zip(kept.shape, counts, strict=True))
    means = kept.reshape(a, counts[0], b, counts[1], c, counts[2]).mean(axis=(1, 3, 5))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_lps((counts - 1) / 2.0)
    affine[:3, :3] *= counts
    return means, replace(grid, shape=(a, b, c), affine=affine)


def sampled(
    values: Single, grid: Grid, box_mm: tuple[Real, Real], step_mm: float, *, order: int
) -> Volume:
    """A volume on a grid along LPS.

    Parameters
    ----------
    values, grid
        The volume.
    box_mm
        LPS corners of the box to fill, low and high.
    step_mm
        Distance of the new voxels.
    order
        Of the spline between the voxels, 1 or 3.

    Returns
    -------
        The volume in the box; 0 where the source ends.
    """
    low, high = box_mm
    shape = (np.ceil((high - low) / step_mm - 1e-6).astype(int) + 1)[::-1]
    values, grid = _cropped(values, grid, box_mm)
    smoothing = _ANTIALIAS * np.sqrt(
        np.maximum((step_mm / np.array(grid.spacing_mm)) ** 2 - 1.1, 0)
    )
    source = gaussian_filter(values, smoothing, truncate=3.0) if smoothing.any() else values
    columns = np.zeros((4, 4))
    columns[[2, 1, 0], [0, 1, 2]] = step_mm
    columns[:3, 3], columns[3, 3] = low, 1.0
    to_source = np.linalg.inv(grid.affine) @ columns
    found = affine_transform(
        source, to_source[:3, :3], to_source[:3, 3], output_shape=tuple(shape), order=order
    )
    return Volume(values=found.astype(np.float32), origin_mm=low, step_mm=step_mm)


def bounds_mm(grid: Grid) -> tuple[Real, Real]:
    """Low and high LPS corner of the box that holds all voxel centres."""
    corners = np.array(np.meshgrid(*[[0.0, count - 1.0] for count in grid.shape]))
    lps = grid.to_lps(corners.reshape(3, -1).T)
    low: Real = np.floor(lps.min(axis=0))
    high: Real = lps.max(axis=0)
    return low, high


def _cropped(values: Single, grid: Grid, box_mm: tuple[Real, Real]) -> tuple[Single, Grid]:
    """The voxels that a box may need."""
    corners = np.array(np.meshgrid(*zip(*box_mm, strict=True))).reshape(3, -1).T
    index = grid.to_index(corners)
    first = np.clip(np.floor(index.min(axis=0)).astype(int) - _REACH, 0, np.array(grid.shape) - 1)
    last = np.clip(np.ceil(index.max(axis=0)).astype(int) + _REACH + 1, first + 1, grid.shape)
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_lps(first.astype(np.float64))
    slices, rows, columns = (int(count) for count in last - first)
    kept = values[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return kept, replace(grid, shape=(slices, rows, columns), affine=affine)
