"""A head as pure functions of position in LPS millimetres.

The origin lies near the anterior commissure. All bodies are mirrored about the plane x = 0, so
that without obliquity both sides are alike; the radius of the temporal structures can be scaled
for each side. Hippocampus and amygdala are swept spheres along bent lines, of the size and place
that adults show (hippocampus 3 to 4.5 ml, amygdala 1.2 to 2 ml, 25 to 30 mm from the midline).
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real

Single = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


class Label(IntEnum):
    """What fills a point of the head."""

    AIR = 0
    SCALP = 1
    SKULL = 2
    FLUID = 3
    GREY = 4
    WHITE = 5
    HIPPOCAMPUS_LEFT = 6
    HIPPOCAMPUS_RIGHT = 7
    AMYGDALA_LEFT = 8
    AMYGDALA_RIGHT = 9


REGION_LABELS: Final = {
    (Structure.HIPPOCAMPUS, Side.LEFT): Label.HIPPOCAMPUS_LEFT,
    (Structure.HIPPOCAMPUS, Side.RIGHT): Label.HIPPOCAMPUS_RIGHT,
    (Structure.AMYGDALA, Side.LEFT): Label.AMYGDALA_LEFT,
    (Structure.AMYGDALA, Side.RIGHT): Label.AMYGDALA_RIGHT,
}
"""The structures that are measured."""

BRAIN_CENTRE_MM: Final = (0.0, 17.0, 15.0)
BRAIN_SEMIAXES_MM: Final = (68.0, 88.0, 62.0)

_CHUNK: Final = 1 << 19
_SUBARACHNOID_MM: Final = 2.0
_SKULL_MM: Final = 8.0
_SCALP_MM: Final = 14.0


@dataclass(frozen=True, kw_only=True)
class Head:
    """What may differ between heads.

    Parameters
    ----------
    left_radius_factor, right_radius_factor
        Scale of the cross-section of hippocampus and amygdala of each side [1].
    """

    left_radius_factor: float = 1.0
    right_radius_factor: float = 1.0


@dataclass(frozen=True, eq=False)
class _Tube:
    """Spheres along a bent line on the positive side of x."""

    centres: Single
    radii: Single

    def contains(self, x: Single, y: Single, z: Single, factor: float) -> Bool:
        inside = np.zeros(x.shape, dtype=np.bool_)
        for (cx, cy, cz), radius in zip(self.centres, self.radii * factor, strict=True):
            inside |= (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < radius**2
        return inside

    def box(self, margin_mm: float) -> tuple[Single, Single]:
        reach = float(self.radii.max()) + margin_mm
        return self.centres.min(axis=0) - reach, self.centres.max(axis=0) + reach


def _hippocampus() -> _Tube:
    t = np.linspace(0.0, 1.0, 41)
    # Head in front, bent to the midline; body; tail that rises and turns to the midline.
    x = 24.0 + 5.5 * np.sin(np.pi * (0.15 + 0.72 * t))
    y = 14.5 + 28.0 * t
    z = -19.5 + 10.0 * t + 4.0 * t**2
    radius = np.interp(t, [0.0, 0.15, 0.45, 0.8, 1.0], [5.4, 6.6, 5.6, 4.6, 3.4])
    return _Tube(np.stack([x, y, z], axis=1).astype(np.float32), radius.astype(np.float32))


def _amygdala() -> _Tube:
    t = np.linspace(0.0, 1.0, 15)
    x = 22.0 + 2.5 * t
    y = -3.5 + 6.0 * t
    z = -22.0 + 6.0 * t * (1.0 - t) - 1.0 * t
    radius = 5.7 + 0.8 * np.sin(np.pi * t)
    return _Tube(np.stack([x, y, z], axis=1).astype(np.float32), radius.astype(np.float32))


def _temporal_horn(hippocampus: _Tube) -> _Tube:
    """Fluid along the lateral upper edge of the hippocampus."""
    beside = hippocampus.centres + np.array([5.0, 0.0, 5.0], dtype=np.float32)
    return _Tube(beside[6:], np.full(len(beside) - 6, 1.9, dtype=np.float32))


_HIPPOCAMPUS: Final = _hippocampus()
_AMYGDALA: Final = _amygdala()
_HORN: Final = _temporal_horn(_HIPPOCAMPUS)


def labels_at(lps_mm: Real, head: Head) -> Labels:
    """What fills each point.

    Parameters
    ----------
    lps_mm
        Positions, shape (n, 3) [mm].
    head
        The head.

    Returns
    -------
        `Label` of each point, shape (n,).
    """
    found = np.empty(len(lps_mm), dtype=np.uint8)
    for begin in range(0, len(lps_mm), _CHUNK):
        part = lps_mm[begin : begin + _CHUNK].astype(np.float32)
        found[begin : begin + _CHUNK] = _labels(part, head)
    return found


def _labels(points: Single, head: Head) -> Labels:
    signed_x, y, z = points.T
    x = np.abs(signed_x)
    depth = _depth_mm(x, y, z)
    found = np.zeros(len(points), dtype=np.uint8)
    found[depth > -_SCALP_MM] = Label.SCALP
    found[depth > -_SKULL_MM] = Label.SKULL
    found[depth > -_SUBARACHNOID_MM] = Label.FLUID
    brain = np.flatnonzero(depth > 0.0)
    found[brain] = _brain(x[brain], y[brain], z[brain], depth[brain])
    _add_temporal_structures(found, signed_x, y, z, head)
    return found


def _depth_mm(x: Single, y: Single, z: Single) -> Single:
    """Distance from the surface of the brain along the ray to its centre, + inside [mm]."""
    cx, cy, cz = BRAIN_CENTRE_MM
    ax, ay, az = BRAIN_SEMIAXES_MM
    dx, dy, dz = x - np.float32(cx), y - np.float32(cy), z - np.float32(cz)
    level = np.sqrt((dx / ax) ** 2 + (dy / ay) ** 2 + (dz / az) ** 2)
    distance = np.sqrt(dx**2 + dy**2 + dz**2)
    depth: Single = np.where(
        level > 1e-3, distance * (1.0 / np.maximum(level, 1e-3) - 1.0), np.float32(min(ax, ay, az))
    ).astype(np.float32)
    return depth


def _brain(x: Single, y: Single, z: Single, depth: Single) -> Labels:
    across = np.sin(0.40 * x + 1.4 * np.sin(0.11 * y) + 0.8)
    along = np.sin(0.36 * y + 1.2 * np.sin(0.14 * z) + 0.6)
    folds = across * along + 0.7 * np.sin(0.42 * z + 1.1 * np.sin(0.12 * x) + 0.3) * along
    sylvian = np.abs(z + 2.0 - 0.18 * y)
    found = np.full(len(x), Label.WHITE, dtype=np.uint8)
    found[depth + 5.0 * folds < 7.0] = Label.GREY
    found[(sylvian < 5.0) & (depth < 26.0) & (y < 45.0) & (y > -35.0)] = Label.GREY
    found[(sylvian < 1.3) & (depth < 22.0) & (y < 42.0) & (y > -32.0)] = Label.FLUID
    found[_ellipsoid(x, y, z, (12.0, 18.0, 8.0), (9.0, 14.0, 8.0))] = Label.GREY
    found[_ellipsoid(x, y, z, (26.0, -2.0, 5.0), (6.0, 18.0, 10.0))] = Label.GREY
    found[(depth < 14.0) & (folds < -1.05)] = Label.FLUID
    found[(x < 1.2) & (z > 22.0)] = Label.FLUID
    found[_ellipsoid(x, y, z, (11.0, 10.0, 24.0), (6.0, 30.0, 7.0))] = Label.FLUID
    found[_ellipsoid(x, y, z, (0.0, -2.0, -22.0), (12.0, 18.0, 12.0))] = Label.FLUID
    found[_ellipsoid(x, y, z, (0.0, 24.0, -26.0), (12.0, 13.0, 26.0))] = Label.WHITE
    return found


def _ellipsoid(
    x: Single,
    y: Single,
    z: Single,
    centre: tuple[float, float, float],
    semiaxes: tuple[float, float, float],
) -> Bool:
    (cx, cy, cz), (ax, ay, az) = centre, semiaxes
    inside: Bool = ((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 + ((z - cz) / az) ** 2 < 1.0
    return inside


def _add_temporal_structures(
    found: Labels, signed_x: Single, y: Single, z: Single, head: Head
) -> None:
    for factor, sign, hippocampus, amygdala in (
        (head.left_radius_factor, 1.0, Label.HIPPOCAMPUS_LEFT, Label.AMYGDALA_LEFT),
        (head.right_radius_factor, -1.0, Label.HIPPOCAMPUS_RIGHT, Label.AMYGDALA_RIGHT),
    ):
        x = signed_x * np.float32(sign)
        # Later bodies overwrite earlier ones, so the amygdala bounds the hippocampus.
        for tube, label, scale in (
            (_HIPPOCAMPUS, Label.GREY, 1.35 * max(factor, 1.0)),
            (_HORN, Label.FLUID, 1.0),
            (_HIPPOCAMPUS, hippocampus, factor),
            (_AMYGDALA, amygdala, factor),
        ):
            low, high = tube.box(margin_mm=float(tube.radii.max()) * (scale - 1.0))
            near = np.flatnonzero(
                (x > low[0]) & (x < high[0])
                & (y > low[1]) & (y < high[1])
                & (z > low[2]) & (z < high[2])
            )  # fmt: skip
            inside = tube.contains(x[near], y[near], z[near], scale)
            found[near[inside]] = label


def labels_on(grid: Grid, head: Head) -> Labels:
    """What fills the centre of each voxel, in the shape of `grid`."""
    first, step = _plane_mm(grid), grid.affine[:3, 0]
    planes = [labels_at(first + number * step, head) for number in range(grid.shape[0])]
    return np.concatenate(planes).reshape(grid.shape)


def _plane_mm(grid: Grid) -> Real:
    """Places of the voxel centres of slice 0, shape (rows · columns, 3) [mm]."""
    _, rows, columns = grid.shape
    index = np.indices((rows, columns), dtype=np.float64).reshape(2, -1).T
    return grid.to_lps(np.column_stack([np.zeros(len(index)), index]))


def fractions_on(grid: Grid, head: Head, *, step_mm: float = 0.75) -> Real:
    """Share of each label in each voxel of `grid`, for a box-shaped slice profile.

    Parameters
    ----------
    grid
        Voxels; along the slice direction they extend over the slice thickness.
    head
        The head.
    step_mm
        Largest distance of the sampled points [mm].

    Returns
    -------
        Shares, shape (labels, slices, rows, columns), which sum to 1 over the labels.
    """
    extent = (grid.slice_thickness_mm, *grid.spacing_mm[1:])
    counts = [max(2, int(np.ceil(length / step_mm))) for length in extent]
    unit = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    steps = [
        ((np.arange(count) + 0.5) / count - 0.5) * length
        for count, length in zip(counts, extent, strict=True)
    ]
    shifts = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3) @ unit.T
    slices, rows, columns = grid.shape
    shares = np.empty((len(Label), *grid.shape))
    first = _plane_mm(grid)
    for number in range(slices):
        tally = np.zeros((rows * columns, len(Label)))
        centres = first + number * grid.affine[:3, 0]
        for shift in shifts:
            tally[np.arange(len(tally)), labels_at(centres + shift, head)] += 1.0
        shares[:, number] = (tally / len(shifts)).T.reshape(len(Label), rows, columns)
    return shares


@dataclass(frozen=True, kw_only=True)
class BodySize:
    """Volume [mm³] and centre in LPS [mm] of a body."""

    volume_mm3: float
    centroid_lps_mm: tuple[float, float, float]


def body_sizes(head: Head, *, step_mm: float = 0.5) -> dict[Label, BodySize]:
    """Size and place of the temporal structures, by counting points `step_mm` apart."""
    axes = [
        np.arange(low + step_mm / 2, high, step_mm)
        for low, high in ((-48.0, 48.0), (-20.0, 60.0), (-40.0, 10.0))
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    labels = labels_at(points, head)
    sizes = {}
    for label in REGION_LABELS.values():
        inside = points[labels == label]
        centre = inside.mean(axis=0)
        sizes[label] = BodySize(
            volume_mm3=len(inside) * step_mm**3,
            centroid_lps_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        )
    return sizes
