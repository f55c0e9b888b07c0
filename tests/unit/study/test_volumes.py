"""Volumes of the hippocampi: exact from fine regions, and withheld with a reason otherwise."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.gates import Verdict
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.study.volumes import (
    gives_both_volumes,
    gives_volume,
    hippocampal_volumes,
    volumes_form,
)

FRAME = "1.2.3"
SOURCE = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.4")


def grid(shape=(20, 20, 20), spacing=(1.0, 1.0, 1.0), corner=(0.0, 0.0, 0.0), thickness=None):
    """Slices along z, rows along y, columns along x."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *spacing, 1.0
    affine[:3, 3] = corner
    return Grid(
        shape=shape,
        affine=affine,
        frame_of_reference_uid=FRAME,
        slice_thickness_mm=thickness or spacing[0],
    )


T1 = grid()
CEST = grid((1, 128, 128), (11.0, 1.72, 1.72), (-100.0, -100.0, 3.0), 11.0)


def region(side, voxels, place=T1):
    """A region of so many whole voxels, in the order of the array."""
    fraction = np.zeros(place.shape)
    fraction.flat[:voxels] = 1.0
    return Region(
        structure=Structure.HIPPOCAMPUS, side=side, fraction=fraction, grid=place, source=SOURCE
    )


def volumes(left=3000, right=4000, place=T1, intracranial=1.5e6, onset=None):
    pair = (region(Side.LEFT, left, place), region(Side.RIGHT, right, place))
    return hippocampal_volumes(pair, CEST, intracranial_mm3=intracranial, onset=onset)


def test_volumes_and_their_indices_are_those_of_the_voxels():
    """3.0 and 4.0 ml at 1.5 l: 0.2 and 0.267 %, index −1/7, ipsilateral right +1/7."""
    found = volumes(onset=Side.RIGHT)
    assert found.hippocampus_mm3 == {Side.LEFT: 3000.0, Side.RIGHT: 4000.0}
    assert found.vol_h[Side.LEFT] == pytest.approx(0.2)
    assert found.mean_vol_h == pytest.approx(100.0 * 3500.0 / 1.5e6)
    assert found.indices["dai_vol_h_epi"].value == pytest.approx(-1 / 7, abs=1e-4)
    assert found.indices["dai_vol_h"].value == pytest.approx(1 / 7, abs=1e-4)
    assert volumes_form(found)["icv_method"] == "atlas scaling"


@given(left=st.integers(2500, 5000), right=st.integers(2500, 5000), scale=st.floats(0.7, 1.3))
def test_sides_and_scale(left, right, scale):
    """Exchanged sides flip the sign, another voxel size changes nothing."""
    index = volumes(left, right).indices["dai_vol_h_epi"].value
    assert volumes(right, left).indices["dai_vol_h_epi"].value == pytest.approx(-index)
    other = volumes(left, right, grid(spacing=(scale,) * 3))
    if all(volume >= 1000.0 for volume in other.hippocampus_mm3.values()):
        assert other.indices["dai_vol_h_epi"].value == pytest.approx(index)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [(1438, 4848, "asymmetry"), (900, 1500, "volume of the hippocampus")],
)
def test_what_is_no_hippocampus_gives_no_index(left, right, words):
    """An index beyond 0.35 and a hippocampus below 1 ml: check segmentation and surgery."""
    found = volumes(left, right)
    for name in ("dai_vol_h_epi", "dai_vol_h"):
        assert found.indices[name] is None
        assert words in found.reasons[name]
        assert "check segmentation and surgery" in found.reasons[name]
    assert found.hippocampus_mm3[Side.LEFT] == left


def bar(side, rows, thickness, place=T1):
    """A region of so many rows from front to back, and of a thickness in both other directions."""
    fraction = np.zeros(place.shape)
    fraction[:thickness, :rows, :thickness] = 1.0
    return Region(
        structure=Structure.HIPPOCAMPUS, side=side, fraction=fraction, grid=place, source=SOURCE
    )


@pytest.mark.parametrize("cut", list(Side))
def test_a_label_that_ends_half_way_gives_no_index(cut):
    """Half the length of the other side, with volumes that could be those of sclerosis."""
    sizes = dict.fromkeys(Side, 20) | {cut: 11}
    pair = [bar(side, rows, 12) for side, rows in sizes.items()]
    found = hippocampal_volumes(pair, None, intracranial_mm3=None, onset=None)
    (length,) = (gate for gate in found.gates if gate.name == "hippocampal_length")
    assert length.value == pytest.approx(11 / 20, abs=0.03)
    assert [gate.name for gate in found.gates if gate.verdict is not Verdict.PASS] == [length.name]
    assert "length of the shorter hippocampus" in found.reasons["dai_vol_h_epi"]
    assert found.indices["dai_vol_h_epi"] is None


def test_a_thin_hippocampus_of_full_length_has_its_index():
    """Sclerosis takes half of the volume and not of the length; that is what the index is for."""
    pair = (bar(Side.LEFT, 20, 9), bar(Side.RIGHT, 20, 12))
    found = hippocampal_volumes(pair, None, intracranial_mm3=None, onset=None)
    assert found.indices["dai_vol_h_epi"].value == pytest.approx((81 - 144) / (81 + 144))
    assert {gate.verdict for gate in found.gates} == {Verdict.PASS}


def test_a_region_on_the_cest_slices_gives_no_volume():
    """The slice holds a part of the structure: no volume, no index, and the reason."""
    thick = grid((1, 40, 40), (11.0, 1.72, 1.72), (-20.0, -20.0, 3.0), 11.0)
    fine_on_slices = grid((3, 40, 40), (11.0, 1.0, 1.0), (0.0, 0.0, -8.0), 11.0)
    for place in (thick, fine_on_slices):
        assert not gives_volume(region(Side.LEFT, 900, place), CEST)
    found = volumes(900, 900, thick)
    assert set(found.hippocampus_mm3.values()) == {None}
    assert "draw it on the 3D T1" in found.reasons["dai_vol_h_epi"]
    assert volumes_form(found) is None


def test_what_is_not_known_has_a_reason():
    """One side only, no intracranial volume, no onset: None, with the reason of each."""
    one = hippocampal_volumes([region(Side.LEFT, 3000)], CEST, intracranial_mm3=None, onset=None)
    assert "right: no region" in one.reasons["dai_vol_h_epi"]
    assert one.mean_vol_h is None
    both = volumes(intracranial=None)
    assert "intracranial volume is not known" in both.reasons["vol_h"]
    assert "both hippocampi" in one.reasons["vol_h"]
    told = hippocampal_volumes(
        [region(Side.LEFT, 3000), region(Side.RIGHT, 3000)],
        CEST,
        intracranial_mm3=None,
        intracranial_reason="no usable T1 was sent",
        onset=None,
    )
    assert told.reasons["vol_h"] == "no usable T1 was sent"
    assert volumes_form(told)["icv_method"] is None
    assert "onset" in both.reasons["dai_vol_h"]
    assert both.indices["dai_vol_h_epi"] is not None


@pytest.mark.parametrize(
    ("left", "right", "litres", "name"),
    [
        (3000, 3000, 0.95, "intracranial_volume_low"),
        (3000, 3000, 2.05, "intracranial_volume_high"),
        (1050, 1050, 1.6, "hippocampal_share_low"),
        (5000, 5000, 1.2, "hippocampal_share_high"),
    ],
)
def test_a_share_that_no_head_has_is_withheld(left, right, litres, name):
    """Heads of 1 to 2 l, shares of 0.07 to 0.40 %: beyond, the volumes stand without a share."""
    found = volumes(left, right, intracranial=litres * 1e6)
    assert [gate.name for gate in found.gates if gate.verdict is not Verdict.PASS] == [name]
    assert found.mean_vol_h is None
    assert set(found.vol_h.values()) == {None}
    assert "check" in found.reasons["vol_h"]
    form = volumes_form(found)
    assert form["vol_h"] is None
    assert form["icv_mm3"] == litres * 1e6
    assert found.indices["dai_vol_h_epi"] is not None


def test_after_surgery_there_is_no_share():
    """What withholds the index withholds the mean share too."""
    found = volumes(900, 3500)
    assert found.mean_vol_h is None
    assert "check segmentation and surgery" in found.reasons["vol_h"]


@given(
    left=st.integers(2500, 3500),
    right=st.integers(2500, 3500),
    litres=st.floats(1.3, 1.6),
    scale=st.floats(0.95, 1.05),
)
def test_a_head_of_another_size_has_the_same_share(left, right, litres, scale):
    """Hippocampi and head in the same proportion give the same share."""
    small = volumes(left, right, intracranial=litres * 1e6)
    large = volumes(left, right, grid(spacing=(scale,) * 3), intracranial=litres * 1e6 * scale**3)
    assert large.mean_vol_h == pytest.approx(small.mean_vol_h)


def test_both_volumes_need_both_sides_of_a_verified_class_on_a_fine_grid():
    """Only then is anything asked of the T1."""
    pair = [region(side, 3000) for side in Side]
    thick = grid((1, 40, 40), (11.0, 1.72, 1.72), (-20.0, -20.0, 3.0), 11.0)
    atlas = RegionSource(form=RegionForm.ATLAS, creation="automatic", identifier="atlas")
    assert gives_both_volumes(pair, CEST)
    assert gives_both_volumes(pair, None)
    assert not gives_both_volumes(pair[:1], CEST)
    assert not gives_both_volumes([region(side, 900, thick) for side in Side], CEST)
    assert not gives_both_volumes([replace(one, source=atlas) for one in pair], CEST)
    amygdalae = [replace(one, structure=Structure.AMYGDALA) for one in pair]
    assert not gives_both_volumes(amygdalae, CEST)
