"""What the one worker does that leads: watch over studies, hand on work, clean."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from cestle.engine.jobs import JobEngine
from cestle.errors import CestleError
from cestle.service.assembly import Assembly
from cestle.service.layout import DataFolder
from cestle.spool.journal import Journal
from cestle.spool.workers import Workers


@dataclass(frozen=True, kw_only=True)
class Leader:
    """The work of the leader, round by round.

    Parameters
    ----------
    assembly
        Looks after studies that arrive.
    steps
        What else is done in each round, in this order.
    engine
        Runs what is handed on.
    """

    assembly: Assembly
    steps: Sequence[Callable[[float], None]]
    engine: JobEngine

    def step(self, now: float) -> None:
        """One round."""
        if self.assembly.step(now) < 0:
            # Pauses are measured by the clock too; what waits for it would wait for hours.
            self.engine.hurry()
        for step in self.steps:
            step(now)


def say_farewell(workers: Workers, begun: Sequence[str]) -> None:
    """Record that the workers of these names end in order."""
    for name in begun:
        with suppress(CestleError):  # a database that is away takes this stop for a death
            workers.end(name)


def discard_results(folder: DataFolder, journal: Journal, study_instance_uid: str) -> None:
    """Remove the results of the latest revision when it is to be computed again."""
    latest = journal.revisions(study_instance_uid)[-1]
    place = folder.revision(study_instance_uid, latest.number)
    if latest.state.computing and place.is_dir():
        stale = folder.unfinished(place, "discarded")
        place.rename(stale)
        shutil.rmtree(stale, ignore_errors=True)
