"""Where a spectrum is from: the box of United Imaging, three slabs, or a plane with a thickness.

A place that does not add up is never used: a voxel on the wrong side is worse than none.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom.facts import plain_text
from cestle.dicom.spectroscopy_object import (
    frame_number,
    frame_numbers,
    items_of,
    number_of,
    numbers_of,
)
from cestle.dicom.uih import spectroscopy_numbers
from cestle.errors import GeometryError
from cestle.mrs.series import Voxel
from cestle.physics import Real

SAME_PLACE_MM: Final = 2.0
"""Two statements of one place may differ by this much [mm]."""

_UNIT: Final = 1e-3
_ORTHOGONAL: Final = 1e-2
_EDGE_MM: Final = (2.0, 200.0)


def read_voxel(dataset: Dataset) -> tuple[Voxel | None, tuple[str, ...]]:
    """The volume of interest of an object, and notes on statements that were not used.

    Tried in this order: (0065,xx01) and (0065,xx02) of United Imaging, VolumeLocalizationSequence
    (PS3.3 C.8.14.1), plane position and orientation with the measures of the voxel.
    """
    notes: list[str] = []
    for read in (_uih_box, _slabs, _plane):
        try:
            found = read(dataset)
        except _SidesDifferError as fault:
            notes.append(str(fault))
            break
        except GeometryError as fault:
            notes.append(str(fault))
            continue
        if found is not None:
            voxel, more = found
            return voxel, (*notes, *more)
    return None, (*notes, "the place of the voxel is not known")


def distance_mm(a: Voxel | None, b: Voxel | None) -> float:
    """Distance of the centres [mm]; 0 where either place is unknown."""
    if a is None or b is None:
        return 0.0
    return float(np.linalg.norm(a.centre_mm - b.centre_mm))


class _SidesDifferError(GeometryError):
    """Two statements of one place lie on different sides of the patient: none is believed."""


_Found = tuple[Voxel, tuple[str, ...]] | None


def _uih_box(dataset: Dataset) -> _Found:
    """Corner and three edge vectors, held against the plane and the normal of the same object."""
    corner, edges = (spectroscopy_numbers(dataset, number) for number in (0x01, 0x02))
    if corner is None or edges is None:
        return None
    if len(corner) != 3 or len(edges) != 9:
        raise GeometryError(
            f"the private box has {len(corner)} and {len(edges)} numbers where 3 and 9 were "
            "expected; it was not used"
        )
    rows = edges.reshape(3, 3)
    _require_box(rows, "the private box")
    voxel = _voxel(dataset, corner + rows.sum(axis=0) / 2.0, rows)
    return voxel, _plane_notes(dataset, voxel) + _normal_notes(dataset, rows)


def _require_box(edges: Real, name: str) -> None:
    lengths = np.linalg.norm(edges, axis=1)
    low, high = _EDGE_MM
    if np.any(lengths < low) or np.any(lengths > high):
        sizes = "×".join(f"{length:.3g}" for length in lengths)
        raise GeometryError(
            f"{name} measures {sizes} mm where {low:g} to {high:g} mm were expected; it was not "
            "used"
        )
    unit = edges / lengths[:, np.newaxis]
    if np.max(np.abs(unit @ unit.T - np.eye(3))) > _ORTHOGONAL:
        raise GeometryError(f"the edges of {name} are not orthogonal; it was not used")


def _voxel(dataset: Dataset, centre: Real, edges: Real) -> Voxel:
    return Voxel(
        centre_mm=np.asarray(centre, dtype=np.float64),
        edges_mm=np.asarray(edges, dtype=np.float64),
        frame_of_reference_uid=plain_text(dataset, "FrameOfReferenceUID"),
    )


def _plane_notes(dataset: Dataset, voxel: Voxel) -> tuple[str, ...]:
    """Hold a box against ImagePositionPatient, as centre or as corner of the plane.

    Raises
    ------
    _SidesDifferError
        When the two statements lie on different sides of the patient.
    """
    position = _numbers(dataset, "PlanePositionSequence", "ImagePositionPatient")
    if position is None or len(position) != 3:
        return ()
    places = [position]
    axes = _axes(dataset)
    if axes is not None:
        places.append(position + axes.sum(axis=0) / 2.0)
    apart = [float(np.linalg.norm(place - voxel.centre_mm)) for place in places]
    nearest = places[int(np.argmin(apart))]
    if min(apart) <= SAME_PLACE_MM:
        return ()
    if nearest[0] * voxel.centre_mm[0] < 0.0:
        raise _SidesDifferError(
            "the private box and ImagePositionPatient lie on different sides of the patient; "
            "neither was used as the place of the voxel"
        )
    return (
        f"the private box lies {min(apart):.1f} mm away from ImagePositionPatient; the box was "
        "used",
    )


def _normal_notes(dataset: Dataset, edges: Real) -> tuple[str, ...]:
    """Hold the third edge against the unit normal in (0065,xx06), which has an empty 4th value."""
    normal = spectroscopy_numbers(dataset, 0x06)
    if normal is None or len(normal) < 3 or not np.linalg.norm(normal[:3]):
        return ()
    third = edges[2] / np.linalg.norm(edges[2])
    cosine = abs(float(third @ normal[:3])) / float(np.linalg.norm(normal[:3]))
    if cosine > 1.0 - _UNIT:
        return ()
    degrees = np.degrees(np.arccos(min(cosine, 1.0)))
    return (f"the private box is turned by {degrees:.1f} degrees against its stated normal",)


def _slabs(dataset: Dataset) -> _Found:
    """Intersection of three slabs: the point that lies in the middle of each."""
    items = items_of(dataset, "VolumeLocalizationSequence")
    if not items:
        return None
    normals = [numbers_of(item, "SlabOrientation") for item in items]
    middles = [numbers_of(item, "MidSlabPosition") for item in items]
    thickness = [number_of(item, "SlabThickness") for item in items]
    if len(items) != 3 or any(value is None for value in (*normals, *middles, *thickness)):
        raise GeometryError(
            f"VolumeLocalizationSequence describes {len(items)} slab(s), not three with position, "
            "normal and thickness; it was not used"
        )
    directions, places = _stacked(normals), _stacked(middles)
    lengths = np.linalg.norm(directions, axis=1)
    if np.any(np.abs(lengths - 1.0) > _UNIT):
        raise GeometryError(
            "SlabOrientation is no unit vector (some scanners write angles); "
            "VolumeLocalizationSequence was not used"
        )
    edges = directions * np.array([value or 0.0 for value in thickness])[:, np.newaxis]
    _require_box(edges, "VolumeLocalizationSequence")
    centre = np.linalg.solve(directions, np.sum(directions * places, axis=1))
    return _voxel(dataset, centre, edges), ()


def _stacked(vectors: Sequence[Real | None]) -> Real:
    found = [vector for vector in vectors if vector is not None]
    if any(len(vector) != 3 for vector in found):
        raise GeometryError(
            "a slab is not described by vectors of three numbers; VolumeLocalizationSequence was "
            "not used"
        )
    return np.array(found, dtype=np.float64)


def _plane(dataset: Dataset) -> _Found:
    """A plane of one voxel with a thickness; its position is the centre of the voxel."""
    position = _numbers(dataset, "PlanePositionSequence", "ImagePositionPatient")
    axes = _axes(dataset)
    if position is None or len(position) != 3 or axes is None:
        return None
    thickness = frame_number(dataset, 0, "PixelMeasuresSequence", "SliceThickness")
    thickness = thickness or number_of(dataset, "SliceThickness")
    if not thickness:
        return None
    normal = np.cross(axes[0], axes[1])
    edges = np.vstack([axes, thickness * normal / np.linalg.norm(normal)])
    _require_box(edges, "the plane of the voxel")
    return _voxel(dataset, position, edges), ()


def _axes(dataset: Dataset) -> Real | None:
    """Both edges of the voxel in its plane, shape (2, 3) [mm]; None when not stated."""
    orientation = _numbers(dataset, "PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = _numbers(dataset, "PixelMeasuresSequence", "PixelSpacing")
    if orientation is None or spacing is None or len(orientation) != 6 or len(spacing) != 2:
        return None
    directions = orientation.reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1)
    if np.any(np.abs(lengths - 1.0) > _UNIT) or np.any(spacing <= 0.0):
        return None
    # PixelSpacing is the distance of rows, then of columns (PS3.3 10.7.1.3).
    axes: Real = directions * spacing[::-1, np.newaxis]
    return axes


def _numbers(dataset: Dataset, macro: str, keyword: str) -> Real | None:
    found = frame_numbers(dataset, 0, macro, keyword)
    return numbers_of(dataset, keyword) if found is None else found
