"""Built-in regions: a T1 template and a table of ellipses, warped to a patient's T1."""

from cestle.anatomy.atlas.confidence import AtlasConfidence
from cestle.anatomy.atlas.segmentation import (
    AtlasSegmentation,
    intracranial_volume,
    segment_with_atlas,
)
from cestle.anatomy.atlas.template import AtlasTemplate, EllipseSections, EllipseTable

__all__ = [
    "AtlasConfidence",
    "AtlasSegmentation",
    "AtlasTemplate",
    "EllipseSections",
    "EllipseTable",
    "intracranial_volume",
    "segment_with_atlas",
]
