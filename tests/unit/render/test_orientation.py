"""Left and right on pictures, for every way a grid can lie."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.geometry import Grid
from cestle.render.orientation import letters, orientation_of

AXES = [
    (order, signs) for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)
]


def grid_along(order, signs, spacing=(5.0, 2.0, 3.0), shape=(3, 6, 8), turn=None):
    """A grid whose index axes lie along ± x, y, z of LPS in the given order."""
    affine = np.eye(4)
    affine[:3, :3] = 0.0
    for index_axis, (lps_axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[lps_axis, index_axis] = sign * spacing[index_axis]
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    return Grid(
        shape=shape, affine=affine, frame_of_reference_uid="1.2.3", slice_thickness_mm=spacing[0]
    )


def edge_positions(grid):
    """LPS positions of the middles of the left, right, top and bottom edge as displayed."""
    orientation = orientation_of(grid)
    rows, columns = np.indices(grid.shape[1:])
    index = np.stack([np.ones(grid.shape[1:]), rows, columns], axis=-1)
    lps = orientation.apply(grid.to_lps(index.astype(float)))
    middle = (lps.shape[0] - 1) // 2, (lps.shape[1] - 1) // 2
    return {
        "left": lps[middle[0], 0],
        "right": lps[middle[0], -1],
        "top": lps[0, middle[1]],
        "bottom": lps[-1, middle[1]],
    }


@pytest.mark.parametrize(("order", "signs"), AXES)
def test_letters_name_where_the_displayed_edges_lie(order, signs):
    """For all 48 axis flips each letter names the end of the body that its edge is nearer to."""
    grid = grid_along(order, signs)
    orientation, edges = orientation_of(grid), edge_positions(grid)
    axis_of = {"R": (0, -1), "L": (0, 1), "A": (1, -1), "P": (1, 1), "F": (2, -1), "H": (2, 1)}
    for here, there in (("left", "right"), ("top", "bottom")):
        letter = getattr(orientation, here)
        axis, sign = axis_of[letter]
        step = edges[here] - edges[there]
        assert np.argmax(np.abs(step)) == axis
        assert np.sign(step[axis]) == sign
        assert getattr(orientation, there) == {v: k for k, v in axis_of.items()}[axis, -sign]


@pytest.mark.parametrize(("order", "signs"), AXES)
def test_the_patients_right_is_shown_at_the_left(order, signs):
    """Where the plane holds the left-right axis, R is the left letter; head or front is on top."""
    orientation = orientation_of(grid_along(order, signs))
    slice_axis = order[0]
    assert orientation.left == {0: "A", 1: "R", 2: "R"}[slice_axis]
    assert orientation.top == {0: "H", 1: "H", 2: "A"}[slice_axis]


@pytest.mark.parametrize(("order", "signs"), AXES)
def test_displayed_spacing_follows_the_axes(order, signs):
    """Distance of displayed columns equals the distance of the positions that they show."""
    grid = grid_along(order, signs)
    edges, orientation = edge_positions(grid), orientation_of(grid)
    rows, columns = (8, 6) if orientation.transpose else (6, 8)
    across = np.linalg.norm(edges["right"] - edges["left"])
    down = np.linalg.norm(edges["bottom"] - edges["top"])
    assert across == pytest.approx(orientation.pixel_mm[1] * (columns - 1))
    assert down == pytest.approx(orientation.pixel_mm[0] * (rows - 1))


@given(angles=st.tuples(*[st.floats(-0.6, 0.6)] * 3), axes=st.sampled_from(AXES))
def test_oblique_planes_keep_their_sides(angles, axes):
    """A tilt of up to 34° about each axis never moves the patient's right to the right edge."""
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [k for k in range(3) if k != axis]
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    grid = grid_along(*axes, turn=turn)
    edges, orientation = edge_positions(grid), orientation_of(grid)
    if "R" in (orientation.left[0], orientation.right[0]):
        assert orientation.left[0] == "R"
        assert edges["right"][0] > edges["left"][0]


def test_a_tilted_axis_has_two_letters():
    """The upward direction of a plane tilted by 27° toward the back is head, then posterior."""
    angle = np.deg2rad(27.0)
    assert letters(np.array([0.0, np.sin(angle), np.cos(angle)])) == "HP"
    assert letters(np.array([0.0, np.sin(0.1), np.cos(0.1)])) == "H"
