"""Partial volume alone: the index that this slice would show if the two sides were alike."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from cestle.biomarkers.asymmetry import directional_asymmetry_epi
from cestle.cest.images import GluCestMap
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.errors import NumericalError
from cestle.gates import Gate, Limits
from cestle.measurement import Estimate, Side
from cestle.physics import Bool, Real
from cestle.study.confidence import INDEX_LETTER

NULL: Final = Limits(
    quantity="index that partial volume alone would show with equal sides",
    unit="1",
    warn=0.02,
    fail=None,
    higher_is_better=False,
    action="read the index with the tilt of the head in mind; place the slice symmetrically",
)

_LEAST_VOXELS: Final = 200
_LEAST_SHARE: Final = 0.02
"""Mean share below which a tissue is not told from the others in this slice."""


def partial_volume_indices(
    glucest: GluCestMap, tissue: TissueFractions, weights: Mapping[str, Real]
) -> dict[str, float]:
    """The indices of a slice in which each tissue has one contrast everywhere.

    A voxel shows the contrast of its tissues weighted by their signals, Σ f s c / Σ f s, for S(−3)
    is the denominator. Signal s and contrast c of each tissue are those that fit the slice best;
    what is then left of an index comes from the shares f alone.

    Parameters
    ----------
    glucest
        The map with its denominator.
    tissue
        Shares on its grid.
    weights
        Weight of each voxel in the value of each region, by name of the region, sum 1.

    Returns
    -------
        By name of the index, patient's left first; empty where the slice does not tell the
        tissues apart.
    """
    same = _as_if_alike(glucest, tissue)
    if same is None:
        return {}
    indices = {}
    for structure, letter in INDEX_LETTER.items():
        pair = [weights.get(f"{structure}_{side}") for side in Side]
        try:
            left, right = (_mean(same, weight) for weight in pair if weight is not None)
            indices[f"dai_glu_{letter}_epi"] = directional_asymmetry_epi(left, right).value
        except (ValueError, NumericalError):
            continue  # a region is absent, or holds no tissue
    return indices


def partial_volume_gates(indices: Mapping[str, float]) -> tuple[Gate, ...]:
    """Hold what partial volume alone shows against its limit."""
    return tuple(
        Gate.held("partial_volume_null", str(structure), abs(indices[name]), NULL)
        for structure, letter in INDEX_LETTER.items()
        if (name := f"dai_glu_{letter}_epi") in indices
    )


def _as_if_alike(glucest: GluCestMap, tissue: TissueFractions) -> Real | None:
    """The map of the same shares with one contrast per tissue; NaN where there is no tissue."""
    reference = glucest.reference
    if reference is None:
        return None
    shares = np.stack([tissue.of(one) for one in TissueClass])
    used = glucest.valid & (shares.sum(axis=0) > 0.0) & np.isfinite(reference)
    if used.sum() < _LEAST_VOXELS:
        return None
    told = shares[:, used].mean(axis=1) >= _LEAST_SHARE
    signal = _of_tissues(shares[told], reference, used)
    product = _of_tissues(shares[told], reference * np.nan_to_num(glucest.percent), used)
    if signal is None or product is None or np.any(signal <= 0.0):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        same: Real = np.tensordot(product, shares[told], 1) / np.tensordot(signal, shares[told], 1)
    return same


def _of_tissues(shares: Real, values: Real, used: Bool) -> Real | None:
    """Least squares of the value of each tissue; None where the shares do not tell them apart."""
    design = shares[:, used].T
    solution, _, rank, _ = np.linalg.lstsq(design, values[used], rcond=1e-3)
    return np.asarray(solution, dtype=np.float64) if rank == len(shares) else None


def _mean(values: Real, weight: Real) -> Estimate:
    known = (weight > 0.0) & np.isfinite(values)
    if not known.any():
        raise NumericalError("no tissue lies in the region")
    value = float(np.average(values[known], weights=weight[known]))
    return Estimate(value=value, standard_error=None)
