"""B0 correction on a brain measured at 7T, against the z-spectrum of 57 offsets."""

import numpy as np
import pytest

from cestle.cest.b0 import B0Method, correct_side
from cestle.cest.glucest import glucest_percent
from cestle.cest.images import SaturationImages
from cestle.cest.tissue import classes_from_images
from cestle.cest.zspectrum import split_sides
from cestle.protocol import JUPITER_5T_GLUCEST
from phantoms.brain_7t import F0_MHZ, load
from reading import shared
from unit.builders import axial_grid


@pytest.fixture(scope="module")
def brain():
    return load(shared("cest-7t-brain/Example_data.mat"))


def computed(brain, method, added_ppm=0.0):
    """The map from the eight offsets of the protocol, the field moved by `added_ppm`."""
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    grid = axial_grid(shape=(1, *brain.brain.shape))
    signal = np.stack([np.maximum(brain.signal_at(offset - added_ppm), 0.0) for offset in offsets])[
        :, None
    ]
    images = SaturationImages(signal=signal, offsets_ppm=offsets, grid=grid, f0_mhz=F0_MHZ)
    shift = brain.b0_shift_ppm[None] + added_ppm
    negative, positive = split_sides(images)
    classes = classes_from_images(negative, positive)
    # both repeats are one and the same measurement here, so nothing can be said of the noise
    low, high = (
        correct_side(side, 3.0 + sign * shift, method, classes=classes, noise=None).signal[0]
        for side, sign in ((negative, -1.0), (positive, 1.0))
    )
    inside = brain.brain & (np.abs(brain.b0_shift_ppm) <= 0.4)
    return np.where(inside, glucest_percent(low, high), np.nan)


def from_many_offsets(brain):
    """Contrast from parabolas through all offsets within 1 ppm of the voxel's own ±3 ppm."""
    values = []
    for centre in (-3.0, 3.0):
        value = np.full(brain.brain.shape, np.nan)
        for place in map(tuple, np.argwhere(brain.brain)):
            away = brain.offsets_ppm - centre - brain.b0_shift_ppm[place]
            near = np.abs(away) <= 1.0
            if np.count_nonzero(near) >= 4:
                spectrum = brain.zspectrum[(near, *place)]
                value[place] = np.polyfit(away[near], spectrum, 2)[-1]
        values.append(value)
    return 100.0 * (1.0 - values[1] / values[0])


def test_pooling_does_not_move_the_map_and_halves_its_noise(brain):
    """The median voxel moves by less than 0.1 pp; the distance from many offsets shrinks by 1/3."""
    truth = from_many_offsets(brain)
    parabola, pooled = (computed(brain, m) for m in (B0Method.QUADRATIC, B0Method.POOLED))
    assert abs(np.nanmedian(pooled - parabola)) < 0.1
    spread = {}
    for name, found in (("parabola", parabola), ("pooled", pooled)):
        error = (found - truth)[np.isfinite(found) & np.isfinite(truth)]
        spread[name] = np.median(np.abs(error - np.median(error)))
    assert spread["pooled"] < 0.67 * spread["parabola"]


@pytest.mark.parametrize("added", [-0.1, 0.1])
def test_a_known_shift_of_the_field_hardly_moves_the_map(brain, added):
    """With 0.1 ppm more in images and B0 map the median voxel moves by less than 0.3 pp."""
    before = computed(brain, B0Method.POOLED)
    after = computed(brain, B0Method.POOLED, added_ppm=added)
    assert abs(np.nanmedian(after - before)) < 0.3
