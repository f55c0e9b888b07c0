"""What unverified outlines allow, and how results speak of their sources."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.regions import RegionClass, RegionForm, RegionSource
from cestle.biomarkers.lateralization import CallPolicy
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.region_origin import (
    PreviousResult,
    previous_result,
    recognise_returned,
    regions_result,
    sentence,
)
from cestle.study.results import Call
from unit.builders import axial_grid, box_region, fields, four_regions, images_from, study_inputs

GRID = axial_grid()
ATLAS = RegionSource(
    form=RegionForm.ATLAS, creation="automatic", identifier="atlas", tool="cestle atlas 1"
)


def regions(source, structures=tuple(Structure)):
    """The four regions, those of `structures` from a source."""
    return tuple(
        replace(one, source=source) if one.structure in structures else one
        for one in four_regions(GRID)
    )


def images(dai, noise=0.0):
    """Images whose regions show 9 % and an asymmetry index."""
    index = np.argwhere(np.ones(GRID.shape, dtype=bool)).astype(float)
    x = GRID.to_lps(index)[:, 0].reshape(GRID.shape)
    contrast = 0.09 * np.where(x > 0.0, 1.0 + dai, 1.0 - dai)

    def spectrum(offset):
        return np.where(offset < 0, np.log(0.3), np.log(0.3 * (1.0 - contrast)))

    return images_from(spectrum, GRID, noise=noise)


def analyse(dai, source=ATLAS, *, noise=0.05, previous=None, drawn=None, **settings):
    inputs = study_inputs(images(dai, noise), fields(GRID), drawn or regions(source))
    provenance = Provenance(
        software_version="0", templates_version="0", revision=2, previous=previous
    )
    settings = AnalysisSettings(registered=False, **settings)
    return analyse_study(inputs, settings, provenance).results


@pytest.mark.parametrize("policy", CallPolicy)
@pytest.mark.parametrize(
    ("margin", "call"),
    [(0.008, "indeterminate"), (-0.008, "indeterminate"), (0.06, "left"), (-0.06, "right")],
)
def test_unverified_regions_call_no_side_near_the_cutoff(margin, call, policy):
    """Below 0.012 from the cut-off nothing is called, whatever the policy; beyond, preliminarily.

    The same images with an expert's regions are called by the bare rule of the paper.
    """
    results = analyse(0.0026 + margin, call_policy=policy)
    assert results.lateralization.call == call
    assert results.lateralization.preliminary
    expert = analyse(0.0026 + margin, four_regions(GRID)[0].source, call_policy=CallPolicy.PAPER)
    assert expert.lateralization.call is (Call.LEFT if margin > 0 else Call.RIGHT)
    assert not expert.lateralization.preliminary


def test_the_interval_holds_the_error_of_the_outlines():
    """SD 0.007 for the hippocampus and 0.006 for the amygdala, in quadrature with the rest."""
    expert = analyse(0.03, four_regions(GRID)[0].source)
    atlas = analyse(0.03)
    for name, error in (("dai_glu_h_epi", 0.007), ("dai_glu_a_epi", 0.006)):
        known = expert.asymmetry.indices[name].standard_error
        widened = atlas.asymmetry.indices[name].standard_error
        assert widened == pytest.approx(math.hypot(known, error), rel=1e-9)
        assert atlas.confidence.budgets[name].region == error
        assert expert.confidence.budgets[name].region is None


def test_each_structure_has_its_own_class():
    """An expert's hippocampi with automatic amygdalae give a call that is not preliminary."""
    results = analyse(0.06, drawn=regions(ATLAS, (Structure.AMYGDALA,)))
    assert results.regions.class_of(Structure.HIPPOCAMPUS) is RegionClass.EXPERT
    assert results.regions.class_of(Structure.AMYGDALA) is RegionClass.ATLAS
    assert results.regions.unverified == (Structure.AMYGDALA,)
    assert not results.lateralization.preliminary
    assert results.glucest.rois["amygdala_left"].region_class is RegionClass.ATLAS
    assert results.confidence.budgets["dai_glu_h_epi"].region is None


def test_low_confidence_calls_nothing():
    """Doubts about the outlines take the call away and stand among its reasons."""
    doubtful = replace(ATLAS, doubts=("template correlation 0.71, at least 0.80 needed",))
    results = analyse(0.06, doubtful)
    assert results.lateralization.call is Call.INDETERMINATE
    assert results.lateralization.bare_call is Call.LEFT
    assert any("template correlation 0.71" in one for one in results.lateralization.reasons)


def test_volumes_are_withheld_from_the_atlas():
    """No index of volumes, with a reason of its own."""
    results = analyse(0.03)
    assert results.asymmetry.indices["dai_vol_h_epi"] is None
    assert "not available from the automatic atlas" in results.asymmetry.reasons["dai_vol_h_epi"]


def test_the_json_form_names_class_source_and_difference():
    """The block of the regions can be read back as the result before the next one."""
    first = analyse(0.03)
    tree = json.loads(json.dumps(first.to_json(), allow_nan=False))
    before = previous_result(tree)
    assert before.classes == dict.fromkeys(Structure, RegionClass.ATLAS)
    second = analyse(0.05, four_regions(GRID)[0].source, previous=before).to_json()
    hippocampus = second["regions"]["structures"]["hippocampus"]
    assert (hippocampus["class"], hippocampus["verified"]) == ("A", True)
    told = second["regions"]["previous"]
    assert told["classes"] == {"hippocampus": "D", "amygdala": "D"}
    change = told["difference"]["dai_glu_h_epi"]
    assert change == pytest.approx(0.02, abs=0.002)
    assert tree["lateralization"]["preliminary"] is True
    assert previous_result({"revision": 1}) is None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (ATLAS, ("UNVERIFIED", "0.82", "confidence high")),
        (replace(ATLAS, doubts=("x",)), ("confidence low",)),
        (
            RegionSource(
                form=RegionForm.SEGMENTATION,
                creation="manual",
                identifier="1.2.3.4",
                creator="Expert^A",
                drawn_on="1.2.9",
            ),
            ("expert", "Expert^A", "1.2.3.4", "drawn on series 1.2.9"),
        ),
        (
            RegionSource(
                form=RegionForm.LABEL_MAP,
                creation="unknown",
                identifier="file",
                tool="FastSurfer 2.3",
            ),
            ("site tool FastSurfer 2.3", "not edited"),
        ),
        (
            RegionSource(
                form=RegionForm.PLUG_IN,
                creation="automatic",
                identifier="x",
                tool="SynthSeg 2.0",
                digest="ab" * 32,
            ),
            ("plug-in SynthSeg 2.0", "ab" * 8, "not edited"),
        ),
    ],
)
def test_the_sentence_says_who_drew(source, words):
    """The words of each step of the ladder."""
    origins = regions_result(regions(source), None, notes=(), previous=None)
    said = sentence(Structure.HIPPOCAMPUS, origins.structures[Structure.HIPPOCAMPUS])
    assert all(word in said for word in words), said


# --- outlines that come back -------------------------------------------------------------------

T1 = Grid(
    shape=(40, 60, 60),
    affine=np.array(
        [[0.0, 0.0, 2.0, -59.0], [0.0, 2.0, 0.0, -59.0], [1.0, 0, 0, -20.0], [0, 0, 0, 1.0]]
    ),
    frame_of_reference_uid=GRID.frame_of_reference_uid,
    slice_thickness_mm=1.0,
)


def on_t1(source, *, half_mm=(6.0, 10.0, 6.0)):
    """Hippocampi and amygdalae on a T1 grid."""
    return tuple(
        replace(box_region(T1, structure, side, (x, y, 0.0), half_mm), source=source)
        for structure, y in ((Structure.HIPPOCAMPUS, 20.0), (Structure.AMYGDALA, -20.0))
        for side, x in ((Side.LEFT, 30.0), (Side.RIGHT, -30.0))
    )


def left_before():
    """What the result set with the atlas says of its outlines."""
    origins = regions_result(on_t1(ATLAS), T1, notes=(), previous=None)
    return PreviousResult(
        revision=1,
        classes={name: one.region_class for name, one in origins.structures.items()},
        indices={},
        outlines={k: v for one in origins.structures.values() for k, v in one.outlines.items()},
    )


VIEWER = RegionSource(
    form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.77", tool="Viewer 3"
)


def test_outlines_that_come_back_unchanged_stay_unverified():
    """A viewer that saves them as made by hand makes no expert of them."""
    found, notes = recognise_returned(on_t1(VIEWER), T1, left_before())
    assert {one.source.region_class for one in found} == {RegionClass.ATLAS}
    assert len(notes) == 2
    assert "unchanged" in notes[0]


def test_one_changed_voxel_makes_them_an_experts():
    """Only the structure that was corrected changes its class."""
    changed = list(on_t1(VIEWER))
    fraction = np.array(changed[0].fraction)
    fraction[tuple(np.argwhere(fraction > 0)[0])] = 0.0
    changed[0] = replace(changed[0], fraction=fraction)
    found, notes = recognise_returned(changed, T1, left_before())
    classes = {one.name: one.source.region_class for one in found}
    assert classes["hippocampus_left"] is classes["hippocampus_right"] is RegionClass.EXPERT
    assert classes["amygdala_left"] is RegionClass.ATLAS
    assert len(notes) == 1
    without, none = recognise_returned(changed, T1, None)
    assert (without, none) == (tuple(changed), ())
