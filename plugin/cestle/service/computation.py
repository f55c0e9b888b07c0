"""Runs the computing child within its limits and puts its results in place, whole or not at all."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from cestle.config.node import NodeConfig
from cestle.config.options import StudyOptions
from cestle.service.children import Children
from cestle.service.layout import DataFolder, write_durably
from cestle.service.process_groups import end_session
from cestle.service.progress import STEPS_FILE, read_steps
from cestle.spool.files import sync_folder
from cestle.spool.records import RevisionRecord, StepRecord, StoredInstance

COMPUTE_COMMAND: Final = (sys.executable, "-m", "cestle.service.child")
"""What is run; it reads the name of its request file from its standard input."""

COMPLETE: Final = 0
BAD_INPUT: Final = 2
PARTIAL: Final = 3
NO_SPACE: Final = 4
_LOOK_SECONDS: Final = 0.05
_LONGEST_REASON: Final = 1000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Computed:
    """How a computation ended.

    Parameters
    ----------
    exit_code
        Of the child; None when it was stopped because the node stops.
    reason
        What there is to say about it; empty for a complete result.
    seconds
        How long it took [s]; 0 for results that were there already.
    steps
        How long each step took, as the child says [s].
    record
        The steps as they went.
    """

    exit_code: int | None
    reason: str
    seconds: float = 0.0
    steps: Mapping[str, float] = field(default_factory=dict)
    record: tuple[StepRecord, ...] = ()

    @property
    def has_results(self) -> bool:
        """Whether results were put in place."""
        return self.exit_code in (COMPLETE, PARTIAL)


@dataclass(frozen=True, kw_only=True)
class Computation:
    """Computes revisions.

    Parameters
    ----------
    config
        Limits, methods and templates.
    folder
        Where results are put.
    stopping
        Set when the node stops: a child under way is killed.
    children
        Starts what is run.
    worker
        Name of this worker, which marks its unfinished work.
    """

    config: NodeConfig
    folder: DataFolder
    stopping: threading.Event
    children: Children
    worker: str = "worker"

    def run(
        self,
        revision: RevisionRecord,
        inputs: Sequence[StoredInstance],
        *,
        predecessor: Path | None,
    ) -> Computed:
        """Compute a revision; results that are in place already are kept.

        Parameters
        ----------
        revision
            Which one.
        inputs
            Its instances.
        predecessor
            Report of the revision that it replaces.
        """
        place = self.folder.revision(revision.study_instance_uid, revision.number)
        before = _read_outcome(place / "computed.json")
        if before is not None:
            return replace(before, steps={})
        self._sweep(place)
        work = self.folder.unfinished(place, self.worker)
        work.mkdir(parents=True)
        try:
            return self._compute(revision, inputs, work, predecessor)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _compute(
        self,
        revision: RevisionRecord,
        inputs: Sequence[StoredInstance],
        work: Path,
        predecessor: Path | None,
    ) -> Computed:
        place = self.folder.revision(revision.study_instance_uid, revision.number)
        request = work / "request.json"
        content = self._request(revision, inputs, work, predecessor)
        write_durably(request, json.dumps(content).encode())
        begin = time.monotonic()
        code, note = self._watch(request)
        told = _read_outcome(work / "outcome.json")
        computed = Computed(
            exit_code=code,
            reason=_reason(code, note, told),
            seconds=time.monotonic() - begin,
            steps={} if told is None else told.steps,
            record=read_steps(work / STEPS_FILE),
        )
        if not computed.has_results:
            return computed
        outcome = {"exit_code": code, "reason": computed.reason, "seconds": computed.steps}
        write_durably(work / "computed.json", json.dumps(outcome).encode())
        return computed if _put_in_place(work, place) else _adopted(place)

    def _request(
        self,
        revision: RevisionRecord,
        inputs: Sequence[StoredInstance],
        work: Path,
        predecessor: Path | None,
    ) -> dict[str, Any]:
        spool = self.folder.spool(self.config)
        instances = spool.instances
        options = StudyOptions.from_text(revision.options)
        return {
            "study_instance_uid": revision.study_instance_uid,
            "revision": revision.number,
            "created": datetime.fromtimestamp(revision.created, UTC).isoformat(),
            "files": [str(instances / one.path) for one in inputs],
            "roi_files": [
                str(spool.attachment(one.sha256, one.suffix)) for one in options.roi or ()
            ],
            "options": options.to_json(),
            "out_dir": str(work),
            "predecessor": None if predecessor is None else str(predecessor),
            "analysis": self.config.analysis.model_dump(mode="json"),
            "templates": self.config.templates.model_dump(mode="json"),
            "log_level": self.config.logging.level,
        }

    def _sweep(self, place: Path) -> None:
        """Remove what this worker left of this revision when it crashed.

        Another worker may be alive although it was taken for dead, so what is under its name
        stays until the revision is settled.
        """
        for stale in self.folder.unfinished_of(place, self.worker):
            shutil.rmtree(stale, ignore_errors=True)
        if place.is_dir():
            # Without its outcome it cannot have come from here; somebody was at the files.
            broken = self.folder.unfinished(place, self.worker)
            place.rename(broken)
            shutil.rmtree(broken)

    def _watch(self, request: Path) -> tuple[int | None, str]:
        """Run the child to its end or its limit: exit code, and what we have to say."""
        engine = self.config.engine
        deadline = time.monotonic() + 60.0 * engine.compute_timeout_minutes
        begin, peak = time.monotonic(), 0.0
        note = ""
        code: int | None = None
        with self.children.compute(str(request)) as child:
            while code is None and not note:
                try:
                    code = child.wait(_LOOK_SECONDS)
                except subprocess.TimeoutExpired:
                    peak = max(peak, largest_resident_mib(child.pid))
                if self.stopping.is_set():
                    note = "the node stops"
                elif time.monotonic() > deadline:
                    note = f"stopped after {engine.compute_timeout_minutes:g} min"
                elif peak > engine.compute_memory_mb:
                    note = f"stopped at {peak:.0f} MiB of memory"
            if code is None:
                _kill_group(child)
            elif code < 0:
                end_session(child.pid)
        _log.info(
            "computation ended",
            exit_code=code,
            seconds=round(time.monotonic() - begin, 3),
            peak_mib=round(peak),
        )
        if code is None and self.stopping.is_set():
            return None, note
        return (1, note) if code is None else (code, "")


def _reason(code: int | None, note: str, told: Computed | None) -> str:
    if note:
        return note
    if code == NO_SPACE:
        return "waits for space on the disk of the results"
    if told is not None and told.exit_code == code:
        return told.reason[:_LONGEST_REASON]
    if code is not None and code < 0:
        return f"the computation was ended by {signal.Signals(-code).name}"
    return "" if code in (COMPLETE, PARTIAL) else f"the computation ended with code {code}"


def _read_outcome(file: Path) -> Computed | None:
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return Computed(
            exit_code=int(content["exit_code"]),
            reason=str(content["reason"]),
            steps={str(step): float(taken) for step, taken in content.get("seconds", {}).items()},
        )
    except (ValueError, KeyError):
        return None  # cut short


def _put_in_place(work: Path, place: Path) -> bool:
    """Make everything durable, then give it its name in one step; False when that is taken."""
    for path in work.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    try:
        work.rename(place)
    except OSError as fault:
        if fault.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOENT):
            raise
        return False
    sync_folder(place.parent)
    return True


def _adopted(place: Path) -> Computed:
    """What another worker put in place first."""
    found = _read_outcome(place / "computed.json")
    if found is None:
        return Computed(exit_code=1, reason="the results vanished while they were put in place")
    _log.warning("another worker computed this revision too; its results are used")
    return replace(found, steps={})


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        # What the child runs in groups of their own is in its session all the same.
        end_session(child.pid)
    child.wait()


def largest_resident_mib(pid: int) -> float:
    """Largest resident memory of a process so far [MiB]; 0 where that cannot be known."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return float(lines[0].split()[1]) / 1024.0 if lines else 0.0
