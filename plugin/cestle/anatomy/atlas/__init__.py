"""Built-in regions: a T1 template and a table of ellipses, warped to a patient's T1."""

from cestle.anatomy.atlas.confidence import AtlasConfidence
from cestle.anatomy.atlas.ellipse_fit import (
    LEAST_PEOPLE,
    FittedTable,
    LabelledLobes,
    fit_and_judge,
    labelled_lobes,
    require_both_sides,
)
from cestle.anatomy.atlas.segmentation import (
    AtlasSegmentation,
    follow_head,
    intracranial_volume,
    segment_with_atlas,
)
from cestle.anatomy.atlas.template import AtlasTemplate, EllipseSections, EllipseTable

__all__ = [
    "LEAST_PEOPLE",
    "AtlasConfidence",
    "AtlasSegmentation",
    "AtlasTemplate",
    "EllipseSections",
    "EllipseTable",
    "FittedTable",
    "LabelledLobes",
    "fit_and_judge",
    "follow_head",
    "intracranial_volume",
    "labelled_lobes",
    "require_both_sides",
    "segment_with_atlas",
]
