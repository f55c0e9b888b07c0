"""Storage Commitment, as its user (PS3.4 Annex J): ask for it, and read the answer.

The answer comes on the association that asked, or later on one that the archive opens to the
listener; what it says is read here in both cases.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import evt
from pynetdicom.presentation import build_context

from cestle.config.node import Destination, NodeConfig
from cestle.errors import DeliveryError, InputError
from cestle.net.association import associate, lost
from cestle.net.contexts import COMMITMENT, COMMITMENT_INSTANCE, UNCOMPRESSED
from cestle.net.entity import close

ALL_COMMITTED: Final = 1
SOME_FAILED: Final = 2
_ASK: Final = 1
_SUCCESS: Final = 0x0000
_PASSING: Final = frozenset({0x0110, 0x0213})
"""Processing failure and lack of resources pass; any other refusal stays."""
_NO_SUCH_EVENT: Final = 0x0113
INVALID_ARGUMENT: Final = 0x0115
SAME_ASSOCIATION_SECONDS: Final = 3.0
"""How long an association is kept after the request, for a report that comes on it."""
_WITHOUT_REASON: Final = 0x0110
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class CommitmentReport:
    """What an archive answered.

    Parameters
    ----------
    transaction_uid
        To which request.
    committed
        SOP Instance UIDs of what it keeps.
    failed
        Reasons by SOP Instance UID for what it does not.
    destinations
        Names of those that whoever says so may speak for.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: dict[str, int]
    destinations: frozenset[str]


Report = Callable[[CommitmentReport], int]
"""Keeps a report; returns the status to answer with when it is safe."""


def new_transaction_uid() -> str:
    """A UID that nobody can guess."""
    return str(generate_uid(prefix=None))


def ask_commitment(
    transaction_uid: str,
    instances: Sequence[tuple[str, str]],
    destination: Destination,
    config: NodeConfig,
    *,
    report: Report,
    awaited: Callable[[], bool] = lambda: True,
    wait_seconds: float = SAME_ASSOCIATION_SECONDS,
) -> None:
    """Ask a destination whether it commits itself to keep instances.

    Parameters
    ----------
    transaction_uid
        Of this request; recorded already.
    instances
        SOP class and instance UIDs.
    destination
        Where they were sent.
    config
        The node's own title and TLS files.
    report
        Keeps the answer when it comes on this association.
    awaited
        Whether the answer is still awaited; it may come to the listener meanwhile.
    wait_seconds
        How long it is waited for on this association.

    Raises
    ------
    DeliveryError
        When the destination does not take the request.
    """
    asked = destination.for_commitment()
    association = associate(
        asked,
        config,
        [build_context(COMMITMENT, list(UNCOMPRESSED))],
        handlers=[(evt.EVT_N_EVENT_REPORT, _on_report, [report, frozenset({asked.name})])],
    )
    try:
        answer, _ = association.send_n_action(
            _request(transaction_uid, instances), _ASK, COMMITMENT, COMMITMENT_INSTANCE
        )
        _require_taken(answer.get("Status"), asked)
        deadline = time.monotonic() + wait_seconds
        while association.is_established and awaited() and time.monotonic() < deadline:
            time.sleep(0.05)
    except (RuntimeError, ValueError) as fault:
        raise lost(asked) from fault
    finally:
        close(association)


def read_report(
    event_type: int | None, information: Dataset, destinations: frozenset[str]
) -> CommitmentReport:
    """Read the information of an N-EVENT-REPORT (PS3.4 table J.3-2).

    What the report names under both headings counts as failed.

    Raises
    ------
    InputError
        When it names no transaction or no instance.
    """
    transaction = str(information.get("TransactionUID") or "")
    failed = {
        str(item.get("ReferencedSOPInstanceUID", "")): _reason(item)
        for item in information.get("FailedSOPSequence") or ()
    }
    committed = {
        str(item.get("ReferencedSOPInstanceUID", ""))
        for item in information.get("ReferencedSOPSequence") or ()
    }
    if not transaction or not committed | failed.keys():
        raise InputError(
            f"a commitment report of type {event_type} names no transaction or no instance, "
            "expected both; see what the archive says of it"
        )
    return CommitmentReport(
        transaction_uid=transaction,
        committed=frozenset(committed - failed.keys()),
        failed=failed,
        destinations=destinations,
    )


def answer_report(event: evt.Event, report: Report, destinations: frozenset[str]) -> int:
    """Status for an N-EVENT-REPORT; what the library does with a fault of ours is 0x0110."""
    if event.event_type not in (ALL_COMMITTED, SOME_FAILED):
        return _NO_SUCH_EVENT
    try:
        found = read_report(event.event_type, event.event_information, destinations)
    except InputError as fault:
        _log.warning("commitment report refused", reason=str(fault))
        return INVALID_ARGUMENT
    return report(found)


def _on_report(event: evt.Event, report: Report, names: frozenset[str]) -> tuple[int, None]:
    return answer_report(event, report, names), None


def _reason(item: Dataset) -> int:
    value = item.get("FailureReason")
    return _WITHOUT_REASON if value is None else int(value)


def _request(transaction_uid: str, instances: Iterable[tuple[str, str]]) -> Dataset:
    request = Dataset()
    request.TransactionUID = transaction_uid
    request.ReferencedSOPSequence = [_reference(*one) for one in instances]
    return request


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _require_taken(status: int | None, destination: Destination) -> None:
    if status == _SUCCESS:
        return
    if status is None:
        raise lost(destination)
    raise DeliveryError(
        f"destination '{destination.name}' refused to commit itself with status "
        f"0x{status:04X}; see why, or set storage_commitment = false, then run cestle retry",
        permanent=status not in _PASSING,
        limited=status in _PASSING,
    )
