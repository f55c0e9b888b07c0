"""Regions from RT Structure Sets (PS3.3 A.19): closed planar contours in patient space."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import RTStructureSetStorage

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.dicom.facts import plain_text
from cestle.dicom.files import StoredObject, read_whole
from cestle.dicom.region_grids import cut_to_size
from cestle.dicom.region_names import equipment, side_from_name, structure_from_name, written_at
from cestle.errors import GeometryError, HeaderError, LateralityError, NoRegionError
from cestle.geometry import Grid
from cestle.physics import Real

STRUCTURE_SET: Final = RTStructureSetStorage

_ROWS_PER_VOXEL: Final = 16
_OWN_PIXEL_MM: Final = 0.5
_FLAT_MM: Final = 0.2
_ON_SLICE: Final = 0.2
_CLOSED: Final = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_CREATIONS: Final = frozenset({"MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"})


@dataclass(frozen=True, kw_only=True, eq=False)
class _Outline:
    """One region: its contours, each of shape (points, 3) in LPS [mm]."""

    name: str
    contours: tuple[Real, ...]
    frame_of_reference_uid: str
    creation: str


def read_structure_set(stored: StoredObject, grids: Sequence[Grid]) -> tuple[Region, ...]:
    """Hippocampus and amygdala of a structure set.

    Contours in the planes of one of `grids` become shares of its voxels, whatever its
    orientation. Other contours, such as those on a coronal reformat, get a grid of their own:
    0.5 mm in their plane and their own distance across it.

    Parameters
    ----------
    stored
        The object.
    grids
        Image grids that contours may have been drawn on, the likeliest first.

    Raises
    ------
    NoRegionError
        When the object holds none of the structures as closed planar contours.
    LateralityError
        When a name tells no side.
    GeometryError
        When the contours of a region are not parallel and even.
    HeaderError
        When contour data are no triplets of numbers.
    """
    dataset = read_whole(stored.path)
    uid = str(dataset.SOPInstanceUID)
    regions = []
    for outline in _outlines(dataset, uid):
        structure = structure_from_name(outline.name)
        if structure is None or not outline.contours:
            continue
        side = side_from_name(outline.name)
        if side is None:
            raise LateralityError(
                f"structure set {uid} names a {structure} without a side, or with both; left or "
                "right was expected. Rename the region."
            )
        fraction, grid = rasterise(
            outline.contours, grids, frame_of_reference_uid=outline.frame_of_reference_uid
        )
        if not fraction.any():
            continue
        fraction, grid = cut_to_size(fraction, grid)
        source = RegionSource(
            form=RegionForm.STRUCTURE_SET,
            creation=outline.creation,
            identifier=uid,
            tool=equipment(dataset),
            creator=plain_text(dataset, "OperatorsName"),
            drawn_on=_drawn_on(dataset),
            written=written_at(dataset, "StructureSetDate", "StructureSetTime"),
        )
        regions.append(
            Region(structure=structure, side=side, fraction=fraction, grid=grid, source=source)
        )
    if not regions:
        raise NoRegionError(
            f"structure set {uid} has no closed planar contours of a region named hippocampus or "
            "amygdala; draw them, or rename the regions (L_Hippocampus, …)."
        )
    return tuple(regions)


def _drawn_on(dataset: Dataset) -> str:
    series = {
        str(one.get("SeriesInstanceUID", ""))
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or []
        for study in frame.get("RTReferencedStudySequence") or []
        for one in study.get("RTReferencedSeriesSequence") or []
    }
    return series.pop() if len(series) == 1 else ""


def _outlines(dataset: Dataset, uid: str) -> Iterator[_Outline]:
    contours: dict[int, tuple[Real, ...]] = {}
    for item in dataset.get("ROIContourSequence") or []:
        number = int(item.ReferencedROINumber)
        contours[number] = contours.get(number, ()) + tuple(_contours(item, uid))
    for item in dataset.get("StructureSetROISequence") or []:
        kind = str(item.get("ROIGenerationAlgorithm", "")).upper()
        frame = item.get("ReferencedFrameOfReferenceUID") or dataset.get("FrameOfReferenceUID", "")
        yield _Outline(
            name=str(item.get("ROIName", "")),
            contours=contours.get(int(item.ROINumber), ()),
            frame_of_reference_uid=str(frame),
            creation=kind.lower() if kind in _CREATIONS else "unknown",
        )


def _contours(item: Dataset, uid: str) -> Iterator[Real]:
    for contour in item.get("ContourSequence") or []:
        if str(contour.get("ContourGeometricType", "")) not in _CLOSED:
            continue
        numbers = np.array([float(value) for value in contour.ContourData], dtype=np.float64)
        if len(numbers) % 3 or len(numbers) < 9 or not np.all(np.isfinite(numbers)):
            raise HeaderError(
                f"a contour of structure set {uid} has {len(numbers)} numbers; at least three "
                "points of three numbers were expected. Export it again."
            )
        yield numbers.reshape(-1, 3)


def rasterise(
    contours: Sequence[Real], grids: Sequence[Grid], *, frame_of_reference_uid: str
) -> tuple[Real, Grid]:
    """Share of each voxel inside closed planar contours.

    Contours in one plane are combined by the even-odd rule, so that an inner contour is a hole.
    The length inside is exact along each of 16 lines per voxel row.

    Parameters
    ----------
    contours
        Each of shape (points, 3), LPS [mm].
    grids
        Grids whose slices the contours may lie on, the likeliest first.
    frame_of_reference_uid
        Of the contours; a grid of another one is not used.

    Raises
    ------
    GeometryError
        When the contours are not flat, parallel and evenly spaced.
    """
    for grid in grids:
        if grid.frame_of_reference_uid == frame_of_reference_uid and _lie_on(contours, grid):
            return _fill(contours, grid), grid
    own = _own_grid(contours, frame_of_reference_uid)
    return _fill(contours, own), own


def _lie_on(contours: Sequence[Real], grid: Grid) -> bool:
    """Whether every contour is in a slice of `grid`, without empty slices between them."""
    depths = [grid.to_index(contour)[:, 0] for contour in contours]
    slices = sorted({round(float(depth.mean())) for depth in depths})
    flat = all(np.ptp(depth) * grid.spacing_mm[0] < _FLAT_MM for depth in depths)
    on_slice = all(abs(float(d.mean()) - round(float(d.mean()))) < _ON_SLICE for d in depths)
    whole = slices[-1] - slices[0] + 1 == len(slices)
    return flat and on_slice and whole and slices[0] >= 0 and slices[-1] < grid.shape[0]


def _own_grid(contours: Sequence[Real], frame_of_reference_uid: str) -> Grid:
    normal = _normal(max(contours, key=_area))
    helper = np.eye(3)[int(np.argmin(np.abs(normal)))]
    across = np.cross(normal, helper)
    across /= np.linalg.norm(across)
    down = np.cross(normal, across)
    basis = np.stack([normal, down, across])
    local = [contour @ basis.T for contour in contours]
    if any(float(np.ptp(points[:, 0])) > _FLAT_MM for points in local):
        raise GeometryError(
            "the contours of a region are not in parallel planes; redraw it on parallel slices."
        )
    planes = np.unique(np.round([points[:, 0].mean() for points in local], 2))
    gap = _even_gap(planes)
    points = np.concatenate(local)
    low = points.min(axis=0)[1:] - _OWN_PIXEL_MM
    size = np.ceil((points.max(axis=0)[1:] - low) / _OWN_PIXEL_MM).astype(int) + 2
    affine = np.eye(4)
    affine[:3, :3] = (basis * np.array([[gap], [_OWN_PIXEL_MM], [_OWN_PIXEL_MM]])).T
    affine[:3, 3] = np.array([planes[0], low[0], low[1]]) @ basis
    return Grid(
        shape=(round((planes[-1] - planes[0]) / gap) + 1, int(size[0]), int(size[1])),
        affine=affine,
        frame_of_reference_uid=frame_of_reference_uid,
        slice_thickness_mm=gap,
    )


def _even_gap(planes: Real) -> float:
    if len(planes) < 2:
        raise GeometryError(
            "a region has contours in one plane that is no slice of the T1 or CEST series; its "
            "thickness is unknown. Draw it on those series."
        )
    gaps = np.diff(planes)
    gap = float(gaps.min())
    steps = gaps / gap
    if np.any(np.abs(steps - 1.0) > 0.1):
        raise GeometryError(
            f"the contours of a region are {gaps.min():.2f} to {gaps.max():.2f} mm apart; even "
            "distances were expected. Draw the missing slices."
        )
    return float((planes[-1] - planes[0]) / (len(planes) - 1))


def _doubled_area_vector(contour: Real) -> Real:
    """Twice the vector area of a closed polygon (Newell's sum)."""
    centred = contour - contour.mean(axis=0)
    total: Real = np.cross(centred, np.roll(centred, -1, axis=0)).sum(axis=0)
    return total


def _area(contour: Real) -> float:
    return float(np.linalg.norm(_doubled_area_vector(contour)))


def _normal(contour: Real) -> Real:
    vector = _doubled_area_vector(contour)
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        raise GeometryError("a contour encloses no area; redraw the region.")
    # One direction for both senses of rotation, so that the result does not depend on them.
    leading = vector[int(np.argmax(np.abs(vector)))]
    unit: Real = vector / length * np.sign(leading)
    return unit


def _fill(contours: Sequence[Real], grid: Grid) -> Real:
    fraction = np.zeros(grid.shape)
    by_slice: dict[int, list[Real]] = {}
    for contour in contours:
        index = grid.to_index(contour)
        by_slice.setdefault(round(float(index[:, 0].mean())), []).append(index[:, 1:])
    for number, outlines in by_slice.items():
        coverage = _coverage(outlines, grid.shape[1], grid.shape[2])
        fraction[number] = np.clip(coverage, 0.0, 1.0)
    return fraction


def _coverage(outlines: Iterable[Real], rows: int, columns: int) -> Real:
    """Covered share of pixels by the even-odd rule; outlines in (row, column) indices."""
    edges = np.concatenate(
        [np.stack([points, np.roll(points, -1, axis=0)], axis=1) for points in outlines]
    )
    first = max(0, int(np.floor(edges[..., 0].min() + 0.5)))
    last = min(rows - 1, int(np.floor(edges[..., 0].max() + 0.5)))
    covered = np.zeros((rows, columns))
    offsets = (np.arange(_ROWS_PER_VOXEL) + 0.5) / _ROWS_PER_VOXEL - 0.5
    for row in range(first, last + 1):
        for offset in offsets:
            crossings = _crossings(edges, row + float(offset))
            for start, stop in zip(crossings[::2], crossings[1::2], strict=True):
                covered[row] += _span(float(start), float(stop), columns)
    coverage: Real = covered / _ROWS_PER_VOXEL
    return coverage


def _crossings(edges: Real, height: float) -> Real:
    """Sorted columns at which edges cross the line row = `height`; an even number of them."""
    above = edges[:, :, 0] > height
    cut = edges[above[:, 0] != above[:, 1]]
    share = (height - cut[:, 0, 0]) / (cut[:, 1, 0] - cut[:, 0, 0])
    crossings: Real = np.sort(cut[:, 0, 1] + share * (cut[:, 1, 1] - cut[:, 0, 1]))
    return crossings


def _span(start: float, stop: float, columns: int) -> Real:
    """Length of the interval inside each pixel; pixel k reaches from k − ½ to k + ½."""
    borders = np.arange(columns + 1) - 0.5
    return np.diff(np.clip(borders, start, stop))
