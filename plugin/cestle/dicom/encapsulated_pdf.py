"""The colour page as an Encapsulated PDF, for archives that show documents and no pictures."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from cestle.dicom.coding import coded
from cestle.dicom.identity import OutputContext
from cestle.render.colors import Pixels
from cestle.render.document import pdf_bytes

PRODUCT: Final = "pdf"


def build_pdf(pages: Sequence[Pixels], maps: Sequence[Dataset], context: OutputContext) -> Dataset:
    """Build the document, patient and study still to be written.

    Parameters
    ----------
    pages
        RGB, each of shape (rows, columns, 3).
    maps
        The map images that the pages show; empty when there are none.
    context
        What all objects share.
    """
    title = context.rule(PRODUCT).description
    content = pdf_bytes(pages, title=title, created=context.identity.created)
    dataset = Dataset()
    dataset.SOPClassUID = EncapsulatedPDFStorage
    dataset.SOPInstanceUID = context.instance_uid(PRODUCT)
    dataset.StudyInstanceUID = context.header.study_instance_uid
    dataset.SeriesInstanceUID = context.series_uid(PRODUCT)
    dataset.Modality = "DOC"
    dataset.InstanceNumber = 1
    dataset.ConversionType = "WSD"
    # Nothing was acquired at a time of its own; the attribute must be there all the same.
    dataset.AcquisitionDateTime = None
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = [coded(context.templates, "report_title")]
    dataset.VerificationFlag = "UNVERIFIED"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.add_new("EncapsulatedDocument", "OB", content + b"\0" * (len(content) % 2))
    if maps:
        dataset.SourceInstanceSequence = [_source(image, context) for image in maps]
    return dataset


def _source(image: Dataset, context: OutputContext) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [coded(context.templates, "source_for_processing")]
    return item
