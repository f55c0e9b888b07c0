"""A planted patient goes through the whole node, faults included, and is found in no message."""

import json
import struct

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.presentation import build_context

from cestle.cli.app import run
from cestle.dicom.simulated import EncodingOptions, write_study
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.status import list_studies
from node.rig import (
    MR_IMAGE,
    PLANTED,
    ROOT,
    mr_instance,
    node_config,
    store,
    wait_until,
)
from node.served import ServedNode

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:Expected explicit VR"),
]
SETTINGS = (
    "[study]\nquiet_seconds = 0.3\npartial_quiet_seconds = 0.6\n"
    '[web]\nport = 0\n[logging]\nlevel = "debug"\n'
    "[analysis]\ntissue_from_t1 = false\nregistration = false\n"
)
NAME, IDENTITY, BIRTH, ACCESSION = PLANTED


@pytest.fixture(scope="module")
def surfaces(quiet_phantom, tmp_path_factory):
    """Everything that people and machines get to read of a node, by name, and its data folder."""
    folder = tmp_path_factory.mktemp("subject")
    with PacsStandIn(folder / "pacs") as pacs:
        destinations = [("pacs", "PACS", pacs.port), ("archive", "ARCHIVE", 1)]
        config = node_config(folder, destinations=destinations, extra=SETTINGS)
        node = ServedNode(folder)
        try:
            send_everything(node, folder, quiet_phantom)
            wait_until(lambda: settled(config), seconds=120.0, what="all studies")
            pages = [node.get(page)[1] for page in ("/metrics", "/health/ready", "/health/live")]
        finally:
            assert node.end() == 0
    found = {"logs": node.log.read_text(), "pages": "\n".join(pages)}
    return found, config, folder


def send_everything(node, folder, phantom):
    """A good study, and one for each way in which a study or an instance can be wrong."""
    encoding = EncodingOptions(patient_name=NAME, patient_id=IDENTITY)
    good = write_study(phantom, folder / NAME / IDENTITY, encoding=encoding)
    for number, file in enumerate(good):
        image = pydicom.dcmread(file)
        image.PatientBirthDate, image.AccessionNumber = BIRTH, ACCESSION
        image.save_as(file)
        good[number] = file.rename(file.with_name(f"{NAME}_{ACCESSION}_{number}.dcm"))
    sent = store(node.port, good, options=["-R"])
    assert sent.returncode == 0, sent.stderr
    assert store(node.port, good[:1], calling="ROGUE").returncode != 0

    wrong = folder / "wrong"
    wrong.mkdir()
    two_patients = [mr_instance(one, study=f"{ROOT}.2") for one in (1, 2)]
    two_patients[1].PatientID = f"{IDENTITY}-2"
    text_for_number = mr_instance(1, study=f"{ROOT}.3")
    text_for_number.add_new("SliceThickness", "LO", IDENTITY)
    text_for_number.add_new("SeriesDescription", "LO", f"B0 map of {NAME}")
    for number, image in enumerate([*two_patients, text_for_number]):
        image.save_as(wrong / f"{number}.dcm", enforce_file_format=True)
    other = mr_instance(1, study=f"{ROOT}.2")
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.2.9.77"
    contradicting = wrong / "contradicting.dcm"
    other.save_as(contradicting, enforce_file_format=True)
    head, _, tail = contradicting.read_bytes().rpartition(b"9.77")
    contradicting.write_bytes(head + b"9.78" + tail)
    broken = wrong / "broken.dcm"
    mr_instance(5, study=f"{ROOT}.4").save_as(broken, enforce_file_format=True)
    content = broken.read_bytes()
    meta_end = 132 + 12 + struct.unpack("<I", content[140:144])[0]
    garbage = b"\xfe\xff\x00\xe0" + "".join(PLANTED).encode() * 8
    broken.write_bytes(content[:meta_end] + garbage)

    entity = AE(ae_title="SCANNER")
    contexts = [build_context(MR_IMAGE, ExplicitVRLittleEndian)]
    association = entity.associate("127.0.0.1", node.port, contexts=contexts, ae_title="CESTLE")
    answers = [
        association.send_c_store(file).Status
        for file in (*(wrong / f"{one}.dcm" for one in range(3)), contradicting, broken)
    ]
    association.release()
    assert answers[:3] == [0, 0, 0]
    assert answers[3] == 0xA900
    assert answers[4] == 0xC000


def settled(config):
    """Whether the good study is at one destination, and the others are set aside."""
    states = sorted(one.state for one in list_studies(config))
    return states == ["delivering", "parked", "parked"] and any(
        delivery.state == "delivered"
        for study in list_studies(config)
        for revision in study.revisions
        for delivery in revision.deliveries
    )


def test_no_message_names_the_patient(surfaces, capsys):
    """Logs, pages, status, audit, results and databases hold no name, ID, birth date, accession."""
    found, config, folder = surfaces
    file = str(folder / "node.toml")
    for command in (["status"], ["status", "--json"], ["audit"], ["audit", "--json"]):
        assert run([*command, "--config", file]) == 0
    found["commands"] = capsys.readouterr().out
    data = config.node.data_dir
    found["names"] = "\n".join(str(path.relative_to(data)) for path in data.rglob("*"))
    for path in (*data.glob("results/*/*/*.json"), *data.glob("run/*")):
        found[path.name] = path.read_text()
    for path in data.glob("*.sqlite3*"):
        found[path.name] = path.read_bytes().decode("latin-1")
    assert {"results.json", "computed.json", "request.json", "journal.sqlite3"} <= found.keys()
    assert any(name.startswith("receiver-") for name in found)
    for where, text in found.items():
        for planted in (*PLANTED, NAME.split("^")[0].lower()):
            assert planted not in text, f"{planted} in {where}"


def test_the_patient_was_really_there(surfaces):
    """The planted values are in what was received and in the results, where they belong."""
    found, config, _ = surfaces
    data = config.node.data_dir
    received = b"".join(path.read_bytes() for path in data.rglob("spool/**/*") if path.is_file())
    for planted in PLANTED:
        assert planted.encode() in received
    [report] = data.glob("results/*/r1/dicom/*report*")
    assert str(pydicom.dcmread(report).PatientName) == NAME
    assert "quarantine" in "\n".join(map(str, data.rglob("*.bin")))
    for line in found["logs"].splitlines():
        json.loads(line)
    events = {json.loads(line)["event"] for line in found["logs"].splitlines()}
    assert {
        *("instance refused", "unreadable instance kept apart", "association refused"),
        *("computing", "study parked", "delivery", "instance kept", "audit trail"),
    } <= events


def test_steps_of_the_computation_are_measured(surfaces):
    """The child's own steps reach the figures; together they last no longer than the child."""
    found, _, _ = surfaces
    lines = [line.rsplit(" ", 1) for line in found["pages"].splitlines()]
    figures = {line[0]: line[1] for line in lines if len(line) == 2}

    def step(name, what):
        return float(figures[f'cestle_step_seconds_{what}{{step="{name}"}}'])

    assert step("making", "count") == 1.0, "only the good study has results"
    assert step("computation", "count") == 3.0
    parts = [step(name, "sum") for name in ("reading", "computing", "making")]
    assert min(parts) > 0.0
    assert sum(parts) < step("computation", "sum")
