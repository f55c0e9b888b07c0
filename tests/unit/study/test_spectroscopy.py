"""What a study says of its spectra: numbers or reasons, side, quality, composite, status."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.errors import InputError, NumericalError, ProtocolError
from cestle.gates import Verdict
from cestle.measurement import Estimate, Side, Structure
from cestle.study.analysis import AnalysisSettings
from cestle.study.inputs import NO_SPECTRA
from cestle.study.mrs_result import MRS_SCOPE
from cestle.study.results import Call, Status
from cestle.study.spectroscopy import (
    SpectroscopySettings,
    analyse_spectroscopy,
    combine,
    voxel_side,
)
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega
from unit.builders import axial_grid, box_region


def spectra_only(measurement, **inputs):
    """The spectroscopy arm alone, which needs no images."""
    study = build.study_inputs(**({"mega": mega.series(), "regions": ()} | inputs))
    with mega.stated(measurement):
        return analyse_spectroscopy(study, SpectroscopySettings(), "0.1.0")


def tree_of(measurement=None, **inputs):
    """The results of a study of spectra alone as JSON."""
    return mega.analysis_of_spectra_only(measurement, **inputs).results.to_json()


@pytest.fixture(scope="module")
def alone():
    """A GluCEST study without spectra."""
    return build.analysis().results


@pytest.fixture(scope="module")
def both():
    """A whole study with a voxel on the left and a stated onset on the left."""
    return mega.analysis(onset_side=Side.LEFT).results


@pytest.fixture(scope="module")
def poor():
    """The same with spectra of poor quality."""
    return mega.analysis(mega.failed_analysis(), onset_side=Side.LEFT).results


def test_numbers_are_passed_on_unchanged():
    """The ratios of the results are those of the measurement, with its convention."""
    stated = mega.mega_analysis()
    found = spectra_only(stated)
    assert found.result.computed
    assert found.result.status == "ok"
    assert found.result.numbers.gaba_cr == stated.result.gaba_cr
    assert found.result.numbers.convention == stated.result.convention
    assert found.mega.off is stated.off


@pytest.mark.parametrize(
    "fault",
    [
        InputError("the FIDs hold no signal; send the series again"),
        ProtocolError("no basis fits 128.1 MHz at TE 68 ms; make one"),
        NumericalError("ON and OFF cannot be told apart"),
    ],
)
def test_what_cannot_be_quantified_is_a_reason(fault):
    """Refused spectra raise nothing: there are no numbers, and the reason is the refusal."""
    found = spectra_only(fault)
    assert found.mega is None
    assert found.result.numbers is None
    assert found.result.reasons == (str(fault),)
    assert found.result.sent


def test_a_fault_of_the_program_is_not_swallowed():
    """An error that nobody raised on purpose passes through instead of becoming a reason."""
    with pytest.raises(ZeroDivisionError):
        spectra_only(ZeroDivisionError("a fault of ours"))


@pytest.mark.parametrize("name", ["gaba_cr", "glx_cr", "glx_gaba"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_ratio_that_is_no_number_is_a_reason(name, value):
    """A ratio that is not finite gives no numbers at all."""
    broken = mega.mega_analysis(result_changes={name: Estimate(value=value, standard_error=0.01)})
    found = spectra_only(broken)
    assert found.result.numbers is None
    assert "not finite" in found.result.reasons[0]


def test_an_error_that_is_no_number_becomes_unknown():
    """An infinite standard error or bound is unknown in the results, which stay valid JSON."""
    changes = {
        "gaba_cr": Estimate(value=0.16, standard_error=math.inf),
        "crlb_percent": {"gaba_cr": math.inf, "glx_cr": 5.0},
        "research": {"gaba_tcr": Estimate(value=math.nan, standard_error=None)},
    }
    tree = tree_of(mega.mega_analysis(result_changes=changes))
    json.dumps(tree, allow_nan=False)
    assert tree["mrs"]["gaba_cr"] == {"value": 0.16, "standard_error": None, "ci95": None}
    assert tree["mrs"]["crlb_percent"] == {"gaba_cr": None, "glx_cr": 5.0}
    assert tree["mrs"]["research"]["gaba_tcr"] is None
    assert set(tree["mrs"]["research_reasons"]) == {"gaba_tcr"}


def test_a_study_without_spectra_says_so_and_is_complete(alone):
    """Nobody sent spectra: the block has the reason, and the GluCEST study is complete."""
    assert alone.status is Status.COMPLETE
    block = alone.to_json()["mrs"]
    assert block["status"] == "not_computed"
    assert block["reasons"] == [NO_SPECTRA]
    assert {block[name] for name in ("gaba_cr", "glx_cr", "glx_gaba", "qc", "side")} == {None}


@pytest.mark.parametrize(
    ("measurement", "inputs"),
    [
        (NumericalError("ON and OFF cannot be told apart"), {}),
        (mega.mega_analysis(), {"mega": None, "missing": (("mrs_mega", "the file is cut off"),)}),
    ],
)
def test_spectra_that_came_to_nothing_make_the_study_partial(measurement, inputs):
    """Sent but refused, unreadable or poor spectra leave the study partial, with the reason."""
    results = mega.analysis(measurement, **inputs).results
    assert results.status is Status.PARTIAL
    lines = [line for line in results.reasons if line.startswith("mrs: ")]
    assert lines
    assert all(reason in " ".join(lines) for reason in results.mrs.reasons)
    assert len(set(results.reasons)) == len(results.reasons)


def test_poor_spectra_make_the_study_partial(poor):
    """A failed gate of the spectra leaves the study partial, with the sentence of the gate."""
    assert poor.status is Status.PARTIAL
    assert any(line.startswith("mrs: ") and "19.3 Hz" in line for line in poor.reasons)


def test_good_spectra_leave_the_study_complete(both):
    """A study with both arms is complete and lists no reason."""
    assert (both.status, both.reasons) == (Status.COMPLETE, ())


def test_spectra_alone_make_a_partial_study_with_numbers():
    """Without any CEST image the spectra are still quantified, and the study is partial."""
    results = mega.analysis_of_spectra_only().results
    assert results.status is Status.PARTIAL
    assert results.mrs.status == "ok"
    assert results.lateralization.call is Call.INDETERMINATE


def test_spectroscopy_can_be_switched_off():
    """Switched off, nothing is computed, the reason says so, and the study stays complete."""
    settings = AnalysisSettings(spectroscopy=SpectroscopySettings(enabled=False))
    results = mega.analysis(settings=settings).results
    assert results.status is Status.COMPLETE
    assert "switched off" in results.mrs.reasons[0]


def test_poor_quality_stores_numbers_not_for_use(poor):
    """With a failed gate the numbers stay, marked, with the reasons; the composite goes."""
    tree = poor.to_json()
    block = tree["mrs"]
    assert block["status"] == "not_for_use"
    assert block["usable"] is False
    assert block["gaba_cr"]["value"] == 0.211
    assert block["qc"]["verdict"] == "fail"
    assert any("19.3 Hz, at most 14" in reason for reason in block["reasons"])
    assert tree["composite"]["dai_glu_gaba"] is None
    assert "19.3 Hz" in tree["composite"]["reasons"]["dai_glu_gaba"]


def test_a_warning_passes_with_its_reason():
    """A value between warning and failure passes, and its sentence stands among the reasons."""
    warned = mega.mega_analysis(result_changes={"gates": mega.gates(water_fwhm=13.0)})
    qc = tree_of(warned)["mrs"]["qc"]
    assert (qc["verdict"], qc["worst"]) == ("pass", "warn")
    assert any("13 Hz" in reason for reason in qc["reasons"])


def test_quality_numbers_come_from_their_gates():
    """Widths, SNR, drift and transients of the block are what the gates measured."""
    qc = tree_of()["mrs"]["qc"]
    assert qc["water_fwhm_hz"] == 9.4
    assert qc["metabolite_fwhm_hz"] == 6.8
    assert qc["snr"] == 11.2
    assert qc["frequency_drift_hz"] == 3.1
    assert (qc["transients_used"], qc["transients_rejected"]) == (194, 6)
    assert qc["reasons"] == []


def test_what_averages_cannot_tell_has_a_reason():
    """For averages drift, water and transients are null, each with a sentence that says why."""
    qc = tree_of(mega.averaged_analysis())["mrs"]["qc"]
    for name in ("water_fwhm_hz", "frequency_drift_hz", "transients_used"):
        assert qc[name] is None
    text = " ".join(qc["reasons"])
    for words in ("water peak could not be measured", "frequency could not", "sent averages"):
        assert words in text


def test_gates_of_the_spectra_never_withhold_the_call(alone, poor):
    """Failed spectra stand among the gates of the study, and the GluCEST call is unchanged."""
    assert alone.lateralization.call is Call.LEFT
    assert poor.lateralization == alone.lateralization
    scopes = {gate.scope for gate in poor.quality if gate.verdict is Verdict.FAIL}
    assert scopes == {MRS_SCOPE}
    assert poor.glucest_quality == alone.quality


@given(x=st.floats(5.0, 80.0), y=st.floats(-90.0, 90.0), z=st.floats(-80.0, 80.0))
def test_mirrored_voxels_have_opposite_sides(x, y, z):
    """A centre at positive x in LPS is the patient's left, and its mirror image the right."""
    sides = [voxel_side(mega.voxel(np.array([sign * x, y, z])), ())[0] for sign in (1.0, -1.0)]
    assert sides == [Side.LEFT, Side.RIGHT]


@pytest.mark.parametrize("x", [0.0, 4.9, -4.9, math.nan])
def test_a_voxel_at_the_midline_has_no_side(x):
    """Within 5 mm of the midline, or without a number, there is no side but a note."""
    side, note = voxel_side(mega.voxel(np.array([x, 10.0, -20.0])), ())
    assert side is None
    assert "not known" in note


def test_spectra_without_place_have_no_side():
    """Without geometry the side is None, a note says so, and the ratios stay."""
    found = spectra_only(mega.mega_analysis(), mega=mega.series(None)).result
    assert found.side is None
    assert found.usable
    assert any("state no place" in note for note in found.notes)


@pytest.mark.parametrize("side", list(Side))
def test_the_side_agrees_with_the_regions(side):
    """A voxel on the hippocampus of one side has that side."""
    sign = 1.0 if side is Side.LEFT else -1.0
    regions = build.regions(build.coronal_grid())
    found, _ = voxel_side(mega.voxel(np.array([sign * 27.0, 0.0, -10.0])), regions)
    assert found is side


def test_a_voxel_nearer_to_the_other_hippocampus_has_no_side():
    """Where place and regions contradict each other, no side is stated and the note says why."""
    grid = build.coronal_grid()
    shifted = grid.affine.copy()
    shifted[0, 3] += 40.0
    moved = replace(grid, affine=shifted)
    regions = tuple(replace(one, grid=moved) for one in build.regions(grid))
    side, note = voxel_side(mega.voxel(np.array([12.0, 0.0, -10.0])), regions)
    assert side is None
    assert "nearer to the right hippocampus" in note


def test_regions_of_another_frame_do_not_contradict_the_place():
    """A region whose frame of reference differs from the voxel's says nothing of its side."""
    grid = build.coronal_grid()
    shifted = grid.affine.copy()
    shifted[0, 3] += 40.0
    moved = replace(grid, affine=shifted)
    regions = tuple(replace(one, grid=moved) for one in build.regions(grid))
    place = mega.voxel(np.array([12.0, 0.0, -10.0]))
    assert voxel_side(replace(place, frame_of_reference_uid=build.FRAME_UID), regions)[0] is None
    assert voxel_side(replace(place, frame_of_reference_uid="1.2.3"), regions)[0] is Side.LEFT


@pytest.mark.parametrize("line", [None, ("mrs_mega", NO_SPECTRA)])
def test_no_spectra_are_no_fault_of_the_study(line):
    """Whether the readers note the absence or not, it is not counted as spectra that were lost."""
    found = spectra_only(None, mega=None, missing=() if line is None else (line,)).result
    assert not found.sent
    assert found.shortfall == ()


def test_one_hippocampus_alone_decides_nothing():
    """With regions of one side only the place of the voxel alone gives the side."""
    regions = tuple(
        one
        for one in build.regions(build.coronal_grid())
        if one.side is Side.RIGHT and one.structure is Structure.HIPPOCAMPUS
    )
    assert voxel_side(mega.voxel(), regions)[0] is Side.LEFT


def test_the_composite_is_that_of_the_onset_side(both):
    """With a left voxel and a stated left onset DAIglu_GABA is DAIglu_H over GABA+/Cr."""
    index = both.asymmetry.indices["dai_glu_h"]
    assert both.composite.dai_glu_gaba.value == pytest.approx(index.value / 0.1623)
    assert both.composite.reason is None


INDEX = {"dai_glu_h": Estimate(value=0.05, standard_error=0.01)}


@pytest.mark.parametrize(
    ("measurement", "inputs", "indices", "onset", "words"),
    [
        (mega.mega_analysis(), {}, INDEX, None, "was not stated"),
        (mega.mega_analysis(), {}, INDEX, Side.RIGHT, "the voxel lies on the left"),
        (mega.mega_analysis(), {"mega": mega.series(None)}, INDEX, Side.LEFT, "is unknown"),
        (mega.mega_analysis(), {"mega": None}, INDEX, Side.LEFT, "no MEGA-PRESS series was found"),
        (mega.mega_analysis(), {}, {"dai_glu_h": None}, Side.LEFT, "it needs dai_glu_h"),
        (NumericalError("ON is OFF"), {}, INDEX, Side.LEFT, "ON is OFF"),
        (mega.failed_analysis(), {}, INDEX, Side.LEFT, "at most 14 was expected"),
    ],
)
def test_without_all_that_it_needs_there_is_no_composite(
    measurement, inputs, indices, onset, words
):
    """No onset, another side, no side, no or poor spectra or no index: none, with its reason."""
    found = combine(indices, spectra_only(measurement, **inputs).result, onset)
    assert found.dai_glu_gaba is None
    assert words in found.reason


def test_a_gaba_lost_in_noise_gives_no_composite():
    """A GABA+/Cr within three standard errors of zero gives a reason in place of a quotient."""
    weak = mega.mega_analysis(result_changes={"gaba_cr": Estimate(value=0.05, standard_error=0.02)})
    found = combine(INDEX, spectra_only(weak).result, Side.LEFT)
    assert found.dai_glu_gaba is None
    assert "standard errors above zero" in found.reason


def test_the_reporting_table_says_what_the_header_said():
    """The MRSinMRS table holds sequence, timing, voxel and place as they were in the header."""
    rows = tree_of()["mrs"]["protocol"]
    assert rows["acquisition_timing"] == "TE 72 ms, TR 3000 ms"
    assert rows["acquisition_editing"] == "ON 1.9 ppm, OFF 7.5 ppm"
    assert rows["acquisition_voxel"] == "15.0 x 35.0 x 15.0 mm (7.9 mL)"
    assert rows["acquisition_place"] == "centre 27.0 L, 12.0 P, 20.0 F mm"
    assert rows["hardware_frequency"] == "1H 212.900 MHz (5.00 T)"


def test_what_the_header_does_not_say_is_not_invented():
    """Without geometry, editing and timing in the header the table has None for them."""
    bare = replace(
        mega.PROTOCOL,
        echo_time_ms=None,
        repetition_time_ms=None,
        edit_on_ppm=None,
        sequence_name="",
        manufacturer="",
        model="",
    )
    study = mega.series(None, protocol=bare, averages=None)
    rows = tree_of(mega=study)["mrs"]["protocol"]
    absent = {key for key, value in rows.items() if value is None}
    assert absent == {
        *("hardware_scanner", "acquisition_sequence", "acquisition_editing", "acquisition_timing"),
        *("acquisition_voxel", "acquisition_place", "acquisition_content"),
        "acquisition_averages",
    }


def test_the_share_of_the_hippocampus_is_that_of_the_voxels_side():
    """A hippocampus that fills the upper half of the voxel's height is half of what it holds."""
    grid = axial_grid((40, 60, 60), (1.5, 1.5, 1.5))
    half = (40.0, 40.0, 40.0)
    regions = tuple(
        box_region(grid, Structure.HIPPOCAMPUS, side, (x, 12.0, z), half)
        for side, x, z in ((Side.LEFT, 41.0, 20.0), (Side.RIGHT, -41.0, -200.0))
    )
    place = mega.voxel(np.array([27.0, 12.0, -20.0]), tilt_degrees=0.0)
    found = spectra_only(mega.mega_analysis(), mega=mega.series(voxel=place), regions=regions)
    assert found.result.side is Side.LEFT
    assert found.result.place.hippocampus == pytest.approx(0.5, abs=0.06)
    rows = {one.key: one.value for one in found.result.protocol}
    assert re.fullmatch(r"(4[5-9]|5[0-5]) % hippocampus", rows["acquisition_content"])


def test_without_a_region_of_its_side_the_share_is_not_known():
    """Regions of the other side, on a single slice or absent leave the share unknown."""
    thick = build.regions(build.coronal_grid())
    for regions in ((), thick, tuple(one for one in thick if one.side is Side.RIGHT)):
        found = spectra_only(mega.mega_analysis(), regions=regions).result
        assert found.place.hippocampus is None
