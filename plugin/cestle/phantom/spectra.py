"""Signals of pure tissues over offset and B1: computed once on a table, then interpolated."""

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import RectBivariateSpline

from cestle.phantom.bloch_mcconnell import SaturationSequence, Tissue, signal
from cestle.physics import Real

_OFFSET_STEP_PPM = 0.1
_B1_STEP = 0.08


class SignalTable:
    """ln S of one tissue for the offsets on one side of water.

    The logarithm of the signal is smooth in offset and B1 away from water, so that a cubic
    spline on a coarse table is exact to about 1e-5.

    Parameters
    ----------
    tissue
        The tissue.
    offsets_ppm
        Lowest and highest offset from the voxel's own water that will be asked for [ppm].
    relative_b1
        Lowest and highest relative B1 that will be asked for [1].
    sequence
        Timing and nominal amplitude.
    """

    def __init__(
        self,
        tissue: Tissue,
        *,
        offsets_ppm: tuple[float, float],
        relative_b1: tuple[float, float],
        sequence: SaturationSequence,
    ) -> None:
        offset_nodes = _nodes(*offsets_ppm, step=_OFFSET_STEP_PPM)
        b1_nodes = _nodes(*relative_b1, step=_B1_STEP)
        offsets, b1 = np.meshgrid(offset_nodes, b1_nodes, indexing="ij")
        strength = signal(tissue, offsets.ravel(), b1.ravel(), sequence=sequence)
        logarithm = np.log(strength).reshape(offsets.shape)
        self._spline = RectBivariateSpline(offset_nodes, b1_nodes, logarithm)

    def at(self, offsets_ppm: Real, relative_b1: Real) -> Real:
        """Signal at offsets [ppm] and relative B1 of equal shape."""
        strength: Real = np.exp(self._spline.ev(offsets_ppm, relative_b1))
        return strength


def _nodes(low: float, high: float, *, step: float) -> Real:
    """At least four nodes that enclose low…high, for a cubic spline."""
    margin = 0.25 * step
    count = max(4, int(np.ceil((high - low) / step)) + 2)
    nodes: Real = np.linspace(low - margin, high + margin, count)
    return nodes


def mixed_signals(
    fractions: Sequence[tuple[Tissue, Real]],
    *,
    offsets_ppm: Real,
    b0_shift_ppm: Real,
    relative_b1: Real,
    sequence: SaturationSequence,
) -> Real:
    """Noise-free images of voxels that mix several tissues.

    A pulse `offset` from the transmitter acts on a voxel as one at `offset − b0_shift` acts on a
    voxel without shift.

    Parameters
    ----------
    fractions
        Each tissue with its share of every voxel, arrays of one shape.
    offsets_ppm
        Offset of each image from the transmitter, shape (images,) [ppm].
    b0_shift_ppm, relative_b1
        Fields in the shape of the shares [ppm], [1].
    sequence
        Timing and nominal amplitude.

    Returns
    -------
        Signal, shape (images, ...) [share of pure water at equilibrium].
    """
    images = np.zeros((len(offsets_ppm), *b0_shift_ppm.shape))
    distinct, repeats = np.unique(offsets_ppm, return_inverse=True)
    for tissue, share in fractions:
        inside = share > 0.0
        if not inside.any():
            continue
        shift, b1 = b0_shift_ppm[inside], relative_b1[inside]
        span = (float(b1.min()), float(b1.max()))
        for side in (distinct[distinct < 0.0], distinct[distinct > 0.0]):
            if len(side) == 0:
                continue
            limits = (float(side.min() - shift.max()), float(side.max() - shift.min()))
            table = SignalTable(tissue, offsets_ppm=limits, relative_b1=span, sequence=sequence)
            for offset in side:
                strength = share[inside] * table.at(offset - shift, b1)
                for image in np.flatnonzero(distinct[repeats] == offset):
                    images[image][inside] += strength
    return images
