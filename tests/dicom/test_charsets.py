"""Character sets: what a scanner wrote arrives, and no character is ever replaced."""

from dataclasses import replace

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.coding import ascii_text
from cestle.dicom.outputs import build_outputs
from cestle.dicom.standard import nested_elements
from cestle.dicom.study_header import CHARACTER_SETS
from cestle.errors import ConformanceError
from phantoms import analysis_builder as build
from phantoms.output_sets import WrittenSet, everything, identity
from phantoms.source_builder import CHINESE_NAME, sources

SHIPPED = load_template_set(TemplateFolder.default())
TEXT = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}


def texts(dataset):
    """All texts of a data set, nested ones included."""
    return [str(e.value) for e in (*dataset, *nested_elements(dataset)) if e.VR in TEXT]


@pytest.mark.parametrize(
    ("charset", "name", "description"),
    [
        ("ISO_IR 192", CHINESE_NAME, "头颅平扫"),
        ("GB18030", CHINESE_NAME, "头颅平扫"),
        ("GBK", CHINESE_NAME, "头颅平扫"),
        ("ISO_IR 100", "Müller^José", "Schädel"),
        (None, "Zhang^San", "Head"),
    ],
)
def test_every_character_arrives(tmp_path, charset, name, description):
    """Name and description are in every object what the scanner wrote, nothing is replaced."""
    received = sources(charset=charset, PatientName=name, StudyDescription=description)
    analysis = build.analysis_without_map()
    made = WrittenSet(tmp_path, analysis, received)
    for path in made.all_files():
        found = pydicom.dcmread(path)
        assert str(found.PatientName) == name
        assert found.StudyDescription == description
        expected = "" if charset is None else charset
        assert found.get("SpecificCharacterSet", "") == expected
        assert not any("\N{REPLACEMENT CHARACTER}" in text or "?" in text for text in texts(found))


def test_the_character_sets_of_the_statement_are_those_that_are_tested():
    """The sets named in the conformance statement are the ones that the test above goes through."""
    (mark,) = (m for m in test_every_character_arrives.pytestmark if m.name == "parametrize")
    assert {case[0] or "" for case in mark.args[1]} == set(CHARACTER_SETS)


def test_a_chinese_page_of_a_latin_study_stays_latin(tmp_path):
    """With ISO_IR 100 sources and a Chinese page, every text of the objects is ASCII English."""
    templates = load_template_set(TemplateFolder.default(), language="zh-CN")
    if templates.cjk_font is None:
        pytest.skip("no font with Chinese characters is on this machine")
    received = sources(charset="ISO_IR 100")
    made = WrittenSet(tmp_path, build.usual_analysis(), received, templates=templates)
    english = WrittenSet(tmp_path / "en", build.usual_analysis(), received, templates=SHIPPED)
    for path in made.all_files():
        assert all(text.isascii() and "?" not in text for text in texts(pydicom.dcmread(path)))
    pages = [one.read("secondary_capture").PixelData for one in (made, english)]
    assert pages[0] != pages[1]


def test_words_beyond_ascii_keep_their_code_points(tmp_path):
    """A reason with Chinese in it stands in the report with the code point of each character."""
    missing = (("roi", "文件 左.nii"),)
    analysis = build.analysis_without_map()
    results = replace(analysis.results, reasons=(*analysis.results.reasons, missing[0][1]))
    made = WrittenSet(tmp_path, replace(analysis, results=results), sources())
    assert "<U+6587><U+4EF6> <U+5DE6>.nii" in texts(made.read("report"))


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=40))
def test_ascii_text_is_printable_and_loses_nothing(text):
    """Every text becomes printable ASCII in which no character turned into a question mark."""
    found = ascii_text(text)
    assert all(" " <= character <= "~" for character in found)
    assert found.count("?") == text.count("?")


def test_texts_without_an_ascii_form_differ_after_folding():
    """Two different Chinese words are different after folding."""
    assert ascii_text("左") != ascii_text("右")


def test_a_sequence_with_chinese_is_left_out_and_one_in_ascii_copied(tmp_path):
    """A procedure code whose meaning is Chinese is not copied; in English it reaches the report."""

    def code(meaning):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "MR1", "99RJ", meaning
        return [item]

    analysis = build.analysis_without_map()
    chinese = WrittenSet(tmp_path / "zh", analysis, sources(ProcedureCodeSequence=code("头颅平扫")))
    english = WrittenSet(tmp_path / "en", analysis, sources(ProcedureCodeSequence=code("Head")))
    assert chinese.results.reasons == analysis.results.reasons
    assert "ProcedureCodeSequence" not in chinese.read("report")
    for keyword in ("ProcedureCodeSequence", "PerformedProcedureCodeSequence"):
        assert english.read("report")[keyword].value[0].CodeMeaning == "Head"


def test_the_request_is_copied(tmp_path):
    """Accession number and requested procedure of the scan stand in report and key object."""
    request = Dataset()
    request.RequestedProcedureID = "RP9"
    request.RequestedProcedureDescription = "头颅"
    analysis = build.analysis_without_map()
    made = WrittenSet(tmp_path, analysis, sources(RequestAttributesSequence=[request]))
    for product in ("report", "key_object"):
        (item,) = made.read(product).ReferencedRequestSequence
        assert (item.AccessionNumber, item.RequestedProcedureID) == ("A17", "RP9")
        assert item.RequestedProcedureDescription == ""
        assert item.StudyInstanceUID == build.STUDY_UID


def test_nothing_is_said_of_a_request_that_is_not_known(tmp_path):
    """Without accession number and request no item is made up."""
    analysis = build.analysis_without_map()
    made = WrittenSet(tmp_path, analysis, sources(AccessionNumber=""))
    assert "ReferencedRequestSequence" not in made.read("report")


def test_a_set_that_cannot_be_encoded_is_refused(monkeypatch):
    """Where no object can hold the patient's name, nothing is made, and the reason is one line."""
    from cestle.dicom import study_header

    received = sources(charset="ISO_IR 100")
    whole = study_header.study_header(received)
    whole.attributes.PatientName = "张^三"
    monkeypatch.setattr("cestle.dicom.outputs.study_header", lambda _: whole)
    with pytest.raises(ConformanceError, match="PatientName does not fit") as fault:
        build_outputs(build.analysis_without_map(), received, everything(), identity())
    assert "张" not in str(fault.value)
