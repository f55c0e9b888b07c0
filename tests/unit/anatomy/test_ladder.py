"""Which regions are used when several sources offer them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.anatomy.ladder import choose_regions, class_of, missing_structures
from cestle.anatomy.regions import Region, RegionClass, RegionForm, RegionSource
from cestle.geometry import Grid
from cestle.measurement import Side, Structure

GRID = Grid(shape=(1, 2, 2), affine=np.eye(4), frame_of_reference_uid="1.2", slice_thickness_mm=1.0)
CREATIONS = ("manual", "semiautomatic", "automatic", "unknown")


def region(structure, side, form, creation="manual"):
    """A region of one voxel."""
    source = RegionSource(form=form, creation=creation, identifier=f"{form}.{creation}")
    fraction = np.zeros(GRID.shape)
    fraction[0, 0, 0] = 1.0
    return Region(structure=structure, side=side, fraction=fraction, grid=GRID, source=source)


ANY = st.builds(
    region,
    st.sampled_from(Structure),
    st.sampled_from(Side),
    st.sampled_from(RegionForm),
    st.sampled_from(CREATIONS),
)


@pytest.mark.parametrize(
    ("form", "creation", "expected"),
    [
        ("DICOM SEG", "manual", "A"),
        ("DICOM SEG", "semiautomatic", "A"),
        ("DICOM SEG", "automatic", "B"),
        ("DICOM SEG", "unknown", "B"),
        ("RTSTRUCT", "unknown", "A"),
        ("RTSTRUCT", "manual", "A"),
        ("RTSTRUCT", "automatic", "B"),
        ("label map", "unknown", "B"),
        ("plug-in", "automatic", "C"),
        ("built-in atlas", "automatic", "D"),
    ],
)
def test_the_class_is_what_the_object_says_of_itself(form, creation, expected):
    """Outlines by a person are A; a segmentation that does not say so is never taken for one."""
    source = RegionSource(form=RegionForm(form), creation=creation, identifier="1.2.3")
    assert source.region_class == expected
    assert source.region_class.verified is (expected != "D")


@given(st.lists(ANY, max_size=12))
def test_a_structure_has_one_class_and_it_is_the_best_offered(candidates):
    """Sides are never of two classes, nothing is lost, and no better class is left out."""
    choice = choose_regions(candidates)
    assert len(choice.regions) + len(choice.left_out) == len(candidates)
    assert {id(one) for one in (*choice.regions, *choice.left_out)} == {id(c) for c in candidates}
    for structure in Structure:
        offered = [c.source.region_class for c in candidates if c.structure is structure]
        used = {c.source.region_class for c in choice.regions if c.structure is structure}
        assert used == ({min(offered)} if offered else set())
        assert class_of(choice.regions, structure) == min(offered, default=None)
        left = {c.source.region_class for c in choice.left_out if c.structure is structure}
        assert sum(f"the {structure} of class" in note for note in choice.notes) == len(left)
    assert not set(missing_structures(choice.regions)) & {c.structure for c in candidates}


@given(st.lists(ANY, max_size=12), st.randoms())
def test_the_order_of_arrival_plays_no_part(candidates, random):
    """Any order gives the same regions."""
    shuffled = list(candidates)
    random.shuffle(shuffled)
    first, second = (choose_regions(order).regions for order in (candidates, shuffled))
    key = lambda one: (one.name, one.source.identifier)  # noqa: E731
    assert sorted(map(key, first)) == sorted(map(key, second))
    assert [one.name for one in first] == [one.name for one in second]


@given(st.lists(ANY, max_size=12), ANY)
def test_a_worse_source_changes_nothing(candidates, late):
    """A region of a lower class than its structure has leaves the choice as it was."""
    before = choose_regions(candidates).regions
    best = class_of(before, late.structure)
    if best is None or late.source.region_class <= best:
        return
    after = choose_regions([*candidates, late])
    assert [id(one) for one in after.regions] == [id(one) for one in before]
    assert late in after.left_out


def test_classes_may_differ_between_structures_but_not_between_sides():
    """The expert's hippocampi with the atlas's amygdalae; one expert side is not completed."""
    pair = [region(Structure.HIPPOCAMPUS, side, RegionForm.STRUCTURE_SET) for side in Side]
    atlas = [
        region(structure, side, RegionForm.ATLAS, "automatic")
        for structure in Structure
        for side in Side
    ]
    mixed = choose_regions([*atlas, *pair])
    assert [one.source.region_class for one in mixed.regions] == [
        RegionClass.EXPERT,
        RegionClass.EXPERT,
        RegionClass.ATLAS,
        RegionClass.ATLAS,
    ]
    single = choose_regions([*atlas, pair[0]])
    assert [one.name for one in single.regions][:2] == ["hippocampus_left", "amygdala_left"]
