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
    ATLAS = "built-in atlas"


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
        SOP Instance UID, or "file" for a label map given on the command line.
    """

    form: RegionForm
    creation: str
    identifier: str


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
