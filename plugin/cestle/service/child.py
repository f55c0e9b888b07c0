"""The computing child: one revision of one study, in a process of its own.

``python -m cestle.service.child``. It imports the sciences, reads the name of a request file from
its standard input and computes. It ends with 0 for a complete result, 3 for a
partial one, 2 when the input cannot be used, 4 when the disk takes nothing and 1 for a fault of
ours, and says why in `outcome.json` beside its results. A crash of the numerical code takes down
this process only.
"""

import importlib
import json
import os
import sys
import time
from contextlib import suppress
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import structlog

from cestle.config.node import AnalysisSection, TemplatesSection
from cestle.config.options import StudyOptions
from cestle.errors import CestleError, ConfigError, InputError
from cestle.service.layout import write_durably
from cestle.service.lifeline import read_line, watch_parent
from cestle.service.logs import configure_logging, describe_fault
from cestle.service.progress import STEPS_FILE, StepLog
from cestle.service.storage_faults import is_of_storage

BAD_INPUT: Final = 2
FAULT: Final = 1
NO_SPACE: Final = 4
_FIRST_TO_GO: Final = "1000"
_log = structlog.get_logger(__name__)


def main() -> int:
    """Wait for a request and compute it; the exit code."""
    with suppress(Exception):  # imported once more, and reported, when there is a request
        importlib.import_module("cestle.service.processing")
    line = read_line()
    if not line:
        return 0  # no longer needed
    watch_parent(_end)
    with suppress(OSError):
        # Where memory runs out the system then ends this process, and never the node.
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    request = json.loads(Path(line).read_text(encoding="utf-8"))
    configure_logging(request["log_level"])
    structlog.contextvars.bind_contextvars(
        study=request["study_instance_uid"], revision=request["revision"]
    )
    clock = StepClock(StepLog(Path(request["out_dir"]) / STEPS_FILE))
    code, reason = _outcome(request, clock)
    outcome = {"exit_code": code, "reason": reason, "seconds": clock.seconds()}
    try:
        write_durably(Path(request["out_dir"]) / "outcome.json", json.dumps(outcome).encode())
    except OSError as fault:
        return NO_SPACE if is_of_storage(fault) else FAULT
    return code


def _end() -> None:
    """End this process and what it runs."""
    plug_in = sys.modules.get("cestle.service.region_plug_in")
    if plug_in is not None:
        plug_in.end_running()
    os._exit(FAULT)


class StepClock:
    """Logs each step, records and measures it; for the metrics a step is its first word."""

    def __init__(self, record: StepLog) -> None:
        self.record = record
        self._begun: list[tuple[str, float]] = []

    def __call__(self, step: str) -> None:
        """A step begins, and the one before has ended."""
        _log.info("computing", step=step)
        self._begun.append((step.split()[0], time.monotonic()))
        self.record.begin(step)

    def seconds(self) -> dict[str, float]:
        """How long each step took [s], when the last one has ended just now."""
        found: dict[str, float] = {}
        for (step, begin), (_, end) in pairwise([*self._begun, ("", time.monotonic())]):
            found[step] = found.get(step, 0.0) + end - begin
        return found


def _outcome(request: dict[str, Any], clock: StepClock) -> tuple[int, str]:
    try:
        found = _compute(request, clock)
        clock.record.end()
    except Exception as fault:  # noqa: BLE001 - as below
        if is_of_storage(fault):
            return NO_SPACE, "the disk of the results takes nothing"
        with suppress(OSError):
            clock.record.end(type(fault).__name__)
        return _described(fault)
    return found


def _described(fault: Exception) -> tuple[int, str]:
    if isinstance(fault, InputError | ConfigError):
        return BAD_INPUT, str(fault)
    if isinstance(fault, CestleError):
        return FAULT, str(fault)
    return FAULT, f"a fault of cestle: {describe_fault(fault)}; report it"


def _compute(request: dict[str, Any], clock: StepClock) -> tuple[int, str]:
    # Imported here, so that a failure to import is an outcome like any other.
    from cestle.service.processing import EXIT_CODES, ProcessRequest, process

    predecessor = request["predecessor"]
    options = StudyOptions.model_validate(request["options"])
    results = process(
        ProcessRequest(
            files=tuple(Path(file) for file in request["files"]),
            out_dir=Path(request["out_dir"]),
            created=datetime.fromisoformat(request["created"]),
            analysis=AnalysisSection.model_validate_json(json.dumps(request["analysis"])),
            templates=TemplatesSection.model_validate_json(json.dumps(request["templates"])),
            roi_files=tuple(Path(file) for file in request["roi_files"]),
            label_scheme=options.label_scheme,
            options=options,
            revision=request["revision"],
            origin="node",
            predecessor=None if predecessor is None else Path(predecessor),
        ),
        clock,
    )
    return EXIT_CODES[results.status], "; ".join(results.reasons)


if __name__ == "__main__":
    sys.exit(main())
