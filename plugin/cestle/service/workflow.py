"""What is done for a revision: compute it, then deliver it to every destination.

Every attempt reads in the journal what is left to do, so it may be repeated at any time.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from cestle.config.node import Destination, NodeConfig
from cestle.engine.jobs import Ending, JobKind, Pauses, Payload
from cestle.errors import CestleError, DeliveryError, InputError
from cestle.net.instances import OutgoingInstance, describe_file
from cestle.net.transport import deliver
from cestle.service.commitment import CommitmentRequests
from cestle.service.computation import (
    BAD_INPUT,
    COMPLETE,
    NO_SPACE,
    PARTIAL,
    Computation,
    Computed,
)
from cestle.service.deliverables import chosen_for, outgoing, read_deliverables, report_file
from cestle.service.destinations import pauses_between_looks
from cestle.service.layout import DataFolder
from cestle.service.logs import describe_fault
from cestle.service.meters import Meters
from cestle.service.solitude import Solitude
from cestle.service.storage_faults import is_of_storage
from cestle.spool.breaker import BreakerState
from cestle.spool.destinations import DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import DeliveryState, Event
from cestle.spool.records import DeliveryItem, DeliveryRecord, RevisionRecord, StepRecord
from cestle.spool.workers import Steps, Workers

STUDY: Final = "study"
"""Name of the jobs that compute."""
_MOST_DEATHS: Final = 3
"""Workers that may die of a revision, those acquitting it deducted, before it is set aside."""
_SUSPECT_DEATHS: Final = 2
"""From so many on it is computed while its worker does nothing else."""
MOST_REFUSALS: Final = 5
"""Attempts in which a destination that answers could not process an instance."""
_NOTHING_MADE: Final = "none of the objects that this destination is to get was made"
COMPUTE_PAUSES: Final = Pauses(first_s=5.0, longest_s=10.0, total_s=20.0)
"""A fault of ours may be a lack of memory that passes; it is tried three times."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """The work of the node, as kinds of jobs.

    Parameters
    ----------
    config
        Destinations and limits.
    folder
        Where results are.
    journal
        What is left to do.
    states
        Which destinations are down.
    requests
        Asks for storage commitment.
    computation
        Computes revisions.
    workers
        Who computes what.
    steps
        What was done when.
    stopping
        Set when the node stops.
    compute_pauses
        Between attempts at a computation.
    meters
        What is measured.
    clock
        The time [s since the epoch].
    """

    config: NodeConfig
    folder: DataFolder
    journal: Journal
    states: DestinationStates
    requests: CommitmentRequests
    computation: Computation
    workers: Workers
    steps: Steps
    stopping: threading.Event
    compute_pauses: Pauses = COMPUTE_PAUSES
    meters: Meters = field(default_factory=Meters)
    clock: Callable[[], float] = time.time
    _solitude: Solitude = field(default_factory=Solitude)

    def kinds(self) -> tuple[JobKind, ...]:
        """One kind for studies and one for each destination, so that none delays another."""
        study = JobKind(
            name=STUDY,
            attempt=_guarded(self._compute),
            give_up=self._give_up_computation,
            pauses=lambda _: self.compute_pauses,
            concurrency=self.config.engine.workers,
        )
        return (study, *(self._delivery_kind(one) for one in self.config.destinations))

    def _delivery_kind(self, destination: Destination) -> JobKind:
        return JobKind(
            name=delivery_kind(destination.name),
            attempt=_guarded(self._timed_delivery),
            give_up=self._give_up_delivery,
            exclusive=True,
            pauses=lambda _: Pauses(
                first_s=destination.retry_seconds,
                longest_s=60.0 * destination.longest_retry_minutes,
                total_s=3600.0 * destination.give_up_hours,
            ),
        )

    # Computing

    def _compute(self, payload: Payload) -> Ending:
        revision = self._current(payload)
        if revision is None or not revision.state.computing:
            return Ending.DONE
        if self.stopping.is_set():
            return Ending.INTERRUPTED
        if revision.deaths - revision.acquittals >= _MOST_DEATHS:
            self._set_aside(
                revision, f"the worker died {revision.deaths} times while it was computed"
            )
            return Ending.DONE
        # Of several computations at a time, any may be what takes the worker down. A suspect is
        # computed alone, so that its next death proves it, or frees it from suspicion.
        with self._solitude.kept(alone=revision.deaths >= _SUSPECT_DEATHS):
            return self._compute_once(revision)

    def _compute_once(self, revision: RevisionRecord) -> Ending:
        if self.stopping.is_set():
            return Ending.INTERRUPTED
        self.workers.computes(self.computation.worker, revision)
        started = self.journal.advance(revision, Event.START, now=self.clock())
        if started is None:
            return Ending.DONE
        uid, number = started.study_instance_uid, started.number
        if started.attempts == 1:
            self.meters.step("queued", self.clock() - started.created)
        _log.info("computation begins", study=uid, revision=number, attempt=started.attempts)
        try:
            computed = self.computation.run(
                started,
                self.journal.inputs(uid, number),
                predecessor=self._predecessor(started),
            )
        except OSError as fault:
            if not is_of_storage(fault):
                raise
            computed = Computed(exit_code=NO_SPACE, reason="waits for space on the disk")
        return self._settle(started, computed)

    def _settle(self, revision: RevisionRecord, computed: Computed) -> Ending:
        """Record how a computation ended."""
        uid, number, now = revision.study_instance_uid, revision.number, self.clock()
        log = _log.bind(study=uid, revision=number, reason=computed.reason)
        self.steps.note(uid, number, _ended(computed.record, now))
        if computed.seconds:
            self.meters.computed(_result(computed), computed.seconds, computed.steps)
        if computed.has_results:
            plan = self.plan(revision)
            if not self.journal.plan_deliveries(revision, plan, reason=computed.reason, now=now):
                log.warning("another worker has settled this revision")
                return Ending.DONE
            log.info("revision computed", objects=max(len(items) for items in plan.values()))
            return Ending.DONE
        if computed.exit_code is None:
            self.journal.advance(revision, Event.INTERRUPT, now=now)
            return Ending.INTERRUPTED
        if computed.exit_code == NO_SPACE:
            self.journal.advance(revision, Event.INTERRUPT, now=now, reason=computed.reason)
            log.warning("computation put off")
            return Ending.LATER
        if computed.exit_code == BAD_INPUT:
            self.journal.advance(revision, Event.BAD_INPUT, now=now, reason=computed.reason)
            log.warning("study parked")
            return Ending.DONE
        self.journal.note_attempt(revision, computed.reason, now=now)
        log.error("computation failed")
        return Ending.AGAIN

    def plan_again(self, revision: RevisionRecord) -> dict[str, list[DeliveryItem]] | None:
        """What each destination gets of a revision once more; None when its results are gone."""
        try:
            return self.plan(revision)
        except (OSError, InputError) as fault:
            _log.warning(
                "results are no longer there",
                study=revision.study_instance_uid,
                revision=revision.number,
                reason=describe_fault(fault),
            )
            return None

    def plan(self, revision: RevisionRecord) -> dict[str, list[DeliveryItem]]:
        """What each destination gets."""
        place = self.folder.revision(revision.study_instance_uid, revision.number)
        deliverables = read_deliverables(place)
        uids = {one.path: describe_file(place / one.path).sop_instance_uid for one in deliverables}
        return {
            destination.name: [
                DeliveryItem(sop_instance_uid=uids[one.path], path=one.path)
                for one in chosen_for(deliverables, destination)
            ]
            for destination in self.config.destinations
        }

    def _give_up_computation(self, payload: Payload) -> None:
        revision = self._current(payload)
        if revision is None:
            return
        reason = revision.reason or f"ended {revision.attempts} times without an answer"
        self._set_aside(revision, reason)

    def _set_aside(self, revision: RevisionRecord, reason: str) -> None:
        self.journal.advance(revision, Event.GIVE_UP, now=self.clock(), reason=reason)
        _log.error(
            "revision failed",
            study=revision.study_instance_uid,
            revision=revision.number,
            reason=reason,
        )

    def _current(self, payload: Payload) -> RevisionRecord | None:
        """The revision of a job; None when a later run of it has taken over."""
        revision = self.journal.revision(str(payload["study"]), int(payload["revision"]))
        stale = revision is None or revision.run != payload["run"]
        return None if stale else revision

    def _predecessor(self, revision: RevisionRecord) -> Path | None:
        """Report of the revision before, named by the list of its objects."""
        if revision.predecessor is None:
            return None
        return report_file(self.folder.revision(revision.study_instance_uid, revision.predecessor))

    # Delivering

    def _timed_delivery(self, payload: Payload) -> Ending:
        """An attempt at a delivery, with a record of how long it took."""
        began = self.clock()
        before = self._delivery(payload)
        ending = self._deliver(payload)
        after = self._delivery(payload)
        if before is None or after is None or after.attempts == before.attempts:
            return ending
        step = StepRecord(
            name=f"deliver to {after.destination}",
            attempts=1,
            began=began,
            ended=self.clock(),
            note=after.reason,
        )
        self.steps.note(after.study_instance_uid, after.number, [step])
        return ending

    def _deliver(self, payload: Payload) -> Ending:
        delivery = self._delivery(payload)
        if delivery is None or delivery.state is not DeliveryState.WAITING:
            return Ending.DONE
        destination = self.config.destination(delivery.destination)
        if destination is None:
            return Ending.DONE
        if self.stopping.is_set():
            return Ending.INTERRUPTED
        if not delivery.planned:
            self._note(delivery, DeliveryState.SET_ASIDE, _NOTHING_MADE)
            return Ending.DONE
        if self.states.get(destination.name).state is BreakerState.OPEN:
            self.states.hold(delivery.study_instance_uid, delivery.number, destination.name)
            return Ending.DONE
        self.journal.note_offer(delivery, now=self.clock())
        begin = time.monotonic()
        try:
            self._send(delivery, destination)
            if self.journal.unsent(delivery):
                return Ending.INTERRUPTED
            asked = self.requests.ask(delivery, destination)
        except InputError as fault:
            self._note(delivery, DeliveryState.SET_ASIDE, str(fault), begin)
            return Ending.DONE
        except DeliveryError as fault:
            return self._settle_failure(delivery, destination, fault, begin)
        self.states.note_success(destination.name, now=self.clock())
        state = DeliveryState.COMMITTING if asked else DeliveryState.DELIVERED
        self._note(delivery, state, "", begin)
        return Ending.DONE

    def _settle_failure(
        self,
        delivery: DeliveryRecord,
        destination: Destination,
        fault: DeliveryError,
        begin: float,
    ) -> Ending:
        """Record a delivery that did not succeed, and what it says of the destination."""
        name, reason, now = destination.name, str(fault), self.clock()
        if fault.permanent:
            self.states.note_refusal(name, reason, now=now)
            self._note(delivery, DeliveryState.SET_ASIDE, reason, begin)
            return Ending.DONE
        if fault.limited:
            self.states.note_refusal(name, reason, now=now)
            if self.journal.count_refusal(delivery) >= MOST_REFUSALS:
                reason = f"gave up after {MOST_REFUSALS} refusals: {reason}"
                self._note(delivery, DeliveryState.SET_ASIDE, reason, begin)
                return Ending.DONE
        elif now - delivery.begun > 3600.0 * destination.give_up_hours:
            self.states.note_failure(
                name, reason, now=now, pause_after=pauses_between_looks(destination)
            )
            reason = f"gave up after {delivery.attempts + 1} attempts: {reason}"
            self._note(delivery, DeliveryState.SET_ASIDE, reason, begin)
            return Ending.DONE
        self._note(delivery, DeliveryState.WAITING, reason, begin)
        if not fault.limited:
            # The last step, since it may replace this very job by one that begins anew.
            self.states.note_failure(
                name, reason, now=now, pause_after=pauses_between_looks(destination)
            )
        return Ending.AGAIN

    def _send(self, delivery: DeliveryRecord, destination: Destination) -> None:
        place = self.folder.revision(delivery.study_instance_uid, delivery.number)
        paths = [item.path for item in self.journal.unsent(delivery)]
        instances = outgoing(place, read_deliverables(place), paths, destination)
        forms: dict[str, OutgoingInstance] = {}

        def sent_as(instance: OutgoingInstance, form: OutgoingInstance) -> None:
            forms[instance.sop_instance_uid] = form

        def acknowledged(instance: OutgoingInstance) -> None:
            form = forms.get(instance.sop_instance_uid, instance)
            self.journal.acknowledge(
                delivery,
                instance.sop_instance_uid,
                now=self.clock(),
                sent_as=(form.sop_class_uid, form.sop_instance_uid),
            )

        deliver(
            instances,
            destination,
            self.config,
            acknowledged=acknowledged,
            sent_as=sent_as,
            keep_going=lambda: not self.stopping.is_set(),
        )

    def _note(
        self,
        delivery: DeliveryRecord,
        state: DeliveryState,
        reason: str,
        begin: float | None = None,
    ) -> None:
        """Record how a delivery goes on; `begin` is when the attempt began, if there was one."""
        if begin is not None:
            result = "later" if state is DeliveryState.WAITING else state.value
            self.meters.delivered(delivery.destination, result, time.monotonic() - begin)
        self.journal.note_delivery(delivery, state, reason=reason, now=self.clock())
        log = _log.warning if reason else _log.info
        log(
            "delivery",
            study=delivery.study_instance_uid,
            revision=delivery.number,
            destination=delivery.destination,
            state=state.value,
            reason=reason,
        )

    def _give_up_delivery(self, payload: Payload) -> None:
        delivery = self._delivery(payload)
        if delivery is not None and delivery.state is DeliveryState.WAITING:
            reason = f"gave up after {delivery.attempts} attempts: {delivery.reason}"
            self._note(delivery, DeliveryState.SET_ASIDE, reason)

    def _delivery(self, payload: Payload) -> DeliveryRecord | None:
        """The delivery of a job; None when a later run of it has taken over."""
        uid, number = str(payload["study"]), int(payload["revision"])
        found = [
            one
            for one in self.journal.deliveries(uid, number)
            if one.destination == payload["destination"] and one.run == payload["run"]
        ]
        return found[0] if found else None


def _ended(steps: Sequence[StepRecord], now: float) -> tuple[StepRecord, ...]:
    """Steps of a computation that has ended; one that was cut short ended with it."""
    return tuple(
        step if step.ended else replace(step, ended=now, note="cut short") for step in steps
    )


def _result(computed: Computed) -> str:
    """How a computation ended, in a word of the metrics."""
    if computed.exit_code is None:
        return "interrupted"
    words = {COMPLETE: "complete", PARTIAL: "partial", BAD_INPUT: "bad_input"}
    return words.get(computed.exit_code, "fault")


def delivery_kind(destination: str) -> str:
    """Name of the jobs that deliver to a destination."""
    return f"deliver:{destination}"


def _guarded(attempt: Callable[[Payload], Ending]) -> Callable[[Payload], Ending]:
    """`attempt` that never raises; what a full disk or a database away caused is no failure."""

    def guarded(payload: Payload) -> Ending:
        try:
            return attempt(payload)
        except Exception as fault:  # noqa: BLE001 - the node goes on with everything else
            known = isinstance(fault, CestleError)
            _log.error(
                "attempt failed", reason=str(fault) if known else describe_fault(fault), **payload
            )
            return Ending.LATER if is_of_storage(fault) else Ending.AGAIN

    return guarded
