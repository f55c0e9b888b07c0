"""Where the brain is in a T1: what hangs together with its middle rather than with the scalp.

Nothing is learned and no atlas is used. The shading of the coil is taken out roughly. The middle
of the thickest bright piece is brain, the layer below the skin is not; every other voxel goes to
the one that reaches it over the brighter way. Skull, dura and fluid are dark, so the border lies
there, and muscle that lies close to the brain stays with the scalp that it is joined to by fat.
Closing brings back sulci and ventricles.
"""

from typing import Final

import numpy as np
from scipy.ndimage import (
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
)

from cestle.errors import NumericalError
from cestle.physics import Bool, Real

_SHADING_MM: Final = 25.0
_NOISE_MM: Final = 1.0
_HEAD_SHARE: Final = 0.12
"""Share of the bright end above which a voxel belongs to the head."""
_TISSUE: Final = (0.55, 1.5)
"""Brightness of grey and white matter, relative to the typical one around."""
_CORE_MM: Final = 8.0
"""Half the thickness that pieces outside the brain do not reach."""
_SKIN_MM: Final = 5.0
_LEVELS: Final = (1.4, 0.5, 19)
"""Brightness at which voxels are given to either: from, to, steps."""
_BRIDGE_MM: Final = 3.0
"""Half the width of a bridge that does not join a piece to the brain."""
_SULCUS_MM: Final = 8.0
"""Half the width of a gap that closing fills."""
_PAD: Final = 9
"""Voxels by which the image is continued, so that its border is not taken for that of the brain."""
_BRAIN: Final = 1
_SCALP: Final = 2


def brain_mask(values: Real, spacing_mm: tuple[float, float, float]) -> Bool:
    """Brain with sulci and ventricles.

    Parameters
    ----------
    values
        T1-weighted image of a head or a thick part of one, shape (slices, rows, columns) [a.u.].
    spacing_mm
        Size of its voxels, of 1 to 3 mm.

    Raises
    ------
    NumericalError
        When no brain is found.
    """
    step = np.array(spacing_mm)
    smooth = gaussian_filter(values, _NOISE_MM / step)
    low, high = np.percentile(smooth, [2.0, 98.0])
    head = smooth > low + _HEAD_SHARE * (high - low)
    if not head.any() or head.all():
        raise NumericalError("the T1 shows no head on a dark background")
    relative = smooth / np.maximum(_local_mean(smooth, head, step), 1e-9 * high)
    tissue = head & (relative > _TISSUE[0]) & (relative < _TISSUE[1])
    core = _thickest(distance_transform_edt(tissue, sampling=step) > _CORE_MM)
    scalp = _scalp(head, step) & ~core
    return _closed(_opened(_nearer_by_brightness(relative, core, scalp), step), step)


def _local_mean(values: Real, head: Bool, step: Real) -> Real:
    """Typical brightness around each voxel of the head, free of fat and of background."""
    level = np.median(values[head])
    kept = head & (values > 0.4 * level) & (values < 2.0 * level)
    width = _SHADING_MM / step
    weight = gaussian_filter(kept.astype(np.float64), width, truncate=2.5)
    total = gaussian_filter(np.where(kept, values, 0.0), width, truncate=2.5)
    mean: Real = total / np.maximum(weight, 1e-6)
    return mean


def _thickest(pieces: Bool) -> Bool:
    """The largest connected piece."""
    numbers, count = label(pieces)
    if count == 0:
        raise NumericalError("the T1 shows no piece as thick as a brain")
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    chosen: Bool = numbers == int(np.argmax(sizes))
    return chosen


def _scalp(head: Bool, step: Real) -> Bool:
    """The layer of the head next to the air around it, slice by slice; never above or below."""
    layer = np.zeros(head.shape, dtype=np.bool_)
    for number, part in enumerate(head):
        whole = binary_fill_holes(part)
        padded = np.pad(whole, 1)
        depth = distance_transform_edt(padded, sampling=step[1:])[1:-1, 1:-1]
        layer[number] = whole & (depth <= _SKIN_MM)
    return layer


def _nearer_by_brightness(relative: Real, core: Bool, scalp: Bool) -> Bool:
    """Voxels that `core` reaches at a higher level of brightness than `scalp` does.

    Reached at the same level, a voxel goes to the nearer one.
    """
    owner = np.pad(np.where(core, _BRAIN, np.where(scalp, _SCALP, 0)).astype(np.int8), 1)
    bright, flat = np.pad(relative, 1).ravel(), owner.ravel()
    _, rows, columns = owner.shape
    along_rows, along_slices = columns, rows * columns
    around = np.array([-1, 1, -along_rows, along_rows, -along_slices, along_slices])
    for level in np.linspace(*_LEVELS):
        free = np.flatnonzero((flat == 0) & (bright > level))
        while len(free):
            neighbours = flat[free[:, None] + around]
            to_brain = np.any(neighbours == _BRAIN, axis=1)
            to_scalp = np.any(neighbours == _SCALP, axis=1) & ~to_brain
            if not to_brain.any() and not to_scalp.any():
                break
            flat[free[to_brain]], flat[free[to_scalp]] = _BRAIN, _SCALP
            free = free[~(to_brain | to_scalp)]
    brain: Bool = owner[1:-1, 1:-1, 1:-1] == _BRAIN
    return brain


def _opened(solid: Bool, step: Real) -> Bool:
    """The largest piece that a ball fits through, and what lies within its width."""
    inner = _thickest(distance_transform_edt(_edge_padded(solid), sampling=step) > _BRIDGE_MM)
    opened: Bool = distance_transform_edt(~inner, sampling=step) <= _BRIDGE_MM + 0.5 * step.max()
    return solid & _unpadded(opened)


def _closed(solid: Bool, step: Real) -> Bool:
    """Closing by a ball, and no holes; the border of the image is not taken for outside."""
    grown = distance_transform_edt(~_edge_padded(solid), sampling=step) <= _SULCUS_MM
    closed = distance_transform_edt(grown, sampling=step) > _SULCUS_MM
    filled: Bool = binary_fill_holes(_unpadded(closed) | solid)
    return filled


def _edge_padded(mask: Bool) -> Bool:
    return np.pad(mask, _PAD, mode="edge")


def _unpadded(mask: Bool) -> Bool:
    return mask[_PAD:-_PAD, _PAD:-_PAD, _PAD:-_PAD]
