"""The audit trail: who did what, when, in a chain in which no entry can be changed unseen.

Events and codes are those of PS3.15 A.5. Each entry holds the hash of the one before, so a
changed, removed or inserted entry breaks the chain. Entries cut off at the end, or a chain that
was made anew as a whole, are seen only by whoever noted the hash of the last entry before: the
node logs it at its start and daily, and shows it in its health.

No entry names a patient; a study is its Study Instance UID.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Any, Final

from cestle.errors import InputError
from cestle.spool.database import Database, Statements

Detail = Mapping[str, str | int | float | None]
GENESIS: Final = "0" * 64
"""What the first entry has in place of the hash of the one before."""
_COLUMNS: Final = (
    *("seq", "time", "event", "outcome", "actor", "source", "study", "detail", "previous"),
)


class AuditEvent(Enum):
    """What can happen: the event's code of DCM, and its type's code, or a word where it has none.

    Removal by age and questions to an archive are written by the parts of the node that do them.
    """

    NODE_STARTED = ("110100", "110120")
    NODE_STOPPED = ("110100", "110121")
    TRAIL_READ = ("110101", "")
    DELIVERY_PLANNED = ("110102", "")
    INPUTS_FIXED = ("110103", "")
    RESULTS_MADE = ("110103", "created")
    INSTANCES_RECEIVED = ("110104", "received")
    DELIVERY_ENDED = ("110104", "sent")
    STUDY_DELETED = ("110105", "")
    LISTENER_STARTED = ("110108", "110124")
    LISTENER_STOPPED = ("110108", "110125")
    WORK_ASKED_FOR = ("110111", "")
    ARCHIVE_ASKED = ("110112", "")
    ASSOCIATION_REFUSED = ("110113", "110126")
    INSTANCE_MISSING = ("110113", "110135")

    @property
    def label(self) -> str:
        """As it is written down."""
        return self.name.lower()


MEANINGS: Final = {
    "110100": "Application Activity",
    "110101": "Audit Log Used",
    "110102": "Begin Transferring DICOM Instances",
    "110103": "DICOM Instances Accessed",
    "110104": "DICOM Instances Transferred",
    "110105": "DICOM Study Deleted",
    "110108": "Network Entry",
    "110111": "Procedure Record",
    "110112": "Query",
    "110113": "Security Alert",
    "110120": "Application Start",
    "110121": "Application Stop",
    "110124": "Attach",
    "110125": "Detach",
    "110126": "Node Authentication",
    "110135": "Object Security Attributes Changed",
}
"""Code meanings of the events (PS3.16 annex D)."""


class Outcome(IntEnum):
    """Event outcome indicator of PS3.15 A.5.2."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


@dataclass(frozen=True, kw_only=True)
class AuditNote:
    """What is to be written down.

    Parameters
    ----------
    event
        What happened.
    outcome
        How it ended.
    actor
        A process of the node, a calling AE title, or the user of the operating system.
    source
        Network address; empty for this machine.
    study
        Study Instance UID; empty when it is about none.
    detail
        Counts and reasons, without patient data.
    """

    event: AuditEvent
    outcome: Outcome = Outcome.SUCCESS
    actor: str = ""
    source: str = ""
    study: str = ""
    detail: Detail | None = None


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One link of the chain, as it is kept.

    Parameters
    ----------
    seq
        From 1, without gaps.
    time
        ISO 8601, UTC, with microseconds.
    event, outcome, actor, source, study
        As in `AuditNote`.
    detail
        JSON.
    previous
        Hash of the entry before.
    hash
        SHA-256 of everything above.
    """

    seq: int
    time: str
    event: str
    outcome: int
    actor: str
    source: str
    study: str
    detail: str
    previous: str
    hash: str

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON tree, with the codes of the event."""
        known = AuditEvent.__members__.get(self.event.upper())
        code, kind = ("", "") if known is None else known.value
        return asdict(self) | {
            "detail": json.loads(self.detail or "{}"),
            "code": code,
            "meaning": MEANINGS.get(code, ""),
            "type_code": kind if kind in MEANINGS else "",
            "type_meaning": MEANINGS.get(kind, ""),
        }


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last entry: its number and its hash."""

    seq: int
    hash: str


def append(run: Statements, note: AuditNote, *, now: float) -> None:
    """Add an entry within a transaction of `Database`, which puts the writers in line.

    Parameters
    ----------
    run
        The transaction; the entry stands or falls with what else it does.
    note
        What happened.
    now
        The time [s since the epoch].
    """
    last = run("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    entry = {
        "seq": last[0]["seq"] + 1 if last else 1,
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds"),
        "event": note.event.label,
        "outcome": int(note.outcome),
        "actor": note.actor,
        "source": note.source,
        "study": note.study,
        "detail": json.dumps(note.detail or {}, sort_keys=True),
        "previous": last[0]["hash"] if last else GENESIS,
    }
    run(
        "INSERT INTO audit (seq, time, event, outcome, actor, source, study, detail, previous, "
        "hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *entry.values(),
        _digest(entry),
    )


class AuditTrail:
    """The chain in the node's database; safe to use from several threads and processes.

    Parameters
    ----------
    database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, note: AuditNote, *, now: float) -> None:
        """Add an entry in a transaction of its own.

        Raises
        ------
        SpoolError
            When it could not be committed.
        """
        with self._database.transaction() as run:
            append(run, note, now=now)

    def head(self) -> Head:
        """The last entry; number 0 when there is none."""
        rows = self._database.read("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        return Head(**dict(rows[0])) if rows else Head(seq=0, hash=GENESIS)

    def entries(self, since: str = "") -> Iterator[AuditEntry]:
        """Entries in order, those from the time `since` (ISO 8601, UTC) on; all when empty."""
        after = 0
        while rows := self._database.read(
            "SELECT * FROM audit WHERE seq > ? AND time >= ? ORDER BY seq LIMIT 1000", after, since
        ):
            yield from (AuditEntry(**dict(row)) for row in rows)
            after = rows[-1]["seq"]


def verify(entries: Iterable[AuditEntry], *, noted: str = "") -> int:
    """Check a whole chain; the number of its entries.

    Parameters
    ----------
    entries
        All of them, in order.
    noted
        Hash of an entry that was noted earlier, to be found in the chain; empty for none.

    Raises
    ------
    InputError
        With the first entry that does not fit.
    """
    count, previous, found = 0, GENESIS, not noted
    for entry in entries:
        count += 1
        if entry.seq != count:
            raise InputError(
                f"the audit trail is broken at entry {count}: the next one that is there is "
                f"{entry.seq}, expected {count}; entries were removed or added"
            )
        if entry.previous != previous:
            raise InputError(
                f"the audit trail is broken at entry {count}: it does not follow the entry before; "
                "one of the two was replaced"
            )
        if entry.hash != _digest({name: getattr(entry, name) for name in _COLUMNS}):
            raise InputError(
                f"the audit trail is broken at entry {count}: its content does not give its hash; "
                "it was changed after it was written"
            )
        previous = entry.hash
        found = found or previous == noted
    if not found:
        raise InputError(
            f"none of the {count} entries of the audit trail has the noted hash {noted[:64]}; "
            "entries were cut off, or the chain was made anew"
        )
    return count


def _digest(entry: Mapping[str, Any]) -> str:
    content = json.dumps([entry[name] for name in _COLUMNS], separators=(",", ":"))
    return hashlib.sha256(content.encode("ascii")).hexdigest()
