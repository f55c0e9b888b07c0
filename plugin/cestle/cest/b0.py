"""B0 correction: what each side of the z-spectrum would be at ±3 ppm from the voxel's own water.

A voxel whose water lies at ``b0_shift_ppm`` sees every saturation pulse at its nominal offset
minus that shift. The value at +3 ppm from its own water is therefore read at the nominal distance
3 + shift on the positive side and 3 − shift on the negative side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from cestle.cest.curvature import LARGEST_DISTANCE_PPM, pooled_curvature
from cestle.cest.tissue import BACKGROUND, Classes
from cestle.cest.zspectrum import ZSpectrumSide
from cestle.errors import ProtocolError
from cestle.measurement import MAD_TO_SD
from cestle.physics import Real

POOLED_LIMIT_PPM: Final = 0.3
"""Distance from the middle offset up to which a pooled curvature is used; there its noise equals
that of the parabola, and beyond, the parabola is exact at the outer offset."""


class B0Method(StrEnum):
    """How a side is interpolated between its offsets."""

    NONE = "none"
    """The image at the target offset as acquired; only for comparison."""
    LINEAR = "linear"
    """Straight lines between neighbouring offsets."""
    PCHIP = "pchip"
    """Monotone piecewise cubic (Fritsch and Carlson 1980, doi:10.1137/0717021)."""
    QUADRATIC = "quadratic"
    """The parabola through three offsets, as the GluCEST programs of Penn use."""
    LN_QUADRATIC = "ln_quadratic"
    """The parabola through the logarithms of three offsets."""
    POOLED = "pooled"
    """A line in each voxel on a curvature shared by its tissue, the parabola beyond 0.3 ppm."""
    LN_POOLED = "ln_pooled"
    """The same on the logarithms."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CorrectedSide:
    """One side at the target distance from each voxel's own water.

    Parameters
    ----------
    signal
        Shape (slices, rows, columns) [a.u.].
    variance_factor
        Variance of `signal` over the variance of one image, same shape; to first order.
    """

    signal: Real
    variance_factor: Real


def correct_side(
    side: ZSpectrumSide,
    distance_ppm: Real,
    method: B0Method,
    *,
    classes: Classes | None = None,
    noise: float | None = None,
) -> CorrectedSide:
    """Interpolate one side at a distance from water that varies over the voxels.

    Parameters
    ----------
    side
        The nodes.
    distance_ppm
        Nominal distance to read at, shape (slices, rows, columns) [ppm]; NaN gives NaN.
    method
        The interpolation.
    classes
        Voxels of one number share a curvature where the method pools it, those with −1 get the
        parabola; shape of `distance_ppm`. All voxels share one when None.
    noise
        Standard deviation of one image [a.u.]. With it `B0Method.POOLED` trusts the voxel's own
        curvature as far as the noise allows; without it the class alone.

    Raises
    ------
    ProtocolError
        When the side has too few offsets for the method.
    """
    if method in (B0Method.POOLED, B0Method.LN_POOLED):
        if classes is None:
            classes = np.zeros(distance_ppm.shape, dtype=np.int8)
        pooled, far = _POOLING[method]
        near = pooled(side, distance_ppm, classes, noise)
        return _beyond(near, far(side, distance_ppm), side, distance_ppm, classes)
    return _INTERPOLATIONS[method](side, distance_ppm)


def _nearest_node(side: ZSpectrumSide, distance_ppm: Real) -> CorrectedSide:
    wanted = float(np.nanmedian(distance_ppm))
    node = int(np.argmin(np.abs(side.distance_ppm - wanted)))
    factor = np.full(distance_ppm.shape, 1.0 / side.repeats[node])
    return CorrectedSide(signal=side.signal[node], variance_factor=factor)


def _linear(side: ZSpectrumSide, distance_ppm: Real) -> CorrectedSide:
    _require_nodes(side, 2, "linear")
    nodes = side.distance_ppm
    last = len(nodes) - 2
    interval = np.clip(np.searchsorted(nodes, distance_ppm) - 1, 0, last)
    share = (distance_ppm - nodes[interval]) / (nodes[interval + 1] - nodes[interval])
    weights = np.zeros((len(nodes), *distance_ppm.shape))
    np.put_along_axis(weights, interval[None], (1.0 - share)[None], axis=0)
    np.put_along_axis(weights, interval[None] + 1, share[None], axis=0)
    return _weighted(side, weights)


def _quadratic(side: ZSpectrumSide, distance_ppm: Real) -> CorrectedSide:
    return _weighted(side, _lagrange_weights(side, distance_ppm))


def _ln_quadratic(side: ZSpectrumSide, distance_ppm: Real) -> CorrectedSide:
    weights = _lagrange_weights(side, distance_ppm)
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.where(side.signal > 0.0, side.signal, np.nan))
        signal = np.exp(np.sum(weights * logarithm, axis=0))
        # ∂S/∂S_i = w_i · S / S_i, since ln S is linear in the ln S_i
        gradient = weights * signal / side.signal
    return CorrectedSide(signal=signal, variance_factor=_variance(gradient, side))


def _pchip(side: ZSpectrumSide, distance_ppm: Real) -> CorrectedSide:
    _require_nodes(side, 3, "pchip")
    nodes = side.distance_ppm
    cubic = PchipInterpolator(nodes, side.signal, axis=0, extrapolate=True)
    interval = np.clip(np.searchsorted(nodes, distance_ppm) - 1, 0, len(nodes) - 2)
    step = distance_ppm - nodes[interval]
    signal = np.zeros(distance_ppm.shape)
    for coefficient in cubic.c:
        chosen = np.take_along_axis(coefficient, interval[None], axis=0)[0]
        signal = signal * step + chosen
    # PCHIP is not linear in its nodes; near the target its noise is that of the parabola
    factor = _variance(_lagrange_weights(side, distance_ppm), side)
    return CorrectedSide(signal=signal, variance_factor=factor)


def _pooled(
    side: ZSpectrumSide, distance_ppm: Real, classes: Classes, noise: float | None
) -> CorrectedSide:
    """Least squares of S = a (1 + k u²) + b u in each voxel, k shared as far as noise demands.

    With the voxel's own k the fit is the parabola. The posterior mean of k lies between its own
    and that of its class, the nearer to the class the larger its noise is against the spread of k
    within the class; the value at the target follows it to first order.
    """
    u = _from_middle(side)
    at = distance_ppm - side.distance_ppm[1]
    curvature, parabola = _relative_curvature(side.signal, u)
    own = curvature / parabola
    k = pooled_curvature(own, at, classes, depends_on_distance=True)
    weights = _line_weights(side, u, at, k)
    if noise is not None:
        trust = _trust(own - k, noise * _curvature_noise(side, u) / parabola, at, classes)
        weights = weights + trust * (_lagrange_weights(side, distance_ppm) - weights)
    return _weighted(side, weights)


def _trust(deviation: Real, error: Real, at: Real, classes: Classes) -> Real:
    """Weight 0…1 of a voxel's own curvature, shape of `deviation`.

    Parameters
    ----------
    deviation
        Own curvature minus that of the class [1/ppm²].
    error
        Standard deviation of the own curvature from noise, same shape [1/ppm²].
    at
        Where each voxel is read, relative to the middle offset [ppm].
    classes
        Class of each voxel, −1 for none.
    """
    with np.errstate(invalid="ignore"):
        known = (
            (classes != BACKGROUND)
            & np.isfinite(deviation)
            & np.isfinite(error)
            & (np.abs(at) <= LARGEST_DISTANCE_PPM)
        )
    trust = np.zeros(deviation.shape)
    if not known.any():
        return trust
    seen = MAD_TO_SD * float(np.median(np.abs(deviation[known])))
    spread = max(seen**2 - float(np.median(error[known] ** 2)), 0.0)
    total = spread + error[known] ** 2
    trust[known] = np.divide(spread, total, out=np.zeros_like(total), where=total > 0.0)
    return trust


def _curvature_noise(side: ZSpectrumSide, u: Real) -> float:
    """Standard deviation of half the second derivative for images of unit noise [1/ppm²]."""
    a, b, c = u
    weights = np.array(
        [1.0 / ((a - b) * (a - c)), 1.0 / ((b - a) * (b - c)), 1.0 / ((c - a) * (c - b))]
    )
    return float(np.sqrt(np.sum(weights**2 / side.repeats)))


def _ln_pooled(
    side: ZSpectrumSide, distance_ppm: Real, classes: Classes, noise: float | None
) -> CorrectedSide:
    """Least squares of ln S = a + b u + k u² in each voxel, k that of the class."""
    del noise  # offered for comparison with the design's form, which does not use it
    u = _from_middle(side)
    at = distance_ppm - side.distance_ppm[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.where(side.signal > 0.0, side.signal, np.nan))
        curvature, _ = _relative_curvature(logarithm, u)
        k = pooled_curvature(curvature, at, classes, depends_on_distance=False)
        weights = _line_weights(side, u, at, np.zeros_like(k))
        straight = logarithm - k * _over_nodes(u**2)
        signal = np.exp(np.sum(weights * straight, axis=0) + k * at**2)
        gradient = weights * signal / side.signal
    return CorrectedSide(signal=signal, variance_factor=_variance(gradient, side))


def _beyond(
    near: CorrectedSide,
    far: CorrectedSide,
    side: ZSpectrumSide,
    distance_ppm: Real,
    classes: Classes,
) -> CorrectedSide:
    """`near` close to the middle offset of voxels that have a class, `far` elsewhere."""
    close = np.abs(distance_ppm - side.distance_ppm[1]) <= POOLED_LIMIT_PPM
    chosen = close & (classes != BACKGROUND) & np.isfinite(near.signal)
    return CorrectedSide(
        signal=np.where(chosen, near.signal, far.signal),
        variance_factor=np.where(chosen, near.variance_factor, far.variance_factor),
    )


_POOLING: Final = {
    B0Method.POOLED: (_pooled, _quadratic),
    B0Method.LN_POOLED: (_ln_pooled, _ln_quadratic),
}

_INTERPOLATIONS: dict[B0Method, Callable[[ZSpectrumSide, Real], CorrectedSide]] = {
    B0Method.NONE: _nearest_node,
    B0Method.LINEAR: _linear,
    B0Method.PCHIP: _pchip,
    B0Method.QUADRATIC: _quadratic,
    B0Method.LN_QUADRATIC: _ln_quadratic,
}


def _require_nodes(side: ZSpectrumSide, least: int, method: str) -> None:
    if len(side.distance_ppm) < least:
        raise ProtocolError(
            f"{len(side.distance_ppm)} offset(s) found on one side of water, the B0 method "
            f"{method} needs {least}; acquire all offsets or choose another method."
        )


def _require_three(side: ZSpectrumSide) -> None:
    if len(side.distance_ppm) != 3:
        raise ProtocolError(
            f"{len(side.distance_ppm)} offsets found on one side of water, the parabola needs "
            "exactly 3; choose the B0 method linear or pchip for this protocol."
        )


def _lagrange_weights(side: ZSpectrumSide, distance_ppm: Real) -> Real:
    """Weights of the three nodes of a parabola, shape (nodes, slices, rows, columns)."""
    _require_three(side)
    a, b, c = side.distance_ppm
    u = distance_ppm
    return np.stack(
        [
            (u - b) * (u - c) / ((a - b) * (a - c)),
            (u - a) * (u - c) / ((b - a) * (b - c)),
            (u - a) * (u - b) / ((c - a) * (c - b)),
        ]
    )


def _from_middle(side: ZSpectrumSide) -> Real:
    """Distances of the three offsets from the middle one [ppm]."""
    _require_three(side)
    distances: Real = side.distance_ppm - side.distance_ppm[1]
    return distances


def _over_nodes(values: Real) -> Real:
    return values.reshape(-1, 1, 1, 1)


def _relative_curvature(values: Real, u: Real) -> tuple[Real, Real]:
    """Half the second derivative of the parabola through three values, and its middle value."""
    a, b, c = u
    curvature = (
        values[0] / ((a - b) * (a - c))
        + values[1] / ((b - a) * (b - c))
        + values[2] / ((c - a) * (c - b))
    )
    return curvature, np.where(values[1] > 0.0, values[1], np.nan)


def _line_weights(side: ZSpectrumSide, u: Real, at: Real, k: Real) -> Real:
    """Weights of the images in the least-squares value at `at`, shape (nodes, *at.shape).

    The two columns of the fit are 1 + k u² and u, each image counts as often as it was repeated.
    """
    repeats, steps = _over_nodes(side.repeats), _over_nodes(u)
    bend = 1.0 + k * steps**2
    aa = np.sum(repeats * bend**2, axis=0)
    ab = np.sum(repeats * bend * steps, axis=0)
    bb = np.sum(repeats * steps**2, axis=0)
    level, slope = 1.0 + k * at**2, at
    determinant = aa * bb - ab**2
    for_level = (level * bb - slope * ab) / determinant
    for_slope = (slope * aa - level * ab) / determinant
    weights: Real = repeats * (for_level * bend + for_slope * steps)
    return weights


def _weighted(side: ZSpectrumSide, weights: Real) -> CorrectedSide:
    signal = np.sum(weights * side.signal, axis=0)
    return CorrectedSide(signal=signal, variance_factor=_variance(weights, side))


def _variance(gradient: Real, side: ZSpectrumSide) -> Real:
    per_node = side.repeats.reshape(-1, 1, 1, 1)
    factor: Real = np.sum(gradient**2 / per_node, axis=0)
    return factor
