"""The smooth factor that coils put on the brightness of an image, on blocks of millimetres."""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform, gaussian_filter

from cestle.physics import Bool, Real

Single = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int_]

_BLOCK_MM: Final = 8.0
_WIDTH_MM: Final = 16.0
_WIDE_BLOCK_MM: Final = 16.0
_WIDE_MM: Final = 20.0
_BRIGHT_END: Final = 85.0
"""Percentile of a block's brightness that is white matter wherever in the brain it lies."""
_LEAST_SHARE: Final = 0.1
"""Share of a block that must be known."""


class SmoothField:
    """A smooth factor on a grid of voxels.

    Parameters
    ----------
    shape
        Number of (slices, rows, columns).
    spacing_mm
        Distance of the voxels.
    """

    def __init__(self, shape: tuple[int, ...], spacing_mm: Real) -> None:
        self._shape = shape
        self._spacing_mm = spacing_mm
        self._counts = self._blocks(_BLOCK_MM)
        self._logarithm = np.zeros((1, 1, 1))

    def bright_end(self, brightness: Single, known: Bool) -> Single:
        """A first guess: the bright end of the brightness around each voxel."""
        self._counts = self._blocks(_WIDE_BLOCK_MM)
        blocks = _in_blocks(np.where(known, brightness, np.nan), self._counts, np.nan)
        number = np.count_nonzero(np.isfinite(blocks), axis=-1).astype(np.float64)
        enough = number > _LEAST_SHARE * blocks.shape[-1]
        found = np.zeros(number.shape)
        found[enough] = np.log(np.nanpercentile(blocks[enough], _BRIGHT_END, axis=-1))
        return self._smoothed(number * enough * found, number * enough, _WIDE_MM)

    def of_residual(self, residual: Real, weight: Real) -> Single:
        """The factor whose logarithm is the local weighted mean of a residual.

        Parameters
        ----------
        residual
            Weight times logarithm of what is left over, shape of the field.
        weight
            Weight, same shape.
        """
        self._counts = self._blocks(_BLOCK_MM)
        sums = [_in_blocks(values, self._counts, 0.0).sum(axis=-1) for values in (residual, weight)]
        return self._smoothed(sums[0], sums[1], _WIDTH_MM)

    def on(self, shape: tuple[int, ...], every: Counts) -> Single:
        """The last factor on a finer grid, of whose voxels each `every`-th is one of this."""
        return self._to_voxels(shape, every)

    def _blocks(self, size_mm: float) -> Counts:
        counts: Counts = np.maximum(1, np.round(size_mm / self._spacing_mm)).astype(int)
        largest: Counts = np.array(self._shape)
        return np.where(counts < largest, counts, largest)

    def _smoothed(self, total: Real, weight: Real, width_mm: float) -> Single:
        width = width_mm / (self._counts * self._spacing_mm)
        found = gaussian_filter(total, width, mode="nearest", truncate=3.0)
        known = gaussian_filter(weight, width, mode="nearest", truncate=3.0)
        # far from the brain nothing is known, and the factor tends to 1
        self._logarithm = found / np.maximum(known, 1e-3 * max(float(known.mean()), 1e-30))
        return self._to_voxels(self._shape, np.ones(3, dtype=int))

    def _to_voxels(self, shape: tuple[int, ...], every: Counts) -> Single:
        """Linear between the centres of the blocks."""
        scale = 1.0 / (self._counts * every)
        # voxel i of the finer grid lies at (i − every//2)/every of this one
        start = -(every // 2) * scale + 0.5 * (1.0 / self._counts - 1.0)
        logarithm = affine_transform(
            self._logarithm, scale, start, output_shape=shape, order=1, mode="nearest"
        )
        factor: Single = np.exp(logarithm).astype(np.float32)
        return factor


def _in_blocks(values: Real, counts: Counts, filling: float) -> Real:
    """Voxels of each block along the last axis, shape (blocks, blocks, blocks, voxels)."""
    pad = [(0, int(-size % count)) for size, count in zip(values.shape, counts, strict=True)]
    padded = np.pad(values, pad, constant_values=filling)
    a, b, c = (size // count for size, count in zip(padded.shape, counts, strict=True))
    parts = padded.reshape(a, counts[0], b, counts[1], c, counts[2])
    return parts.transpose(0, 2, 4, 1, 3, 5).reshape(a, b, c, -1)
