"""The Modality Performed Procedure Step SCP (PS3.4 annex F): what the scanner says of its work.

Of what is sent only UIDs and the state are looked at; nothing else is kept or logged.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_CREATE, N_SET

from cestle.errors import CestleError
from cestle.study.performed_steps import PerformedStep, StepState

PERFORMED_STEP: Final = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step SOP class."""

STATUSES: Final = {
    0x0000: "the step is on record",
    0x0106: "a UID or the state is not valid; a new step is IN PROGRESS",
    0x0110: "the step has ended and may no longer be updated (Error ID A710), or the request "
    "cannot be read",
    0x0111: "a step of this UID is known",
    0x0112: "no step of this UID is known",
    0x0120: "the study or the state is missing",
    0x0124: "the association was not admitted",
    0x0213: "the step cannot be recorded; send it again",
}
"""Statuses that are answered, and when (PS3.4 F.7.2, PS3.7 annex C)."""

_SUCCESS: Final = 0x0000
_INVALID_VALUE: Final = 0x0106
_FAILURE: Final = 0x0110
_DUPLICATE: Final = 0x0111
_UNKNOWN: Final = 0x0112
_MISSING: Final = 0x0120
_NOT_AUTHORISED: Final = 0x0124
_NO_RESOURCES: Final = 0x0213
_MAY_NO_LONGER_BE_UPDATED: Final = 0xA710

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LISTS: Final = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")
_Answer = tuple[int | Dataset, Dataset | None]
_log = structlog.get_logger(__name__)


class StepKeeper(Protocol):
    """Keeps steps; returns when they are safe, raises `CestleError` when they cannot be."""

    def create(self, step: PerformedStep, *, calling_ae_title: str) -> bool:
        """Keep a new step; False when its UID is known already."""

    def change(
        self,
        step_uid: str,
        *,
        state: StepState | None,
        instances: frozenset[tuple[str, str]] | None,
        now: float,
    ) -> Any:
        """Change a step; the answer's `name` is TAKEN, UNKNOWN or FINAL."""


class StepProvider:
    """Answers N-CREATE and N-SET.

    Parameters
    ----------
    keeper
        Keeps the steps.
    admits
        Whether an association was admitted.
    clock
        The time [s since the epoch].
    """

    def __init__(
        self,
        keeper: StepKeeper,
        *,
        admits: Callable[[Association], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keeper = keeper
        self._admits = admits
        self._clock = clock

    @property
    def handlers(self) -> list[tuple[Any, Any]]:
        """Events with what answers them."""
        return [(evt.EVT_N_CREATE, self._on_create), (evt.EVT_N_SET, self._on_set)]

    def _on_create(self, event: evt.Event) -> _Answer:
        return self._answer(event, self._create)

    def _on_set(self, event: evt.Event) -> _Answer:
        return self._answer(event, self._set)

    def _answer(self, event: evt.Event, act: Callable[[evt.Event], _Answer]) -> _Answer:
        if not self._admits(event.assoc):
            return _NOT_AUTHORISED, None
        try:
            return act(event)
        except _Refused as refusal:
            _log.warning("procedure step refused", reason=refusal.words)
            return _failed(refusal.status, refusal.words, refusal.error_id), None
        except CestleError as fault:
            _log.error("procedure step not recorded", reason=str(fault))
            return _failed(_NO_RESOURCES, "it cannot be recorded"), None
        except Exception as fault:  # noqa: BLE001 - the library decodes late, with any error
            # Its text is left out: it may quote values.
            _log.error("procedure step cannot be read", reason=type(fault).__name__)
            return _failed(_FAILURE, "the attributes cannot be read"), None

    def _create(self, event: evt.Event) -> _Answer:
        request, content = event.request, event.attribute_list
        given = request.AffectedSOPInstanceUID if isinstance(request, N_CREATE) else None
        step_uid = _checked(str(given)) if given else f"2.25.{secrets.randbits(122)}"
        if _state(content) is not StepState.IN_PROGRESS:
            raise _Refused(
                _INVALID_VALUE if "PerformedProcedureStepStatus" in content else _MISSING,
                "a new step is IN PROGRESS",
            )
        step = PerformedStep(
            step_uid=step_uid,
            study_instance_uid=_study(content),
            state=StepState.IN_PROGRESS,
            instances=_listed(content) or frozenset(),
            changed=self._clock(),
        )
        caller = event.assoc.requestor.primitive
        title = "" if caller is None else str(caller.calling_ae_title).strip()
        if not self._keeper.create(step, calling_ae_title=title):
            raise _Refused(_DUPLICATE, "a step of this UID is known")
        _log.info("procedure step begun", study=step.study_instance_uid, step=step_uid)
        answer = Dataset()
        if not given:
            answer.AffectedSOPInstanceUID = step_uid
        return _SUCCESS, answer

    def _set(self, event: evt.Event) -> _Answer:
        request, content = event.request, event.modification_list
        wanted = str(request.RequestedSOPInstanceUID) if isinstance(request, N_SET) else ""
        state = _state(content)
        taken = self._keeper.change(
            wanted, state=state, instances=_listed(content), now=self._clock()
        ).name
        if taken == "UNKNOWN":
            raise _Refused(_UNKNOWN, "no step of this UID is known")
        if taken == "FINAL":
            raise _Refused(_FAILURE, "the step may no longer be updated", _MAY_NO_LONGER_BE_UPDATED)
        _log.info("procedure step", step=wanted, state="" if state is None else state.value)
        return _SUCCESS, Dataset()


class _Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """A request that is answered with a failure."""

    def __init__(self, status: int, words: str, error_id: int | None = None) -> None:
        super().__init__(words)
        self.status, self.words, self.error_id = status, words, error_id


def _failed(status: int, words: str, error_id: int | None = None) -> Dataset:
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = words[:64]
    if error_id is not None:
        answer.ErrorID = error_id
    return answer


def _state(content: Dataset) -> StepState | None:
    text = str(content.get("PerformedProcedureStepStatus") or "").strip()
    if not text:
        return None
    try:
        return StepState(text)
    except ValueError as fault:
        raise _Refused(_INVALID_VALUE, "the state of the step is not one of three") from fault


def _study(content: Dataset) -> str:
    """Study of the first scheduled step; a step that serves several orders makes one study."""
    items = content.get("ScheduledStepAttributesSequence") or []
    found = [str(item.get("StudyInstanceUID") or "") for item in items]
    study = next(filter(None, found), "")
    if not study:
        raise _Refused(_MISSING, "the step names no study")
    return _checked(study)


def _listed(content: Dataset) -> frozenset[tuple[str, str]] | None:
    """Series and instances of the Performed Series Sequence; None when there is none."""
    if "PerformedSeriesSequence" not in content:
        return None
    return frozenset(_instances(content))


def _instances(content: Dataset) -> Iterator[tuple[str, str]]:
    for series in content.PerformedSeriesSequence or []:
        uid = str(series.get("SeriesInstanceUID") or "")
        for name in _LISTS:
            for item in series.get(name) or []:
                yield _checked(uid), _checked(str(item.get("ReferencedSOPInstanceUID") or ""))


def _checked(uid: str) -> str:
    if len(uid) > 64 or not _UID.fullmatch(uid):
        raise _Refused(_INVALID_VALUE, "a UID is malformed")
    return uid
