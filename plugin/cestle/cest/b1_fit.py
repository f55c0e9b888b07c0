"""B1 curves of tissues from images at several B1 levels of the same heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.cest.b1 import TissueCurve
from cestle.cest.tissue import TissueClass
from cestle.errors import ProtocolError
from cestle.physics import Bool, Real

LEAST_LEVELS: Final = 3
LEAST_VOXELS: Final = 30
REACH: Final = (0.9, 1.1)
"""The B1 of the voxels must at least extend over this range, or 1 would be an extrapolation."""

STEP: Final = 0.05

_DEGREE: Final = 3
_TAIL_PERCENT: Final = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class B1Session:
    """One head at several B1 levels, without moving.

    Parameters
    ----------
    negative, positive
        B0-corrected signals at ∓target, both of shape (levels, slices, rows, columns) [a.u.].
    relative_b1
        Actual over nominal B1, same shape.
    valid
        Where signal, B0 and B1 can be used, same shape.
    """

    negative: Real
    positive: Real
    relative_b1: Real
    valid: Bool

    @property
    def everywhere(self) -> Bool:
        """Voxels that are valid at all levels, shape (slices, rows, columns)."""
        return np.asarray(np.all(self.valid, axis=0), dtype=np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedCurves:
    """Curves on a common grid.

    Parameters
    ----------
    relative_b1
        Shape (n,).
    curves
        Signals of each tissue, S−(1) of the first as unit.
    voxels
        Number of voxels behind each tissue.
    """

    relative_b1: Real
    curves: Mapping[TissueClass, TissueCurve]
    voxels: Mapping[TissueClass, int]


def fit_curves(
    sessions: Sequence[B1Session], masks: Sequence[Mapping[TissueClass, Bool]]
) -> FittedCurves:
    """Curves of ln S over B1, a cubic for each tissue and side.

    Each voxel has an unknown level (coil sensitivity, water content), which is the same at all
    B1 levels; it is taken out by subtracting the voxel's mean, so that only the change counts.

    Parameters
    ----------
    sessions
        The heads.
    masks
        For each session the voxels of each tissue, shape (slices, rows, columns).

    Raises
    ------
    ProtocolError
        When levels or voxels are too few, or B1 does not extend from below to above nominal.
    """
    found = {}
    for tissue in TissueClass:
        samples = [
            _Samples.of(session, mask[tissue] & session.everywhere)
            for session, mask in zip(sessions, masks, strict=True)
            if tissue in mask
        ]
        if sum(one.count for one in samples) >= LEAST_VOXELS:
            found[tissue] = samples
    if not found:
        raise ProtocolError(
            f"no tissue has {LEAST_VOXELS} voxels that are valid at all B1 levels; check that "
            "all levels were acquired in one position and with maps of B0 and B1."
        )
    grid = _common_grid(found)
    curves = {tissue: _curve(samples, grid) for tissue, samples in found.items()}
    unit = float(np.interp(1.0, grid, next(iter(curves.values())).negative))
    return FittedCurves(
        relative_b1=grid,
        curves={
            tissue: TissueCurve(negative=curve.negative / unit, positive=curve.positive / unit)
            for tissue, curve in curves.items()
        },
        voxels={tissue: sum(one.count for one in samples) for tissue, samples in found.items()},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Samples:
    """ln S and B1 − 1 of the voxels of one tissue, all of shape (levels, voxels)."""

    x: Real
    negative: Real
    positive: Real

    @classmethod
    def of(cls, session: B1Session, mask: Bool) -> "_Samples":
        if len(session.negative) < LEAST_LEVELS:
            raise ProtocolError(
                f"{len(session.negative)} B1 level(s) found in one session, at least "
                f"{LEAST_LEVELS} are needed; acquire the CEST series at 60, 80, 100 and 120 % of "
                "the B1 reference."
            )
        return cls(
            x=session.relative_b1[:, mask] - 1.0,
            negative=np.log(session.negative[:, mask]),
            positive=np.log(session.positive[:, mask]),
        )

    @property
    def count(self) -> int:
        return int(self.x.shape[1])


def _common_grid(found: Mapping[TissueClass, Sequence[_Samples]]) -> Real:
    """Points every 0.05 over the B1 that all tissues have."""
    low, high = -np.inf, np.inf
    for samples in found.values():
        b1 = 1.0 + np.concatenate([one.x.ravel() for one in samples])
        low = max(low, float(np.percentile(b1, _TAIL_PERCENT)))
        high = min(high, float(np.percentile(b1, 100.0 - _TAIL_PERCENT)))
    if low > REACH[0] or high < REACH[1]:
        raise ProtocolError(
            f"the relative B1 of the voxels runs from {low:.2f} to {high:.2f}, at least "
            f"{REACH[0]:g} to {REACH[1]:g} was expected; acquire levels below and above nominal, "
            "and state each level with --level when the B1 maps do not show it."
        )
    first, last = int(np.ceil(low / STEP - 1e-9)), int(np.floor(high / STEP + 1e-9))
    grid: Real = np.round(STEP * np.arange(first, last + 1), 6)
    return grid


def _curve(samples: Sequence[_Samples], grid: Real) -> TissueCurve:
    negative, negative_levels = _fit(samples, "negative")
    positive, positive_levels = _fit(samples, "positive")
    level = float(np.median(np.concatenate(negative_levels)))
    # taken within voxels: the contrast must not inherit the spread of the coil sensitivity
    change = np.concatenate([p - n for p, n in zip(positive_levels, negative_levels, strict=True)])
    columns = _columns(grid - 1.0)
    return TissueCurve(
        negative=np.exp(level + columns @ negative),
        positive=np.exp(level + float(np.median(change)) + columns @ positive),
    )


def _fit(samples: Sequence[_Samples], side: str) -> tuple[Real, list[Real]]:
    """Coefficients of x, x², x³, and each voxel's ln S at nominal B1, per session."""
    rows, values = [], []
    for one in samples:
        columns, logarithm = _columns(one.x), getattr(one, side)
        rows.append((columns - columns.mean(axis=0)).reshape(-1, _DEGREE))
        values.append((logarithm - logarithm.mean(axis=0)).ravel())
    solved = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    coefficients: Real = np.asarray(solved, dtype=np.float64)
    levels = [(getattr(one, side) - _columns(one.x) @ coefficients).mean(axis=0) for one in samples]
    return coefficients, levels


def _columns(x: Real) -> Real:
    """x, x², x³ along a new last axis."""
    columns: Real = np.stack([x**power for power in range(1, _DEGREE + 1)], axis=-1)
    return columns
