"""What the readers hand to the analysis."""

from dataclasses import dataclass
from typing import Final

from cestle.anatomy.regions import Region
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.tissue import TissueFractions
from cestle.geometry import Grid
from cestle.measurement import Side
from cestle.mrs.series import MegaSeries
from cestle.physics import Real

NO_SPECTRA: Final = (
    "no MEGA-PRESS series was found; no series matches a rule for mrs_mega. Send it, or adapt the "
    "classification rules."
)
"""Line of `StudyInputs.missing` for a study without spectra, which lacks nothing by it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ScalarImage:
    """An image with a place: a T1, or the vendor's own GluCEST map.

    Parameters
    ----------
    values
        Shape of `grid`; a vendor map is in percent, or in unknown units when
        `unit_known` is False.
    grid
        Place of the voxels.
    unit_known
        Whether `values` are in the unit that the role implies.
    """

    values: Real
    grid: Grid
    unit_known: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyInputs:
    """All that one study offers for analysis; None where it offers nothing.

    Parameters
    ----------
    study_instance_uid
        The study.
    saturation
        The CEST source images, repeats kept apart.
    fields
        B0 and B1 on the grid of `saturation`.
    vendor_map
        The scanner's own GluCEST map.
    anatomy
        3D T1 for the pictures and the regions.
    regions
        Regions as drawn, each on its own grid, sides verified.
    onset_side
        Known side of seizure onset, only when an order or a person stated it.
    tissue
        Shares of the tissues on the grid of `saturation`, when a person gave a segmentation.
    regions_refused
        Why regions that were sent cannot be used; empty when they can, or none were sent. Where
        it says something, no other regions take their place.
    region_notes
        Which regions were left out, and why better sources gave none.
    missing
        For each input that is absent or unusable, its name and one line that says why,
        for example ``("b0_map", "no series was recognised as B0 map; …")``.
    mega
        The MEGA-PRESS acquisition; None when none was sent, or when it could not be read and
        `missing` says why under ``mrs_mega``.
    intracranial_volume_mm3
        Volume inside the skull, by the scale of an atlas; None where it is not known [mm³].
    intracranial_reason
        Why it is not known; empty where it is, and where nothing asked for it.
    """

    study_instance_uid: str
    saturation: SaturationImages | None
    fields: FieldMaps | None
    vendor_map: ScalarImage | None
    anatomy: ScalarImage | None
    regions: tuple[Region, ...]
    onset_side: Side | None
    tissue: TissueFractions | None = None
    regions_refused: str = ""
    region_notes: tuple[str, ...] = ()
    missing: tuple[tuple[str, str], ...] = ()
    mega: MegaSeries | None = None
    intracranial_volume_mm3: float | None = None
    intracranial_reason: str = ""
