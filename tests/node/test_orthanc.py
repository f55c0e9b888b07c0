"""Orthanc as the PACS: it takes what the node sends, and finds it again."""

import json
import subprocess

import pytest

from cestle.errors import DeliveryError
from cestle.service.node import Node
from cestle.service.operate import echo
from cestle.service.status import list_studies
from node.rig import (
    FakeCompute,
    free_port,
    need_program,
    node_config,
    run_dcmtk,
    store,
    wait_until,
    when_quiet,
    write_instance,
)

pytestmark = pytest.mark.peer


@pytest.fixture
def orthanc(tmp_path):
    program = need_program("Orthanc")
    port = free_port()
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "DicomAet": "PACS",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "RemoteAccessAllowed": False,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowEcho": False,
        "UnknownSopClassAccepted": False,
        "OverwriteInstances": False,
        "DicomModalities": {
            "node": {
                "AET": "CESTLE",
                "Host": "127.0.0.1",
                "Port": 1,
                "AllowEcho": True,
                "AllowStore": True,
                "AllowFind": True,
            },
        },
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    process = subprocess.Popen(
        [program, str(tmp_path / "orthanc.json")],
        env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/usr/sbin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield port
    process.terminate()
    process.wait(30)


def test_orthanc_holds_the_results(tmp_path, orthanc):
    """All objects of a study are delivered to Orthanc, and C-FIND finds their series."""
    config = node_config(tmp_path, destinations=[("pacs", "PACS", orthanc)])

    def answers():
        try:
            return echo(config, "pacs")
        except DeliveryError:
            return None

    wait_until(answers, what="Orthanc")
    compute = FakeCompute(tmp_path / "compute")
    with Node(config, compute_command=compute.command, assess=when_quiet()) as node:
        assert store(node.port, [write_instance(tmp_path / "in")]).returncode == 0
        study = wait_until(
            lambda: next((one for one in list_studies(config) if one.state == "done"), None),
            what="the delivery",
        )
    assert study.revisions[0].deliveries[0].sent == 2
    found = run_dcmtk(
        "findscu",
        "-S",
        "-aet",
        "CESTLE",
        "-aec",
        "PACS",
        "127.0.0.1",
        orthanc,
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        f"StudyInstanceUID={study.study_instance_uid}",
        "-k",
        "NumberOfStudyRelatedInstances",
    )
    assert "[2" in found.stderr + found.stdout
