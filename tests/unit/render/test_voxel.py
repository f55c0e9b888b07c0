"""The voxel on anatomy: sides, proportions and the polygon in which a plane cuts a box."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cestle.geometry import Grid
from cestle.measurement import Side
from cestle.render.colors import SIDE_COLOR, TEXT
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import VoxelContent
from cestle.render.orientation import orientation_of
from cestle.render.voxel import Plane, _view, voxel_panel, voxel_polygon
from phantoms import mega_builder as mega

TYPEFACE = Typeface()
PX = 170
ANGLES = st.floats(-180.0, 180.0)


def content(centre_mm=mega.LEFT_MM, side=Side.LEFT, anatomy=None, edges_mm=None):
    """A voxel on the head of the builder."""
    image, box = anatomy or mega.anatomy(), mega.voxel(centre_mm)
    return VoxelContent(
        values=image.values,
        grid=image.grid,
        centre_mm=box.centre_mm,
        edges_mm=box.edges_mm if edges_mm is None else edges_mm,
        side=side,
        outlines=(),
    )


def flipped(image, axes, order=(0, 1, 2)):
    """The same image, its voxels stored in another direction and order."""
    values, affine = image.values, np.array(image.grid.affine)
    for axis in axes:
        values = np.flip(values, axis)
        affine[:, 3] += affine[:, axis] * (values.shape[axis] - 1)
        affine[:, axis] *= -1.0
    values = np.transpose(values, order)
    affine[:, :3] = affine[:, list(order)]
    grid = Grid(
        shape=values.shape,
        affine=affine,
        frame_of_reference_uid=image.grid.frame_of_reference_uid,
        slice_thickness_mm=image.grid.slice_thickness_mm,
    )
    return replace(image, values=values, grid=grid)


def places_of(picture, color):
    """Middle column and row of the pixels that are nearly of one colour."""
    away = np.abs(np.asarray(picture, dtype=int) - np.array(color)).max(axis=-1)
    rows, columns = np.nonzero(away < 40)
    return (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2


@pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL])
@pytest.mark.parametrize("side", list(Side))
def test_the_patients_left_is_at_the_right(plane, side):
    """A voxel at positive x (LPS) stands in the right half of axial and coronal pictures."""
    centre = mega.LEFT_MM if side is Side.LEFT else mega.RIGHT_MM
    column, _ = places_of(voxel_panel(content(centre, side), plane, TYPEFACE, PX), SIDE_COLOR[side])
    assert column > PX / 2 if side is Side.LEFT else column < PX / 2


@pytest.mark.parametrize(
    ("plane", "letters"),
    [
        (Plane.AXIAL, ("R", "L", "A", "P")),
        (Plane.CORONAL, ("R", "L", "H", "F")),
        (Plane.SAGITTAL, ("A", "P", "H", "F")),
    ],
)
def test_the_letters_name_the_edges(plane, letters):
    """Each plane is shown as radiologists do, without a turn that the letters would need."""
    voxel = content()
    polygon = voxel_polygon(voxel.centre_mm, voxel.edges_mm, plane.normal)
    shown = orientation_of(_view(voxel, plane, polygon, PX).grid)
    assert (shown.left, shown.right, shown.top, shown.bottom) == letters
    assert (shown.transpose, shown.flip_rows, shown.flip_columns) == (False, False, False)


@pytest.mark.parametrize(
    ("axes", "order"),
    [((0,), (0, 1, 2)), ((1, 2), (0, 1, 2)), ((0, 1, 2), (2, 0, 1)), ((), (1, 2, 0))],
)
def test_how_the_image_is_stored_changes_no_picture(axes, order):
    """Slices stored in another direction and order give the same picture of the same head."""
    plain = mega.anatomy()
    for plane in Plane:
        one, other = (
            np.asarray(voxel_panel(content(anatomy=image), plane, TYPEFACE, PX), dtype=float)
            for image in (plain, flipped(plain, axes, order))
        )
        assert np.abs(one - other).max() <= 1.0


def test_anatomy_of_one_side_is_not_mirrored():
    """A bright spot at the patient's left front is bright in the upper right of axial pictures."""
    picture = np.asarray(voxel_panel(content(), Plane.AXIAL, TYPEFACE, PX), dtype=float)
    bright = picture.mean(axis=-1)
    voxel = content()
    polygon = voxel_polygon(voxel.centre_mm, voxel.edges_mm, Plane.AXIAL.normal)
    view = _view(voxel, Plane.AXIAL, polygon, PX)
    spot = view.to_columns_rows(np.array([[45.0, -35.0, -20.0], [-45.0, -35.0, -20.0]]))
    left, right = (bright[round(row), round(column)] for column, row in spot)
    assert left > right + 10.0
    assert spot[0, 0] > PX / 2 > spot[1, 0]
    assert spot[0, 1] < PX / 2


def test_the_box_stands_on_what_it_was_placed_on():
    """The middle of the drawn box lies where the dark hippocampus of its side is."""
    voxel = content()
    for plane in Plane:
        polygon = voxel_polygon(voxel.centre_mm, voxel.edges_mm, plane.normal)
        view = _view(voxel, plane, polygon, PX)
        expected = view.to_columns_rows(mega.LEFT_MM[np.newaxis])[0]
        found = places_of(voxel_panel(voxel, plane, TYPEFACE, PX), SIDE_COLOR[Side.LEFT])
        np.testing.assert_allclose(found, expected, atol=1.5)


def test_a_voxel_of_unknown_side_has_no_colour_of_a_side():
    """Without a side the box is white, so that its colour claims nothing."""
    picture = np.asarray(voxel_panel(content(side=None), Plane.AXIAL, TYPEFACE, PX))
    for color in SIDE_COLOR.values():
        assert not np.all(picture == color, axis=-1).any()
    assert np.all(picture == TEXT, axis=-1).sum() > 20


def test_a_box_along_the_axes_is_cut_in_its_own_face():
    """A box of 10 × 20 × 30 mm is cut in rectangles of 200, 300 and 600 mm²."""
    edges = np.diag([10.0, 20.0, 30.0])
    areas = [area_of(voxel_polygon(np.zeros(3), edges, plane.normal), plane) for plane in Plane]
    np.testing.assert_allclose(areas, [200.0, 300.0, 600.0])


def area_of(polygon, plane):
    """Area of a closed polygon in its plane, by the shoelace formula."""
    down, across = plane.directions
    x, y = polygon @ across, polygon @ down
    return abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2.0


@given(a=ANGLES, b=ANGLES, c=ANGLES, plane=st.sampled_from(list(Plane)))
def test_a_cut_through_the_centre_is_symmetric_and_convex(a, b, c, plane):
    """However a box is turned, its cut lies in the plane, is point-symmetric and convex."""
    turn = Rotation.from_euler("xyz", [a, b, c], degrees=True).as_matrix()
    edges = np.diag([15.0, 35.0, 15.0]) @ turn.T
    polygon = voxel_polygon(mega.LEFT_MM, edges, plane.normal)
    around = polygon[:-1] - mega.LEFT_MM
    np.testing.assert_allclose(around @ plane.normal, 0.0, atol=1e-9)
    for corner in around:
        assert np.min(np.linalg.norm(around + corner, axis=1)) < 1e-6
    inside = np.linalg.solve(edges.T, around.T)
    assert np.all(np.abs(inside) <= 0.5 + 1e-9)
    down, across = plane.directions
    x, y = around @ across, around @ down
    step = np.stack([np.roll(x, -1) - x, np.roll(y, -1) - y])
    turns = step[0] * np.roll(step[1], -1) - step[1] * np.roll(step[0], -1)
    assert np.all(turns >= -1e-6) or np.all(turns <= 1e-6)
