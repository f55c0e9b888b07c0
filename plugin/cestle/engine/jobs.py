"""What the node expects of an engine that runs its work durably."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

Payload = Mapping[str, str | int]
"""What a job needs to know: identifiers, never data."""


class Ending(StrEnum):
    """How one attempt at a job ended.

    `AGAIN` counts as a failure of the job; `LATER` is repeated without counting, because the
    machine was at fault, and `INTERRUPTED` at once.
    """

    DONE = "done"
    AGAIN = "again"
    LATER = "later"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """Growing pauses between attempts.

    Parameters
    ----------
    first_s
        After the first attempt; each later one is twice as long.
    longest_s
        No pause is longer.
    total_s
        When the pauses together would pass this, the job gives up.
    """

    first_s: float
    longest_s: float
    total_s: float

    def after(self, failures: int) -> float | None:
        """Pause after `failures` (from 1) failed attempts [s]; None to give up."""
        pause = self._pause(failures)
        return None if self._waited(failures - 1) + pause > self.total_s else pause

    def _pause(self, count: int) -> float:
        return min(self.longest_s, self.first_s * 2.0 ** min(count - 1, 60))

    def _waited(self, count: int) -> float:
        """Sum of the first `count` pauses [s]."""
        growing = 0
        while growing < count and self._pause(growing + 1) < self.longest_s:
            growing += 1
        return self.first_s * (2.0**growing - 1) + (count - growing) * self.longest_s


@dataclass(frozen=True, kw_only=True)
class JobKind:
    """One sort of work.

    Parameters
    ----------
    name
        Unique; also the name of its queue.
    attempt
        Does the work, once. It may be cut short by a crash at any point and is then called again
        with the same payload, so it must be safe to repeat. It does not raise.
    give_up
        Called when no further attempt is made.
    pauses
        Between attempts that ended with `Ending.AGAIN`, for a payload.
    concurrency
        Jobs of this kind that run at the same time.
    exclusive
        Whether `concurrency` counts for all workers together instead of each.
    """

    name: str
    attempt: Callable[[Payload], Ending]
    give_up: Callable[[Payload], None]
    pauses: Callable[[Payload], Pauses]
    concurrency: int = 1
    exclusive: bool = False


def spread(pause_s: float, name: str) -> float:
    """A pause up to a quarter shorter, always the same for a name, so that few end together [s]."""
    return pause_s * (1.0 - 0.25 * (zlib.crc32(name.encode()) / 2.0**32))


class JobEngine(Protocol):
    """Runs jobs to their end, across crashes and restarts."""

    def start(self, kinds: Sequence[JobKind]) -> None:
        """Begin to run jobs, the ones left over from before first."""

    def submit(self, kind: str, key: str, payload: Payload) -> None:
        """Run a job; a key that was submitted before is not run again."""

    def holds(self, key: str) -> bool:
        """Whether the job `key` waits, runs or pauses."""

    def hurry(self) -> None:
        """Let all pauses end now, because they were measured by a clock that was wrong."""

    def prune(self, before: float) -> int:
        """Forget jobs that ended before a time [s since the epoch]; how many."""

    def stop(self) -> None:
        """End; attempts under way have been told to return, and are continued after a start."""
