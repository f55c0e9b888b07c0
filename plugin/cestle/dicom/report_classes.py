"""The report in other SOP classes, for destinations that do not take the first choice.

The content tree uses nothing that the older classes lack, so the three documents differ in class
and instance UID alone. A destination gets one of them.
"""

from pathlib import Path
from typing import Final

import pydicom
from pydicom import Dataset
from pydicom.uid import UID, ComprehensiveSRStorage, EnhancedSRStorage

from cestle.dicom import report
from cestle.dicom.identity import OutputContext
from cestle.dicom.references import reference

FALLBACKS: Final = {
    "comprehensive": ComprehensiveSRStorage,
    "enhanced": EnhancedSRStorage,
}
"""SOP class by name, in the order in which they are tried after Comprehensive 3D SR."""


def as_class(document: Dataset, name: str, context: OutputContext) -> Dataset:
    """The same report in another class, with a UID of its own that is the same at each repeat.

    Parameters
    ----------
    document
        The finished report as read from its bytes; changed in place.
    name
        Of the class, one of `FALLBACKS`.
    context
        What all objects share.
    """
    document.SOPClassUID = document.file_meta.MediaStorageSOPClassUID = FALLBACKS[name]
    uid = UID(context.instance_uid(f"{report.PRODUCT}.{name}"))
    document.SOPInstanceUID = document.file_meta.MediaStorageSOPInstanceUID = uid
    previous = _previous(context.identity.predecessor, name)
    if previous is not None:
        (named,) = _named_documents(document)
        named.ReferencedSOPClassUID = previous.SOPClassUID
        named.ReferencedSOPInstanceUID = previous.SOPInstanceUID
    return document


def _named_documents(document: Dataset) -> list[Dataset]:
    return [
        named
        for study in document.PredecessorDocumentsSequence
        for series in study.ReferencedSeriesSequence
        for named in series.ReferencedSOPSequence
    ]


def fallback_name(file_name: str, name: str) -> str:
    """Relative name of the file of a fallback: ``fallback/04_report.enhanced.dcm``."""
    return f"fallback/{Path(file_name).stem}.{name}.dcm"


def _previous(first_choice: Path | None, name: str) -> Dataset | None:
    """The report of the revision before in the same class; None where it was not made."""
    if first_choice is None:
        return None
    file = first_choice.parent / fallback_name(first_choice.name, name)
    if not file.is_file():
        return None
    return reference(pydicom.dcmread(file, stop_before_pixels=True))
