"""What the pictures say of the spectra."""

import re
from dataclasses import replace

import numpy as np
import pytest

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.gates import Verdict
from cestle.measurement import Side
from cestle.render.content import Light
from cestle.study.mrs_page import build_mrs_page
from cestle.study.mrs_presentation import spectra_panel
from cestle.study.presentation import PatientBanner, build_page
from phantoms import mega_builder as mega

PATIENT = PatientBanner(patient_id="TLE-0042", study_date="2026-11-20")


@pytest.fixture(scope="module")
def presentation():
    return load_template_set(TemplateFolder.default()).presentation


def panel_of(presentation, measured=None, **inputs):
    """The panel of a study of spectra alone."""
    study = mega.analysis_of_spectra_only(measured, **inputs)
    return spectra_panel(study, presentation.texts, presentation.edited_ppm)


def page_of(presentation, measured=None, **inputs):
    """The page of the spectra of such a study."""
    study = mega.analysis_of_spectra_only(measured, **inputs)
    return build_mrs_page(study, presentation, PATIENT)


def test_ratios_stand_with_their_standard_error(presentation):
    """GABA+/Cr and Glx/Cr are written with three decimals and their standard error."""
    rows = {row.name: row.value for row in panel_of(presentation).ratios}
    assert rows["GABA+/Cr"] == "0.162 ± 0.009"
    assert rows["Glx/Cr"] == "0.221 ± 0.013"
    assert rows["Glx/GABA+"] == "1.36 ± 0.11"
    assert rows["DAIglu_GABA"] == "–"


@pytest.mark.parametrize(
    ("centre_mm", "words"),
    [(mega.LEFT_MM, "LEFT"), (mega.RIGHT_MM, "RIGHT"), (None, "not known")],
)
def test_the_side_stands_in_the_titles(presentation, centre_mm, words):
    """Both pages name the side of the voxel, or that it is not known."""
    study = mega.series(centre_mm)
    assert words in panel_of(presentation, mega=study).title
    assert words in page_of(presentation, mega=study).title


def test_the_verdict_stands_in_words(presentation):
    """A pass is a word beside the light; failed gates are named and the panel is stamped."""
    good, poor = panel_of(presentation), panel_of(presentation, mega.failed_analysis())
    assert (good.light, good.quality_word, good.stamp) == (Light.PASS, "pass", "")
    assert (poor.light, poor.quality_word, poor.stamp) == (Light.FAIL, "fail", "NOT FOR USE")
    assert poor.notes[0] == "fail: Water FWHM, SNR of GABA+, Frequency drift"


def test_the_convention_stands_on_both_pages(presentation):
    """The panel has it in short words, the page of the spectra in full."""
    panel, page = panel_of(presentation), page_of(presentation)
    assert any("not halved" in note for note in panel.notes)
    assert mega.result().convention in page.method.lines


def test_a_site_s_own_convention_is_not_replaced_by_a_translation(presentation):
    """A convention that the texts do not translate is shown as it stands."""
    own = mega.mega_analysis(result_changes={"convention": "ratios of this site"})
    page = build_mrs_page(mega.analysis_of_spectra_only(own), presentation, PATIENT)
    assert page.method.lines[0] == "ratios of this site"


def test_only_the_areas_of_the_ratios_are_filled(presentation):
    """GABA+ at 3.0, Glx at 3.75 and creatine at 3.03 ppm are filled, Glx at 2.3 ppm is not."""
    page = page_of(presentation)
    for spectrum, expected in (
        (page.difference, {"GABA+": (2.8, 3.2), "Glx": (3.6, 3.9)}),
        (page.panel.off, {"tCr": (2.9, 3.15)}),
    ):
        filled = {
            one.label: spectrum.ppm[one.values != 0.0] for one in spectrum.signals if one.filled
        }
        assert set(filled) == set(expected)
        for name, (low, high) in expected.items():
            assert low <= filled[name].min() < filled[name].max() <= high


def test_the_edited_range_holds_both_signals_and_no_naa(presentation):
    """The panel shows 2.6 to 4.1 ppm, where GABA+ and Glx are not dwarfed by NAA."""
    edited = panel_of(presentation).edited
    assert edited.ppm[0] >= 2.6
    assert edited.ppm[-1] <= 4.1
    assert np.abs(edited.fit).max() < 20.0


@pytest.mark.parametrize(
    ("place", "anatomy", "words"),
    [
        (None, mega.anatomy(), "state no place"),
        (replace(mega.voxel(), edges_mm=np.zeros((3, 3))), mega.anatomy(), "state no place"),
        (mega.voxel(), None, "no T1 image"),
        (
            replace(mega.voxel(), frame_of_reference_uid="1.2.4"),
            mega.anatomy("1.2.3"),
            "different frames",
        ),
    ],
)
def test_a_voxel_that_cannot_be_shown_says_why(presentation, place, anatomy, words):
    """Without a box in space, without T1 or in another frame a sentence replaces the picture."""
    spectra = mega.series(voxel=place)
    panel = panel_of(presentation, mega=spectra, anatomy=anatomy)
    assert panel.voxel is None
    assert words in panel.voxel_text
    assert panel.voxel_text in panel.notes


def test_every_gate_stands_with_value_limits_and_verdict(presentation):
    """The 14 gates are listed with what was measured, both limits and the word."""
    rows = {row.name: row for row in page_of(presentation, mega.failed_analysis()).gates}
    assert len(rows) == 14
    water = rows["Water FWHM"]
    assert (water.value, water.limit, water.word) == ("19.3 Hz", "≤ 12 / 14", "fail")
    assert rows["SNR of GABA+"].limit == "≥ 5 / 3"
    assert rows["GABA+/Cr plausible"].limit == "≤ 0.4 / –"


def test_what_was_not_measured_says_so(presentation):
    """A gate without a value reads "not measured", never a number."""
    rows = {row.name: row for row in page_of(presentation, mega.averaged_analysis()).gates}
    assert rows["Frequency drift"].value == "not measured"


def test_both_error_bars_are_shown(presentation):
    """The interval is ± 1.96 standard errors, the second bar the range over the models."""
    row = page_of(presentation).ranges[0]
    assert row.interval == pytest.approx((0.1623 - 1.96 * 0.0094, 0.1623 + 1.96 * 0.0094), rel=1e-3)
    assert row.models == (0.139, 0.187)
    assert row.published == (0.186, 0.135, 0.237)


def test_research_values_stand_beside_each_other(presentation):
    """Other definitions stand in two columns, and what cannot be separated says so."""
    rows = {row[0]: row[1:] for row in page_of(presentation).research}
    assert rows["half difference"] == ("0.081 ± 0.005", "0.111 ± 0.007")
    assert rows["choices of model"] == ("0.139 – 0.187", "0.209 – 0.236")
    assert rows["macromolecules in GABA+"] == ("not separable",)


def test_what_the_header_does_not_say_reads_not_stated(presentation):
    """An absent statement of the MRSinMRS table is written as such."""
    bare = mega.series(protocol=replace(mega.PROTOCOL, sequence_name=""))
    rows = dict(page_of(presentation, mega=bare).protocol)
    assert rows["Sequence"] == "not stated"
    assert rows["Timing"] == "TE 72 ms, TR 3000 ms"


def test_the_drift_shows_every_transient(presentation):
    """All 200 transients are drawn in order with their state, the six rejected ones marked."""
    drift = page_of(presentation).drift
    assert len(drift.frequency_hz) == 200
    assert np.flatnonzero(drift.rejected).tolist() == [17, 18, 60, 61, 140, 141]
    assert drift.on[0]
    assert not drift.on[1]


def test_poor_gates_come_before_decisions(presentation):
    """The notes begin with the sentences of failed gates."""
    notes = page_of(presentation, mega.failed_analysis()).notes.lines
    assert "19.3 Hz, at most 14 was expected" in notes[0]


def test_people_read_words_where_programs_read_names(presentation):
    """No sentence of the page of the spectra holds a machine name such as water_fwhm."""
    page = page_of(presentation, mega.failed_analysis())
    sentences = [*page.notes.lines, *(row.name for row in page.gates), *page.panel.notes]
    sentences += [name for name, _ in page.protocol]
    assert not [one for one in sentences if re.search(r"\b[a-z0-9]+_[a-z0-9_]+\b", one)]


def test_quality_of_the_spectra_does_not_colour_the_glucest_light(presentation):
    """With failed spectra the light of the GluCEST page is that of its own gates."""
    study = mega.analysis(mega.failed_analysis())
    page = build_page(study, presentation, PATIENT)
    assert page.quality.light is not Light.FAIL
    assert page.spectra.light is Light.FAIL
    assert Verdict.FAIL in {gate.verdict for gate in study.results.quality}


def test_the_composite_stands_among_the_ratios(presentation):
    """With all that it needs DAIglu_GABA has a value, otherwise its reason is on the page."""
    known = build_page(mega.analysis(onset_side=Side.LEFT), presentation, PATIENT)
    assert re.fullmatch(r"0\.\d\d ± 0\.\d\d", known.spectra.ratios[-1].value)
    unknown = build_page(mega.analysis(), presentation, PATIENT)
    assert unknown.spectra.ratios[-1].value == "–"
    assert any("onset, which was not stated" in line for line in unknown.missing.lines)
