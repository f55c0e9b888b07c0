"""The gate before sending: what is wrong with an object, and whether its sides can be believed.

Everything here reads finished objects, and so sees what a reader will see.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from pydicom import DataElement, Dataset

from cestle.dicom.standard import nested_elements, standard_faults
from cestle.errors import HeaderError, LateralityError
from cestle.physics import Real

REQUIRED_MARKS: Final = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("SeriesNumber", "InstanceNumber", "ContentQualification"),
)
"""Attributes that every object has whatever its class demands."""
_TEXT_VR: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
SIDE_CODES: Final = {"7771000": "left", "24028007": "right"}


def object_faults(built: Dataset, written: Dataset) -> tuple[str, ...]:
    """Why an object must not leave; empty when it may.

    Parameters
    ----------
    built
        The finished object.
    written
        The same one, read back from the bytes that would be sent.
    """
    return (*root_faults(built, written), *_foreign_text(built))


def root_faults(built: Dataset, written: Dataset) -> tuple[str, ...]:
    """The same without a look at nested texts, for an object whose nested texts were seen."""
    empty = [f"{name} is absent" for name in REQUIRED_MARKS if written.get(name) in (None, "")]
    if empty:
        return tuple(empty)
    return (*standard_faults(built), *_changed_text(built, written))


def _foreign_text(dataset: Dataset) -> list[str]:
    """Nested texts beyond ASCII; several readers decode those with the wrong character set."""
    keywords = [
        element.keyword
        for element in nested_elements(dataset)
        if element.VR in _TEXT_VR and not str(element.value).isascii()
    ]
    return [f"the nested text of {keyword} is not ASCII" for keyword in dict.fromkeys(keywords)]


def _changed_text(built: Dataset, written: Dataset) -> list[str]:
    """Texts that the character set of the object cannot hold."""
    return [
        f"{element.keyword} does not fit the character set of the object"
        for element in built
        if element.VR in _TEXT_VR and _words(element) != _words(written[element.tag])
    ]


def _words(element: DataElement) -> list[str]:
    values = list(element.value) if element.VM > 1 else [element.value]
    return ["" if value is None else str(value).rstrip(" \0") for value in values]


def check_sides(segmentation: Dataset) -> None:
    """Hold the sides of a segmentation against where its voxels lie.

    Raises
    ------
    LateralityError
        When not every left region lies at greater x in LPS than every right one, whatever
        their structures are.
    """
    found: dict[str, list[float]] = {"left": [], "right": []}
    for segment in segmentation.SegmentSequence:
        centre = segment_centroid(segmentation, int(segment.SegmentNumber))
        found[segment_side(segment)].append(float(centre[0]))
    left, right = found["left"], found["right"]
    if left and right and not min(left) > max(right):
        raise LateralityError(
            f"a left region lies at x = {min(left):.1f} mm and a right one at {max(right):.1f} mm, "
            "left was expected at greater x (LPS); check the sides of the regions."
        )


def segment_side(segment: Dataset) -> str:
    """Side that a segment states, ``left`` or ``right``."""
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    return SIDE_CODES[kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue]


def segment_centroid(segmentation: Dataset, number: int) -> Real:
    """Centre of mass of a segment in LPS, shape (3,) [mm].

    Raises
    ------
    HeaderError
        When the segment holds no voxel.
    """
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    total, moment = 0.0, np.zeros(3)
    for groups, share in segment_frames(segmentation, number):
        by_row, by_column = share.sum(axis=1), share.sum(axis=0)
        rows, columns = np.arange(len(by_row)), np.arange(len(by_column))
        orientation = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
        spacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
        across, down = (np.array(orientation[k : k + 3], dtype=np.float64) for k in (0, 3))
        moment += by_row.sum() * frame_position(segmentation, groups)
        moment += float(by_column @ columns) * float(spacing[1]) * across
        moment += float(by_row @ rows) * float(spacing[0]) * down
        total += float(by_row.sum())
    if total == 0.0:
        raise HeaderError(f"segment {number} holds no voxel; this is a fault of cestle, report it.")
    return moment / total


def segment_frames(segmentation: Dataset, number: int) -> Iterator[tuple[Dataset, Real]]:
    """Frames of a segment: functional groups, and shares of voxels, shape (rows, columns)."""
    shape = (int(segmentation.NumberOfFrames), int(segmentation.Rows), int(segmentation.Columns))
    stored = np.frombuffer(segmentation.PixelData, dtype=np.uint8)
    binary = segmentation.SegmentationType == "BINARY"
    # Eight voxels in a byte, the first one in its lowest bit (PS3.5 8.1.1).
    values = np.unpackbits(stored, bitorder="little") if binary else stored
    pixels = values[: np.prod(shape)].reshape(shape)
    most = 1.0 if binary else float(segmentation.MaximumFractionalValue)
    for frame, groups in zip(pixels, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            yield groups, frame.astype(np.float64) / most


def frame_position(segmentation: Dataset, groups: Dataset) -> Real:
    """Centre of the first voxel of a frame in LPS, shape (3,) [mm]."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    stated = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
    return np.array([float(value) for value in stated])


def _group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    item: Dataset = (frame if keyword in frame else shared)[keyword][0]
    return item
