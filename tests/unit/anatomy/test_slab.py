"""Shares of thick voxels against analytic volumes."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.anatomy.sampling import region_statistic, weighted_quantile
from cestle.anatomy.slab import centre_plane, region_on_grid, slab_average
from cestle.dicom.region_grids import cut_to_size
from cestle.errors import GeometryError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from ellipsoid import Ellipsoid
from unit.builders import axial_grid

FINE = axial_grid(shape=(60, 60, 60), spacing=(1.0, 1.0, 1.0))
SOURCE = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3")


def ball(radius_mm, centre=(0.0, 0.0, 0.0)):
    index = np.argwhere(np.ones(FINE.shape, dtype=bool)).astype(float)
    distance = np.linalg.norm(FINE.to_lps(index) - np.array(centre), axis=1)
    inside = np.clip(radius_mm - distance + 0.5, 0.0, 1.0).reshape(FINE.shape)
    return Region(
        structure=Structure.HIPPOCAMPUS,
        side=Side.LEFT,
        fraction=inside,
        grid=FINE,
        source=SOURCE,
    )


def oblique(tilt_degrees, thickness_mm=11.0, centre=(0.0, 0.0, 0.0)):
    """A 32×32 grid of 1.72 mm voxels tilted about the left-right axis."""
    tilt = np.deg2rad(tilt_degrees)
    column, row = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), np.sin(tilt)])
    affine = np.eye(4)
    affine[:3, 0] = np.cross(column, row) * thickness_mm
    affine[:3, 1], affine[:3, 2] = row * 1.72, column * 1.72
    affine[:3, 3] = np.array(centre) - affine[:3, 1] * 15.5 - affine[:3, 2] * 15.5
    return Grid(
        shape=(1, 32, 32),
        affine=affine,
        frame_of_reference_uid=FINE.frame_of_reference_uid,
        slice_thickness_mm=thickness_mm,
    )


@pytest.mark.parametrize("tilt", [0.0, -27.0, 90.0])
def test_shares_sum_to_the_volume_inside_the_slab(tilt):
    """Shares times cell volume equal the analytic volume of a ball's slab within 1 %."""
    target = oblique(tilt)
    placed = region_on_grid(ball(10.0), target)
    half, radius = 5.5, 10.0
    expected = 2.0 * np.pi * (radius**2 * half - half**3 / 3.0)
    measured = placed.fraction.sum() * 1.72**2 * 11.0
    assert measured == pytest.approx(expected, rel=0.01)


def drawn(body, grid, points):
    return Region(
        structure=Structure.HIPPOCAMPUS,
        side=Side.LEFT,
        fraction=body.share_of_voxels(grid, points),
        grid=grid,
        source=SOURCE,
    )


@pytest.mark.parametrize("tilt", [0.0, -27.0, 36.0])
@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_the_share_of_every_voxel(tilt, shift):
    """No voxel is off by 0.03 from the share in an ellipsoid of a hippocampus' size."""
    body = Ellipsoid(centre_mm=np.array([shift, -shift, shift / 2.0]))
    target = oblique(tilt)
    found = region_on_grid(drawn(body, FINE, 4), target).fraction
    assert np.abs(found - body.share_of_slab(target)).max() < 0.03


@pytest.mark.parametrize("points", [1, 4], ids=["whole voxels", "parts of voxels"])
def test_a_grid_that_ends_with_the_region_loses_nothing(points):
    """Slices without content may be left out of a SEG: the shares are the same without them."""
    region = drawn(Ellipsoid(centre_mm=np.zeros(3)), FINE, points)
    inside = np.argwhere(region.fraction > 0.0)
    low, high = inside.min(axis=0), inside.max(axis=0) + 1
    affine = FINE.affine.copy()
    affine[:3, 3] = FINE.to_lps(low.astype(float))
    box = region.fraction[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    tight = replace(region, fraction=box, grid=replace(FINE, shape=box.shape, affine=affine))
    target = oblique(-27.0)
    np.testing.assert_allclose(
        region_on_grid(tight, target).fraction, region_on_grid(region, target).fraction, atol=1e-12
    )


def test_region_outside_the_slab_has_no_share():
    """A region that the slab does not meet has zero share everywhere and gives no mean."""
    placed = region_on_grid(ball(8.0, centre=(0.0, 0.0, 20.0)), oblique(0.0))
    assert placed.fraction.max() == 0.0
    with pytest.raises(NumericalError, match="does not meet the CEST slice"):
        region_statistic(
            placed.fraction, None, np.ones(placed.grid.shape, dtype=bool), placed.fraction
        )


def test_region_on_the_map_grid_is_not_moved():
    """A region drawn on the CEST slice comes back as the same object."""
    target = oblique(-27.0)
    region = region_on_grid(ball(10.0), target)
    assert region_on_grid(region, target) is region


def painted(target):
    """A region drawn by hand on a CEST slice: whole voxels, and one at the border of the image."""
    shares = np.zeros(target.shape)
    shares[0, 8:18, 10:18] = 1.0
    shares[0, 8, 10:18] = 0.25
    shares[0, 20, 0] = 1.0
    return Region(
        structure=Structure.HIPPOCAMPUS, side=Side.LEFT, fraction=shares, grid=target, source=SOURCE
    )


def test_a_region_drawn_on_a_slice_and_cut_to_its_size_keeps_its_shares():
    """A part of the slice's voxels, with an empty rim around it that reaches beyond the slice."""
    target = oblique(-27.0)
    region = painted(target)
    fraction, grid = cut_to_size(region.fraction, target)
    assert grid.shape != target.shape
    found = region_on_grid(replace(region, fraction=fraction, grid=grid), target)
    np.testing.assert_array_equal(found.fraction, region.fraction)


def test_a_region_drawn_on_a_slice_that_is_stored_the_other_way_keeps_its_shares():
    """Columns that run to the other side are the same voxels."""
    target = oblique(-27.0)
    region = painted(target)
    affine = target.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (target.shape[2] - 1)
    affine[:3, 2] *= -1.0
    turned = replace(
        region, fraction=np.flip(region.fraction, 2), grid=replace(target, affine=affine)
    )
    np.testing.assert_array_equal(region_on_grid(turned, target).fraction, region.fraction)


@pytest.mark.parametrize(
    ("shift", "scale"), [((0.0, 0.0, 0.5), 1.0), ((0.5, 0.0, 0.0), 1.0), ((0.0, 0.0, 0.0), 2.0)]
)
def test_other_voxels_are_averaged(shift, scale):
    """Half a voxel aside, or voxels of twice the width, are not the same voxels."""
    target = oblique(-27.0)
    affine = target.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(shift)
    affine[:3, 2] *= scale
    region = painted(target)
    found = region_on_grid(replace(region, grid=replace(target, affine=affine)), target)
    assert np.abs(found.fraction - region.fraction).max() > 0.1


def test_other_frame_of_reference_is_refused():
    """A region in another frame of reference is refused."""
    other = axial_grid(frame="1.2.3")
    with pytest.raises(GeometryError, match="Frame of Reference"):
        region_on_grid(ball(10.0), other)


def test_half_filled_voxels_have_share_one_half():
    """A plane through the voxel centres leaves a share of one half within 0.03."""
    index = np.argwhere(np.ones(FINE.shape, dtype=bool)).astype(float)
    height = FINE.to_lps(index)[:, 2].reshape(FINE.shape)
    # the fine grid's own voxels are wholly above or below the plane at height 0
    values = (height > 0.0).astype(float)
    average = slab_average(values, FINE, oblique(0.0))
    np.testing.assert_allclose(average[0, 12:20, 12:20], 0.5, atol=0.03)


def test_a_linear_image_is_averaged_exactly():
    """The average of a linear ramp over a box is its value at the centre."""
    index = np.argwhere(np.ones(FINE.shape, dtype=bool)).astype(float)
    ramp = (FINE.to_lps(index) @ np.array([1.0, -2.0, 0.5]) + 3.0).reshape(FINE.shape)
    target = oblique(-27.0)
    average = slab_average(ramp, FINE, target)
    centre = target.to_lps(np.argwhere(np.ones(target.shape, dtype=bool)).astype(float))
    expected = (centre @ np.array([1.0, -2.0, 0.5]) + 3.0).reshape(target.shape)
    inner = (slice(None), slice(8, 24), slice(8, 24))
    np.testing.assert_allclose(average[inner], expected[inner], atol=1e-9)


STORED = [(order, flips) for order in permutations(range(3)) for flips in product((0, 1), repeat=3)]


def stored(values, grid, order, flips):
    """The same image with other axes, some of them reversed."""
    turned, affine = values.transpose(order), grid.affine[:, [*order, 3]].copy()
    for axis in np.flatnonzero(flips):
        affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
        affine[:3, axis] *= -1.0
        turned = np.flip(turned, axis)
    return turned, replace(grid, shape=turned.shape, affine=affine)


def test_the_middle_plane_is_that_of_the_slice_however_the_image_is_stored():
    """A linear image comes out at the places of four samples a voxel, in all 48 storage orders."""
    target = oblique(-27.0)
    index = np.indices(FINE.shape, dtype=float)
    lps = FINE.to_lps(np.moveaxis(index, 0, -1))
    slope = np.array([0.3, -0.7, 1.1])
    image = 200.0 + lps @ slope
    first = target.to_lps(np.array([0.0, -0.375, -0.375]))
    rows, columns = np.mgrid[0:128, 0:128] / 4.0
    shift = rows[..., None] * target.affine[:3, 1] + columns[..., None] * target.affine[:3, 2]
    expected = 200.0 + (first + shift) @ slope
    for order, flips in STORED:
        plane = centre_plane(*stored(image, FINE, order, flips), target, 0, 4)
        assert plane.shape == (128, 128)
        np.testing.assert_allclose(plane[8:-8, 8:-8], expected[8:-8, 8:-8], atol=1e-6)


def test_the_middle_plane_knows_nothing_of_what_lies_beside_it():
    """Slabs of 4 mm above and below the middle count for the average only."""
    target = oblique(0.0)
    height = FINE.to_lps(np.moveaxis(np.indices(FINE.shape, dtype=float), 0, -1))[..., 2]
    image = np.where(np.abs(height) > 1.5, 100.0, 0.0)
    assert np.all(centre_plane(image, FINE, target, 0, 4)[8:-8, 8:-8] == 0.0)
    assert np.all(slab_average(image, FINE, target)[0, 4:-4, 4:-4] > 50.0)


def test_the_middle_plane_of_another_frame_of_reference_is_refused():
    """A place in another frame is no place."""
    other = replace(oblique(0.0), frame_of_reference_uid="1.2.9")
    with pytest.raises(GeometryError):
        centre_plane(np.zeros(FINE.shape), FINE, other, 0, 4)


def test_weighted_mean_by_hand():
    """Values 1, 2, 4 with shares 1, 0.5, 0 and one invalid voxel have mean 4/3."""
    statistic = region_statistic(
        np.array([1.0, 2.0, 4.0, 100.0]),
        np.array([0.3, 0.3, 0.3, 0.3]),
        np.array([True, True, True, False]),
        np.array([1.0, 0.5, 0.0, 0.5]),
    )
    assert statistic.mean == pytest.approx(4.0 / 3.0)
    assert statistic.effective_voxels == pytest.approx(1.5**2 / 1.25)
    assert statistic.valid_fraction == pytest.approx(0.75)
    assert statistic.standard_error == pytest.approx(0.3 * np.sqrt(1.25) / 1.5)


def test_equal_weights_give_the_ordinary_median():
    """With equal weights the weighted median is numpy's."""
    values = np.random.default_rng(2).normal(size=101)
    assert weighted_quantile(values, np.ones(101), 0.5) == pytest.approx(np.median(values))
