"""Statistics of a map over a region, weighted by each voxel's share of it."""

from dataclasses import dataclass

import numpy as np

from cestle.errors import NumericalError
from cestle.physics import Bool, Real


@dataclass(frozen=True, kw_only=True)
class RegionStatistic:
    """A map over one region.

    Parameters
    ----------
    mean, median, sd
        Weighted by the voxels' shares, over valid voxels [unit of the map].
    standard_error
        Of the mean, voxels independent [unit of the map]; None when unknown.
    effective_voxels
        (Σw)² / Σw² over valid voxels.
    valid_fraction
        Σw over valid voxels / Σw.
    largest_fraction
        Largest share of one valid voxel.
    """

    mean: float
    median: float
    sd: float
    standard_error: float | None
    effective_voxels: float
    valid_fraction: float
    largest_fraction: float


def region_statistic(
    values: Real, standard_error: Real | None, valid: Bool, fraction: Real
) -> RegionStatistic:
    """Weighted statistics of `values` where `valid`.

    Parameters
    ----------
    values
        The map, any shape.
    standard_error
        Standard error of each voxel, same shape; None or NaN when unknown.
    valid
        Voxels that may be used, same shape.
    fraction
        Share of each voxel that lies in the region, 0…1, same shape.

    Raises
    ------
    NumericalError
        When the region meets no voxel, or no valid one.
    """
    everything = float(fraction.sum())
    if everything <= 0.0:
        raise NumericalError("the region does not meet the CEST slice")
    used = valid & (fraction > 0.0)
    weight = fraction[used]
    total = float(weight.sum())
    if total <= 0.0:
        raise NumericalError("no valid voxel lies in the region (B0, B1 or signal out of range)")
    x = values[used]
    mean = float(np.sum(weight * x) / total)
    return RegionStatistic(
        mean=mean,
        median=weighted_quantile(x, weight, 0.5),
        sd=float(np.sqrt(np.sum(weight * (x - mean) ** 2) / total)),
        standard_error=_standard_error(standard_error, used, weight),
        effective_voxels=total**2 / float(np.sum(weight**2)),
        valid_fraction=total / everything,
        largest_fraction=float(weight.max()),
    )


def weighted_quantile(values: Real, weight: Real, quantile: float) -> float:
    """Quantile of weighted samples, linear between the centres of their weights.

    Parameters
    ----------
    values, weight
        Samples and their positive weights, both of shape (n,), n ≥ 1.
    quantile
        0…1.
    """
    order = np.argsort(values)
    ordered, steps = values[order], weight[order]
    position = (np.cumsum(steps) - 0.5 * steps) / steps.sum()
    return float(np.interp(quantile, position, ordered))


def _standard_error(error: Real | None, used: Bool, weight: Real) -> float | None:
    if error is None or not np.all(np.isfinite(error[used])):
        return None
    return float(np.sqrt(np.sum((weight * error[used]) ** 2)) / weight.sum())
