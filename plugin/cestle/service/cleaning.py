"""Cleaning: what is finished and older than the configuration keeps it is removed."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from cestle.config.node import RetentionSection
from cestle.engine.jobs import JobEngine
from cestle.service.layout import DataFolder
from cestle.spool.files import SpoolFiles
from cestle.spool.journal import Journal
from cestle.spool.retention import Retention

_DAY_SECONDS: Final = 86_400.0
_PAUSE_SECONDS: Final = 3_600.0
_ENGINE_DAYS: Final = 7.0
"""Jobs that ended are of no use; a week of them helps to explain what happened."""
_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Cleaning:
    """Removes by age; never what is open, parked, failed or undelivered.

    Parameters
    ----------
    keep
        How long what is kept.
    folder
        Where results are.
    files
        The spool.
    journal
        What is under way.
    retention
        What is old, and the record of what was removed.
    engine
        Keeps jobs that ended.
    pause_s
        Between rounds [s].
    ticks
        A clock that is never set [s].
    """

    keep: RetentionSection
    folder: DataFolder
    files: SpoolFiles
    journal: Journal
    retention: Retention
    engine: JobEngine
    pause_s: float = _PAUSE_SECONDS
    ticks: Callable[[], float] = time.monotonic
    _next: float = field(default=0.0)

    def step(self, now: float) -> None:
        """Clean when it is time."""
        if self.ticks() < self._next:
            return
        self._next = self.ticks() + self.pause_s
        self._spool(now)
        self._results(now)
        self._quarantine(now)
        self.engine.prune(now - _ENGINE_DAYS * _DAY_SECONDS)

    def _spool(self, now: float) -> None:
        if not self.keep.spool_days:
            return
        limit = now - self.keep.spool_days * _DAY_SECONDS
        for uid in self.retention.studies_before(limit):
            # The record first: a file that is left by a crash is removed by the next start.
            paths = self.retention.take_instances(uid, limit, now=now)
            self.retention.remove_files(paths, self.files.remove)
            if paths:
                _log.info("received images removed by age", study=uid, instances=len(paths))

    def _results(self, now: float) -> None:
        self._unfinished()
        if not self.keep.results_days:
            return
        limit = now - self.keep.results_days * _DAY_SECONDS
        for uid, number in self.retention.results_before(limit):
            if self.retention.take_results(uid, number, now=now):
                shutil.rmtree(self.folder.revision(uid, number), ignore_errors=True)
                _log.info("results removed by age", study=uid, revision=number)

    def _unfinished(self) -> None:
        """Remove what dead workers left of revisions that are settled."""
        open_ones = {(one.study_instance_uid, one.number) for one in self.journal.unfinished()}
        for part in self.folder.results.glob("*/r*.part"):
            number = part.name.partition(".")[0].removeprefix("r")
            settled = number.isdigit() and (part.parent.name, int(number)) not in open_ones
            if settled:
                shutil.rmtree(part, ignore_errors=True)

    def _quarantine(self, now: float) -> None:
        if not self.keep.quarantine_days:
            return
        count = self.files.clean_quarantine(now - self.keep.quarantine_days * _DAY_SECONDS)
        if count:
            _log.info("quarantined files removed by age", files=count)
