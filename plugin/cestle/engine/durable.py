"""`JobEngine` on DBOS Transact, with SQLite for one worker or PostgreSQL for several.

Each attempt at a job is one workflow of one step, named ``key#attempt``. An attempt that failed
enqueues its successor with a delay, so a pause of hours holds no thread and survives a restart,
and no sleeping thread delays a stop.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    SetEnqueueOptions,
    SetWorkflowID,
)

from cestle.engine.jobs import Ending, JobKind, Payload, spread
from cestle.engine.stragglers import Stragglers
from cestle.engine.takeover import GRACE_SECONDS, Takeover
from cestle.errors import SpoolError
from cestle.spool.database import watchful_url

_PROTOCOL: Final = "wf-1"
"""Pinned: by default it is a hash of the code, and an upgrade would strand what is under way."""
_ACTIVE: Final = ["PENDING", "ENQUEUED", "DELAYED"]
_DRAIN_SECONDS: Final = 20
_RECOVERIES: Final = 1_000_000
"""As good as never: which job is too dangerous to repeat is not for the engine to judge."""
_LATER_SECONDS: Final = 5.0
_ENDED: Final = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_PRUNED_AT_ONCE: Final = 500
_QUEUE_THREAD: Final = "queue-worker-"
"""How dbos begins the names of its threads; one for each queue, then its name."""


class DurableEngine:
    """The engine of the node; one for each process, since dbos keeps a global registry.

    Parameters
    ----------
    database
        SQLite file of the engine, on a local disk; or a ``postgresql://`` address, which several
        workers may share.
    executor_id
        Name of this worker, unlike any other's, and the same after a restart, so that it takes
        up its own work.
    polling_s
        How often queues are looked at [s].
    grace_s
        How long another worker has to be gone before its work is taken over [s].
    died
        Told the name of a worker whose work is about to be taken over: another's, or the own one
        before what a predecessor left is taken up.
    took_over
        Told how many jobs were taken over from a worker that died.
    """

    def __init__(
        self,
        database: Path | str,
        *,
        executor_id: str = "cestle-worker",
        polling_s: float = 0.2,
        grace_s: float = GRACE_SECONDS,
        died: Callable[[str], None] = lambda _: None,
        took_over: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._took_over = took_over
        self._database = database
        self._executor_id = executor_id
        self._polling_s = polling_s
        self._grace_s = grace_s
        self._died = died
        self._active: set[str] = set()
        self._guard = threading.Lock()
        self._stragglers: Stragglers | None = None
        self._kinds: dict[str, JobKind] = {}
        self._run: Any = None
        self._engine: sa.Engine | None = None
        self._takeover: Takeover | None = None

    def start(self, kinds: Sequence[JobKind]) -> None:
        """Register the kinds and begin to run; what a crash cut short is taken up.

        Raises
        ------
        SpoolError
            When jobs of another protocol version are unfinished, since they would never run; or
            when a worker of this name runs already.
        """
        self._kinds = {kind.name: kind for kind in kinds}
        if isinstance(self._database, Path):
            self._engine = _sqlite_engine(self._database)
        else:
            self._takeover = Takeover(
                self._database,
                self._executor_id,
                grace_s=self._grace_s,
                died=self._died,
                took_over=self._took_over,
            )
            self._takeover.claim_name()
        self._died(self._executor_id)
        DBOS.destroy(destroy_registry=True)
        DBOS(config=self._config(threads=16 + sum(kind.concurrency for kind in kinds)))

        # dbos marks the function that it is given, which a bound method does not allow.
        def job(
            kind: str, key: str, payload: dict[str, str | int], attempt: int, failures: int
        ) -> str:
            with self._counted(f"{key}#{attempt}"):
                return self._workflow(kind, key, payload, attempt, failures)

        self._run = DBOS.workflow(name="job", max_recovery_attempts=_RECOVERIES)(job)
        DBOS.launch()
        self._require_own_protocol()
        for kind in kinds:
            DBOS.register_queue(
                kind.name,
                worker_concurrency=kind.concurrency,
                global_concurrency=kind.concurrency if kind.exclusive else None,
                polling_interval_sec=self._polling_s,
                on_conflict="always_update",
            )
        self._stragglers = Stragglers(self._executor_id, self._running, look_s=self._grace_s / 2)
        self._stragglers.start()
        if self._takeover is not None:
            self._takeover.start()

    def submit(self, kind: str, key: str, payload: Payload) -> None:
        """Enqueue the first attempt of a job; nothing happens when `key` is known."""
        self._enqueue(kind, key, dict(payload), attempt=1, failures=0, delay_s=0.0)

    def holds(self, key: str) -> bool:
        """Whether an attempt of `key` is enqueued, delayed or running."""
        return bool(
            DBOS.list_workflows(
                workflow_id_prefix=f"{key}#",
                status=_ACTIVE,
                limit=1,
                load_input=False,
                load_output=False,
            )
        )

    def hurry(self) -> None:
        """Run what pauses at once."""
        for job in DBOS.list_workflows(status="DELAYED", load_input=False, load_output=False):
            DBOS.resume_workflows([job.workflow_id], queue_name=job.queue_name)

    def prune(self, before: float) -> int:
        """Forget jobs that ended before a time [s since the epoch]; how many."""
        limit, count = datetime.fromtimestamp(before, UTC).isoformat(), 0
        while ended := DBOS.list_workflows(
            status=_ENDED,
            completed_before=limit,
            limit=_PRUNED_AT_ONCE,
            load_input=False,
            load_output=False,
        ):
            DBOS.delete_workflows([job.workflow_id for job in ended])
            count += len(ended)
        return count

    def unwatched(self) -> tuple[str, ...]:
        """Kinds whose queue nobody looks at in this process, so that their jobs would wait."""
        threads = {thread.name for thread in threading.enumerate()}
        return tuple(kind for kind in self._kinds if f"{_QUEUE_THREAD}{kind}" not in threads)

    def stop(self) -> None:
        """Take no more jobs, wait until attempts under way have returned, close the database."""
        if self._stragglers is not None:
            self._stragglers.stop()
            self._stragglers = None
        takeover, self._takeover = self._takeover, None
        if takeover is not None:
            takeover.stop()
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=_DRAIN_SECONDS)
        if takeover is not None:
            takeover.release_name()
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    @contextmanager
    def _counted(self, identifier: str) -> Iterator[None]:
        with self._guard:
            self._active.add(identifier)
        try:
            yield
        finally:
            with self._guard:
                self._active.discard(identifier)

    def _running(self) -> frozenset[str]:
        """Attempts that a thread of this process is at."""
        with self._guard:
            return frozenset(self._active)

    def _config(self, *, threads: int) -> DBOSConfig:
        place = self._database
        return DBOSConfig(
            name="cestle",
            system_database_url=(
                f"sqlite:///{place}" if isinstance(place, Path) else watchful_url(place)
            ),
            system_database_engine=self._engine,
            application_version=_PROTOCOL,
            executor_id=self._executor_id,
            # The default is pickle, which runs whatever a tampered database holds.
            serializer=DBOSPortableJSONSerializer(),
            enable_otlp=False,
            log_level="WARNING",
            max_executor_threads=threads,
            notification_listener_polling_interval_sec=1.0,
        )

    def _require_own_protocol(self) -> None:
        stranded = [
            one.workflow_id
            for one in DBOS.list_workflows(status=_ACTIVE, load_input=False, load_output=False)
            if one.app_version not in (None, _PROTOCOL)
        ]
        if stranded:
            raise SpoolError(
                f"{len(stranded)} jobs were begun by another version of the node, expected "
                f"protocol {_PROTOCOL}; let that version finish them, then update"
            )

    def _enqueue(
        self,
        kind: str,
        key: str,
        payload: dict[str, str | int],
        *,
        attempt: int,
        failures: int,
        delay_s: float,
    ) -> None:
        delay = delay_s if delay_s > 0 else None
        with SetWorkflowID(f"{key}#{attempt}"), SetEnqueueOptions(delay_seconds=delay):
            DBOS.enqueue_workflow(kind, self._run, kind, key, payload, attempt, failures)

    def _workflow(
        self, kind: str, key: str, payload: dict[str, str | int], attempt: int, failures: int
    ) -> str:
        """One attempt, and what follows from its ending; dbos replays it after a crash."""
        ending = DBOS.run_step({"name": kind}, self._attempt, kind, payload)
        if ending == Ending.DONE:
            return str(ending)
        delay_s = _LATER_SECONDS if ending == Ending.LATER else 0.0
        if ending == Ending.AGAIN:
            failures += 1
            pause = self._kinds[kind].pauses(payload).after(failures)
            if pause is None:
                DBOS.run_step({"name": "give_up"}, self._give_up, kind, payload)
                return "gave_up"
            delay_s = spread(pause, f"{key}#{attempt}")
        self._enqueue(kind, key, payload, attempt=attempt + 1, failures=failures, delay_s=delay_s)
        return str(ending)

    def _attempt(self, kind: str, payload: dict[str, str | int]) -> str:
        known = self._kinds.get(kind)
        # A destination may have left the configuration while a job for it was under way.
        return (Ending.DONE if known is None else known.attempt(payload)).value

    def _give_up(self, kind: str, payload: dict[str, str | int]) -> None:
        self._kinds[kind].give_up(payload)


def _sqlite_engine(path: Path) -> sa.Engine:
    """An engine whose commits survive a power failure, with writers one after the other."""
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        del record
        connection.isolation_level = "IMMEDIATE"
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=30000",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    return engine
