"""The circuit breaker of a destination: when it counts as down, and when it is looked at again.

Closed: it is sent to. Open: nothing is sent, and it is asked with growing pauses whether it
answers. Half open: it answered, so one delivery tries it; how that ends decides.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

FAILURES_TO_OPEN: Final = 3
"""Failures in a row after which a destination counts as down."""

PauseAfter = Callable[[int], float]
"""Pause [s] after a number of looks in vain, from 1."""


class BreakerState(StrEnum):
    """Whether a destination is sent to."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, kw_only=True)
class DestinationRecord:
    """What is known of a destination; times in seconds since the epoch, None for never.

    Parameters
    ----------
    name
        In the configuration.
    state
        Whether it is sent to.
    failures
        Failures in a row that may pass by themselves.
    looks
        Looks in vain since it counts as down.
    down_since
        Since when it counts as down.
    open_until
        When it is looked at again.
    last_success
        When a delivery, or a request for commitment, was taken last.
    last_attempt
        When anything was tried last.
    last_echo
        When it answered an echo last.
    reason
        What went wrong last; empty when nothing did since the last success.
    """

    name: str
    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    looks: int = 0
    down_since: float | None = None
    open_until: float | None = None
    last_success: float | None = None
    last_attempt: float | None = None
    last_echo: float | None = None
    reason: str = ""

    def after_success(self, now: float) -> "DestinationRecord":
        """After something was taken."""
        return DestinationRecord(
            name=self.name, last_success=now, last_attempt=now, last_echo=self.last_echo
        )

    def after_failure(
        self, now: float, reason: str, pause_after: PauseAfter
    ) -> "DestinationRecord":
        """After a failure that may pass by itself, of a delivery or of a look."""
        failed = replace(self, failures=self.failures + 1, last_attempt=now, reason=reason)
        if self.state is BreakerState.CLOSED and failed.failures < FAILURES_TO_OPEN:
            return failed
        looks = self.looks + 1
        return replace(
            failed,
            state=BreakerState.OPEN,
            looks=looks,
            down_since=now if self.down_since is None else self.down_since,
            open_until=now + pause_after(looks),
        )

    def after_refusal(self, now: float, reason: str) -> "DestinationRecord":
        """After an answer that a repeat would not change: it is not down."""
        return DestinationRecord(
            name=self.name,
            last_success=self.last_success,
            last_attempt=now,
            last_echo=self.last_echo,
            reason=reason,
        )

    def after_echo(self, now: float) -> "DestinationRecord":
        """After it answered a look.

        That is not yet a delivery that was taken, so the pauses go on growing where they were.
        """
        heard = replace(self, last_echo=now, last_attempt=now)
        if self.state is not BreakerState.OPEN:
            return heard
        return replace(heard, state=BreakerState.HALF_OPEN, open_until=None)

    def closed(self) -> "DestinationRecord":
        """After a look that was answered while nothing was waiting to try it."""
        return replace(
            self,
            state=BreakerState.CLOSED,
            failures=0,
            looks=0,
            down_since=None,
            open_until=None,
            reason="",
        )
