"""How long the command line takes to answer."""

import subprocess
import sys
from pathlib import Path

from benchmarks.timing import milliseconds, row

CESTLE = Path(sys.executable).parent / "cestle"


def lines():
    """The whole process of `cestle --help`."""
    command = [str(CESTLE), "--help"]
    figures = milliseconds(
        lambda: subprocess.run(command, check=True, capture_output=True), runs=10
    )
    yield row("cestle --help, whole process", figures, "≤ 400 ms")
