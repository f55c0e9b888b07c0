"""What is finished and old is removed; what is not stays; repeats of the old are known."""

import os

import pytest

from cestle.errors import InputError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.layout import DataFolder
from cestle.service.node import Node
from cestle.service.operate import Step, Wish, reprocess, retry
from cestle.service.status import study_status
from cestle.spool.audit import AuditTrail
from node.rig import (
    ROOT,
    node_config,
    store,
    wait_until,
    when_quiet,
    write_instance,
)
from node.test_node_loop import QUICK, STUDY

pytestmark = pytest.mark.peer
SECOND = 1 / 86_400


def configured(folder, pacs, days):
    return node_config(
        folder,
        destinations=[("pacs", "PACS", pacs.port)],
        extra=f"[retention]\nspool_days = {days}\nresults_days = {days}\n"
        f"quarantine_days = {days}\n",
    )


def test_old_studies_are_removed_and_their_repeats_known(tmp_path, compute, monkeypatch):
    """Done: removed, with a trace. Parked: kept. Sent again: nothing, until a person asks."""
    monkeypatch.setattr("cestle.service.cleaning._PAUSE_SECONDS", 0.2)
    monkeypatch.setattr("cestle.service.cleaning.Cleaning.pause_s", 0.2)
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = configured(tmp_path, pacs, 0.0)
        data = config.node.data_dir

        def node_with(settings):
            return Node(
                settings,
                compute_command=compute.command,
                assess=when_quiet(),
                compute_pauses=QUICK,
            )

        good = [write_instance(tmp_path / "in", one) for one in (1, 2)]
        bad = write_instance(tmp_path / "bad", 1, study=f"{ROOT}.2")
        with node_with(config) as node:
            compute.mode(exit=2, reason="unusable")
            assert store(node.port, [bad]).returncode == 0
            wait_until(lambda: study_status(config, f"{ROOT}.2").state == "parked", what="parked")
            compute.mode()
            assert store(node.port, good).returncode == 0
            wait_until(lambda: study_status(config, STUDY).state == "done", what="done")
            waste = data / "spool" / "quarantine" / "x.bin"
            waste.write_bytes(b"x")
            os.utime(waste, (1.0, 1.0))
        assert len(list(data.glob("spool/instances/*/*.dcm"))) == 3, "0 days keep for ever"

        brief = configured(tmp_path, pacs, SECOND)
        with node_with(brief) as node:
            cleaned = wait_until(
                lambda: (
                    (found := study_status(brief, STUDY)).cleaned
                    and found.revisions[0].cleaned
                    and found
                ),
                what="the cleaning",
            )
            assert (cleaned.state, cleaned.instances, cleaned.cleaned) == ("done", 0, 2)
            assert cleaned.revisions[0].folder is None
            kept = list(data.glob("spool/instances/*/*.dcm"))
            assert [file.parent.name for file in kept] == [f"{ROOT}.2"]
            assert not list(data.glob(f"results/{STUDY}/*"))
            assert not waste.exists()
            with DataFolder.existing(brief).open_database() as database:
                removed = [
                    (one.study, one.to_json()["detail"]["what"])
                    for one in AuditTrail(database).entries()
                    if one.event == "study_deleted"
                ]
            assert sorted(removed) == [(STUDY, "received instances"), (STUDY, "results")]
            with pytest.raises(InputError, match="removed by age"):
                retry(brief, STUDY, step=Step.DELIVER)

        with node_with(config) as node:
            # Again, as a PACS that is searched through sends it: known, no second result.
            assert store(node.port, good[:1]).returncode == 0
            again = study_status(config, STUDY)
            assert (again.state, again.instances, again.cleaned) == ("done", 1, 1)
            # Something new: no result from a part of the study.
            assert store(node.port, [write_instance(tmp_path / "in", 3)]).returncode == 0
            waits = wait_until(
                lambda: "removed by age" in (one := study_status(config, STUDY)).reason and one,
                what="the note",
            )
            assert waits.state == "collecting"
            assert "1 instances" in waits.reason
            assert store(node.port, good[1:]).returncode == 0
            wait_until(
                lambda: (
                    (one := study_status(config, STUDY)).state == "done" and len(one.revisions) == 2
                ),
                what="the revision",
            )
            assert len(compute.calls[-1]["files"]) == 3
            assert compute.calls[-1]["predecessor"] is None
            reprocess(config, STUDY, Wish(reason="once more"))
            wait_until(
                lambda: "once more" in study_status(config, STUDY).revisions[1].repeated,
                what="the same once more",
            )


def test_a_crash_while_cleaning_leaves_nothing_behind(tmp_path):
    """Files whose rows were marked are removed by the next start, not set aside."""
    from cestle.service.receiver import Reception
    from cestle.spool.database import Database
    from cestle.spool.retention import Retention
    from node.test_identity import record

    config = node_config(tmp_path)
    receiver = Reception(config)
    receiver.open()
    receiver.close()
    data = config.node.data_dir
    database = Database(data / "journal.sqlite3")
    record(database)
    file = data / "spool" / "instances" / "1.2.3" / "x.dcm"
    file.parent.mkdir()
    file.write_bytes(b"x")
    retention = Retention(database)
    assert retention.take_instances("1.2.3", 0.5, now=3.0) == [], "touched since"
    with database.transaction() as run:
        run("UPDATE studies SET collecting = 0")
    assert retention.take_instances("1.2.3", 2.0, now=3.0) == ["1.2.3/x.dcm"]
    receiver = Reception(config)
    receiver.open()
    receiver.close()
    database.close()
    assert not file.exists()
    assert not list((data / "spool" / "quarantine").iterdir())
