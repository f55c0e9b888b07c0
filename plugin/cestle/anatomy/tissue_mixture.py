"""Which share of each voxel of a T1 is fluid, grey and white matter.

The brightness of a voxel is that of one tissue or a mixture of two neighbouring ones in any
proportion, plus a spread. The brightnesses, spreads and amounts follow from the histogram alone
(expectation maximisation); the shading of the coil follows from what is left over in grey and
white matter, smoothed; neighbours then decide where the brightness is ambiguous.

References
----------
Santago P, Gage HD. IEEE Trans Med Imaging 1993;12:566-574. doi:10.1109/42.241885 (mixtures of two
tissues in any proportion)
Wells WM et al. IEEE Trans Med Imaging 1996;15:429-442. doi:10.1109/42.511747 (shading)
"""

from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from cestle.anatomy.shading import Single, SmoothField
from cestle.errors import NumericalError
from cestle.physics import Bool, Real

FLUID, GREY, WHITE = range(3)
"""Rows of arrays of shares, in the order of brightness in a T1."""

_BINS: Final = 400
_BRIGHTEST: Final = 1.8
"""End of the histogram, relative to the bright end of the brain."""
_PROPORTIONS: Final = ((np.arange(16) + 0.5) / 16)[:, None]
_STARTS: Final = tuple(product((0.2, 0.35, 0.5), (0.62, 0.72, 0.82)))
"""Brightness of fluid and of grey over that of white matter, from which a fit starts."""
_ROUNDS: Final = 60
_OUTLIERS: Final = 0.01
_SAMPLE_MM: Final = 1.7
"""Distance in plane of the voxels that the fit sees."""
_SHADING_ROUNDS: Final = 6
_NEIGHBOUR_ROUNDS: Final = 3
_NEIGHBOUR_WEIGHT: Final = 3.0

GREY_RANGE: Final = (0.5, 0.92)
"""Brightness of grey over that of white matter which a T1 may show."""
FLUID_RANGE: Final = (0.03, 0.8)
"""Brightness of fluid over that of grey matter which a T1 may show."""
_LEAST_SPREAD: Final = 0.015
_MOST: Final = np.array([1.0, 0.25, 1.0, 0.3, 1.0])
"""Mixed voxels make up no larger share than this, or they would pass for a tissue."""

_MEMBERS: Final = np.array(
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
)
"""Tissues of each kind of voxel: fluid, fluid and grey, grey, grey and white, white."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TissueMixture:
    """What a histogram holds, in units of the bright end of the brain.

    Parameters
    ----------
    level, spread
        Mean and standard deviation of fluid, grey and white matter, shape (3,) [1].
    amount
        Share of each kind of voxel: fluid, fluid and grey, grey, grey and white, white,
        shape (5,).
    log_likelihood
        Mean over voxels; the larger, the better the fit.
    """

    level: Real
    spread: Real
    amount: Real
    log_likelihood: float

    def separation(self, low: int, high: int) -> float:
        """Distance of two tissues over their spread."""
        spread = np.sqrt(0.5 * (self.spread[low] ** 2 + self.spread[high] ** 2))
        return float((self.level[high] - self.level[low]) / spread)


def tissue_shares(
    brightness: Single, brain: Bool, spacing_mm: tuple[float, float, float]
) -> tuple[TissueMixture, Single]:
    """Shares of fluid, grey and white matter of each voxel.

    Parameters
    ----------
    brightness
        T1-weighted image, shape (slices, rows, columns) [a.u.].
    brain
        Voxels that hold nothing else, same shape.
    spacing_mm
        Size of its voxels.

    Returns
    -------
        The fit, and the shares, shape (3, slices, rows, columns), 0 outside the brain; they sum
        to less than 1 where the brightness is none of a brain (vessels).

    Raises
    ------
    NumericalError
        When the brain has no spread of brightness.
    """
    inside = brightness[brain]
    bright = float(np.percentile(inside, 98.0)) if inside.size else 0.0
    if not bright > 0.0 or np.ptp(inside) < 1e-6 * bright:
        raise NumericalError("the T1 is uniform where the brain should be")
    relative = brightness * np.float32(1.0 / bright)
    mixture, shading = _fit_with_shading(relative, brain, spacing_mm)
    return mixture, _with_neighbours(mixture, relative / shading, brain)


def _fit_with_shading(
    relative: Single, brain: Bool, spacing_mm: tuple[float, float, float]
) -> tuple[TissueMixture, Single]:
    """The fit, and the shading of each voxel; both from a sample of the voxels."""
    every = [1, *(max(1, round(_SAMPLE_MM / step)) for step in spacing_mm[1:])]
    sample = tuple(slice(count // 2, None, count) for count in every)
    some, known = relative[sample], brain[sample] & (relative[sample] > 0.0)
    field = SmoothField(some.shape, np.array(spacing_mm) * every)
    shading = field.bright_end(some, known)
    mixture = _best_start(_histogram((some / shading)[known]))
    for _ in range(_SHADING_ROUNDS):
        residual, weight = _residual(mixture, some, shading, known)
        shading = field.of_residual(residual, weight)
        mixture = _fit(_histogram((some / shading)[known]), mixture)
    return mixture, field.on(relative.shape, np.array(every))


def _residual(
    mixture: TissueMixture, relative: Single, shading: Single, known: Bool
) -> tuple[Real, Real]:
    """Logarithm of brightness over that of the tissue, times a weight, and the weight."""
    density, _ = _densities(mixture.level, mixture.spread)
    joint = mixture.amount[:, None] * density
    posterior = joint[2::2] / (joint.sum(axis=0) + _OUTLIERS / _BRIGHTEST)
    certain = posterior / (mixture.spread[1:, None] / mixture.level[1:, None]) ** 2
    expected = np.sum(certain * np.log(mixture.level[1:, None]), axis=0)
    place = _bins(relative[known] / shading[known])
    residual: Real = np.zeros(relative.shape)
    weight: Real = np.zeros(relative.shape)
    weight[known] = certain.sum(axis=0)[place]
    residual[known] = weight[known] * np.log(relative[known]) - expected[place]
    return residual, weight


def _centres() -> Real:
    centres: Real = (np.arange(_BINS, dtype=np.float64) + 0.5) * (_BRIGHTEST / _BINS)
    return centres


def _bins(relative: Single) -> npt.NDArray[np.intp]:
    scaled = relative * np.float32(_BINS / _BRIGHTEST)
    bins: npt.NDArray[np.intp] = np.clip(scaled, 0, _BINS - 1).astype(np.intp)
    return bins


def _histogram(relative: Single) -> Real:
    counts = np.bincount(_bins(relative), minlength=_BINS).astype(np.float64)
    share: Real = counts / counts.sum()
    return share


def _best_start(histogram: Real) -> TissueMixture:
    """The most likely of the fits from several guesses of the contrast."""
    white = _brightest_peak(histogram)
    fits = [
        _fit(
            histogram,
            TissueMixture(
                level=white * np.array([fluid, grey, 1.0]),
                spread=white * np.array([0.10, 0.06, 0.06]),
                amount=np.array([0.1, 0.1, 0.35, 0.15, 0.3]),
                log_likelihood=-np.inf,
            ),
        )
        for fluid, grey in _STARTS
    ]
    return max(fits, key=lambda fit: fit.log_likelihood)


def _brightest_peak(histogram: Real) -> float:
    """Brightness of the brightest tall maximum of the histogram."""
    smooth = gaussian_filter1d(histogram, 0.02 * _BINS / _BRIGHTEST)
    inner = smooth[1:-1]
    peaks = np.flatnonzero((inner >= smooth[:-2]) & (inner > smooth[2:])) + 1
    tall = peaks[smooth[peaks] > 0.3 * smooth.max()]
    return float(_centres()[tall[-1] if len(tall) else np.argmax(smooth)])


def _fit(histogram: Real, start: TissueMixture) -> TissueMixture:
    """Expectation maximisation, the parameters kept where those of a T1 may lie."""
    level, spread, amount = start.level, start.spread, start.amount
    x, likelihood = _centres(), -np.inf
    for _ in range(_ROUNDS):
        density, _ = _densities(level, spread)
        joint = (1.0 - _OUTLIERS) * amount[:, None] * density
        total = joint.sum(axis=0) + _OUTLIERS / _BRIGHTEST
        last, likelihood = likelihood, float(np.sum(histogram * np.log(total)))
        if likelihood - last < 1e-7:
            break
        weight = histogram * joint / total
        amount = np.minimum(weight.sum(axis=1) / weight.sum(), _MOST)
        amount /= amount.sum()
        pure = weight[::2]
        mass = np.maximum(pure.sum(axis=1), 1e-9)
        level = _plausible_level(pure @ x / mass)
        squared = np.sum(pure * (x - level[:, None]) ** 2, axis=1) / mass
        spread = _plausible_spread(np.sqrt(squared), level)
    return TissueMixture(level=level, spread=spread, amount=amount, log_likelihood=likelihood)


def _plausible_level(level: Real) -> Real:
    white = level[WHITE]
    grey = np.clip(level[GREY], GREY_RANGE[0] * white, GREY_RANGE[1] * white)
    fluid = np.clip(level[FLUID], FLUID_RANGE[0] * grey, FLUID_RANGE[1] * grey)
    return np.array([fluid, grey, white])


def _plausible_spread(spread: Real, level: Real) -> Real:
    """No tissue swallows its neighbour; grey and white matter have about the same noise."""
    limited = np.clip(spread, _LEAST_SPREAD, 0.4 * np.diff(level, append=level[WHITE] + 0.3))
    solid = np.sqrt(np.mean(limited[GREY:] ** 2))
    limited[GREY:] = np.clip(limited[GREY:], solid / 1.3, solid * 1.3)
    limited[FLUID] = np.clip(limited[FLUID], 0.7 * solid, 2.5 * solid)
    return limited


def _densities(level: Real, spread: Real) -> tuple[Real, Real]:
    """Density of each kind of voxel over the bins, and its tissues there.

    Returns
    -------
        Shape (5, bins) and (5, bins, 3).
    """
    x, t = _centres(), _PROPORTIONS
    density, shares = np.empty((5, _BINS)), np.repeat(_MEMBERS[:, None], _BINS, axis=1)
    for tissue in range(3):
        density[2 * tissue] = _normal(x, level[tissue], spread[tissue])
    for low, high in ((FLUID, GREY), (GREY, WHITE)):
        middle = (1.0 - t) * level[low] + t * level[high]
        width = np.sqrt((1.0 - t) * spread[low] ** 2 + t * spread[high] ** 2)
        each = _normal(x, middle, width)
        kind = low + high
        density[kind] = each.mean(axis=0)
        upper = np.sum(t * each, axis=0) / np.maximum(each.sum(axis=0), 1e-300)
        shares[kind, :, low], shares[kind, :, high] = 1.0 - upper, upper
    return density, shares


def _normal(x: Real, mean: Real, sd: Real) -> Real:
    density: Real = np.exp(-0.5 * ((x - mean) / sd) ** 2) / (np.sqrt(2.0 * np.pi) * sd)
    return density


def _with_neighbours(mixture: TissueMixture, relative: Single, brain: Bool) -> Single:
    """Shares after neighbours have weighed in (mean field), shape (3, *relative.shape)."""
    density, tissues = _densities(mixture.level, mixture.spread)
    amount = mixture.amount.astype(np.float32)[:, None]
    members, tissues = _MEMBERS.astype(np.float32), tissues.astype(np.float32)
    place = _bins(relative[brain])
    evidence = amount * density.astype(np.float32)[:, place]
    outlier = np.float32(_OUTLIERS / (1.0 - _OUTLIERS) / _BRIGHTEST)
    shares = np.zeros((3, *relative.shape), dtype=np.float32)
    joint = evidence
    for step in range(_NEIGHBOUR_ROUNDS + 1):
        if step > 0:
            around = _neighbour_mean(shares, brain)
            distance = np.stack([np.sum((around - m[:, None]) ** 2, axis=0) for m in members])
            agreement = np.exp(np.float32(-_NEIGHBOUR_WEIGHT) * distance)
            joint = evidence * agreement / np.sum(amount * agreement, axis=0)
        posterior = joint / (joint.sum(axis=0) + outlier)
        for tissue in range(3):
            shares[tissue][brain] = sum(
                posterior[kind] * tissues[kind, :, tissue][place]
                for kind in np.flatnonzero(members[:, tissue])
            )
    return shares


def _neighbour_mean(shares: Single, brain: Bool) -> Single:
    """Mean of the six neighbours within the brain, shape (3, voxels of the brain)."""
    total = np.zeros((4, *brain.shape), dtype=np.float32)
    values = np.concatenate([shares, brain[None].astype(np.float32)])
    for axis in range(1, 4):
        after = (slice(None),) * axis + (slice(1, None),)
        before = (slice(None),) * axis + (slice(None, -1),)
        total[after] += values[before]
        total[before] += values[after]
    inside = total[:, brain]
    mean: Single = inside[:3] / np.maximum(inside[3], 1.0)
    return mean
