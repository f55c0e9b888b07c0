"""What the journal holds, as values."""

from dataclasses import dataclass
from enum import Enum, auto

from cestle.spool.lifecycle import DeliveryState, RevisionState


class Arrival(Enum):
    """What the journal knew of an instance when it arrived."""

    NEW = auto()
    REPEATED = auto()
    CONFLICTING = auto()


@dataclass(frozen=True, kw_only=True)
class StoredInstance:
    """One received instance.

    Parameters
    ----------
    sop_instance_uid, study_instance_uid, series_instance_uid, sop_class_uid
        As the data set states them.
    transfer_syntax_uid
        Of the file.
    sha256
        Of the data set, in hexadecimal.
    calling_ae_title, called_ae_title
        Of the association that brought it first.
    path
        Relative to the spool's instance folder.
    size
        Of the file [bytes].
    received
        When it arrived first [s since the epoch].
    """

    sop_instance_uid: str
    sha256: str
    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    called_ae_title: str
    path: str
    size: int
    received: float


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """One study.

    Parameters
    ----------
    study_instance_uid
        The study.
    first_arrival, last_arrival
        Of the current collection of instances [s since the epoch].
    collecting
        Whether instances have arrived, or processing was asked for, that no revision covers.
    note
        What is being waited for, in words.
    wanted
        Why a new revision was asked for even with the same instances; empty when none was.
    wanted_options
        How it is to be processed then; empty for as before.
    hurried
        Whether a person asked to begin at once, with what there is.
    """

    study_instance_uid: str
    first_arrival: float
    last_arrival: float
    collecting: bool
    note: str
    wanted: str
    wanted_options: str
    hurried: bool


@dataclass(frozen=True, kw_only=True)
class RevisionRecord:
    """One revision of one study.

    Parameters
    ----------
    study_instance_uid, number
        Which one; numbers count from 1.
    state
        Where it is.
    cause
        Why it was made.
    reason
        Why it is in `state`; empty when that needs no words.
    predecessor
        The revision that it replaces; None for the first that gave a result.
    created
        When its inputs were fixed [s since the epoch].
    changed
        When `state` changed last.
    attempts
        Computations begun.
    run
        Counts the times that it was handed to the engine.
    options
        How it is to be processed, as it was asked for; empty for the node's settings.
    fingerprint
        Of all that its results follow from; two revisions with the same would be the same.
    repeated
        Why its objects were sent again, or it was computed again, last; empty when never.
    worker
        Who computed it last.
    deaths, acquittals
        Workers that died while they computed it, and that died since without it.
    cleaned
        When its results were removed [s since the epoch]; 0 while they are kept.
    """

    study_instance_uid: str
    number: int
    state: RevisionState
    cause: str
    reason: str
    predecessor: int | None
    created: float
    changed: float
    attempts: int
    run: int
    options: str
    fingerprint: str
    repeated: str
    worker: str = ""
    deaths: int = 0
    acquittals: int = 0
    cleaned: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """The delivery of one revision to one destination.

    Parameters
    ----------
    study_instance_uid, number, destination
        Which one.
    state
        Where it is.
    reason
        What went wrong last; empty when nothing did.
    attempts
        Associations tried.
    run
        Counts the times that it was handed to the engine.
    changed
        When any of this changed last [s since the epoch].
    since
        When it was planned, or put back to work by a person [s since the epoch]; None when an
        older version planned it.
    held
        Whether it waits, without a job, for its destination to come back.
    refusals
        Attempts in which the destination failed to process an instance.
    resends
        Times that instances were sent again because they were not committed.
    sent, committed, planned
        Instances acknowledged, committed, and in all.
    offered
        When sending began first [s since the epoch]; 0 when it never did.
    """

    study_instance_uid: str
    number: int
    destination: str
    state: DeliveryState
    reason: str
    attempts: int
    run: int
    changed: float
    since: float | None
    held: bool
    refusals: int
    resends: int
    sent: int
    committed: int
    planned: int
    offered: float = 0.0

    @property
    def begun(self) -> float:
        """From when the patience with the destination counts [s since the epoch]."""
        return self.changed if self.since is None else self.since


@dataclass(frozen=True, kw_only=True)
class DeliveryItem:
    """One object of a delivery: its UID, and its file relative to the revision's folder."""

    sop_instance_uid: str
    path: str


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One step of a revision, as it went the last time.

    Parameters
    ----------
    name
        Of the step.
    attempts
        How often it was begun.
    began, ended
        The last time [s since the epoch].
    note
        What went wrong; empty when nothing did.
    """

    name: str
    attempts: int
    began: float
    ended: float
    note: str


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What a person asked to have done again.

    Parameters
    ----------
    study_instance_uid
        Of which study.
    step
        From where: "compute", "deliver", or empty for what was set aside.
    destination
        Only to this one; empty for all.
    """

    study_instance_uid: str
    step: str = ""
    destination: str = ""
