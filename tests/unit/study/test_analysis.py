"""The order of the steps: laws of sides, missing inputs, the vendor's map."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.sampling import RegionEstimator
from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import SaturationImages
from cestle.gates import Verdict
from cestle.geometry import Grid
from cestle.measurement import Side
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.inputs import ScalarImage
from cestle.study.results import Call, Status
from unit.builders import axial_grid, fields, four_regions, images_from, study_inputs

GRID = axial_grid()
REGIONS = four_regions(GRID)
PROVENANCE = Provenance(software_version="0", templates_version="0", revision=1)


def contrast_map(left=0.10, right=0.08):
    """Contrast of each voxel: left half (positive x) and right half of the patient."""
    index = np.argwhere(np.ones(GRID.shape, dtype=bool)).astype(float)
    x = GRID.to_lps(index)[:, 0].reshape(GRID.shape)
    return np.where(x > 0.0, left, right)


def images(left=0.10, right=0.08, noise=0.0, grid=GRID):
    contrast = contrast_map(left, right)

    def spectrum(offset):
        return np.where(offset < 0, np.log(0.3), np.log(0.3 * (1.0 - contrast)))

    return images_from(spectrum, grid, noise=noise)


def analyse(inputs, **settings):
    return analyse_study(inputs, AnalysisSettings(**settings), PROVENANCE)


def test_known_contrast_gives_known_indices():
    """10 % left and 8 % right give means of 10 and 8 and DAI(epi) of 1/9, call left."""
    results = analyse(study_inputs(images(), fields(GRID), REGIONS)).results
    assert results.status is Status.COMPLETE
    assert results.glucest.rois["hippocampus_left"].mean == pytest.approx(10.0)
    assert results.glucest.rois["amygdala_right"].mean == pytest.approx(8.0)
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        assert results.asymmetry.indices[name].value == pytest.approx(1 / 9)
    assert results.lateralization.call is Call.LEFT


def test_mirrored_patient_flips_every_index_and_the_call():
    """Swapping the two halves of the patient flips the sign of each index and the call."""
    one = analyse(study_inputs(images(0.10, 0.08), fields(GRID), REGIONS)).results
    other = analyse(study_inputs(images(0.08, 0.10), fields(GRID), REGIONS)).results
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        assert one.asymmetry.indices[name].value == pytest.approx(
            -other.asymmetry.indices[name].value
        )
    assert (one.lateralization.call, other.lateralization.call) == (Call.LEFT, Call.RIGHT)


def test_storing_the_slice_mirrored_changes_nothing():
    """A slice whose columns run the other way, with its affine, gives the same results."""
    flipped_affine = GRID.affine.copy()
    flipped_affine[:3, 3] += GRID.affine[:3, 2] * (GRID.shape[2] - 1)
    flipped_affine[:3, 2] *= -1.0
    flipped = Grid(
        shape=GRID.shape,
        affine=flipped_affine,
        frame_of_reference_uid=GRID.frame_of_reference_uid,
        slice_thickness_mm=GRID.slice_thickness_mm,
    )
    plain = images()
    mirrored = type(plain)(
        signal=plain.signal[..., ::-1],
        offsets_ppm=plain.offsets_ppm,
        grid=flipped,
        f0_mhz=plain.f0_mhz,
    )
    one = analyse(study_inputs(plain, fields(GRID), REGIONS)).results
    other = analyse(study_inputs(mirrored, fields(flipped), four_regions(flipped))).results
    assert one.asymmetry.indices == other.asymmetry.indices


def test_dai_needs_a_stated_onset_side():
    """Without an onset side the ipsilateral index is None with the reason, with one it is given."""
    without = analyse(study_inputs(images(), fields(GRID), REGIONS)).results
    assert without.asymmetry.indices["dai_glu_h"] is None
    assert "onset was not stated" in without.asymmetry.reasons["dai_glu_h"]
    known = study_inputs(images(), fields(GRID), REGIONS, onset_side=Side.RIGHT)
    assert analyse(known).results.asymmetry.indices["dai_glu_h"].value == pytest.approx(-1 / 9)


def test_a_flipped_b0_map_stops_the_study():
    """A B0 map of the wrong sign gives no map and no number, and the reason says so."""
    study = simulate(SimulationSettings(seed=2, snr=80.0, t1_mm=3.0))
    f0_mhz = study.settings.f0_mhz
    scan = SaturationImages(
        signal=study.signal, offsets_ppm=study.offsets_ppm, grid=study.cest_grid, f0_mhz=f0_mhz
    )
    for sign, status in ((1.0, "ok"), (-1.0, "not_computed")):
        maps = fields(study.cest_grid, sign * study.b0_hz / f0_mhz)
        results = analyse(study_inputs(scan, maps, ())).results.to_json()
        assert results["glucest"]["status"] == status
    assert any("would have to be multiplied by -" in line for line in results["reasons"])


def test_a_failed_gate_withholds_the_call():
    """With a signal of less than 20 times the noise no side is called, and the reason says why."""
    noisy = study_inputs(images(0.20, 0.05, noise=25.0), fields(GRID), REGIONS)
    results = analyse(noisy).results
    assert results.lateralization.call is Call.INDETERMINATE
    assert results.lateralization.bare_call is Call.LEFT
    assert any("over the noise of one image" in line for line in results.lateralization.reasons)


def test_exchanged_offsets_are_seen_in_the_pixels():
    """With the labels of a repeat and another offset exchanged the repeats no longer agree."""
    study = simulate(SimulationSettings(seed=2, snr=80.0, t1_mm=3.0))
    maps = fields(study.cest_grid, study.b0_hz / study.settings.f0_mhz)
    verdicts = []
    for order in ([0, 1, 2, 3, 4, 5, 6, 7], [2, 1, 0, 3, 4, 5, 6, 7]):
        scan = SaturationImages(
            signal=study.signal,
            offsets_ppm=study.offsets_ppm[order],
            grid=study.cest_grid,
            f0_mhz=study.settings.f0_mhz,
        )
        gates = analyse(study_inputs(scan, maps, ())).results.quality
        verdicts.append({gate.name: gate.verdict.value for gate in gates}.get("repeats_agree"))
    assert verdicts[0] == "pass"
    assert verdicts[1] in ("warn", None)


def test_gates_are_reported_with_limit_and_action():
    """Each gate of a study has value, limits, verdict and what to do."""
    content = analyse(study_inputs(images(noise=2.0), fields(GRID), REGIONS)).results.to_json()
    names = {gate["name"] for gate in content["quality"]["gates"]}
    assert {"snr", "b0_in_range", "b1_left_right", "repeat_change", "voxels"} <= names
    for gate in content["quality"]["gates"]:
        assert gate["verdict"] in ("pass", "warn", "fail")
        assert gate["action"]


def test_missing_b0_map_is_partial_with_the_reason():
    """Without a B0 map nothing is computed, the call is indeterminate and the reason is kept."""
    missing = (("b0_map", "no series was recognised as B0 map"),)
    analysis = analyse(study_inputs(images(), None, REGIONS, missing=missing))
    results = analysis.results
    assert analysis.glucest is None
    assert results.status is Status.PARTIAL
    assert results.lateralization.call is Call.INDETERMINATE
    assert any("B0 map" in reason for reason in results.reasons)


def test_missing_amygdalae_leave_the_hippocampal_call():
    """Without amygdala regions their index is None with a reason and the call still stands."""
    results = analyse(study_inputs(images(), fields(GRID), REGIONS[:2])).results
    assert results.status is Status.PARTIAL
    assert results.asymmetry.indices["dai_glu_a_epi"] is None
    assert "no region was sent" in results.asymmetry.reasons["dai_glu_a_epi"]
    assert results.lateralization.call is Call.LEFT


def test_region_in_another_frame_of_reference_says_so():
    """Regions in another frame of reference give no mean, and the reason is the frame."""
    elsewhere = four_regions(axial_grid(frame="1.2.9"))
    results = analyse(study_inputs(images(), fields(GRID), elsewhere)).results
    assert results.glucest.rois["hippocampus_left"] is None
    assert "Frame of Reference" in results.glucest.reasons["hippocampus_left"]


def test_negative_mean_is_indeterminate():
    """A regional mean that is not positive gives no index and no call."""
    results = analyse(study_inputs(images(left=-0.02), fields(GRID), REGIONS)).results
    assert results.lateralization.call is Call.INDETERMINATE
    assert "a positive value was expected" in results.lateralization.reasons[0]


def test_mostly_invalid_region_gives_no_index():
    """A region of which most voxels are out of the B0 range gives no index."""
    shift = np.where(contrast_map(1.0, 0.0) > 0.5, 0.5, 0.0)
    results = analyse(study_inputs(images(), fields(GRID, shift), REGIONS)).results
    assert results.asymmetry.indices["dai_glu_h_epi"] is None
    assert results.lateralization.call is Call.INDETERMINATE


def test_vendor_map_serves_when_there_are_no_source_images():
    """With only the scanner's own map the indices come from it, without standard error."""
    vendor = ScalarImage(values=100.0 * contrast_map(), grid=GRID)
    results = analyse(study_inputs(None, None, REGIONS, vendor_map=vendor)).results
    assert results.glucest.source == "vendor_map"
    assert results.asymmetry.indices["dai_glu_h_epi"].value == pytest.approx(1 / 9)
    assert results.asymmetry.indices["dai_glu_h_epi"].standard_error is None
    assert "not known" in results.glucest.reasons["source"]


def test_vendor_map_of_unknown_unit_gives_indices_only():
    """A vendor map without declared unit gives indices but no map and no means."""
    vendor = ScalarImage(values=1e4 * contrast_map(), grid=GRID, unit_known=False)
    analysis = analyse(study_inputs(None, None, REGIONS, vendor_map=vendor))
    assert analysis.glucest is None
    assert set(analysis.results.glucest.rois.values()) == {None}
    assert analysis.results.asymmetry.indices["dai_glu_h_epi"].value == pytest.approx(1 / 9)


def test_own_map_is_preferred_to_the_vendor_map():
    """With both, the map is made from the source images."""
    vendor = ScalarImage(values=100.0 * contrast_map(0.02, 0.2), grid=GRID)
    results = analyse(study_inputs(images(), fields(GRID), REGIONS, vendor_map=vendor)).results
    assert results.glucest.source == "raw"
    assert results.lateralization.call is Call.LEFT


def test_json_form_has_the_agreed_keys_and_is_plain_json():
    """The JSON form survives a strict JSON round trip and holds the agreed blocks."""
    noisy = study_inputs(images(noise=2.0), fields(GRID), REGIONS)
    content = json.loads(json.dumps(analyse(noisy).results.to_json(), allow_nan=False))
    assert content["schema"] == "cestle-results/1"
    assert set(content) == {
        "schema", "study_instance_uid", "revision", "software", "options", "status", "reasons",
        "notes",
        "glucest", "asymmetry", "mrs", "composite", "volumes", "lateralization", "quality",
        "error_budget", "repeatability", "motion", "comparison", "partial_volume_alone",
        "regions", "t1_registration", "outputs",
    }  # fmt: skip
    assert set(content["glucest"]["rois"]) == {
        "hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right",
    }  # fmt: skip
    dai = content["asymmetry"]["dai_glu_h_epi"]
    assert dai["ci95"][0] < dai["value"] < dai["ci95"][1]
    for name, value in content["asymmetry"].items():
        if name != "reasons":
            assert value is not None or content["asymmetry"]["reasons"][name]


@pytest.mark.parametrize("estimator", sorted(set(RegionEstimator) - {RegionEstimator.REGRESSION}))
def test_every_estimator_measures_a_homogeneous_region(estimator):
    """Where all voxels of a side are alike, every estimator gives their contrast and the index."""
    inputs = study_inputs(images(), fields(GRID), REGIONS)
    results = analyse(inputs, estimator=estimator).results
    assert results.glucest.estimator == estimator
    assert results.glucest.rois["hippocampus_left"].value == pytest.approx(10.0)
    assert results.asymmetry.indices["dai_glu_h_epi"].value == pytest.approx(1 / 9)


def test_the_index_follows_the_estimator():
    """A tenth of the voxels ten times too bright moves the index of the mean, not of the median."""
    contrast = contrast_map()
    spoilt = np.zeros(GRID.shape, dtype=bool)
    spoilt[:, ::10, :] = True
    contrast = np.where(spoilt & (contrast > 0.09), 0.5, contrast)

    def spectrum(offset):
        return np.where(offset < 0, np.log(0.3), np.log(0.3 * (1.0 - contrast)))

    inputs = study_inputs(images_from(spectrum, GRID), fields(GRID), REGIONS)
    mean, median = (
        analyse(inputs, estimator=one).results.asymmetry.indices["dai_glu_h_epi"].value
        for one in (RegionEstimator.MEAN, RegionEstimator.MEDIAN)
    )
    assert median == pytest.approx(1 / 9)
    assert mean > median + 0.05


def test_erosion_takes_the_edge_off():
    """One layer less leaves the contrast on fewer voxels; too many leave none, with a reason."""
    inputs = study_inputs(images(), fields(GRID), REGIONS)
    plain, eroded, gone = (
        analyse(inputs, edge_erosion_voxels=layers).results.glucest for layers in (0, 1, 20)
    )
    whole, core = (one.rois["hippocampus_left"] for one in (plain, eroded))
    assert core.voxels < whole.voxels
    assert core.value == pytest.approx(whole.value)
    assert gone.rois["hippocampus_left"] is None
    assert "edge_erosion_voxels" in gone.reasons["hippocampus_left"]


def test_the_published_method_stands_beside_ours():
    """The indices by quadratic B0 and no B1 correction are given; of flat fields both agree."""
    results = analyse(study_inputs(images(noise=1.0), fields(GRID), REGIONS)).results
    own = results.asymmetry.indices["dai_glu_h_epi"]
    other = results.comparison.indices["dai_glu_h_epi"]
    assert (results.comparison.b0_method, results.comparison.b1_method) == ("quadratic", "none")
    assert abs(own.value - other) < 2.0 * own.standard_error
    gates = {gate.scope: gate for gate in results.quality if gate.name == "methods_agree"}
    assert gates["hippocampus"].verdict is Verdict.PASS


def test_no_comparison_with_the_published_method_itself():
    """A map made by quadratic B0 without B1 correction is compared with nothing."""
    settings = GluCestSettings(b0_method=B0Method.QUADRATIC)
    inputs = study_inputs(images(), fields(GRID), REGIONS)
    assert analyse(inputs, glucest=settings).results.comparison is None


def test_methods_that_disagree_are_flagged():
    """Where dividing by a B1 that differs between the sides moves the index, the gate warns."""
    b1 = np.where(contrast_map(1.0, 0.0) > 0.5, 1.15, 0.85)
    settings = GluCestSettings(b1_method=B1Method.DIVIDE)
    inputs = study_inputs(images(noise=1.0), fields(GRID, relative_b1=b1), REGIONS)
    results = analyse(inputs, glucest=settings).results
    gate = next(gate for gate in results.quality if gate.name == "methods_agree")
    assert gate.verdict is Verdict.WARN
    assert "corrections decide" in gate.sentence


def test_extrapolated_voxels_are_flagged():
    """Voxels beyond the outer offsets serve where settings allow it, and the gate counts them."""
    shift = np.where(contrast_map(1.0, 0.0) > 0.5, 0.45, 0.0)
    settings = GluCestSettings(max_b0_shift_ppm=0.5)
    inputs = study_inputs(images(noise=1.0), fields(GRID, shift), REGIONS)
    results = analyse(inputs, glucest=settings).results
    assert results.glucest.rois["hippocampus_left"] is not None
    verdicts = {g.scope: g.verdict for g in results.quality if g.name == "b0_in_range"}
    assert verdicts["hippocampus_left"] is Verdict.FAIL
    assert verdicts["hippocampus_right"] is Verdict.PASS


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "pass"), (0.01, "warn"), (0.05, "fail")])
def test_clipped_images_are_flagged(share, verdict):
    """Voxels at the largest number of the file warn, and many of them forbid a call."""
    scan = replace(images(noise=1.0), clipped_share=share)
    results = analyse(study_inputs(scan, fields(GRID), REGIONS)).results
    gate = next(gate for gate in results.quality if gate.name == "clipped")
    assert gate.verdict.value == verdict
    assert (results.lateralization.call is Call.INDETERMINATE) is (verdict == "fail")


def test_a_regression_without_tissues_has_a_reason():
    """Without a T1 the joint fit of regions and tissues gives no value and says what to send."""
    inputs = study_inputs(images(), fields(GRID), REGIONS)
    results = analyse(inputs, estimator=RegionEstimator.REGRESSION).results
    assert results.glucest.rois["hippocampus_left"] is None
    assert "3D T1" in results.glucest.reasons["hippocampus_left"]
    assert "3D T1" in results.asymmetry.reasons["dai_glu_h_epi"]
