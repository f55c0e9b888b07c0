"""Fluid in the regions: voxels that hold much of it are left out, and what that leaves is judged.

After saturation fluid is three to four times as bright as tissue and has no contrast, so a tenth
of it takes a quarter of the contrast of a voxel. More of it on one side passes for an asymmetry.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from cestle.anatomy.region_statistics import MOST_FLUID
from cestle.anatomy.regions import Region
from cestle.cest.tissue import TissueFractions
from cestle.gates import Gate
from cestle.measurement import Side, Structure
from cestle.study.quality import LIMITS
from cestle.study.results import RegionResult


@dataclass(frozen=True, kw_only=True)
class RegionFluid:
    """Fluid in one region as drawn.

    Parameters
    ----------
    share
        Mean share of fluid over the region [1].
    left_out
        Share of the region in voxels that hold too much fluid to count [1].
    """

    share: float
    left_out: float


def without_fluid(
    regions: Iterable[Region], tissue: TissueFractions | None
) -> tuple[tuple[Region, ...], dict[str, RegionFluid], dict[str, str]]:
    """Regions without the voxels that hold much fluid.

    Parameters
    ----------
    regions
        On the grid of the map.
    tissue
        Shares on that grid; None where they are not known, then the regions stay as they are.

    Returns
    -------
        The regions, the fluid of each, and why a region is empty now.
    """
    if tissue is None:
        return tuple(regions), {}, {}
    kept, fluid, reasons = [], {}, {}
    for region in regions:
        weight = region.fraction
        if not weight.any():
            kept.append(region)
            continue
        solid = np.where(tissue.fluid < MOST_FLUID, weight, 0.0)
        total = float(weight.sum())
        fluid[region.name] = RegionFluid(
            share=float(np.sum(weight * tissue.fluid)) / total,
            left_out=1.0 - float(solid.sum()) / total,
        )
        if not solid.any():
            reasons[region.name] = (
                f"every voxel of the region holds {MOST_FLUID:.0%} of fluid or more by the T1; "
                "check the region and the place of the slice"
            )
            continue
        kept.append(replace(region, fraction=solid))
    return tuple(kept), fluid, reasons


def fluid_gates(fluid: Mapping[str, RegionFluid]) -> tuple[Gate, ...]:
    """Hold the fluid of the regions, and its difference between the sides, against the limits."""
    regions = (
        Gate.held("csf_share", name, 100.0 * one.share, LIMITS["csf_share"])
        for name, one in fluid.items()
    )
    return (*regions, *_side_gates(fluid))


def with_fluid(
    rois: Mapping[str, RegionResult | None], fluid: Mapping[str, RegionFluid]
) -> dict[str, RegionResult | None]:
    """The regional results with the fluid of each region."""
    return {
        name: roi
        if roi is None or name not in fluid
        else replace(roi, csf_share=fluid[name].share, csf_left_out=fluid[name].left_out)
        for name, roi in rois.items()
    }


def _side_gates(fluid: Mapping[str, RegionFluid]) -> Iterator[Gate]:
    for structure in Structure:
        pair = [fluid.get(f"{structure}_{side}") for side in Side]
        left, right = pair
        if left is not None and right is not None:
            difference = 100.0 * abs(left.share - right.share)
            limits = LIMITS["csf_left_right"]
            yield Gate.held("csf_left_right", str(structure), difference, limits)
