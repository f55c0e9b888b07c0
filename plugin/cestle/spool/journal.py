"""The journal: what arrived, what was made of it, and where it was delivered.

It is the record that everything else follows: a process that was killed reads here what is left
to do. A commit survives a power failure. Times are seconds since the epoch, UTC.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cestle.spool.audit import AuditEvent, AuditNote, Outcome, append
from cestle.spool.database import Database, Statements
from cestle.spool.lifecycle import DeliveryState, Event, RevisionState, next_state
from cestle.spool.records import (
    Arrival,
    DeliveryItem,
    DeliveryRecord,
    RevisionRecord,
    StoredInstance,
    StudyRecord,
)
from cestle.spool.retries import put_back
from cestle.spool.together import Together

_TICK_SECONDS: Final = 1e-6


class Journal:
    """The journal; safe to use from several threads and several processes.

    Parameters
    ----------
    database
        Where it is kept.
    actor
        Who works with it, for the audit trail, whose entries are part of the same transactions.
    """

    def __init__(self, database: Database, *, actor: str = "cestle") -> None:
        self._database = database
        self._actor = actor
        self._transaction = database.transaction
        self._read = database.read
        self._arrivals = Together(self._record_arrivals)

    # What arrives

    def knows(self, sop_instance_uid: str, sha256: str) -> bool:
        """Whether this very content is recorded."""
        return bool(
            self._read(
                "SELECT 1 FROM instances WHERE sop_instance_uid = ? AND sha256 = ?",
                sop_instance_uid,
                sha256,
            )
        )

    def record_arrival(self, instance: StoredInstance, *, wanted: str = "") -> Arrival:
        """Record an instance whose file is safe; a committed answer, or an error.

        Content that is known already changes nothing, except that it prolongs a collection
        under way. Anything new opens one.

        Parameters
        ----------
        instance
            What arrived.
        wanted
            When not empty: process the study again whether or not anything is new, and why.

        Raises
        ------
        SpoolError
            When it could not be committed.
        """
        return self._arrivals((instance, wanted))

    def _record_arrivals(self, batch: Sequence[tuple[StoredInstance, str]]) -> list[Arrival]:
        with self._transaction() as run:
            return [_record_arrival(run, instance, wanted) for instance, wanted in batch]

    def ask_for_revision(
        self,
        study_instance_uid: str,
        *,
        why: str,
        now: float,
        options: str = "",
        at_once: bool = False,
    ) -> bool:
        """Ask for a study to be processed again; False when the study is unknown.

        Parameters
        ----------
        study_instance_uid
            The study.
        why
            For the record; not empty.
        now
            The time [s since the epoch].
        options
            How it is to be processed, as the caller writes it down; empty for as before.
        at_once
            Whether to begin with what there is, without waiting for anything.
        """
        with self._transaction() as run:
            if not run("SELECT 1 FROM studies WHERE study_instance_uid = ?", study_instance_uid):
                return False
            _open_collection(run, study_instance_uid, now, why, options)
            event = AuditEvent.WORK_ASKED_FOR
            self._audit(run, event, study_instance_uid, now, what="revision", why=why)
            if at_once:
                run(
                    "UPDATE studies SET hurried = 1 WHERE study_instance_uid = ?",
                    study_instance_uid,
                )
        return True

    def instances(self, study_instance_uid: str) -> tuple[StoredInstance, ...]:
        """Everything received of a study, in order of arrival."""
        rows = self._read(
            "SELECT * FROM instances WHERE study_instance_uid = ? "
            "ORDER BY received, sop_instance_uid, sha256",
            study_instance_uid,
        )
        return tuple(StoredInstance(**dict(row)) for row in rows)

    def all_paths(self) -> frozenset[str]:
        """Paths of all instances, relative to the spool's instance folder."""
        return frozenset(row["path"] for row in self._read("SELECT path FROM instances"))

    def cleaned_paths(self) -> frozenset[str]:
        """Paths of instances that were removed by age, relative to the same folder."""
        return frozenset(row["path"] for row in self._read("SELECT path FROM cleaned_instances"))

    def forget(self, path: str) -> None:
        """Remove the row of an instance whose file is gone, so that it can be sent again."""
        with self._transaction() as run:
            run("DELETE FROM instances WHERE path = ?", path)

    # Studies

    def study(self, study_instance_uid: str) -> StudyRecord | None:
        """One study; None when nothing of it was received."""
        found = self._studies("WHERE study_instance_uid = ?", study_instance_uid)
        return found[0] if found else None

    def studies(self) -> tuple[StudyRecord, ...]:
        """All studies, the last touched first."""
        return self._studies("ORDER BY last_arrival DESC")

    def collecting(self) -> tuple[StudyRecord, ...]:
        """Studies that no revision covers yet, the longest waiting first."""
        return self._studies("WHERE collecting = 1 ORDER BY first_arrival")

    def _studies(self, condition: str, *values: Any) -> tuple[StudyRecord, ...]:
        rows = self._read(f"SELECT * FROM studies {condition}", *values)  # noqa: S608 - our text
        return tuple(
            StudyRecord(
                **(dict(row) | {name: bool(row[name]) for name in ("collecting", "hurried")})
            )
            for row in rows
        )

    def set_note(self, study_instance_uid: str, note: str) -> None:
        """Say what a study waits for."""
        with self._transaction() as run:
            run(
                "UPDATE studies SET note = ? WHERE study_instance_uid = ?",
                note,
                study_instance_uid,
            )

    def restamp(self, *, known_by: float, delay: float, now: float) -> None:
        """Correct the times of collections after the clock was set.

        Parameters
        ----------
        known_by
            Arrivals up to this time were recorded before the clock was set.
        delay
            How far it was set forward [s]; those arrivals are moved along.
        now
            The time; no arrival is later than this afterwards.
        """
        with self._transaction() as run:
            for column in ("first_arrival", "last_arrival"):
                run(
                    f"UPDATE studies SET {column} = {column} + ? "  # noqa: S608 - our own names
                    f"WHERE collecting = 1 AND {column} <= ?",
                    *(delay, known_by),
                )
                run(
                    f"UPDATE studies SET {column} = ? "  # noqa: S608 - our own names
                    f"WHERE collecting = 1 AND {column} > ?",
                    *(now, now),
                )

    def close_collection(self, study: StudyRecord, *, note: str) -> bool:
        """End a collection without a revision; False when something arrived meanwhile."""
        with self._transaction() as run:
            return _end_collection(run, study, note)

    # Revisions

    def open_revision(
        self,
        study: StudyRecord,
        *,
        inputs: Sequence[StoredInstance],
        used: frozenset[str],
        cause: str,
        now: float,
        options: str = "",
        fingerprint: str = "",
    ) -> RevisionRecord | None:
        """Fix the inputs of the next revision and end the collection, in one commit.

        Parameters
        ----------
        study
            As it was when it was judged complete.
        inputs
            One stored instance for each SOP Instance UID.
        used
            SOP Instance UIDs of those inputs that results depend on.
        cause
            Why the revision is made, in words.
        now
            The time [s since the epoch].
        options
            How it is to be processed, as the caller writes it down.
        fingerprint
            Of all that its results follow from.

        Returns
        -------
            The revision, or None when something arrived meanwhile, so that the study has to be
            judged again.
        """
        uid = study.study_instance_uid
        with self._transaction() as run:
            if not _end_collection(run, study, ""):
                return None
            number = (
                1
                + run(
                    "SELECT COALESCE(MAX(number), 0) AS last FROM revisions "
                    "WHERE study_instance_uid = ?",
                    uid,
                )[0]["last"]
            )
            predecessor = run(
                "SELECT MAX(number) AS last FROM revisions WHERE study_instance_uid = ? "
                "AND state IN ('delivering', 'done', 'undelivered')",
                uid,
            )[0]["last"]
            run(
                "INSERT INTO revisions (study_instance_uid, number, state, cause, predecessor, "
                "created, changed, options, fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(uid, number, RevisionState.QUEUED.value, cause, predecessor, now, now, options),
                fingerprint,
            )
            for one in inputs:
                run(
                    "INSERT INTO revision_inputs (study_instance_uid, number, sop_instance_uid, "
                    "sha256, used) VALUES (?, ?, ?, ?, ?)",
                    *(uid, number, one.sop_instance_uid, one.sha256),
                    int(one.sop_instance_uid in used),
                )
            self._audit(
                run,
                AuditEvent.INPUTS_FIXED,
                uid,
                now,
                revision=number,
                cause=cause,
                instances=len(inputs),
            )
        return self.revision(uid, number)

    def compute_again(
        self, study: StudyRecord, revision: RevisionRecord, *, why: str, now: float
    ) -> bool:
        """End a collection by computing again a revision that gave no result.

        Returns
        -------
            False, with nothing changed, when something arrived meanwhile or the revision has
            moved on.
        """
        with self._transaction() as run:
            if next_state(revision.state, Event.RETRY) is not RevisionState.QUEUED:
                return False
            if not _end_collection(run, study, ""):
                return False
            _note_repeat(run, revision, why)
            put_back(run, revision.study_instance_uid, now)
        return True

    def deliver_again(
        self,
        study: StudyRecord,
        revision: RevisionRecord,
        plan: Mapping[str, Sequence[DeliveryItem]],
        *,
        why: str,
        now: float,
    ) -> bool:
        """End a collection by sending the objects of a revision once more, everywhere.

        Parameters
        ----------
        study
            As it was when it was judged.
        revision
            Its latest revision, with results.
        plan
            As in `plan_deliveries`; a destination that is no longer in it keeps its record.
        why
            For the record; not empty.
        now
            The time [s since the epoch].

        Returns
        -------
            False, with nothing changed, when something arrived meanwhile or there is no result.
        """
        with self._transaction() as run:
            if next_state(revision.state, Event.REPEAT) is None:
                return False
            if not _end_collection(run, study, ""):
                return False
            _note_repeat(run, revision, why)
            uid, number = revision.study_instance_uid, revision.number
            run(
                "UPDATE revisions SET state = ?, changed = ? "
                "WHERE study_instance_uid = ? AND number = ?",
                *(RevisionState.DELIVERING.value, now, uid, number),
            )
            for destination, items in plan.items():
                run(
                    "DELETE FROM delivery_items WHERE study_instance_uid = ? AND number = ? "
                    "AND destination = ?",
                    *(uid, number, destination),
                )
                self._audit(
                    run,
                    AuditEvent.DELIVERY_PLANNED,
                    uid,
                    now,
                    revision=number,
                    destination=destination,
                    instances=len(items),
                    cause=why,
                )
                _plan_delivery(run, revision, destination, items, now)
        return True

    def revision(self, study_instance_uid: str, number: int) -> RevisionRecord | None:
        """One revision; None when there is none of this number."""
        found = self._revisions(
            "WHERE study_instance_uid = ? AND number = ?", study_instance_uid, number
        )
        return found[0] if found else None

    def revisions(self, study_instance_uid: str) -> tuple[RevisionRecord, ...]:
        """All revisions of a study, the oldest first."""
        return self._revisions("WHERE study_instance_uid = ? ORDER BY number", study_instance_uid)

    def unfinished(self) -> tuple[RevisionRecord, ...]:
        """All revisions that the node still works on, the oldest first."""
        return self._revisions(
            "WHERE state IN ('queued', 'computing', 'delivering') ORDER BY created"
        )

    def _revisions(self, condition: str, *values: Any) -> tuple[RevisionRecord, ...]:
        rows = self._read(f"SELECT * FROM revisions {condition}", *values)  # noqa: S608 - our text
        return tuple(
            RevisionRecord(**(dict(row) | {"state": RevisionState(row["state"])})) for row in rows
        )

    def inputs(self, study_instance_uid: str, number: int) -> tuple[StoredInstance, ...]:
        """The fixed inputs of a revision, in order of arrival."""
        rows = self._read(
            "SELECT instances.* FROM instances JOIN revision_inputs "
            "USING (study_instance_uid, sop_instance_uid, sha256) "
            "WHERE study_instance_uid = ? AND number = ? "
            "ORDER BY received, sop_instance_uid, sha256",
            study_instance_uid,
            number,
        )
        return tuple(StoredInstance(**dict(row)) for row in rows)

    def used_inputs(self, study_instance_uid: str, number: int) -> frozenset[tuple[str, str]]:
        """SOP Instance UID and SHA-256 of the inputs that a revision's results depend on."""
        rows = self._read(
            "SELECT sop_instance_uid, sha256 FROM revision_inputs "
            "WHERE study_instance_uid = ? AND number = ? AND used = 1",
            study_instance_uid,
            number,
        )
        return frozenset((row["sop_instance_uid"], row["sha256"]) for row in rows)

    def advance(
        self, revision: RevisionRecord, event: Event, *, now: float, reason: str = ""
    ) -> RevisionRecord | None:
        """Apply `event` to a revision.

        Returns
        -------
            The revision after it; None, with nothing changed, when the event means nothing in
            the state that the revision is in by now.
        """
        uid, number = revision.study_instance_uid, revision.number
        with self._transaction() as run:
            rows = run(
                "SELECT state FROM revisions WHERE study_instance_uid = ? AND number = ?",
                uid,
                number,
            )
            state = next_state(RevisionState(rows[0]["state"]), event) if rows else None
            if state is None:
                return None
            run(
                "UPDATE revisions SET state = ?, reason = ?, changed = ?, "
                "attempts = attempts + ?, run = run + ? "
                "WHERE study_instance_uid = ? AND number = ?",
                *(state.value, reason, now),
                {Event.START: 1, Event.INTERRUPT: -1}.get(event, 0),
                int(event is Event.RETRY),
                *(uid, number),
            )
            if state in (RevisionState.PARKED, RevisionState.FAILED):
                told = {"revision": number, "state": state.value, "reason": reason}
                outcome = Outcome.SERIOUS_FAILURE
                self._audit(run, AuditEvent.RESULTS_MADE, uid, now, outcome, **told)
        return self.revision(uid, number)

    def note_attempt(self, revision: RevisionRecord, reason: str, *, now: float) -> None:
        """Record why the last attempt at a revision did not succeed."""
        with self._transaction() as run:
            run(
                "UPDATE revisions SET reason = ?, changed = ? "
                "WHERE study_instance_uid = ? AND number = ?",
                *(reason, now, revision.study_instance_uid, revision.number),
            )

    def count_run(self, revision: RevisionRecord) -> RevisionRecord:
        """Count that a revision is handed to the engine once more."""
        with self._transaction() as run:
            run(
                "UPDATE revisions SET run = run + 1 WHERE study_instance_uid = ? AND number = ?",
                revision.study_instance_uid,
                revision.number,
            )
        return self.revision(revision.study_instance_uid, revision.number) or revision

    # Deliveries

    def plan_deliveries(
        self,
        revision: RevisionRecord,
        plan: Mapping[str, Sequence[DeliveryItem]],
        *,
        reason: str,
        now: float,
    ) -> bool:
        """Record a finished computation and what is to be sent where, in one commit.

        Parameters
        ----------
        revision
            A revision that is being computed.
        plan
            For the name of each destination the objects that it gets, in the order of sending.
        reason
            What is to be said about the result; empty when it is complete.
        now
            The time [s since the epoch].

        Returns
        -------
            False, with nothing changed, when the revision is not being computed: another worker
            was faster.
        """
        uid, number = revision.study_instance_uid, revision.number
        with self._transaction() as run:
            changed = run(
                "UPDATE revisions SET state = 'delivering', reason = ?, changed = ? "
                "WHERE study_instance_uid = ? AND number = ? AND state = 'computing' "
                "RETURNING number",
                *(reason, now, uid, number),
            )
            if not changed:
                return False
            self._audit(run, AuditEvent.RESULTS_MADE, uid, now, revision=number, reason=reason)
            for destination, items in plan.items():
                self._audit(
                    run,
                    AuditEvent.DELIVERY_PLANNED,
                    uid,
                    now,
                    revision=number,
                    destination=destination,
                    instances=len(items),
                )
                _plan_delivery(run, revision, destination, items, now)
        return True

    def deliveries(self, study_instance_uid: str, number: int) -> tuple[DeliveryRecord, ...]:
        """The deliveries of a revision, by destination."""
        return self._deliveries(
            "WHERE study_instance_uid = ? AND number = ?",
            "ORDER BY destination",
            study_instance_uid,
            number,
        )

    def to_deliver(self) -> tuple[DeliveryRecord, ...]:
        """All deliveries that something can be done for at once, the oldest first."""
        return self._deliveries("WHERE deliveries.state = 'waiting' AND held = 0", "ORDER BY since")

    def _deliveries(self, condition: str, order: str, *values: Any) -> tuple[DeliveryRecord, ...]:
        rows = self._read(
            "SELECT deliveries.*, COUNT(position) AS planned, COUNT(acknowledged) AS sent, "  # noqa: S608 - our text
            "COUNT(committed) AS committed FROM deliveries LEFT JOIN delivery_items "
            f"USING (study_instance_uid, number, destination) {condition} "
            "GROUP BY deliveries.study_instance_uid, deliveries.number, deliveries.destination "
            f"{order}",
            *values,
        )
        return tuple(
            DeliveryRecord(
                **(dict(row) | {"state": DeliveryState(row["state"]), "held": bool(row["held"])})
            )
            for row in rows
        )

    def unsent(self, delivery: DeliveryRecord) -> tuple[DeliveryItem, ...]:
        """What the destination has not acknowledged, in the order of sending."""
        rows = self._read(
            "SELECT sop_instance_uid, path FROM delivery_items WHERE study_instance_uid = ? "
            "AND number = ? AND destination = ? AND acknowledged IS NULL ORDER BY position",
            *_key(delivery),
        )
        return tuple(DeliveryItem(**dict(row)) for row in rows)

    def note_offer(self, delivery: DeliveryRecord, *, now: float) -> None:
        """Record that sending begins, after which the destination may have an object."""
        with self._transaction() as run:
            run(
                "UPDATE deliveries SET offered = ? WHERE study_instance_uid = ? AND number = ? "
                "AND destination = ? AND offered = 0",
                *(now, *_key(delivery)),
            )

    def acknowledge(
        self,
        delivery: DeliveryRecord,
        sop_instance_uid: str,
        *,
        now: float,
        sent_as: tuple[str, str] = ("", ""),
    ) -> None:
        """Record that the destination took an object.

        Parameters
        ----------
        delivery, sop_instance_uid
            Which one.
        now
            The time [s since the epoch].
        sent_as
            SOP class and instance UID of the form of it that was sent.
        """
        with self._transaction() as run:
            run(
                "UPDATE delivery_items SET acknowledged = ?, sent_class = ?, sent_uid = ? "
                "WHERE study_instance_uid = ? "
                "AND number = ? AND destination = ? AND sop_instance_uid = ?",
                *(now, *sent_as, *_key(delivery), sop_instance_uid),
            )

    def note_delivery(
        self, delivery: DeliveryRecord, state: DeliveryState, *, reason: str, now: float
    ) -> None:
        """Record how an attempt at a delivery ended, and close the revision after the last.

        A revision is done when every destination has everything; it is undelivered when nothing
        more is tried but something is missing somewhere. An attempt that a later run has overtaken
        is not recorded.
        """
        uid, number, _ = _key(delivery)
        with self._transaction() as run:
            # A worker that others took for dead may come back with an older answer.
            noted = run(
                "UPDATE deliveries SET state = ?, reason = ?, changed = ?, "
                "attempts = attempts + 1 WHERE study_instance_uid = ? AND number = ? "
                "AND destination = ? AND run = ? AND state IN ('waiting', 'committing') "
                "RETURNING number",
                *(state.value, reason, now, *_key(delivery), delivery.run),
            )
            if not noted:
                return
            states = {
                row["state"]
                for row in run(
                    "SELECT state FROM deliveries WHERE study_instance_uid = ? AND number = ?",
                    uid,
                    number,
                )
            }
            if not state.running:
                told = {"revision": number, "destination": delivery.destination, "reason": reason}
                whole = state is DeliveryState.DELIVERED
                outcome = Outcome.SUCCESS if whole else Outcome.SERIOUS_FAILURE
                self._audit(run, AuditEvent.DELIVERY_ENDED, uid, now, outcome, **told)
            if any(DeliveryState(one).running for one in states):
                return
            whole = states == {DeliveryState.DELIVERED.value}
            run(
                "UPDATE revisions SET state = ?, changed = ? "
                "WHERE study_instance_uid = ? AND number = ? AND state = 'delivering'",
                (RevisionState.DONE if whole else RevisionState.UNDELIVERED).value,
                *(now, uid, number),
            )

    def count_refusal(self, delivery: DeliveryRecord) -> int:
        """Count that a destination could not process an instance; how often in a row by now."""
        with self._transaction() as run:
            rows = run(
                "UPDATE deliveries SET refusals = refusals + 1 WHERE study_instance_uid = ? "
                "AND number = ? AND destination = ? RETURNING refusals",
                *_key(delivery),
            )
        return int(rows[0]["refusals"]) if rows else 0

    def held(self, destination: str) -> tuple[DeliveryRecord, ...]:
        """Deliveries that wait for a destination to come back, the oldest first."""
        return self._deliveries(
            "WHERE destination = ? AND deliveries.state = 'waiting' AND held = 1",
            "ORDER BY since",
            destination,
        )

    def committing(self) -> tuple[DeliveryRecord, ...]:
        """Deliveries that wait for commitment, the oldest first."""
        return self._deliveries("WHERE deliveries.state = 'committing'", "ORDER BY since")

    def note_reason(self, delivery: DeliveryRecord, reason: str, *, now: float) -> None:
        """Say why a delivery is where it is."""
        with self._transaction() as run:
            run(
                "UPDATE deliveries SET reason = ?, changed = ? "
                "WHERE study_instance_uid = ? AND number = ? AND destination = ?",
                *(reason, now, *_key(delivery)),
            )

    def count_delivery_run(self, delivery: DeliveryRecord) -> None:
        """Count that a delivery is handed to the engine once more."""
        with self._transaction() as run:
            run(
                "UPDATE deliveries SET run = run + 1 "
                "WHERE study_instance_uid = ? AND number = ? AND destination = ?",
                *_key(delivery),
            )

    def _audit(
        self,
        run: Statements,
        event: AuditEvent,
        study: str,
        now: float,
        outcome: Outcome = Outcome.SUCCESS,
        **detail: Any,
    ) -> None:
        note = AuditNote(
            event=event, outcome=outcome, actor=self._actor, study=study, detail=detail
        )
        append(run, note, now=now)


def _key(delivery: DeliveryRecord) -> tuple[str, int, str]:
    return delivery.study_instance_uid, delivery.number, delivery.destination


def _record_arrival(run: Statements, instance: StoredInstance, wanted: str) -> Arrival:
    rows = run(
        "SELECT sha256, received, 0 AS cleaned FROM instances WHERE sop_instance_uid = ? "
        "UNION ALL SELECT sha256, 0, 1 FROM cleaned_instances WHERE sop_instance_uid = ?",
        instance.sop_instance_uid,
        instance.sop_instance_uid,
    )
    kept = {row["sha256"]: row["received"] for row in rows if not row["cleaned"]}
    arrival = Arrival.CONFLICTING if kept else Arrival.NEW
    if instance.sha256 in kept:
        arrival = Arrival.REPEATED
    else:
        if any(row["cleaned"] and row["sha256"] == instance.sha256 for row in rows):
            # It was kept once and then cleaned; it is kept again now.
            arrival = Arrival.REPEATED
            run(
                "DELETE FROM cleaned_instances WHERE sop_instance_uid = ? AND sha256 = ?",
                instance.sop_instance_uid,
                instance.sha256,
            )
        _insert(run, instance, latest=max(kept.values(), default=None))
    study, now = instance.study_instance_uid, instance.received
    if arrival is not Arrival.REPEATED or wanted:
        _open_collection(run, study, now, wanted)
    else:
        run(
            "UPDATE studies SET last_arrival = ? WHERE study_instance_uid = ? AND collecting = 1",
            now,
            study,
        )
    return arrival


def _insert(run: Statements, instance: StoredInstance, *, latest: float | None) -> None:
    # The order of arrival decides which content is the newest, also when the clock was set back.
    if latest is not None and latest >= instance.received:
        instance = replace(instance, received=latest + _TICK_SECONDS)
    columns = list(StoredInstance.__dataclass_fields__)
    run(
        f"INSERT INTO instances ({', '.join(columns)}) "  # noqa: S608 - our own names
        f"VALUES ({', '.join('?' * len(columns))})",
        *(getattr(instance, name) for name in columns),
    )


def _plan_delivery(
    run: Statements,
    revision: RevisionRecord,
    destination: str,
    items: Sequence[DeliveryItem],
    now: float,
) -> None:
    uid, number = revision.study_instance_uid, revision.number
    run(
        "INSERT INTO deliveries (study_instance_uid, number, destination, state, changed, since, "
        "run) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (study_instance_uid, number, destination) DO UPDATE "
        "SET state = excluded.state, changed = excluded.changed, since = excluded.since, held = 0, "
        "refusals = 0, resends = 0, "
        "reason = '', attempts = 0, run = deliveries.run + 1",
        *(uid, number, destination, DeliveryState.WAITING.value, now, now, revision.run),
    )
    for position, item in enumerate(items):
        run(
            "INSERT INTO delivery_items (study_instance_uid, number, destination, "
            "position, sop_instance_uid, path) VALUES (?, ?, ?, ?, ?, ?)",
            *(uid, number, destination, position, item.sop_instance_uid, item.path),
        )


def _note_repeat(run: Statements, revision: RevisionRecord, why: str) -> None:
    run(
        "UPDATE revisions SET repeated = ? WHERE study_instance_uid = ? AND number = ?",
        *(why, revision.study_instance_uid, revision.number),
    )


def _open_collection(
    run: Statements, study_instance_uid: str, now: float, wanted: str, options: str = ""
) -> None:
    # The longest wait counts from the first arrival of this collection, so a study that was
    # closed begins anew.
    run(
        "INSERT INTO studies (study_instance_uid, first_arrival, last_arrival, collecting, wanted, "
        "wanted_options) VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (study_instance_uid) DO UPDATE SET "
        "first_arrival = CASE WHEN studies.collecting = 1 THEN studies.first_arrival "
        "ELSE excluded.first_arrival END, last_arrival = excluded.last_arrival, collecting = 1, "
        "wanted = CASE WHEN excluded.wanted = '' THEN studies.wanted ELSE excluded.wanted END, "
        "wanted_options = CASE WHEN excluded.wanted_options = '' THEN studies.wanted_options "
        "ELSE excluded.wanted_options END",
        *(study_instance_uid, now, now, wanted, options),
    )


def _end_collection(run: Statements, study: StudyRecord, note: str) -> bool:
    return bool(
        run(
            "UPDATE studies SET collecting = 0, note = ?, wanted = '', wanted_options = '', "
            "hurried = 0 WHERE study_instance_uid = ? AND last_arrival = ? AND wanted = ? "
            "AND wanted_options = ? AND hurried = ? RETURNING study_instance_uid",
            *(note, study.study_instance_uid, study.last_arrival),
            *(study.wanted, study.wanted_options, int(study.hurried)),
        )
    )
