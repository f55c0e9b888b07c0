"""The T1 and its regions in the slice: moved together, refused together, never silently."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.anatomy.rigid_motion import RigidMotion
from cestle.anatomy.slab_registration import Placement
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.gates import Verdict
from cestle.phantom.head import REGION_LABELS
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.presentation import PatientBanner, build_page
from cestle.study.t1_place import drawn_on_slices, t1_in_place
from phantoms.synthetic import inputs_of

SOURCE = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.4")
PROVENANCE = Provenance(software_version="0", templates_version="0", revision=1)
PRESENTATION = load_template_set(TemplateFolder.default()).presentation
INDICES = ("dai_glu_h_epi", "dai_glu_a_epi")
CENTRE_MM = np.array([0.0, 28.0, -12.0])
MOTION = RigidMotion.about(
    CENTRE_MM, shift_mm=np.array([0.5, -1.0, 2.8]), rotation_deg=np.array([1.0, 0.5, 0.0])
)
"""The head went by 3 mm between T1 and CEST."""


@pytest.fixture(scope="module")
def study():
    """A synthetic study; do not write to its arrays."""
    return simulate(SimulationSettings(seed=7, snr=100.0))


@pytest.fixture(scope="module")
def inputs(study):
    """A study with regions on its T1, everything where the headers say."""
    regions = tuple(
        Region(
            structure=structure,
            side=side,
            fraction=(study.t1_labels == label).astype(float),
            grid=study.t1_grid,
            source=SOURCE,
        )
        for (structure, side), label in REGION_LABELS.items()
    )
    return inputs_of(study, regions)


def displaced(inputs, motion=MOTION, frame=None):
    """The study whose T1 states the place of the head before a motion, or another frame."""

    def place(grid):
        moved = motion.inverse().move_grid(grid)
        return moved if frame is None else replace(moved, frame_of_reference_uid=frame)

    return replace(
        inputs,
        anatomy=replace(inputs.anatomy, grid=place(inputs.anatomy.grid)),
        regions=tuple(replace(one, grid=place(one.grid)) for one in inputs.regions),
    )


@pytest.fixture(scope="module")
def at_rest(inputs):
    return analyse(inputs)


@pytest.fixture(scope="module")
def moved_analysis(inputs):
    return analysis_of(displaced(inputs))


@pytest.fixture(scope="module")
def moved(moved_analysis):
    return moved_analysis.results


def analysis_of(inputs, **settings):
    settings = {"tissue_from_t1": False} | settings
    return analyse_study(inputs, AnalysisSettings(**settings), PROVENANCE)


def analyse(inputs, **settings):
    return analysis_of(inputs, **settings).results


def index(results, name="dai_glu_h_epi"):
    return results.asymmetry.indices[name].value


def test_a_head_at_rest_gives_the_numbers_of_the_headers(inputs, at_rest):
    """Without motion the numbers are those without the search, to the last bit."""
    without = analyse(inputs, slab_registration=False)
    assert at_rest.t1_place.placement is Placement.AS_STATED
    assert without.t1_place is None
    for name in INDICES:
        assert index(at_rest, name) == index(without, name)


def test_motion_between_t1_and_cest_is_taken_back(moved, at_rest):
    """After 3 mm the corrected indices are nearer to those at rest than the headers' are."""
    place = moved.t1_place
    assert place.placement is Placement.CORRECTED
    assert place.size_mm == pytest.approx(3.0, abs=0.6)
    for name in INDICES:
        assert place.indices_corrected[name] == index(moved, name)
        left = abs(place.indices_corrected[name] - index(at_rest, name))
        assert left < 0.004
        assert left <= abs(place.indices_as_stated[name] - index(at_rest, name)) + 0.002
    for roi, other in zip(moved.glucest.rois.values(), at_rest.glucest.rois.values(), strict=True):
        assert roi.volume_in_slab_mm3 == pytest.approx(other.volume_in_slab_mm3, rel=0.1)
    assert moved.to_json()["t1_registration"]["placement"] == "corrected"


def test_the_slice_is_shown_on_the_t1_where_it_was_found(inputs, moved_analysis):
    """The sagittal picture has the T1 at the true place of the head, with the slices as stated."""
    shown = build_page(moved_analysis, PRESENTATION, PatientBanner()).slice_place
    head = np.argwhere(inputs.anatomy.values > 0.2 * inputs.anatomy.values.max())[::997].astype(
        float
    )
    true, stated = (
        grid.to_lps(head) for grid in (inputs.anatomy.grid, displaced(inputs).anatomy.grid)
    )
    found = shown.grid.to_lps(head)
    assert np.median(np.linalg.norm(stated - true, axis=1)) > 2.5
    assert np.median(np.linalg.norm(found - true, axis=1)) < 1.0
    assert shown.slices is moved_analysis.glucest.grid
    left = next(one for one in inputs.regions if one.name == "hippocampus_left")
    assert shown.x_mm == pytest.approx(left.centroid_lps_mm[0], abs=0.6)


def test_a_large_change_of_an_index_warns(moved):
    """A gate holds the change of each index by the correction against 0.01."""
    place = moved.t1_place
    gates = {gate.scope: gate for gate in moved.quality if gate.name == "t1_index_change"}
    for scope, name in (("hippocampus", INDICES[0]), ("amygdala", INDICES[1])):
        change = abs(place.indices_corrected[name] - place.indices_as_stated[name])
        assert gates[scope].value == change
        assert gates[scope].verdict is (Verdict.WARN if change > 0.01 else Verdict.PASS)


def test_regions_on_the_cest_slices_never_move(inputs, study):
    """A region drawn on the slices stays on them while the T1 moves."""
    drawn = tuple(
        replace(one, fraction=study.fractions[one.name], grid=study.cest_grid)
        for one in inputs.regions
    )
    moved = replace(displaced(inputs), regions=drawn)
    placed = t1_in_place(moved, searched=True)
    assert placed.corrected
    assert placed.inputs.regions == drawn
    assert drawn_on_slices(study.cest_grid, study.cest_grid)
    assert not drawn_on_slices(inputs.anatomy.grid, study.cest_grid)


def test_a_t1_of_another_frame_is_used_once_its_place_is_found(inputs, at_rest):
    """Another Frame of Reference UID at the very place: found, and the numbers are the same."""
    for motion in (RigidMotion.none(), MOTION):
        results = analyse(displaced(inputs, motion, frame="1.2.840.9"))
        assert results.t1_place.placement is Placement.CORRECTED
        assert results.t1_place.indices_as_stated == {}
        assert index(results) == pytest.approx(index(at_rest), abs=0.004)


def test_a_t1_of_another_frame_without_a_place_is_refused(inputs):
    """Displaced by 12 mm, or not searched for: no index, and the reason names the frame."""
    away = RigidMotion.about(
        CENTRE_MM, shift_mm=np.array([0.0, 0.0, 12.0]), rotation_deg=np.zeros(3)
    )
    strange = displaced(inputs, away, frame="1.2.840.9")
    for results in (analyse(strange), analyse(strange, slab_registration=False)):
        for name in INDICES:
            assert results.asymmetry.indices[name] is None
            assert "Frame of Reference" in results.asymmetry.reasons[name]


def test_a_t1_without_a_place_warns_and_stays(inputs):
    """A T1 that shows noise: numbers by the headers, a warning, and the reason."""
    noise = np.random.default_rng(1).normal(500.0, 50.0, inputs.anatomy.grid.shape)
    results = analyse(replace(inputs, anatomy=replace(inputs.anatomy, values=noise)))
    assert results.t1_place.placement is Placement.NOT_FOUND
    (gate,) = (gate for gate in results.quality if gate.name == "t1_place")
    assert gate.verdict is Verdict.WARN
    assert results.glucest.reasons["t1_place"] == results.t1_place.reason
    assert results.asymmetry.indices["dai_glu_h_epi"] is not None


def test_a_region_outside_the_slab_has_a_reason(inputs):
    """40 mm above the slice: no number, no NaN, and the words that it does not meet it."""
    away = RigidMotion.about(
        CENTRE_MM, shift_mm=np.array([0.0, 0.0, 40.0]), rotation_deg=np.zeros(3)
    )
    regions = tuple(replace(one, grid=away.move_grid(one.grid)) for one in inputs.regions)
    results = analyse(replace(inputs, regions=regions))
    for name, roi in results.glucest.rois.items():
        assert roi is None
        assert "does not meet the CEST slice" in results.glucest.reasons[name]
