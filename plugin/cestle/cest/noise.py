"""Noise of images and maps, measured on themselves."""

from typing import Final

import numpy as np

from cestle.cest.images import SaturationImages
from cestle.cest.zspectrum import OFFSET_TOLERANCE_PPM
from cestle.measurement import MAD_TO_SD
from cestle.physics import Bool, Real

CORRELATION_PIXELS: Final = 2
"""Largest distance along rows and columns at which noise is taken to be correlated."""

_CLIP: Final = 3.0
_FOURTH_DIFFERENCE: Final = (1.0, -4.0, 6.0, -4.0, 1.0)


def repeated_pairs(images: SaturationImages) -> list[tuple[int, int]]:
    """Numbers of the images that share one offset, each pair once."""
    offsets = images.offsets_ppm
    return [
        (i, j)
        for i in range(len(offsets))
        for j in range(i + 1, len(offsets))
        if abs(offsets[i] - offsets[j]) <= OFFSET_TOLERANCE_PPM
    ]


def noise_correlation(images: SaturationImages, mask: Bool) -> Real | None:
    """Correlation of the noise of neighbouring voxels, from repeated offsets.

    Interpolation, filters of the scanner and residual motion make neighbours alike, so that the
    mean of a region is less sure than that of as many independent voxels.

    Parameters
    ----------
    images
        Repeats kept apart, as they go into the map.
    mask
        Voxels with signal, shape (slices, rows, columns).

    Returns
    -------
        Correlation at distances of −2…2 rows and columns, shape (5, 5), 1 in the middle; values
        within two standard errors of 0 are 0. None without repeats or voxels.
    """
    pairs = repeated_pairs(images)
    if not pairs or np.count_nonzero(mask) < 2:
        return None
    sums, counts = np.zeros((5, 5)), np.zeros((5, 5))
    for i, j in pairs:
        difference = _difference(images.signal[i], images.signal[j], mask)
        products, voxels = _lag_sums(difference, mask)
        sums += products
        counts += voxels
    covariance = sums / np.maximum(counts, 1.0)
    variance = covariance[CORRELATION_PIXELS, CORRELATION_PIXELS]
    if variance <= 0.0:
        return None
    correlation = covariance / variance
    found: Real = np.where(
        np.abs(correlation) > 2.0 / np.sqrt(np.maximum(counts, 1.0)), correlation, 0.0
    )
    return found


def _difference(first: Real, second: Real, mask: Bool) -> Real:
    """Difference of two repeats without a common gain, outliers limited, 0 outside the mask."""
    gain = np.sum(first[mask] * second[mask]) / np.maximum(np.sum(first[mask] ** 2), 1e-300)
    difference = np.where(mask, second - gain * first, 0.0)
    limit = _CLIP * MAD_TO_SD * np.median(np.abs(difference[mask]))
    limited: Real = np.clip(difference, -limit, limit)
    return limited


def _lag_sums(values: Real, mask: Bool) -> tuple[Real, Real]:
    """Sums of products of neighbours and numbers of neighbours in the mask, both (5, 5)."""
    reach = range(-CORRELATION_PIXELS, CORRELATION_PIXELS + 1)
    products, voxels = np.zeros((5, 5)), np.zeros((5, 5))
    counted = mask.astype(np.float64)
    for row in reach:
        for column in reach:
            at = (row + CORRELATION_PIXELS, column + CORRELATION_PIXELS)
            one, other = _overlap(values, row, column)
            products[at] = np.sum(one * other)
            one, other = _overlap(counted, row, column)
            voxels[at] = np.sum(one * other)
    return products, voxels


def _overlap(values: Real, row: int, column: int) -> tuple[Real, Real]:
    """The parts of an image that lie over each other when it is shifted."""
    _, rows, columns = values.shape
    top, left = max(row, 0), max(column, 0)
    bottom, right = rows + min(row, 0), columns + min(column, 0)
    return (
        values[:, top:bottom, left:right],
        values[:, top - row : bottom - row, left - column : right - column],
    )


def sum_variance(error: Real, correlation: Real | None) -> float:
    """Variance of the sum of voxels.

    Parameters
    ----------
    error
        Standard error of each voxel times its weight, shape (slices, rows, columns).
    correlation
        As of `noise_correlation`; independent voxels when None.
    """
    independent = float(np.sum(error**2))
    if correlation is None:
        return independent
    products, _ = _lag_sums(error, np.zeros(error.shape, dtype=np.bool_))
    # a correlation that was measured may fail to be positive definite by its own noise
    return max(float(np.sum(correlation * products)), 0.25 * independent)


def roughness(values: Real, mask: Bool) -> float | None:
    """Standard deviation of the white noise on a smooth map.

    Parameters
    ----------
    values
        Map, shape (slices, rows, columns).
    mask
        Voxels where it is known, same shape.

    Returns
    -------
        From the fourth differences along rows and columns, which take away anything that bends
        like a cubic; the smaller of the two, robust against edges. None where no five
        neighbours are known.
    """
    known = np.where(mask & np.isfinite(values), values, np.nan)
    found = [_fourth_difference_sd(known, axis) for axis in (1, 2)]
    sizes = [size for size in found if size is not None]
    return min(sizes) if sizes else None


def _fourth_difference_sd(known: Real, axis: int) -> float | None:
    count = known.shape[axis] - len(_FOURTH_DIFFERENCE) + 1
    if count < 1:
        return None
    total = sum(
        weight * np.take(known, np.arange(shift, shift + count), axis=axis)
        for shift, weight in enumerate(_FOURTH_DIFFERENCE)
    )
    finite = np.abs(np.asarray(total)[np.isfinite(total)])
    if len(finite) == 0:
        return None
    gain = np.sqrt(np.sum(np.square(_FOURTH_DIFFERENCE)))
    return float(MAD_TO_SD * np.median(finite) / gain)
