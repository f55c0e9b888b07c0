"""The states of a revision and the only ways from one to another."""

from enum import StrEnum
from typing import Final


class RevisionState(StrEnum):
    """Where one revision of a study is."""

    QUEUED = "queued"
    COMPUTING = "computing"
    DELIVERING = "delivering"
    DONE = "done"
    PARKED = "parked"
    FAILED = "failed"
    UNDELIVERED = "undelivered"

    @property
    def running(self) -> bool:
        """Whether the node still has something to do for it by itself."""
        return self in (RevisionState.QUEUED, RevisionState.COMPUTING, RevisionState.DELIVERING)

    @property
    def computing(self) -> bool:
        """Whether its results are still to be made."""
        return self in (RevisionState.QUEUED, RevisionState.COMPUTING)


class DeliveryState(StrEnum):
    """Where the delivery of one revision to one destination is."""

    WAITING = "waiting"
    COMMITTING = "committing"
    DELIVERED = "delivered"
    SET_ASIDE = "set_aside"

    @property
    def running(self) -> bool:
        """Whether something is still to be sent or waited for."""
        return self in (DeliveryState.WAITING, DeliveryState.COMMITTING)


class Event(StrEnum):
    """What happens to a revision."""

    START = "start"
    INTERRUPT = "interrupt"
    COMPUTED = "computed"
    BAD_INPUT = "bad_input"
    GIVE_UP = "give_up"
    DELIVERED = "delivered"
    SET_ASIDE = "set_aside"
    RETRY = "retry"
    REPEAT = "repeat"
    RECOMPUTE = "recompute"


_S: Final = RevisionState
_E: Final = Event

TRANSITIONS: Final[dict[tuple[RevisionState, Event], RevisionState]] = {
    (_S.QUEUED, _E.START): _S.COMPUTING,
    (_S.QUEUED, _E.GIVE_UP): _S.FAILED,
    # A start while computing follows a crash of the node, or a computation that failed.
    (_S.COMPUTING, _E.START): _S.COMPUTING,
    (_S.COMPUTING, _E.INTERRUPT): _S.QUEUED,
    (_S.COMPUTING, _E.COMPUTED): _S.DELIVERING,
    (_S.COMPUTING, _E.BAD_INPUT): _S.PARKED,
    (_S.COMPUTING, _E.GIVE_UP): _S.FAILED,
    (_S.DELIVERING, _E.DELIVERED): _S.DONE,
    (_S.DELIVERING, _E.SET_ASIDE): _S.UNDELIVERED,
    (_S.UNDELIVERED, _E.RETRY): _S.DELIVERING,
    # The same objects once more, to every destination.
    (_S.DELIVERING, _E.REPEAT): _S.DELIVERING,
    (_S.DONE, _E.REPEAT): _S.DELIVERING,
    (_S.UNDELIVERED, _E.REPEAT): _S.DELIVERING,
    # Nothing was sent for these, so the same revision is computed again.
    (_S.PARKED, _E.RETRY): _S.QUEUED,
    (_S.FAILED, _E.RETRY): _S.QUEUED,
    # Other objects, while no destination can have any.
    (_S.DELIVERING, _E.RECOMPUTE): _S.QUEUED,
    (_S.UNDELIVERED, _E.RECOMPUTE): _S.QUEUED,
    (_S.PARKED, _E.RECOMPUTE): _S.QUEUED,
    (_S.FAILED, _E.RECOMPUTE): _S.QUEUED,
}


def next_state(state: RevisionState, event: Event) -> RevisionState | None:
    """The state after `event`; None when the event means nothing in `state`."""
    return TRANSITIONS.get((state, event))
