"""From the last instance received to the report in the PACS, and the memory on the way."""

import tempfile
import time
from pathlib import Path

import pydicom

from benchmarks.node_process import running
from cestle.dicom.simulated import write_study
from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import send_instances
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service.demo import scanner_side
from node.rig import wait_until

QUIET_SECONDS = 8.0
RUNS = 3
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"


def lines():
    """The default 2D study with its 3D T1, sent over one association."""
    with tempfile.TemporaryDirectory() as name:
        taken, peaks = zip(*[_run(Path(name) / str(run), run) for run in range(RUNS)], strict=True)
    seconds = sorted(taken)
    yield (
        f"last instance received → report acknowledged, without {QUIET_SECONDS:g} s quiet time: "
        f"{seconds[len(seconds) // 2]:.1f} s ({seconds[0]:.1f} … {seconds[-1]:.1f})  goal ≤ 5 s"
    )
    for kind, goal in (("listener", "≤ 120"), ("computing child", "≤ 700"), ("worker", "none")):
        yield f"peak memory of the {kind}: {max(p[kind] for p in peaks):.0f} MiB  goal {goal}"


def _run(folder, run):
    folder.mkdir()
    files = write_study(simulate(SimulationSettings(seed=1 + run)), folder / "study")
    with PacsStandIn(folder / "pacs") as pacs:
        destinations = [("pacs", "PACS", pacs.port)]
        with running(folder, destinations=destinations, quiet_seconds=QUIET_SECONDS) as node:
            config, watched = node
            instances = [describe_file(file) for file in files]
            send_instances(instances, *scanner_side(config), acknowledged=lambda _: None)
            sent = time.perf_counter()
            wait_until(lambda: report_in(pacs), seconds=120.0, what="the report")
            return time.perf_counter() - sent - QUIET_SECONDS, watched.peaks


def report_in(pacs):
    """Whether the report has come to the archive."""
    return any(
        pydicom.dcmread(file, stop_before_pixels=True).SOPClassUID == REPORT
        for file in pacs.files()
    )
