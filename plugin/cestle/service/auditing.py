"""The audit trail for a person: read it, export it, verify it. Reading it is an entry too."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cestle.config.node import NodeConfig
from cestle.errors import InputError
from cestle.service.layout import DataFolder
from cestle.service.operate import operator
from cestle.spool.audit import (
    AuditEntry,
    AuditEvent,
    AuditNote,
    AuditTrail,
    Head,
    Outcome,
    verify,
)


def read_trail(config: NodeConfig, *, since: str = "") -> Iterator[AuditEntry]:
    """Entries in order; those from the time `since` (ISO 8601) on.

    Raises
    ------
    InputError
        When `since` is no time, or the node never ran.
    """
    begin = _utc(since) if since else ""
    with _open(config) as trail:
        _note(trail, what="read", since=begin)
        yield from trail.entries(begin)


def verify_trail(config: NodeConfig, *, noted: str = "") -> Head:
    """Verify the whole chain; its last entry.

    Parameters
    ----------
    config
        The node's configuration.
    noted
        Hash of an entry that was noted earlier; empty for none.

    Raises
    ------
    InputError
        With the first entry that does not fit, or when the node never ran.
    """
    with _open(config) as trail:
        try:
            verify(trail.entries(), noted=noted.strip().lower())
        except InputError as fault:
            _note(trail, what="verified", outcome=Outcome.MAJOR_FAILURE, found=str(fault))
            raise
        head = trail.head()
        _note(trail, what="verified")
        return head


@contextmanager
def _open(config: NodeConfig) -> Iterator[AuditTrail]:
    folder = DataFolder.existing(config)
    if not folder.has_journal:
        raise InputError(
            f"{folder.root} has no journal, expected the data_dir of a node that has run; see "
            "[node] data_dir"
        )
    with folder.open_database() as database:
        yield AuditTrail(database)


def _note(
    trail: AuditTrail, *, what: str, outcome: Outcome = Outcome.SUCCESS, **detail: str
) -> None:
    note = AuditNote(
        event=AuditEvent.TRAIL_READ,
        outcome=outcome,
        actor=operator(),
        detail={"what": what} | detail,
    )
    trail.add(note, now=time.time())


def _utc(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as fault:
        raise InputError(
            f"--since is '{text[:40]}', expected a date or time such as 2026-03-01 or "
            "2026-03-01T12:00:00+01:00"
        ) from fault
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds")
