"""The last layer over every object.

The builders make objects of an unnamed patient; here the header policy, the equipment, the
research-use marks and the file meta information are written, once and alike for all of them.
"""

from typing import Final

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cestle.config.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cestle.dicom.coding import ascii_text, coded, private_scheme
from cestle.dicom.identity import (
    DEVICE_UID,
    MANUFACTURER,
    MODEL,
    SERIAL_NUMBER,
    OutputContext,
)
from cestle.dicom.request import add_request
from cestle.dicom.standard import is_part_of, nested_elements

_LONGEST_LO: Final = 64


def finish(dataset: Dataset, product: str, context: OutputContext) -> Dataset:
    """Make an object complete.

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
        A plain data set, ready to be examined by the gate.
    """
    finished = Dataset()
    for element in dataset:
        finished.add(element)
    context.header.copy_to(finished)
    _series(finished, product, context)
    _equipment(finished, context)
    _marks(finished, context)
    add_request(finished, context.header)
    _replace_random_uids(finished, product, context)
    finished.file_meta = _file_meta(finished)
    return finished


def _series(dataset: Dataset, product: str, context: OutputContext) -> None:
    rule = context.rule(product)
    dataset.SeriesInstanceUID = context.series_uid(product)
    dataset.SeriesNumber = context.series_number(product)
    doubtful = bool(context.results.regions.unverified)
    dataset.SeriesDescription = (doubtful and rule.unverified) or rule.description
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = context.date
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = context.time
    if is_part_of(str(dataset.SOPClassUID), "BodyPartExamined"):
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
    manufacturer = ascii_text(str(source.get("Manufacturer") or "unknown"))
    item.Manufacturer = manufacturer if len(manufacturer) <= _LONGEST_LO else "unknown"
    for keyword in ("ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions"):
        value = ascii_text(str(source.get(keyword) or ""))
        if value and len(value) <= _LONGEST_LO:
            setattr(item, keyword, value)
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
    if is_part_of(str(dataset.SOPClassUID), "ImageComments"):
        dataset.ImageComments = context.templates.series.research_comment


def _replace_random_uids(dataset: Dataset, product: str, context: OutputContext) -> None:
    """Derive the UIDs that highdicom draws at random, so that a repeat gives the same bytes."""
    for element in [*dataset, *nested_elements(dataset)]:
        if element.keyword == "DimensionOrganizationUID":
            element.value = context.uid(f"{product}.dimensions")


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
