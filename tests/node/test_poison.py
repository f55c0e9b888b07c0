"""A study that takes its computation or its worker down each time is set aside; others go on."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cestle.engine.jobs import Pauses
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.operate import retry
from cestle.service.solitude import Solitude
from cestle.service.status import study_status
from cestle.spool.database import Database
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import Event
from cestle.spool.workers import Workers
from faults.machines import Machine, wait_for_port
from node.rig import ROOT, free_port, node_config, store, wait_until, write_instance
from node.test_identity import record

pytestmark = pytest.mark.peer
QUICK = Pauses(first_s=0.1, longest_s=0.1, total_s=0.25)


@pytest.mark.parametrize("place", ["sqlite", "postgresql"])
def test_a_study_that_kills_its_worker_is_set_aside_after_three(tmp_path, compute, place, request):
    """Three workers die of it, it is set aside with the reason, and the next study is done."""
    url = request.getfixturevalue("postgres").fresh() if place == "postgresql" else ""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(
            tmp_path,
            destinations=[("pacs", "PACS", pacs.port)],
            port=free_port(),
            extra=f'[engine]\ndatabase_url = "{url}"\nworker_name = "one"\n',
        )
        compute.mode(kill_parent=True)
        machine = Machine(
            tmp_path / "node.toml", "all", compute=str(compute.folder / "fake_compute.py")
        )
        wait_for_port(machine)
        try:
            bad, good = (write_instance(tmp_path / str(n), 1, study=f"{ROOT}.{n}") for n in (1, 2))
            assert store(config.node.port, [bad]).returncode == 0

            def state(number):
                return study_status(config, f"{ROOT}.{number}").state

            wait_until(lambda: state(1) == "failed", seconds=90, what="set aside")
            assert machine.deaths == 3
            assert len(compute.calls) == 3
            reason = study_status(config, f"{ROOT}.1").reason
            assert reason == "the worker died 3 times while it was computed"
            compute.mode()
            wait_for_port(machine)
            wait_until(lambda: store(config.node.port, [good]).returncode == 0, what="a store")
            wait_until(lambda: state(2) == "done", what="the other study")
            assert retry(config, f"{ROOT}.1") == (f"{ROOT}.1",)
            wait_until(lambda: state(1) == "done", what="the retry")
            assert machine.deaths == 3
        finally:
            machine.stop()


def test_deaths_that_have_nothing_to_do_with_it_acquit_a_study(database_place):
    """A death is blamed on what was computed; each later one without it takes one off."""
    database = Database(database_place)
    journal, workers = Journal(database), Workers(database)
    record(database)
    study = journal.study("1.2.3")
    revision = journal.open_revision(
        study, inputs=journal.instances("1.2.3"), used=frozenset(), cause="x", now=2.0
    )

    def counted():
        found = journal.revision("1.2.3", 1)
        return found.deaths, found.acquittals

    workers.begin("a")
    workers.begin("a")  # died idle, before the study was ever suspected
    assert counted() == (0, 0)
    workers.computes("a", revision)
    journal.advance(revision, Event.START, now=3.0)
    workers.begin("a")
    assert counted() == (1, 0)
    workers.end("a")
    workers.begin("a")  # a stop in order is no death
    assert counted() == (1, 0)
    journal.advance(revision, Event.INTERRUPT, now=4.0)
    workers.begin("a")
    assert counted() == (1, 1)
    workers.begin("b")
    workers.computes("a", revision)
    journal.advance(revision, Event.START, now=5.0)
    workers.note_death("b")  # another worker, with something else
    assert counted() == (1, 2)
    workers.note_death("a")
    workers.note_death("a")  # told by two who noticed
    assert counted() == (2, 2)
    database.close()


def test_a_suspect_is_alone():
    """While one has to be alone nothing else runs, and those that came later wait."""
    solitude, running, most, alone = Solitude(), [], [], []
    lock = threading.Lock()

    def work(name, wants_alone):
        with solitude.kept(alone=wants_alone):
            with lock:
                running.append(name)
                most.append(len(running))
                if wants_alone or "suspect" in running:
                    alone.append(tuple(running))
            time.sleep(0.05)
            with lock:
                running.remove(name)

    threads = [
        threading.Thread(target=work, args=(name, name == "suspect"))
        for name in ("a", "b", "suspect", "c", "d")
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join(10)
    assert max(most) >= 2
    assert alone == [("suspect",)]


def test_the_system_ends_the_computation_before_the_node(tmp_path):
    """Where memory runs out, the kernel's first choice is the computing child."""
    fifo = tmp_path / "request"
    os.mkfifo(fifo)  # nobody writes to it, so the child stays where it reads its request
    child = subprocess.Popen([sys.executable, "-m", "cestle.service.child"], stdin=subprocess.PIPE)
    child.stdin.write(f"{fifo}\n".encode())
    child.stdin.flush()
    score = Path(f"/proc/{child.pid}/oom_score_adj")
    try:
        wait_until(lambda: score.read_text().strip() == "1000", what="the score")
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
