"""Watches a process of the node: is it alive, is it ready, what is to be counted.

Alive means that a restart would not help; ready means that it can receive and work now.
"""

import hashlib
import threading
import time
from contextlib import ExitStack
from typing import Any, Final, Protocol

import structlog

import cestle
from cestle.config.node import NodeConfig
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.errors import CestleError
from cestle.service.health import Check, Finding, Health
from cestle.service.heartbeat import Reception, add_up, read_heartbeats
from cestle.service.layout import DataFolder
from cestle.service.meters import Meters
from cestle.service.notify import notify
from cestle.spool.audit import AuditEvent, AuditNote, AuditTrail, Detail, Head
from cestle.spool.database import Database

_LOOK_SECONDS: Final = 5.0
_NOTE_HEAD_SECONDS: Final = 86_400.0
_ROUND_SECONDS: Final = 60.0
_DEAD_SECONDS: Final = 300.0
_STARTING: Final = "the node is starting"
_log = structlog.get_logger(__name__)


class WatchedWorker(Protocol):
    """What is asked of a worker."""

    def silent_s(self) -> float:
        """Time since its loop went round [s]; infinite when it ended."""

    def idle_s(self) -> float:
        """Time since a round of its loop succeeded [s]."""

    def unwatched(self) -> tuple[str, ...]:
        """Kinds of jobs that its engine does not look at."""


class NodeWatch:
    """Health and figures of one process.

    Parameters
    ----------
    config
        The node's configuration.
    role
        What the process does.
    """

    def __init__(self, config: NodeConfig, role: str) -> None:
        self.config = config
        self.role = role
        self.meters = Meters()
        self.begun = time.time()
        self.templates = ""
        self.database: Database | None = None
        self._folder = DataFolder.existing(config)
        self._worker: WatchedWorker | None = None
        self._receivers = 0
        self._started = False
        self._health = Health({"started": lambda: "" if self._started else _STARTING})
        self._resources = ExitStack()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, *, worker: WatchedWorker | None, receivers: int) -> None:
        """Begin, when the parts of the node have been started.

        Parameters
        ----------
        worker
            Of this process; None when it does not work.
        receivers
            How many receivers it has.

        Raises
        ------
        ConfigError
            When the templates cannot be read.
        SpoolError
            When the audit trail cannot be written: no node works without one.
        """
        self._worker, self._receivers = worker, receivers
        folder = TemplateFolder.default(self.config.templates.overlay_dir)
        self.templates = load_template_set(folder).label
        self.database = self._resources.enter_context(self._folder.open_database())
        self._note(AuditEvent.NODE_STARTED, templates=self.templates, configuration=self._digest())
        self._log_head()
        self._health = Health(self._checks())
        self._started = True
        notify("READY=1")
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stopping(self) -> None:
        """Say that the end has begun; called before the parts are stopped."""
        if self._started:
            self._started = False
            notify("STOPPING=1")

    def stop(self) -> None:
        """End, when the parts have been stopped."""
        self.stopping()
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None
        try:
            self._note(AuditEvent.NODE_STOPPED)
            self._log_head()
        except CestleError as fault:
            _log.error("the audit trail cannot be written", reason=str(fault))
        self.database = None
        self._resources.close()

    # What is asked

    def readiness(self) -> tuple[Finding, ...]:
        """Whether it can receive and work now, and if not, why."""
        return self._health.look()

    def lifelessness(self) -> str:
        """Why only a restart would help; empty when it lives."""
        if self._started and self._worker is not None:
            silent = self._worker.silent_s()
            if silent > _DEAD_SECONDS:
                return f"the worker's loop has not gone round for {silent:.0f} s"
        return ""

    def reception(self) -> Reception:
        """What the receivers of this process counted."""
        beats = read_heartbeats(self._folder.run) if self._receivers else ()
        return add_up(beats)

    def audit_head(self) -> Head | None:
        """Last entry of the audit trail; None when that is not known."""
        if self.database is None:
            return None
        try:
            return AuditTrail(self.database).head()
        except CestleError:
            return None

    # The checks

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {
            "started": lambda: "" if self._started else "the node stops",
            "database": self._ask_database,
            "spool": self._ask_spool,
            "templates": lambda: "" if self.templates else "no templates are loaded",
        }
        if self._receivers:
            checks |= {"receivers": self._ask_receivers, "audit": self._ask_audit}
        if self._worker is not None:
            checks |= {"worker": self._ask_worker, "engine": self._ask_engine}
        return checks

    def _ask_database(self) -> str:
        if self.database is None:
            return "the database is closed"
        self.database.read("SELECT number FROM journal_version")
        return ""

    def _ask_spool(self) -> str:
        self._folder.spool(self.config).require_space()
        probe = self._folder.run / f"probe-{threading.get_ident()}"
        try:
            probe.parent.mkdir(mode=0o700, exist_ok=True)
            probe.write_bytes(b"cestle")
            probe.unlink()
        except OSError as fault:
            return f"{self._folder.root} cannot be written to ({fault.strerror})"
        return ""

    def _ask_receivers(self) -> str:
        alive = self.reception().alive
        return "" if alive >= self._receivers else f"{alive} of {self._receivers} receivers listen"

    def _ask_audit(self) -> str:
        pending = self.reception().audit_pending
        return f"{pending} audit entries could not be written yet" if pending else ""

    def _ask_worker(self) -> str:
        idle = 0.0 if self._worker is None else self._worker.idle_s()
        if idle <= _ROUND_SECONDS:
            return ""
        return f"no round of the worker's loop has succeeded for {idle:.0f} s; see the log"

    def _ask_engine(self) -> str:
        kinds = () if self._worker is None else self._worker.unwatched()
        return f"nobody looks at the jobs of {', '.join(kinds)}" if kinds else ""

    # The thread

    def _run(self) -> None:
        noted = time.monotonic()
        while not self._stopping.wait(_LOOK_SECONDS):
            if not self.lifelessness():
                notify("WATCHDOG=1")
            if time.monotonic() - noted >= _NOTE_HEAD_SECONDS:
                noted = time.monotonic()
                self._log_head()

    def _log_head(self) -> None:
        head = self.audit_head()
        if head is not None:
            _log.info("audit trail", entries=head.seq, head=head.hash)

    def _note(self, event: AuditEvent, **about: Any) -> None:
        if self.database is None:
            return
        detail: Detail = {"role": self.role, "version": cestle.__version__} | about
        note = AuditNote(event=event, actor="cestle", detail=detail)
        AuditTrail(self.database).add(note, now=time.time())

    def _digest(self) -> str:
        return hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()
