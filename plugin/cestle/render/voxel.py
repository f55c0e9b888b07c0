"""The spectroscopy voxel on anatomy: three planes through its centre.

The planes run along the patient's axes whatever the axes of image and voxel, so the voxel is
drawn as the polygon in which the plane cuts the box.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from cestle.geometry import Grid
from cestle.measurement import Structure
from cestle.physics import Real
from cestle.render.colors import BACKGROUND, SIDE_COLOR, TEXT, grey
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import VoxelContent
from cestle.render.orientation import orientation_of
from cestle.render.outline import Frame, draw_line, draw_outline
from cestle.render.panels import draw_letters

_MARGIN_MM: Final = 6.0
_HEAD_SHARE: Final = 0.12
"""Share of the bright signal above which a voxel counts as head."""
_SAMPLE: Final = 4
"""Every so many voxels along each axis are enough to know how bright the head is."""


class Plane(Enum):
    """A plane of the patient; its value are the LPS axes (down, across) and their signs."""

    AXIAL = ((1, 1.0), (0, 1.0))
    CORONAL = ((2, -1.0), (0, 1.0))
    SAGITTAL = ((2, -1.0), (1, 1.0))

    @property
    def directions(self) -> tuple[Real, Real]:
        """Unit vectors in LPS, down the picture and across it."""
        down, across = (sign * np.eye(3)[axis] for axis, sign in self.value)
        return down, across

    @property
    def normal(self) -> Real:
        """Unit vector in LPS at right angles to the plane."""
        down, across = self.directions
        normal: Real = np.cross(across, down)
        return normal


@dataclass(frozen=True, kw_only=True, eq=False)
class _View:
    """Pixels of a panel in the patient's space."""

    grid: Grid
    size: int

    @property
    def frame(self) -> Frame:
        """One voxel of `grid` for each pixel."""
        return Frame(first_row=0, first_column=0, rows=self.size, columns=self.size, scale=(1, 1))

    def sample(self, values: Real, source: Grid) -> Real:
        """Values of an image at the pixels; zero outside it."""
        index = np.moveaxis(np.indices((1, self.size, self.size)), 0, -1).astype(np.float64)
        at = source.to_index(self.grid.to_lps(index))[0]
        sampled: Real = map_coordinates(
            values, np.moveaxis(at, -1, 0), order=1, mode="constant", cval=0.0
        )
        return sampled

    def to_columns_rows(self, lps_mm: Real) -> Real:
        """Continuous (column, row) of points in LPS, both of shape (n, 2) and (n, 3)."""
        columns_rows: Real = self.grid.to_index(lps_mm)[:, :0:-1]
        return columns_rows


def voxel_polygon(centre_mm: Real, edges_mm: Real, normal: Real) -> Real:
    """Where a plane through the centre of a box cuts it.

    Parameters
    ----------
    centre_mm
        Centre of the box, shape (3,) [mm].
    edges_mm
        Its edge vectors as rows, shape (3, 3) [mm].
    normal
        Unit normal of the plane, shape (3,).

    Returns
    -------
        Corners in order around the centre, the first one repeated at the end, shape (n, 3) [mm].
    """
    signs = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij")).reshape(3, -1).T
    corners = signs @ edges_mm
    height = corners @ normal
    points = []
    for a in range(8):
        for b in range(a + 1, 8):
            is_edge = np.count_nonzero(signs[a] != signs[b]) == 1
            if is_edge and (height[a] > 0.0) != (height[b] > 0.0):
                share = height[a] / (height[a] - height[b])
                points.append(corners[a] + share * (corners[b] - corners[a]))
    cut = np.array(points).reshape(-1, 3)
    first = edges_mm[int(np.argmin(np.abs(edges_mm @ normal)))]
    u = first - (first @ normal) * normal
    v = np.cross(normal, u)
    ordered = cut[np.argsort(np.arctan2(cut @ v, cut @ u))]
    closed: Real = np.concatenate([ordered, ordered[:1]]) + centre_mm
    return closed


def voxel_panel(content: VoxelContent, plane: Plane, typeface: Typeface, size: int) -> Image.Image:
    """Draw one plane through the centre of the voxel.

    Parameters
    ----------
    content
        Anatomy and voxel.
    plane
        Which one; axial and coronal ones have the patient's right at the left.
    typeface
        Fonts of the letters.
    size
        Width and height of the panel [pixels].
    """
    polygon = voxel_polygon(content.centre_mm, content.edges_mm, plane.normal)
    view = _view(content, plane, polygon, size)
    picture = Image.new("RGB", (size, size), BACKGROUND)
    picture.paste(Image.fromarray(grey(view.sample(content.values, content.grid))), (0, 0))
    for region in content.outlines:
        share = np.clip(view.sample(region.fraction, region.grid), 0.0, 1.0)
        # A dashed line keeps the region apart from the box of the voxel, which is solid.
        draw_outline(picture, share, view.frame, SIDE_COLOR[region.side], Structure.AMYGDALA)
    color = TEXT if content.side is None else SIDE_COLOR[content.side]
    draw_line(picture, view.frame.to_pixels(view.to_columns_rows(polygon)), color)
    draw_letters(picture, orientation_of(view.grid), typeface, 13)
    return picture


def _view(content: VoxelContent, plane: Plane, polygon: Real, size: int) -> _View:
    """A square that holds the head and the voxel, in true proportions."""
    axes = np.stack(plane.directions)
    low, high = _extent(content)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    reach = np.concatenate([corners, polygon]) @ axes.T
    first, last = reach.min(axis=0) - _MARGIN_MM, reach.max(axis=0) + _MARGIN_MM
    step = float(np.max(last - first)) / size
    middle = (first + last) / 2.0
    affine = np.eye(4)
    affine[:3, 0] = plane.normal
    affine[:3, 1:3] = step * axes.T
    centre = (content.centre_mm @ plane.normal) * plane.normal + middle @ axes
    affine[:3, 3] = centre - affine[:3, 1:3].sum(axis=1) * (size - 1) / 2.0
    grid = Grid(
        shape=(1, size, size),
        affine=affine,
        frame_of_reference_uid=content.grid.frame_of_reference_uid,
        slice_thickness_mm=1.0,
    )
    return _View(grid=grid, size=size)


def _extent(content: VoxelContent) -> tuple[Real, Real]:
    """Lowest and highest LPS coordinates of a box around all that has signal [mm]."""
    sample = content.values[::_SAMPLE, ::_SAMPLE, ::_SAMPLE]
    head = content.values > _HEAD_SHARE * float(np.percentile(sample, 99.0))
    ends = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        found = np.flatnonzero(head.any(axis=others))
        ends.append((found[0], found[-1]) if len(found) else (0, head.shape[axis] - 1))
    corners = np.array(np.meshgrid(*ends), dtype=np.float64).reshape(3, -1).T
    lps = content.grid.to_lps(corners)
    return lps.min(axis=0), lps.max(axis=0)
