import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.geometry import Grid
from cestle.phantom.fields import TEMPORAL_BOX_MM, head_fields
from cestle.phantom.head import Head, Label, body_sizes, fractions_on, labels_at

MIRROR = {
    Label.HIPPOCAMPUS_LEFT: Label.HIPPOCAMPUS_RIGHT,
    Label.HIPPOCAMPUS_RIGHT: Label.HIPPOCAMPUS_LEFT,
    Label.AMYGDALA_LEFT: Label.AMYGDALA_RIGHT,
    Label.AMYGDALA_RIGHT: Label.AMYGDALA_LEFT,
}


@pytest.fixture(scope="module")
def sizes():
    return body_sizes(Head())


def axial_grid(*, slices, thickness_mm, lowest_mm):
    affine = np.array(
        [
            [0.0, 0.0, 2.0, -49.0],
            [0.0, 2.0, 0.0, -20.0],
            [thickness_mm, 0.0, 0.0, lowest_mm],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )
    return Grid(
        shape=(slices, 40, 50),
        affine=affine,
        frame_of_reference_uid="1.2.3",
        slice_thickness_mm=thickness_mm,
    )


@given(
    x=st.floats(0.015625, 90.0, width=32),
    y=st.floats(-90.0, 120.0, width=32),
    z=st.floats(-70.0, 100.0, width=32),
)
@settings(max_examples=200, deadline=None)
def test_both_sides_are_mirrored(x, y, z):
    """Each point has the tissue of its mirror point, with the sides exchanged."""
    right, left = labels_at(np.array([[-x, y, z], [x, y, z]]), Head())
    assert MIRROR.get(Label(int(right)), right) == left


def test_bodies_have_the_size_and_place_of_adults(sizes):
    """Hippocampi hold 3 to 4.5 ml, amygdalae 1.2 to 2 ml, in front and on their side."""
    for side, sign in (("LEFT", 1.0), ("RIGHT", -1.0)):
        hippocampus = sizes[Label[f"HIPPOCAMPUS_{side}"]]
        amygdala = sizes[Label[f"AMYGDALA_{side}"]]
        assert 3000.0 < hippocampus.volume_mm3 < 4500.0
        assert 1200.0 < amygdala.volume_mm3 < 2000.0
        assert 20.0 < sign * amygdala.centroid_lps_mm[0] < 32.0
        assert 24.0 < sign * hippocampus.centroid_lps_mm[0] < 32.0
        # LPS: smaller y is further in front.
        assert amygdala.centroid_lps_mm[1] < hippocampus.centroid_lps_mm[1] - 15.0


def test_one_side_can_be_smaller():
    """A radius factor of 0.8 on the left shrinks only the left bodies."""
    plain, small = (
        body_sizes(Head(), step_mm=1.0),
        body_sizes(Head(left_radius_factor=0.8), step_mm=1.0),
    )
    left, right = Label.HIPPOCAMPUS_LEFT, Label.HIPPOCAMPUS_RIGHT
    assert small[right].volume_mm3 == plain[right].volume_mm3
    assert 0.5 < small[left].volume_mm3 / plain[left].volume_mm3 < 0.75


def test_shares_fill_each_voxel():
    """The shares of all labels sum to 1 in every voxel."""
    shares = fractions_on(axial_grid(slices=1, thickness_mm=11.0, lowest_mm=-16.0), Head())
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-12)


def test_a_stack_of_slabs_holds_the_whole_body(sizes):
    """Shares times voxel volume over slabs that cover a body give its volume within 1 %."""
    grid = axial_grid(slices=5, thickness_mm=11.0, lowest_mm=-40.0)
    shares = fractions_on(grid, Head())
    for label, size in sizes.items():
        volume = shares[label].sum() * grid.voxel_volume_mm3
        assert volume == pytest.approx(size.volume_mm3, rel=0.01)


def test_b0_stays_in_its_range_and_reaches_it():
    """Over the temporal lobes the largest shift is the one asked for, within 5 %."""
    fields = head_fields(7, b0_range_ppm=0.3, b1_spread=0.1)
    axes = [np.linspace(low, high, 20) for low, high in TEMPORAL_BOX_MM]
    places = np.stack(np.meshgrid(*axes), axis=-1)
    assert np.abs(fields.b0_shift_ppm(places)).max() == pytest.approx(0.3, rel=0.05)


@given(seed=st.integers(0, 1000), place=st.tuples(*[st.floats(-90.0, 110.0)] * 3))
@settings(max_examples=50, deadline=None)
def test_fields_are_bounded_and_smooth(seed, place):
    """Anywhere B0 is below twice its range, and moving 1 mm changes it by less than 8 %."""
    fields = head_fields(seed, b0_range_ppm=0.3, b1_spread=0.1)
    here = np.array(place)
    b0 = fields.b0_shift_ppm(here + np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert np.abs(b0).max() < 0.6
    assert abs(b0[1] - b0[0]) < 0.08 * 0.3
    assert 0.8 <= fields.relative_b1(here) <= 1.2


def test_no_spread_is_exactly_nominal():
    """A spread of 0 makes the relative B1 exactly 1 everywhere."""
    fields = head_fields(3, b0_range_ppm=0.3, b1_spread=0.0)
    places = np.random.default_rng(0).normal(scale=60.0, size=(100, 3))
    assert np.all(fields.relative_b1(places) == 1.0)
