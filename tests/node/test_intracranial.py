"""The volume inside the skull as a step of a study: one number that never ends it."""

from dataclasses import replace

import numpy as np
import pytest

import cestle.service.intracranial as step
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.errors import ConfigError, InputError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.service.intracranial import with_intracranial_volume
from cestle.study.inputs import ScalarImage, StudyInputs

FINE = Grid(
    shape=(4, 5, 6),
    affine=np.diag([2.0, 2.0, 2.0, 1.0])[[2, 1, 0, 3]],
    frame_of_reference_uid="1.2",
    slice_thickness_mm=2.0,
)
T1 = ScalarImage(values=np.ones(FINE.shape), grid=FINE)


def drawn(form=RegionForm.SEGMENTATION):
    """Both hippocampi."""
    source = RegionSource(form=form, creation="manual", identifier="1.3")
    return tuple(
        Region(
            structure=Structure.HIPPOCAMPUS,
            side=side,
            fraction=np.ones(FINE.shape),
            grid=FINE,
            source=source,
        )
        for side in Side
    )


def inputs(**changes):
    values = {"saturation": None, "fields": None, "vendor_map": None, "anatomy": T1}
    values |= {"regions": drawn(), "onset_side": None, "study_instance_uid": "1.4"}
    return StudyInputs(**(values | changes))


@pytest.fixture
def answer(monkeypatch):
    """Makes the alignment give a volume, or raise."""

    def make(outcome):
        def fake(*given, progress):
            assert given[0] is T1.values
            assert given[1] is FINE
            progress("alignment")
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(step, "intracranial_volume", fake)
        monkeypatch.setattr(step, "load_atlas_template", lambda: None)

    return make


def found(given, *, allowed=True, said=None):
    steps = [] if said is None else said
    return with_intracranial_volume(given, allowed=allowed, progress=steps.append)


def test_the_volume_goes_with_the_inputs(answer):
    """With both hippocampi and a T1 the number is there, and the step was announced."""
    answer(1.4e6)
    said = []
    after = found(inputs(), said=said)
    assert after.intracranial_volume_mm3 == 1.4e6
    assert after.intracranial_reason == ""
    assert said == ["intracranial volume: alignment"]


@pytest.mark.parametrize("regions", [(), drawn()[:1], drawn(RegionForm.ATLAS)])
def test_nothing_is_looked_for_where_no_hippocampus_has_a_volume(answer, regions):
    """No region, one side, the atlas's own: the T1 is left alone."""
    answer(AssertionError("the T1 was aligned"))
    given = inputs(regions=regions)
    assert found(given) is given


def test_a_site_without_the_atlas_and_a_study_without_a_t1_say_so(answer):
    """Each has its reason, and nothing is aligned."""
    answer(AssertionError("something was aligned"))
    off = found(inputs(), allowed=False)
    assert (off.intracranial_volume_mm3, off.intracranial_reason) == (
        None,
        "the built-in atlas is turned off",
    )
    assert found(inputs(anatomy=None)).intracranial_reason == "no usable T1 was sent"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (InputError("the T1 is a single slice."), "the T1 is a single slice."),
        (ConfigError("nilearn is not installed."), "nilearn is not installed."),
        (RuntimeError("/build/ITK.cxx:1\nbad"), "the alignment with the template ended with Runt"),
        (MemoryError(), "the alignment with the template ended with MemoryError"),
    ],
)
def test_no_fault_ends_the_study(answer, fault, words):
    """What goes wrong becomes the reason, in one line and without what a library prints."""
    answer(fault)
    after = found(inputs())
    assert after.intracranial_volume_mm3 is None
    assert after.intracranial_reason.startswith("no intracranial volume: ")
    assert words in after.intracranial_reason
    assert "\n" not in after.intracranial_reason
    assert "/build" not in after.intracranial_reason


def test_a_t1_that_is_no_head_gives_a_reason():
    """Without any stand-in: the T1 of four slices is refused by the atlas itself."""
    after = found(inputs())
    assert "the T1 shows only 8 mm of the head" in after.intracranial_reason
    thick = replace(T1, grid=replace(FINE, affine=FINE.affine * np.array([3, 1, 1, 1])))
    assert "voxels" in found(inputs(anatomy=thick)).intracranial_reason
