"""Regions of interest as shares of voxels, with their origin."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cestle.errors import GeometryError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Real


class RegionForm(StrEnum):
    """The object that a region came from."""

    SEGMENTATION = "DICOM SEG"
    STRUCTURE_SET = "RTSTRUCT"
    LABEL_MAP = "label map"
    PLUG_IN = "plug-in"
    ATLAS = "built-in atlas"


class RegionClass(StrEnum):
    """How far outlines can be trusted, best first; the letters of the ladder of sources."""

    EXPERT = "A"
    """Drawn or corrected by a person."""
    SITE_TOOL = "B"
    """By a segmentation program of the site, not edited."""
    PLUG_IN = "C"
    """By a program that this software ran."""
    ATLAS = "D"
    """By the built-in atlas: unverified, for a preliminary result only."""

    @property
    def verified(self) -> bool:
        """Whether numbers from such outlines are more than preliminary."""
        return self is not RegionClass.ATLAS


@dataclass(frozen=True, kw_only=True)
class RegionSource:
    """Where a region came from, in words that may stand in a report.

    Parameters
    ----------
    form
        Kind of object.
    creation
        How it was made, as the object says: "manual", "semiautomatic", "automatic" or "unknown".
    identifier
        SOP Instance UID, "file" for a label map that a person named, or name and version of what
        drew it.
    tool
        Name and version of the program that drew it, empty where the object does not say.
    creator
        Who drew it, as the object says.
    drawn_on
        Series Instance UID of the images that it was drawn on, empty where it does not say.
    digest
        SHA-256 of the files of the program that drew it, for programs that this software ran.
    doubts
        Why outlines drawn by software cannot be relied on; empty for outlines that can.
    """

    form: RegionForm
    creation: str
    identifier: str
    tool: str = ""
    creator: str = ""
    drawn_on: str = ""
    digest: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def region_class(self) -> RegionClass:
        """Step of the ladder, from what the object says of itself.

        A segmentation that does not say how it was made counts as a program's. An RT Structure
        Set need not say it, and is what a person draws; only "automatic" makes it a program's.
        """
        by_person = self.creation in ("manual", "semiautomatic")
        match self.form:
            case RegionForm.ATLAS:
                return RegionClass.ATLAS
            case RegionForm.PLUG_IN:
                return RegionClass.PLUG_IN
            case RegionForm.STRUCTURE_SET if self.creation != "automatic":
                return RegionClass.EXPERT
            case RegionForm.SEGMENTATION if by_person:
                return RegionClass.EXPERT
            case _:
                return RegionClass.SITE_TOOL

    @property
    def in_words(self) -> str:
        """Form, creation and tool in a few words."""
        words = [str(self.form), self.creation]
        if self.tool and self.region_class is not RegionClass.EXPERT:
            words.append(self.tool)
        if not self.region_class.verified:
            words.append("unverified")
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """One structure of one side.

    Parameters
    ----------
    structure, side
        What it is; `side` is the patient's and has been verified in LPS by the reader.
    fraction
        Share of each voxel that lies in the region, 0…1, shape of `grid`.
    grid
        Place of the voxels.
    source
        Where the region came from.
    """

    structure: Structure
    side: Side
    fraction: Real
    grid: Grid
    source: RegionSource

    def __post_init__(self) -> None:
        fraction = np.array(self.fraction, dtype=np.float64)
        if fraction.shape != self.grid.shape:
            raise GeometryError(
                f"the fractions of {self.name} have shape {fraction.shape}, {self.grid.shape} "
                "was expected."
            )
        if not (np.all(fraction >= 0.0) and np.all(fraction <= 1.0 + 1e-9)):
            raise GeometryError(f"the fractions of {self.name} leave the range 0 to 1.")
        fraction.setflags(write=False)
        object.__setattr__(self, "fraction", fraction)

    @property
    def name(self) -> str:
        """Name in results, such as ``hippocampus_left``."""
        return f"{self.structure}_{self.side}"

    @property
    def volume_mm3(self) -> float:
        """Volume [mm³]."""
        return float(self.fraction.sum()) * self.grid.voxel_volume_mm3

    @property
    def centroid_lps_mm(self) -> Real:
        """Centre of mass in LPS, shape (3,) [mm]."""
        index = np.argwhere(self.fraction > 0.0).astype(np.float64)
        if len(index) == 0:
            raise GeometryError(f"the region {self.name} is empty.")
        weights = self.fraction[self.fraction > 0.0]
        centre: Real = self.grid.to_lps(np.average(index, axis=0, weights=weights))
        return centre
