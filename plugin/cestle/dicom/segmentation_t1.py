"""The regions on the T1, where a person can correct them and send them back."""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from cestle.anatomy.regions import Region
from cestle.dicom.gate import segment_centroid
from cestle.dicom.identity import OutputContext
from cestle.dicom.references import blank_patient
from cestle.dicom.segmentation import describe_segment
from cestle.errors import LateralityError
from cestle.geometry import Grid
from cestle.physics import Real
from cestle.study.region_origin import outline_on

PRODUCT: Final = "segmentation_t1"
_THICK_MM: Final = 5.0
"""Regions that were drawn on slices thicker than this show nothing that a T1 could."""
_DISPLACED_MM: Final = 2.0

# What highdicom takes from an image; dates are left out, since anonymised ones are no dates.
_KEYWORDS: Final = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality"),
    *("FrameOfReferenceUID", "PositionReferenceIndicator", "Rows", "Columns", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "NumberOfFrames"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)


def regions_on(regions: Sequence[Region], anatomy: Grid) -> tuple[Region, ...]:
    """Regions that can be shown on a T1: of its frame of reference, not drawn on thick slices."""
    return tuple(
        region
        for region in regions
        if region.grid.frame_of_reference_uid == anatomy.frame_of_reference_uid
        and region.grid.slice_thickness_mm <= _THICK_MM
        and len(outline_on(region, anatomy))
    )


def build_segmentation_t1(
    regions: Sequence[Region], anatomy: Grid, images: Sequence[Dataset], context: OutputContext
) -> Dataset:
    """Build the segmentation, patient and study still to be written.

    Parameters
    ----------
    regions
        From `regions_on`, at least one.
    anatomy
        Grid of the T1.
    images
        Headers of the T1 in the order of its slices, or its one multi-frame object.
    context
        What all objects share.
    """
    outlines = [outline_on(region, anatomy) for region in regions]
    first = min(int(one[:, 0].min()) for one in outlines)
    last = max(int(one[:, 0].max()) for one in outlines)
    shape = (last - first + 1, *anatomy.shape[1:], len(outlines))
    masks: npt.NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)
    for number, voxels in enumerate(outlines):
        masks[voxels[:, 0] - first, voxels[:, 1], voxels[:, 2], number] = 1
    multi_frame = "PerFrameFunctionalGroupsSequence" in images[0]
    shown = images if multi_frame else images[first : last + 1]
    return hd.seg.Segmentation(
        source_images=[_carrier(image) for image in shown],
        pixel_array=masks,
        plane_positions=_positions(anatomy, first, last) if multi_frame else None,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            describe_segment(number, region, "on the T1", context)
            for number, region in enumerate(regions, 1)
        ],
        **context.made_as(PRODUCT),
        content_label="T1_ROIS",
        content_description="Regions on the T1, to be corrected and sent back",
    )


def check_places(segmentation: Dataset, regions: Sequence[Region]) -> None:
    """Hold the finished object against the regions that it was made from.

    Raises
    ------
    LateralityError
        When a segment lies elsewhere than its region.
    """
    for number, region in enumerate(regions, 1):
        apart = np.abs(segment_centroid(segmentation, number) - region.centroid_lps_mm)
        if float(apart.max()) > _DISPLACED_MM:
            raise LateralityError(
                f"segment {number} on the T1 lies {apart.max():.1f} mm from its region; this is a "
                "fault of cestle, nothing was sent, report it with the version."
            )


def _positions(anatomy: Grid, first: int, last: int) -> list[hd.PlanePositionSequence]:
    places: Real = anatomy.to_lps(
        np.array([[float(number), 0.0, 0.0] for number in range(first, last + 1)])
    )
    return [
        hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(x) for x in place])
        for place in places
    ]


def _carrier(image: Dataset) -> Dataset:
    copy = Dataset()
    for keyword in _KEYWORDS:
        if keyword in image:
            copy.add(image[keyword])
    blank_patient(copy)
    return copy
