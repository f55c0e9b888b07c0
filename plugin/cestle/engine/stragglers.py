"""Jobs of this worker that no thread is at any more, because their end could not be recorded.

When the disk is full, a job can end without the engine being able to write that down. The engine
then takes it for running until the next start. Here it is enqueued again as soon as that can be
written.
"""

import threading
from collections.abc import Callable

import structlog
from dbos import DBOS

_log = structlog.get_logger(__name__)


class Stragglers:
    """Watches the jobs of this worker.

    Parameters
    ----------
    executor_id
        Name of this worker.
    running
        Jobs that a thread of this process is at.
    look_s
        Pause between looks; a job that was idle in two of them is enqueued again [s].
    """

    def __init__(
        self, executor_id: str, running: Callable[[], frozenset[str]], *, look_s: float
    ) -> None:
        self._executor_id = executor_id
        self._running = running
        self._look_s = look_s
        self._idle: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stragglers", daemon=True)

    def start(self) -> None:
        """Begin to watch, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.wait(self._look_s):
            try:
                self._look()
            except Exception as fault:  # noqa: BLE001 - a full disk or a database away comes back
                _log.warning("jobs cannot be watched", reason=type(fault).__name__)

    def _look(self) -> None:
        pending = {
            job.workflow_id: str(job.queue_name)
            for job in DBOS.list_workflows(
                status="PENDING",
                executor_id=self._executor_id,
                load_input=False,
                load_output=False,
            )
            if job.queue_name is not None
        }
        # In this order: a job that begins after the list was read is not on it.
        idle = pending.keys() - self._running()
        for identifier in idle & self._idle:
            DBOS.resume_workflows([identifier], queue_name=pending[identifier])
            _log.warning("a job whose end was not recorded is enqueued again", job=identifier)
        self._idle = idle - self._idle
