"""Order and repeats of the saturation images."""

from dataclasses import dataclass

import numpy as np

from cestle.cest.images import SaturationImages
from cestle.errors import ProtocolError
from cestle.measurement import MAD_TO_SD
from cestle.physics import Real

OFFSET_TOLERANCE_PPM = 0.01
"""Offsets closer than this are repeats of one offset."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ZSpectrumSide:
    """One side of water, repeats averaged.

    Parameters
    ----------
    distance_ppm
        Absolute offsets in rising order, shape (nodes,) [ppm].
    signal
        Mean of the repeats, shape (nodes, slices, rows, columns) [a.u.].
    repeats
        Number of images behind each node, shape (nodes,).
    """

    distance_ppm: Real
    signal: Real
    repeats: Real


def split_sides(images: SaturationImages) -> tuple[ZSpectrumSide, ZSpectrumSide]:
    """Average the repeats and split at water into (negative, positive) side.

    Raises
    ------
    ProtocolError
        When one side holds no image.
    """
    return _side(images, -1.0), _side(images, 1.0)


def _side(images: SaturationImages, sign: float) -> ZSpectrumSide:
    distance = sign * images.offsets_ppm
    chosen = np.flatnonzero(distance > 0.0)
    if len(chosen) == 0:
        name = "negative" if sign < 0 else "positive"
        raise ProtocolError(
            f"no image is saturated at a {name} offset; GluCEST needs both sides of water. "
            "Send the whole CEST series."
        )
    ordered = chosen[np.argsort(distance[chosen], kind="stable")]
    breaks = np.flatnonzero(np.diff(distance[ordered]) > OFFSET_TOLERANCE_PPM) + 1
    groups = np.split(ordered, breaks)
    return ZSpectrumSide(
        distance_ppm=np.array([distance[group].mean() for group in groups]),
        signal=np.stack([images.signal[group].mean(axis=0) for group in groups]),
        repeats=np.array([float(len(group)) for group in groups]),
    )


def noise_from_repeats(images: SaturationImages, mask: np.ndarray) -> float | None:
    """Standard deviation of the noise of one image, from repeated offsets.

    Parameters
    ----------
    images
        Repeats kept apart.
    mask
        Voxels with signal, shape (slices, rows, columns).

    Returns
    -------
        1.4826 × median absolute difference / √2 over all repeated pairs [a.u.]: robust against
        a few voxels that moved; None without repeats or voxels.
    """
    offsets = images.offsets_ppm
    differences = [
        (images.signal[j] - images.signal[i])[mask]
        for i in range(len(offsets))
        for j in range(i + 1, len(offsets))
        if abs(offsets[i] - offsets[j]) <= OFFSET_TOLERANCE_PPM
    ]
    if not differences or not mask.any():
        return None
    pooled = np.concatenate([d - np.median(d) for d in differences])
    return float(MAD_TO_SD * np.median(np.abs(pooled)) / np.sqrt(2.0))
