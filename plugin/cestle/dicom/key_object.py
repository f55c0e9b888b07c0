"""A Key Object Selection that points to the colour page and the report (PS3.16 TID 2010)."""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
from pydicom import Dataset

from cestle.dicom.coding import coded
from cestle.dicom.identity import MANUFACTURER, OutputContext
from cestle.dicom.observer import device_observer
from cestle.dicom.references import reference

PRODUCT: Final = "key_object"
_POINTERS: Final = ("IMAGE", "COMPOSITE")


def build_key_object(
    pages: Sequence[Dataset], report: Dataset, context: OutputContext, *, form: str = ""
) -> Dataset:
    """Build the selection, patient and study still to be written.

    Parameters
    ----------
    pages
        The finished pages; may be empty.
    report
        The finished report.
    context
        What all objects share.
    form
        Name of the form of the report; each has a selection of its own.
    """
    chosen = [reference(dataset) for dataset in (*pages, report)]
    content = hd.ko.KeyObjectSelection(
        document_title=coded(context.templates, "key_object_title"),
        referenced_objects=chosen,
        observer_device_context=device_observer(),
        description=f"GluCEST results. {context.templates.series.research_comment}",
    )
    document = hd.ko.KeyObjectSelectionDocument(
        evidence=chosen,
        content=content,
        series_instance_uid=context.series_uid(PRODUCT),
        series_number=context.series_number(PRODUCT),
        sop_instance_uid=context.instance_uid(f"{PRODUCT}.{form}" if form else PRODUCT),
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    plain = Dataset()
    for element in document:
        plain.add(element)
    plain.ContentSequence = [_unnamed(item) for item in document.ContentSequence]
    return plain


def _unnamed(item: Dataset) -> Dataset:
    """A content item as TID 2010 has it: the objects bear no name, which highdicom gives them."""
    plain = Dataset()
    for element in item:
        if item.ValueType not in _POINTERS or element.keyword != "ConceptNameCodeSequence":
            plain.add(element)
    return plain
