"""Storage commitment in the work of the node: asked for, answered, and what follows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from cestle.config.node import Destination, NodeConfig
from cestle.errors import DeliveryError
from cestle.net.commitment import (
    INVALID_ARGUMENT,
    SAME_ASSOCIATION_SECONDS,
    CommitmentReport,
    Report,
    ask_commitment,
    new_transaction_uid,
)
from cestle.spool.commitments import COMMITTED, CommitmentRecord, Commitments, Receipt
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import DeliveryState
from cestle.spool.records import DeliveryRecord

MOST_RESENDS: Final = 3
"""Times that instances are sent again because the destination does not keep them."""
_LONGEST_WAIT_S: Final = 86_400.0
_SUCCESS: Final = 0x0000
_NOT_AUTHORISED: Final = 0x0124
_UNCOMMITTED: Final = "accepted but not committed"
_log = structlog.get_logger(__name__)


def recorder(commitments: Commitments, clock: Callable[[], float] = time.time) -> Report:
    """What keeps reports; used by whichever process one comes to.

    Parameters
    ----------
    commitments
        Where.
    clock
        The time [s since the epoch].
    """

    def record(report: CommitmentReport) -> int:
        outcomes = dict.fromkeys(report.committed, COMMITTED) | {
            uid: f"0x{reason:04X}" for uid, reason in report.failed.items()
        }
        receipt = commitments.record_report(
            report.transaction_uid, outcomes, destinations=report.destinations, now=clock()
        )
        log = _log.info if receipt is Receipt.NEW else _log.warning
        log(
            "commitment report",
            transaction=report.transaction_uid,
            receipt=receipt.name.lower(),
            committed=len(report.committed),
            failed=len(report.failed),
        )
        # A repeated report is a success for whoever repeats it, having missed the first answer.
        return {Receipt.UNKNOWN: INVALID_ARGUMENT, Receipt.FOREIGN: _NOT_AUTHORISED}.get(
            receipt, _SUCCESS
        )

    return record


@dataclass(frozen=True, kw_only=True)
class CommitmentRequests:
    """Asks destinations to commit themselves.

    Parameters
    ----------
    config
        The node's own title and TLS files.
    commitments
        Where requests are recorded.
    wait_seconds
        How long a report is waited for on the association that asked.
    clock
        The time [s since the epoch].
    """

    config: NodeConfig
    commitments: Commitments
    wait_seconds: float = SAME_ASSOCIATION_SECONDS
    clock: Callable[[], float] = time.time

    def ask(self, delivery: DeliveryRecord, destination: Destination) -> bool:
        """Ask for what was acknowledged and is not committed; False when there is nothing to ask.

        Raises
        ------
        DeliveryError
            When the destination does not take the request.
        """
        if not destination.storage_commitment:
            return False
        instances = self.commitments.to_commit(delivery)
        if not instances:
            return False
        now = self.clock()
        wait = self._patience(delivery, destination, now)
        transaction = new_transaction_uid()
        self.commitments.begin(delivery, transaction, instances, now=now, deadline=now + wait)
        try:
            ask_commitment(
                transaction,
                instances,
                destination,
                self.config,
                report=recorder(self.commitments, self.clock),
                awaited=lambda: self.commitments.is_open(transaction),
                wait_seconds=self.wait_seconds,
            )
        except DeliveryError as fault:
            raise DeliveryError(
                f"{_UNCOMMITTED}: {fault}", permanent=fault.permanent, limited=fault.limited
            ) from fault
        return True

    def _patience(self, delivery: DeliveryRecord, destination: Destination, now: float) -> float:
        """How long a report is waited for [s]: twice as long after each that did not come."""
        first = 60.0 * destination.commitment_wait_minutes
        missed = [
            one
            for one in self.commitments.asked(delivery)
            if one.answered is None and one.deadline <= now
        ]
        return min(first * 2.0 ** min(len(missed), 20), max(first, _LONGEST_WAIT_S))


@dataclass(frozen=True, kw_only=True)
class CommitmentCare:
    """Makes of reports, and of their absence, what follows.

    Parameters
    ----------
    journal
        Deliveries.
    commitments
        Requests and reports.
    destinations
        The configured ones, by name.
    """

    journal: Journal
    commitments: Commitments
    destinations: Mapping[str, Destination]

    def step(self, now: float) -> None:
        """Look at everything that waits for commitment, once."""
        for one in self.commitments.reported():
            self._apply(one, now)
        for delivery in self.journal.committing():
            self._look_after(delivery, now)

    def _apply(self, commitment: CommitmentRecord, now: float) -> None:
        failed = self.commitments.apply(commitment, now=now)
        if failed:
            _log.warning(
                "not committed and sent again",
                study=commitment.study_instance_uid,
                revision=commitment.number,
                destination=commitment.destination,
                instances=len(failed),
                reason=next(iter(failed.values())),
            )
        delivery = self._delivery(commitment)
        if delivery is None or delivery.state is not DeliveryState.WAITING or not failed:
            return
        first = next(iter(failed))
        reason = (
            f"destination '{delivery.destination}' does not keep {len(failed)} of "
            f"{delivery.planned} instances, the first ({first}) with reason {failed[first]}"
        )
        if delivery.resends > MOST_RESENDS:
            self._set_aside(delivery, f"{reason}, after {MOST_RESENDS} repeats", now)
        else:
            self.journal.note_reason(delivery, f"{reason}; they are sent again", now=now)

    def _look_after(self, delivery: DeliveryRecord, now: float) -> None:
        """A delivery that waits for commitment."""
        destination = self.destinations.get(delivery.destination)
        if destination is None:
            self._set_aside(delivery, "the destination is no longer in the configuration", now)
        elif delivery.sent < delivery.planned:
            self.commitments.ask_again(delivery, "", now=now)
        elif not self.commitments.to_commit(delivery):
            self.journal.note_delivery(delivery, DeliveryState.DELIVERED, reason="", now=now)
            _log.info(
                "delivery committed",
                study=delivery.study_instance_uid,
                revision=delivery.number,
                destination=delivery.destination,
            )
        elif not destination.storage_commitment:
            self.commitments.ask_again(delivery, "", now=now)
        else:
            self._watch_the_time(delivery, destination, now)

    def _watch_the_time(
        self, delivery: DeliveryRecord, destination: Destination, now: float
    ) -> None:
        asked = self.commitments.asked(delivery)
        if now - delivery.begun > 3600.0 * destination.give_up_hours:
            reason = f"no report for {len(asked)} requests in {destination.give_up_hours:g} h"
            self._set_aside(delivery, reason, now)
        elif not asked or asked[-1].deadline <= now:
            wait = destination.commitment_wait_minutes
            self.commitments.ask_again(
                delivery, f"no commitment report within {wait:g} min; asked again", now=now
            )

    def _set_aside(self, delivery: DeliveryRecord, reason: str, now: float) -> None:
        text = f"{_UNCOMMITTED}: {reason}; see whether the archive has them, then run cestle retry"
        self.journal.note_delivery(delivery, DeliveryState.SET_ASIDE, reason=text, now=now)
        _log.error(
            "delivery set aside",
            study=delivery.study_instance_uid,
            revision=delivery.number,
            destination=delivery.destination,
            reason=text,
        )

    def _delivery(self, commitment: CommitmentRecord) -> DeliveryRecord | None:
        found = [
            one
            for one in self.journal.deliveries(commitment.study_instance_uid, commitment.number)
            if one.destination == commitment.destination
        ]
        return found[0] if found else None
