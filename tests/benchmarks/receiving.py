"""How many instances a second the node takes, on one and on four associations."""

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.node_process import running
from node.rig import mr_instance, store

INSTANCES = 400
PIXELS = os.urandom(2 * 256 * 256)


def lines():
    """Rates with dcmtk's storescu as the sender; each instance is fsynced before Success."""
    if shutil.which("storescu") is None:
        yield "storescu is not installed (package dcmtk): skipped"
        return
    for associations in (1, 4):
        rate, peak_mib = _rate(associations)
        yield (
            f"{associations} association(s), {len(PIXELS) // 1000} kB each: "
            f"{rate:.0f} instances/s, listener peak {peak_mib:.0f} MiB (goal ≤ 120 MiB)"
        )


def _rate(associations):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = INSTANCES // associations
        groups = [_write(folder / f"in{group}", group, count) for group in range(associations)]
        with running(folder, role="receive") as (config, watched):
            started = time.perf_counter()
            with ThreadPoolExecutor(associations) as pool:
                sent = list(pool.map(lambda files: store(config.node.port, files), groups))
            seconds = time.perf_counter() - started
        failed = [one.stderr for one in sent if one.returncode]
        if failed:
            raise RuntimeError(failed[0])
        return INSTANCES / seconds, watched.peaks["worker"]


def _write(folder, group, count):
    folder.mkdir()
    files = []
    for number in range(1, count + 1):
        study = f"1.2.826.0.1.3680043.8.498.9.{group}"
        image = mr_instance(number, study=study, pixels=PIXELS)
        image.Rows = image.Columns = 256
        path = folder / f"{number:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        files.append(path)
    return files
