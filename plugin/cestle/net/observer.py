"""Who is told what the listener does: counted for the metrics, written to the audit trail."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asked for an association; empty where the request does not say."""

    calling: str = ""
    called: str = ""
    address: str = ""


class Observer:
    """Told of associations and answers; this one looks away.

    The methods are called in the threads of the listener and of the associations, several at a
    time. They are quick and do not raise.
    """

    def turned_away(self, caller: Caller, reason: str) -> None:
        """An association, or a connection before it became one, was refused."""

    def accepted(self, caller: Caller) -> None:
        """An association was accepted."""

    def answered(self, status: int) -> None:
        """A C-STORE was answered with a DIMSE status."""

    def ended(self, caller: Caller, studies: Mapping[str, int], *, released: bool) -> None:
        """An accepted association ended; for each study how many instances were answered Success.

        Called once for each `accepted`, after the last answer.
        """
