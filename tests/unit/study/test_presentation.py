"""What the colour page says."""

import re
from dataclasses import replace

import pytest

from cestle.cest.uncertainty import ErrorBudget
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.gates import Gate, Verdict
from cestle.measurement import Side, Structure
from cestle.render.content import Light
from cestle.study.confidence import Confidence
from cestle.study.presentation import (
    BannerPolicy,
    PatientBanner,
    banner_lines,
    build_page,
    field_contents,
    readable,
    signed,
)
from cestle.study.quality import LIMITS
from cestle.study.volumes import VOLUME_INDICES, VolumeResult
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega

PATIENT = PatientBanner(
    name="Zhang San", patient_id="TLE-0042", birth_date="19900229", sex="F", study_date="2026-11-20"
)


@pytest.fixture(scope="module")
def presentation():
    return load_template_set(TemplateFolder.default()).presentation


@pytest.mark.parametrize(
    ("policy", "shown", "hidden"),
    [
        (BannerPolicy.FULL, ("Zhang San", "TLE-0042", "19900229"), ()),
        (BannerPolicy.ID_ONLY, ("TLE-0042",), ("Zhang", "1990")),
        (BannerPolicy.INITIALS, ("Z.S.", "TLE-0042"), ("Zhang", "1990")),
        (BannerPolicy.NONE, (), ("Zhang", "TLE", "1990")),
    ],
)
def test_the_banner_says_what_the_policy_allows(presentation, policy, shown, hidden):
    """Each policy shows its parts of the patient and none of the others, and always the study."""
    lines = " ".join(banner_lines(PATIENT, replace(presentation, banner_policy=policy), 1))
    assert "2026-11-20" in lines
    assert all(part in lines for part in shown)
    assert not any(part in lines for part in hidden)


def test_the_shipped_banner_shows_the_id_only(presentation):
    """The default policy keeps the name out of the pixels."""
    assert presentation.banner_policy is BannerPolicy.ID_ONLY


def test_rule_score_and_margin_stand_on_the_page(presentation):
    """The call states the rule with its cut-off, the score and its distance to the cut-off."""
    analysis = build.analysis()
    call = build_page(analysis, presentation, PATIENT).call
    result = analysis.results.lateralization
    assert call.side is Side.LEFT
    assert call.facts[0].startswith("rule: DAI(epi) hippocampus > 0.0026")
    assert call.facts[0].endswith("as published: left")
    assert signed(result.score, 4) in call.facts[1]
    assert signed(result.score - 0.0026, 4) in call.facts[1]


def test_index_row_has_value_and_95_percent_interval(presentation):
    """The interval of an index is its value ± 1.96 standard errors."""
    analysis = build.analysis()
    row = build_page(analysis, presentation, PATIENT).indices.rows[0]
    index = analysis.results.asymmetry.indices["dai_glu_h_epi"]
    assert row.interval == pytest.approx(
        (
            index.value - 1.959964 * index.standard_error,
            index.value + 1.959964 * index.standard_error,
        )
    )
    assert signed(row.interval[0], 3) in row.text
    assert signed(row.interval[1], 3) in row.text


def test_published_controls_lie_behind_the_hippocampus(presentation):
    """The band is 0.020 ± 0.051, the published mean and standard deviation of controls."""
    reference = build_page(build.analysis(), presentation, PATIENT).indices.rows[0].reference
    assert reference.centre == pytest.approx(0.020)
    assert (reference.low, reference.high) == pytest.approx((0.020 - 0.051, 0.020 + 0.051))


def test_rows_stand_in_image_order(presentation):
    """The right row stands before the left one, as right lies left of left in the picture."""
    rows = build_page(build.analysis(), presentation, PATIENT).rows
    assert [row.side for row in rows] == [Side.RIGHT, Side.LEFT] * 2


def test_an_absent_region_says_why(presentation):
    """A region that was not sent has one cell with the reason, and no number."""
    absent = ((Structure.AMYGDALA, Side.LEFT),)
    page = build_page(build.analysis(absent=absent), presentation, PATIENT)
    assert len(page.rows[3].cells) == 1
    assert "no region was sent" in page.rows[3].cells[0]
    assert any("amygdala" in line for line in page.missing.lines)


def test_a_study_without_map_says_why(presentation):
    """Without CEST images there is no picture, the reason is there, the call is indeterminate."""
    page = build_page(build.analysis_without_map(), presentation, PATIENT)
    assert page.picture is None
    assert "7 of 8 CEST images" in page.no_picture.lines[0]
    assert page.call.side is None
    assert page.call.headline == "INDETERMINATE"


def test_spectroscopy_is_said_to_be_absent(presentation):
    """The page says that MRS was not assessed."""
    page = build_page(build.analysis(), presentation, PATIENT)
    assert any("MRS not assessed" in line for line in page.missing.lines)


def test_the_vendor_route_names_itself(presentation):
    """A page from the scanner's own map says that its algorithm is not known."""
    page = build_page(build.vendor_analysis(), presentation, PATIENT)
    assert "algorithm is not known" in page.methods.lines[0]
    assert page.indices.rows[0].interval is None


def test_field_pictures_follow_the_inputs(presentation):
    """There is a B0 and a B1 picture with field maps, and none without."""
    assert set(field_contents(build.analysis(), presentation)) == {"b0", "b1"}
    assert field_contents(build.analysis_without_map(), presentation) == {}


@pytest.mark.parametrize(
    "absent",
    [
        (),
        ((Structure.HIPPOCAMPUS, Side.LEFT),),
        ((Structure.AMYGDALA, Side.RIGHT), (Structure.HIPPOCAMPUS, Side.RIGHT)),
    ],
)
def test_people_read_words_where_programs_read_names(presentation, absent):
    """No sentence of the page holds a name of results.json such as dai_glu_h_epi."""
    page = build_page(build.analysis(absent=absent), presentation, PATIENT)
    sentences = [*page.call.facts, *page.call.reasons, *page.missing.lines]
    sentences += [row.cells[0] for row in page.rows if len(row.cells) == 1]
    assert not [one for one in sentences if re.search(r"\b[a-z0-9]+_[a-z0-9_]+\b", one)]
    assert "DAI(epi) hippocampus > 0.0026" in page.call.facts[0]


def test_a_study_without_map_explains_itself_in_words(presentation):
    """The reasons in place of the picture name the B0 map, not b0_map."""
    page = build_page(build.analysis_without_map(), presentation, PATIENT)
    assert not [one for one in page.no_picture.lines if re.search(r"\b[a-z0-9]+_[a-z]", one)]


def test_file_names_are_no_machine_names(presentation):
    """Words inside a path or a rule's name stay as they are."""
    sentence = "roi: name the file with --roi; see classify/b0_map.yaml, rule jupiter_b0_map."
    wanted = "Regions: name the file with --roi; see classify/b0_map.yaml, rule jupiter_b0_map."
    assert readable(sentence, presentation.texts) == wanted


def test_poor_gates_come_first_and_name_value_limit_and_action(presentation):
    """A study with a failed gate shows the word fail and the gate's own sentence."""
    analysis = build.analysis()
    poor = Gate(
        name="snr", scope="hippocampus_left", value=15.0, verdict=Verdict.FAIL, limits=LIMITS["snr"]
    )
    fair = Gate(
        name="voxels",
        scope="amygdala_left",
        value=20.0,
        verdict=Verdict.WARN,
        limits=LIMITS["voxels"],
    )
    results = replace(analysis.results, quality=(fair, poor))
    block = build_page(replace(analysis, results=results), presentation, PATIENT).quality
    assert block.light is Light.FAIL
    gates = [line for line in block.lines if line.startswith("•")]
    assert "left hippocampus" in gates[0]
    assert "at least 20 was expected" in gates[0]
    assert "left amygdala" in gates[1]


def test_the_error_of_the_index_is_split_by_cause(presentation):
    """The page gives the five terms of the deciding index with three decimals."""
    analysis = build.analysis()
    budget = ErrorBudget(noise=0.005, b0_map=0.001, b1=None, motion=0.002, partial_volume=0.014)
    confidence = Confidence(budgets={"dai_glu_h_epi": budget})
    results = replace(analysis.results, confidence=confidence)
    block = build_page(replace(analysis, results=results), presentation, PATIENT).quality
    assert (
        "noise 0.005, B0 map 0.001, B1 –, motion 0.002; place of the region 0.014"
        in (block.lines[-1])
    )


def test_without_a_score_the_bare_rule_is_not_on_the_cutoff(presentation):
    """Nothing was measured, so nothing lies on the limit."""
    absent = [(Structure.HIPPOCAMPUS, Side.LEFT)]
    call = build_page(build.analysis(absent=absent), presentation, PATIENT).call
    assert "on the cut-off" not in call.facts[0]
    assert "not available" in call.facts[0]


def volumes_page(presentation, litres):
    """The page of hippocampi of 3.0 and 4.0 ml in a head of some size, or of an unknown one."""
    analysis = build.usual_analysis()
    volumes = VolumeResult(
        hippocampus_mm3={Side.LEFT: 3000.0, Side.RIGHT: 4000.0},
        intracranial_mm3=None if litres is None else litres * 1e6,
        indices=dict.fromkeys(VOLUME_INDICES),
        reasons={} if litres else {"vol_h": "the built-in atlas is turned off"},
    )
    results = replace(analysis.results, volumes=volumes)
    return build_page(replace(analysis, results=results), presentation, PATIENT)


def test_the_share_of_the_head_names_its_method(presentation):
    """3.0 and 4.0 ml: the mean over 1.5 l is 0.233 %, below the table, not among the methods."""
    page = volumes_page(presentation, 1.5)
    assert page.volumes == (
        "Hippocampi L 3.00, R 4.00 ml · DAI(epi) – · Vol_H 0.233 % of 1.50 l (atlas scaling)"
    )
    assert "Vol_H" not in page.methods.lines[0]


def test_a_share_of_the_head_that_is_absent_says_why(presentation):
    """The line says that there is none, the methods say why."""
    page = volumes_page(presentation, None)
    assert page.volumes.endswith("Vol_H not available")
    assert "Vol_H not available: the built-in atlas is turned off." in page.methods.lines[0]
    assert build_page(build.usual_analysis(), presentation, PATIENT).volumes == ""


@pytest.mark.parametrize(
    ("changes", "shown"),
    [({}, True), ({"spacing_mm": 6.0}, False), ({"frame_uid": "1.2.3.4"}, False), (None, False)],
)
def test_a_thin_t1_is_shown_beside_the_average(presentation, changes, shown):
    """Not one of 6 mm beside slices of 11 mm, nor one whose place is not known, nor none."""
    anatomy = None if changes is None else mega.anatomy(**changes)
    page = build_page(build.analysis(anatomy=anatomy), presentation, PATIENT)
    thin = page.picture.thin
    assert (thin is not None) is shown
    if shown:
        assert thin.shape == tuple(4 * count for count in page.picture.grid.shape[1:])
        assert page.pair_captions == ("T1, averaged over 11 mm", "T1, middle plane")
