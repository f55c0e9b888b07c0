"""The GluCEST map as a Parametric Map: whole numbers with a mapping, for scientific readers.

Whole numbers, because viewers that draw no floating point pixels draw these.
"""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
import numpy as np
from pydicom import Dataset

from cestle.cest.images import GluCestMap
from cestle.dicom.coding import coded
from cestle.dicom.identity import MANUFACTURER, MODEL, SERIAL_NUMBER, OutputContext
from cestle.dicom.map_image import PADDING as MAP_PADDING
from cestle.dicom.map_image import SLOPE as MAP_SLOPE
from cestle.dicom.map_image import stored_values as map_values
from cestle.dicom.segmentation import carrier

PRODUCT: Final = "parametric_map"
SLOPE: Final = MAP_SLOPE
"""Percent per stored unit."""
INTERCEPT: Final = -100.0
"""Percent at stored 0; the range ends at 555.35 %."""
PADDING: Final = 0
_LIMIT: Final = 65535

Stored = np.ndarray[tuple[int, ...], np.dtype[np.uint16]]


def build_parametric_map(
    glucest: GluCestMap, maps: Sequence[Dataset], context: OutputContext
) -> Dataset:
    """Build the map, patient and study still to be written.

    Parameters
    ----------
    glucest
        The map.
    maps
        The unfinished map images of the same slices, which are the object's sources.
    context
        What all objects share.
    """
    low, high = (
        round((percent - INTERCEPT) / SLOPE) for percent in context.templates.page.range_percent
    )
    dataset = hd.pm.ParametricMap(
        source_images=[carrier(image) for image in maps],
        pixel_array=stored_values(glucest),
        series_instance_uid=context.series_uid(PRODUCT),
        series_number=context.series_number(PRODUCT),
        sop_instance_uid=context.instance_uid(PRODUCT),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=context.results.software_version,
        device_serial_number=SERIAL_NUMBER,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(context)],
        voi_lut_transformations=[
            # The ramp of PS3.3 C.11.2.1.2 spans width - 1 stored units around centre - 1/2.
            hd.VOILUTTransformation(
                window_center=(low + high) / 2.0 + 0.5, window_width=high - low + 1.0
            )
        ],
        content_label="GLUCEST_PERCENT",
        content_description="GluCEST contrast in percent",
        content_creator_name="cestle^software",
        derived_pixel_contrast="QUANTITY",
    )
    dataset.add_new("PixelPaddingValue", "US", PADDING)
    # Readers built on DCMTK follow this macro without looking whether it is there.
    dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_brain(context)]
    return dataset


def stored_values(glucest: GluCestMap) -> Stored:
    """Values as stored, shape of the map; `PADDING` where there is none.

    They are those of the map image, moved by whole units, so that both objects say the same.
    """
    values = map_values(glucest).astype(np.int64)
    known = values != MAP_PADDING
    moved = values - round(INTERCEPT / SLOPE)
    known &= (moved > PADDING) & (moved <= _LIMIT)
    return np.where(known, moved, PADDING).astype(np.uint16)


def _mapping(context: OutputContext) -> hd.pm.RealWorldValueMapping:
    templates = context.templates
    return hd.pm.RealWorldValueMapping(
        lut_label="GLUCEST_PERCENT",
        lut_explanation="GluCEST contrast",
        unit=coded(templates, "percent"),
        # The padding value lies inside, as in the map image and for the same reason.
        value_range=(PADDING, _LIMIT),
        slope=SLOPE,
        intercept=INTERCEPT,
        quantity_definition=coded(templates, "glucest"),
    )


def _brain(context: OutputContext) -> Dataset:
    """The Frame Anatomy macro (PS3.3 C.7.6.16.2.8)."""
    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [coded(context.templates, "brain")]
    return anatomy
