"""What is drawn of MEGA-PRESS spectra, ready for drawing: arrays, numbers and texts."""

from dataclasses import dataclass

from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real
from cestle.render.blocks import Light, TextBlock


@dataclass(frozen=True, kw_only=True, eq=False)
class Signal:
    """What one group of metabolites adds to a spectrum.

    Parameters
    ----------
    label
        Name, written at its highest point.
    values
        Without baseline, shape (point,) [a.u.].
    filled
        Whether its area is filled, as those that ratios are made of.
    """

    label: str
    values: Real
    filled: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class SpectrumContent:
    """A spectrum with its fit; all real parts, shape (point,).

    Parameters
    ----------
    title
        Which spectrum.
    ppm
        Chemical shifts, ascending; drawn with high values at the left [ppm].
    data, fit, baseline
        Spectrum, whole fit, baseline alone [a.u.].
    signals
        Groups that are labelled.
    """

    title: str
    ppm: Real
    data: Real
    fit: Real
    baseline: Real
    signals: tuple[Signal, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownOutline:
    """A region to outline on anatomy: share of each voxel of its own grid."""

    structure: Structure
    side: Side
    fraction: Real
    grid: Grid


@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelContent:
    """The voxel on anatomy.

    Parameters
    ----------
    values, grid
        The anatomical series and its place.
    centre_mm, edges_mm
        Centre and edge vectors (rows) of the voxel in LPS, shapes (3,) and (3, 3) [mm].
    side
        The patient's side, for the colour; None where it is not known.
    outlines
        Regions on their own grids, outlined where a plane meets them.
    """

    values: Real
    grid: Grid
    centre_mm: Real
    edges_mm: Real
    side: Side | None
    outlines: tuple[ShownOutline, ...]


@dataclass(frozen=True, kw_only=True)
class RatioRow:
    """A ratio: its name, and the value with its error as text."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Legend:
    """What the lines of a spectrum are."""

    data: str
    fit: str
    baseline: str
    residual: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SpectraPanel:
    """Spectra on the colour page.

    Parameters
    ----------
    title
        Method, and the side of the voxel in words.
    off, edited
        Mean OFF, and the edited range of ON − OFF.
    legend
        What the lines are.
    voxel
        The voxel on the T1; None without T1 or geometry.
    voxel_text
        What the picture of the voxel shows, or why there is none.
    ratios
        The numbers.
    light, quality_title, quality_word
        The verdict as a light, and in words.
    notes
        The convention in short words.
    stamp
        Written large over the spectra; empty when the numbers may be used.
    """

    title: str
    off: SpectrumContent
    edited: SpectrumContent
    legend: Legend
    voxel: VoxelContent | None
    voxel_text: str
    ratios: tuple[RatioRow, ...]
    light: Light
    quality_title: str
    quality_word: str
    notes: tuple[str, ...]
    stamp: str


@dataclass(frozen=True, kw_only=True, eq=False)
class DriftContent:
    """Frequency of each transient, and which were left out.

    Parameters
    ----------
    title, axis, absent
        Heading, name of the axis with its unit, and what is written without transients.
    frequency_hz
        In the order of acquisition, shape (transient,) [Hz].
    on, rejected
        Edit state, and whether it was left out of the mean, same shape.
    on_text, off_text, rejected_text
        What the marks are.
    """

    title: str
    axis: str
    absent: str
    frequency_hz: Real
    on: Bool
    rejected: Bool
    on_text: str
    off_text: str
    rejected_text: str


@dataclass(frozen=True, kw_only=True)
class RangeRow:
    """A ratio with both of its error bars.

    Parameters
    ----------
    name, text
        What it is, and its numbers.
    value
        The ratio.
    interval
        95 % interval from noise; None where it is not known.
    models
        Smallest and largest value over the choices of model; None where there is one choice.
    published
        Published spread: centre, low and high; None for none.
    """

    name: str
    text: str
    value: float
    interval: tuple[float, float] | None
    models: tuple[float, float] | None
    published: tuple[float, float, float] | None


@dataclass(frozen=True, kw_only=True)
class GateRow:
    """A quality gate: its words, value, limit and verdict."""

    name: str
    value: str
    limit: str
    light: Light
    word: str


@dataclass(frozen=True, kw_only=True, eq=False)
class MrsPage:
    """The page of the spectra.

    Parameters
    ----------
    title, patient_lines, warning, footer, more_text
        As on the colour page.
    panel
        What the colour page shows as well.
    difference
        ON − OFF over the whole range.
    drift
        Frequency and rejection of the transients.
    plane_titles
        Names of the axial, coronal and sagittal plane.
    ranges, ranges_note
        The ratios with both error bars, and what the marks are.
    gates, gates_title, gates_columns
        The quality gates.
    protocol, protocol_title
        The MRSinMRS table: name and statement.
    research, research_title
        Values for comparison and research: rows of a name with one or two numbers.
    method
        The convention in full, model, basis.
    notes
        What was decided and could not be checked.
    """

    title: str
    patient_lines: tuple[str, ...]
    warning: str
    footer: str
    more_text: str
    panel: SpectraPanel
    difference: SpectrumContent
    drift: DriftContent
    plane_titles: tuple[str, str, str]
    ranges: tuple[RangeRow, ...]
    ranges_note: str
    gates: tuple[GateRow, ...]
    gates_title: str
    gates_columns: tuple[str, ...]
    protocol: tuple[tuple[str, str], ...]
    protocol_title: str
    research: tuple[tuple[str, ...], ...]
    research_title: str
    method: TextBlock
    notes: TextBlock
