"""From the last image to the report of a study without regions, which the atlas draws.

The T1 is the template that nilearn carries in voxels of 1 mm, laid over the head of the phantom.
"""

import json
import os
import tempfile
import time
from pathlib import Path

from atlas_cases import phantom_with_a_brain
from benchmarks.loop import report_in
from benchmarks.node_process import running
from cestle.dicom.simulated import EncodingOptions, write_study
from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import send_instances
from cestle.phantom.study import SimulationSettings
from cestle.service.demo import scanner_side
from cestle.service.status import list_studies
from node.rig import wait_until

QUIET_SECONDS = 20.0
RUNS = 3


def lines():
    """Seconds from the last image to the report at the archive, the default silence included."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        taken, peaks = zip(*[_run(Path(name) / str(run), run) for run in range(RUNS)], strict=True)
    seconds = sorted(taken)
    yield (
        f"last image received → report with regions of class D acknowledged, {QUIET_SECONDS:g} s "
        f"quiet time included: {seconds[len(seconds) // 2]:.1f} s ({seconds[0]:.1f} … "
        f"{seconds[-1]:.1f})  goal ≤ 60 s; load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    )
    yield f"peak memory of the computing child: {max(p['computing child'] for p in peaks):.0f} MiB"


def _run(folder, run):
    folder.mkdir()
    study = phantom_with_a_brain(SimulationSettings(seed=1 + run, t1_mm=1.0))
    files = write_study(study, folder / "study", encoding=EncodingOptions(regions=()))
    with PacsStandIn(folder / "pacs") as pacs:
        destinations = [("pacs", "PACS", pacs.port)]
        with running(folder, destinations=destinations, quiet_seconds=QUIET_SECONDS) as node:
            config, watched = node
            instances = [describe_file(file) for file in files]
            send_instances(instances, *scanner_side(config), acknowledged=lambda _: None)
            sent = time.perf_counter()
            wait_until(lambda: report_in(pacs), seconds=240.0, what="the report")
            taken = time.perf_counter() - sent
            _require_atlas(config)
            return taken, watched.peaks


def _require_atlas(config):
    """That it was the atlas that drew: a report without regions would be quicker."""
    folder = Path(list_studies(config)[0].revisions[0].folder)
    found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    classes = {name: one["class"] for name, one in found["regions"]["structures"].items()}
    assert classes == {"hippocampus": "D", "amygdala": "D"}, found["regions"]["notes"]
