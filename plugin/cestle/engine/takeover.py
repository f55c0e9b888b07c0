"""Workers that share a database: each has a name of its own, and the work of the dead goes on.

A worker holds a lock on its name as long as its connection lives and says something now and then,
so that a crash gives it free, and so do a machine without power or network and a process that
hangs.
A name that stays free although jobs run under it belongs to a worker that died; its jobs are
enqueued again, for whoever has time. Without this they would wait until a worker of that very
name came back, which a container never does.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import structlog
from dbos import DBOS

from cestle.errors import SpoolError
from cestle.spool.named_lock import NamedLock

GRACE_SECONDS: Final = 20.0
"""A restart of the database frees all names for a moment; nobody died of that."""
_LOOK_SECONDS: Final = 2.0
_LEASE_SECONDS: Final = 24.0
"""Silence after which a name is free; with the grace it has to stay below a minute."""
_CLAIM_SECONDS: Final = 15.0
_log = structlog.get_logger(__name__)


class Takeover:
    """Holds the name of this worker and watches over the others.

    Parameters
    ----------
    url
        PostgreSQL database of the engine.
    executor_id
        Name of this worker.
    grace_s
        How long another name has to be free before its jobs are taken over [s].
    died
        Told the name of a worker whose work is about to be taken over.
    took_over
        Told how many jobs were taken over from one that died.
    """

    def __init__(
        self,
        url: str,
        executor_id: str,
        *,
        grace_s: float = GRACE_SECONDS,
        died: Callable[[str], None] = lambda _: None,
        took_over: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._url = url
        self._executor_id = executor_id
        self._grace_s = grace_s
        self._died = died
        self._took_over = took_over
        self._name = self._lock(executor_id)
        self._stopping = threading.Event()
        self._free_since: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def claim_name(self) -> None:
        """Take the name of this worker; that of a predecessor that just ended is waited for.

        Raises
        ------
        SpoolError
            When a living worker has it, or the database does not answer.
        """
        deadline = time.monotonic() + _CLAIM_SECONDS
        while not self._name.held():
            if time.monotonic() > deadline:
                raise SpoolError(
                    f"the worker '{self._executor_id}' cannot take its name: another of this name "
                    "runs, or the database does not answer; give each worker its own "
                    "[engine] worker_name"
                )
            time.sleep(0.2)

    def start(self) -> None:
        """Begin to watch, in a thread."""
        self._thread = threading.Thread(target=self._watch, name="takeover", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End watching; the name is still held."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def release_name(self) -> None:
        """Give the name free, when nothing runs under it any more."""
        self._name.release()

    def _watch(self) -> None:
        while not self._stopping.wait(min(_LOOK_SECONDS, self._grace_s / 2.0)):
            try:
                if self._name.held():
                    self._look_at_others()
            except Exception as fault:  # noqa: BLE001 - a database that is away comes back
                self._free_since.clear()
                _log.warning("other workers cannot be watched", reason=type(fault).__name__)

    def _look_at_others(self) -> None:
        now = time.monotonic()
        jobs = self._running_elsewhere()
        self._free_since = {
            name: self._free_since.get(name, now) for name in jobs if self._is_free(name)
        }
        for name, since in self._free_since.items():
            if now - since >= self._grace_s:
                self._take_over(name, jobs[name])

    def _running_elsewhere(self) -> dict[str, dict[str, list[str]]]:
        """For each other worker the jobs that run under its name, by queue."""
        found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for job in DBOS.list_workflows(status="PENDING", load_input=False, load_output=False):
            if job.executor_id not in (None, self._executor_id) and job.queue_name is not None:
                found[str(job.executor_id)][str(job.queue_name)].append(job.workflow_id)
        return found

    def _is_free(self, name: str) -> bool:
        lock = self._lock(name)
        free = lock.held()
        lock.release()
        return free

    def _take_over(self, name: str, jobs: dict[str, list[str]]) -> None:
        # Held while it happens, so that only one of those who noticed does it.
        lock = self._lock(name)
        if not lock.held():
            return
        try:
            self._died(name)
            for queue, identifiers in jobs.items():
                DBOS.resume_workflows(identifiers, queue_name=queue)
        finally:
            lock.release()
        self._took_over(sum(len(identifiers) for identifiers in jobs.values()))
        _log.warning(
            "work of a dead worker taken over",
            worker=name,
            jobs=sum(len(identifiers) for identifiers in jobs.values()),
        )

    def _lock(self, name: str) -> NamedLock:
        return NamedLock(self._url, f"worker {name}", lease_s=_LEASE_SECONDS)
