"""Pages as Secondary Captures: the outputs that every viewer shows."""

from collections.abc import Sequence
from typing import Final

from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from cestle.dicom.coding import coded
from cestle.dicom.identity import OutputContext
from cestle.render.colors import Pixels

PRODUCT: Final = "secondary_capture"
MRS_PRODUCT: Final = "mrs_page"
FRAMES_PRODUCT: Final = "page_frames"

_DERIVATIONS: Final = {
    PRODUCT: "Colour page of the GluCEST analysis",
    MRS_PRODUCT: "Page of the MEGA-PRESS analysis",
    FRAMES_PRODUCT: "Pages and pictures of the analysis",
}


def build_capture(
    page: Pixels, maps: Sequence[Dataset], context: OutputContext, product: str = PRODUCT
) -> Dataset:
    """Build a capture, patient and study still to be written.

    No plane or frame of reference is stated: the page shows several planes at several scales,
    and a viewer must not measure on it.

    Parameters
    ----------
    page
        RGB, shape (rows, columns, 3).
    maps
        The map images that the page shows; empty when there are none.
    context
        What all objects share.
    product
        Which page, by its name in the series rules.
    """
    dataset = color_image(product, page, maps, context)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    return dataset


def color_image(
    product: str, pixels: Pixels, maps: Sequence[Dataset], context: OutputContext
) -> Dataset:
    """What captures of one and of several frames have in common.

    Parameters
    ----------
    product
        Name in the series rules.
    pixels
        RGB, shape (rows, columns, 3) or (frames, rows, columns, 3).
    maps
        The map images that are shown.
    context
        What all objects share.
    """
    dataset = Dataset()
    dataset.SOPInstanceUID = context.instance_uid(product)
    dataset.StudyInstanceUID = context.header.study_instance_uid
    dataset.SeriesInstanceUID = context.series_uid(product)
    dataset.Modality = "OT"
    dataset.InstanceNumber = 1
    dataset.ConversionType = "WSD"
    dataset.ImageType = context.rule(product).image_type
    dataset.PatientOrientation = None
    dataset.BurnedInAnnotation = "YES"
    dataset.DerivationDescription = _DERIVATIONS[product]
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OB", pixels.tobytes())
    if maps:
        dataset.SourceImageSequence = [_reference(image, context) for image in maps]
    return dataset


def _reference(image: Dataset, context: OutputContext) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = image.SOPClassUID
    item.ReferencedSOPInstanceUID = image.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [coded(context.templates, "source_for_processing")]
    return item
