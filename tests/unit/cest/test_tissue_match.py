"""Shares that lie beside the images are noticed."""

import numpy as np
import pytest

from cestle.cest.images import SaturationImages
from cestle.cest.tissue import TissueFractions
from cestle.cest.tissue_match import match_tissues
from unit.builders import F0_MHZ, axial_grid

GRID = axial_grid(shape=(1, 64, 64), spacing=(11.0, 2.0, 1.5))
SIGNAL = {"grey": 200.0, "white": 140.0, "fluid": 690.0}


def shares():
    """A round brain of white matter, a rim of grey, and three pools of fluid."""
    _, row, column = np.indices(GRID.shape)
    radius = np.hypot(row - 31.5, column - 31.5)
    fluid = np.zeros(GRID.shape)
    for y, x, size in ((20, 25, 4.0), (40, 37, 3.0), (33, 22, 2.0)):
        fluid[np.hypot(row - y, column - x) < size] = 1.0
    grey = ((radius > 17) & (radius < 23)) * (1.0 - fluid)
    white = (radius <= 17) * (1.0 - fluid)
    return {"grey": grey, "white": white, "fluid": fluid}


def images(parts, noise=3.0):
    """One pair of images of these shares, with a shading of the coil and noise."""
    _, row, column = np.indices(GRID.shape)
    coil = 1.0 + 0.3 * (row - 31.5) / 32 - 0.2 * ((column - 31.5) / 32) ** 2
    clean = coil * sum(parts[name] * SIGNAL[name] for name in SIGNAL)
    generator = np.random.default_rng(4)
    signal = clean + noise * generator.normal(size=(2, *GRID.shape))
    return SaturationImages(
        signal=signal, offsets_ppm=np.array([-3.0, 3.0]), grid=GRID, f0_mhz=F0_MHZ
    )


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 2), (-1, 0), (3, -2)])
def test_the_displacement_of_shares_is_found(rows, columns):
    """Shares moved by whole voxels are found to lie that far away, in millimetres."""
    parts = shares()
    moved = {name: np.roll(part, (rows, columns), axis=(1, 2)) for name, part in parts.items()}
    match = match_tissues(images(parts), TissueFractions(**moved))
    assert match.displacement_mm == pytest.approx(np.hypot(2.0 * rows, 1.5 * columns))
    assert match.best_explained > 0.99
    assert (match.explained < 0.9) is bool(rows or columns)


def test_shares_of_another_head_explain_little():
    """Shares turned upside down explain less of the images than half."""
    parts = shares()
    other = {name: np.rot90(part, axes=(1, 2)) for name, part in parts.items()}
    match = match_tissues(images(parts), TissueFractions(**other))
    assert match.best_explained < 0.5


def test_too_little_tissue_says_nothing():
    """With fewer than 400 voxels of tissue there is no verdict."""
    parts = {
        name: np.where(np.indices(GRID.shape)[1] < 18, part, 0) for name, part in shares().items()
    }
    assert match_tissues(images(parts), TissueFractions(**parts)) is None
