"""Instances a second that the node takes, beside dcmtk's storescp and Orthanc in the same run.

The sender is dcmtk's storescu for all of them, one process for each association. The node syncs
file, folder and journal before each Success; Orthanc runs with its defaults, storescp writes
without syncing. What each has kept is counted before a rate is stated.
"""

import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.node_process import running
from cestle.service.status import list_studies
from node import orthanc
from node.rig import free_port, mr_instance, run_dcmtk, store, wait_until

INSTANCES = 640
ASSOCIATIONS = (1, 4, 16)
PIXELS = os.urandom(2 * 128 * 128)
ENVIRONMENT = os.environ | {"TCP_NODELAY": "1"}


def lines():
    """One line for each receiver and number of associations."""
    if shutil.which("storescu") is None:
        yield "storescu is not installed (package dcmtk): skipped"
        return
    yield f"{INSTANCES} MR instances of {len(PIXELS) / 1000:.0f} kB, instances/s by associations"
    yield f"{'':24}" + "".join(f"{number:>8}" for number in ASSOCIATIONS) + "   peak MiB"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        groups = _write(folder / "in")
        for title, receiver in _receivers().items():
            rates, peak = [], 0.0
            for number in ASSOCIATIONS:
                place = Path(tempfile.mkdtemp(dir=folder))
                with receiver(place) as (port, called, kept, memory):
                    rates.append(_rate(port, called, _split(groups, number)))
                    found = kept()
                    peak = max(peak, memory())
                if found != INSTANCES:
                    raise RuntimeError(f"{title} kept {found} of {INSTANCES} instances")
            yield f"{title:24}" + "".join(f"{rate:8.0f}" for rate in rates) + f"{peak:11.0f}"


def _receivers():
    found = {}
    if shutil.which("storescp"):
        found["storescp --fork"] = _storescp
    if shutil.which("Orthanc", path=os.environ["PATH"] + ":/usr/sbin"):
        found["Orthanc, defaults"] = _orthanc
    for processes in (1, 2):
        found[f"cestle, receivers = {processes}"] = _cestle(processes)
    return found


def _cestle(processes):
    @contextmanager
    def receiver(folder):
        with running(
            folder,
            role="receive",
            receivers=processes,
        ) as (config, watched):
            yield (
                config.node.port,
                "CESTLE",
                lambda: sum(study.instances for study in list_studies(config)),
                lambda: max(watched.peaks.values(), default=0.0),
            )

    return receiver


@contextmanager
def _storescp(folder):
    port = free_port()
    with subprocess.Popen(
        ["storescp", "--fork", "-aet", "PACS", "-od", str(folder), str(port)], env=ENVIRONMENT
    ) as process:
        try:
            wait_until(
                lambda: run_dcmtk("echoscu", "127.0.0.1", port).returncode == 0, what="storescp"
            )
            yield port, "PACS", lambda: sum(1 for _ in folder.iterdir()), lambda: 0.0
        finally:
            process.terminate()


@contextmanager
def _orthanc(folder):
    with orthanc.running(folder, sender="SCANNER") as server:
        yield (
            server.dicom_port,
            "PACS",
            lambda: server.json("/statistics")["CountInstances"],
            lambda: 0.0,
        )


def _rate(port, called, groups):
    started = time.perf_counter()
    with ThreadPoolExecutor(len(groups)) as pool:
        sent = list(pool.map(lambda files: store(port, files, called=called), groups))
    seconds = time.perf_counter() - started
    failed = [one.stderr for one in sent if one.returncode]
    if failed:
        raise RuntimeError(failed[0])
    return INSTANCES / seconds


def _split(files, number):
    """The files in `number` groups, one study each where they were written as 16 studies."""
    size = len(files) // number
    return [files[first : first + size] for first in range(0, len(files), size)]


def _write(folder):
    folder.mkdir()
    files, each = [], INSTANCES // max(ASSOCIATIONS)
    for number in range(INSTANCES):
        study = f"1.2.826.0.1.3680043.8.498.9.{number // each}"
        image = mr_instance(number + 1, study=study, pixels=PIXELS)
        image.Rows = image.Columns = 128
        files.append(folder / f"{number:04d}.dcm")
        image.save_as(files[-1], enforce_file_format=True)
    return files
