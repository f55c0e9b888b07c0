"""What the node knows about its studies, for `cestle status`; read from the journal alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cestle.config.node import Destination, NodeConfig
from cestle.config.options import StudyOptions
from cestle.errors import InputError
from cestle.service.layout import DataFolder
from cestle.service.progress import STEPS_FILE, read_steps
from cestle.spool.breaker import DestinationRecord
from cestle.spool.database import Database
from cestle.spool.destinations import Backlog, DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import DeliveryState, RevisionState
from cestle.spool.records import DeliveryRecord, RevisionRecord, StepRecord, StudyRecord
from cestle.spool.retention import Retention
from cestle.spool.workers import Steps

_Known = Mapping[str, DestinationRecord]


@dataclass(frozen=True, kw_only=True)
class DeliveryStatus:
    """One destination of one revision."""

    destination: str
    state: str
    reason: str
    attempts: int
    sent: int
    committed: int
    planned: int


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """One step of a revision; times in ISO 8601, UTC.

    Parameters
    ----------
    name
        Of the step.
    attempts
        How often it was begun.
    began
        The last time.
    seconds
        How long it took the last time; None while it goes on.
    note
        What went wrong; empty when nothing did.
    """

    name: str
    attempts: int
    began: str
    seconds: float | None
    note: str


@dataclass(frozen=True, kw_only=True)
class RevisionStatus:
    """One revision; times in ISO 8601, UTC.

    Parameters
    ----------
    number, predecessor
        Which one, and which one it replaces.
    state, reason
        Where it is, and why.
    cause
        Why it was made.
    repeated
        Why its objects were sent again, or it was computed again; empty when never.
    options, asked_for
        What a person asked for beside the configuration, as values and in words.
    created, changed
        When its inputs were fixed, and when its state changed last.
    attempts
        Computations begun.
    worker
        Who computed it last.
    cleaned
        When its results were removed by age; None while they are kept.
    folder
        Where its results are; None when there are none.
    steps
        What was done when.
    deliveries
        One for each destination.
    """

    number: int
    state: str
    cause: str
    reason: str
    repeated: str
    options: dict[str, Any]
    asked_for: tuple[str, ...]
    predecessor: int | None
    created: str
    changed: str
    attempts: int
    worker: str
    cleaned: str | None
    folder: str | None
    steps: tuple[StepStatus, ...]
    deliveries: tuple[DeliveryStatus, ...]


@dataclass(frozen=True, kw_only=True)
class StudyStatus:
    """One study.

    Parameters
    ----------
    study_instance_uid
        The study.
    state
        ``collecting`` while instances arrive that no revision covers, ``unchanged`` when nothing
        that arrived makes a result, otherwise the state of the latest revision.
    reason
        What is waited for, or why it is in this state.
    instances
        Instances received and kept, each content once.
    cleaned
        Instances that were removed by age.
    conflicts
        SOP Instance UIDs that arrived with different contents.
    first_arrival, last_arrival
        Of the latest collection, in ISO 8601, UTC.
    revisions
        The oldest first.
    """

    study_instance_uid: str
    state: str
    reason: str
    instances: int
    cleaned: int
    conflicts: int
    first_arrival: str
    last_arrival: str
    revisions: tuple[RevisionStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON tree."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class DestinationStatus:
    """One configured destination; times in ISO 8601, UTC, None for never.

    Parameters
    ----------
    name
        In the configuration.
    address
        Where it is.
    state
        ``closed``: it is sent to; ``open``: it is down; ``half_open``: it is being tried.
    failures
        Failures in a row.
    down_since, next_look
        While it is down.
    last_success, last_attempt, last_echo
        When anything was taken, tried, and an echo answered.
    waiting, committing
        Deliveries that are not wholly sent, and that wait for commitment.
    oldest
        When the oldest of these was planned.
    reason
        What went wrong last.
    """

    name: str
    address: str
    state: str
    failures: int
    down_since: str | None
    next_look: str | None
    last_success: str | None
    last_attempt: str | None
    last_echo: str | None
    waiting: int
    committing: int
    oldest: str | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON tree."""
        return asdict(self)


def list_destinations(config: NodeConfig) -> tuple[DestinationStatus, ...]:
    """The configured destinations in their order, with what the node knows of them."""
    folder = DataFolder.existing(config)
    records: _Known = {}
    backlogs: dict[str, Backlog] = {}
    if folder.has_journal:
        with folder.open_database() as database:
            states = DestinationStates(database)
            records, backlogs = _by_name(states), states.backlogs()
    return tuple(
        _destination(
            one,
            records.get(one.name, DestinationRecord(name=one.name)),
            backlogs.get(one.name, Backlog()),
        )
        for one in config.destinations
    )


def list_studies(config: NodeConfig) -> tuple[StudyStatus, ...]:
    """All studies, the last touched first; empty when the node never ran."""
    folder = DataFolder.existing(config)
    if not folder.has_journal:
        return ()
    with folder.open_database() as database:
        books = _Books.of(database, folder)
        return tuple(_study(books, one) for one in books.journal.studies())


def study_status(config: NodeConfig, study_instance_uid: str) -> StudyStatus:
    """One study.

    Raises
    ------
    InputError
        When nothing of it was received.
    """
    folder = DataFolder.existing(config)
    if folder.has_journal:
        with folder.open_database() as database:
            books = _Books.of(database, folder)
            found = books.journal.study(study_instance_uid)
            if found is not None:
                return _study(books, found)
    raise InputError(
        f"nothing of study {study_instance_uid} was received on {folder.root}, expected a Study "
        "Instance UID that cestle status lists; see whether the sender sent it"
    )


def _by_name(states: DestinationStates) -> _Known:
    return {one.name: one for one in states.all()}


@dataclass(frozen=True, kw_only=True)
class _Books:
    journal: Journal
    steps: Steps
    retention: Retention
    known: _Known
    folder: DataFolder

    @classmethod
    def of(cls, database: Database, folder: DataFolder) -> "_Books":
        return cls(
            journal=Journal(database),
            steps=Steps(database),
            retention=Retention(database),
            known=_by_name(DestinationStates(database)),
            folder=folder,
        )


def _destination(
    destination: Destination, record: DestinationRecord, backlog: Backlog
) -> DestinationStatus:
    address = f"{destination.ae_title} at {destination.host}:{destination.port}"
    return DestinationStatus(
        name=destination.name,
        address=destination.stow_url or address,
        state=record.state.value,
        failures=record.failures,
        down_since=_text_or_none(record.down_since),
        next_look=_text_or_none(record.open_until),
        last_success=_text_or_none(record.last_success),
        last_attempt=_text_or_none(record.last_attempt),
        last_echo=_text_or_none(record.last_echo),
        waiting=backlog.waiting,
        committing=backlog.committing,
        oldest=_text_or_none(backlog.oldest),
        reason=record.reason,
    )


def _study(books: _Books, study: StudyRecord) -> StudyStatus:
    uid = study.study_instance_uid
    revisions = books.journal.revisions(uid)
    received = books.journal.instances(uid)
    distinct = len({one.sop_instance_uid for one in received})
    latest = revisions[-1] if revisions else None
    if study.collecting or latest is None:
        state = "collecting" if study.collecting else "unchanged"
        reason = study.note
    else:
        state, reason = latest.state.value, latest.reason
    return StudyStatus(
        study_instance_uid=uid,
        state=state,
        reason=reason,
        instances=len(received),
        cleaned=len(books.retention.cleaned_instances(uid)),
        conflicts=len(received) - distinct,
        first_arrival=_text(study.first_arrival),
        last_arrival=_text(study.last_arrival),
        revisions=tuple(_revision(books, one) for one in revisions),
    )


def _revision(books: _Books, revision: RevisionRecord) -> RevisionStatus:
    uid, number = revision.study_instance_uid, revision.number
    options = StudyOptions.from_text(revision.options)
    place: Path = books.folder.revision(uid, number)
    steps = {one.name: one for one in books.steps.of(uid, number)}
    if revision.state is RevisionState.COMPUTING:
        for part in books.folder.unfinished_of(place, revision.worker):
            steps |= {one.name: one for one in read_steps(part / STEPS_FILE)}
    return RevisionStatus(
        number=number,
        state=revision.state.value,
        cause=revision.cause,
        reason=revision.reason,
        repeated=revision.repeated,
        options=options.to_json(),
        asked_for=options.words(),
        predecessor=revision.predecessor,
        created=_text(revision.created),
        changed=_text(revision.changed),
        attempts=revision.attempts,
        worker=revision.worker,
        cleaned=_text(revision.cleaned) if revision.cleaned else None,
        folder=str(place) if place.is_dir() else None,
        steps=tuple(_step(one) for one in sorted(steps.values(), key=lambda one: one.began)),
        deliveries=tuple(
            _delivery(one, books.known) for one in books.journal.deliveries(uid, number)
        ),
    )


def _step(step: StepRecord) -> StepStatus:
    return StepStatus(
        name=step.name,
        attempts=step.attempts,
        began=_text(step.began),
        # The clock may have been set meanwhile.
        seconds=round(max(0.0, step.ended - step.began), 3) if step.ended else None,
        note=step.note,
    )


def _delivery(delivery: DeliveryRecord, known: _Known) -> DeliveryStatus:
    return DeliveryStatus(
        destination=delivery.destination,
        state=delivery.state.value,
        reason=_reason(delivery, known.get(delivery.destination)),
        attempts=delivery.attempts,
        sent=delivery.sent,
        committed=delivery.committed,
        planned=delivery.planned,
    )


def _reason(delivery: DeliveryRecord, destination: DestinationRecord | None) -> str:
    """Why a delivery is where it is; of one that is held, what it waits for."""
    if not delivery.held or destination is None or delivery.state is not DeliveryState.WAITING:
        return delivery.reason
    since = _text_or_none(destination.down_since) or "a moment ago"
    next_look = _text_or_none(destination.open_until) or "soon"
    return (
        f"waiting for '{destination.name}': down since {since}, next look at {next_look}"
        f" ({destination.reason})"
    )


def _text_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else _text(seconds)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
