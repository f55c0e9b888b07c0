"""The T1 against thick slices: motions of known size are found, and what cannot be is refused."""

from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.anatomy.mutual_information import NormalisedMutualInformation
from cestle.anatomy.rigid_motion import RigidMotion
from cestle.anatomy.slab import slab_average
from cestle.anatomy.slab_registration import Placement, register_to_slices
from cestle.geometry import Grid
from cestle.phantom.study import SimulationSettings, simulate
from t1 import FLUID, GREY, OUTSIDE, WHITE, labelled_head, t1_of, temporal_slab

HEADS = Path(__file__).parents[3].parent / "shared/data/synthseg-label-maps"
HIPPOCAMPI = (17, 53)
SATURATED = ((FLUID, 1.4), (GREY, 0.5), (WHITE, 0.38))
CENTRE_MM = np.array([0.0, 28.0, -12.0])


@cache
def phantom():
    """A synthetic study with noise and the T1 of the protocol; do not write to its arrays."""
    return simulate(SimulationSettings(seed=3))


@cache
def head(number):
    """A head of a real adult, its T1, and places in its hippocampi."""
    path = HEADS / f"training_seg_{number}.nii.gz"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    whole = labelled_head(path)
    centre = whole.centre_mm(HIPPOCAMPI)
    part = whole.near(centre, 60.0)
    inside = np.argwhere(np.isin(part.labels, HIPPOCAMPI))[::40].astype(float)
    return part, t1_of(part, 1), centre, part.grid.to_lps(inside)


def saturated_slab(part, grid, seed, *, snr=60.0, shading=0.25):
    """What a saturated 11 mm image of a head shows: another contrast, shading and noise."""
    brightness = np.zeros(int(part.labels.max()) + 1)
    for numbers, level in SATURATED:
        brightness[list(numbers)] = level
    for number, level in OUTSIDE.items():
        if number < len(brightness):
            brightness[number] = 0.45 * level
    image = slab_average(brightness[part.labels], part.grid, grid)
    random = np.random.default_rng(seed)
    y, x = np.indices(grid.shape[1:]) / 127.0 - 0.5
    field = random.normal(size=4) @ np.stack([x, y, x * y, x * x]).reshape(4, -1)
    field = field.reshape(y.shape)
    image = image * (1.0 - shading * (field - field.min()) / np.ptp(field))
    noise = random.normal(scale=0.5 / snr, size=(2, *image.shape))
    return np.hypot(image + noise[0], noise[1])


def motion_about(centre, shift, turn):
    return RigidMotion.about(centre, shift_mm=np.array(shift), rotation_deg=np.array(turn))


def flipped(values, grid, axes):
    """The same image with some axes stored the other way round."""
    affine = grid.affine.copy()
    for axis in axes:
        affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
        affine[:3, axis] *= -1.0
    return np.ascontiguousarray(np.flip(values, axes)), replace(grid, affine=affine)


@given(st.lists(st.floats(-5.0, 5.0), min_size=6, max_size=6))
@settings(deadline=None, max_examples=30)
def test_a_motion_and_the_way_back_change_nothing(numbers):
    """Distances stay, the turn has its angle, and the inverse undoes it."""
    motion = motion_about(CENTRE_MM, numbers[:3], numbers[3:])
    points = CENTRE_MM + np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [0.0, -40.0, 5.0]])
    moved = motion.move(points)
    np.testing.assert_allclose(motion.inverse().move(moved), points, atol=1e-9)
    distances = [np.linalg.norm(one[1] - one[2]) for one in (points, moved)]
    assert distances[0] == pytest.approx(distances[1])
    assert motion.angle_deg == pytest.approx(np.linalg.norm(numbers[3:]), abs=1e-6)
    np.testing.assert_allclose(motion.shift_at(CENTRE_MM), numbers[:3], atol=1e-9)


def test_a_moved_grid_carries_its_voxels_with_it():
    """A quarter turn about z takes +x to +y (right-handed), for each voxel of the grid."""
    grid = Grid(
        shape=(2, 3, 4), affine=np.eye(4), frame_of_reference_uid="1.2", slice_thickness_mm=1.0
    )
    moved = motion_about(np.zeros(3), (0.0, 0.0, 5.0), (0.0, 0.0, 90.0)).move_grid(grid)
    np.testing.assert_allclose(moved.to_lps(np.array([1.0, 0.0, 0.0])), [0.0, 1.0, 5.0], atol=1e-12)


def test_images_that_determine_each_other_have_the_largest_measure():
    """Each other's function: 2; independent: 1, but for the number of samples."""
    random = np.random.default_rng(1)
    levels = random.integers(0, 32, 20000).astype(float)
    information = NormalisedMutualInformation(levels)
    assert information.of(31.0 - levels, 0.0, 31.0) == pytest.approx(2.0, abs=1e-6)
    other = random.permutation(levels)
    assert information.of(other, 0.0, 31.0) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("number", "tilt_deg", "shift", "turn"),
    [
        ("02", 25.0, (3.0, -2.0, 3.0), (3.0, -1.0, 2.0)),
        ("04", -15.0, (-1.0, 3.0, -3.0), (-2.0, 3.0, 1.0)),
        ("09", 25.0, (0.5, 0.0, 3.0), (0.0, 0.0, 0.0)),
        ("13", 25.0, (-2.0, -3.0, 2.0), (2.0, 3.0, -3.0)),
    ],
)
def test_motion_of_real_anatomy_is_found(number, tilt_deg, shift, turn):
    """Up to 3 mm and 3 degrees along each axis: within 0.7 mm in the hippocampi."""
    part, t1, centre, points = head(number)
    grid = temporal_slab(centre, tilt_deg=tilt_deg)
    motion = motion_about(centre, shift, turn)
    stated = motion.inverse().move_grid(part.grid)
    found = register_to_slices(t1, stated, saturated_slab(part, grid, 5), grid)
    assert found.placement is Placement.CORRECTED, found.reason
    left = found.used.move(motion.inverse().move(points)) - points
    assert np.sqrt(np.mean(np.sum(left**2, axis=1))) < 0.7


@pytest.mark.parametrize("number", ["02", "09"])
def test_a_head_at_rest_stays_where_the_headers_say(number):
    """Without motion nothing is moved, and what was found is within half a millimetre."""
    part, t1, centre, _ = head(number)
    grid = temporal_slab(centre)
    found = register_to_slices(t1, part.grid, saturated_slab(part, grid, 6), grid)
    assert found.placement is Placement.AS_STATED
    assert found.size_mm < 0.5
    np.testing.assert_array_equal(found.used.matrix, np.eye(4))


def test_motion_of_the_phantom_is_found():
    """2.2 mm and 1.2 degrees: within 0.7 mm at the hippocampi, the same on every run."""
    study = phantom()
    motion = motion_about(CENTRE_MM, (1.0, -1.0, 1.7), (1.0, 0.5, -0.5))
    stated = motion.inverse().move_grid(study.t1_grid)
    found, again = (
        register_to_slices(study.t1, stated, study.signal.mean(axis=0), study.cest_grid)
        for _ in range(2)
    )
    assert found.placement is Placement.CORRECTED
    places = np.array([[28.0, 25.0, -12.0], [-28.0, 25.0, -12.0]])
    left = found.used.move(motion.inverse().move(places)) - places
    assert np.linalg.norm(left, axis=1).max() < 0.7
    np.testing.assert_array_equal(found.motion.matrix, again.motion.matrix)


def test_storage_of_both_images_changes_nothing():
    """All flips of the T1's axes and of the slice's, and rows for columns: the same motion."""
    study = phantom()
    motion = motion_about(CENTRE_MM, (0.0, 0.5, 2.0), (0.5, 0.0, 0.0))
    stated = motion.inverse().move_grid(study.t1_grid)
    image = study.signal.mean(axis=0)
    usual = register_to_slices(study.t1, stated, image, study.cest_grid)
    flips = [tuple(np.flatnonzero(signs)) for signs in product((0, 1), repeat=3)]
    for axes, slab_axes in zip(flips[1::2], flips[3::-1], strict=True):
        t1, grid = flipped(study.t1, stated, axes)
        slab, slab_grid = flipped(image, study.cest_grid, slab_axes)
        found = register_to_slices(t1, grid, slab, slab_grid)
        np.testing.assert_allclose(found.shift_mm, usual.shift_mm, atol=0.02)
        np.testing.assert_allclose(found.motion.rotation_deg, usual.motion.rotation_deg, atol=0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t1, grid: (t1[:, ::3, :], _every_third_row(grid)), "voxels of 3.60 mm"),
        (lambda t1, grid: (t1[: len(t1) // 3], _first_slices(grid, len(t1) // 3)), "whole head"),
        (lambda t1, grid: (np.zeros_like(t1), grid), "hardly better"),
        (
            lambda t1, grid: (
                t1,
                motion_about(CENTRE_MM, (0.0, 0.0, 9.0), (0.0,) * 3).move_grid(grid),
            ),
            "at most 6 mm",
        ),
    ],
)
def test_a_t1_that_cannot_be_placed_stays_with_a_reason(change, words):
    """Coarse, of a part of the head, empty, or displaced by 9 mm: not moved, and the reason."""
    study = phantom()
    t1, grid = change(study.t1, study.t1_grid)
    found = register_to_slices(t1, grid, study.signal.mean(axis=0), study.cest_grid)
    assert found.placement is Placement.NOT_FOUND
    assert words in found.reason
    np.testing.assert_array_equal(found.used.matrix, np.eye(4))


def test_an_image_without_a_head_gives_a_reason():
    """Noise alone, or nothing: no place, no exception."""
    study = phantom()
    for image in (np.zeros(study.cest_grid.shape), np.full(study.cest_grid.shape, np.nan)):
        found = register_to_slices(study.t1, study.t1_grid, np.nan_to_num(image), study.cest_grid)
        assert found.placement is Placement.NOT_FOUND
        assert found.reason


def _every_third_row(grid):
    affine = grid.affine.copy()
    affine[:3, 1] *= 3.0
    return replace(
        grid, shape=(grid.shape[0], -(-grid.shape[1] // 3), grid.shape[2]), affine=affine
    )


def _first_slices(grid, count):
    return replace(grid, shape=(count, *grid.shape[1:]))
