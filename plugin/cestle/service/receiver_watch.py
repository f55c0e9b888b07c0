"""Watches a receiver: counts for the metrics, entries for the audit trail, a heartbeat.

An instance is never refused because the audit trail cannot be written: the instance is safe and
its row in the journal says when and from whom it came. The entry waits in memory and is tried
again every second; meanwhile the error is logged, counted, and the node says that it is not ready.
"""

import os
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from cestle.errors import CestleError
from cestle.net.observer import Caller, Observer
from cestle.service.heartbeat import BEAT_SECONDS, Heartbeat
from cestle.spool.audit import AuditEvent, AuditNote, AuditTrail, Outcome
from cestle.spool.records import Arrival

_SUCCESS: Final = 0x0000
_RECEIVER: Final = "receiver"
_MOST_PENDING: Final = 10_000
_REFUSALS_SECONDS: Final = 5.0
_MOST_CALLERS: Final = 100
_log = structlog.get_logger(__name__)


class ReceiverWatch(Observer):
    """Counts, writes the audit trail and beats.

    Parameters
    ----------
    trail
        Where entries go.
    folder
        Where the heartbeat goes.
    """

    def __init__(self, trail: AuditTrail, folder: Path) -> None:
        self._trail = trail
        self._file = folder / f"receiver-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._lock = threading.Lock()
        self._refused: Counter[str] = Counter()
        self._arrivals: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._accepted = 0
        self._turned_away: Counter[tuple[str, Caller]] = Counter()
        self._pending: deque[tuple[AuditNote, float]] = deque()
        self._writing = threading.Lock()
        self._lost = 0
        self._look: Callable[[], tuple[bool, int, int]] = lambda: (False, 0, 0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, look: Callable[[], tuple[bool, int, int]]) -> None:
        """Begin to beat; `look` tells whether it listens, on which port, and to how many."""
        self._look = look
        started = AuditEvent.LISTENER_STARTED
        self.note(AuditNote(event=started, actor=_RECEIVER, detail={"port": look()[1]}))
        self._beat()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and the last beat."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._note_refusals()
        self.note(AuditNote(event=AuditEvent.LISTENER_STOPPED, actor=_RECEIVER))
        self._look = lambda: (False, 0, 0)
        self._beat()

    def note(self, note: AuditNote) -> None:
        """Write an audit entry, now or as soon as that is possible."""
        with self._lock:
            if len(self._pending) >= _MOST_PENDING:
                self._lost += 1
                return
            self._pending.append((note, time.time()))
        self._write_pending()

    def arrived(self, arrival: Arrival) -> None:
        """Count an instance that was kept."""
        with self._lock:
            self._arrivals[arrival.name.lower()] += 1

    # What the listener tells

    def turned_away(self, caller: Caller, reason: str) -> None:
        """Count; the entry is written with the next ones, since anybody can make many of them."""
        with self._lock:
            self._refused[reason] += 1
            key = (reason, caller)
            if key not in self._turned_away and len(self._turned_away) >= _MOST_CALLERS:
                key = (reason, Caller(address="several"))
            self._turned_away[key] += 1

    def accepted(self, caller: Caller) -> None:
        """Count."""
        del caller
        with self._lock:
            self._accepted += 1

    def answered(self, status: int) -> None:
        """Count what was refused; what was kept is counted by `arrived`."""
        if status != _SUCCESS:
            with self._lock:
                self._refusals[f"0x{status:04X}"] += 1

    def ended(self, caller: Caller, studies: Mapping[str, int], *, released: bool) -> None:
        """Write one entry for each study of an association."""
        for study, instances in studies.items():
            self.note(
                AuditNote(
                    event=AuditEvent.INSTANCES_RECEIVED,
                    outcome=Outcome.SUCCESS if released else Outcome.MINOR_FAILURE,
                    actor=caller.calling,
                    source=caller.address,
                    study=study,
                    detail={
                        "instances": instances,
                        "called": caller.called,
                        "association": "released" if released else "aborted",
                    },
                )
            )

    # The thread that beats

    def _run(self) -> None:
        noted = time.monotonic()
        while not self._stopping.wait(BEAT_SECONDS):
            if time.monotonic() - noted >= _REFUSALS_SECONDS:
                noted = time.monotonic()
                self._note_refusals()
            self._write_pending()
            self._beat()

    def _note_refusals(self) -> None:
        with self._lock:
            turned_away, self._turned_away = self._turned_away, Counter()
        for (reason, caller), times in turned_away.items():
            self.note(
                AuditNote(
                    event=AuditEvent.ASSOCIATION_REFUSED,
                    outcome=Outcome.SERIOUS_FAILURE,
                    actor=caller.calling,
                    source=caller.address,
                    detail={"reason": reason, "called": caller.called, "times": times},
                )
            )

    def _write_pending(self) -> None:
        with self._writing:
            while self._pending:
                note, when = self._pending[0]
                try:
                    self._trail.add(note, now=when)
                except CestleError as fault:
                    _log.error(
                        "the audit trail cannot be written",
                        reason=str(fault),
                        waiting=len(self._pending),
                    )
                    return
                self._pending.popleft()

    def _beat(self) -> None:
        listening, port, active = self._look()
        with self._lock:
            beat = Heartbeat(
                time=time.time(),
                listening=listening,
                port=port,
                active=active,
                accepted=self._accepted,
                refused=dict(self._refused),
                arrivals=dict(self._arrivals),
                refusals=dict(self._refusals),
                audit_pending=len(self._pending),
                audit_lost=self._lost,
            )
        try:
            beat.write(self._file)
        except OSError as fault:
            _log.error("the heartbeat cannot be written", reason=fault.strerror)
