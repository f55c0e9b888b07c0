"""The GluCEST map as derived MR images: greyscale that any viewer windows and measures."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from cestle.cest.images import GluCestMap
from cestle.dicom.coding import ascii_text, coded
from cestle.dicom.identity import OutputContext
from cestle.geometry import Grid
from cestle.physics import Real

PRODUCT: Final = "glucest_map"
SLOPE: Final = 0.01
"""Percent per stored unit."""
PADDING: Final = -32768
_LIMIT: Final = 32767
_POSITION_TOLERANCE_MM: Final = 0.05

_COPIED: Final = (
    *("ScanningSequence", "SequenceVariant", "ScanOptions", "MRAcquisitionType"),
    *("SequenceName", "EchoTime", "RepetitionTime", "EchoTrainLength", "FlipAngle"),
    *("MagneticFieldStrength", "ImagedNucleus", "PatientPosition"),
)
_WHEN_ABSENT: Final = {
    "ScanningSequence": "RM",
    "SequenceVariant": "NONE",
    "ScanOptions": None,
    "MRAcquisitionType": None,
    "EchoTime": None,
    "RepetitionTime": None,
    "EchoTrainLength": None,
    "PatientPosition": None,
}
"""Type 1 and 2 attributes of the MR Image module (PS3.3 C.8.3.1) that a source may lack."""


def build_map(
    glucest: GluCestMap,
    sources: Sequence[Dataset],
    fields: Sequence[Dataset],
    context: OutputContext,
) -> list[Dataset]:
    """Build one MR image for each slice, patient and study still to be written.

    Parameters
    ----------
    glucest
        The map.
    sources
        Headers of the images it was made from.
    fields
        Headers of the B0 and B1 maps that took part.
    context
        What all objects share.
    """
    return [
        _slice(glucest, index, sources, fields, context) for index in range(glucest.grid.shape[0])
    ]


def stored_values(glucest: GluCestMap) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """Values as stored: percent in hundredths, `PADDING` where there is none.

    A value beyond ±327.67 % has no meaning as a contrast and is stored as padding.
    """
    known = glucest.valid & np.isfinite(glucest.percent)
    scaled = np.rint(np.where(known, glucest.percent, 0.0) / SLOPE)
    known &= np.abs(scaled) <= _LIMIT
    return np.where(known, scaled, PADDING).astype(np.int16)


def plane_geometry(grid: Grid, index: int) -> tuple[list[float], list[float], list[float]]:
    """ImagePositionPatient, ImageOrientationPatient and PixelSpacing of a slice (PS3.3 C.7.6.2)."""
    _, row_mm, column_mm = grid.spacing_mm
    across = grid.affine[:3, 2] / column_mm
    down = grid.affine[:3, 1] / row_mm
    position = grid.to_lps(np.array([float(index), 0.0, 0.0]))
    orientation = [*across, *down]
    return ([float(v) for v in position], [float(v) for v in orientation], [row_mm, column_mm])


def _slice(
    glucest: GluCestMap,
    index: int,
    sources: Sequence[Dataset],
    fields: Sequence[Dataset],
    context: OutputContext,
) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = context.instance_uid(PRODUCT, index + 1)
    dataset.StudyInstanceUID = context.header.study_instance_uid
    dataset.SeriesInstanceUID = context.series_uid(PRODUCT)
    dataset.Modality = "MR"
    dataset.InstanceNumber = index + 1
    dataset.ImageType = context.rule(PRODUCT).image_type
    position = glucest.grid.to_lps(np.array([float(index), 0.0, 0.0]))
    here = [source for source in sources if _is_at(source, position)]
    _acquisition(dataset, [*here, *sources])
    _plane(dataset, glucest.grid, index, here)
    _pixels(dataset, stored_values(glucest)[index])
    _meaning(dataset, context)
    used = [*(here or sources), *_at_or_all(fields, position)]
    _provenance(dataset, used, context)
    return dataset


def _at_or_all(datasets: Sequence[Dataset], position: Real) -> list[Dataset]:
    return [dataset for dataset in datasets if _is_at(dataset, position)] or list(datasets)


def _is_at(source: Dataset, position: Real) -> bool:
    stated = source.get("ImagePositionPatient")
    if stated is None or len(stated) != 3:
        return False
    distance = np.linalg.norm(np.array([float(v) for v in stated]) - position)
    return bool(distance < _POSITION_TOLERANCE_MM)


def _acquisition(dataset: Dataset, sources: Sequence[Dataset]) -> None:
    source = sources[0] if sources else Dataset()
    for keyword in _COPIED:
        if keyword in source:
            setattr(dataset, keyword, source[keyword].value)
        elif keyword in _WHEN_ABSENT:
            setattr(dataset, keyword, _WHEN_ABSENT[keyword])
    frequency = source.get("ImagingFrequency")
    if frequency is not None:
        # UIH writes Hz where the standard says MHz.
        value = float(frequency)
        value = value / 1e6 if value > 1e5 else value
        dataset.ImagingFrequency = format_number_as_ds(value)


def _plane(dataset: Dataset, grid: Grid, index: int, here: Sequence[Dataset]) -> None:
    """Geometry, to the letter as in the source where a source slice lies at this place."""
    position, orientation, spacing = plane_geometry(grid, index)
    for keyword, values in (
        ("ImagePositionPatient", position),
        ("ImageOrientationPatient", orientation),
        ("PixelSpacing", spacing),
    ):
        setattr(dataset, keyword, _as_in_source(keyword, values, here))
    dataset.SliceThickness = format_number_as_ds(grid.slice_thickness_mm)
    dataset.SpacingBetweenSlices = format_number_as_ds(grid.spacing_mm[0])
    dataset.FrameOfReferenceUID = grid.frame_of_reference_uid
    dataset.PositionReferenceIndicator = None


def _as_in_source(keyword: str, values: list[float], here: Sequence[Dataset]) -> list[object]:
    for source in here:
        stated = source.get(keyword)
        if stated is not None and len(stated) == len(values):
            found = np.array([float(v) for v in stated])
            if np.allclose(found, values, rtol=0.0, atol=1e-3):
                return list(stated)
    return [format_number_as_ds(value) for value in values]


def _pixels(dataset: Dataset, stored: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.add_new("PixelPaddingValue", "SS", PADDING)
    dataset.add_new("PixelData", "OW", stored.astype("<i2").tobytes())


def _meaning(dataset: Dataset, context: OutputContext) -> None:
    """What a stored value means: percent, said twice where the site wants it."""
    templates = context.templates
    low, high = templates.page.range_percent
    rescale = context.rule(PRODUCT).rescale
    unit = 1.0 if rescale else SLOPE
    # The LINEAR function (PS3.3 C.11.2.1.2) is made for integers: its ramp runs from
    # centre - width/2 to centre + width/2 - 1, so half and one are added to span the range.
    dataset.WindowCenter = format_number_as_ds((low + high) / 2.0 / unit + 0.5)
    dataset.WindowWidth = format_number_as_ds((high - low) / unit + 1.0)
    if rescale:
        dataset.RescaleIntercept = "0"
        dataset.RescaleSlope = format_number_as_ds(SLOPE)
        dataset.RescaleType = "%"
    mapping = Dataset()
    # The padding value is inside the mapped range although it stands for no contrast: readers
    # such as highdicom refuse a whole image when one pixel lies outside.
    mapping.add_new("RealWorldValueFirstValueMapped", "SS", PADDING)
    mapping.add_new("RealWorldValueLastValueMapped", "SS", _LIMIT)
    mapping.RealWorldValueIntercept = 0.0
    mapping.RealWorldValueSlope = SLOPE
    mapping.LUTExplanation = "GluCEST contrast"
    mapping.LUTLabel = "GLUCEST_PERCENT"
    mapping.MeasurementUnitsCodeSequence = [coded(templates, "percent")]
    quantity = Dataset()
    quantity.ValueType = "CODE"
    quantity.ConceptNameCodeSequence = [coded(templates, "quantity")]
    quantity.ConceptCodeSequence = [coded(templates, "glucest")]
    mapping.QuantityDefinitionSequence = [quantity]
    dataset.RealWorldValueMappingSequence = [mapping]


def _provenance(dataset: Dataset, used: Sequence[Dataset], context: OutputContext) -> None:
    method = context.results.glucest
    dataset.DerivationDescription = ascii_text(
        f"GluCEST contrast in percent; source {method.source}; B0 {method.b0_method}; "
        f"B1 {method.b1_method}"
    )[:1024]
    dataset.DerivationCodeSequence = [coded(context.templates, "glucest_calculation")]
    items = []
    for source in used:
        item = Dataset()
        item.ReferencedSOPClassUID = source.SOPClassUID
        item.ReferencedSOPInstanceUID = source.SOPInstanceUID
        item.PurposeOfReferenceCodeSequence = [coded(context.templates, "source_for_processing")]
        items.append(item)
    dataset.SourceImageSequence = items
    dataset.BurnedInAnnotation = "NO"
