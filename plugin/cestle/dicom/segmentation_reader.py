"""Regions from DICOM Segmentation objects (PS3.3 A.51, and label maps of A.51.5)."""

import warnings
from typing import Any, Final

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, SegmentationStorage

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.dicom.facts import plain_text
from cestle.dicom.files import StoredObject, read_whole
from cestle.dicom.region_grids import cut_to_size
from cestle.dicom.region_names import equipment, side_of_segment, structure_of_segment
from cestle.errors import GeometryError, HeaderError, LateralityError, NoRegionError
from cestle.geometry import Grid
from cestle.physics import Real

LABEL_MAP_SEGMENTATION: Final = UID("1.2.840.10008.5.1.4.1.1.66.7")
SEGMENTATIONS: Final = frozenset({SegmentationStorage, LABEL_MAP_SEGMENTATION})

_CREATIONS: Final = frozenset({"MANUAL", "SEMIAUTOMATIC", "AUTOMATIC"})


def read_segmentation(stored: StoredObject) -> tuple[Region, ...]:
    """Hippocampus and amygdala of a segmentation, on its own grid.

    Occupancy becomes the fraction; a probability is no share of a voxel and is cut at 0.5.

    Raises
    ------
    NoRegionError
        When the object holds none of the structures.
    LateralityError
        When a structure has no side, or codes and names contradict each other.
    GeometryError
        When the object states no Frame of Reference.
    HeaderError
        When the object cannot be decoded.
    """
    dataset = read_whole(stored.path)
    uid = str(dataset.SOPInstanceUID)
    wanted = [
        (item, structure)
        for item in dataset.get("SegmentSequence") or []
        if (structure := structure_of_segment(item)) is not None
    ]
    if not wanted:
        raise NoRegionError(
            f"segmentation {uid} has {len(dataset.get('SegmentSequence') or [])} segment(s), none "
            "of them hippocampus or amygdala by code or name; draw them, or correct the codes."
        )
    if not dataset.get("FrameOfReferenceUID"):
        raise GeometryError(
            f"segmentation {uid} states no Frame of Reference, so nothing says where in this "
            "patient it lies; a FrameOfReferenceUID was expected. Export it and its images again."
        )
    segmentation = _decoded(dataset, uid)
    regions = []
    for item, structure in wanted:
        side = side_of_segment(item)
        number = int(item.SegmentNumber)
        if side is None:
            raise LateralityError(
                f"segment {number} of segmentation {uid} is the {structure} of no stated side; "
                "left or right was expected. Add the laterality code."
            )
        fraction, grid = _segment(segmentation, number, uid)
        if not fraction.any():
            continue
        fraction, grid = cut_to_size(fraction, grid)
        source = RegionSource(
            form=RegionForm.SEGMENTATION,
            creation=_creation(item),
            identifier=uid,
            tool=_tool(item, dataset),
            creator=plain_text(dataset, "ContentCreatorName"),
            drawn_on=_drawn_on(dataset),
        )
        regions.append(
            Region(structure=structure, side=side, fraction=fraction, grid=grid, source=source)
        )
    if not regions:
        raise NoRegionError(f"the segments of segmentation {uid} are empty; draw the regions.")
    return tuple(regions)


def _creation(item: Dataset) -> str:
    kind = str(item.get("SegmentAlgorithmType", "")).upper()
    return kind.lower() if kind in _CREATIONS else "unknown"


def _tool(item: Dataset, dataset: Dataset) -> str:
    """Name and version of what made a segment, as the segment says, else as the object does."""
    for algorithm in item.get("SegmentationAlgorithmIdentificationSequence") or []:
        name = plain_text(algorithm, "AlgorithmName")
        if name:
            return f"{name} {plain_text(algorithm, 'AlgorithmVersion')}".strip()
    return plain_text(item, "SegmentAlgorithmName") or equipment(dataset)


def _drawn_on(dataset: Dataset) -> str:
    series = {
        str(item.SeriesInstanceUID)
        for item in dataset.get("ReferencedSeriesSequence") or []
        if "SeriesInstanceUID" in item
    }
    return series.pop() if len(series) == 1 else ""


def _decoded(dataset: Dataset, uid: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hd.seg.Segmentation.from_dataset(dataset, copy=False)
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as fault:
        raise HeaderError(
            f"segmentation {uid} cannot be decoded ({type(fault).__name__}); export it again as "
            "a standard DICOM SEG."
        ) from fault


def _segment(segmentation: Any, number: int, uid: str) -> tuple[Real, Grid]:
    """Fractions of one segment, (slices, rows, columns), and their grid.

    Segments are read one by one: combined reading fails where two overlap.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            volume = segmentation.get_volume(
                segment_numbers=[number], combine_segments=False, rescale_fractional=True
            )
    except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as fault:
        raise HeaderError(
            f"segment {number} of segmentation {uid} forms no volume ({type(fault).__name__}); "
            "export it on parallel slices of one image series."
        ) from fault
    fraction = np.asarray(volume.array, dtype=np.float64)[..., 0]
    if _is_probability(segmentation):
        fraction = (fraction >= 0.5).astype(np.float64)
    shape = fraction.shape
    affine = np.asarray(volume.affine, dtype=np.float64)
    grid = Grid(
        shape=(shape[0], shape[1], shape[2]),
        affine=affine,
        frame_of_reference_uid=str(segmentation.get("FrameOfReferenceUID", "")),
        slice_thickness_mm=_thickness(segmentation) or float(np.linalg.norm(affine[:3, 0])),
    )
    return np.clip(fraction, 0.0, 1.0), grid


def _is_probability(segmentation: Any) -> bool:
    return str(segmentation.get("SegmentationFractionalType", "")) == "PROBABILITY"


def _thickness(segmentation: Any) -> float | None:
    groups = segmentation.get("SharedFunctionalGroupsSequence") or []
    measures = groups[0].get("PixelMeasuresSequence") if groups else None
    value = measures[0].get("SliceThickness") if measures else None
    return None if value is None else float(value)
