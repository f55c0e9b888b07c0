"""What a person asks to have done again, from another process than the one that does it."""

import time
from collections.abc import Sequence

from cestle.spool.audit import AuditEvent, AuditNote, append
from cestle.spool.database import Database, Statements
from cestle.spool.lifecycle import DeliveryState, Event, RevisionState, next_state
from cestle.spool.records import DeliveryRecord, Retry, RevisionRecord


def may_be_computed_again(revision: RevisionRecord, deliveries: Sequence[DeliveryRecord]) -> bool:
    """Whether no destination can have an object of this revision.

    Its UIDs would stay the same, so a second content of them must never have been offered.
    """
    return revision.state is not RevisionState.DONE and not any(
        one.offered or one.sent for one in deliveries
    )


class Retries:
    """Wishes that wait in the record until the node takes them.

    Parameters
    ----------
    database
        Where they are kept.
    actor
        Who asks, for the audit trail.
    """

    def __init__(self, database: Database, *, actor: str = "cestle") -> None:
        self._actor = actor
        self._transaction = database.transaction
        self._read = database.read

    def ask(self, retry: Retry) -> None:
        """Leave a wish."""
        with self._transaction() as run:
            run(
                "INSERT INTO retries (study_instance_uid, step, destination) VALUES (?, ?, ?)",
                *(retry.study_instance_uid, retry.step, retry.destination),
            )
            note = AuditNote(
                event=AuditEvent.WORK_ASKED_FOR,
                actor=self._actor,
                study=retry.study_instance_uid,
                detail={"what": "retry", "step": retry.step, "destination": retry.destination},
            )
            append(run, note, now=time.time())

    def take(self, *, now: float) -> tuple[Retry, ...]:
        """Put back to work what was asked for; each wish once."""
        if not self._read("SELECT 1 FROM retries LIMIT 1"):
            return ()
        with self._transaction() as run:
            rows = run("DELETE FROM retries RETURNING study_instance_uid, step, destination")
            wishes = tuple(dict.fromkeys(Retry(**dict(row)) for row in rows))
            for wish in wishes:
                _put_back(run, wish, now)
        return wishes


def put_back(run: Statements, study_instance_uid: str, now: float) -> None:
    """Put back to work what was set aside of the latest revision of a study."""
    _put_back(run, Retry(study_instance_uid=study_instance_uid), now)


def _put_back(run: Statements, wish: Retry, now: float) -> None:
    latest = run(
        "SELECT number, state FROM revisions WHERE study_instance_uid = ? "
        "ORDER BY number DESC LIMIT 1",
        wish.study_instance_uid,
    )
    if not latest:
        return
    key = (wish.study_instance_uid, int(latest[0]["number"]))
    state = RevisionState(latest[0]["state"])
    if wish.step == "deliver":
        _deliver_again(run, key, state, wish.destination, now)
    elif wish.step == "compute":
        _compute_again(run, key, state, now)
    else:
        _try_again(run, key, state, now)


def _try_again(run: Statements, key: tuple[str, int], state: RevisionState, now: float) -> None:
    # A delivery that only pauses is hurried along in the same way as one that was set aside.
    run(
        "UPDATE deliveries SET state = ?, changed = ?, since = ?, run = run + 1, held = 0, "
        "refusals = 0, resends = 0 "
        "WHERE study_instance_uid = ? AND number = ? AND state != 'delivered'",
        *(DeliveryState.WAITING.value, now, now, *key),
    )
    _enter(run, key, next_state(state, Event.RETRY), now)


def _deliver_again(
    run: Statements, key: tuple[str, int], state: RevisionState, destination: str, now: float
) -> None:
    after = next_state(state, Event.REPEAT)
    if after is None:
        return
    chosen = "study_instance_uid = ? AND number = ? AND (? = '' OR destination = ?)"
    values = (*key, destination, destination)
    run(
        "UPDATE delivery_items SET acknowledged = NULL, committed = NULL "  # noqa: S608
        f"WHERE {chosen}",
        *values,
    )
    fresh = "state = 'waiting', reason = '', held = 0, refusals = 0, resends = 0, attempts = 0"
    run(
        f"UPDATE deliveries SET {fresh}, run = run + 1, changed = ?, since = ? WHERE {chosen}",  # noqa: S608
        *(now, now, *values),
    )
    _enter(run, key, after, now)


def _compute_again(run: Statements, key: tuple[str, int], state: RevisionState, now: float) -> None:
    where = "WHERE study_instance_uid = ? AND number = ?"
    taken = run(
        f"SELECT 1 FROM deliveries {where} AND offered > 0 "  # noqa: S608 - our own text
        "UNION ALL SELECT 1 FROM delivery_items "
        f"{where} AND acknowledged IS NOT NULL LIMIT 1",
        *(*key, *key),
    )
    after = next_state(state, Event.RECOMPUTE)
    if taken or after is None:
        return
    run(
        # What is delivered next is another job than what was delivered before.
        f"UPDATE revisions SET run = (SELECT COALESCE(MAX(run), 0) FROM (SELECT run FROM "  # noqa: S608
        f"deliveries {where} UNION ALL SELECT run FROM revisions {where}) AS runs) {where}",
        *(*key, *key, *key),
    )
    run(f"DELETE FROM delivery_items {where}", *key)  # noqa: S608
    run(f"DELETE FROM deliveries {where}", *key)  # noqa: S608
    _enter(run, key, after, now)


def _enter(run: Statements, key: tuple[str, int], state: RevisionState | None, now: float) -> None:
    if state is not None:
        run(
            "UPDATE revisions SET state = ?, changed = ?, attempts = 0, deaths = 0, "
            "acquittals = 0, run = run + 1 WHERE study_instance_uid = ? AND number = ?",
            *(state.value, now, *key),
        )
