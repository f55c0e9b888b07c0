"""The regions as they were used: shares of voxels on the grid of the map, as a SEG."""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
import numpy as np
from pydicom import Dataset

from cestle.anatomy.regions import Region, RegionClass, RegionSource
from cestle.dicom.coding import ascii_text, coded
from cestle.dicom.identity import OutputContext
from cestle.dicom.references import blank_patient
from cestle.measurement import Side, Structure

PRODUCT: Final = "segmentation"
_LEVELS: Final = 255
_ALGORITHM_TYPES: Final = {"manual": "MANUAL", "semiautomatic": "SEMIAUTOMATIC"}


def segment_label(structure: Structure, side: Side) -> str:
    """Name of a region in objects, such as ``Left hippocampus``."""
    return f"{side.capitalize()} {structure}"


def tracking_uid(region_name: str, context: OutputContext) -> str:
    """UID by which segment and measurements of a region find each other."""
    return context.uid(f"tracking.{region_name}")


def build_segmentation(
    regions: Sequence[Region], maps: Sequence[Dataset], context: OutputContext
) -> Dataset:
    """Build the segmentation, patient and study still to be written.

    Parameters
    ----------
    regions
        Regions on the grid of the map, none of them empty.
    maps
        The unfinished map images, which are the segmentation's sources.
    context
        What all objects share.
    """
    # Segments along the last axis, as highdicom expects: (slices, rows, columns, segments).
    fractions = np.stack([np.clip(region.fraction, 0.0, 1.0) for region in regions], axis=-1)
    return hd.seg.Segmentation(
        source_images=[carrier(image) for image in maps],
        pixel_array=np.rint(fractions * _LEVELS) / _LEVELS,
        segmentation_type=hd.seg.SegmentationTypeValues.FRACTIONAL,
        fractional_type=hd.seg.SegmentationFractionalTypeValues.OCCUPANCY,
        max_fractional_value=_LEVELS,
        segment_descriptions=[
            describe_segment(number, region, "resampled to the GluCEST grid", context)
            for number, region in enumerate(regions, 1)
        ],
        **context.made_as(PRODUCT),
        content_label="GLUCEST_ROIS",
        content_description="Regions as used for the GluCEST means",
    )


def carrier(image: Dataset) -> Dataset:
    """A copy of a map image with the empty patient that highdicom needs to find."""
    copy = Dataset()
    for element in image:
        if element.keyword != "PixelData":
            copy.add(element)
    blank_patient(copy)
    return copy


def describe_segment(
    number: int, region: Region, place: str, context: OutputContext
) -> hd.seg.SegmentDescription:
    """Structure, side and origin of a segment.

    Parameters
    ----------
    number
        Of the segment.
    region
        What it shows.
    place
        Where its voxels stand, in words.
    context
        What all objects share.
    """
    templates, source = context.templates, region.source
    label = segment_label(region.structure, region.side)
    side = coded(templates, "left" if region.side is Side.LEFT else "right")
    algorithm = _algorithm_type(source)
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=coded(templates, "anatomical_structure"),
        segmented_property_type=coded(templates, str(region.structure)),
        algorithm_type=algorithm,
        algorithm_identification=(None if algorithm == "MANUAL" else _algorithm(source, context)),
        tracking_uid=tracking_uid(region.name, context),
        tracking_id=label,
    )
    # highdicom has no parameter for the side of the property type.
    item = description.SegmentedPropertyTypeCodeSequence[0]
    item.SegmentedPropertyTypeModifierCodeSequence = [side]
    mark = "" if source.region_class.verified else ", UNVERIFIED"
    description.SegmentDescription = ascii_text(f"{source.form}, {source.creation}{mark}, {place}")[
        :64
    ]
    return description


def _algorithm_type(source: RegionSource) -> str:
    """Segment Algorithm Type: never less automatic than what is known of the source."""
    if source.region_class is not RegionClass.EXPERT:
        return "AUTOMATIC"
    return _ALGORITHM_TYPES.get(source.creation, "SEMIAUTOMATIC")


def _algorithm(source: RegionSource, context: OutputContext) -> hd.AlgorithmIdentificationSequence:
    if source.region_class is RegionClass.ATLAS:
        return hd.AlgorithmIdentificationSequence(
            name="automatic atlas, unverified",
            family=coded(context.templates, "region_by_atlas"),
            version=context.results.software_version,
        )
    return hd.AlgorithmIdentificationSequence(
        name=ascii_text(source.tool)[:64] or "as supplied",
        family=coded(context.templates, "region_as_supplied"),
        version="as named" if source.tool else "unknown",
    )
