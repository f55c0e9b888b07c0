"""What the spectroscopy voxel holds: tissues by the T1, and the hippocampus of its side."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from cestle.anatomy.box import BoxTissue, share_of_box, tissue_of_box
from cestle.anatomy.regions import Region
from cestle.errors import GeometryError, NumericalError
from cestle.gates import Gate, Limits
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.mrs.series import Voxel
from cestle.study.inputs import ScalarImage

MRS_SCOPE: Final = "mrs"
"""Scope of the quality gates of spectroscopy; they never withhold the GluCEST call."""

FLUID: Final = Limits(
    quantity="share of fluid in the voxel",
    unit="1",
    warn=0.25,
    fail=None,
    higher_is_better=False,
    action="place the voxel away from the temporal horn and the cistern",
)
HIPPOCAMPUS: Final = Limits(
    quantity="share of the voxel that the hippocampus fills",
    unit="1",
    warn=0.2,
    fail=None,
    higher_is_better=True,
    action="place the voxel along the hippocampus; 0.29 to 0.37 is what a perfect place gives",
)


@dataclass(frozen=True, kw_only=True)
class VoxelPlace:
    """What the voxel holds.

    Parameters
    ----------
    tissue
        Shares of the tissues; None where they are not known.
    hippocampus
        Share that the hippocampus of its side fills; None without a region of it.
    reason
        Why the shares of the tissues are not known; empty where they are.
    """

    tissue: BoxTissue | None = None
    hippocampus: float | None = None
    reason: str = ""

    @property
    def content(self) -> str | None:
        """What the voxel holds, in words for the MRSinMRS table; None where nothing is known."""
        parts = []
        if self.hippocampus is not None:
            parts.append(f"{100.0 * self.hippocampus:.0f} % hippocampus")
        if self.tissue is not None:
            shares = (("grey", self.tissue.grey), ("white", self.tissue.white))
            parts += [f"{100.0 * share:.0f} % {name} matter" for name, share in shares]
            parts.append(f"{100.0 * self.tissue.fluid:.0f} % fluid")
        return ", ".join(parts) or None

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Warnings of a voxel that holds much fluid or little hippocampus."""
        gates = []
        if self.tissue is not None:
            gates.append(Gate.held("voxel_fluid", MRS_SCOPE, self.tissue.fluid, FLUID))
        if self.hippocampus is not None:
            held = Gate.held("voxel_hippocampus", MRS_SCOPE, self.hippocampus, HIPPOCAMPUS)
            gates.append(held)
        return tuple(gates)


def place_of_voxel(
    voxel: Voxel | None,
    anatomy: ScalarImage | None,
    regions: Iterable[Region],
    side: Side | None,
    *,
    from_t1: bool,
) -> VoxelPlace:
    """What a voxel holds, where T1 and regions stand in its frame of reference.

    Headers place voxel and T1: nothing shows where the head was while the spectra were acquired.

    Parameters
    ----------
    voxel
        Where the spectra are from.
    anatomy
        The T1.
    regions
        Regions of the study.
    side
        The patient's side of the voxel.
    from_t1
        Whether the T1 may be segmented.
    """
    if voxel is None or not np.all(np.isfinite(voxel.edges_mm)):
        return VoxelPlace(reason="the spectra state no voxel in space")
    share = _hippocampal_share(voxel, regions, side)
    if not from_t1:
        return VoxelPlace(hippocampus=share, reason="tissue_from_t1 is false in the configuration")
    if anatomy is None or anatomy.grid.shape[0] < 2:
        return VoxelPlace(hippocampus=share, reason="there is no 3D T1 to tell the tissues apart")
    if not in_one_frame(voxel, anatomy.grid):
        reason = "the T1 has another Frame of Reference than the spectra"
        return VoxelPlace(hippocampus=share, reason=reason)
    try:
        tissue = tissue_of_box(anatomy.values, anatomy.grid, voxel.centre_mm, voxel.edges_mm)
    except (GeometryError, NumericalError) as fault:
        return VoxelPlace(hippocampus=share, reason=str(fault))
    return VoxelPlace(tissue=tissue, hippocampus=share)


def in_one_frame(voxel: Voxel, grid: Grid) -> bool:
    """Whether nothing states that a voxel and a grid belong to different frames of reference."""
    frames = {voxel.frame_of_reference_uid, grid.frame_of_reference_uid} - {""}
    return len(frames) < 2


def place_form(place: VoxelPlace) -> dict[str, Any]:
    """The keys of the block ``mrs`` that say what the voxel holds."""
    tissue = place.tissue
    return {
        "hippocampus_fraction": place.hippocampus,
        "tissue_fractions": None
        if tissue is None
        else {"grey": tissue.grey, "white": tissue.white, "fluid": tissue.fluid},
        "tissue_reason": place.reason or None,
    }


def _hippocampal_share(voxel: Voxel, regions: Iterable[Region], side: Side | None) -> float | None:
    """Share of a voxel that the hippocampus of its side fills; None where that is not known.

    A region on a single thick slice has no shape at right angles to it.
    """
    for region in regions:
        wanted = region.structure is Structure.HIPPOCAMPUS and region.side is side
        if wanted and region.grid.shape[0] > 1 and in_one_frame(voxel, region.grid):
            return share_of_box(region, voxel.centre_mm, voxel.edges_mm)
    return None
