"""The receiving process: listener and spool, nothing else, so that little can stop it.

Started by the node as ``python -m cestle.service.receiver``, with a `Place` as one line of JSON
on standard input. It answers with one line of JSON on standard output, the port or a fault, and
ends when its parent does.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack
from typing import Final

import structlog
from pydantic import BaseModel

from cestle.config.node import NodeConfig
from cestle.errors import CestleError, ConfigError, SpoolError
from cestle.net.admitted import Tally
from cestle.net.listener import Listener
from cestle.net.server import BACKLOG
from cestle.service.commitment import recorder
from cestle.service.intake import Intake
from cestle.service.layout import DataFolder
from cestle.service.lifeline import read_line, watch_parent
from cestle.service.logs import configure_logging
from cestle.service.receiver_watch import ReceiverWatch
from cestle.spool.audit import AuditEvent, AuditNote, AuditTrail, Outcome
from cestle.spool.commitments import Commitments
from cestle.spool.journal import Journal
from cestle.spool.performed_steps import PerformedSteps

_TAKE_OVER_SECONDS: Final = 15.0
_ORPHAN_GRACE_SECONDS: Final = 2.0
_log = structlog.get_logger(__name__)


class Place(BaseModel):
    """What one of several receiving processes needs to know.

    Parameters
    ----------
    config
        The node's configuration.
    number, of
        Which of how many, from 1.
    listening
        File descriptor of the listening socket, which all of them accept from.
    tally
        File descriptor of the file in which they count their associations.
    """

    config: NodeConfig
    number: int
    of: int
    listening: int
    tally: int


class Reception:
    """The sole right to receive into a data folder: lock, reconciled spool and bound port.

    Parameters
    ----------
    config
        The node's configuration.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._resources = ExitStack()
        self._listening: socket.socket | None = None
        self.lock = -1

    @property
    def listening(self) -> socket.socket:
        """The listening socket.

        Raises
        ------
        ConfigError
            Before `open`.
        """
        if self._listening is None:
            raise ConfigError("the reception is not open; report this fault")
        return self._listening

    def open(self) -> None:
        """Take lock and port, and bring files and journal together, before anybody accepts.

        A predecessor that is just ending still holds both, so they are waited for.

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
                self.lock = self._resources.enter_context(folder.only_one("receive"))
                break
            except SpoolError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        with folder.open_database() as database:
            # Before anything is reconciled: with a share that is not mounted, every instance
            # would look lost.
            folder.require_sound(database, self._config)
            trail = AuditTrail(database)
            Intake.of(
                self._config,
                Journal(database),
                missing=lambda number: trail.add(_missing(number), now=time.time()),
            ).recover()
        self._listening = self._resources.enter_context(self._bind(deadline))

    def _bind(self, deadline: float) -> socket.socket:
        node = self._config.node
        while True:
            try:
                return socket.create_server(
                    (node.host, node.port), family=_family(node.host), backlog=BACKLOG
                )
            except OSError as fault:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f"{node.host}:{node.port} cannot be listened on ({fault.strerror}); "
                        "choose another port or stop what uses it"
                    ) from fault
                time.sleep(0.2)

    def close(self) -> None:
        """Give up port and lock."""
        self._resources.close()


class Receiver:
    """Listener and intake on an open reception.

    Parameters
    ----------
    place
        Which receiver of the node it is.
    listening
        The listening socket.
    """

    def __init__(self, place: Place, listening: socket.socket) -> None:
        self._place = place
        self._listening = listening
        self._resources = ExitStack()
        self._listener: Listener | None = None
        self._watch: ReceiverWatch | None = None

    @property
    def port(self) -> int:
        """The port listened on; 0 before `start`."""
        return 0 if self._listener is None else self._listener.port

    def start(self) -> None:
        """Accept associations.

        Raises
        ------
        SpoolError
            When journal or spool cannot be used.
        """
        config = self._place.config
        folder = DataFolder.of(config)
        database = self._resources.enter_context(folder.open_database())
        watch = ReceiverWatch(AuditTrail(database), folder.run)
        intake = Intake.of(
            config, Journal(database), writer=self._place.number, arrived=watch.arrived
        )
        intake.files.prepare()
        listener = Listener(
            config,
            store=intake.store,
            quarantine=intake.quarantine,
            report=recorder(Commitments(database)),
            observer=watch,
            steps=PerformedSteps(database),
            tally=Tally.shared(self._place.tally, place=self._place.number - 1, of=self._place.of),
            listening=self._listening,
        )
        listener.start()
        self._listener, self._watch = listener, watch
        watch.start(lambda: (listener.listening, listener.port, listener.active))

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Accept nothing more, let associations under way end, release everything."""
        if self._listener is not None:
            self._listener.stop(grace_seconds=grace_seconds)
            self._listener = None
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        self._resources.close()


def main() -> int:
    """Run a receiver until the parent ends or asks for the end; the exit code."""
    place = Place.model_validate_json(read_line())
    configure_logging(place.config.logging.level)
    stop = threading.Event()
    orphaned = threading.Event()

    def parent_gone() -> None:
        orphaned.set()
        stop.set()

    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    watch_parent(parent_gone)
    receiver = Receiver(place, socket.socket(fileno=place.listening))
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


def _missing(instances: int) -> AuditNote:
    return AuditNote(
        event=AuditEvent.INSTANCE_MISSING,
        outcome=Outcome.MAJOR_FAILURE,
        actor="receiver",
        detail={"instances": instances},
    )


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _answer(content: dict[str, str | int]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main()
    # Threads of aborted associations may linger; everything that matters is committed.
    sys.stderr.flush()
    os._exit(code)
