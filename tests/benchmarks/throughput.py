"""Studies an hour through the whole node, and what a long queue costs."""

import tempfile
import time
from pathlib import Path

import psutil

from cestle.dicom.simulated import write_study
from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import send_instances
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service.demo import scanner_side
from cestle.service.layout import DataFolder
from faults.machines import Machine, wait_for_port
from node.rig import ROOT, FakeCompute, free_port, node_config, wait_until, write_instance

REAL_STUDIES = 12
QUEUED = 1000


def lines():
    """The real computation first, then a queue that is longer than any morning."""
    yield from _real()
    yield from _queue()


def _node(folder, pacs, compute, workers, *, atlas=False):
    config = node_config(
        folder,
        port=free_port(),
        destinations=[("pacs", "PACS", pacs.port)],
        extra=f"[engine]\nworkers = {workers}\n"
        f"[analysis.regions]\nautomatic_atlas = {str(atlas).lower()}\n",
    )
    machine = Machine(folder / "node.toml", "all", compute=compute)
    wait_for_port(machine)
    return config, machine


def _real():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        studies = [
            write_study(simulate(SimulationSettings(seed=number)), folder / "in" / str(number))
            for number in range(1, REAL_STUDIES + 1)
        ]
        for atlas, words in ((False, "without"), (True, "with")):
            rate = _rate(folder / words, studies, atlas=atlas)
            yield (
                f"{REAL_STUDIES} studies, two at a time, {words} the volume inside the skull: "
                f"{rate:.0f} studies/h  goal >= 600"
            )


def _rate(folder, studies, *, atlas):
    folder.mkdir()
    with PacsStandIn(folder / "pacs") as pacs:
        config, machine = _node(folder, pacs, "real", 2, atlas=atlas)
        begin = time.perf_counter()
        for files in studies:
            send_instances(
                [describe_file(file) for file in files],
                *scanner_side(config),
                acknowledged=lambda _: None,
            )
        wait_until(lambda: _done(config) == len(studies), seconds=600, what="the studies")
        taken = time.perf_counter() - begin
        machine.stop()
    return 3600.0 * len(studies) / taken


def _queue():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compute = FakeCompute(folder / "compute")
        with PacsStandIn(folder / "pacs") as pacs:
            command = str(compute.folder / "fake_compute.py")
            config, machine = _node(folder, pacs, command, 2)
            worker = psutil.Process(machine.process.pid)
            files = [
                write_instance(folder / "in" / str(number), study=f"{ROOT}.{number}")
                for number in range(1, QUEUED + 1)
            ]
            send_instances(
                [describe_file(file) for file in files],
                *scanner_side(config),
                acknowledged=lambda _: None,
            )
            begin, before = time.perf_counter(), _done(config)
            for part in range(1, 5):
                goal = QUEUED * part // 4
                wait_until(lambda goal=goal: _done(config) >= goal, seconds=900, what="a quarter")
                count, taken = _done(config), time.perf_counter() - begin
                yield (
                    f"queue of {QUEUED}, quarter {part}: {count - before} studies in {taken:.1f} s,"
                    f" worker {worker.memory_info().rss / 2**20:.0f} MiB"
                )
                begin, before = time.perf_counter(), count
            machine.stop()


def _done(config):
    with DataFolder.existing(config).open_database() as database:
        rows = database.read("SELECT COUNT(*) AS done FROM revisions WHERE state = 'done'")
    return int(rows[0]["done"])
