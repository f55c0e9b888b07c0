"""The conformance statement: current, whole, and true to what is sent and accepted."""

import re
from pathlib import Path

import pydicom
import pytest

from cestle.cli.app import run
from cestle.config.templates import TemplateFolder
from cestle.net.contexts import ACCEPTED_STORAGE, REPORT_CLASSES
from cestle.service.conformance import sample_objects, statement_text

STATEMENT = Path(__file__).parents[2] / "deploy" / "conformance-statement.md"
SECTIONS = [
    *("1 Overview", "1.1 Content and transfer", "1.2 DIMSE services", "1.3 DICOM web services"),
    *("1.4 Media services", "1.5 Real-time video", "1.6 De-identification profiles"),
    *("1.7 Specific character sets", "2 Table of contents", "3 Introduction"),
    *("4 Implementation model", "5 Services and interoperability", "6 Configuration"),
    *("7 Network communication", "8 Security", "Annex A Information objects"),
    *("Annex B Structured reports", "Annex C Security details"),
    *("Annex D Mapping of attributes", "Annex E Codes"),
]


@pytest.fixture(scope="module")
def sample():
    """The objects that the statement is read from."""
    return sample_objects(TemplateFolder.default())


@pytest.fixture(scope="module")
def made(sample):
    """The statement as the program makes it now."""
    return statement_text(TemplateFolder.default(), sample=sample)


def test_the_statement_is_current(made):
    """The file is what ``cestle export conformance-statement`` writes; run it when this fails."""
    assert STATEMENT.read_text(encoding="utf-8") == made


def test_the_statement_has_the_sections_of_annex_n_in_order(made):
    """All parts of PS3.2 Annex N are there, in its order."""
    headings = [line.lstrip("# ") for line in made.splitlines() if line.startswith("#")]
    places = [headings.index(section) for section in SECTIONS]
    assert places == sorted(places)


def test_every_object_as_sent_is_declared(made, whole_set):
    """SOP class, transfer syntax, implementation and root attributes of each object are stated."""
    annex = made[made.index("## Annex A") :]
    for path in whole_set.all_files():
        dataset = pydicom.dcmread(path)
        assert dataset.SOPClassUID in made
        assert dataset.file_meta.TransferSyntaxUID.name in made
        assert dataset.file_meta.ImplementationClassUID in made
        stated = set(re.findall(r"\w+", annex))
        missing = {element.keyword for element in dataset} - stated
        # What a received study has and the study of the statement has not.
        assert missing <= {"IssuerOfPatientID", "PatientAge", "ReferencedRequestSequence"}, path


def test_what_the_listener_accepts_is_declared(made):
    """Each accepted class and each class of the report stands in the statement."""
    for uid in (*(one.uid for one in ACCEPTED_STORAGE), *REPORT_CLASSES.values()):
        assert f"| {uid} |" in made or f"({uid})" in made


def test_private_codes_as_used_are_declared(made, whole_set):
    """Every private code in an object stands in the table of codes."""
    from cestle.dicom.standard import nested_elements

    used = set()
    for path in whole_set.all_files():
        for element in nested_elements(pydicom.dcmread(path)):
            if element.keyword == "CodingSchemeDesignator" and element.value == "99CESTLE":
                used.add(element.value)
    assert used == {"99CESTLE"}
    report = str(whole_set.read("report").to_json())
    for code in re.findall(r'"Value": \["([A-Z0-9]{4,16})"\]', report):
        if f"| 99CESTLE | {code} |" in made:
            used.add(code)
    assert {"GLUCEST", "DAIGLUHEPI", "LATCALL", "GABACR"} <= used


def test_a_site_is_spoken_of_by_its_own_values(tmp_path, capsys, sample, monkeypatch):
    """With a configuration the statement names its titles and ports, and the file is written."""
    lines = [
        *('[node]\nae_title = "SITE_NODE"\nport = 4242', "[[peers]]"),
        *('ae_title = "SCANNER"\nhosts = ["10.1.2.3"]', "[[destinations]]", 'name = "a"'),
        'ae_title = "ARCHIVE"\nhost = "archive.example"\nport = 104',
    ]
    monkeypatch.setattr("cestle.service.conformance.sample_objects", lambda _: sample)
    (tmp_path / "node.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "statement.md"
    command = ["export", "conformance-statement", str(out), "--config"]
    assert run([*command, str(tmp_path / "node.toml")]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text(encoding="utf-8")
    for line in ("| node.ae_title | SITE_NODE |", "| peers[0].hosts | 10.1.2.3 |"):
        assert line in text
    assert "| destinations[0].ae_title | ARCHIVE |" in text


def test_a_changed_fact_makes_the_statement_stale(made, sample, tmp_path):
    """Another description of a series gives another statement, so the check is alive."""
    relative = "objects/series.yaml"
    shipped = TemplateFolder.default().path(relative).read_text(encoding="utf-8")
    (tmp_path / "objects").mkdir()
    (tmp_path / relative).write_text(shipped.replace("GluCEST report", "Our report"), "utf-8")
    site = TemplateFolder.default(tmp_path)
    assert statement_text(site, sample=sample) != made
