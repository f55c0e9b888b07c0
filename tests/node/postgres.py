"""A PostgreSQL server of the tests' own, on loopback, with a fresh database for each use."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from node.rig import free_port

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _program(name):
    found = shutil.which(name, path=os.pathsep.join([*map(str, _FOLDERS), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not on this machine; run tests/install_peers.sh")
    return found


class PostgresServer:
    """Starts, stops and kills one server; its data stay until `remove`."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="cestle-postgres-"))
        self.port = free_port()
        self._count = 0
        self._process = None
        initdb = _program("initdb")
        if os.geteuid() == 0:
            # It refuses to run as root.
            shutil.chown(self.folder, "postgres", "postgres")
        self._run(initdb, "-D", self.folder / "data", "-U", "cestle", "--auth=trust", "-E", "UTF8")

    def _as_owner(self, *arguments):
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*(prefix if os.geteuid() == 0 else []), *map(str, arguments)]

    def _run(self, *arguments):
        done = subprocess.run(
            self._as_owner(*arguments),
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self):
        """Start it and wait until it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            self._as_owner(
                *(_program("postgres"), "-D", self.folder / "data", "-p", self.port),
                *("-c", "listen_addresses=127.0.0.1", "-k", self.folder),
                # Processes are killed here, not machines: the page cache survives.
                *("-c", "fsync=off", "-c", "full_page_writes=off"),
            ),
            stdout=log,
            stderr=log,
            cwd=self.folder,
        )
        log.close()
        deadline = time.monotonic() + 120
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                waits = self._process.poll() is None and time.monotonic() < deadline
                assert waits, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self, number=2):
        """End it with a signal (2: fast shutdown, 3: immediate) and wait."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None

    def restart(self, number=2):
        """Stop and start again."""
        self.stop(number)
        self.start()

    def remove(self):
        """Stop it and delete its data."""
        self.stop(3)
        shutil.rmtree(self.folder)

    def url(self, name):
        """Address of a database."""
        return f"postgresql://cestle@127.0.0.1:{self.port}/{name}"

    def fresh(self):
        """Address of a new, empty database."""
        self._count += 1
        name = f"cestle_{os.getpid()}_{self._count}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)
