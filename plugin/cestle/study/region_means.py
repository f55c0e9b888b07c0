"""GluCEST of every region: which one number stands for it, and when there is none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cestle.anatomy.region_statistics import region_statistics
from cestle.anatomy.regions import Region
from cestle.anatomy.sampling import (
    RegionEstimator,
    RegionStatistic,
    eroded,
    weighted_quantile,
)
from cestle.anatomy.slab import region_on_grid
from cestle.cest.images import FieldMaps, GluCestMap
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.errors import GeometryError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Real
from cestle.study.results import RegionResult, Spread

REGION_NAMES: Final = tuple(f"{structure}_{side}" for structure in Structure for side in Side)

_ABSENT: Final = "no region was sent; store a DICOM SEG or RTSTRUCT of the hippocampi and amygdalae"


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedRegion:
    """A region as the weight of each voxel in its value, in any unit; see `Region` for the name."""

    name: str
    fraction: Real


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionMeans:
    """What a map says of each region.

    Parameters
    ----------
    statistics
        By name of the region, of those that have a value.
    results
        What is reported, for every name in `REGION_NAMES`; None with a reason.
    reasons
        Why a region has no value.
    """

    statistics: Mapping[str, RegionStatistic]
    results: dict[str, RegionResult | None]
    reasons: dict[str, str]


def place_regions(
    regions: tuple[Region, ...], grid: Grid | None, erosion_voxels: int
) -> tuple[tuple[Region, ...], dict[str, str]]:
    """Bring regions to the grid of the map, without their edge where that is asked for.

    Parameters
    ----------
    regions
        As drawn, each on its own grid.
    grid
        The grid of the map; None without a map.
    erosion_voxels
        Layers of voxels that are left out at the edge.

    Returns
    -------
        The regions that could be placed, and why others could not.
    """
    if grid is None:
        return (), {}
    placed: list[Region] = []
    reasons: dict[str, str] = {}
    for region in regions:
        try:
            on_grid = region_on_grid(region, grid)
        except GeometryError as fault:
            reasons[region.name] = str(fault)
            continue
        core = eroded(on_grid.fraction, erosion_voxels)
        if on_grid.fraction.any() and not core.any():
            reasons[region.name] = (
                f"nothing of the region is left after {erosion_voxels} layer(s) of its edge are "
                "taken off; set edge_erosion_voxels to 0"
            )
            continue
        placed.append(replace(on_grid, fraction=core))
    return tuple(placed), reasons


def region_means(
    glucest: GluCestMap | None,
    fields: FieldMaps | None,
    regions: tuple[Region, ...],
    *,
    estimator: RegionEstimator,
    tissue: TissueFractions | None = None,
) -> RegionMeans:
    """Weighted statistics of the map over each region.

    Parameters
    ----------
    glucest
        The map; None when there is none.
    fields
        B0 and B1 on the same grid.
    regions
        On the grid of the map.
    estimator
        What stands for a region.
    tissue
        Shares of the tissues, which the regression needs.
    """
    statistics: dict[str, RegionStatistic] = {}
    results: dict[str, RegionResult | None] = dict.fromkeys(REGION_NAMES)
    reasons: dict[str, str] = {}
    if glucest is None:
        return RegionMeans(statistics=statistics, results=results, reasons=reasons)
    shares = {region.name: region.fraction for region in regions}
    statistics, reasons = region_statistics(
        glucest.percent,
        glucest.standard_error,
        glucest.valid,
        shares,
        estimator=estimator,
        reference=glucest.reference,
        tissue=None if tissue is None else np.stack([tissue.of(one) for one in TissueClass]),
    )
    for region in regions:
        if region.name in statistics:
            results[region.name] = _result(statistics[region.name], region, fields)
    for name in REGION_NAMES:
        if results[name] is None:
            reasons.setdefault(name, _ABSENT)
    return RegionMeans(statistics=statistics, results=results, reasons=reasons)


def regions_as_weighted(
    regions: tuple[Region, ...], means: RegionMeans, estimator: RegionEstimator
) -> tuple[WeightedRegion, ...]:
    """The regions as the errors see them: each voxel with its weight in the value.

    A mean keeps the shares of its region, so that a displaced region meets voxels which it does
    not meet now.
    """
    plain = estimator is RegionEstimator.MEAN
    return tuple(
        WeightedRegion(
            name=region.name,
            fraction=region.fraction if plain else means.statistics[region.name].weight,
        )
        for region in regions
        if region.name in means.statistics
    )


def _result(statistic: RegionStatistic, region: Region, fields: FieldMaps | None) -> RegionResult:
    _, row_mm, column_mm = region.grid.spacing_mm
    cell_mm3 = row_mm * column_mm * region.grid.slice_thickness_mm
    return RegionResult(
        value=statistic.value,
        mean=statistic.mean,
        median=statistic.median,
        sd=statistic.sd,
        standard_error=statistic.standard_error,
        threshold_mean=statistic.threshold_mean,
        voxels=statistic.effective_voxels,
        valid_fraction=statistic.valid_fraction,
        volume_in_slab_mm3=float(region.fraction.sum()) * cell_mm3,
        b0_shift_ppm=None if fields is None else _spread(fields.b0_shift_ppm, region),
        relative_b1=(
            None
            if fields is None or fields.relative_b1 is None
            else _spread(fields.relative_b1, region)
        ),
        roi_source=region.source.in_words,
        region_class=region.source.region_class,
    )


def _spread(values: Real, region: Region) -> Spread | None:
    used = (region.fraction > 0.0) & np.isfinite(values)
    if not used.any():
        return None
    x, weight = values[used], region.fraction[used]
    low, middle, high = (weighted_quantile(x, weight, q) for q in (0.05, 0.5, 0.95))
    return Spread(median=middle, p5=low, p95=high)
