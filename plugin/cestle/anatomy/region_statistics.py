"""Statistics of a map over all regions of a study, each alone or all in one fit.

The joint fit is the linear regression of partial volume: I. Asllani, A. Borogovac, T. R. Brown:
Regression algorithm correcting for partial volume effects in arterial spin labeling MRI. Magnetic
Resonance in Medicine 60:1362-1371 (2008), doi:10.1002/mrm.21670. All regions and all tissues
around them are in one fit, since a neighbour that is left out passes for part of the region.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from scipy.ndimage import binary_dilation

from cestle.anatomy.sampling import RegionEstimator, RegionStatistic, region_statistic
from cestle.errors import NumericalError
from cestle.physics import Bool, Real

SURROUND_VOXELS: Final = 12
"""Width of the surround of the regions whose tissues are in the fit."""
LEAST_KNOWN: Final = 0.9
"""Share of a voxel that regions and tissues must fill for it to be in the fit."""
MOST_FLUID: Final = 0.1
"""Share of fluid from which a voxel does not count in a region, nor in the fit."""
_LEAST_TOLD: Final = 1e-3
"""Least singular value over the largest, below which the fit does not tell its parts apart."""


def region_statistics(
    values: Real,
    standard_error: Real | None,
    valid: Bool,
    fractions: Mapping[str, Real],
    *,
    estimator: RegionEstimator,
    reference: Real | None = None,
    tissue: Real | None = None,
) -> tuple[dict[str, RegionStatistic], dict[str, str]]:
    """Statistics of `values` over each region.

    Parameters
    ----------
    values, standard_error, valid, reference
        As in `region_statistic`.
    fractions
        Share of each voxel in each region, by its name.
    estimator
        What stands for a region.
    tissue
        Shares of grey matter, white matter and fluid, regions included, shape (3, …); only
        `RegionEstimator.REGRESSION` needs them.

    Returns
    -------
        The statistics by name, and why a region has none.
    """
    joint = estimator is RegionEstimator.REGRESSION
    found: dict[str, RegionStatistic] = {}
    reasons: dict[str, str] = {}
    for name, fraction in fractions.items():
        try:
            found[name] = region_statistic(
                values,
                standard_error,
                valid,
                fraction,
                estimator=RegionEstimator.MEAN if joint else estimator,
                reference=reference,
            )
        except NumericalError as fault:
            reasons[name] = str(fault)
    if not joint or not found:
        return found, reasons
    try:
        weights = regression_weights(
            {name: fractions[name] for name in found}, tissue, valid, reference
        )
    except NumericalError as fault:
        return {}, reasons | dict.fromkeys(found, str(fault))
    known = np.where(valid, values, 0.0)
    return {
        name: replace(one, value=float(np.sum(weights[name] * known)), weight=weights[name])
        for name, one in found.items()
    }, reasons


def regression_weights(
    fractions: Mapping[str, Real], tissue: Real | None, valid: Bool, reference: Real | None
) -> dict[str, Real]:
    """Weights of the voxels in what the fit says of each region; negative ones are usual.

    Numerator and denominator of the map are sums over what a voxel holds, so each is fitted and
    the region has their ratio: without noise it is that of its own substance.

    Parameters
    ----------
    fractions, tissue, valid
        As in `region_statistics`.
    reference
        Denominator of the map; the map itself is fitted when None.

    Returns
    -------
        By name of the region, shape of its fraction, sum 1.

    Raises
    ------
    NumericalError
        When the tissues are not known, or the shares do not tell the parts apart.
    """
    if tissue is None:
        raise NumericalError(
            "the regression needs the shares of the tissues; send the 3D T1, or choose the mean."
        )
    regions = np.stack(list(fractions.values()))
    parts = np.concatenate([regions, _beside(tissue, regions.sum(axis=0))])
    used = _surround(regions) & valid & (parts.sum(axis=0) >= LEAST_KNOWN)
    used &= tissue[-1] < MOST_FLUID
    if reference is not None:
        used &= np.isfinite(reference)
    design = parts[:, used].T
    present = np.any(design > 0.0, axis=0)
    present[: len(regions)] = True  # a region of which nothing is left must not pass for absent
    design = design[:, present]
    if len(design) <= design.shape[1]:
        raise NumericalError("too few voxels around the regions are valid for the regression")
    sizes = np.linalg.svd(design, compute_uv=False)
    if sizes[-1] < _LEAST_TOLD * sizes[0]:
        raise NumericalError(
            "the shares of the voxels do not tell the regions from the tissues around them; choose "
            "the mean."
        )
    solver = np.linalg.pinv(design)
    weights: dict[str, Real] = {}
    for name, row in zip(fractions, solver, strict=False):
        chosen = row if reference is None else row * reference[used]
        total = float(chosen.sum())
        if not total > 0.0:
            raise NumericalError(
                f"the regression gives {name} no signal; check the regions and the T1."
            )
        spread = np.zeros(valid.shape)
        spread[used] = chosen / total
        weights[name] = spread
    return weights


def _beside(tissue: Real, taken: Real) -> Real:
    """What is left of the tissues beside the regions, which are grey matter first of all."""
    left = []
    for share in tissue:
        here = np.minimum(share, taken)
        left.append(share - here)
        taken = taken - here
    rest: Real = np.stack(left)
    return rest


def _surround(regions: Real) -> Bool:
    """Voxels of the slices that the regions meet, within some distance of them in plane."""
    cross = np.zeros((3, 3, 3), dtype=np.bool_)
    cross[1, 1], cross[1, :, 1] = True, True
    near: Bool = binary_dilation(
        np.any(regions > 0.0, axis=0), structure=cross, iterations=SURROUND_VOXELS
    )
    return near
