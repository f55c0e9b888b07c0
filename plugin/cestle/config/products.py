"""The kinds of objects that a study gives, by the names that templates and `node.toml` use."""

from typing import Final, Literal, get_args

Product = Literal[
    "glucest_map",
    "parametric_map",
    "segmentation",
    "segmentation_t1",
    "secondary_capture",
    "mrs_page",
    "page_frames",
    "pdf",
    "report",
    "key_object",
]
PRODUCTS: Final[tuple[str, ...]] = get_args(Product)
"""In the order in which they are sent."""

ReportClass = Literal["negotiated", "comprehensive_3d", "comprehensive", "enhanced"]
"""SOP class of the report for a destination; ``negotiated`` is the best that it accepts."""
