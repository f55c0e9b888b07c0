"""The built-in atlas on heads of known labels and on a real one.

Each alignment takes about 12 seconds, so that few are made and several tests look at each.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from atlas_cases import (
    OUTSIDE_FROM,
    cest_slice,
    dice,
    index_of,
    resected,
    stripped,
    true_regions,
)
from cestle.anatomy.atlas import intracranial_volume, segment_with_atlas
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.config.atlas import load_atlas_template
from cestle.errors import CestleError, InputError, NumericalError
from cestle.measurement import Side, Structure
from cestle.study.fluid import MOST_FLUID
from reading import shared
from t1 import labelled_head, t1_of, temporal_slab, volume

NAMES = {"hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right"}


@pytest.fixture(scope="module")
def template():
    return load_atlas_template()


@pytest.fixture(scope="module")
def head():
    """A whole head with neck and nose."""
    return labelled_head(shared("synthseg-label-maps/training_seg_04.nii.gz"))


@pytest.fixture(scope="module")
def t1(head):
    """Its T1 with a shading of 40 %."""
    return t1_of(head, 4, shading=0.4)


@pytest.fixture(scope="module")
def found(head, t1, template):
    return segment_with_atlas(t1, head.grid, template)


@pytest.fixture(scope="module")
def regions(found):
    return {region.name: region for region in found.regions}


@pytest.fixture(scope="module")
def truth(head):
    return true_regions(head)


def test_regions_overlap_with_the_labels(regions, truth):
    """Dice of a shaded whole head: hippocampi at least 0.72, amygdalae at least 0.6."""
    assert set(regions) == NAMES
    for name, region in regions.items():
        assert dice(region, truth[name]) > (0.72 if "hippocampus" in name else 0.6)
        assert region.volume_mm3 == pytest.approx(truth[name].volume_mm3, rel=0.3)


def test_sides_and_places_are_right(regions, truth):
    """Each region lies where its label lies, within 4 mm, and says where it came from."""
    for name, region in regions.items():
        assert region.centroid_lps_mm == pytest.approx(truth[name].centroid_lps_mm, abs=4.0)
        assert region.source.form is RegionForm.ATLAS
        assert region.source.creation == "automatic"
        assert region.source.identifier.startswith("built-in atlas")


def test_volume_inside_the_skull(head, found):
    """Within 6 % of what the labels hold."""
    inside = (head.labels > 0) & (head.labels < OUTSIDE_FROM)
    assert found.intracranial_volume_mm3 == pytest.approx(np.count_nonzero(inside), rel=0.06)


@pytest.mark.parametrize("tilt_deg", [25.0, 37.0])
def test_the_index_hardly_depends_on_who_drew_the_regions(head, regions, truth, tilt_deg):
    """Along the hippocampi, without voxels with fluid, both indices differ by 0.02 at most."""
    target = temporal_slab(head.centre_mm((17, 53)), tilt_deg=tilt_deg)
    percent, lit, fluid = cest_slice(head, target)
    used = lit & (fluid < MOST_FLUID)
    for structure in Structure:
        ours = index_of(percent, used, regions, structure, target)
        assert ours == pytest.approx(index_of(percent, used, truth, structure, target), abs=0.02)


def test_storage_and_repeats_change_no_bit(head, t1, template, found):
    """A T1 stored with other axes, two of them reversed, gives the very same result.

    So does the volume inside the skull alone, of a T1 that is stored in a third way.
    """
    affine = head.grid.affine[:, [1, 2, 0, 3]].copy()
    turned = t1.transpose(1, 2, 0)
    for axis in (0, 2):
        affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
        affine[:3, axis] *= -1.0
        turned = np.flip(turned, axis)
    grid = replace(head.grid, shape=turned.shape, affine=affine)
    again = segment_with_atlas(turned, grid, template)
    for one, other in zip(found.regions, again.regions, strict=True):
        assert one.name == other.name
        assert np.array_equal(one.fraction, other.fraction)
        assert np.array_equal(one.grid.affine, other.grid.affine)
    assert again.confidence == found.confidence
    assert again.intracranial_volume_mm3 == found.intracranial_volume_mm3
    mirrored = head.grid.affine.copy()
    mirrored[:3, 3] += mirrored[:3, 1] * (t1.shape[1] - 1)
    mirrored[:3, 1] *= -1.0
    alone = intracranial_volume(t1[:, ::-1], replace(head.grid, affine=mirrored), template)
    assert alone == found.intracranial_volume_mm3


@pytest.fixture(scope="module")
def small():
    """A real whole head of 1.75 mm."""
    return volume(shared("hippodeep-example-t1/example_brain_t1.nii.gz"))


def test_a_larger_head_holds_more_by_the_cube_of_its_scale(small, template):
    """Voxels of 0.94 and 1.06 times the size: 0.83 and 1.19 times the volume, within 1.5 %."""
    values, grid = small
    brain, place = volume(shared("hippodeep-example-t1/example_brain_t1_brain_mask.nii.gz"))
    inside = np.count_nonzero(brain) * place.voxel_volume_mm3
    at_one = []
    for scale in (0.94, 1.06):
        affine = grid.affine.copy()
        affine[:3] *= scale
        scaled = replace(grid, affine=affine, slice_thickness_mm=1.75 * scale)
        at_one.append(intracranial_volume(values, scaled, template) / scale**3)
    assert at_one[0] == pytest.approx(inside, rel=0.05)
    assert at_one[1] == pytest.approx(at_one[0], rel=0.015)


def test_a_cut_head_has_no_volume_inside(small, template):
    """The vertex is missing by 2 cm: the brain that is not shown is not guessed."""
    values, grid = small
    axis = int(np.argmax(np.abs(grid.affine[2, :3])))
    assert grid.affine[2, axis] > 0.0
    brain, _ = volume(shared("hippodeep-example-t1/example_brain_t1_brain_mask.nii.gz"))
    top = np.flatnonzero(np.any(brain > 0, axis=tuple({0, 1, 2} - {axis}))).max()
    cut = np.take(values, np.arange(top - round(20 / 1.75)), axis)
    with pytest.raises(InputError, match=r"shows 9[0-9.]+ % of the brain, at least 99 % were"):
        intracranial_volume(cut, replace(grid, shape=cut.shape), template)


def test_a_brain_that_is_mistaken_has_no_volume_inside(template):
    """Muscles and skin taken for brain: the map is not trusted, though it has a scale."""
    head = labelled_head(shared("synthseg-label-maps/training_seg_02.nii.gz"))
    with pytest.raises(NumericalError, match=r"overlaps with the template by 0\.[0-7]"):
        intracranial_volume(t1_of(head, 2, shading=0.4), head.grid, template)


def test_a_head_upside_down_has_no_volume_inside(head, t1, template):
    """Headers that exchange head and foot leave something of the size of a brain, and no brain."""
    turned = replace(head.grid, affine=np.diag([1.0, 1.0, -1.0, 1.0]) @ head.grid.affine)
    with pytest.raises(NumericalError, match=r"correlates with the template by 0\.[0-4]"):
        intracranial_volume(t1, turned, template)


def test_noise_has_no_volume_inside(small, template):
    """Noise, smooth or not, is no head."""
    _, grid = small
    generator = np.random.default_rng(5)
    noise = generator.standard_normal(grid.shape)
    for width in (0.0, 2.0):
        with pytest.raises(CestleError, match="T1"):
            intracranial_volume(np.abs(gaussian_filter(noise, width)), grid, template)


def test_surgery_is_no_confident_region(head, template):
    """A left temporal lobe replaced by fluid is doubted, the other is found; no skull is needed."""
    after = resected(head)
    t1 = stripped(after, t1_of(after, 4, shading=0.4))
    found = segment_with_atlas(t1, head.grid, template)
    inside = (head.labels > 0) & (head.labels < OUTSIDE_FROM)
    assert found.intracranial_volume_mm3 == pytest.approx(np.count_nonzero(inside), rel=0.07)
    assert found.confidence["hippocampus_left"].low
    assert found.confidence["amygdala_left"].low
    assert not found.confidence["hippocampus_right"].low
    right = next(region for region in found.regions if region.name == "hippocampus_right")
    assert dice(right, true_regions(head)["hippocampus_right"]) > 0.7


def test_a_head_without_its_temporal_lobes_is_refused(template):
    """The top of a real head only, cut above the hippocampi."""
    values, grid = volume(shared("uih-t1-3d/t1_1mm.nii.gz"))
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * 140
    top = values[..., 140:]
    with pytest.raises(CestleError, match="T1"):
        segment_with_atlas(top, replace(grid, shape=top.shape, affine=affine), template)


def test_a_real_head_agrees_with_another_program(template):
    """Hippocampi of a 3T United Imaging T1 overlap with HippoDeep's by 0.72 at least."""
    values, grid = volume(shared("uih-t1-3d/t1_1mm.nii.gz"))
    found = segment_with_atlas(values, grid, template)
    source = RegionSource(form=RegionForm.LABEL_MAP, creation="automatic", identifier="file")
    for side, letter in ((Side.LEFT, "L"), (Side.RIGHT, "R")):
        mask, place = volume(shared(f"uih-t1-3d/hippodeep_mask_{letter}.nii.gz"))
        theirs = Region(
            structure=Structure.HIPPOCAMPUS,
            side=side,
            fraction=mask / 255.0,
            grid=place,
            source=source,
        )
        ours = next(region for region in found.regions if region.name == theirs.name)
        assert dice(ours, theirs) > 0.72
        assert not found.confidence[ours.name].low
    brain, place = volume(shared("uih-t1-3d/hippodeep_brain_mask.nii.gz"))
    inside = np.count_nonzero(brain) * place.voxel_volume_mm3
    assert found.intracranial_volume_mm3 == pytest.approx(inside, rel=0.06)
