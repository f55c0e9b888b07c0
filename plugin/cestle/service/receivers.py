"""The receiving processes of a node: one port, one spool, each started again when it dies."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from typing import Final

import structlog

from cestle.config.node import NodeConfig
from cestle.errors import CestleError, ConfigError
from cestle.service.receiver import Place, Reception

_START_SECONDS: Final = 60.0
_LONGEST_RESTART_SECONDS: Final = 30.0
_MOST_BY_DEFAULT: Final = 4
_log = structlog.get_logger(__name__)


class Receivers:
    """All receiving processes of a node.

    They accept from one listening socket, which this process holds open: a connection that comes
    while one of them is started again waits and is not refused. They inherit the lock of the
    role, so that a successor finds the spool locked until the last of them has ended.

    Parameters
    ----------
    config
        The node's configuration.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._reception = Reception(config)
        self._config = config
        self._resources = ExitStack()
        self._processes: list[ReceiverProcess] = []
        self.port = 0

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers; 0 for one that is being started again."""
        return tuple(one.pid for one in self._processes)

    def start(self) -> None:
        """Reconcile the spool, then start all and wait until they listen.

        Raises
        ------
        ConfigError
            When the address cannot be bound or a receiver does not start.
        SpoolError
            When another node receives into this data folder.
        """
        self._reception.open()
        node = self._config.node
        number = node.receivers or min(
            os.cpu_count() or 1, _MOST_BY_DEFAULT, node.maximum_associations
        )
        listening = self._reception.listening
        self.port = int(listening.getsockname()[1])
        tally = self._resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed in `stop`
        tally.truncate(number)
        self._processes = [
            ReceiverProcess(
                Place(
                    config=self._config,
                    number=one,
                    of=number,
                    listening=listening.fileno(),
                    tally=tally.fileno(),
                ),
                lock=self._reception.lock,
            )
            for one in range(1, number + 1)
        ]
        for process in self._processes:
            process.launch()
        for process in self._processes:
            process.start()

    def stop(self) -> None:
        """Ask all to end and wait for them."""
        for process in self._processes:
            process.ask_to_end()
        for process in self._processes:
            process.join()
        self._resources.close()
        self._reception.close()


class ReceiverProcess:
    """A receiver in a process of its own, started again when it dies.

    Parameters
    ----------
    place
        What it is told.
    lock
        File descriptor of the lock of the role.
    """

    def __init__(self, place: Place, *, lock: int) -> None:
        self._place = place
        self._lock = lock
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process number of the receiver; 0 when there is none."""
        return 0 if self._process is None else self._process.pid

    def launch(self) -> None:
        """Start the process; it is ready after `start`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "cestle.service.receiver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A Ctrl-C at the terminal is for the node, which then asks the receiver to end.
            start_new_session=True,
            pass_fds=(self._lock, self._place.listening, self._place.tally),
        )
        if process.stdin is None:
            raise ConfigError("the receiver has no pipes")
        try:
            process.stdin.write(self._place.model_dump_json().encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; said when its answer is missing
        self._process = process

    def start(self) -> None:
        """Wait until the process listens, and watch it from then on.

        Raises
        ------
        ConfigError
            When it cannot listen.
        """
        self._await_answer()
        self._thread = threading.Thread(target=self._watch, name="receiver", daemon=True)
        self._thread.start()

    def ask_to_end(self) -> None:
        """Ask the process to end."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()

    def join(self) -> None:
        """Wait until the process has ended."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        elif self._process is not None:
            self._process.wait(_START_SECONDS)
            _close_pipes(self._process)

    def _await_answer(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            raise ConfigError("the receiver was not launched")
        answer = json.loads(process.stdout.readline() or b"{}")
        if "port" not in answer:
            process.wait(_START_SECONDS)
            _close_pipes(process)
            self._process = None
            raise ConfigError(answer.get("fault", "the receiver ended at its start; see the log"))

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
            self._process = None
            self._restart(pause)
            pause = min(2 * pause, _LONGEST_RESTART_SECONDS)

    def _restart(self, pause: float) -> None:
        while not self._stopping.wait(pause):
            try:
                self.launch()
                if self._stopping.is_set():  # asked to end while there was no process to ask
                    self.ask_to_end()
                self._await_answer()
            except CestleError as fault:
                _log.error("the receiver cannot be started", reason=str(fault))
            else:
                return


def _close_pipes(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
