"""Storage commitment: what was asked for, what was answered, and what follows for deliveries.

A transaction is recorded before it is asked for, and an answer before anything is made of it, so
neither is lost with a process. The answer may come to another process than the one that asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Any, Final

from cestle.spool.database import Database
from cestle.spool.lifecycle import DeliveryState
from cestle.spool.records import DeliveryRecord

COMMITTED: Final = "committed"
"""Outcome of an instance that the destination keeps; another one is the reason that it does not."""


class CommitmentState(StrEnum):
    """Where a transaction is."""

    OPEN = "open"
    REPORTED = "reported"
    CLOSED = "closed"


class Receipt(Enum):
    """What the record knew of a transaction when its report came."""

    NEW = auto()
    REPEATED = auto()
    UNKNOWN = auto()
    FOREIGN = auto()


@dataclass(frozen=True, kw_only=True)
class CommitmentRecord:
    """One transaction.

    Parameters
    ----------
    transaction_uid
        Which one.
    study_instance_uid, number, destination
        The delivery that it belongs to.
    state
        Where it is.
    created
        When it was asked for [s since the epoch].
    deadline
        When it is asked for anew without an answer [s since the epoch].
    answered
        When the report came; None when none did.
    """

    transaction_uid: str
    study_instance_uid: str
    number: int
    destination: str
    state: CommitmentState
    created: float
    deadline: float
    answered: float | None


class Commitments:
    """Transactions of storage commitment; safe to use from several threads and processes.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = database.transaction
        self._read = database.read

    def to_commit(self, delivery: DeliveryRecord) -> tuple[tuple[str, str], ...]:
        """SOP class and instance UID, as sent, of what was acknowledged and is not committed."""
        rows = self._read(
            "SELECT sent_class, sent_uid FROM delivery_items WHERE study_instance_uid = ? AND "
            "number = ? AND destination = ? AND acknowledged IS NOT NULL AND committed IS NULL "
            "AND sent_uid != '' ORDER BY position",
            *_key(delivery),
        )
        return tuple((row["sent_class"], row["sent_uid"]) for row in rows)

    def begin(
        self,
        delivery: DeliveryRecord,
        transaction_uid: str,
        instances: Sequence[tuple[str, str]],
        *,
        now: float,
        deadline: float,
    ) -> None:
        """Record a transaction that is about to be asked for.

        Parameters
        ----------
        delivery
            What it belongs to.
        transaction_uid
            Unique.
        instances
            SOP class and instance UIDs.
        now, deadline
            Times [s since the epoch].
        """
        with self._transaction() as run:
            run(
                "INSERT INTO commitments (transaction_uid, study_instance_uid, number, "
                "destination, state, created, deadline) VALUES (?, ?, ?, ?, ?, ?, ?)",
                *(transaction_uid, *_key(delivery), CommitmentState.OPEN.value, now, deadline),
            )
            for sop_class_uid, sop_instance_uid in instances:
                run(
                    "INSERT INTO commitment_items (transaction_uid, sop_instance_uid, "
                    "sop_class_uid) VALUES (?, ?, ?)",
                    *(transaction_uid, sop_instance_uid, sop_class_uid),
                )

    def asked(self, delivery: DeliveryRecord) -> tuple[CommitmentRecord, ...]:
        """The transactions of a delivery since it was last put to work, the oldest first."""
        rows = self._read(
            "SELECT * FROM commitments WHERE study_instance_uid = ? AND number = ? "
            "AND destination = ? AND created >= ? ORDER BY created, transaction_uid",
            *(*_key(delivery), delivery.begun),
        )
        return tuple(map(_record, rows))

    def is_open(self, transaction_uid: str) -> bool:
        """Whether its report is still to come."""
        rows = self._read(
            "SELECT 1 FROM commitments WHERE transaction_uid = ? AND state = 'open'",
            transaction_uid,
        )
        return bool(rows)

    def record_report(
        self,
        transaction_uid: str,
        outcomes: Mapping[str, str],
        *,
        destinations: frozenset[str],
        now: float,
    ) -> Receipt:
        """Record a report; what follows from it is done by `apply`.

        Parameters
        ----------
        transaction_uid
            Which transaction.
        outcomes
            `COMMITTED` or a reason, for SOP Instance UIDs.
        destinations
            Those that the sender of the report may speak for.
        now
            The time [s since the epoch].
        """
        with self._transaction() as run:
            rows = run("SELECT * FROM commitments WHERE transaction_uid = ?", transaction_uid)
            if not rows:
                return Receipt.UNKNOWN
            if rows[0]["destination"] not in destinations:
                return Receipt.FOREIGN
            if rows[0]["state"] != CommitmentState.OPEN.value:
                return Receipt.REPEATED
            run(
                "UPDATE commitments SET state = 'reported', answered = ? WHERE transaction_uid = ?",
                now,
                transaction_uid,
            )
            for sop_instance_uid, outcome in outcomes.items():
                run(
                    "UPDATE commitment_items SET outcome = ? WHERE transaction_uid = ? "
                    "AND sop_instance_uid = ?",
                    *(outcome, transaction_uid, sop_instance_uid),
                )
        return Receipt.NEW

    def reported(self) -> tuple[CommitmentRecord, ...]:
        """Transactions whose report can be applied, in order of the reports.

        That of a delivery which is being sent, or asked for, at this moment has to wait.
        """
        rows = self._read(
            "SELECT commitments.* FROM commitments "
            "JOIN deliveries USING (study_instance_uid, number, destination) "
            "WHERE commitments.state = 'reported' AND deliveries.state != 'waiting' "
            "ORDER BY answered, created DESC"
        )
        return tuple(map(_record, rows))

    def apply(self, commitment: CommitmentRecord, *, now: float) -> dict[str, str]:
        """Make of a report what follows: mark what is committed, have the rest sent again.

        Returns
        -------
            Reasons by SOP Instance UID for what is sent again.
        """
        key = (commitment.study_instance_uid, commitment.number, commitment.destination)
        failed: dict[str, str] = {}
        with self._transaction() as run:
            items = run(
                "SELECT sop_instance_uid, outcome FROM commitment_items WHERE transaction_uid = ?",
                commitment.transaction_uid,
            )
            for item in items:
                uid, outcome = item["sop_instance_uid"], item["outcome"]
                if outcome == COMMITTED:
                    run(
                        "UPDATE delivery_items SET committed = ? WHERE study_instance_uid = ? "
                        "AND number = ? AND destination = ? AND sent_uid = ?",
                        *(now, *key, uid),
                    )
                elif outcome:
                    # A later transaction may have had a better answer for it already.
                    again = run(
                        "UPDATE delivery_items SET acknowledged = NULL "
                        "WHERE study_instance_uid = ? AND number = ? AND destination = ? "
                        "AND sent_uid = ? AND committed IS NULL AND acknowledged <= ? "
                        "RETURNING position",
                        *(*key, uid, commitment.created),
                    )
                    if again:
                        failed[uid] = outcome
            run(
                "UPDATE commitments SET state = 'closed' WHERE transaction_uid = ?",
                commitment.transaction_uid,
            )
            if failed:
                run(
                    "UPDATE deliveries SET resends = resends + 1, state = ?, changed = ?, "
                    "run = run + 1 WHERE study_instance_uid = ? AND number = ? "
                    "AND destination = ? AND state = 'committing'",
                    *(DeliveryState.WAITING.value, now, *key),
                )
        return failed

    def ask_again(self, delivery: DeliveryRecord, reason: str, *, now: float) -> None:
        """Put a delivery that waits for commitment back to work, to ask for it anew."""
        with self._transaction() as run:
            run(
                "UPDATE deliveries SET state = ?, reason = ?, changed = ?, run = run + 1 "
                "WHERE study_instance_uid = ? AND number = ? AND destination = ? "
                "AND state = 'committing'",
                *(DeliveryState.WAITING.value, reason, now, *_key(delivery)),
            )

    # For those who watch

    def open_count(self) -> int:
        """Transactions whose report is awaited."""
        return int(self._read(f"SELECT COUNT(*) AS found {_AWAITED}")[0]["found"])

    def oldest_open(self) -> float | None:
        """When the oldest of them was asked for [s since the epoch]; None without any."""
        found = self._read(f"SELECT MIN(created) AS found {_AWAITED}")[0]["found"]
        return None if found is None else float(found)


_AWAITED: Final = (
    "FROM commitments JOIN deliveries USING (study_instance_uid, number, destination) "
    "WHERE commitments.state = 'open' AND deliveries.state = 'committing'"
)


def _key(delivery: DeliveryRecord) -> tuple[str, int, str]:
    return delivery.study_instance_uid, delivery.number, delivery.destination


def _record(row: Mapping[str, Any]) -> CommitmentRecord:
    values = dict(row)
    return CommitmentRecord(**(values | {"state": CommitmentState(values["state"])}))
