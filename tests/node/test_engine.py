"""The durable engine: repeats, pauses, restarts."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.engine.durable import DurableEngine
from cestle.engine.jobs import Ending, JobKind, Pauses
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
def engine(tmp_path):
    engine = DurableEngine(tmp_path / "engine.sqlite3", polling_s=0.02)
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


def test_nothing_is_pickled_and_commits_are_synchronous(engine, tmp_path):
    """The engine's database is in WAL mode and holds its payloads as JSON."""
    recorder = Recorder([])
    engine.start([recorder.kind()])
    engine.submit("work", "k", {"study": "1.2.3"})
    wait_until(lambda: recorder.payloads and not engine.holds("k"))
    database = sqlite3.connect(tmp_path / "engine.sqlite3")
    journal_mode = database.execute("PRAGMA journal_mode").fetchone()
    held = "\n".join(database.iterdump())
    database.close()
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

engine = DurableEngine(folder / "engine.sqlite3", polling_s=0.02)
engine.start([JobKind(name="work", attempt=attempt, give_up=print,
                      pauses=lambda _: Pauses(first_s=1, longest_s=1, total_s=1))])
if sys.argv[2] == "hang":
    engine.submit("work", "k", {"n": 7})
time.sleep(60)
"""


def test_a_killed_worker_takes_its_job_up_again(tmp_path):
    """A job that was running when its process got SIGKILL runs to its end after a restart."""
    script = tmp_path / "worker.py"
    script.write_text(textwrap.dedent(KILLED))
    for mode, file in (("hang", "begun"), ("finish", "done")):
        worker = subprocess.Popen([sys.executable, str(script), str(tmp_path), mode])
        try:
            wait_until((tmp_path / file).exists, what=file)
        finally:
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait(10)
    assert (tmp_path / "done").read_text() == "7"
    assert (tmp_path / "begun").read_text() == "xx"
