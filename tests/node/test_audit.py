"""The audit trail: complete, in a chain, and safe against a database that is away."""

import functools
import json
import os
import pwd
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.cli.app import run
from cestle.config.options import StudyOptions
from cestle.errors import InputError, SpoolError
from cestle.net.observer import Caller
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.heartbeat import read_heartbeats
from cestle.service.node import Node
from cestle.service.operate import Wish, reprocess, retry
from cestle.service.receiver_watch import ReceiverWatch
from cestle.service.status import list_studies
from cestle.spool.audit import (
    GENESIS,
    MEANINGS,
    AuditEntry,
    AuditEvent,
    AuditNote,
    AuditTrail,
    verify,
)
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

STUDY = f"{ROOT}.1"


@pytest.fixture
def trail(database_place):
    database = Database(database_place)
    yield AuditTrail(database)
    database.close()


def fill(trail, number=5):
    for one in range(number):
        note = AuditNote(event=AuditEvent.TRAIL_READ, actor="x", detail={"number": one})
        trail.add(note, now=1.0e9 + one / 7.0)


def test_entries_follow_one_another(trail):
    """Numbers count from 1, each entry names the one before, and the head is the last."""
    assert trail.head().hash == GENESIS
    fill(trail)
    entries = tuple(trail.entries())
    assert [one.seq for one in entries] == [1, 2, 3, 4, 5]
    assert entries[0].previous == GENESIS
    assert verify(entries) == 5
    assert trail.head().hash == entries[-1].hash
    assert verify(entries, noted=entries[2].hash) == 5
    assert [one.seq for one in trail.entries(entries[3].time)] == [4, 5]
    assert entries[0].time == "2001-09-09T01:46:40.000000+00:00"


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_change_breaks_the_chain(data):
    """Whichever field of whichever entry is changed, and whichever entry goes, is named."""
    entries = list(_chain(6))
    at = data.draw(st.integers(0, 5))
    field = data.draw(st.sampled_from([*AuditEntry.__dataclass_fields__, "removed"]))
    if field == "removed":
        del entries[at]
        if at == 5:  # cut off at the end: seen only by who noted the head
            assert verify(entries) == 5
            with pytest.raises(InputError, match="none of the 5 entries"):
                verify(entries, noted=list(_chain(6))[-1].hash)
            return
        expected = at + 1
    else:
        old = getattr(entries[at], field)
        new = old + 1 if isinstance(old, int) else old + "x"
        entries[at] = AuditEntry(**{**_fields(entries[at]), field: new})
        expected = at + 1
    with pytest.raises(InputError, match=f"broken at entry {expected}:"):
        verify(entries)


def _fields(entry):
    return {name: getattr(entry, name) for name in AuditEntry.__dataclass_fields__}


@functools.cache
def _chain(number):
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "chain.sqlite3")
        trail = AuditTrail(database)
        fill(trail, number)
        entries = tuple(trail.entries())
        database.close()
    return entries


def test_codes_are_those_of_the_standard():
    """Every event has a code of PS3.16 whose meaning is that of pydicom's own dictionary."""
    from pydicom.sr.codedict import codes

    known = {
        code.value: code.meaning
        for code in (getattr(codes.DCM, name) for name in codes.DCM.dir())
        if code.value.startswith("1101")
    }
    for value, meaning in MEANINGS.items():
        assert known[value] == meaning
    for event in AuditEvent:
        assert event.value[0] in MEANINGS


def audit(file, *options):
    """Exit code of `cestle audit`, and what it says."""
    # Not by capsys: the engine keeps the stream that it finds when a node starts.
    with redirect_stdout(StringIO()) as said, redirect_stderr(said):
        code = run(["audit", "--config", str(file), *options])
    return code, said.getvalue()


@pytest.mark.peer
def test_the_life_of_a_study_is_written_down(tmp_path):
    """Who did what: each step of a study, a refusal, a person's wish; and the commands read it."""
    compute = FakeCompute(tmp_path / "compute")
    me = pwd.getpwuid(os.getuid()).pw_name
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        with Node(config, compute_command=compute.command, assess=when_quiet()) as node:
            files = [write_instance(tmp_path / "in", one) for one in (1, 2, 3)]
            assert store(node.port, files, calling="ROGUE").returncode != 0
            assert store(node.port, files).returncode == 0
            wait_until(lambda: list_studies(config)[0].state == "done", what="the study")
            compute.mode(exit=2, reason="spoilt")
            reprocess(config, STUDY, Wish(reason="again", options=StudyOptions(onset_side="left")))
            wait_until(lambda: list_studies(config)[0].state == "parked", what="the parking")
            retry(config, STUDY)
    file = tmp_path / "node.toml"
    code, said = audit(file, "--json")
    assert code == 0
    found = [json.loads(line) for line in said.splitlines()]
    steps = [one["event"] for one in found]
    assert steps[:2] == ["listener_started", "node_started"]
    assert steps[-3:] == ["listener_stopped", "node_stopped", "trail_read"]
    by_event = {one["event"]: one for one in found}
    received = by_event["instances_received"]
    assert (received["actor"], received["source"]) == ("SCANNER", "127.0.0.1")
    assert received["study"] == STUDY
    assert received["detail"]["instances"] == 3
    assert steps.count("instances_received") == 1, "one entry for an association and study"
    assert by_event["association_refused"]["actor"] == "ROGUE"
    assert by_event["association_refused"]["code"] == "110113"
    asked = [one for one in found if one["event"] == "work_asked_for"]
    assert [one["actor"] for one in asked] == [me, me]
    assert asked[0]["detail"] == {"what": "revision", "why": "asked for: again"}
    made = [one for one in found if one["event"] == "results_made"]
    assert made[0]["outcome"] == 0
    assert made[1]["outcome"] == 8
    assert made[1]["detail"]["reason"] == "spoilt"
    sent = by_event["delivery_ended"]
    assert (sent["detail"]["destination"], sent["outcome"]) == ("pacs", 0)

    code, said = audit(file, "--verify")
    assert code == 0
    assert "none changed or removed" in said
    assert audit(file, "--head", found[4]["hash"])[0] == 0
    code, said = audit(file, "--head", "0" * 64)
    assert code == 2
    assert "has the noted hash" in said
    assert audit(file, "--since", "yesterday")[0] == 2

    database = Database(config.node.data_dir / "journal.sqlite3")
    with database.transaction() as change:
        change("UPDATE audit SET actor = 'SCANNER' WHERE seq = ?", found[4]["seq"])
        change("UPDATE audit SET outcome = 4 WHERE seq = ?", found[4]["seq"])
    database.close()
    code, said = audit(file, "--verify")
    assert code == 2
    assert f"broken at entry {found[4]['seq']}:" in said


class BrokenTrail:
    """A trail whose database is away until it is mended."""

    def __init__(self):
        self.broken = True
        self.kept = []

    def add(self, note, *, now):
        """Keep an entry, or fail as the database does."""
        if self.broken:
            raise SpoolError("the journal cannot be written (away)")
        self.kept.append((note, now))


def test_a_trail_that_cannot_be_written_loses_nothing(tmp_path):
    """Entries wait with the time of what happened, are counted, and are written when it can be."""
    trail = BrokenTrail()
    watch = ReceiverWatch(trail, tmp_path)
    before = time.time()
    watch.start(lambda: (True, 104, 0))
    try:
        caller = Caller(calling="SCANNER", called="CESTLE", address="127.0.0.1")
        watch.ended(caller, {"1.2.3": 4}, released=True)
        wait_until(
            lambda: [one.audit_pending for one in read_heartbeats(tmp_path)] == [2],
            what="the count",
        )
        broken_until = time.time()
        trail.broken = False
        wait_until(lambda: len(trail.kept) == 2, what="the entries")
    finally:
        watch.stop()
    events = [note.event for note, _ in trail.kept]
    assert events == [
        *(AuditEvent.LISTENER_STARTED, AuditEvent.INSTANCES_RECEIVED),
        AuditEvent.LISTENER_STOPPED,
    ]
    assert before <= trail.kept[1][1] <= broken_until
    assert [one.audit_pending for one in read_heartbeats(tmp_path)] == [0]


def test_many_refusals_are_few_entries(tmp_path):
    """A flood of refused callers is counted one by one and written down together."""
    trail = BrokenTrail()
    trail.broken = False
    watch = ReceiverWatch(trail, tmp_path)
    watch.start(lambda: (True, 104, 0))
    for number in range(1000):
        watch.turned_away(Caller(address="10.0.0.1"), "unknown_address")
        watch.turned_away(Caller(calling=f"X{number}", address="10.0.0.2"), "calling_title")
    watch.stop()
    refused = [note for note, _ in trail.kept if note.event is AuditEvent.ASSOCIATION_REFUSED]
    assert len(refused) < 250
    assert sum(note.detail["times"] for note in refused) == 2000
    [beat] = read_heartbeats(tmp_path)
    assert beat.refused == {"unknown_address": 1000, "calling_title": 1000}
