"""When a study is processed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.study.completeness import (
    GLUCEST_EXPECTATIONS,
    State,
    StudyProfile,
    assess_completeness,
    take_inventory,
)
from cestle.study.performed_steps import PerformedStep, StepState, performed_of
from cestle.study.roles import classify
from reading import facts, shipped_rules

START = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
PROFILE = StudyProfile(expectations=GLUCEST_EXPECTATIONS)


def arrived(cest=8, *, declared=8, names=("B0Map", "B1Map"), roi=True, t1=True, t1_images=1):
    """Classified instances of a study."""
    rules = shipped_rules()
    images = [
        facts(
            "1.2.10",
            f"1.2.10.{n}",
            Manufacturer="UIH",
            Modality="MR",
            SeriesDescription="GluCEST",
            NumberOfSlices=declared,
        )
        for n in range(cest)
    ]
    images += [
        facts(f"1.2.2{n}", f"1.2.2{n}.1", Manufacturer="UIH", SeriesDescription=name)
        for n, name in enumerate(names)
    ]
    if t1:
        images.append(
            facts(
                "1.2.30",
                "1.2.30.1",
                Manufacturer="UIH",
                SequenceName="gre_fsp",
                MRAcquisitionType="3D",
                SeriesDescription="t1_gre_fsp_3d",
                ImagesInAcquisition=t1_images,
            )
        )
    if roi:
        images.append(facts("1.2.40", "1.2.40.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"))
    return [classify(image, rules) for image in images]


SPECTROSCOPY = "1.2.840.10008.5.1.4.1.1.4.2"


def spectra(*numbers, declared=None):
    """Classified transients of a MEGA-PRESS series with these instance numbers."""
    values = {"SOPClassUID": SPECTROSCOPY, "SeriesDescription": "mega_press"}
    if declared is not None:
        values["NumberOfSlices"] = declared
    return [
        classify(facts("1.2.50", f"1.2.50.{n}", InstanceNumber=n, **values), shipped_rules())
        for n in numbers
    ]


def step(state, *instances, uid="1.7.1"):
    """A performed step that lists instances of one series."""
    return PerformedStep(
        step_uid=uid,
        study_instance_uid="1.2",
        state=StepState(state),
        instances=frozenset(("1.2.9", one) for one in instances),
        changed=0.0,
    )


def verdict(classified, *, quiet, waited=None, performed=None):
    """Verdict after `quiet` seconds without news."""
    now = START + timedelta(seconds=quiet if waited is None else waited)
    return assess_completeness(
        take_inventory(classified),
        PROFILE,
        now=now,
        last_arrival=now - timedelta(seconds=quiet),
        first_arrival=START,
        performed=performed,
    )


def test_a_complete_study_waits_for_the_quiet_time_only():
    """READY after 20 s of silence, WAIT before."""
    assert verdict(arrived(), quiet=19.9).state is State.WAIT
    assert verdict(arrived(), quiet=20.0).state is State.READY


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (arrived(7), "CEST images (7 of 8)"),
        (arrived(8, declared=16), "cest_source (8 of 16 instances)"),
        (arrived(t1_images=160), "t1_3d (1 of 160 instances)"),
        (arrived(names=("B1Map",)), "B0 map"),
        (arrived(roi=False), "regions"),
        (arrived(t1=False), "3D T1"),
    ],
)
def test_an_incomplete_study_waits_longer_and_says_what_is_missing(study, words):
    """What is missing is named, and the study is processed only after the longer silence."""
    waiting = verdict(study, quiet=60.0)
    assert waiting.state is State.WAIT
    assert words in waiting.reason
    late = verdict(study, quiet=300.0)
    assert late.state is State.READY_PARTIAL
    assert words in late.missing


def test_a_study_that_never_falls_silent_is_processed_in_the_end():
    """After the longest time a trickle of instances no longer delays the study."""
    trickle = verdict(arrived(), quiet=1.0, waited=120 * 60.0)
    assert trickle.state is State.READY
    assert "longest time" in trickle.reason


def test_the_vendor_map_alone_needs_no_field_maps():
    """The scanner's own map is already corrected, so B0 and B1 maps are not waited for."""
    study = arrived(0, names=("GluCEST_Map",))
    assert verdict(study, quiet=20.0).state is State.READY


@given(st.permutations(range(12)), st.lists(st.integers(0, 11)))
def test_order_and_repeats_change_nothing(order, repeats):
    """Any order of arrival and any duplicates give the same inventory."""
    study = arrived()
    assert len(study) == 12
    shuffled = [study[index] for index in [*order, *repeats]]
    assert take_inventory(shuffled) == take_inventory(study)


@given(
    cest=st.integers(0, 8),
    roi=st.booleans(),
    quiet=st.floats(0.0, 400.0),
    extra=st.floats(0.0, 8000.0),
)
def test_asking_again_at_the_stated_time_ends_the_wait(cest, roi, quiet, extra):
    """A verdict to wait names the moment at which time alone ends it."""
    study = take_inventory(arrived(cest, roi=roi))
    first, last = START, START + timedelta(seconds=extra)
    now = last + timedelta(seconds=quiet)
    found = assess_completeness(study, PROFILE, now=now, last_arrival=last, first_arrival=first)
    if found.state is not State.WAIT:
        assert found.ask_again_at is None
        return
    again = assess_completeness(
        study, PROFILE, now=found.ask_again_at, last_arrival=last, first_arrival=first
    )
    assert found.ask_again_at > now
    assert again.state is not State.WAIT


def test_a_study_with_all_its_spectra_waits_no_longer_than_one_without():
    """MEGA-PRESS is not expected of a study, and nothing is waited for once it is whole."""
    whole = arrived() + spectra(1, 2, 3, 4, declared=4)
    assert verdict(whole, quiet=19.9).state is State.WAIT
    assert verdict(whole, quiet=20.0).state is State.READY


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (spectra(1, 2, 3, declared=4), "mrs_mega (3 of 4 instances)"),
        (spectra(1, 2, 4, 7), "mrs_mega (4 of 7 instances)"),
    ],
)
def test_spectra_that_are_under_way_are_waited_for(series, words):
    """A declared count, or a gap in the numbers, keeps a complete GluCEST study waiting."""
    waiting = verdict(arrived() + series, quiet=60.0)
    assert waiting.state is State.WAIT
    assert words in waiting.reason
    assert verdict(arrived() + series, quiet=300.0).state is State.READY_PARTIAL


@pytest.mark.parametrize("number", ["", "nan", "inf", "1.5", "x"])
def test_numbers_that_tell_nothing_are_not_waited_for(number):
    """Without whole instance numbers no gap can be known."""
    strange = spectra(1, 2, 5)
    values = dict(strange[0].facts.values) | {"InstanceNumber": (number,)}
    strange[0] = replace(strange[0], facts=replace(strange[0].facts, values=values))
    assert verdict(arrived() + strange, quiet=20.0).state is State.READY


DRAWING = replace(PROFILE, regions_from_t1=True)


def drawing(classified, *, quiet, profile=DRAWING):
    """Verdict at a node that may draw regions."""
    now = START + timedelta(seconds=quiet)
    return assess_completeness(
        take_inventory(classified), profile, now=now, last_arrival=START, first_arrival=START
    )


def test_with_a_t1_regions_are_drawn_and_not_waited_for():
    """CEST, fields and T1 are a whole study then; without the T1 regions are missing as before."""
    assert drawing(arrived(roi=False), quiet=20.0).state is State.READY
    assert "software draws them" in drawing(arrived(roi=False), quiet=20.0).reason
    assert drawing(arrived(), quiet=20.0).reason == verdict(arrived(), quiet=20.0).reason
    without = drawing(arrived(roi=False, t1=False), quiet=20.0)
    assert without.state is State.WAIT
    assert without.missing == ("3D T1", "regions")


@given(wait=st.floats(0.0, 100.0), quiet=st.floats(0.0, 7200.0), whole=st.booleans())
def test_a_better_source_is_waited_for_as_long_as_configured(wait, quiet, whole):
    """Never before the waiting time, and with regions as without the setting."""
    names = ("B0Map", "B1Map") if whole else ("B0Map",)
    profile = replace(DRAWING, wait_for_regions_minutes=wait)
    found = drawing(arrived(roi=False, names=names), quiet=quiet, profile=profile)
    usual = profile.quiet_seconds if whole else profile.partial_quiet_seconds
    needed = min(max(usual, 60.0 * wait), 60.0 * profile.max_wait_minutes)
    assert (found.state is State.WAIT) == (quiet < needed)
    with_regions = drawing(arrived(names=names), quiet=quiet, profile=profile)
    assert with_regions.state is verdict(arrived(names=names), quiet=quiet, waited=quiet).state


def test_a_scanner_that_is_at_work_delays_a_study_that_looks_complete():
    """More is to come, so the longer silence is waited for; that is said."""
    working = performed_of([step("IN PROGRESS"), step("COMPLETED", "1", uid="1.7.2")], {"1"})
    waiting = verdict(arrived(), quiet=60.0, performed=working)
    assert waiting.state is State.WAIT
    assert "still at work" in waiting.reason
    assert verdict(arrived(), quiet=300.0, performed=working).state is State.READY


def test_the_list_of_a_finished_scanner_is_the_exact_set():
    """All that was listed is here: no more waiting, though the profile expects more."""
    steps = [step("COMPLETED", "1", "2"), step("COMPLETED", "3", uid="1.7.2")]
    whole = performed_of(steps, {"1", "2", "3", "4"})
    found = verdict(arrived(t1=False), quiet=3.0, performed=whole)
    assert found.state is State.READY_PARTIAL
    assert "3 of 3 listed instances are here" in found.reason
    assert found.missing == ("3D T1",)
    assert verdict(arrived(), quiet=3.0, performed=whole).state is State.READY
    assert verdict(arrived(), quiet=2.9, performed=whole).state is State.WAIT


def test_what_a_finished_scanner_listed_is_waited_for():
    """A study that looks complete waits for the rest of the list, up to the cap."""
    half = performed_of([step("COMPLETED", "1", "2", "3")], {"1"})
    waiting = verdict(arrived(), quiet=299.0, performed=half)
    assert waiting.state is State.WAIT
    assert "2 of 3 instances that the scanner listed" in waiting.reason
    assert verdict(arrived(), quiet=300.0, performed=half).state is State.READY_PARTIAL
    capped = verdict(arrived(), quiet=1.0, waited=7200.0, performed=half)
    assert capped.state is State.READY_PARTIAL
    none = performed_of([step("COMPLETED", "1", "2", "3")], set())
    assert none.missing == "3 of 3 instances that the scanner listed (1 whole series)"


def test_an_examination_that_was_broken_off_is_processed_as_it_is():
    """After the usual silence, with what is there, and the reason says so."""
    steps = [step("COMPLETED", "1"), step("DISCONTINUED", "2", uid="1.7.2")]
    broken = performed_of(steps, {"1"})
    assert verdict(arrived(3), quiet=19.0, performed=broken).state is State.WAIT
    found = verdict(arrived(3), quiet=20.0, performed=broken)
    assert found.state is State.READY_PARTIAL
    assert "broken off" in found.reason


def test_a_finished_scanner_that_lists_nothing_tells_nothing():
    """Without a list the expectations count as ever."""
    silent = performed_of([step("COMPLETED")], set())
    assert verdict(arrived(t1=False), quiet=60.0, performed=silent).state is State.WAIT
    assert verdict(arrived(), quiet=20.0, performed=silent).state is State.READY
    assert performed_of([], {"1"}) is None
