"""Statistics of a map over a region, weighted by each voxel's share of it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.ndimage import binary_erosion

from cestle.errors import NumericalError
from cestle.physics import Bool, Real

TRIMMED_SHARE: Final = 0.1
"""Share of a region's weight that the trimmed mean leaves out at each end."""

_MIDDLE_SHARE: Final = 0.25
"""The errors of a median are those of the mean of the middle half, a little more than its own:
of equal normal values its standard error is 1.25, and that of the half 1.41, times the mean's."""

MOSTLY: Final = 0.5
LEAST_MOSTLY: Final = 20
"""Voxels that lie mostly in a region, below which their mean is not given."""
_IN_PLANE: Final = np.array([[[False, True, False], [True, True, True], [False, True, False]]])


class RegionEstimator(StrEnum):
    """Which one number stands for a region."""

    MEAN = "mean"
    MEDIAN = "median"
    TRIMMED = "trimmed"
    RATIO_OF_MEANS = "ratio_of_means"
    THRESHOLD = "threshold_0.5"
    """Mean of the voxels of which the region holds at least half, as a reader would draw it."""
    REGRESSION = "regression"
    """What a joint fit of all regions and tissues says; see `region_statistics`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RegionStatistic:
    """A map over one region.

    Parameters
    ----------
    value
        What stands for the region [unit of the map].
    weight
        Share of each voxel in `value`, sum 1; of a median, in the mean whose errors it is given.
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
    threshold_mean
        Mean over valid voxels that lie mostly in the region, whatever stands for it; None with
        fewer than `LEAST_MOSTLY` of them [unit of the map].
    """

    value: float
    weight: Real
    mean: float
    median: float
    sd: float
    standard_error: float | None
    effective_voxels: float
    valid_fraction: float
    largest_fraction: float
    threshold_mean: float | None = None


def region_statistic(
    values: Real,
    standard_error: Real | None,
    valid: Bool,
    fraction: Real,
    *,
    estimator: RegionEstimator = RegionEstimator.MEAN,
    reference: Real | None = None,
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
    estimator
        What stands for the region.
    reference
        Denominator of `values`, same shape, which `RegionEstimator.RATIO_OF_MEANS` needs: a mean
        weighted by it is the ratio of the mean numerator to the mean denominator.

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
    median = weighted_quantile(x, weight, 0.5)
    ranked = None if reference is None else reference[used]
    chosen = _chosen_weight(estimator, x, weight, ranked)
    mostly = weight >= MOSTLY
    spread = np.zeros(values.shape)
    spread[used] = chosen
    return RegionStatistic(
        value=median if estimator is RegionEstimator.MEDIAN else float(np.sum(chosen * x)),
        weight=spread,
        mean=mean,
        median=median,
        sd=float(np.sqrt(np.sum(weight * (x - mean) ** 2) / total)),
        standard_error=_standard_error(standard_error, used, weight),
        effective_voxels=total**2 / float(np.sum(weight**2)),
        valid_fraction=total / everything,
        largest_fraction=float(weight.max()),
        threshold_mean=float(x[mostly].mean()) if mostly.sum() >= LEAST_MOSTLY else None,
    )


def eroded(fraction: Real, voxels: int) -> Real:
    """A region without its edge in plane, where neighbours bleed in.

    Parameters
    ----------
    fraction
        Share of each voxel that lies in the region, shape (slices, rows, columns).
    voxels
        How many layers go; 0 leaves the region as it is.

    Returns
    -------
        The shares of the voxels that stay, 0 elsewhere. A voxel is inside when it lies mostly in
        the region.
    """
    if voxels == 0:
        return fraction
    core = binary_erosion(fraction >= MOSTLY, structure=_IN_PLANE, iterations=voxels)
    kept: Real = np.where(core, fraction, 0.0)
    return kept


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


def _chosen_weight(
    estimator: RegionEstimator, values: Real, weight: Real, reference: Real | None
) -> Real:
    """Weights of the samples in what stands for the region, sum 1."""
    chosen = weight
    if estimator is RegionEstimator.RATIO_OF_MEANS:
        if reference is None:
            raise NumericalError(
                "the ratio of means needs the denominator of the map, which is not at hand; "
                "choose the mean."
            )
        chosen = weight * reference
    elif estimator is RegionEstimator.THRESHOLD:
        chosen = np.where(weight >= MOSTLY, 1.0, 0.0)
        if chosen.sum() < LEAST_MOSTLY:
            raise NumericalError(
                f"{chosen.sum():.0f} voxels lie mostly in the region, at least {LEAST_MOSTLY} are "
                "needed; choose the mean."
            )
    elif estimator is RegionEstimator.REGRESSION:
        raise NumericalError("the regression needs all regions together.")
    elif estimator is not RegionEstimator.MEAN:
        cut = _MIDDLE_SHARE if estimator is RegionEstimator.MEDIAN else TRIMMED_SHARE
        chosen = _without_tails(values, weight, cut)
    share: Real = chosen / chosen.sum()
    return share


def _without_tails(values: Real, weight: Real, cut: float) -> Real:
    """Weights after a share of the total has gone from the low end, and as much from the high."""
    order = np.argsort(values)
    upper = np.cumsum(weight[order]) / weight.sum()
    lower = np.concatenate([[0.0], upper[:-1]])
    kept = np.clip(np.minimum(upper, 1.0 - cut) - np.maximum(lower, cut), 0.0, None)
    trimmed = np.empty_like(weight)
    trimmed[order] = kept
    return trimmed


def _standard_error(error: Real | None, used: Bool, weight: Real) -> float | None:
    if error is None or not np.all(np.isfinite(error[used])):
        return None
    return float(np.sqrt(np.sum((weight * error[used]) ** 2)) / weight.sum())
