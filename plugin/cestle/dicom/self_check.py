"""The numbers of a report, measured once more in the map and the segmentation that go with it.

A region on the wrong side, a map that is mirrored against its segmentation, or a factor of 100
between the two, shows here before anything is sent.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom.gate import SIDE_CODES, frame_position, segment_frames, segment_side
from cestle.errors import LateralityError, NumericalError
from cestle.physics import Real

_MEASUREMENTS: Final = "126010"
_FINDING: Final = "121071"
_SITE: Final = "363698007"
_SEGMENT: Final = "121191"
_DERIVATION: Final = "121401"
_MEAN: Final = "373098007"
_POSITION_TOLERANCE_MM: Final = 0.05
_ROUNDING_PERCENT: Final = 0.05
"""Room for the rounding of the map, and for shares too small for the segmentation to hold."""


def check_report(
    report: Dataset, segmentation: Dataset, maps: Sequence[Dataset], *, measured: str
) -> None:
    """Hold every region of a report against the objects that it refers to.

    Parameters
    ----------
    report
        The finished report.
    segmentation
        The finished segmentation.
    maps
        The finished map images.
    measured
        Code value of the quantity of the map.

    Raises
    ------
    LateralityError
        When a region of the report names another side or structure than its segment.
    NumericalError
        When a mean of the report is not that of the map over the segment.
    """
    segments = {int(one.SegmentNumber): one for one in segmentation.SegmentSequence}
    for group in _groups(report):
        referred = _children(group, _SEGMENT)
        if not referred:
            continue
        number = int(referred[0].ReferencedSOPSequence[0].ReferencedSegmentNumber)
        _check_place(group, segments[number])
        for item in _children(group, measured):
            if _code(_children(item, _DERIVATION)) == _MEAN:
                _check_mean(item, segmentation, number, maps)


def _check_place(group: Dataset, segment: Dataset) -> None:
    site = _children(group, _SITE)[0]
    side = SIDE_CODES.get(site.ContentSequence[0].ConceptCodeSequence[0].CodeValue)
    structure = segment.SegmentedPropertyTypeCodeSequence[0].CodeValue
    stated = (side, _code(_children(group, _FINDING)), _code([site]))
    if stated != (segment_side(segment), structure, structure):
        raise LateralityError(
            f"a region of the report is {stated[0]} {stated[1]}, its segment is "
            f"{segment_side(segment)} {structure}; this is a fault of cestle, nothing was sent, "
            "report it with the version."
        )


def _check_mean(item: Dataset, segmentation: Dataset, number: int, maps: Sequence[Dataset]) -> None:
    measured = item.MeasuredValueSequence[0]
    stated = float(measured.get("FloatingPointValue", measured.NumericValue))
    mean, tolerance = _mean(segmentation, number, maps)
    if not abs(mean - stated) <= tolerance:
        raise NumericalError(
            f"the report states a mean of {stated:.3f} % for segment {number}, map and "
            f"segmentation give {mean:.3f} %; this is a fault of cestle, nothing was sent, "
            "report it with the version."
        )


def _mean(segmentation: Dataset, number: int, maps: Sequence[Dataset]) -> tuple[float, float]:
    """Mean of the map over a segment, and how far rounding may have moved it [%]."""
    weights: list[Real] = []
    values: list[Real] = []
    for groups, share in segment_frames(segmentation, number):
        percent = _percent(_slice_at(frame_position(segmentation, groups), maps))
        inside = (share > 0.0) & np.isfinite(percent)
        weights.append(share[inside])
        values.append(percent[inside])
    weight, value = (np.concatenate([*parts, []]) for parts in (weights, values))
    if not weight.any():
        return float("nan"), 0.0
    mean = float(np.average(value, weights=weight))
    # Each share was rounded to a step of the segmentation, so each voxel may pull by half a step.
    step = 1.0 / float(segmentation.MaximumFractionalValue)
    pulled = step * float(np.abs(value - mean).sum()) / float(weight.sum())
    return mean, _ROUNDING_PERCENT + pulled


def _slice_at(position: Real, maps: Sequence[Dataset]) -> Dataset:
    for image in maps:
        here = np.array([float(value) for value in image.ImagePositionPatient])
        if np.linalg.norm(here - position) < _POSITION_TOLERANCE_MM:
            return image
    raise NumericalError(
        "a frame of the segmentation lies in no slice of the map; this is a fault of cestle, "
        "nothing was sent, report it with the version."
    )


def _percent(image: Dataset) -> Real:
    """Real world values of a map image, NaN where it is padded."""
    shape = (int(image.Rows), int(image.Columns))
    stored = np.frombuffer(image.PixelData, dtype="<i2")[: np.prod(shape)].reshape(shape)
    mapping = image.RealWorldValueMappingSequence[0]
    percent = stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    known: Real = np.where(stored == image.PixelPaddingValue, np.nan, percent)
    return known


def _groups(report: Dataset) -> list[Dataset]:
    return [
        group
        for container in _children(report, _MEASUREMENTS)
        for group in container.get("ContentSequence", ())
    ]


def _children(item: Dataset, code: str) -> list[Dataset]:
    """Content items directly below `item` whose name is `code`."""
    found: list[Dataset] = []
    for child in item.get("ContentSequence", ()):
        name: Mapping[str, str] | None = next(iter(child.get("ConceptNameCodeSequence", ())), None)
        if name is not None and name.get("CodeValue") == code:
            found.append(child)
    return found


def _code(items: Sequence[Dataset]) -> str | None:
    return items[0].ConceptCodeSequence[0].CodeValue if items else None
