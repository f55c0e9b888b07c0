"""The care for destinations: looked at while they are down, and fed again when they are back.

Deliveries to one that is down are held, without a job and without an association of their own. It
is asked with growing pauses whether it answers; then one delivery tries it, and when that was
taken the others follow, one at a time.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import structlog

from cestle.config.node import Destination, NodeConfig
from cestle.engine.jobs import Pauses
from cestle.errors import CestleError, DeliveryError
from cestle.net.transport import look
from cestle.service.logs import describe_fault
from cestle.spool.breaker import BreakerState, DestinationRecord, PauseAfter
from cestle.spool.destinations import Backlog, DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import DeliveryState
from cestle.spool.records import DeliveryRecord

_LONGEST_LOOK_PAUSE_S: Final = 120.0
_LOOK_SECONDS: Final = 10.0
"""Limit of each wait of a look: a machine that answers does so in less."""
_log = structlog.get_logger(__name__)


def pauses_between_looks(destination: Destination) -> PauseAfter:
    """How long a destination that is down is left alone, after a number of looks."""
    pauses = Pauses(
        first_s=destination.retry_seconds,
        longest_s=min(60.0 * destination.longest_retry_minutes, _LONGEST_LOOK_PAUSE_S),
        total_s=float("inf"),
    )
    return lambda looks: pauses.after(looks) or _LONGEST_LOOK_PAUSE_S


def no_longer_configured(name: str) -> str:
    """Reason for what can be sent nowhere."""
    return f"destination '{name}' is no longer in the configuration"


def record_look(
    destination: Destination, states: DestinationStates, fault: DeliveryError | None, *, now: float
) -> DestinationRecord:
    """Record how a look at a destination ended.

    Parameters
    ----------
    destination
        Who was asked.
    states
        Where it is recorded.
    fault
        Why it did not answer with Success; None when it did.
    now
        The time [s since the epoch].

    Returns
    -------
        What is known of it by now.
    """
    if fault is None or fault.permanent:
        # One that says no is there; an attempt at a delivery says better what it takes.
        return states.note_echo(destination.name, now=now)
    pause_after = pauses_between_looks(destination)
    return states.note_failure(destination.name, str(fault), now=now, pause_after=pause_after)


@dataclass(frozen=True, kw_only=True)
class DestinationCare:
    """Looks after the destinations.

    Parameters
    ----------
    config
        The destinations.
    states
        What is known of them.
    journal
        Deliveries.
    stopping
        Set when the node stops; nothing is recorded any more then.
    start
        Starts work that may take long, without waiting for it.
    clock
        The time [s since the epoch], for what ends later than it began.
    """

    config: NodeConfig
    states: DestinationStates
    journal: Journal
    stopping: threading.Event
    clock: Callable[[], float] = time.time
    start: Callable[[Callable[[], None]], None] = lambda work: threading.Thread(
        target=work, name="look", daemon=True
    ).start()
    _looking: set[str] = field(default_factory=set)

    def step(self, now: float) -> None:
        """Look at every destination, once; never waits for any."""
        known = {one.name: one for one in self.states.all()}
        backlogs = self.states.backlogs()
        for destination in self.config.destinations:
            name = destination.name
            state = known.get(name, DestinationRecord(name=name))
            backlog = backlogs.get(name, Backlog())
            if self._is_due(state, destination, now) and name not in self._looking:
                self._looking.add(name)
                self.start(partial(self._look, destination))
            if state.state is BreakerState.OPEN:
                self._give_up(destination, backlog, state.reason, now)
            elif backlog.held or state.state is BreakerState.HALF_OPEN:
                self.states.release(name)
        for name in backlogs.keys() - {one.name for one in self.config.destinations}:
            for delivery in self.journal.held(name):
                self._set_aside(delivery, no_longer_configured(name), now)

    def _is_due(self, state: DestinationRecord, destination: Destination, now: float) -> bool:
        if state.state is BreakerState.OPEN:
            # Further off than any pause is long: the clock was set back meanwhile.
            until = state.open_until
            return until is None or not now < until <= now + 2.0 * _LONGEST_LOOK_PAUSE_S
        if state.state is BreakerState.HALF_OPEN or not destination.echo_minutes:
            return False
        heard = max(state.last_echo or 0.0, state.last_success or 0.0, state.last_attempt or 0.0)
        return not 0.0 <= now - heard < 60.0 * destination.echo_minutes

    def _look(self, destination: Destination) -> None:
        try:
            self._look_and_record(destination)
        except CestleError as fault:
            _log.error("destination not looked at", reason=str(fault))
        except Exception as fault:  # noqa: BLE001 - the next look may succeed
            _log.error("destination not looked at", reason=describe_fault(fault))
        finally:
            self._looking.discard(destination.name)

    def _look_and_record(self, destination: Destination) -> None:
        found: DeliveryError | None = None
        try:
            look(destination, self.config, seconds=_LOOK_SECONDS)
        except DeliveryError as fault:
            found = fault
        if self.stopping.is_set():
            return
        before = self.states.get(destination.name).state
        after = record_look(destination, self.states, found, now=self.clock())
        log = _log.debug if after.state is before else _log.warning
        log(
            "destination looked at",
            destination=destination.name,
            state=after.state.value,
            reason="" if found is None else str(found),
        )

    def _give_up(self, destination: Destination, backlog: Backlog, reason: str, now: float) -> None:
        """Set aside what has been held for longer than the patience lasts."""
        patience = 3600.0 * destination.give_up_hours
        if not backlog.held or backlog.oldest is None or now - backlog.oldest <= patience:
            return
        for delivery in self.journal.held(destination.name):
            if now - delivery.begun > patience:
                why = f"gave up after {destination.give_up_hours:g} h: {reason}"
                self._set_aside(delivery, why, now)

    def _set_aside(self, delivery: DeliveryRecord, reason: str, now: float) -> None:
        self.journal.note_delivery(delivery, DeliveryState.SET_ASIDE, reason=reason, now=now)
        _log.error(
            "delivery set aside",
            study=delivery.study_instance_uid,
            revision=delivery.number,
            destination=delivery.destination,
            reason=reason,
        )
