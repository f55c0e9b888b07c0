"""The share of a box that lies in a region."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cestle.anatomy.box import share_of_box, tissue_of_box
from cestle.errors import NumericalError
from cestle.measurement import Side, Structure
from cestle.phantom.head import REGION_LABELS, Label
from cestle.phantom.study import SimulationSettings, simulate
from unit.builders import axial_grid, box_region

GRID = axial_grid((48, 64, 64), (1.0, 1.0, 1.0))
ANGLES = st.floats(-180.0, 180.0)


def block(centre_mm, half_mm):
    """A region that is a block along the axes."""
    return box_region(GRID, Structure.HIPPOCAMPUS, Side.LEFT, centre_mm, half_mm)


def test_half_a_box_is_half():
    """A box of which the left half lies in a region has a share of one half."""
    region = block((15.5, 0.0, 0.0), (15.5, 20.0, 20.0))
    assert share_of_box(region, np.zeros(3), np.diag([16.0, 20.0, 12.0])) == pytest.approx(
        0.5, abs=0.04
    )


@given(a=ANGLES, b=ANGLES, c=ANGLES)
@settings(max_examples=20, deadline=None)
def test_a_box_within_a_region_is_wholly_in_it(a, b, c):
    """However it is turned, a box deep inside a region has a share of 1."""
    region = block((0.0, 0.0, 0.0), (28.0, 28.0, 20.0))
    turn = Rotation.from_euler("xyz", [a, b, c], degrees=True).as_matrix()
    assert share_of_box(region, np.zeros(3), np.diag([10.0, 20.0, 10.0]) @ turn) == pytest.approx(1)


def test_a_box_around_a_region_holds_its_volume():
    """A region of 8 × 12 × 6 mm fills 576 of the 6000 mm³ of a box around it."""
    region = block((0.0, 0.0, 0.0), (4.0, 6.0, 3.0))
    found = share_of_box(region, np.zeros(3), np.diag([20.0, 20.0, 15.0]))
    assert found == pytest.approx(region.fraction.sum() / 6000.0, rel=0.05)


def test_nothing_of_a_region_lies_beyond_its_grid():
    """A box outside the grid of a region has a share of 0."""
    region = block((0.0, 0.0, 0.0), (28.0, 28.0, 20.0))
    assert share_of_box(region, np.array([200.0, 0.0, 0.0]), np.diag([15.0, 35.0, 15.0])) == 0.0


def test_a_box_of_absurd_size_is_no_burden():
    """A box of a kilometre is sampled with as few points as others, and is nearly empty."""
    region = block((0.0, 0.0, 0.0), (4.0, 6.0, 3.0))
    assert share_of_box(region, np.zeros(3), np.diag([1e6, 1e6, 1e6])) < 0.01


def test_tissue_of_a_box_is_what_the_phantom_holds():
    """15 × 35 × 15 mm along a hippocampus of the phantom: its true shares, however it is turned."""
    grid, values, labels = _fine_phantom()
    centre = np.array([28.0, 25.0, -12.0])
    for angle in (0.0, 25.0):
        turn = Rotation.from_euler("x", angle, degrees=True).as_matrix()
        edges = np.diag([15.0, 35.0, 15.0]) @ turn
        found = tissue_of_box(values, grid, centre, edges)
        grid_of_points = np.stack(np.meshgrid(*[np.linspace(-0.49, 0.49, 30)] * 3), axis=-1)
        index = np.rint(grid.to_index(grid_of_points.reshape(-1, 3) @ edges + centre)).astype(int)
        inside = labels[tuple(index.T)]
        grey = np.isin(inside, [Label.GREY, *REGION_LABELS.values()]).mean()
        assert found.grey == pytest.approx(grey, abs=0.07)
        assert found.white == pytest.approx((inside == Label.WHITE).mean(), abs=0.07)
        assert found.fluid == pytest.approx((inside == Label.FLUID).mean(), abs=0.05)


def test_tissue_of_a_box_needs_a_brain():
    """In an empty image there is a reason and no number."""
    grid, values, _ = _fine_phantom()
    with pytest.raises(NumericalError, match="no head"):
        tissue_of_box(np.zeros_like(values), grid, np.zeros(3), np.diag([15.0, 35.0, 15.0]))


@cache
def _fine_phantom():
    study = simulate(SimulationSettings(seed=4))
    return study.t1_grid, study.t1, study.t1_labels
