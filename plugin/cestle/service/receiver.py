"""The receiving process: listener and spool, nothing else, so that little can stop it.

Started by the node as ``python -m cestle.service.receiver``, with the configuration as one line
of JSON on standard input. It answers with one line of JSON on standard output, the port or a
fault, and ends when its parent does.
"""

import json
import os
import signal
import sys
import threading
import time
from contextlib import ExitStack
from typing import Final

import structlog

from cestle.config.node import NodeConfig
from cestle.errors import CestleError, ConfigError, SpoolError
from cestle.net.listener import Listener
from cestle.service.intake import Intake
from cestle.service.layout import DataFolder
from cestle.service.lifeline import watch_parent
from cestle.service.logs import configure_logging
from cestle.spool.journal import Journal
from cestle.spool.retention import Retention

_TAKE_OVER_SECONDS: Final = 15.0
_ORPHAN_GRACE_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


class Receiver:
    """Listener and intake on the data folder of a configuration.

    Parameters
    ----------
    config
        The node's configuration.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._resources = ExitStack()
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port listened on; 0 before `start`."""
        return 0 if self._listener is None else self._listener.port

    def start(self) -> None:
        """Reconcile the spool, then listen.

        A predecessor that is just ending still holds lock and port, so both are waited for.

        Raises
        ------
        ConfigError
            When the address cannot be bound.
        SpoolError
            When another receiver works on this data folder.
        """
        folder = DataFolder.of(self._config)
        deadline = time.monotonic() + _TAKE_OVER_SECONDS
        while True:
            try:
                self._resources.enter_context(folder.only_one("receive"))
                break
            except SpoolError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        database = self._resources.enter_context(folder.open_database())
        # Before anything is reconciled: with a share that is not mounted, every instance would
        # look lost.
        folder.require_sound(database, self._config)
        intake = Intake(
            files=folder.spool(self._config),
            journal=Journal(database),
            retention=Retention(database),
            redo_ae_title=self._config.node.redo_ae_title,
        )
        intake.recover()
        self._listener = Listener(self._config, store=intake.store, quarantine=intake.quarantine)
        self._listen(self._listener, deadline)

    def _listen(self, listener: Listener, deadline: float) -> None:
        node = self._config.node
        while True:
            try:
                listener.start()
            except OSError as fault:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"{node.host}:{node.port} cannot be listened on ({fault.strerror}); "
                        "choose another port or stop what uses it"
                    ) from fault
                time.sleep(0.2)
            else:
                return

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Accept nothing more, let associations under way end, release everything."""
        if self._listener is not None:
            self._listener.stop(grace_seconds=grace_seconds)
            self._listener = None
        self._resources.close()


def main() -> int:
    """Run a receiver until the parent ends or asks for the end; the exit code."""
    config = NodeConfig.model_validate_json(sys.stdin.buffer.readline())
    configure_logging(config.logging.level)
    stop = threading.Event()
    orphaned = threading.Event()

    def parent_gone() -> None:
        orphaned.set()
        stop.set()

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    watch_parent(parent_gone)
    receiver = Receiver(config)
    try:
        receiver.start()
    except CestleError as fault:
        _answer({"fault": str(fault)})
        receiver.stop()
        return 2
    _answer({"port": receiver.port})
    stop.wait()
    receiver.stop(grace_seconds=_ORPHAN_GRACE_SECONDS if orphaned.is_set() else 10.0)
    return 0


def _answer(content: dict[str, str | int]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    # Threads of aborted associations may linger; everything that matters is committed.
    sys.stderr.flush()
    os._exit(code)
