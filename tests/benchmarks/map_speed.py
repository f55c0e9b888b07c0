"""How long a map takes."""

import numpy as np

from benchmarks.timing import milliseconds, row
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.geometry import Grid
from cestle.protocol import JUPITER_5T_GLUCEST


def lines():
    """The map of one slice and of 40 slices of 128×128, eight images."""
    yield row("map 128×128×8, one slice", _measure(1, runs=30), "≤ 50 ms")
    yield row("map 128×128×8, 40 slices", _measure(40, runs=5), "≤ 2000 ms")


def _measure(slices, *, runs):
    shape = (slices, 128, 128)
    grid = Grid(
        shape=shape,
        affine=np.diag([3.0, 1.72, 1.72, 1.0]),
        frame_of_reference_uid="",
        slice_thickness_mm=3.0,
    )
    rng = np.random.default_rng(0)
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    images = SaturationImages(
        signal=300.0 + 5.0 * rng.normal(size=(len(offsets), *shape)),
        offsets_ppm=offsets,
        grid=grid,
        f0_mhz=210.8,
    )
    fields = FieldMaps(
        b0_shift_ppm=rng.uniform(-0.3, 0.3, shape),
        relative_b1=rng.uniform(0.8, 1.2, shape),
        grid=grid,
    )
    return milliseconds(lambda: compute_glucest(images, fields, GluCestSettings()), runs=runs)
