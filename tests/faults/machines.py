"""Processes of a node as a service manager runs them: killed at will, started again when dead."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from cestle.net.pacs_stand_in import PacsStandIn

SERVE = """
import sys, threading, signal
from pathlib import Path
from cestle.config.node import load_node_config
from cestle.engine.durable import DurableEngine
from cestle.engine.jobs import Pauses
from cestle.service.logs import configure_logging
from cestle.service.node import Node, Role
from node.rig import when_quiet

file, role, compute, grace = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
config = load_node_config(file)
configure_logging("info")
if grace:
    DurableEngine.__init__.__kwdefaults__["grace_s"] = grace
    import cestle.engine.takeover
    cestle.engine.takeover._LEASE_SECONDS = grace
fake = {} if compute == "real" else {
    "compute_command": (sys.executable, "-S", "-E", compute),
    "assess": when_quiet(0.3),
    "compute_pauses": Pauses(first_s=0.1, longest_s=0.1, total_s=0.25),
}
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
with Node(config, role=Role(role), **fake) as node:
    print(node.port, flush=True)
    stop.wait()
"""
ROOT = Path(__file__).parents[1]


class Machine:
    """One process of the node, started again whenever it dies until `stop`."""

    def __init__(self, config_file, role, *, compute, grace=0.0, name=""):
        self.name = name or role
        self.log = config_file.with_suffix(f".{self.name}.log")
        self._command = [sys.executable, "-c", SERVE, str(config_file), role, compute, str(grace)]
        self._stopping = threading.Event()
        self.deaths = 0
        self.process = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.ready = threading.Event()
        self._thread.start()

    def _watch(self):
        while not self._stopping.is_set():
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self._command,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])},
                )
            if self.process.stdout.readline():
                self.ready.set()
            self.process.wait()
            self.ready.clear()
            self.process.stdout.close()
            self.deaths += 1
            self._stopping.wait(0.2)

    def kill(self):
        """SIGKILL."""
        self.process.kill()

    def children(self, part):
        """Running descendants with `part` in their command."""
        try:
            found = psutil.Process(self.process.pid).children(recursive=True)
            return [one for one in found if part in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def stop(self):
        """End it in order; the exit code."""
        self._stopping.set()
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self._thread.join(60)
        assert not self._thread.is_alive(), f"{self.name} does not end; see {self.log}"
        return self.process.returncode


class RecordingPacs(PacsStandIn):
    """Keeps UID and SHA-256 of everything that arrives, and takes its time."""

    def __init__(self, folder, *, delay=0.0, **keywords):
        super().__init__(folder, **keywords)
        self.contents = []
        self.delay = delay

    def _on_store(self, event):
        content = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        self.contents.append((str(event.request.AffectedSOPInstanceUID), content))
        time.sleep(self.delay)
        return super()._on_store(event)

    def versions(self):
        """For each UID the contents that came under it."""
        found = {}
        for uid, content in list(self.contents):
            found.setdefault(uid, set()).add(content)
        return found


def wait_for_port(machine, seconds=60.0):
    """Wait until a machine says that it is ready."""
    if not machine.ready.wait(seconds):
        log = machine.log.read_text(errors="replace")[-3000:]
        pytest.fail(f"{machine.name} is not ready after {seconds:g} s: {log}")


def log_lines(log):
    """What was logged, one object a line."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]
