"""Notices when the clock of the machine is set, or when the machine slept."""

import time
from collections.abc import Callable
from typing import Final

_SLACK_SECONDS: Final = 5.0


class ClockWatch:
    """Compares the clock with one that cannot be set.

    Parameters
    ----------
    ticks
        A clock that only runs, and stands while the machine sleeps [s].
    """

    def __init__(self, ticks: Callable[[], float] = time.monotonic) -> None:
        self._ticks = ticks
        self._before: tuple[float, float] | None = None

    def look(self, now: float) -> tuple[float, float]:
        """The time at the look before, and how far the clock was set since then [s].

        Parameters
        ----------
        now
            The time [s since the epoch].
        """
        ticks = self._ticks()
        before, self._before = self._before, (now, ticks)
        if before is None:
            return now, 0.0
        jump = (now - before[0]) - (ticks - before[1])
        return before[0], jump if abs(jump) > _SLACK_SECONDS else 0.0
