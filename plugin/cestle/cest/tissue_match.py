"""Whether shares of tissues lie where the saturation images show the tissues."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.cest.images import SaturationImages
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.physics import Real

_REACH_VOXELS: Final = 4
_LEAST_VOXELS: Final = 400
_MOSTLY: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class TissueMatch:
    """How well shares explain the images, as they lie and at the best place in plane.

    Parameters
    ----------
    explained
        Share of the variance of the mean image that the shares explain as they lie [1].
    best_explained
        The same at the best place [1].
    displacement_mm
        Distance of the best place [mm]; found in steps of a voxel.
    """

    explained: float
    best_explained: float
    displacement_mm: float


def match_tissues(images: SaturationImages, fractions: TissueFractions) -> TissueMatch | None:
    """Move shares about over the mean image and see where they explain it best.

    Each tissue has a brightness that may vary over the slice by a quadratic, as B1 and coils make
    it; fluid is several times as bright as the rest after saturation, so edges of fluid tell the
    place. Displacements through the plane are not looked for.

    Parameters
    ----------
    images
        As they go into the map.
    fractions
        Shares on their grid.

    Returns
    -------
        None where fewer than 400 voxels are mostly tissue or fluid.
    """
    mean = images.signal.mean(axis=0)
    shares = np.stack([fractions.of(tissue) for tissue in TissueClass])
    inner = (slice(None), *(slice(_REACH_VOXELS, -_REACH_VOXELS),) * 2)
    terms = _quadratics(mean.shape)
    steps = range(-_REACH_VOXELS, _REACH_VOXELS + 1)
    found: dict[tuple[int, int], float] = {}
    for place in ((row, column) for row in steps for column in steps):
        moved = np.roll(shares, place, axis=(2, 3))
        used = np.zeros(mean.shape, dtype=np.bool_)
        used[inner] = moved.sum(axis=0)[inner] > _MOSTLY
        if np.count_nonzero(used) < _LEAST_VOXELS:
            return None
        found[place] = _explained(mean[used], moved[:, used], terms[:, used])
    best = max(found, key=lambda place: found[place])
    _, row_mm, column_mm = images.grid.spacing_mm
    return TissueMatch(
        explained=found[0, 0],
        best_explained=found[best],
        displacement_mm=float(np.hypot(best[0] * row_mm, best[1] * column_mm)),
    )


def _explained(values: Real, shares: Real, terms: Real) -> float:
    """Share of the variance that the products of shares and terms explain."""
    design = (shares[:, None] * terms[None]).reshape(-1, len(values)).T
    # normal equations: hundreds of places are tried, and the columns are well scaled
    gram = design.T @ design
    coefficients = np.linalg.lstsq(gram, design.T @ values, rcond=1e-10)[0]
    variance = float(np.var(values))
    if variance <= 0.0:
        return 0.0
    return 1.0 - float(np.mean((values - design @ coefficients) ** 2)) / variance


def _quadratics(shape: tuple[int, ...]) -> Real:
    """Products of powers of row and column up to a quadratic, shape (6, *shape)."""
    _, rows, columns = shape
    y, x = np.meshgrid(np.linspace(-1.0, 1.0, rows), np.linspace(-1.0, 1.0, columns), indexing="ij")
    planes = np.stack([np.ones_like(y), y, x, y * y, x * y, x * x])
    terms: Real = np.broadcast_to(planes[:, None], (len(planes), *shape))
    return terms
