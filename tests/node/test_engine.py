"""The durable engine: repeats, pauses, restarts."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.engine.durable import DurableEngine
from cestle.engine.jobs import Ending, JobKind, Pauses
from cestle.engine.takeover import Takeover
from cestle.errors import SpoolError
from node.rig import wait_until

QUICK = Pauses(first_s=0.05, longest_s=0.1, total_s=0.3)


@given(st.floats(0.1, 10), st.floats(1, 100), st.floats(1, 1000))
def test_pauses_grow_and_end(first, longest, total):
    """Pauses never shrink, never pass the longest, and end before the total is passed."""
    pauses = Pauses(first_s=first, longest_s=longest, total_s=total)
    waited, before, count = 0.0, 0.0, 1
    while (pause := pauses.after(count)) is not None:
        assert before <= pause <= longest
        waited, before, count = waited + pause, pause, count + 1
    assert waited <= total * (1 + 1e-9)


class Recorder:
    """A kind of job that answers from a list and records its calls."""

    def __init__(self, endings):
        self.endings = list(endings)
        self.payloads = []
        self.given_up = []

    def attempt(self, payload):
        """Record a call and give the next answer."""
        self.payloads.append(dict(payload))
        return self.endings.pop(0) if self.endings else Ending.DONE

    def kind(self, name="work"):
        """The kind of job that records here."""
        return JobKind(
            name=name,
            attempt=self.attempt,
            give_up=lambda payload: self.given_up.append(dict(payload)),
            pauses=lambda _: QUICK,
        )


@pytest.fixture
def engine(database_place):
    engine = DurableEngine(database_place, polling_s=0.02)
    yield engine
    engine.stop()


def test_a_key_runs_once(engine):
    """A key that is submitted again does not run again."""
    recorder = Recorder([])
    engine.start([recorder.kind()])
    for _ in range(3):
        engine.submit("work", "1.2:r1", {"study": "1.2", "revision": 1})
    wait_until(lambda: recorder.payloads and not engine.holds("1.2:r1"))
    assert recorder.payloads == [{"study": "1.2", "revision": 1}]


def test_again_is_tried_again_then_given_up(engine):
    """A job that always fails is tried a few times, then given up once."""
    recorder = Recorder([Ending.AGAIN] * 100)
    engine.start([recorder.kind()])
    engine.submit("work", "k", {"a": 1})
    wait_until(lambda: recorder.given_up)
    # 0.05 + 0.1 + 0.1 s fit into the total of 0.3 s: four attempts.
    assert len(recorder.payloads) == 4
    assert recorder.given_up == [{"a": 1}]
    wait_until(lambda: not engine.holds("k"))


def test_an_interrupted_job_goes_on_without_counting_as_failure(engine):
    """An interrupted attempt is continued at once and is no failure."""
    recorder = Recorder([Ending.INTERRUPTED] * 6)
    engine.start([recorder.kind()])
    engine.submit("work", "k", {})
    wait_until(lambda: len(recorder.payloads) == 7 and not engine.holds("k"))
    assert recorder.given_up == []


def test_what_the_machine_caused_is_repeated_without_end(engine, monkeypatch):
    """An attempt that is put off counts as no failure, however often it happens."""
    monkeypatch.setattr("cestle.engine.durable._LATER_SECONDS", 0.01)
    recorder = Recorder([Ending.LATER] * 8)
    engine.start([recorder.kind()])
    engine.submit("work", "k", {})
    wait_until(lambda: len(recorder.payloads) == 9 and not engine.holds("k"))
    assert recorder.given_up == []


def test_nothing_is_pickled_and_commits_are_synchronous(tmp_path):
    """The engine's database is in WAL mode and holds its payloads as JSON."""
    engine = DurableEngine(tmp_path / "engine.sqlite3", polling_s=0.02)
    recorder = Recorder([])
    engine.start([recorder.kind()])
    engine.submit("work", "k", {"study": "1.2.3"})
    wait_until(lambda: recorder.payloads and not engine.holds("k"))
    database = sqlite3.connect(tmp_path / "engine.sqlite3")
    journal_mode = database.execute("PRAGMA journal_mode").fetchone()
    held = "\n".join(database.iterdump())
    database.close()
    engine.stop()
    assert journal_mode == ("wal",)
    assert '"study":"1.2.3"' in held.replace(" ", "")
    assert "py_pickle" not in held


KILLED = """
import sys, time
from pathlib import Path
from cestle.engine.durable import DurableEngine
from cestle.engine.jobs import Ending, JobKind, Pauses

folder = Path(sys.argv[1])

def attempt(payload):
    with (folder / "begun").open("a") as log:
        log.write("x")
    if sys.argv[2] == "hang":
        time.sleep(60)
    (folder / "done").write_text(str(payload["n"]))
    return Ending.DONE

place = sys.argv[3] if "://" in sys.argv[3] else Path(sys.argv[3])
engine = DurableEngine(place, executor_id=sys.argv[4], polling_s=0.02, grace_s=1.0)
engine.start([JobKind(name="work", attempt=attempt, give_up=print,
                      pauses=lambda _: Pauses(first_s=1, longest_s=1, total_s=1))])
if sys.argv[2] == "hang":
    engine.submit("work", "k", {"n": 7})
time.sleep(60)
"""


def run_and_kill(folder, place, mode, file, *, name="worker"):
    """Run a worker until `file` is there, then kill it."""
    script = folder / "worker.py"
    script.write_text(textwrap.dedent(KILLED))
    worker = subprocess.Popen([sys.executable, str(script), str(folder), mode, str(place), name])
    try:
        wait_until((folder / file).exists, what=file)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait(10)


def test_a_killed_worker_takes_its_job_up_again(tmp_path, database_place):
    """A job that was running when its process got SIGKILL runs to its end after a restart."""
    run_and_kill(tmp_path, database_place, "hang", "begun")
    run_and_kill(tmp_path, database_place, "finish", "done")
    assert (tmp_path / "done").read_text() == "7"
    assert (tmp_path / "begun").read_text() == "xx"


def test_another_worker_takes_over_from_a_dead_one(tmp_path, postgres):
    """Under another name too a worker finishes what one left that died."""
    place = postgres.fresh()
    run_and_kill(tmp_path, place, "hang", "begun", name="first")
    run_and_kill(tmp_path, place, "finish", "done", name="second")
    assert (tmp_path / "begun").read_text() == "xx"


def test_a_living_worker_keeps_its_work_and_its_name(tmp_path, postgres, monkeypatch):
    """Nobody takes over from a worker that lives, and none can call itself the same."""
    place = postgres.fresh()
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(KILLED))
    arguments = [sys.executable, str(script), str(tmp_path), "hang", place, "first"]
    worker = subprocess.Popen(arguments)
    engine = DurableEngine(place, executor_id="second", polling_s=0.02, grace_s=0.5)
    try:
        wait_until((tmp_path / "begun").exists)
        recorder = Recorder([])
        engine.start([recorder.kind()])
        time.sleep(2.0)
        assert recorder.payloads == []
        monkeypatch.setattr("cestle.engine.takeover._CLAIM_SECONDS", 0.5)
        with pytest.raises(SpoolError, match="worker_name"):
            Takeover(place, "first").claim_name()
    finally:
        worker.kill()
        worker.wait(10)
        wait_until(lambda: recorder.payloads, what="the work of the dead worker")
        engine.stop()
    assert recorder.payloads == [{"n": 7}]


def test_a_restart_of_the_database_costs_nothing(postgres):
    """Workers go on after PostgreSQL was stopped hard and started again."""
    engine = DurableEngine(postgres.fresh(), polling_s=0.02)
    recorder = Recorder([Ending.AGAIN])
    engine.start([recorder.kind()])
    try:
        engine.submit("work", "before", {"n": 1})
        wait_until(lambda: not engine.holds("before"))
        postgres.restart(3)
        engine.submit("work", "after", {"n": 2})
        wait_until(lambda: {"n": 2} in recorder.payloads, what="the job after the restart")
    finally:
        engine.stop()
