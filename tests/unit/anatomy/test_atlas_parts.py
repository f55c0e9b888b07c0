"""Parts of the built-in atlas against geometry and made-up volumes."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from cestle.anatomy.atlas import EllipseSections, EllipseTable, segment_with_atlas
from cestle.anatomy.atlas.affine import Alignment, require_plausible
from cestle.anatomy.atlas.confidence import confidence_of
from cestle.anatomy.atlas.head import checked_head
from cestle.anatomy.atlas.refinement import refined
from cestle.anatomy.atlas.volume import Volume, in_blocks, patient_ordered, sampled
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.config.atlas import load_atlas_template
from cestle.errors import InputError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure

STORAGE = [
    (order, flips)
    for order in itertools.permutations(range(3))
    for flips in itertools.product((False, True), repeat=3)
]
TABLE = EllipseTable(
    version="1",
    source="made up",
    softness=0.3,
    structures={
        Structure.HIPPOCAMPUS: EllipseSections(
            rows=np.array(
                [[-30.0, 28.0, -10.0, 8.0, 4.0, 0.0], [-10.0, 24.0, -20.0, 8.0, 4.0, 90]]
            ),
            y_range=(-31.0, -9.0),
        ),
        Structure.AMYGDALA: EllipseSections(
            rows=np.array([[-8.0, 24.0, -18.0, 6.0, 6.0, 0.0], [0.0, 24.0, -18.0, 6.0, 6.0, 0.0]]),
            y_range=(-8.5, 0.5),
        ),
    },
)


@pytest.fixture(scope="module")
def template():
    return load_atlas_template()


def oblique_grid(shape=(60, 70, 80), step=(1.4, 1.2, 1.0), *, turn=0.15, mirrored=False):
    """Slices to the head, rows to the back, columns to the left, a little turned."""
    c, s = np.cos(turn), np.sin(turn)
    turned = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]]) @ np.array(
        [[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turned[:, ::-1] * np.array(step)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2.0
    if mirrored:
        affine[0] *= -1.0
    return Grid(
        shape=shape, affine=affine, frame_of_reference_uid="1.2.3", slice_thickness_mm=step[0]
    )


def stored_as(values, grid, order, flips):
    """The same voxels in another order of the axes, some of them reversed."""
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, list(order)]
    turned = values.transpose(order)
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1.0
            turned = np.flip(turned, axis)
    thickness = float(np.linalg.norm(affine[:3, 0]))
    return turned, replace(grid, shape=turned.shape, affine=affine, slice_thickness_mm=thickness)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("order", "flips"), STORAGE)
def test_every_order_of_the_axes_is_brought_to_one(order, flips, mirrored):
    """All 48 ways to store a volume give the same values and grid, to the last bit."""
    grid = oblique_grid((5, 6, 7), mirrored=mirrored)
    values = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)
    expected, place = patient_ordered(values, grid)
    turned, found = patient_ordered(*stored_as(values, grid, order, flips))
    assert np.array_equal(turned, expected)
    assert np.array_equal(found.affine, place.affine)
    assert np.all(np.diag(found.affine[[2, 1, 0], :3]) > 0.0)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_voxel_keeps_its_place_in_the_patient(mirrored):
    """The side of a bright voxel is that which the affine says, also of a mirrored volume."""
    grid = oblique_grid((5, 6, 7), mirrored=mirrored)
    values = np.zeros(grid.shape, dtype=np.float32)
    values[4, 1, 6] = 1.0
    turned, place = patient_ordered(values, grid)
    there = place.to_lps(np.argwhere(turned > 0.0).astype(float))[0]
    assert there == pytest.approx(grid.to_lps(np.array([4.0, 1.0, 6.0])), abs=1e-4)
    assert (there[0] < 0.0) == mirrored


@pytest.mark.parametrize(
    "scales", [(-1.0, -1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (1.3, 1.3, 1.3)]
)
def test_a_map_that_turns_a_head_over_is_refused(scales):
    """Front to back, upside down, mirrored: each would exchange the sides. Half a head as well."""
    require_plausible(Alignment(matrix=np.diag([1.1, 1.1, 1.1, 1.0])))
    with pytest.raises(NumericalError, match="T1"):
        require_plausible(Alignment(matrix=np.diag([*scales, 1.0])))


def test_resampling_keeps_a_ramp():
    """A brightness that rises linearly in LPS does so after blocks, crop and resampling."""
    grid = oblique_grid((120, 130, 140), (0.5, 0.5, 0.6))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    ramp = np.array([0.3, -1.0, 0.7])
    values = (grid.to_lps(index.astype(float)) @ ramp + 100.0).astype(np.float32)
    fine, place = in_blocks(*patient_ordered(values, grid))
    assert place.spacing_mm == pytest.approx((1.0, 1.0, 0.6))
    low = np.array([-9.0, -8.0, -7.0])
    box = sampled(fine, place, (low, -low), 1.0, order=3)
    assert box.values.shape == (15, 17, 19)
    assert np.max(np.abs(box.values - (box.points_mm @ ramp + 100.0))) < 0.05


@given(
    st.sampled_from(list(Structure)),
    st.tuples(st.floats(0.0, 60.0), st.floats(-20.0, 50.0), st.floats(-40.0, 20.0)),
)
def test_left_is_the_mirror_image_of_right(structure, place):
    """Whatever the table says of a place, it says of the mirrored one for the other side."""
    here = np.array(place)
    there = here * [-1.0, 1.0, 1.0]
    left = TABLE.log_odds(structure, Side.LEFT, here)
    assert left == TABLE.log_odds(structure, Side.RIGHT, there)


def test_ellipses_have_their_axes_where_the_table_says():
    """On the outline the odds are even: along the long axis, which turns between the sections."""
    for y, x, z, along in (
        (-30.0, 28.0, -10.0, 0.0),
        (-20.0, 26.0, -15.0, 45.0),
        (-10, 24, -20, 90),
    ):
        turn = np.radians(along)
        ras = np.array([x + 8.0 * np.cos(turn), y, z + 8.0 * np.sin(turn)])
        across = np.array([x - 4.0 * np.sin(turn), y, z + 4.0 * np.cos(turn)])
        for place in (ras, across):
            lps = place * [-1.0, -1.0, 1.0]
            odds = TABLE.log_odds(Structure.HIPPOCAMPUS, Side.RIGHT, lps)
            assert odds == pytest.approx(0.0, abs=1e-9)
    outside = np.array([-24.0, 8.0, -20.0])
    assert TABLE.log_odds(Structure.HIPPOCAMPUS, Side.RIGHT, outside) < -20.0


def test_the_shipped_table_is_plausible(template):
    """Adult volumes in a template of 1.89 l, patient's left at positive x, amygdala in front."""
    grid = template.grid
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)[40:90]
    lps = grid.to_lps(index.astype(float))
    assert template.brain_mm3 == pytest.approx(1.887e6, rel=1e-3)
    assert np.array_equal(template.values, template.values[..., ::-1])
    centres = {}
    for structure, (low, high) in (("hippocampus", (3e3, 5.5e3)), ("amygdala", (1e3, 2.5e3))):
        inside = template.model.log_odds(Structure(structure), Side.LEFT, lps) > 0.0
        assert low < np.count_nonzero(inside) < high
        centres[structure] = lps[inside].mean(axis=0)
        assert 20.0 < centres[structure][0] < 32.0
    assert centres["amygdala"][1] < centres["hippocampus"][1] - 10.0


def lobe(values, **changes):
    """A warp that is the identity on a cube of 40 mm around the middle."""
    t1 = Volume(values=values.astype(np.float32), origin_mm=np.full(3, -20.0), step_mm=1.0)
    parts = {"t1": t1, "matched": t1, "template_mm": t1.points_mm, "warped": t1, "remaining": {}}
    return LobeWarp(**(parts | changes))


def ball(radius, centre=(0.0, 0.0, 0.0)):
    points = Volume(
        values=np.zeros((41, 41, 41), np.float32), origin_mm=np.full(3, -20.0), step_mm=1.0
    ).points_mm
    return np.linalg.norm(points - np.array(centre), axis=-1) - radius


def test_brightness_corrects_a_border_that_is_off():
    """A grey ball in white, expected 1.5 mm beside its place, is found better than expected."""
    generator = np.random.default_rng(3)
    truth = ball(7.0) < 0.0
    grey = gaussian_filter(np.where(truth, 0.7, 1.0), 0.5) + 0.04 * generator.normal(
        size=truth.shape
    )
    prior = -ball(7.0, (1.5, 0.0, 0.0)) / 1.5
    key = (Structure.HIPPOCAMPUS, Side.LEFT)
    found = refined({key: prior}, lobe(grey))[key]
    assert dice(found > 0.5, truth) > dice(prior > 0.0, truth) + 0.03
    assert found.min() >= 0.0
    assert found.max() <= 1.0


def test_neighbours_do_not_share_more_than_a_voxel():
    """Where two structures are expected at once, their shares add up to 1 at most."""
    keys = [(structure, Side.LEFT) for structure in Structure]
    found = refined(dict.fromkeys(keys, -ball(7.0)), lobe(np.ones((41, 41, 41))))
    assert sum(found.values()).max() <= 1.0 + 1e-12


def noise():
    return gaussian_filter(np.random.default_rng(2).normal(size=(41, 41, 41)), 2.0) + 1.0


def test_a_perfect_fit_is_trusted():
    """T1 equal to the warped template, nothing bent."""
    found = confidence_of((ball(7.0) < 0.0).astype(float), lobe(noise()))
    assert found.template_correlation == pytest.approx(1.0)
    assert found.log_jacobian_sd == pytest.approx(0.0, abs=1e-6)
    assert not found.low


def test_an_even_change_of_size_is_no_bending():
    """Scaling and turning by the affine map alone leaves no spread, a fold does."""
    plain = lobe(noise())
    scaled = Alignment(matrix=np.diag([1.2, 0.9, 1.1, 1.0])).to_template(plain.template_mm)
    region = (ball(7.0) < 0.0).astype(float)
    even = confidence_of(region, replace(plain, template_mm=scaled))
    assert even.log_jacobian_sd == pytest.approx(0.0, abs=1e-6)
    stretched = plain.template_mm.copy()
    stretched[..., 0] = np.exp(0.12 * stretched[..., 0]) / 0.12
    bent = confidence_of(region, replace(plain, template_mm=stretched))
    # the logarithm of its slope is 0.12 x, and x spreads by R/√5 in a ball
    assert bent.log_jacobian_sd == pytest.approx(0.12 * 7.0 / np.sqrt(5.0), rel=0.02)
    assert bent.low


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"remaining": {"2 mm": 1.02, "1 mm": 0.5}}, "the step of 2 mm"),
        ({"warped": lobe(noise()[::-1]).t1}, "correlate"),
        ({"matched": lobe(0.4 * noise()).t1}, "fluid or surgery"),
    ],
)
def test_doubt_has_a_reason(changes, words):
    """A step without gain, another pattern and a dark region lower the confidence, each by name."""
    found = confidence_of((ball(7.0) < 0.0).astype(float), lobe(noise(), **changes))
    assert found.low
    assert any(words in reason for reason in found.reasons)


def test_an_empty_region_is_not_trusted():
    assert confidence_of(np.zeros((41, 41, 41)), lobe(noise())).low


def plain_grid(shape, step=(1.0, 1.0, 1.0)):
    return oblique_grid(shape, step, turn=0.0)


@pytest.mark.parametrize(
    ("shape", "step", "words"),
    [
        ((1, 256, 256), (5.0, 1.0, 1.0), "single slice"),
        ((40, 200, 200), (4.0, 1.0, 1.0), "4.0 mm"),
        ((60, 200, 200), (1.0, 1.0, 1.0), "60 mm"),
    ],
)
def test_what_is_no_3d_head_is_refused(template, shape, step, words):
    """A localiser, thick slices and a slab, before any work."""
    with pytest.raises(InputError, match=words):
        segment_with_atlas(
            np.random.default_rng(0).random(shape), plain_grid(shape, step), template
        )


def test_values_that_are_no_numbers_are_refused(template):
    """One NaN is one too many: what made it may have made more."""
    values = np.random.default_rng(0).random((100, 100, 100))
    values[50, 50, 50] = np.nan
    with pytest.raises(InputError, match="1 voxels of the T1 are not finite"):
        segment_with_atlas(values, plain_grid(values.shape), template)


def test_an_empty_image_is_refused(template):
    values = np.full((100, 100, 100), 7.0)
    with pytest.raises(InputError, match="one brightness"):
        segment_with_atlas(values, plain_grid(values.shape), template)


def test_noise_is_refused(template):
    """An image of noise alone holds no brain."""
    values = np.random.default_rng(0).random((100, 100, 100))
    with pytest.raises(NumericalError, match="T1"):
        segment_with_atlas(values, plain_grid(values.shape), template)


def test_shape_and_grid_must_agree():
    with pytest.raises(InputError, match="must agree"):
        checked_head(np.zeros((5, 5, 5)), plain_grid((5, 5, 6)))


def dice(a, b):
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
