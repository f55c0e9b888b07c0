"""A node as a process tree of its own, with the peak memory of each of its processes."""

import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil

from cestle.errors import DeliveryError
from cestle.net.sender import echo
from cestle.service.demo import scanner_side
from node.rig import free_port, node_config, wait_until

NAMES = {
    "cestle.service.receiver": "listener",
    "cestle.service.child": "computing child",
    "serve": "worker",
}

_SECONDS = 0.5
"""Between two looks: seldom, since each takes time from what is measured beside it."""


class Watched:
    """Peak resident memory by kind of process [MiB]."""

    def __init__(self, process):
        self._root = psutil.Process(process.pid)
        self._stopping = threading.Event()
        self.peaks = {}
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()

    def stop(self):
        """Stop looking."""
        self._stopping.set()
        self._thread.join()

    def _loop(self):
        while not self._stopping.wait(_SECONDS):
            try:
                for one in [self._root, *self._root.children(recursive=True)]:
                    self._note(one)
            except (psutil.Error, OSError):
                continue

    def _note(self, process):
        command = " ".join(process.cmdline())
        kind = next((name for part, name in NAMES.items() if part in command), None)
        if kind:
            peak = _peak_mib(process.pid)
            self.peaks[kind] = max(peak, self.peaks.get(kind, 0.0))


def _peak_mib(pid):
    """Largest resident memory of a process so far, as the kernel has kept it [MiB]."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0) / 1024


@contextmanager
def running(folder, *, role="all", destinations=(("pacs", "PACS", 1),), quiet_seconds=0.3, **node):
    """Start a node, `node` in its [node]; yields its configuration and its watched memory."""
    config = node_config(
        folder,
        port=free_port(),
        destinations=destinations,
        extra=f"[study]\nquiet_seconds = {quiet_seconds}\n",
        **node,
    )
    command = [sys.executable, "-m", "cestle", "serve", "--role", role]
    command += ["--config", str(folder / "node.toml")]
    with (folder / "node.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    watched = Watched(process)
    try:
        wait_until(lambda: _answers(config), seconds=60.0, what="the node")
        yield config, watched
    finally:
        watched.stop()
        process.terminate()
        process.wait(30)


def _answers(config):
    try:
        return echo(*scanner_side(config))
    except DeliveryError:
        return None
