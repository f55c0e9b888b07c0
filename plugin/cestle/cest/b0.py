"""B0 correction: what each side of the z-spectrum would be at ±3 ppm from the voxel's own water.

A voxel whose water lies at ``b0_shift_ppm`` sees every saturation pulse at its nominal offset
minus that shift. The value at +3 ppm from its own water is therefore read at the nominal distance
3 + shift on the positive side and 3 − shift on the negative side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.interpolate import PchipInterpolator

from cestle.cest.zspectrum import ZSpectrumSide
from cestle.errors import ProtocolError
from cestle.physics import Real


class B0Method(StrEnum):
    """How a side is interpolated between its offsets."""

    NONE = "none"
    """The image at the target offset as acquired; only for comparison."""
    LINEAR = "linear"
    """Straight lines between neighbouring offsets."""
    PCHIP = "pchip"
    """Monotone piecewise cubic (Fritsch and Carlson 1980, doi:10.1137/0717021)."""
    QUADRATIC = "quadratic"
    """The parabola through three offsets, as the GluCEST programs of Penn use; the default."""
    LN_QUADRATIC = "ln_quadratic"
    """The parabola through the logarithms of three offsets."""


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


def correct_side(side: ZSpectrumSide, distance_ppm: Real, method: B0Method) -> CorrectedSide:
    """Interpolate one side at a distance from water that varies over the voxels.

    Parameters
    ----------
    side
        The nodes.
    distance_ppm
        Nominal distance to read at, shape (slices, rows, columns) [ppm]; NaN gives NaN.
    method
        The interpolation.

    Raises
    ------
    ProtocolError
        When the side has too few offsets for the method.
    """
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


def _lagrange_weights(side: ZSpectrumSide, distance_ppm: Real) -> Real:
    """Weights of the three nodes of a parabola, shape (nodes, slices, rows, columns)."""
    if len(side.distance_ppm) != 3:
        raise ProtocolError(
            f"{len(side.distance_ppm)} offsets found on one side of water, the parabola needs "
            "exactly 3; choose the B0 method linear or pchip for this protocol."
        )
    a, b, c = side.distance_ppm
    u = distance_ppm
    return np.stack(
        [
            (u - b) * (u - c) / ((a - b) * (a - c)),
            (u - a) * (u - c) / ((b - a) * (b - c)),
            (u - a) * (u - b) / ((c - a) * (c - b)),
        ]
    )


def _weighted(side: ZSpectrumSide, weights: Real) -> CorrectedSide:
    signal = np.sum(weights * side.signal, axis=0)
    return CorrectedSide(signal=signal, variance_factor=_variance(weights, side))


def _variance(gradient: Real, side: ZSpectrumSide) -> Real:
    per_node = side.repeats.reshape(-1, 1, 1, 1)
    factor: Real = np.sum(gradient**2 / per_node, axis=0)
    return factor
