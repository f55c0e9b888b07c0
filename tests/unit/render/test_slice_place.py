"""Where the slices lie, seen from the side."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.geometry import Grid
from cestle.render.colors import STAMP_COLOR
from cestle.render.content import SlicePlace
from cestle.render.lettering import Typeface
from cestle.render.slice_place import slice_edges, slice_place_panel, slice_tilt_deg


def tilted(degrees, height_mm=0.0, thickness_mm=11.0):
    """Axial slices turned about the left-right axis, their front edge up by the angle."""
    angle = np.radians(degrees)
    columns = np.array([1.0, 0.0, 0.0])
    rows = np.array([0.0, np.cos(angle), -np.sin(angle)])
    affine = np.eye(4)
    affine[:3, 0] = thickness_mm * np.cross(columns, rows)
    affine[:3, 1], affine[:3, 2] = 2.0 * rows, 2.0 * columns
    affine[:3, 3] = [0.0, 0.0, height_mm] - 63.5 * (affine[:3, 1] + affine[:3, 2])
    return Grid(
        shape=(1, 128, 128),
        affine=affine,
        frame_of_reference_uid="1.2",
        slice_thickness_mm=thickness_mm,
    )


@given(st.floats(-80.0, 80.0))
def test_the_tilt_is_the_angle_of_the_front_edge(degrees):
    """An angle put in comes out, with its sign, however the slice is numbered."""
    grid = tilted(degrees)
    assert slice_tilt_deg(grid) == pytest.approx(degrees, abs=1e-6)
    turned = np.array(grid.affine)
    turned[:3, 0] *= -1.0
    assert slice_tilt_deg(replace(grid, affine=turned)) == pytest.approx(degrees, abs=1e-6)


@given(degrees=st.floats(-80.0, 80.0), x_mm=st.floats(-40.0, 40.0), height=st.floats(-30.0, 30.0))
def test_the_edges_lie_in_the_faces_of_the_slice(degrees, x_mm, height):
    """Both ends of each line are half a thickness from the middle plane, at the x asked for."""
    grid = tilted(degrees, height)
    normal = grid.affine[:3, 0] / 11.0
    edges = slice_edges(grid, x_mm, 50.0)
    assert len(edges) == 2
    for line, distance in zip(edges, (-5.5, 5.5), strict=True):
        assert np.allclose(line[:, 0], x_mm)
        assert np.allclose((line - [0.0, 0.0, height]) @ normal, distance, atol=1e-6)
        assert np.linalg.norm(line[1] - line[0]) == pytest.approx(100.0)


def test_sagittal_slices_have_no_edges():
    """They lie in the plane of the picture."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[11.0, 0, 0], [0, 0, 2.0], [0, -2.0, 0]])
    grid = replace(tilted(0.0), affine=affine)
    assert slice_tilt_deg(grid) is None
    assert slice_edges(grid, 0.0, 50.0) == []


@pytest.mark.parametrize(("height_mm", "upper"), [(50.0, True), (-50.0, False)])
def test_a_high_slice_is_drawn_high(height_mm, upper):
    """Head is at the top: a slice 50 mm above the middle shows in the upper half."""
    values = np.zeros((60, 60, 60))
    values[10:50, 10:50, 10:50] = 100.0
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -118.0
    t1 = Grid(shape=values.shape, affine=affine, frame_of_reference_uid="1.2", slice_thickness_mm=4)
    content = SlicePlace(values=values, grid=t1, slices=tilted(0.0, height_mm), x_mm=0.0)
    panel = np.asarray(slice_place_panel(content, Typeface(), 120)).astype(int)
    rows = np.flatnonzero((np.abs(panel - STAMP_COLOR).sum(axis=-1) < 30).sum(axis=1) > 60)
    assert len(rows)
    assert bool(rows.mean() < 60) is upper
