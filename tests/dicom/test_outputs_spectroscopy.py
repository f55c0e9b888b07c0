"""Spectroscopy in the objects that go to the PACS, read back independently of the writers."""

from datetime import datetime
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.coding import ascii_text
from cestle.dicom.identity import OutputIdentity
from cestle.dicom.outputs import build_outputs, build_pictures, write_outputs
from cestle.dicom.report import value_at
from cestle.dicom.report_reader import read_report
from cestle.dicom.report_spectroscopy import NOT_FOR_USE, gate_text, parse_gate
from cestle.errors import NumericalError
from cestle.measurement import Side
from cestle.study.analysis import AnalysisSettings
from cestle.study.spectroscopy import SpectroscopySettings
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega
from phantoms.source_builder import sources, spectra_sources

CREATED = datetime(2026, 11, 23, 8, 30, 5)  # noqa: DTZ001  wall clock of the site
TEMPLATES = load_template_set(TemplateFolder.default())
CODES = TEMPLATES.codes
LEFT, RIGHT = "7771000", "24028007"
RATIOS = ("GABACR", "GLXCR", "GLXGABA")


def received():
    """Headers of images and spectra."""
    return sources() | spectra_sources()


def objects_of(analysis, headers=None):
    """All objects of an analysis."""
    identity = OutputIdentity(origin="test", revision=1, created=CREATED)
    return build_outputs(analysis, headers or received(), TEMPLATES, identity).objects


def written(folder, analysis, headers=None):
    """Write the objects, and read the first of each product back."""
    records = write_outputs(objects_of(analysis, headers), folder / "dicom")
    return {one.product: folder / one.path for one in records}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A whole study with good spectra and a stated onset: analysis and paths."""
    analysis = mega.analysis(anatomy=mega.anatomy(), onset_side=Side.LEFT)
    return analysis, written(tmp_path_factory.mktemp("both"), analysis)


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """A study whose spectra failed their gates, voxel on the right."""
    analysis = mega.analysis(mega.failed_analysis(), centre_mm=mega.RIGHT_MM)
    return analysis, written(tmp_path_factory.mktemp("poor"), analysis)


def group_of(path):
    """The measurement group of spectroscopy, found by its finding."""
    report = pydicom.dcmread(path)
    container = next(
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    )
    return next(
        group
        for group in container.ContentSequence
        if any(
            item.ValueType == "CODE" and item.ConceptCodeSequence[0].CodeValue == "MRSVOI"
            for item in group.ContentSequence
        )
    )


def numbers_of(group):
    """NUM items of a group by code value."""
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def evaluations_of(group):
    """Coded evaluations of a group: code value by concept."""
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item.ConceptCodeSequence[0].CodeValue
        for item in group.ContentSequence
        if item.ValueType == "CODE"
    }


def test_the_page_of_the_spectra_stands_before_the_report(both):
    """A study with spectra gives a second Secondary Capture, in a series of its own."""
    _, paths = both
    assert list(paths) == [
        *("glucest_map", "segmentation", "secondary_capture", "mrs_page"),
        "report",
    ]
    first, second = (pydicom.dcmread(paths[name]) for name in ("secondary_capture", "mrs_page"))
    assert first.SOPClassUID == second.SOPClassUID
    assert first.SeriesInstanceUID != second.SeriesInstanceUID
    assert second.SeriesNumber == 9005
    assert second.BurnedInAnnotation == "YES"
    assert second.ContentQualification == "RESEARCH"


def test_without_numbers_there_is_no_page_of_the_spectra(tmp_path):
    """A study without spectra, or with refused ones, has one Secondary Capture."""
    for k, analysis in enumerate((build.analysis(), mega.analysis(NumericalError("no signal")))):
        assert "mrs_page" not in written(tmp_path / str(k), analysis)


def test_the_picture_is_the_capture(both):
    """``mrs.png`` has the pixels of the second Secondary Capture and stands after the page."""
    analysis, paths = both
    pictures = dict(build_pictures(analysis, objects_of(analysis), TEMPLATES))
    assert list(pictures)[:2] == ["page.png", "mrs.png"]
    png = np.asarray(Image.open(BytesIO(pictures["mrs.png"])))
    np.testing.assert_array_equal(png, pydicom.dcmread(paths["mrs_page"]).pixel_array)


@pytest.mark.parametrize(
    ("centre_mm", "side"), [(mega.LEFT_MM, LEFT), (mega.RIGHT_MM, RIGHT), (None, None)]
)
def test_the_side_of_the_voxel_is_the_laterality_of_the_site(tmp_path, centre_mm, side):
    """The site is the hippocampus with the side of the voxel, and without one where unknown."""
    analysis = mega.analysis_of_spectra_only(mega=mega.series(centre_mm))
    group = group_of(written(tmp_path, analysis, spectra_sources())["report"])
    site = next(
        item
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007"
    )
    assert site.ConceptCodeSequence[0].CodeValue == "5366008"
    stated = [item.ConceptCodeSequence[0].CodeValue for item in site.get("ContentSequence", [])]
    assert stated == ([] if side is None else [side])


def test_ratios_have_no_units_and_full_precision(both):
    """GABA+/Cr, Glx/Cr and their quotient are pure numbers with the values of the results."""
    analysis, paths = both
    numbers, result = numbers_of(group_of(paths["report"])), analysis.results.mrs.numbers
    for code, estimate in zip(
        RATIOS, (result.gaba_cr, result.glx_cr, result.glx_gaba), strict=True
    ):
        measured = numbers[code].MeasuredValueSequence[0]
        assert measured.FloatingPointValue == estimate.value
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "1"
        error = numbers[f"{code}SE"].MeasuredValueSequence[0]
        assert error.FloatingPointValue == estimate.standard_error
        assert "NumericValueQualifierCodeSequence" not in numbers[code]


def test_the_definition_stands_below_the_number(both):
    """Convention, model and basis are children of each ratio and texts of the group."""
    analysis, paths = both
    group, result = group_of(paths["report"]), analysis.results.mrs.numbers
    for code in RATIOS:
        item = numbers_of(group)[code]
        below = " ".join(
            child.TextValue for child in item.ContentSequence if child.ValueType == "TEXT"
        )
        for said in (result.convention, result.model, result.basis):
            assert ascii_text(said) in below
    texts = [item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"]
    assert ascii_text(result.convention) in texts


def test_poor_spectra_are_marked_on_every_number(poor):
    """With a failed gate each ratio is qualified as a failed measurement, and the use denied."""
    _, paths = poor
    group = group_of(paths["report"])
    for code in (*RATIOS, *(f"{name}SE" for name in RATIOS)):
        qualifier = numbers_of(group)[code].NumericValueQualifierCodeSequence[0]
        assert (qualifier.CodeValue, qualifier.CodingSchemeDesignator) == ("114006", "DCM")
    assert evaluations_of(group)["MRSUSE"] == "NOTFORUSE"
    assert evaluations_of(group)["111050"] == "RID14"
    texts = [item.TextValue for item in group.ContentSequence if item.ValueType == "TEXT"]
    assert texts[0] == "Edited MRS - NOT FOR USE"
    assert texts[1] == ascii_text(NOT_FOR_USE)


def test_what_was_measured_of_quality_is_not_qualified(poor):
    """Widths and SNR of failed spectra are sound measurements and carry no qualifier."""
    numbers = numbers_of(group_of(poor[1]["report"]))
    assert numbers["FWHMWATER"].MeasuredValueSequence[0].FloatingPointValue == 19.3
    assert numbers["FWHMWATER"].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue
    assert "NumericValueQualifierCodeSequence" not in numbers["FWHMWATER"]


def test_quality_of_the_spectra_is_not_that_of_the_call(poor):
    """The assessment in the group of the call follows the GluCEST gates alone."""
    analysis, paths = poor
    report = pydicom.dcmread(paths["report"])
    call = next(
        group
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in item.ContentSequence
        if any(
            one.ConceptNameCodeSequence[0].CodeValue == "LATCALL" for one in group.ContentSequence
        )
    )
    assert evaluations_of(call)["111050"] != "RID14"
    assert analysis.results.to_json()["quality"]["verdict"] == "fail"


def test_spectra_are_referred_to_and_are_evidence(both):
    """The group names one object of the spectroscopy series, and all of them are evidence."""
    _, paths = both
    report = pydicom.dcmread(paths["report"])
    spectra = spectra_sources()["mrs_mega"]
    (named,) = [item for item in group_of(paths["report"]).ContentSequence if _is_composite(item)]
    reference = named.ReferencedSOPSequence[0]
    assert reference.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.4.2"
    assert reference.ReferencedSOPInstanceUID == spectra[0].SOPInstanceUID
    evidence = {
        item.ReferencedSOPInstanceUID
        for studies in report.CurrentRequestedProcedureEvidenceSequence
        for series in studies.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert {one.SOPInstanceUID for one in spectra} <= evidence


def _is_composite(item):
    return item.ValueType == "COMPOSITE"


def test_no_image_is_named_as_source_of_the_spectra(both):
    """The group of spectroscopy does not claim the GluCEST map as its source."""
    assert not [i for i in group_of(both[1]["report"]).ContentSequence if i.ValueType == "IMAGE"]


@pytest.mark.parametrize("kind", ["both", "poor", "averaged", "only"])
def test_the_report_says_what_the_results_say(request, tmp_path, kind):
    """Every row, gate, table line, side, mark and text comes back equal to results.json."""
    if kind in ("both", "poor"):
        analysis, paths = request.getfixturevalue(kind)
    else:
        measured = mega.averaged_analysis() if kind == "averaged" else mega.mega_analysis()
        analysis = mega.analysis_of_spectra_only(measured)
        paths = written(tmp_path, analysis, spectra_sources())
    tree = analysis.results.to_json()
    block, returned = tree["mrs"], read_report(paths["report"], CODES).spectroscopy
    rows = [*TEMPLATES.report.mrs_group.rows, *TEMPLATES.report.mrs_group.quality_rows]
    expected = {CODES.get(row.name).value: value_at(tree, row.source) for row in rows}
    assert returned.numbers == {code: v for code, v in expected.items() if v is not None}
    assert (None if returned.side is None else str(returned.side)) == block["side"]
    assert returned.usable is block["usable"]
    assert [(g.name, g.verdict, g.value) for g in returned.gates] == [
        (g["name"], g["verdict"], g["value"]) for g in block["gates"]
    ]
    assert returned.convention == ascii_text(block["convention"])
    assert (returned.model, returned.basis) == (block["model"], block["basis"])
    assert returned.protocol == {
        key: value or "not stated" for key, value in block["protocol"].items()
    }
    assert returned.notes == tuple(ascii_text(note) for note in block["notes"])
    assert bool(returned.qualified) is not block["usable"]
    for reason in block["reasons"]:
        assert ascii_text(reason) in returned.comments


def test_the_composite_has_a_group_of_its_own(both, tmp_path):
    """DAIglu_GABA stands with error and interval, and its reason code where it has no value."""
    analysis, paths = both
    composite = analysis.results.composite.dai_glu_gaba
    returned = read_report(paths["report"], CODES)
    assert returned.numbers["DAIGLUGABA"] == composite.value
    other = mega.analysis(onset_side=Side.RIGHT)
    report = pydicom.dcmread(written(tmp_path, other)["report"])
    assert "DAIGLUGABA" not in read_report(tmp_path / "dicom" / "05_report.dcm", CODES).numbers
    assert reason_codes(report) == ["NODATA", "NODATA", "VOXELELSEWHERE"]


def reason_codes(report):
    """Reason codes of what was not computed."""

    def walk(items):
        for item in items:
            yield item
            yield from walk(item.get("ContentSequence", []))

    return [
        item.ConceptCodeSequence[0].CodeValue
        for item in walk(report.ContentSequence)
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "NOTCOMPUTED"
    ]


def test_a_whole_study_is_a_complete_report(both, poor):
    """With both arms usable the document is COMPLETE, with poor spectra PARTIAL."""
    flags = [pydicom.dcmread(paths["report"]).CompletionFlag for _, paths in (both, poor)]
    assert flags == ["COMPLETE", "PARTIAL"]


@pytest.mark.parametrize(
    ("settings", "measured", "code"),
    [
        (AnalysisSettings(), NumericalError("ON and OFF cannot be told apart"), "NODATA"),
        (
            AnalysisSettings(spectroscopy=SpectroscopySettings(enabled=False)),
            None,
            "SWITCHEDOFF",
        ),
    ],
)
def test_absent_numbers_have_their_code_and_reason(tmp_path, settings, measured, code):
    """Refused or switched off, the group has no number but its code, and the reason as text."""
    analysis = mega.analysis_of_spectra_only(measured, settings=settings)
    path = written(tmp_path, analysis, spectra_sources())["report"]
    group = group_of(path)
    assert numbers_of(group) == {}
    assert evaluations_of(group)["NOTCOMPUTED"] == code
    comments = read_report(path, CODES).spectroscopy.comments
    assert comments == (f"MRS not assessed: {analysis.results.mrs.reasons[0]}",)


def test_a_gate_line_is_read_back():
    """Name, verdict and value of a gate survive its line, also where nothing was measured."""
    for gate in (*mega.gates(), *mega.gates(drift=None, water_fwhm=1.0 / 3.0)):
        line = parse_gate(gate_text(gate))
        assert (line.name, line.verdict, line.value) == (gate.name, gate.verdict, gate.value)
    assert parse_gate("a comment: of a person") is None


def test_text_inside_sequences_is_ascii(tmp_path):
    """Notes and header words in Chinese leave no character beyond ASCII inside a sequence."""
    words = mega.PROTOCOL.__class__(
        **{**mega.PROTOCOL.__dict__, "sequence_name": "编辑序列", "manufacturer": "联影"}
    )
    analysis = mega.analysis_of_spectra_only(mega=mega.series(protocol=words))

    def nested(dataset):
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    yield from item
                    yield from nested(item)

    for path in written(tmp_path, analysis, spectra_sources()).values():
        for element in nested(pydicom.dcmread(path)):
            if element.VR not in ("SQ", "OB", "OW"):
                assert str(element.value).isascii(), element.keyword
