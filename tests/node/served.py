"""A node with its pages in a process of its own, as `cestle serve` runs it, its logs in a file."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from node.rig import wait_until

_SERVE = """
import json
import sys
from pathlib import Path
from cestle.config.node import load_node_config
from cestle.service.computation import COMPUTE_COMMAND
from cestle.service.node import Role
from cestle.web.serving import serve
command = tuple(json.loads(sys.argv[3])) or COMPUTE_COMMAND
serve(load_node_config(Path(sys.argv[1])), role=Role(sys.argv[2]), compute_command=command,
      ready=lambda node, web: print(json.dumps([node.port, web]), flush=True))
"""


class ServedNode:
    """Starts at once; `log` holds what the node, its receiver and its children write."""

    def __init__(self, folder, *, role="all", compute=(), environment=None):
        self.log = folder / f"{role}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-c", _SERVE, str(folder / "node.toml"), role),
                    json.dumps([str(part) for part in compute]),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | (environment or {}),
            )
        answer = self.process.stdout.readline()
        assert answer, self.log.read_text()
        self.port, self.web_port = json.loads(answer)

    def get(self, path):
        """Status and body of a page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web_port}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as fault:
            return fault.code, fault.read().decode()

    def ready(self):
        """Status and content of the page of readiness."""
        status, body = self.get("/health/ready")
        return status, json.loads(body)

    def metrics(self):
        """Value of each series, by its name with labels."""
        lines = self.get("/metrics")[1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def until(self, series, value):
        """Wait until a series has a value."""
        wait_until(lambda: self.metrics().get(series) == value, what=f"{series} = {value}")

    def end(self, number=signal.SIGTERM):
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code
