"""The GluCEST map as a Parametric Map, for scientific readers.

Its pixels are whole numbers with a mapping, because viewers that draw no floating point pixels
draw these; a site whose readers need floating point pixels asks for them.
"""

from collections.abc import Sequence
from typing import Final

import highdicom as hd
import numpy as np
from pydicom import Dataset

from cestle.cest.images import GluCestMap
from cestle.dicom.coding import coded
from cestle.dicom.identity import OutputContext
from cestle.dicom.map_image import PADDING as MAP_PADDING
from cestle.dicom.map_image import SLOPE as MAP_SLOPE
from cestle.dicom.map_image import stored_values as map_values
from cestle.dicom.segmentation import carrier

PRODUCT: Final = "parametric_map"
SLOPE: Final = MAP_SLOPE
"""Percent per stored unit of whole numbers."""
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
    floating = bool(context.rule(PRODUCT).floating_point)
    dataset = hd.pm.ParametricMap(
        source_images=[carrier(image) for image in maps],
        pixel_array=_percent(glucest) if floating else stored_values(glucest),
        **context.made_as(PRODUCT),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(context, floating)],
        voi_lut_transformations=[_window(context, floating)],
        content_label="GLUCEST_PERCENT",
        content_description="GluCEST contrast in percent",
        derived_pixel_contrast="QUANTITY",
    )
    if not floating:
        dataset.add_new("PixelPaddingValue", "US", PADDING)
    # Readers built on DCMTK follow this macro without looking whether it is there.
    dataset.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [_brain(context)]
    _order_frames(dataset, "FloatPixelData" if floating else "PixelData")
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


def _percent(glucest: GluCestMap) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The map as it is, NaN where there is no value."""
    known = map_values(glucest) != MAP_PADDING
    return np.where(known, glucest.percent, np.nan).astype(np.float32)


def _mapping(context: OutputContext, floating: bool) -> hd.pm.RealWorldValueMapping:
    templates = context.templates
    return hd.pm.RealWorldValueMapping(
        lut_label="GLUCEST_PERCENT",
        lut_explanation="GluCEST contrast",
        unit=coded(templates, "percent"),
        # The padding value lies inside, as in the map image and for the same reason.
        value_range=(-1000.0, 1000.0) if floating else (PADDING, _LIMIT),
        slope=1.0 if floating else SLOPE,
        intercept=0.0 if floating else INTERCEPT,
        quantity_definition=coded(templates, "glucest"),
    )


def _window(context: OutputContext, floating: bool) -> hd.VOILUTTransformation:
    """The window that spans the colour scale, in stored values."""
    low, high = context.templates.page.range_percent
    if floating:
        return hd.VOILUTTransformation(
            window_center=(low + high) / 2.0,
            window_width=high - low,
            voi_lut_function=hd.VOILUTFunctionValues.LINEAR_EXACT,
        )
    first, last = (round((percent - INTERCEPT) / SLOPE) for percent in (low, high))
    # The ramp of PS3.3 C.11.2.1.2 spans width - 1 stored units around centre - 1/2.
    return hd.VOILUTTransformation(
        window_center=(first + last) / 2.0 + 0.5, window_width=last - first + 1.0
    )


def _order_frames(dataset: Dataset, pixels: str) -> None:
    """Order frames along the normal of the slices, row direction by column direction.

    The order has no meaning in the standard, but dcmqi places the frames of a Parametric Map in
    this order and not where they say they are.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    stated = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    directions = np.array([float(value) for value in stated])
    normal = np.cross(directions[:3], directions[3:])
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    positions = np.array(
        [
            [float(value) for value in frame.PlanePositionSequence[0].ImagePositionPatient]
            for frame in frames
        ]
    )
    order = np.argsort(positions @ normal)
    stored = np.frombuffer(dataset[pixels].value, dtype=np.uint8).reshape(len(frames), -1)
    dataset[pixels].value = stored[order].tobytes()
    dataset.PerFrameFunctionalGroupsSequence = [frames[index] for index in order]
    for number, frame in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
        frame.FrameContentSequence[0].DimensionIndexValues = [number]


def _brain(context: OutputContext) -> Dataset:
    """The Frame Anatomy macro (PS3.3 C.7.6.16.2.8)."""
    anatomy = Dataset()
    anatomy.FrameLaterality = "U"
    anatomy.AnatomicRegionSequence = [coded(context.templates, "brain")]
    return anatomy
