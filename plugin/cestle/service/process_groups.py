"""Processes that belong together, seen through /proc: their memory, and their end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_GROUP: Final = 2
_SESSION: Final = 3
"""Positions in /proc/*/stat, counted from the state behind the name of the program."""


def group_memory_mib(group: int) -> float:
    """Resident memory of all processes of a group [MiB]; 0 where that cannot be known."""
    return sum(_resident_mib(pid) for pid in _members(_GROUP, group))


def end_group(group: int) -> None:
    """Kill all processes of a group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def end_session(session: int) -> None:
    """Kill all processes of a session, in whatever groups they are."""
    for pid in _members(_SESSION, session):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _members(position: int, number: int) -> Iterator[int]:
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if int(text.rpartition(")")[2].split()[position]) == number:
            yield int(entry.name)


def _resident_mib(pid: int) -> float:
    try:
        status = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return float(lines[0].split()[1]) / 1024.0 if lines else 0.0
