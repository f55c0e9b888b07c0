"""What the node knows about its studies, for `cestle status`; read from the journal alone."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cestle.config.node import NodeConfig
from cestle.config.options import StudyOptions
from cestle.errors import InputError
from cestle.service.layout import DataFolder
from cestle.spool.journal import Journal
from cestle.spool.records import DeliveryRecord, RevisionRecord, StudyRecord


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
    folder
        Where its results are; None when there are none.
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
    folder: str | None
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
        Instances received, each content once.
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
        journal = Journal(database)
        return tuple(_study(journal, folder, one) for one in journal.studies())


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
            journal = Journal(database)
            found = journal.study(study_instance_uid)
            if found is not None:
                return _study(journal, folder, found)
    raise InputError(
        f"nothing of study {study_instance_uid} was received on {folder.root}, expected a Study "
        "Instance UID that cestle status lists; see whether the sender sent it"
    )


def _study(journal: Journal, folder: DataFolder, study: StudyRecord) -> StudyStatus:
    uid = study.study_instance_uid
    revisions = journal.revisions(uid)
    received = journal.instances(uid)
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
        conflicts=len(received) - distinct,
        first_arrival=_text(study.first_arrival),
        last_arrival=_text(study.last_arrival),
        revisions=tuple(_revision(journal, folder, one) for one in revisions),
    )


def _revision(journal: Journal, folder: DataFolder, revision: RevisionRecord) -> RevisionStatus:
    uid, number = revision.study_instance_uid, revision.number
    options = StudyOptions.from_text(revision.options)
    place: Path = folder.revision(uid, number)
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
        folder=str(place) if place.is_dir() else None,
        deliveries=tuple(_delivery(one) for one in journal.deliveries(uid, number)),
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
