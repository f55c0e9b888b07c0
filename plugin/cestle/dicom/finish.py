"""The last layer over every object, and the gate that nothing wrong passes.

The builders make objects of an unnamed patient; here the header policy, the equipment, the
research-use marks and the file meta information are written, once and alike for all of them.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage

from cestle.dicom.coding import ascii_text, coded, private_scheme
from cestle.dicom.identity import (
    DEVICE_UID,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MODEL,
    SERIAL_NUMBER,
    OutputContext,
)
from cestle.errors import HeaderError, LateralityError
from cestle.physics import Real

_TEXT_VR: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SIDE_CODES: Final = {"7771000": "left", "24028007": "right"}


def finish(dataset: Dataset, product: str, context: OutputContext) -> Dataset:
    """Make an object complete and prove it.

    Parameters
    ----------
    dataset
        The object as its builder or highdicom left it; changed in place.
    product
        Its name in the series rules.
    context
        What all objects share.

    Returns
    -------
        A plain data set, ready to be written.

    Raises
    ------
    HeaderError
        When an attribute that must be there is not, or nested text is not ASCII.
    LateralityError
        When a segmentation's left lies to the right of its right.
    """
    finished = Dataset()
    for element in dataset:
        finished.add(element)
    context.header.copy_to(finished)
    _series(finished, product, context)
    _equipment(finished, context)
    _marks(finished, context)
    _replace_random_uids(finished, product, context)
    finished.file_meta = _file_meta(finished)
    check(finished)
    return finished


def check(dataset: Dataset) -> None:
    """Refuse an object that must not leave.

    Raises
    ------
    HeaderError
        When an attribute that must be there is not, or nested text is not ASCII.
    LateralityError
        When a segmentation's left lies to the right of its right.
    """
    filled = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality")
    for keyword in (*filled, "SeriesNumber", "InstanceNumber", "ContentQualification"):
        if dataset.get(keyword) in (None, ""):
            raise HeaderError(
                f"an object without {keyword} was about to be written; this is a fault of cestle, "
                "report it with the version."
            )
    for element in _nested(dataset):
        if element.VR in _TEXT_VR and not str(element.value).isascii():
            raise HeaderError(
                f"nested text in {element.keyword} is not ASCII; this is a fault of cestle or "
                "of a template, report it with the version."
            )
    if dataset.SOPClassUID == SegmentationStorage:
        check_sides(dataset)


def check_sides(segmentation: Dataset) -> None:
    """Hold the sides of a segmentation against where its voxels lie.

    The check reads the finished object, and so sees what a reader will see.

    Raises
    ------
    LateralityError
        When the left one of a pair does not lie at greater x in LPS.
    """
    centroids: dict[str, dict[str, float]] = {}
    for segment in segmentation.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        modifier = kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue
        x = float(segment_centroid(segmentation, int(segment.SegmentNumber))[0])
        centroids.setdefault(kind.CodeValue, {})[_SIDE_CODES[modifier]] = x
    for code, sides in centroids.items():
        if len(sides) == 2 and not sides["left"] > sides["right"]:
            raise LateralityError(
                f"the left region of structure {code} lies at x = {sides['left']:.1f} mm and the "
                f"right one at {sides['right']:.1f} mm, left was expected at greater x (LPS); "
                "check the sides of the regions."
            )


def segment_centroid(segmentation: Dataset, number: int) -> Real:
    """Centre of mass of a segment in LPS, shape (3,) [mm].

    Raises
    ------
    HeaderError
        When the segment holds no voxel.
    """
    shape = (int(segmentation.NumberOfFrames), int(segmentation.Rows), int(segmentation.Columns))
    pixels = np.frombuffer(segmentation.PixelData, dtype=np.uint8)[: np.prod(shape)].reshape(shape)
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    total, moment = 0.0, np.zeros(3)
    for frame, groups in zip(pixels, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        weight = frame.astype(np.float64)
        rows, columns = np.indices(frame.shape)
        orientation = _group(groups, shared, "PlaneOrientationSequence").ImageOrientationPatient
        spacing = _group(groups, shared, "PixelMeasuresSequence").PixelSpacing
        position = _group(groups, shared, "PlanePositionSequence").ImagePositionPatient
        across, down = (np.array(orientation[k : k + 3], dtype=np.float64) for k in (0, 3))
        moment += weight.sum() * np.array(position, dtype=np.float64)
        moment += float((weight * columns).sum()) * float(spacing[1]) * across
        moment += float((weight * rows).sum()) * float(spacing[0]) * down
        total += float(weight.sum())
    if total == 0.0:
        raise HeaderError(f"segment {number} holds no voxel; this is a fault of cestle, report it.")
    return moment / total


def _group(frame: Dataset, shared: Dataset, keyword: str) -> Dataset:
    item: Dataset = (frame if keyword in frame else shared)[keyword][0]
    return item


def _series(dataset: Dataset, product: str, context: OutputContext) -> None:
    rule = context.rule(product)
    dataset.SeriesInstanceUID = context.series_uid(product)
    dataset.SeriesNumber = context.series_number(product)
    dataset.SeriesDescription = rule.description
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = context.date
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = context.time
    if dataset.Modality != "SR":
        dataset.BodyPartExamined = context.templates.series.body_part


def _equipment(dataset: Dataset, context: OutputContext) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL
    dataset.DeviceSerialNumber = SERIAL_NUMBER
    dataset.SoftwareVersions = context.software_versions
    dataset.ContributingEquipmentSequence = [
        _acquisition_equipment(context),
        _own_equipment(context),
    ]


def _acquisition_equipment(context: OutputContext) -> Dataset:
    source = context.header.acquisition
    item = Dataset()
    item.Manufacturer = ascii_text(str(source.get("Manufacturer") or "unknown"))
    for keyword in ("ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        value = source.get(keyword)
        if value:
            setattr(item, keyword, ascii_text(str(value))[:64])
    item.PurposeOfReferenceCodeSequence = [coded(context.templates, "acquisition_equipment")]
    return item


def _own_equipment(context: OutputContext) -> Dataset:
    item = Dataset()
    item.Manufacturer = MANUFACTURER
    item.ManufacturerModelName = MODEL
    item.SoftwareVersions = context.software_versions
    item.DeviceUID = DEVICE_UID
    item.ContributionDateTime = context.date + context.time
    item.ContributionDescription = f"GluCEST analysis, templates {context.templates.label}"
    item.PurposeOfReferenceCodeSequence = [coded(context.templates, "processing_equipment")]
    return item


def _marks(dataset: Dataset, context: OutputContext) -> None:
    dataset.ContentQualification = "RESEARCH"
    dataset.CodingSchemeIdentificationSequence = [private_scheme(context.templates)]
    if dataset.Modality not in ("SR", "SEG"):
        dataset.ImageComments = context.templates.series.research_comment


def _replace_random_uids(dataset: Dataset, product: str, context: OutputContext) -> None:
    """Derive the UIDs that highdicom draws at random, so that a repeat gives the same bytes."""
    for element in [*dataset, *_nested(dataset)]:
        if element.keyword == "DimensionOrganizationUID":
            element.value = context.uid(f"{product}.dimensions")


def _nested(dataset: Dataset) -> Iterator[DataElement]:
    """All elements inside sequences, at any depth."""
    for element in dataset:
        if element.VR == "SQ":
            items: Any = element.value
            for item in items:
                yield from (inner for inner in item if inner.VR != "SQ")
                yield from _nested(item)


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
