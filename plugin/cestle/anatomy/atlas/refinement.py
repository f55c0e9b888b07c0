"""The structures in the T1: what the atlas expects, corrected by the brightness that is there."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.special import expit

from cestle.anatomy.atlas.template import EllipseTable
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real

Key = tuple[Structure, Side]

_INSIDE: Final = 0.75
"""Expectation above which a voxel shows how bright the structure is."""
_BESIDE: Final = (0.02, 0.35)
_EVIDENCE: Final = 0.6
"""Weight of a voxel's brightness; below 1 because neighbours are alike."""
_MOST_EVIDENCE: Final = 4.0
_BINS: Final = 64
_BIN_SMOOTHING: Final = 2.5
_LEAST_VOXELS: Final = 50
_ROUNDS: Final = 2
_REACH_MM: Final = 1.0
_COUPLING: Final = 2.4
_NEGLIGIBLE: Final = 0.02


def expected(table: EllipseTable, template_mm: Real) -> dict[Key, Real]:
    """Logarithm of the odds of each structure at positions of the template."""
    return {
        (structure, side): table.log_odds(structure, side, template_mm)
        for structure in Structure
        for side in Side
    }


def refined(odds: Mapping[Key, Real], warp: LobeWarp) -> dict[Key, Real]:
    """Probability of each structure, 0…1, the sum of neighbours at most 1."""
    found = {
        key: _one(prior, warp.matched.values.astype(np.float64)) for key, prior in odds.items()
    }
    total = np.maximum(sum(found.values()), 1.0)
    return {key: share / total for key, share in found.items()}


def _one(prior: Real, brightness: Real) -> Real:
    expectation = expit(prior)
    inside = expectation > _INSIDE
    beside = (expectation > _BESIDE[0]) & (expectation < _BESIDE[1])
    base = prior
    if min(np.count_nonzero(inside), np.count_nonzero(beside)) >= _LEAST_VOXELS:
        base = prior + _EVIDENCE * _evidence(brightness, inside, beside)
    near = expectation > 1e-3
    share = np.where(near, expit(base), 0.0)
    for _ in range(_ROUNDS):
        around = gaussian_filter(share, _REACH_MM)
        share = np.where(near, expit(base + _COUPLING * (around - 0.5)), 0.0)
    return np.where(share > _NEGLIGIBLE, share, 0.0)


def _evidence(brightness: Real, inside: Bool, beside: Bool) -> Real:
    """Logarithm of how much likelier a brightness is inside than beside."""
    edges = np.quantile(brightness[inside | beside], [0.005, 0.995])
    scale = (_BINS - 1) / max(float(edges[1] - edges[0]), 1e-9)
    bins = np.clip((brightness - edges[0]) * scale, 0, _BINS - 1).astype(int)
    shares = []
    for where in (inside, beside):
        counts = np.bincount(bins[where], minlength=_BINS).astype(np.float64)
        smooth = gaussian_filter1d(counts, _BIN_SMOOTHING, mode="nearest")
        shares.append((smooth + 1e-3 * smooth.sum()) / (smooth.sum() * (1.0 + 1e-3 * _BINS)))
    ratio = np.log(shares[0] / shares[1])
    bounded: Real = np.clip(ratio, -_MOST_EVIDENCE, _MOST_EVIDENCE)[bins]
    return bounded
