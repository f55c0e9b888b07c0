"""The node: a worker that assembles, computes and delivers, and a receiver beside it."""

import math
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import structlog

from cestle.config.node import NodeConfig
from cestle.engine.jobs import Pauses
from cestle.errors import CestleError
from cestle.service.assembly import Assembly, Assess
from cestle.service.children import Children
from cestle.service.cleaning import Cleaning
from cestle.service.commitment import CommitmentCare, CommitmentRequests
from cestle.service.computation import COMPUTE_COMMAND, Computation
from cestle.service.destinations import DestinationCare
from cestle.service.dispatcher import Dispatcher
from cestle.service.fingerprint import recipe
from cestle.service.heartbeat import forget_heartbeats
from cestle.service.layout import DataFolder
from cestle.service.leader import Leader, discard_results, say_farewell
from cestle.service.logs import configure_logging, describe_fault
from cestle.service.meters import Meters
from cestle.service.node_watch import NodeWatch
from cestle.service.receivers import Receivers
from cestle.service.workflow import COMPUTE_PAUSES, Workflow
from cestle.spool.commitments import Commitments
from cestle.spool.destinations import DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.named_lock import NamedLock
from cestle.spool.performed_steps import PerformedSteps
from cestle.spool.retention import Retention
from cestle.spool.retries import Retries
from cestle.spool.workers import Steps, Workers

_LOOP_SECONDS: Final = 0.25
_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """Which part of the node a process is."""

    ALL = "all"
    RECEIVE = "receive"
    WORK = "work"


class Worker:
    """Assembles studies, computes revisions and delivers results, from the journal.

    Parameters
    ----------
    config
        The node's configuration.
    compute_command
        What computes a revision; it reads the name of a request file from its input.
    assess
        Judges whether a study is complete; None for the rules of the templates.
    compute_pauses
        Between attempts at a computation.
    meters
        What is measured.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        compute_command: Sequence[str] = COMPUTE_COMMAND,
        assess: Assess | None = None,
        compute_pauses: Pauses = COMPUTE_PAUSES,
        meters: Meters | None = None,
    ) -> None:
        self._config = config
        self._meters = meters or Meters()
        self._children = Children(compute_command)
        self._assess = assess
        self._pauses = compute_pauses
        self._stopping = threading.Event()
        self._resources = ExitStack()
        self._thread: threading.Thread | None = None
        self._unwatched: Callable[[], tuple[str, ...]] = lambda: ()
        self._last_round = self._last_success = time.monotonic()

    def silent_s(self) -> float:
        """Time since the loop went round [s]; infinite when it ended."""
        alive = self._thread is not None and self._thread.is_alive()
        return time.monotonic() - self._last_round if alive else math.inf

    def idle_s(self) -> float:
        """Time since a round of the loop succeeded [s]."""
        return time.monotonic() - self._last_success

    def unwatched(self) -> tuple[str, ...]:
        """Kinds of jobs that the engine does not look at."""
        return self._unwatched()

    def start(self) -> None:
        """Take up what is unfinished and go on with what comes.

        Raises
        ------
        ConfigError
            When templates or data folder cannot be used.
        SpoolError
            When another worker has this data folder.
        """
        folder = DataFolder.of(self._config)
        url = folder.database_url
        if not url:
            self._resources.enter_context(folder.only_one("work"))
        # Here, so that the receiver and the command line do without the workflow library.
        from cestle.engine.durable import DurableEngine
        from cestle.service.assessment import CompletenessAssessor

        database = self._resources.enter_context(folder.open_database())
        folder.require_sound(database, self._config)
        journal, states = Journal(database), DestinationStates(database)
        commitments, workers = Commitments(database), Workers(database)
        timeline, retention = Steps(database), Retention(database)
        files, name = folder.spool(self._config), _worker_name(self._config)
        assess = self._assess or CompletenessAssessor.of(self._config, files.instances)
        self._resources.callback(self._children.dismiss)
        workflow = Workflow(
            config=self._config,
            folder=folder,
            journal=journal,
            states=states,
            requests=CommitmentRequests(config=self._config, commitments=commitments),
            computation=Computation(
                config=self._config,
                folder=folder,
                stopping=self._stopping,
                children=self._children,
                worker=name,
            ),
            workers=workers,
            steps=timeline,
            stopping=self._stopping,
            compute_pauses=self._pauses,
            meters=self._meters,
        )
        begun: list[str] = []

        def died(other: str) -> None:
            if other == name:
                workers.begin(name)
                begun.append(name)
            else:
                workers.note_death(other)

        # Called after the engine has stopped, since what is entered later is left earlier.
        self._resources.callback(say_farewell, workers, begun)
        engine = DurableEngine(
            folder.engine, executor_id=name, died=died, took_over=self._meters.took_over
        )
        self._resources.callback(engine.stop)
        engine.start(workflow.kinds())
        self._unwatched = engine.unwatched
        assembly = Assembly(
            journal=journal,
            assess=assess,
            recipe=lambda: recipe(self._config),
            plan=workflow.plan_again,
            meters=self._meters,
            steps=PerformedSteps(database).of_study,
            retention=retention,
            timeline=timeline,
        )
        dispatcher = Dispatcher(
            journal=journal,
            engine=engine,
            retries=Retries(database),
            destinations=frozenset(one.name for one in self._config.destinations),
            discard=lambda uid: discard_results(folder, journal, uid),
        )
        cleaning = Cleaning(
            keep=self._config.retention,
            folder=folder,
            files=files,
            journal=journal,
            retention=retention,
            engine=engine,
        )
        destinations = DestinationCare(
            config=self._config, states=states, journal=journal, stopping=self._stopping
        )
        care = CommitmentCare(
            journal=journal,
            commitments=commitments,
            destinations={one.name: one for one in self._config.destinations},
        )
        leader = Leader(
            assembly=assembly,
            steps=(destinations.step, care.step, dispatcher.step, cleaning.step),
            engine=engine,
        )
        # Studies are watched by one worker at a time; what it hands to the engine is done by all.
        leads: Callable[[], bool] = NamedLock(url, "assembly").held if url else lambda: True
        self._thread = threading.Thread(
            target=self._loop,
            args=(leads, leader, journal),
            name="assembly",
            daemon=True,
        )
        self._thread.start()
        _log.info("worker started")

    def stop(self) -> None:
        """Finish the instance under way, leave the rest to the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            _log.info("worker stopped")
        self._resources.close()

    def _loop(self, leads: Callable[[], bool], leader: Leader, journal: Journal) -> None:
        while not self._stopping.wait(_LOOP_SECONDS):
            self._last_round = time.monotonic()
            try:
                if leads():
                    leader.step(time.time())
                self._prepare(journal)
                self._last_success = time.monotonic()
            except CestleError as fault:
                _log.error("the node cannot go on for now", reason=str(fault))
            except Exception as fault:  # noqa: BLE001 - the next round may succeed
                _log.error("the node cannot go on for now", reason=describe_fault(fault))

    def _prepare(self, journal: Journal) -> None:
        """Have a computing child ready while a study arrives, and none when all is done."""
        if journal.collecting():
            self._children.make_ready()
        elif not any(one.state.computing for one in journal.unfinished()):
            self._children.dismiss()


class Node:
    """A whole node in one object: `start`, then `stop`.

    Parameters
    ----------
    config
        The node's configuration.
    role
        What this process does.
    compute_command
        As for `Worker`.
    assess
        As for `Worker`.
    compute_pauses
        As for `Worker`.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        role: Role = Role.ALL,
        compute_command: Sequence[str] = COMPUTE_COMMAND,
        assess: Assess | None = None,
        compute_pauses: Pauses = COMPUTE_PAUSES,
    ) -> None:
        self._config = config
        self.watch = NodeWatch(config, role.value)
        self._worker = (
            None
            if role is Role.RECEIVE
            else Worker(
                config,
                compute_command=compute_command,
                assess=assess,
                compute_pauses=compute_pauses,
                meters=self.watch.meters,
            )
        )
        self._receivers = None if role is Role.WORK else Receivers(config)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on; 0 when this process does not receive."""
        return 0 if self._receivers is None else self._receivers.port

    @property
    def receiver_pids(self) -> tuple[int, ...]:
        """Process numbers of the receivers; 0 for one that is being started again."""
        return () if self._receivers is None else self._receivers.pids

    def start(self) -> None:
        """Start receiving and working.

        Raises
        ------
        ConfigError
            When configuration, templates, address or folder cannot be used.
        SpoolError
            When another process has this role on the same data folder.
        """
        try:
            if self._worker is not None:
                self._worker.start()
            if self._receivers is not None:
                forget_heartbeats(DataFolder.of(self._config).run)
                self._receivers.start()
            self.watch.start(worker=self._worker, receivers=len(self.receiver_pids))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop receiving first, then working; what is unfinished goes on at the next start."""
        self.watch.stopping()
        if self._receivers is not None:
            self._receivers.stop()
        if self._worker is not None:
            self._worker.stop()
        self.watch.stop()


def serve(
    config: NodeConfig,
    *,
    role: Role = Role.ALL,
    compute_command: Sequence[str] = COMPUTE_COMMAND,
    ready: Callable[[Node], None] = lambda _: None,
    beside: Callable[[NodeWatch], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Run the node until SIGTERM or SIGINT; called in the main thread.

    Parameters
    ----------
    config
        The node's configuration.
    role
        What this process does.
    compute_command
        As for `Worker`.
    ready
        Called once the node listens and works.
    beside
        Runs beside the node, from before its start to after its end, and may watch it.

    Raises
    ------
    ConfigError
        When configuration, templates, address or folder cannot be used.
    SpoolError
        When another process has this role on the same data folder.
    """
    configure_logging(config.logging.level)
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        node = Node(config, role=role, compute_command=compute_command)
        with beside(node.watch), node:
            _log.info("node started", role=role.value, port=node.port)
            ready(node)
            stop.wait()
            _log.info("node stops")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _worker_name(config: NodeConfig) -> str:
    """Name of this worker among all that share a database, the same after a restart."""
    if config.engine.worker_name:
        return config.engine.worker_name
    return socket.gethostname() if config.engine.database_url else "cestle-worker"
