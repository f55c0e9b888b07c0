"""Hands what is left to do to the engine, and what a person asked for to the journal."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from cestle.engine.jobs import JobEngine, Payload
from cestle.service.destinations import no_longer_configured
from cestle.service.workflow import STUDY, delivery_kind
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import DeliveryState
from cestle.spool.records import DeliveryRecord, RevisionRecord
from cestle.spool.retries import Retries

_CHECK_SECONDS: Final = 30.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Dispatcher:
    """Hands to the engine what the journal says is left to do.

    Parameters
    ----------
    journal
        What is left to do.
    engine
        Runs it.
    retries
        What a person asked to have done again.
    destinations
        Names of the configured destinations.
    discard
        Removes the results of the latest revision of a study, before it is computed again.
    ticks
        A clock that is never set [s].
    """

    journal: Journal
    engine: JobEngine
    retries: Retries
    destinations: frozenset[str]
    discard: Callable[[str], None] = lambda _: None
    ticks: Callable[[], float] = time.monotonic
    _handed: dict[str, float] = field(default_factory=dict)

    def step(self, now: float) -> None:
        """Look at everything that is unfinished, once."""
        for wish in self.retries.take(now=now):
            if wish.step == "compute":
                self.discard(wish.study_instance_uid)
            _log.info(
                "retry",
                study=wish.study_instance_uid,
                step=wish.step,
                destination=wish.destination,
            )
        current: set[str] = set()
        for revision in self.journal.unfinished():
            if revision.state.computing:
                current.add(self._hand_over_revision(revision))
        for delivery in self.journal.to_deliver():
            current.add(self._hand_over_delivery(delivery, now))
        for key in self._handed.keys() - current:
            del self._handed[key]

    def _hand_over_revision(self, revision: RevisionRecord) -> str:
        uid, number = revision.study_instance_uid, revision.number
        if self._lost(f"{uid}:r{number}:{revision.run}"):
            revision = self.journal.count_run(revision)
        payload: Payload = {"study": uid, "revision": number, "run": revision.run}
        return self._submit(STUDY, f"{uid}:r{number}:{revision.run}", payload)

    def _hand_over_delivery(self, delivery: DeliveryRecord, now: float) -> str:
        uid, number, name = delivery.study_instance_uid, delivery.number, delivery.destination
        if name not in self.destinations:
            self.journal.note_delivery(
                delivery, DeliveryState.SET_ASIDE, reason=no_longer_configured(name), now=now
            )
            return ""
        run = delivery.run
        if self._lost(f"{uid}:r{number}:{name}:{run}"):
            self.journal.count_delivery_run(delivery)
            run += 1
        payload: Payload = {"study": uid, "revision": number, "destination": name, "run": run}
        return self._submit(delivery_kind(name), f"{uid}:r{number}:{name}:{run}", payload)

    def _lost(self, key: str) -> bool:
        """Whether a job that was handed over ended without doing its work.

        That happens when the disk is full while the engine records an end. The journal still
        knows what is left.
        """
        looked, now = self._handed.get(key), self.ticks()
        if looked is None or now - looked < _CHECK_SECONDS:
            return False
        self._handed[key] = now
        return not self.engine.holds(key)

    def _submit(self, kind: str, key: str, payload: Payload) -> str:
        if key not in self._handed:
            self.engine.submit(kind, key, payload)
            self._handed[key] = self.ticks()
        return key
