"""Images with their place: from classified headers to volumes on a `Grid`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from cestle.dicom.files import StoredObject, read_frames
from cestle.dicom.uih import is_tiled, tile_layout, tile_positions
from cestle.errors import GeometryError, HeaderError
from cestle.geometry import Grid
from cestle.physics import Real
from cestle.study.facts import InstanceFacts
from cestle.study.roles import Classified

_SAME_DIRECTION: Final = 1e-4
_SAME_SPACING_MM: Final = 1e-3
_SAME_POSITION_MM: Final = 0.05
_UPRIGHT_MM: Final = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class Slice:
    """One slice: a classic image, a frame of an Enhanced MR object, or a tile.

    Parameters
    ----------
    classified
        Facts, role and rule.
    stored
        The object that holds the pixels.
    frame
        Index of the frame in the object, from 0.
    tile
        Index of the tile and number of tiles; None when the frame is one slice.
    position_mm
        Centre of the first pixel in LPS, shape (3,) [mm].
    row_direction, column_direction
        Unit vectors along which the column index and the row index rise, shape (3,).
    spacing_mm
        Distance of neighbouring rows and of neighbouring columns [mm].
    thickness_mm
        Thickness of the slice [mm].
    shape
        Number of rows and columns.
    """

    classified: Classified
    stored: StoredObject
    frame: int
    tile: tuple[int, int] | None
    position_mm: Real
    row_direction: Real
    column_direction: Real
    spacing_mm: tuple[float, float]
    thickness_mm: float
    shape: tuple[int, int]

    @property
    def facts(self) -> InstanceFacts:
        """Facts of the image."""
        return self.classified.facts

    @property
    def normal(self) -> Real:
        """Unit normal, row direction × column direction, shape (3,)."""
        return np.cross(self.row_direction, self.column_direction)

    @property
    def depth_mm(self) -> float:
        """Position along the normal [mm]."""
        return float(self.position_mm @ self.normal)


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A stack of slices.

    Parameters
    ----------
    slices
        In the order of the first array axis, along the normal.
    grid
        Place of the voxels.
    """

    slices: tuple[Slice, ...]
    grid: Grid


def slices_of(classified: Classified, stored: StoredObject) -> tuple[Slice, ...]:
    """The slices that one classified image or frame holds.

    Raises
    ------
    HeaderError
        When the plane is not described.
    """
    facts = classified.facts
    if is_tiled(facts):
        positions = tile_positions(stored.header, facts)
        rows, columns = tile_layout(len(positions))
        shape = (facts.rows // rows, facts.columns // columns)
        return tuple(
            _slice(classified, stored, position, shape=shape, tile=(index, len(positions)))
            for index, position in enumerate(positions)
        )
    position = _vector(facts, "ImagePositionPatient", 3)
    return (_slice(classified, stored, position, shape=(facts.rows, facts.columns), tile=None),)


def _slice(
    classified: Classified,
    stored: StoredObject,
    position: Real,
    *,
    shape: tuple[int, int],
    tile: tuple[int, int] | None,
) -> Slice:
    facts = classified.facts
    orientation = _vector(facts, "ImageOrientationPatient", 6)
    row, column = orientation[:3], orientation[3:]
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if np.any(np.abs(lengths - 1.0) > 1e-3) or abs(float(row @ column)) > 1e-3:
        raise HeaderError(
            f"ImageOrientationPatient of instance {facts.sop_instance_uid} is no pair of "
            "orthogonal unit vectors; send the image again from the scanner."
        )
    spacing = _vector(facts, "PixelSpacing", 2)
    if np.any(spacing <= 0.0):
        raise HeaderError(
            f"PixelSpacing of instance {facts.sop_instance_uid} is not positive, which would "
            "mirror the image; two positive numbers were expected. Send it again from the scanner."
        )
    return Slice(
        classified=classified,
        stored=stored,
        frame=0 if facts.frame is None else facts.frame - 1,
        tile=tile,
        position_mm=position,
        row_direction=row / lengths[0],
        column_direction=column / lengths[1],
        spacing_mm=(float(spacing[0]), float(spacing[1])),
        thickness_mm=_thickness(facts),
        shape=shape,
    )


def _thickness(facts: InstanceFacts) -> float:
    """Thickness of a slice, else the distance of the slices, 0 when neither is stated [mm]."""
    for element in ("SliceThickness", "SpacingBetweenSlices"):
        # SpacingBetweenSlices may be negative, as the standard allows for some classes.
        number = facts.number(element)
        if number is not None and np.isfinite(number) and number > 0.0:
            return number
    return 0.0


def _vector(facts: InstanceFacts, element: str, length: int) -> Real:
    texts = facts.all(element)
    try:
        vector = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError:
        vector = np.empty(0)
    if len(vector) != length or not np.all(np.isfinite(vector)):
        raise HeaderError(
            f"instance {facts.sop_instance_uid} has {len(texts)} usable values in {element}; "
            f"{length} numbers were expected. Send the image with its geometry."
        )
    return vector


def group_positions(slices: Iterable[Slice]) -> tuple[tuple[Slice, ...], ...]:
    """Group slices by their place along the normal, places in rising order.

    Raises
    ------
    GeometryError
        When the slices are not parallel, differ in matrix or pixel size, or two in one plane are
        shifted against each other.
    """
    ordered = sorted(slices, key=lambda one: (one.depth_mm, one.facts.sop_instance_uid, one.frame))
    for one in ordered:
        _require_same_plane_kind(ordered[0], one)
    groups: list[list[Slice]] = []
    for one in ordered:
        if groups and abs(one.depth_mm - groups[-1][0].depth_mm) <= _SAME_POSITION_MM:
            _require_same_place(groups[-1][0], one)
            groups[-1].append(one)
        else:
            groups.append([one])
    return tuple(tuple(group) for group in groups)


def _require_same_plane_kind(a: Slice, b: Slice) -> None:
    uid = b.facts.series_instance_uid
    if a.shape != b.shape:
        raise GeometryError(
            f"images of {a.shape[0]}×{a.shape[1]} and of {b.shape[0]}×{b.shape[1]} stand side by "
            f"side (series {uid}); one matrix was expected. Send the images of one protocol."
        )
    turned = max(
        float(np.max(np.abs(a.row_direction - b.row_direction))),
        float(np.max(np.abs(a.column_direction - b.column_direction))),
    )
    scaled = max(abs(x - y) for x, y in zip(a.spacing_mm, b.spacing_mm, strict=True))
    if turned > _SAME_DIRECTION or scaled > _SAME_SPACING_MM:
        raise GeometryError(
            f"images of series {uid} differ in orientation or pixel size; parallel slices of one "
            "protocol were expected."
        )
    if _frame_of_reference(a) != _frame_of_reference(b):
        raise GeometryError(
            f"images of series {uid} state different Frames of Reference; images of one "
            "examination without repositioning were expected."
        )


def _require_same_place(a: Slice, b: Slice) -> None:
    apart = float(np.linalg.norm(a.position_mm - b.position_mm))
    if apart > 2.0 * _SAME_POSITION_MM:
        raise GeometryError(
            f"two images in one plane of series {b.facts.series_instance_uid} lie {apart:.2f} mm "
            "apart; one field of view was expected. Acquire them without moving it."
        )


def _frame_of_reference(one: Slice) -> str:
    return one.facts.first("FrameOfReferenceUID") or ""


def stack(slices: Sequence[Slice], *, name: str) -> Volume:
    """Stack slices, one for each place, into a volume with evenly spaced slices.

    Raises
    ------
    GeometryError
        When a place is taken twice, a slice is missing, or the slices are not parallel or not
        aligned.
    """
    groups = group_positions(slices)
    if any(len(group) > 1 for group in groups):
        raise GeometryError(
            f"{name} has several images at one place (series "
            f"{slices[0].facts.series_instance_uid}); one image for each slice was expected. "
            "Tell them apart by a rule."
        )
    ordered = tuple(group[0] for group in groups)
    return Volume(slices=ordered, grid=grid_of(ordered, name=name))


def grid_of(ordered: Sequence[Slice], *, name: str) -> Grid:
    """Grid of parallel slices in rising order along the normal.

    Raises
    ------
    GeometryError
        When the distances differ by more than a tenth, which is a missing slice, or the slices
        are shifted against each other.
    """
    first = ordered[0]
    step = _slice_step(ordered, name=name)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.column_direction * first.spacing_mm[0]
    affine[:3, 2] = first.row_direction * first.spacing_mm[1]
    affine[:3, 3] = first.position_mm
    thickness = first.thickness_mm or float(np.linalg.norm(step))
    upright = first.position_mm + np.outer(np.arange(len(ordered)), step)
    found = np.array([one.position_mm for one in ordered])
    off_axis = (found - upright) - np.outer((found - upright) @ first.normal, first.normal)
    if np.max(np.linalg.norm(off_axis, axis=1)) > _UPRIGHT_MM:
        raise GeometryError(
            f"the slices of {name} are shifted against each other; an upright stack was expected."
        )
    return Grid(
        shape=(len(ordered), *first.shape),
        affine=affine,
        frame_of_reference_uid=_frame_of_reference(first),
        slice_thickness_mm=thickness,
    )


def _slice_step(ordered: Sequence[Slice], *, name: str) -> Real:
    first, last = ordered[0], ordered[-1]
    if len(ordered) == 1:
        if first.thickness_mm <= 0.0:
            raise GeometryError(
                f"the slice of {name} states no thickness (instance "
                f"{first.facts.sop_instance_uid}); SliceThickness was expected."
            )
        return first.normal * first.thickness_mm
    gaps = np.diff([one.depth_mm for one in ordered])
    typical = float(np.median(gaps))
    if np.any(np.abs(gaps - typical) > 0.1 * typical):
        raise GeometryError(
            f"the slices of {name} are {gaps.min():.2f} to {gaps.max():.2f} mm apart; even "
            "distances were expected. Send the missing slices."
        )
    step: Real = (last.position_mm - first.position_mm) / (len(ordered) - 1)
    if np.linalg.norm(np.cross(step, first.normal)) > 0.02 * typical + 0.02:
        raise GeometryError(
            f"the slices of {name} are shifted against each other; an upright stack was expected."
        )
    return step


def in_order_of(values: Real, own: Grid, target: Grid) -> tuple[Real, Grid]:
    """Values in the voxel order of `target` where both are the same voxels, stored differently.

    Two series of one slice may be stored turned or mirrored against each other, each with its own
    position and orientation; no value is interpolated.

    Parameters
    ----------
    values
        Shape of `own`.
    own, target
        Where the values are, and the order that is wanted.

    Returns
    -------
        The values on `target`; both as given where the voxels are not the same.
    """
    matrix = np.linalg.inv(own.affine) @ target.affine
    turn = np.rint(matrix[:3, :3])
    if not np.array_equal(np.abs(turn).sum(axis=0), np.ones(3)) or own.shape != tuple(
        int(n) for n in np.abs(turn) @ np.array(target.shape)
    ):
        return values, own
    index = np.indices(target.shape).reshape(3, -1).T.astype(np.float64)
    exact = own.to_index(target.to_lps(index))
    nearest = np.rint(exact).astype(np.int64)
    off_mm = float(np.max(np.abs(exact - nearest) * np.array(own.spacing_mm)))
    outside = np.any(nearest < 0) or np.any(nearest >= np.array(own.shape))
    same_frame = own.frame_of_reference_uid == target.frame_of_reference_uid
    if outside or off_mm > _SAME_POSITION_MM or not same_frame:
        return values, own
    return values[tuple(nearest.T)].reshape(target.shape), target


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """Linear map from stored values: value = slope × stored + intercept.

    `unit` is the unit that the object declares, empty when it declares none.
    """

    slope: float
    intercept: float
    unit: str


_MAPPING: Final = "RealWorldValueMappingSequence"
_UNIT_NAMES: Final = {
    "hz": "Hz",
    "hertz": "Hz",
    "ppm": "ppm",
    "[ppm]": "ppm",
    "rad": "rad",
    "%": "%",
    "percent": "%",
}


def scaling(facts: InstanceFacts) -> Scaling:
    """Scaling of a quantitative image: the Real World Value Mapping, else the rescale.

    Raises
    ------
    HeaderError
        When several Real World Value Mappings leave open which one is meant, or a slope is
        missing or zero.
    """
    slopes = facts.all(f"{_MAPPING}.RealWorldValueSlope")
    if len(slopes) > 1:
        raise HeaderError(
            f"instance {facts.sop_instance_uid} has {len(slopes)} Real World Value Mappings; one "
            "was expected. Send the map with the mapping that is meant."
        )
    if not slopes and facts.all(f"{_MAPPING}.RealWorldValueFirstValueMapped"):
        raise HeaderError(
            f"instance {facts.sop_instance_uid} maps its values by a table; a slope and an "
            "intercept were expected. Send the map with a linear Real World Value Mapping."
        )
    if slopes:
        unit = facts.first(f"{_MAPPING}.MeasurementUnitsCodeSequence.CodeValue") or ""
        return _scaling(
            facts, f"{_MAPPING}.RealWorldValueSlope", f"{_MAPPING}.RealWorldValueIntercept", unit
        )
    return rescale(facts)


def rescale(facts: InstanceFacts) -> Scaling:
    """Scaling by RescaleSlope and RescaleIntercept; 1 and 0 where neither is stated.

    Raises
    ------
    HeaderError
        When one of them is no finite number, the slope is 0, or only the intercept is stated.
    """
    unit = facts.first("RescaleType") or ""
    if facts.all("RescaleSlope"):
        return _scaling(facts, "RescaleSlope", "RescaleIntercept", unit)
    if facts.all("RescaleIntercept"):
        raise HeaderError(
            f"instance {facts.sop_instance_uid} has a RescaleIntercept without a RescaleSlope; "
            "both or neither were expected. Send it with its rescale."
        )
    return Scaling(slope=1.0, intercept=0.0, unit=_unit(unit))


def _scaling(facts: InstanceFacts, slope_key: str, intercept_key: str, unit: str) -> Scaling:
    slope = facts.number(slope_key)
    if slope is None or slope == 0.0 or not np.isfinite(slope):
        raise HeaderError(
            f"instance {facts.sop_instance_uid} has an unusable {slope_key}; a number other than "
            "0 was expected. Send it with its rescale."
        )
    intercept = facts.number(intercept_key) if facts.all(intercept_key) else 0.0
    if intercept is None or not np.isfinite(intercept):
        raise HeaderError(
            f"instance {facts.sop_instance_uid} has an unusable {intercept_key}; a number was "
            "expected. Send it with its rescale."
        )
    return Scaling(slope=slope, intercept=intercept, unit=_unit(unit))


def _unit(text: str) -> str:
    return _UNIT_NAMES.get(text.strip().lower(), "")


_LOSSY_SYNTAXES: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})


def require_lossless(slices: Sequence[Slice], *, name: str) -> None:
    """Refuse quantities that went through a lossy compression, now or earlier.

    Raises
    ------
    HeaderError
        When the header or the transfer syntax says so (PS3.3 C.7.6.1.1.5).
    """
    for one in slices:
        syntax = one.stored.header.file_meta.get("TransferSyntaxUID")
        if one.facts.first("LossyImageCompression") == "01" or syntax in _LOSSY_SYNTAXES:
            raise HeaderError(
                f"{name} went through a lossy compression (instance "
                f"{one.facts.sop_instance_uid}), which changes its values; send it as the scanner "
                "made it."
            )


def read_values(slices: Sequence[Slice], scalings: Mapping[int, Scaling]) -> Real:
    """Scaled values of slices, shape (slices, rows, columns).

    Parameters
    ----------
    slices
        What to read; each object is opened once.
    scalings
        Scaling of each slice by its index in `slices`.

    Raises
    ------
    HeaderError
        When pixels are truncated or cannot be decoded.
    """
    values = np.empty((len(slices), *slices[0].shape), dtype=np.float64)
    by_object: dict[int, list[int]] = {}
    for index, one in enumerate(slices):
        by_object.setdefault(id(one.stored), []).append(index)
    for indices in by_object.values():
        frames = read_frames(slices[indices[0]].stored)
        for index in indices:
            scale = scalings[index]
            values[index] = _stored_values(slices[index], frames) * scale.slope + scale.intercept
    return values


def _stored_values(one: Slice, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    frame: npt.NDArray[Any] = frames[one.frame]
    if one.tile is None:
        return frame
    index, count = one.tile
    tile_row, tile_column = divmod(index, tile_layout(count)[1])
    rows, columns = one.shape
    return frame[
        tile_row * rows : (tile_row + 1) * rows, tile_column * columns : (tile_column + 1) * columns
    ]


def transmitter_mhz(facts: InstanceFacts) -> float | None:
    """Transmitter frequency from the header [MHz]; None when it is not stated.

    United Imaging writes ImagingFrequency in Hz; no scanner has 100 GHz, so larger numbers are
    taken as Hz.
    """
    for element in ("TransmitterFrequency", "ImagingFrequency"):
        number = facts.number(element)
        if number is not None and number > 0.0:
            return number / 1e6 if number > 1e5 else number
    return None
