"""What the node knows about its studies, for `cestle status`; read from the journal alone."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cestle.config.node import NodeConfig
from cestle.errors import InputError
from cestle.service.layout import DataFolder
from cestle.service.progress import STEPS_FILE, read_steps
from cestle.spool.database import Database
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import RevisionState
from cestle.spool.records import DeliveryRecord, RevisionRecord, StepRecord, StudyRecord
from cestle.spool.retention import Retention
from cestle.spool.workers import Steps


@dataclass(frozen=True, kw_only=True)
class DeliveryStatus:
    """One destination of one revision."""

    destination: str
    state: str
    reason: str
    attempts: int
    sent: int
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

    `worker` computed it last, `cleaned` is when its results were removed by age.
    """

    number: int
    state: str
    cause: str
    reason: str
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


@dataclass(frozen=True, kw_only=True)
class _Books:
    journal: Journal
    steps: Steps
    retention: Retention
    folder: DataFolder

    @classmethod
    def of(cls, database: Database, folder: DataFolder) -> "_Books":
        return cls(
            journal=Journal(database),
            steps=Steps(database),
            retention=Retention(database),
            folder=folder,
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
        predecessor=revision.predecessor,
        created=_text(revision.created),
        changed=_text(revision.changed),
        attempts=revision.attempts,
        worker=revision.worker,
        cleaned=_text(revision.cleaned) if revision.cleaned else None,
        folder=str(place) if place.is_dir() else None,
        steps=tuple(_step(one) for one in sorted(steps.values(), key=lambda one: one.began)),
        deliveries=tuple(_delivery(one) for one in books.journal.deliveries(uid, number)),
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


def _delivery(delivery: DeliveryRecord) -> DeliveryStatus:
    return DeliveryStatus(
        destination=delivery.destination,
        state=delivery.state.value,
        reason=delivery.reason,
        attempts=delivery.attempts,
        sent=delivery.sent,
        planned=delivery.planned,
    )


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
