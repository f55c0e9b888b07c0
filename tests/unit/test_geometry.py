"""Laws of voxel grids."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.errors import GeometryError
from cestle.geometry import Grid, grid_difference_mm, in_patient_order, require_same_grid
from unit.builders import axial_grid


@given(index=st.tuples(*[st.floats(-50, 50)] * 3))
def test_index_and_position_are_inverse(index):
    """A voxel index survives the way to LPS and back."""
    grid = axial_grid(spacing=(11.0, 1.7, 1.3))
    there = grid.to_lps(np.array(index))
    np.testing.assert_allclose(grid.to_index(there), index, atol=1e-9)


def test_columns_of_an_axial_grid_run_to_the_left():
    """The last column of the builder's grid lies at positive x, the patient's left in LPS."""
    grid = axial_grid()
    assert grid.to_lps(np.array([0.0, 0.0, grid.shape[2] - 1.0]))[0] > 0.0


def test_spacing_and_volume():
    """Spacing and cell volume follow from the affine."""
    grid = axial_grid(spacing=(11.0, 1.5, 2.0))
    assert grid.spacing_mm == pytest.approx((11.0, 1.5, 2.0))
    assert grid.voxel_volume_mm3 == pytest.approx(33.0)


def moved(grid, shift_mm=0.0, frame=None, shape=None):
    affine = grid.affine.copy()
    affine[0, 3] += shift_mm
    return Grid(
        shape=shape or grid.shape,
        affine=affine,
        frame_of_reference_uid=grid.frame_of_reference_uid if frame is None else frame,
        slice_thickness_mm=grid.slice_thickness_mm,
    )


def test_same_grid_within_tolerance_passes():
    """A shift of 0.04 mm passes and is measured."""
    grid = axial_grid()
    require_same_grid(grid, moved(grid, 0.04), name_a="A", name_b="B")
    assert grid_difference_mm(grid, moved(grid, 0.04)) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"shift_mm": 0.5}, "B lies up to 0.50 mm away from A"),
        ({"frame": "1.2"}, "different Frame of Reference"),
        ({"shape": (1, 32, 31)}, "B is 32×31×1 but A is 32×32×1"),
    ],
)
def test_other_grids_are_refused_in_one_line(change, text):
    """Another place, frame or shape is refused, and the line names both."""
    grid = axial_grid()
    with pytest.raises(GeometryError, match=text) as caught:
        require_same_grid(grid, moved(grid, **change), name_a="A", name_b="B")
    assert "\n" not in str(caught.value)


def test_dependent_axes_are_refused():
    """An affine whose axes do not span space is refused."""
    with pytest.raises(GeometryError, match="not independent"):
        Grid(
            shape=(1, 2, 2),
            affine=np.zeros((4, 4)),
            frame_of_reference_uid="",
            slice_thickness_mm=1.0,
        )


def test_affine_cannot_be_changed():
    """The affine of a grid is read-only and not shared with the caller's array."""
    source = axial_grid().affine.copy()
    grid = Grid(shape=(1, 2, 2), affine=source, frame_of_reference_uid="", slice_thickness_mm=1.0)
    source[0, 0] = 99.0
    assert grid.affine[0, 0] != 99.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 0] = 1.0


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)))
def test_patient_order_does_not_depend_on_storage(swapped, flips):
    """A plane stored in any of sixteen ways has one patient order, and values find back."""
    affine = np.diag([11.0, 2.0, 1.5, 1.0])[:, [2, 1, 0, 3]]
    affine[:3, :3] = rotation(10.0) @ affine[:3, :3]
    shape = (3, 5, 4)
    plain = Grid(shape=shape, affine=affine, frame_of_reference_uid="1.2", slice_thickness_mm=11.0)
    values = np.arange(60.0).reshape(shape)
    expected, _ = in_patient_order(plain)
    turned = affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            turned[:3, 3] += turned[:3, axis] * (shape[axis] - 1)
            turned[:3, axis] *= -1.0
    stored = np.flip(values, [axis for axis, flip in enumerate(flips) if flip])
    if swapped:
        turned[:3, [1, 2]] = turned[:3, [2, 1]]
        stored = stored.swapaxes(1, 2)
    grid = Grid(
        shape=stored.shape, affine=turned, frame_of_reference_uid="1.2", slice_thickness_mm=11.0
    )
    found, order = in_patient_order(grid)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-9)
    assert found.shape == expected.shape
    in_order = np.empty(found.shape)
    index = np.argwhere(np.ones(found.shape, dtype=bool)).astype(float)
    place = np.rint(grid.to_index(found.to_lps(index))).astype(int)
    in_order[tuple(index.astype(int).T)] = stored[tuple(place.T)]
    np.testing.assert_array_equal(order.stored(in_order), stored)


def rotation(degrees):
    """A turn about the axis from foot to head."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
