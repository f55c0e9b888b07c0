"""What the colour page shows, ready for drawing: arrays, numbers and texts."""

from dataclasses import dataclass

from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real
from cestle.render.blocks import Light as Light
from cestle.render.blocks import TextBlock as TextBlock
from cestle.render.colors import ColorScale
from cestle.render.mrs_content import SpectraPanel


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownRegion:
    """A region on the grid of the map.

    Parameters
    ----------
    structure, side
        What it is; `side` is the patient's.
    label
        Short name drawn beside the outline, such as ``HL``.
    fraction
        Share of each voxel, shape of the grid.
    verified
        Whether a person or a known program stands behind the outline.
    """

    structure: Structure
    side: Side
    label: str
    fraction: Real
    verified: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class MapContent:
    """The map and what lies under and over it.

    Parameters
    ----------
    values
        Shape of `grid`, in the unit of `scale`.
    valid
        Voxels that have a value, same shape.
    underlay
        Anatomy, same shape [a.u.].
    grid
        Place of the voxels.
    regions
        Regions to outline.
    scale
        Colours of the values.
    thin
        Anatomy in the middle plane of the slice that is shown large, in a whole number of samples
        for each voxel, shape (rows · n, columns · n) [a.u.]; None without one that is much thinner
        than the slice.
    """

    values: Real
    valid: Bool
    underlay: Real
    grid: Grid
    regions: tuple[ShownRegion, ...]
    scale: ColorScale
    thin: Real | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class SlicePlace:
    """The T1 on which the place of the slices is shown.

    Parameters
    ----------
    values, grid
        The T1.
    slices
        Grid of the slices.
    x_mm
        Where the sagittal plane lies, x in LPS [mm].
    """

    values: Real
    grid: Grid
    slices: Grid
    x_mm: float


@dataclass(frozen=True, kw_only=True)
class RegionRow:
    """A row of the table: a region and its numbers as texts, in the order of the columns."""

    side: Side
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Spread of a published group: centre and both ends."""

    centre: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """An asymmetry index.

    Parameters
    ----------
    name
        What it is, in words.
    value, interval
        Value and its 95 % interval; None where there is none.
    text
        The numbers, or why there are none.
    reference
        Published spread behind it; None for none.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None
    text: str
    reference: Reference | None


@dataclass(frozen=True, kw_only=True)
class IndexContent:
    """The asymmetry indices on one axis.

    Parameters
    ----------
    title
        Heading.
    rows
        The indices.
    cutoff
        Limit of the rule, drawn as a line through the first row.
    cutoff_text
        What is written at the line.
    half_width
        The axis reaches from minus to plus this value, or further where a value needs it.
    lower_text, upper_text
        What a value to the left and to the right means.
    reference_text
        What the grey band is.
    """

    title: str
    rows: tuple[IndexRow, ...]
    cutoff: float
    cutoff_text: str
    half_width: float
    lower_text: str
    upper_text: str
    reference_text: str


@dataclass(frozen=True, kw_only=True)
class CallContent:
    """The call in words.

    Parameters
    ----------
    headline
        The call.
    side
        Side it points to; None for indeterminate.
    facts
        Rule, score and margin, one line each.
    reasons
        Why, one line each.
    """

    headline: str
    side: Side | None
    facts: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class QualityBlock:
    """The quality light, its word, and what is not in order."""

    title: str
    light: Light
    word: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PageContent:
    """The colour page.

    Parameters
    ----------
    title
        What the page is.
    patient_lines
        Patient banner and study, as the policy allows.
    warning
        Research-use banner, drawn at the top and the bottom.
    picture
        The map; None when there is none.
    no_picture
        Why there is no map; used when `picture` is None.
    map_caption, zoom_caption, anatomy_caption
        What the panels show.
    pair_captions
        What the averaged and the thin anatomy show, where both stand side by side.
    bar_caption
        Quantity and unit of the colour bar, and what grey means.
    picture_note
        Warning at the pictures; empty for none.
    slice_place
        Where the slices lie on the T1; None without a T1.
    columns
        Headings of the table, the first one for the name.
    rows
        The table.
    volumes
        One line below the table; empty for none.
    indices
        The asymmetry indices.
    call
        The call.
    quality
        The quality light and what is not in order.
    missing
        What is not available and why.
    methods
        How the numbers were made.
    footer
        Software and templates.
    more_text
        Text with ``{count}`` for lines that did not fit.
    spectra
        The spectra; None for a study without, whose page then has more room for the map.
    """

    title: str
    patient_lines: tuple[str, ...]
    warning: str
    picture: MapContent | None
    no_picture: TextBlock
    map_caption: str
    zoom_caption: str
    anatomy_caption: str
    pair_captions: tuple[str, str]
    bar_caption: tuple[str, ...]
    picture_note: str
    slice_place: SlicePlace | None
    columns: tuple[str, ...]
    rows: tuple[RegionRow, ...]
    volumes: str
    indices: IndexContent
    call: CallContent
    quality: QualityBlock
    missing: TextBlock
    methods: TextBlock
    footer: str
    more_text: str
    spectra: SpectraPanel | None = None
