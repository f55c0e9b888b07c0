"""One receiver and two workers on one PostgreSQL and one folder, as processes."""

import threading
import time

import psutil
import pytest

from cestle.service.status import list_studies
from faults.machines import Machine, RecordingPacs, log_lines, wait_for_port
from node.rig import FakeCompute, free_port, node_config, store, wait_until, write_instance

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]


class Cluster:
    """Starts a receiver and workers; all are stopped at the end."""

    def __init__(self, folder, url, pacs, *, grace=2.0):
        self.folder, self.grace = folder, grace
        self.compute = FakeCompute(folder / "compute")
        self.url, self.port, self.pacs = url, free_port(), pacs
        self.machines = {}
        self.start("receive")

    def start(self, name):
        """Start a machine and wait until it is ready."""
        place = self.folder / name
        place.mkdir()
        self.config = node_config(
            place,
            destinations=[("pacs", "PACS", self.pacs.port)],
            port=self.port,
            data_dir=str(self.folder / "data"),
            extra=f'[engine]\ndatabase_url = "{self.url}"\nworker_name = "{name}"\n',
        )
        self.machines[name] = Machine(
            place / "node.toml",
            "receive" if name == "receive" else "work",
            compute=str(self.compute.folder / "fake_compute.py"),
            grace=self.grace,
            name=name,
        )
        wait_for_port(self.machines[name])
        return self.machines[name]

    def end(self, name):
        """Kill a machine for good."""
        machine = self.machines.pop(name)
        machine._stopping.set()
        machine.kill()
        machine._thread.join(10)

    def stop(self):
        """Stop what is left."""
        for machine in self.machines.values():
            machine.stop()

    def study(self):
        """Status of the one study."""
        found = list_studies(self.config)
        return found[0] if found else None

    def is_done(self):
        """The study, when it is done."""
        found = self.study()
        return found if found and found.state == "done" else None

    def send(self, *numbers):
        """Send instances of the study."""
        sent = store(self.port, [write_instance(self.folder / "in", one) for one in numbers])
        assert sent.returncode == 0, sent.stderr


@pytest.fixture
def pacs(tmp_path):
    with RecordingPacs(tmp_path / "pacs") as pacs:
        yield pacs


@pytest.fixture
def cluster(tmp_path, postgres, pacs):
    cluster = Cluster(tmp_path, postgres.fresh(), pacs)
    yield cluster
    cluster.stop()


def test_work_of_dead_workers_is_done_by_others_within_a_minute(tmp_path, postgres):
    """Killed in the computation, then in the delivery: with the times as shipped, under 60 s."""
    blocked, go = threading.Event(), threading.Event()

    def status(uid):
        del uid
        blocked.set()
        go.wait(60)
        return 0x0000

    with RecordingPacs(tmp_path / "pacs", status=status) as pacs:
        cluster = Cluster(tmp_path, postgres.fresh(), pacs, grace=0.0)
        try:
            cluster.compute.mode(pause=60)
            cluster.start("first")
            cluster.send(1, 2)
            wait_until(lambda: cluster.compute.calls, what="the computation")
            cluster.start("second")
            cluster.compute.mode(salted=True)
            cluster.end("first")
            begin = time.monotonic()
            wait_until(blocked.is_set, seconds=60, what="the delivery by the second worker")
            computing = time.monotonic() - begin
            cluster.start("third")
            cluster.end("second")
            go.set()
            begin = time.monotonic()
            found = wait_until(cluster.is_done, seconds=60, what="the end by the third worker")
            delivering = time.monotonic() - begin
        finally:
            cluster.stop()
        assert max(computing, delivering) < 60.0
        assert len(found.revisions) == 1
        assert found.revisions[0].worker == "second"
        assert all(len(contents) == 1 for contents in pacs.versions().values())
        assert len(pacs.files()) == 2


def test_a_worker_that_hangs_is_replaced_and_does_no_harm_when_it_wakes(cluster, pacs):
    """Stopped in the computation: another does it; awake again, the first adds nothing."""
    cluster.compute.mode(pause=2.0, salted=True)
    first = cluster.start("first")
    cluster.send(1)
    wait_until(lambda: cluster.compute.calls, what="the computation")
    child = first.children("fake_compute.py")[0]
    for process in (child, psutil.Process(first.process.pid)):
        process.suspend()
    cluster.start("second")
    found = wait_until(cluster.is_done, seconds=60, what="the second worker")
    assert found.revisions[0].worker == "second"
    results = cluster.folder / "data" / "results"
    [place] = results.glob("*/r1")
    before = {file.name: file.read_bytes() for file in place.rglob("*.dcm")}
    for process in (child, psutil.Process(first.process.pid)):
        process.resume()
    wait_until(
        lambda: any(
            line["event"] in ("another worker has settled this revision", "computation ended")
            for line in log_lines(first.log)
        ),
        what="the first worker's end of it",
    )
    # It goes on with what comes, and nothing came twice.
    cluster.end("second")
    cluster.compute.mode(salted=True)
    cluster.send(2)
    done = wait_until(
        lambda: (found := cluster.is_done()) and len(found.revisions) == 2 and found,
        seconds=60,
        what="the next revision",
    )
    assert done.revisions[1].worker == "first"
    assert {file.name: file.read_bytes() for file in place.rglob("*.dcm")} == before
    assert all(len(contents) == 1 for contents in pacs.versions().values())
    assert len(pacs.files()) == 4


def test_two_computations_of_one_revision_at_once(cluster, pacs):
    """The one that is put in place first wins, and the other worker adopts it."""
    cluster.compute.mode(pause=6.0, salted=True)
    first = cluster.start("first")
    cluster.send(1)
    wait_until(lambda: cluster.compute.calls, what="the computation")
    psutil.Process(first.process.pid).suspend()  # its child goes on
    cluster.start("second")
    wait_until(lambda: len(cluster.compute.calls) == 2, seconds=60, what="the second computation")
    psutil.Process(first.process.pid).resume()
    wait_until(cluster.is_done, seconds=60, what="the study")
    wait_until(
        lambda: any(
            "another worker" in line["event"]
            for name in ("first", "second")
            for line in log_lines(cluster.machines[name].log)
        ),
        what="the slower one",
    )
    assert all(len(contents) == 1 for contents in pacs.versions().values())
    assert len(pacs.files()) == 2
    assert len(cluster.study().revisions) == 1


def test_a_database_that_is_away_costs_nothing_acknowledged(cluster, pacs, postgres):
    """Without PostgreSQL instances are refused with 0xA700; with it all goes on by itself."""
    cluster.compute.mode(pause=0.5)
    cluster.start("first")
    cluster.send(1, 2)
    wait_until(lambda: cluster.compute.calls, what="the computation")
    postgres.stop(3)
    try:
        late = write_instance(cluster.folder / "in", 3)
        refused = store(cluster.port, [late], options=["-v"])
        assert "OutOfResources" in refused.stdout + refused.stderr
        time.sleep(1.5)
    finally:
        postgres.start()
    wait_until(lambda: store(cluster.port, [late]).returncode == 0, what="an acknowledgement")
    found = wait_until(cluster.is_done, seconds=90, what="the study")
    assert found.instances == 3
    assert all(len(contents) == 1 for contents in pacs.versions().values())
    assert cluster.machines["receive"].deaths == cluster.machines["first"].deaths == 0
