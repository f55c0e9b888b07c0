"""SIGKILL at the worst moments: nothing acknowledged is lost, nothing comes in two versions."""

import json
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.status import list_studies
from node.rig import (
    PLANTED,
    free_port,
    mr_instance,
    node_config,
    store,
    wait_until,
    write_instance,
)

pytestmark = pytest.mark.peer

SERVE = """
import sys
from pathlib import Path
from cestle.config.node import load_node_config
from cestle.service.node import serve
folder = Path(sys.argv[1])
command = (sys.executable, "-S", "-E", str(folder / "compute" / "fake_compute.py"))
serve(load_node_config(folder / "node.toml"), compute_command=command,
      ready=lambda node: print(node.port, flush=True))
"""


class ServedNode:
    """`serve` in a process of its own, its log in a file."""

    def __init__(self, folder):
        self.log = folder / "node.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE, stderr=log
            )
        self.port = int(self.process.stdout.readline() or 0)
        assert self.port, self.log.read_text()

    def end(self, number):
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


def done(config):
    found = list_studies(config)
    return found and found[0].state == "done" and found[0]


def test_kill_while_computing_and_while_delivering(tmp_path, compute):
    """Killed twice, in the computation and in the delivery, one result set arrives, unchanged."""
    blocked, go = threading.Event(), threading.Event()

    def status(uid):
        del uid
        blocked.set()
        go.wait(60)
        return 0x0000

    with PacsStandIn(tmp_path / "pacs", status=status) as pacs:
        config = node_config(tmp_path, port=free_port(), destinations=[("pacs", "PACS", pacs.port)])
        compute.mode(pause=30)
        node = ServedNode(tmp_path)
        sent = store(node.port, [write_instance(tmp_path / "in", one) for one in (1, 2)])
        assert sent.returncode == 0, sent.stderr
        wait_until(lambda: len(compute.calls) == 1, what="the computation")
        node.end(signal.SIGKILL)

        compute.mode()
        node = ServedNode(tmp_path)
        wait_until(blocked.is_set, what="the delivery")
        node.end(signal.SIGKILL)
        go.set()

        node = ServedNode(tmp_path)
        status_now = wait_until(lambda: done(config), what="the study")
        assert node.end(signal.SIGTERM) == 0
        assert len(set(pacs.arrivals)) == len(pacs.files()) == 2
    assert len(compute.calls) == 2, "a finished computation is not repeated"
    assert compute.calls[0]["created"] == compute.calls[1]["created"]
    assert len(status_now.revisions) == 1

    # The same run shows that no patient data is in logs, names and databases.
    logged = (tmp_path / "node.log").read_text()
    for line in logged.splitlines():
        json.loads(line)
    data = config.node.data_dir
    names = "\n".join(str(path) for path in data.rglob("*"))
    databases = b"".join(path.read_bytes() for path in data.glob("*.sqlite3*"))
    for planted in PLANTED:
        assert planted not in logged
        assert planted not in names
        assert planted.encode() not in databases
    assert PLANTED[0].encode() in next(data.glob("spool/instances/*/*.dcm")).read_bytes()


def test_a_stop_in_the_computation_is_clean_and_resumes(tmp_path, compute):
    """SIGTERM during a computation ends the node at once with 0; it goes on after a restart."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, port=free_port(), destinations=[("pacs", "PACS", pacs.port)])
        compute.mode(pause=30)
        node = ServedNode(tmp_path)
        assert store(node.port, [write_instance(tmp_path / "in")]).returncode == 0
        wait_until(lambda: compute.calls, what="the computation")
        assert node.end(signal.SIGTERM) == 0
        assert list_studies(config)[0].state == "queued"
        compute.mode()
        node = ServedNode(tmp_path)
        found = wait_until(lambda: done(config), what="the study")
        assert node.end(signal.SIGINT) == 0
        assert len(pacs.arrivals) == 2
        assert found.revisions[0].attempts == 1


def test_what_was_acknowledged_survives_a_kill_while_receiving(tmp_path, compute):
    """After SIGKILL of the receiver in a send, every acknowledged instance is there."""
    config = node_config(tmp_path, port=free_port())
    node = ServedNode(tmp_path)
    files = [write_instance(tmp_path / "in", number) for number in range(1, 201)]
    sender = subprocess.Popen(
        [
            "storescu",
            "-v",
            "-aet",
            "SCANNER",
            "-aec",
            "CESTLE",
            "127.0.0.1",
            str(node.port),
            *map(str, files),
        ],
        env=os.environ | {"TCP_NODELAY": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    spool = config.node.data_dir / "spool" / "instances"
    wait_until(lambda: len(list(spool.glob("*/*.dcm"))) > 20, what="some instances")
    receivers = [
        one
        for one in psutil.Process(node.process.pid).children()
        if "cestle.service.receiver" in one.cmdline()
    ]
    assert len(receivers) == 1
    receivers[0].kill()
    node.end(signal.SIGKILL)
    output, _ = sender.communicate(timeout=60)
    acknowledged = output.count("Received Store Response (Success)")
    node = ServedNode(tmp_path)
    found = wait_until(lambda: list_studies(config), what="the study")[0]
    assert acknowledged <= found.instances <= acknowledged + 1
    assert found.instances == len(list(spool.glob("*/*.dcm")))
    # The sender repeats everything, as scanners do.
    assert store(node.port, files).returncode == 0
    assert list_studies(config)[0].instances == 200
    assert mr_instance(200).SOPInstanceUID.encode() in b"".join(
        path.read_bytes() for path in spool.glob("*/*.dcm")
    )
    node.end(signal.SIGTERM)
    assert compute.folder.is_dir()
