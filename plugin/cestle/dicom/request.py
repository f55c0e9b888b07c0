"""What documents say of the order and the procedure behind them, copied and never invented."""

from copy import deepcopy
from typing import Final

from pydicom import Dataset

from cestle.dicom.standard import is_part_of
from cestle.dicom.study_header import StudyHeader

_COPIED: Final = (
    *("AccessionNumber", "PlacerOrderNumberImagingServiceRequest"),
    *("FillerOrderNumberImagingServiceRequest", "RequestedProcedureID"),
    "RequestedProcedureDescription",
)
"""Type 2 attributes of an item (PS3.3 table C.17-2): empty where the source does not say."""


def add_request(document: Dataset, header: StudyHeader) -> None:
    """Write order and procedure to a document whose definition has a place for them.

    Parameters
    ----------
    document
        A report or key object; other objects are left as they are.
    header
        Patient and study of the sources.
    """
    sop_class = str(document.SOPClassUID)
    procedure = header.attributes.get("ProcedureCodeSequence")
    if procedure and is_part_of(sop_class, "PerformedProcedureCodeSequence"):
        document.PerformedProcedureCodeSequence = deepcopy(list(procedure))
    requests = _requests(header)
    if requests and is_part_of(sop_class, "ReferencedRequestSequence"):
        document.ReferencedRequestSequence = requests


def _requests(header: StudyHeader) -> list[Dataset]:
    """One item for each request that the acquisition names, none where nothing is known of one."""
    stated = list(header.acquisition.get("RequestAttributesSequence") or ())
    if not stated and header.attributes.get("AccessionNumber"):
        stated = [Dataset()]
    return [_item(request, header) for request in stated]


def _item(request: Dataset, header: StudyHeader) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID = header.study_instance_uid
    item.ReferencedStudySequence = []
    item.RequestedProcedureCodeSequence = []
    for keyword in _COPIED:
        value = request.get(keyword) or header.attributes.get(keyword)
        # Text inside sequences is ASCII or absent.
        setattr(item, keyword, value if value and str(value).isascii() else None)
    return item
