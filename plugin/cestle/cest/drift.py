"""What changed from the first to the last repeat: the signal, and B0 underneath it."""

import numpy as np

from cestle.cest.images import SaturationImages
from cestle.cest.noise import repeated_pairs
from cestle.cest.zspectrum import ZSpectrumSide, split_sides
from cestle.physics import Bool, Real


def signal_change(images: SaturationImages, valid: Bool) -> float | None:
    """Largest median change between repeats of one offset, relative; None without repeats.

    Parameters
    ----------
    images
        Repeats in order of acquisition.
    valid
        Voxels to look at, shape (slices, rows, columns).
    """
    changes = [
        abs(float(np.median(images.signal[later][valid] / images.signal[earlier][valid])) - 1.0)
        for earlier, later in repeated_pairs(images)
    ]
    return max(changes, default=None)


def b0_drift_hz(images: SaturationImages, valid: Bool) -> float | None:
    """Change of B0 from the first to the last repeat [Hz]; None without repeats on both sides.

    A drift of the signal changes both sides of water alike. A drift of B0 moves them along their
    slopes in opposite directions: water that has moved up lies further from the negative offset
    and nearer to the positive one. The difference of the two changes therefore tells it.

    Parameters
    ----------
    images
        Repeats in order of acquisition.
    valid
        Voxels to look at, shape (slices, rows, columns).
    """
    negative, positive = split_sides(images)
    below, above = (_log_change(images, valid, sign) for sign in (-1.0, 1.0))
    slope = _log_slope(negative, valid) + _log_slope(positive, valid)
    if below is None or above is None or slope <= 0.0:
        return None
    return (below - above) / slope * images.f0_mhz


def _log_change(images: SaturationImages, valid: Bool, sign: float) -> float | None:
    """Median change of ln S between the repeats on one side of water; None without repeats."""
    logarithm = _log(images.signal[:, valid])
    changes = [
        float(np.nanmedian(logarithm[later] - logarithm[earlier]))
        for earlier, later in repeated_pairs(images)
        if sign * images.offsets_ppm[earlier] > 0.0
    ]
    return max(changes, key=abs) if changes else None


def _log_slope(side: ZSpectrumSide, valid: Bool) -> float:
    """Median slope of ln S with the distance from water [1/ppm]; 0 with a single offset."""
    span = float(side.distance_ppm[-1] - side.distance_ppm[0])
    if span == 0.0:
        return 0.0
    inner, outer = _log(side.signal[0, valid]), _log(side.signal[-1, valid])
    return float(np.nanmedian(outer - inner)) / span


def _log(signal: Real) -> Real:
    logarithm: Real = np.log(np.where(signal > 0.0, signal, np.nan))
    return logarithm
