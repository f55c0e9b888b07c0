"""The node: a worker that assembles, computes and delivers, and a receiver beside it."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

import structlog

from cestle.config.node import NodeConfig
from cestle.engine.jobs import Pauses
from cestle.errors import CestleError, ConfigError
from cestle.service.assembly import Assembly, Assess
from cestle.service.children import Children
from cestle.service.cleaning import Cleaning
from cestle.service.computation import COMPUTE_COMMAND, Computation
from cestle.service.dispatcher import Dispatcher
from cestle.service.layout import DataFolder
from cestle.service.leader import Leader, discard_results, say_farewell
from cestle.service.logs import configure_logging, describe_fault
from cestle.service.receiver import Receiver
from cestle.service.workflow import COMPUTE_PAUSES, Workflow
from cestle.spool.journal import Journal
from cestle.spool.named_lock import NamedLock
from cestle.spool.retention import Retention
from cestle.spool.retries import Retries
from cestle.spool.workers import Steps, Workers

_LOOP_SECONDS: Final = 0.25
_START_SECONDS: Final = 60.0
_LONGEST_RESTART_SECONDS: Final = 30.0
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
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        compute_command: Sequence[str] = COMPUTE_COMMAND,
        assess: Assess | None = None,
        compute_pauses: Pauses = COMPUTE_PAUSES,
    ) -> None:
        self._config = config
        self._children = Children(compute_command)
        self._assess = assess
        self._pauses = compute_pauses
        self._stopping = threading.Event()
        self._resources = ExitStack()
        self._thread: threading.Thread | None = None

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
        journal, workers, retention = Journal(database), Workers(database), Retention(database)
        steps = Steps(database)
        files, name = folder.spool(self._config), _worker_name(self._config)
        assess = self._assess or CompletenessAssessor.of(self._config, files.instances)
        self._resources.callback(self._children.dismiss)
        workflow = Workflow(
            config=self._config,
            folder=folder,
            journal=journal,
            computation=Computation(
                config=self._config,
                folder=folder,
                stopping=self._stopping,
                children=self._children,
                worker=name,
            ),
            workers=workers,
            steps=steps,
            stopping=self._stopping,
            compute_pauses=self._pauses,
        )

        def died(other: str) -> None:
            if other == name:
                workers.begin(name)
                self._resources.callback(say_farewell, workers, name)
            else:
                workers.note_death(other)

        engine = DurableEngine(folder.engine, executor_id=name, died=died)
        engine.start(workflow.kinds())
        self._resources.callback(engine.stop)
        leader = Leader(
            assembly=Assembly(journal=journal, assess=assess, retention=retention, steps=steps),
            dispatcher=Dispatcher(
                journal=journal,
                engine=engine,
                retries=Retries(database),
                destinations=frozenset(one.name for one in self._config.destinations),
                discard=lambda uid: discard_results(folder, journal, uid),
            ),
            cleaning=Cleaning(
                keep=self._config.retention,
                folder=folder,
                files=files,
                journal=journal,
                retention=retention,
                engine=engine,
            ),
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
            try:
                if leads():
                    leader.step(time.time())
                self._prepare(journal)
            except CestleError as fault:
                _log.error("the node cannot go on for now", reason=str(fault))
            except Exception as fault:  # noqa: BLE001 - the next round may succeed
                _log.error("the node cannot go on for now", reason=describe_fault(fault))

    def _prepare(self, journal: Journal) -> None:
        """Have a computing child ready while a study arrives, and none when all is done."""
        if journal.collecting():
            self._children.make_ready()
        elif not journal.unfinished():
            self._children.dismiss()


class ReceiverProcess:
    """A receiver in a process of its own, started again when it dies.

    Parameters
    ----------
    config
        The node's configuration.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """Process number of the receiver; 0 when there is none."""
        return 0 if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the receiver and wait until it listens.

        Raises
        ------
        ConfigError
            When it cannot listen.
        """
        self._process = self._spawn()
        self._thread = threading.Thread(target=self._watch, name="receiver", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the receiver to end and wait for it."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _spawn(self) -> "subprocess.Popen[bytes]":
        # A receiver that is started again takes the same port, also where any was free at first.
        node = self._config.node.model_copy(update={"port": self.port or self._config.node.port})
        config = self._config.model_copy(update={"node": node})
        process = subprocess.Popen(
            [sys.executable, "-m", "cestle.service.receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl-C at the terminal is for the node, which then asks the receiver to end.
            start_new_session=True,
        )
        if process.stdin is None or process.stdout is None:
            raise ConfigError("the receiver has no pipes")
        process.stdin.write(config.model_dump_json().encode() + b"\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline() or b"{}")
        if "port" not in answer:
            process.wait(_START_SECONDS)
            _close_pipes(process)
            raise ConfigError(answer.get("fault", "the receiver ended at its start; see the log"))
        self.port = int(answer["port"])
        return process

    def _watch(self) -> None:
        pause = 0.5
        while self._process is not None:
            begin = time.monotonic()
            code = self._process.wait()
            _close_pipes(self._process)
            if self._stopping.is_set():
                return
            _log.error("the receiver died and is started again", exit_code=code)
            if time.monotonic() - begin > _LONGEST_RESTART_SECONDS:
                pause = 0.5
            self._process = self._restart(pause)
            pause = min(2 * pause, _LONGEST_RESTART_SECONDS)

    def _restart(self, pause: float) -> "subprocess.Popen[bytes] | None":
        while not self._stopping.wait(pause):
            try:
                return self._spawn()
            except CestleError as fault:
                _log.error("the receiver cannot be started", reason=str(fault))
        return None


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
        self._worker = (
            None
            if role is Role.RECEIVE
            else Worker(
                config,
                compute_command=compute_command,
                assess=assess,
                compute_pauses=compute_pauses,
            )
        )
        self._receiver: Receiver | ReceiverProcess | None = None
        if role is Role.RECEIVE:
            self._receiver = Receiver(config)
        elif role is Role.ALL:
            self._receiver = ReceiverProcess(config)

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
        return 0 if self._receiver is None else self._receiver.port

    @property
    def receiver_pid(self) -> int:
        """Process number of the receiver; 0 when it is no process of its own."""
        return self._receiver.pid if isinstance(self._receiver, ReceiverProcess) else 0

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
            if self._receiver is not None:
                self._receiver.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop receiving first, then working; what is unfinished goes on at the next start."""
        if self._receiver is not None:
            self._receiver.stop()
        if self._worker is not None:
            self._worker.stop()


def serve(
    config: NodeConfig,
    *,
    role: Role = Role.ALL,
    compute_command: Sequence[str] = COMPUTE_COMMAND,
    ready: Callable[[Node], None] = lambda _: None,
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
        with Node(config, role=role, compute_command=compute_command) as node:
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


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
