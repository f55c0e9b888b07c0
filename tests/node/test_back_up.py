"""The back-up note of deploy/operating.md, done as it says, while the node works."""

import shutil
import sqlite3

import pytest

from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.node import Node
from cestle.service.status import list_studies
from cestle.spool.audit import AuditTrail, verify
from cestle.spool.database import Database
from node.rig import (
    ROOT,
    FakeCompute,
    node_config,
    store,
    wait_until,
    when_quiet,
    write_instance,
)

pytestmark = pytest.mark.peer


def back_up(data, target):
    """The steps of the note: the journal by SQLite itself, then the files; nothing else."""
    target.mkdir(mode=0o700)
    journal = sqlite3.connect(f"file:{data}/journal.sqlite3?mode=ro", uri=True)
    journal.execute("VACUUM INTO ?", (str(target / "journal.sqlite3"),))
    journal.close()
    for folder in ("spool", "results"):
        shutil.copytree(data / folder, target / folder, ignore=shutil.ignore_patterns("tmp"))


def states(config):
    """State of each study by its last number."""
    return {int(one.study_instance_uid.split(".")[-1]): one.state for one in list_studies(config)}


def send(node, folder, study, *numbers):
    files = [write_instance(folder / f"in{study}", one, study=f"{ROOT}.{study}") for one in numbers]
    sent = store(node.port, files)
    assert sent.returncode == 0, sent.stderr


def test_a_node_from_a_copy_goes_on(tmp_path):
    """Copied with one study done, one computing and one arriving, all three end in the copy."""
    compute = FakeCompute(tmp_path / "compute")

    def node_of(config):
        return Node(config, compute_command=compute.command, assess=when_quiet(1.0))

    with PacsStandIn(tmp_path / "pacs") as pacs:
        destinations = [("pacs", "PACS", pacs.port)]
        config = node_config(tmp_path, destinations=destinations)
        with node_of(config) as node:
            send(node, tmp_path, 1, 1, 2)
            wait_until(lambda: states(config).get(1) == "done", what="the first study")
            compute.mode(pause=60)
            send(node, tmp_path, 2, 1, 2)
            wait_until(lambda: states(config).get(2) == "computing", what="the second study")
            send(node, tmp_path, 3, 1)
            back_up(config.node.data_dir, tmp_path / "copy")
            # What comes after the copy is not in it: only whoever sent it can send it again.
            send(node, tmp_path, 3, 2)
        shutil.rmtree(config.node.data_dir)
        compute.mode()
        before = len(pacs.arrivals)

        restored = node_config(tmp_path, destinations=destinations, data_dir="copy")
        with node_of(restored) as node:
            wait_until(
                lambda: states(restored) == {1: "done", 2: "done", 3: "done"},
                seconds=60.0,
                what="all studies",
            )
            received = {
                int(one.study_instance_uid.split(".")[-1]): one.instances
                for one in list_studies(restored)
            }
            assert received == {1: 2, 2: 2, 3: 1}
            send(node, tmp_path, 3, 2)
            wait_until(
                lambda: max(len(one.revisions) for one in list_studies(restored)) == 2,
                what="the late instance",
            )
            wait_until(lambda: states(restored)[3] == "done", what="its revision")
        assert len(pacs.arrivals) == before + 6, "study 1 is not sent again, the others once"
        assert len(set(pacs.arrivals)) == len(pacs.arrivals)
    database = Database(tmp_path / "copy" / "journal.sqlite3")
    assert verify(AuditTrail(database).entries()) > 10
    database.close()
