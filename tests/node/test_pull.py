"""Studies that are fetched from an archive: Orthanc and dcmqrscp as peers."""

import io
import subprocess
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest

from cestle.cli.app import run
from cestle.errors import ConfigError, DeliveryError, InputError
from cestle.service.layout import DataFolder
from cestle.service.node import Node
from cestle.service.pulling import plan_pull, pull
from cestle.service.status import study_status
from cestle.spool.audit import AuditTrail
from node import orthanc
from node.rig import (
    PLANTED,
    ROOT,
    FakeCompute,
    free_port,
    mr_instance,
    need_program,
    node_config,
    store,
    wait_until,
    when_quiet,
)

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]
STUDY = f"{ROOT}.1"


def archive_section(port, retrieve, *, title="PACS", name="pacs"):
    """Configuration of an archive on loopback that is also a peer."""
    return (
        f'[[peers]]\nae_title = "{title}"\nhosts = ["127.0.0.1"]\n'
        f'[[archives]]\nname = "{name}"\nae_title = "{title}"\nhost = "127.0.0.1"\n'
        f'port = {port}\nretrieve = "{retrieve}"\ntimeout_seconds = 10.0\n'
    )


def instances(folder):
    """Three MR images and a picture of the study, and two other studies of one patient."""
    folder.mkdir()
    picture = mr_instance(9, series=f"{STUDY}.6")
    picture.Modality = "OT"
    others = [mr_instance(1, study=f"{ROOT}.{one}") for one in (2, 3)]
    for one in others:
        one.AccessionNumber = "TWICE"
    paths = []
    for one in (*(mr_instance(number) for number in (1, 2, 3)), picture, *others):
        paths.append(folder / f"{one.SOPInstanceUID}.dcm")
        one.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Orthanc with the instances, and the port of the node that it may send to."""
    folder, port = tmp_path_factory.mktemp("archive"), free_port()
    with orthanc.running(folder, move_port=port) as pacs:
        sent = store(pacs.dicom_port, instances(folder / "in"), called="PACS", calling="CESTLE")
        assert sent.returncode == 0, sent.stderr
        yield pacs, port


@contextmanager
def node_beside(folder, port, pacs_port, retrieve):
    """A node that may fetch from an archive; the computation is a stand-in."""
    config = node_config(folder, extra=archive_section(pacs_port, retrieve), port=port)
    compute = FakeCompute(folder / "compute")
    with Node(config, compute_command=compute.command, assess=when_quiet()):
        yield config


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_a_study_is_fetched_by_its_accession_number(archive, tmp_path, retrieve):
    """The MR series comes the durable way and is processed; the number is nowhere on disk."""
    pacs, port = archive
    with node_beside(tmp_path, port, pacs.dicom_port, retrieve) as config:
        command = ["pull", "--config", str(tmp_path / "node.toml")]
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            assert run([*command, "--accession", PLANTED[3]]) == 0
        found = wait_until(
            lambda: (now := study_status(config, STUDY)).revisions and now, what="the revision"
        )
        assert found.instances == 3, "the picture is not fetched"
        # Once more: what is whole here is not fetched again, a gap is.
        assert plan_pull(config, study_instance_uid=STUDY).series == ()
        with DataFolder.existing(config).open_database() as database:
            [asked] = [
                one for one in AuditTrail(database).entries() if one.event == "archive_asked"
            ]
        assert asked.study == STUDY
        assert asked.to_json()["detail"]["series"] == 1
    assert not [part for part in PLANTED if part in out.getvalue() + err.getvalue()]
    assert out.getvalue() == f"{STUDY}\n"
    assert "3/3" in err.getvalue()
    data = tmp_path / "data"
    for file in data.rglob("*"):
        assert PLANTED[3] not in str(file)
        if file.is_file() and file.suffix != ".dcm":
            assert PLANTED[3].encode() not in file.read_bytes(), file


def test_what_is_missing_of_a_study_is_fetched(archive, tmp_path):
    """One of three images is here: the series is fetched, progress counts to its end."""
    pacs, port = archive
    with node_beside(tmp_path, port, pacs.dicom_port, "get") as config:
        first = tmp_path / "1.dcm"
        mr_instance(1).save_as(first, enforce_file_format=True)
        assert store(port, [first]).returncode == 0
        plan = plan_pull(config, study_instance_uid=STUDY)
        assert [one.instances for one in plan.series] == [3]
        told = []
        assert pull(config, plan, lambda _, now: told.append((now.done, now.remaining))) == 0
        assert told[-1] == (3, 0)
        assert study_status(config, STUDY).instances == 3


def test_questions_without_one_answer_are_refused(archive, tmp_path):
    """None, several, a wildcard, nothing at all: said with dates and UIDs, never with a name."""
    pacs, port = archive
    config = node_config(tmp_path, extra=archive_section(pacs.dicom_port, "get"), port=port)
    for number, words in (
        ("NONE", "no such study"),
        ("TWICE", rf"2 studies .* 20260102 {ROOT}\.[23] \(1 instances\)"),
        ("PLANTED*", "without wildcards"),
        ("", "either --accession or --study"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            plan_pull(config, accession=number)
        assert not [part for part in (*PLANTED, "TWICE") if part in str(caught.value)]
    with pytest.raises(ConfigError, match="expected --from with one of: pacs"):
        plan_pull(config, accession="NONE", source="elsewhere")


def test_an_archive_that_cannot_do_it_is_said(archive, tmp_path):
    """Not there; and a move to a title that the archive does not know."""
    pacs, _ = archive
    absent = node_config(tmp_path, extra=archive_section(free_port(), "get"))
    with pytest.raises(DeliveryError, match="does not answer"):
        plan_pull(absent, accession="NONE")
    stranger = node_config(
        tmp_path, extra=archive_section(pacs.dicom_port, "move"), ae_title="STRANGER"
    )
    with pytest.raises(DeliveryError, match=r"archive 'pacs'"):
        pull(stranger, plan_pull(stranger, study_instance_uid=STUDY), lambda *_: None)


@pytest.mark.parametrize("retrieve", ["move", "get"])
def test_dcmqrscp_sends_what_is_asked_for(tmp_path, retrieve):
    """A second archive of another maker, by both ways."""
    port, node_port = free_port(), free_port()
    database = tmp_path / "QR"
    database.mkdir()
    file = tmp_path / "qr.cfg"
    file.write_text(
        f"NetworkTCPPort = {port}\nMaxPDUSize = 16384\nMaxAssociations = 16\n"
        f"HostTable BEGIN\nnode = (CESTLE, 127.0.0.1, {node_port})\nHostTable END\n"
        "VendorTable BEGIN\nVendorTable END\n"
        f"AETable BEGIN\nQR {database} RW (50, 1024mb) ANY\nAETable END\n"
    )
    program = need_program("dcmqrscp")
    process = subprocess.Popen([program, "-c", str(file)], env={"TCP_NODELAY": "1"})
    try:
        sources = instances(tmp_path / "in")
        wait_until(
            lambda: store(port, sources, called="QR", calling="CESTLE").returncode == 0,
            what="dcmqrscp",
        )
        config = node_config(
            tmp_path, extra=archive_section(port, retrieve, title="QR"), port=node_port
        )
        compute = FakeCompute(tmp_path / "compute")
        with Node(config, compute_command=compute.command, assess=when_quiet()):
            plan = plan_pull(config, accession=PLANTED[3])
            assert pull(config, plan, lambda *_: None) == 0
            wait_until(lambda: study_status(config, STUDY).instances == 3, what="the images")
    finally:
        process.terminate()
        process.wait(30)
