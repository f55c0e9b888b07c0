"""The four regions as a workstation would send them: SEG, RTSTRUCT, NIfTI label map."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import RTStructureSetStorage

from cestle.dicom.simulated.headers import StudyHeader, decimal
from cestle.errors import ConfigError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.phantom.head import REGION_LABELS, Label, Labels
from cestle.phantom.study import SimulatedStudy

if TYPE_CHECKING:
    from highdicom.seg import SegmentDescription

_STRUCTURE_CODES: Final = {
    Structure.HIPPOCAMPUS: ("5366008", "Hippocampus"),
    Structure.AMYGDALA: ("4958002", "Amygdala"),
}
_SIDE_CODES: Final = {Side.LEFT: ("7771000", "Left"), Side.RIGHT: ("24028007", "Right")}
_SERIES_NUMBERS: Final = {"T1": 500, "CEST": 501, "structure set": 502}

_FREESURFER: Final = {
    Label.HIPPOCAMPUS_LEFT: 17,
    Label.HIPPOCAMPUS_RIGHT: 53,
    Label.AMYGDALA_LEFT: 18,
    Label.AMYGDALA_RIGHT: 54,
}
"""Numbers of FreeSurfer's colour table."""

Masks = npt.NDArray[np.uint8]


def t1_masks(study: SimulatedStudy) -> Masks:
    """The regions on the T1, shape (slices, rows, columns, regions)."""
    return np.stack(
        [(study.t1_labels == label).astype(np.uint8) for label in REGION_LABELS.values()], axis=-1
    )


def cest_masks(study: SimulatedStudy) -> Masks:
    """The regions on the CEST slices, as drawn where they fill at least half of a voxel."""
    return np.stack(
        [
            (study.fractions[f"{structure}_{side}"] >= 0.5).astype(np.uint8)
            for structure, side in REGION_LABELS
        ],
        axis=-1,
    )


def segmentation(
    header: StudyHeader, sources: Sequence[Dataset], masks: Masks, *, drawn_on: str
) -> Dataset:
    """A BINARY segmentation of the regions.

    Parameters
    ----------
    header
        The study.
    sources
        Images that it was drawn on, one for each slice.
    masks
        Regions, shape (slices, rows, columns, regions).
    drawn_on
        "T1" or "CEST".

    Raises
    ------
    ConfigError
        When no voxel belongs to any region.
    """
    import highdicom

    if not masks.any():
        raise ConfigError(
            f"no {drawn_on} voxel is at least half filled by a region, so there is nothing to "
            "draw; choose another slice position or draw on the T1."
        )
    number = _SERIES_NUMBERS[drawn_on]
    used = [slot for slot in range(masks.shape[-1]) if masks[..., slot].any()]
    descriptions = [
        _segment_description(header, number=rank, structure=structure, side=side)
        for rank, (structure, side) in enumerate(
            [list(REGION_LABELS)[slot] for slot in used], start=1
        )
    ]
    multi_frame = "NumberOfFrames" in sources[0]
    extent = slice(0, len(masks)) if multi_frame else _drawn(masks)
    dataset: Dataset = highdicom.seg.Segmentation(
        source_images=list(sources) if multi_frame else list(sources[extent]),
        pixel_array=masks[extent][..., used],
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=header.uid("series", number),
        series_number=number,
        sop_instance_uid=header.uid("instance", number, 1),
        instance_number=1,
        manufacturer="Example Workstations",
        manufacturer_model_name="Outline",
        software_versions="1.0",
        device_serial_number="1",
        content_description="Hippocampi and amygdalae",
        content_creator_name="Expert^Synthetic",
        series_description=f"Regions on {drawn_on}",
        **_places(sources, len(masks)),
    )
    _fix_identity(dataset, header, number)
    return dataset


def _drawn(masks: Masks) -> slice:
    """Slices between the first and the last that hold a region."""
    drawn = np.flatnonzero(masks.any(axis=(1, 2, 3)))
    return slice(int(drawn[0]), int(drawn[-1]) + 1)


def _places(sources: Sequence[Dataset], slices: int) -> dict[str, Any]:
    """Places of the masks where the library cannot take them from one image for each slice.

    A multi-frame source shows each slice several times; its first frames are the slices once.
    """
    import highdicom

    if "NumberOfFrames" not in sources[0]:
        return {}
    frames = sources[0].PerFrameFunctionalGroupsSequence[:slices]
    return {
        "plane_positions": [
            highdicom.PlanePositionSequence(
                highdicom.CoordinateSystemNames.PATIENT,
                frame.PlanePositionSequence[0].ImagePositionPatient,
            )
            for frame in frames
        ]
    }


def _segment_description(
    header: StudyHeader, *, number: int, structure: Structure, side: Side
) -> "SegmentDescription":
    import highdicom
    from pydicom.sr.coding import Code

    value, meaning = _STRUCTURE_CODES[structure]
    side_value, side_meaning = _SIDE_CODES[side]
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"{side_meaning} {meaning.lower()}",
        segmented_property_category=Code("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=Code(value, "SCT", meaning),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=header.uid("region", structure, side),
        tracking_id=f"{side_meaning} {meaning.lower()}",
    )
    kind = description.SegmentedPropertyTypeCodeSequence[0]
    kind.SegmentedPropertyTypeModifierCodeSequence = [
        _code(side_value, "SCT", side_meaning),
    ]
    return description


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _fix_identity(dataset: Dataset, header: StudyHeader, number: int) -> None:
    """Replace what the library draws at random or takes from the clock."""
    organization = header.uid("dimension organization", number)
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for index in dataset.DimensionIndexSequence:
        index.DimensionOrganizationUID = organization
    del dataset.ContributingEquipmentSequence  # names the library, at the time of the clock
    _set_times(dataset, header)


def _set_times(dataset: Dataset, header: StudyHeader) -> None:
    started = header.encoding.started
    dataset.ContentDate = dataset.SeriesDate = dataset.InstanceCreationDate = f"{started:%Y%m%d}"
    dataset.ContentTime = dataset.SeriesTime = dataset.InstanceCreationTime = f"{started:%H%M%S}"


def structure_set(
    header: StudyHeader, sources: Sequence[Dataset], study: SimulatedStudy
) -> Dataset:
    """An RTSTRUCT with closed planar contours on the T1 slices, named ``L_Hippocampus``."""
    number = _SERIES_NUMBERS["structure set"]
    dataset = header.dataset(RTStructureSetStorage, header.uid("instance", number, 1))
    dataset.Modality = "RTSTRUCT"
    dataset.Manufacturer = "Example Workstations"
    dataset.ManufacturerModelName = "Outline"
    dataset.SeriesDescription = "Regions"
    dataset.SeriesInstanceUID = header.uid("series", number)
    dataset.SeriesNumber = number
    dataset.InstanceNumber = 1
    dataset.OperatorsName = ""
    dataset.StructureSetLabel = "Regions"
    dataset.StructureSetDate = dataset.StudyDate
    dataset.StructureSetTime = dataset.StudyTime
    dataset.FrameOfReferenceUID = study.t1_grid.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.ApprovalStatus = "UNAPPROVED"
    _set_times(dataset, header)
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    referenced: dict[str, Dataset] = {}
    for rank, ((structure, side), label) in enumerate(REGION_LABELS.items(), start=1):
        contours = _contours(study.t1_labels == label, study.t1_grid, sources, referenced)
        _add_roi(dataset, rank, f"{side[0].upper()}_{structure.capitalize()}", contours)
    dataset.ReferencedFrameOfReferenceSequence = [_referenced_frame(dataset, sources, referenced)]
    return dataset


def _add_roi(dataset: Dataset, number: int, name: str, contours: list[Dataset]) -> None:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
    roi.ROIName = name
    roi.ROIGenerationAlgorithm = "MANUAL"
    dataset.StructureSetROISequence.append(roi)
    outline = Dataset()
    outline.ReferencedROINumber = number
    outline.ContourSequence = contours
    dataset.ROIContourSequence.append(outline)
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = "ORGAN"
    observation.ROIInterpreter = ""
    dataset.RTROIObservationsSequence.append(observation)


def _contours(
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    sources: Sequence[Dataset],
    referenced: dict[str, Dataset],
) -> list[Dataset]:
    """Outlines at half height between pixel centres, one item for each closed line."""
    from contourpy import contour_generator

    items = []
    for number in map(int, np.flatnonzero(mask.any(axis=(1, 2)))):
        source = Dataset()
        source.ReferencedSOPClassUID = sources[number].SOPClassUID
        source.ReferencedSOPInstanceUID = sources[number].SOPInstanceUID
        referenced[source.ReferencedSOPInstanceUID] = source
        lines = contour_generator(z=mask[number].astype(np.float64)).lines(0.5)
        for line in lines:
            column, row = np.asarray(line, dtype=np.float64)[:-1].T
            points = grid.to_lps(np.column_stack([np.full(len(row), float(number)), row, column]))
            item = Dataset()
            item.ContourImageSequence = [source]
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(points)
            item.ContourData = [decimal(value) for value in points.ravel()]
            items.append(item)
    return items


def _referenced_frame(
    dataset: Dataset, sources: Sequence[Dataset], referenced: dict[str, Dataset]
) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = sources[0].SeriesInstanceUID
    series.ContourImageSequence = [referenced[uid] for uid in sorted(referenced)]
    study = Dataset()
    # Detached Study Management: a retired class that still stands here (PS3.3 C.8.8.5).
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = dataset.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = dataset.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame


def write_label_map(study: SimulatedStudy, path: Path) -> None:
    """The regions with FreeSurfer's numbers on the T1 grid, as NIfTI (RAS, millimetres)."""
    import nibabel

    values: Labels = np.zeros(study.t1_labels.shape, dtype=np.uint8)
    for label, number in _FREESURFER.items():
        values[study.t1_labels == label] = number
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ study.t1_grid.affine
    image = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    image.set_qform(affine, code=1)  # type: ignore[no-untyped-call]
    image.set_sform(affine, code=1)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nibabel.save(image, path)
