"""The steps of a computation: the child writes them down as it goes, the node reads them."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Final

from cestle.spool.records import StepRecord

STEPS_FILE: Final = "steps.jsonl"


class StepLog:
    """Writes a line whenever a step ends.

    Parameters
    ----------
    file
        Where to.
    clock
        The time [s since the epoch].
    """

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._name = ""
        self._began = 0.0

    def begin(self, name: str) -> None:
        """A step begins, and the one before has ended."""
        self.end()
        self._name, self._began = name, self._clock()
        self._write(StepRecord(name=name, attempts=1, began=self._began, ended=0.0, note=""))

    def end(self, note: str = "") -> None:
        """The step under way has ended."""
        if self._name:
            self._write(
                StepRecord(
                    name=self._name, attempts=1, began=self._began, ended=self._clock(), note=note
                )
            )
        self._name = ""

    def _write(self, step: StepRecord) -> None:
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asdict(step)) + "\n")


def read_steps(file: Path) -> tuple[StepRecord, ...]:
    """The steps so far, each as it was written last; one that goes on has not ended (0)."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    steps: dict[str, StepRecord] = {}
    for line in lines:
        try:
            step = StepRecord(**json.loads(line))
        except (ValueError, TypeError):
            continue  # cut short by a crash
        steps[step.name] = step
    return tuple(steps.values())
