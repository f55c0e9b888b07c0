"""Programs of other projects: where they are, and how they are run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[1] / ".venv-peers"
JAVA_OPTIONS = (
    # Without the first three the XPath limits of newer Java stop the validator in silence; the
    # others halve its time.
    *("-Djdk.xml.xpathExprGrpLimit=0", "-Djdk.xml.xpathExprOpLimit=0"),
    *("-Djdk.xml.xpathTotalOpLimit=0", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"),
)


def program(name):
    """Path of a program: of `.venv-peers`, of the PATH or of /usr/sbin; skips without it."""
    own = PEERS / "bin" / name
    found = str(own) if own.exists() else shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not on this machine; run tests/install_peers.sh")
    return found


def run(name, *arguments, java=False):
    """Exit code and all output of a program."""
    environment = os.environ | ({"JAVA_TOOL_OPTIONS": " ".join(JAVA_OPTIONS)} if java else {})
    # A test's own import path is no business of the other programs.
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [program(name), *map(str, arguments)],
        capture_output=True,
        check=False,
        env=environment | {"TCP_NODELAY": "1"},
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", errors="replace")
