"""The Storage SCP: check the peer, hand the bytes over, answer. Nothing else happens here.

Success is answered only after `store` returned, and `store` returns only when the instance is
safe on disk. Data sets are passed on as the bytes that came, never decoded and encoded again.
"""

import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from cestle.config.node import NodeConfig
from cestle.errors import CestleError
from cestle.net.admitted import Admitted, Tally
from cestle.net.commitment import Report, answer_report
from cestle.net.contexts import ACCEPTED_STORAGE, COMMITMENT, UNCOMPRESSED, VERIFICATION
from cestle.net.instances import ReceivedInstance, SentInstance
from cestle.net.library import introduce, prepare_library
from cestle.net.observer import Caller, Observer
from cestle.net.peers import Admission, PeerRules
from cestle.net.performed_steps import PERFORMED_STEP, StepKeeper, StepProvider
from cestle.net.reporters import Reporters
from cestle.net.secure import certificate_subjects, server_context
from cestle.net.server import (
    MAXIMUM_NEGOTIATIONS,
    MAXIMUM_PDU_BYTES,
    NEGOTIATION_SECONDS,
    GuardedServer,
)

Store = Callable[[ReceivedInstance], None]
"""Keeps an instance; returns when it is safe, raises `CestleError` with the status to answer."""
Quarantine = Callable[[bytes], None]
"""Keeps bytes that cannot be parsed, out of the way of everything else."""

_SUCCESS: Final = 0x0000
_NOT_AUTHORISED: Final = 0x0124
_CANNOT_UNDERSTAND: Final = CestleError.dimse_status
_LONGEST_TICK_SECONDS: Final = 5.0
NOT_ACCEPTABLE: Final = "not_acceptable"
_log = structlog.get_logger(__name__)


class Listener:
    """The listening side of the node.

    Parameters
    ----------
    config
        Titles, address, peers, limits and TLS.
    store
        Called with each instance, in the association's thread, so several at a time.
    quarantine
        Called with the bytes of what cannot be parsed.
    report
        Called with each report of storage commitment; None when none is expected.
    observer
        Told of what happens.
    tally
        Counts the associations of all processes that share `listening`; None to count alone.
    listening
        A bound socket that other processes accept from too; None to bind host and port.
    steps
        Keeps performed procedure steps; None to take none.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        store: Store,
        quarantine: Quarantine,
        report: Report | None = None,
        observer: Observer | None = None,
        tally: Tally | None = None,
        listening: socket.socket | None = None,
        steps: StepKeeper | None = None,
    ) -> None:
        prepare_library()
        self._config = config
        self._store = store
        self._quarantine = quarantine
        self._report = report
        self._rules = PeerRules.from_config(config)
        self._reporters = Reporters(config)
        self._observer = observer or Observer()
        self._admitted = Admitted(config.node.maximum_associations, tally or Tally.alone())
        self._tallies: weakref.WeakKeyDictionary[Association, _Tally] = weakref.WeakKeyDictionary()
        self._listening = listening
        self._entity = _application_entity(config, self._reporters)
        self._more_handlers: list[tuple[Any, Any]] = []
        if steps is not None:
            self._entity.add_supported_context(PERFORMED_STEP, list(UNCOMPRESSED))
            provider = StepProvider(steps, admits=self._admitted.__contains__)
            self._more_handlers += provider.handlers
        self._server: GuardedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port listened on; 0 before `start`."""
        return 0 if self._server is None else int(self._server.server_address[1])

    @property
    def listening(self) -> bool:
        """Whether connections are being accepted at this moment."""
        server, thread = self._server, self._thread
        if server is None or thread is None or not thread.is_alive():
            return False
        return time.monotonic() - server.last_tick < _LONGEST_TICK_SECONDS

    @property
    def active(self) -> int:
        """Associations under way."""
        return self._admitted.count()

    def start(self) -> None:
        """Bind the port and accept associations in threads of their own.

        Raises
        ------
        OSError
            When the address cannot be bound.
        """
        tls = self._config.tls
        node = self._config.node
        server = self._entity.make_server(
            (node.host, node.port),
            ae_title=node.ae_title,
            ssl_context=server_context(tls) if tls.enabled else None,
            evt_handlers=[
                (evt.EVT_REQUESTED, self._on_requested),
                (evt.EVT_C_ECHO, self._on_echo),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_EVENT_REPORT, self._on_report),
                (evt.EVT_REJECTED, self._on_rejected),
                (evt.EVT_ACCEPTED, self._on_accepted),
                *self._more_handlers,
            ],
            server_class=GuardedServer,
            knows_address=lambda address: (
                self._rules.knows_address(address) or self._reporters.knows_address(address)
            ),
            turned_away=self._on_turned_away,
            busy=self._admitted.count,
            ended=self._on_ended,
            listening=self._listening,
        )
        if not isinstance(server, GuardedServer):
            raise TypeError("pynetdicom made another server than asked for")
        self._server = server
        self._reporters.start()
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="listener", daemon=True
        )
        self._thread.start()
        _log.info("listening", host=node.host, port=self.port, ae_title=node.ae_title)

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Accept nothing more, let running associations end, then abort what is left."""
        if self._server is None or self._thread is None:
            return
        self._reporters.stop()
        self._server.shutdown()
        self._thread.join()
        deadline = time.monotonic() + grace_seconds
        while self._entity.active_associations and time.monotonic() < deadline:
            time.sleep(0.05)
        for association in self._entity.active_associations:
            association.abort()
        self._server = None
        _log.info("listener stopped")

    def _on_requested(self, event: evt.Event) -> None:
        association = event.assoc
        caller = _caller(association)
        transport = association.dul.socket
        admission = self._rules.judge(
            calling=caller.calling,
            called=caller.called,
            address=caller.address,
            subjects=certificate_subjects(None if transport is None else transport.socket),
        )
        if admission is Admission.ADMITTED:
            if self._admitted.add(association):
                return
            admission = Admission.TOO_MANY_ASSOCIATIONS
        elif self._reporters.admits(
            calling=caller.calling, called=caller.called, address=caller.address
        ):
            # A destination that is no peer may report, and nothing else.
            association.acceptor.supported_contexts = [_reports()]
            return
        _log.warning(
            "association refused",
            reason=admission.name.lower(),
            calling_ae_title=caller.calling,
            called_ae_title=caller.called,
            address=caller.address,
        )
        self._observer.turned_away(caller, admission.name.lower())
        association.acse.send_reject(*admission.value)
        association.kill()

    def _on_turned_away(self, address: str, reason: str) -> None:
        self._observer.turned_away(Caller(address=address), reason)

    def _on_rejected(self, event: evt.Event) -> None:
        """The library refuses by itself a request that is malformed in another way."""
        caller = _caller(event.assoc)
        _log.warning("association refused", reason=NOT_ACCEPTABLE, address=caller.address)
        self._observer.turned_away(caller, NOT_ACCEPTABLE)

    def _on_accepted(self, event: evt.Event) -> None:
        caller = _caller(event.assoc)
        self._tallies[event.assoc] = _Tally(caller=caller)
        self._observer.accepted(caller)

    def _on_ended(self, association: Association) -> None:
        self._admitted.remove(association)
        tally = self._tallies.pop(association, None)
        if tally is not None and tally.close(released=bool(association.is_released)):
            self._observer.ended(tally.caller, tally.studies, released=tally.released)

    def _on_echo(self, event: evt.Event) -> int:
        return _SUCCESS if event.assoc in self._admitted else _NOT_AUTHORISED

    def _on_store(self, event: evt.Event) -> int:
        # An association may end, in another thread, while its last instance is being stored.
        tally = self._tallies.get(event.assoc) or _Tally(caller=_caller(event.assoc))
        tally.begin()
        study, status = self._store_one(event)
        if tally.finish(study if status == _SUCCESS else ""):
            self._observer.ended(tally.caller, tally.studies, released=tally.released)
        self._observer.answered(status)
        return status

    def _store_one(self, event: evt.Event) -> tuple[str, int]:
        """Study of the instance, empty when it was not kept, and the status to answer with."""
        # The library goes on when a handler of a request fails, so its verdict is looked up
        # again here: what was not admitted stores nothing.
        command = event.request
        if event.assoc not in self._admitted or not isinstance(command, C_STORE):
            return "", _NOT_AUTHORISED
        sent = SentInstance.of(command, str(event.context.transfer_syntax))
        caller = _caller(event.assoc)
        try:
            received = sent.read(calling=caller.calling, called=caller.called)
            self._store(received)
        except CestleError as fault:
            _log.error("instance refused", status=f"0x{fault.dimse_status:04X}", reason=str(fault))
            if fault.dimse_status == _CANNOT_UNDERSTAND:
                self._set_aside(sent.content)
            return "", fault.dimse_status
        return received.study_instance_uid, _SUCCESS

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        caller = _caller(event.assoc)
        names = self._reporters.names(calling=caller.calling, address=caller.address)
        if self._report is None or not names:
            return _NOT_AUTHORISED, None
        return answer_report(event, self._report, names), None

    def _set_aside(self, content: bytes) -> None:
        try:
            self._quarantine(content)
        except CestleError as fault:
            _log.error("unreadable instance not kept", reason=str(fault))


@dataclass(kw_only=True)
class _Tally:
    """What an association brought; it ends when it is closed and nothing is being stored."""

    caller: Caller
    studies: Counter[str] = field(default_factory=Counter)
    released: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _busy: bool = False
    _closed: bool = False

    def begin(self) -> None:
        with self._lock:
            self._busy = True

    def finish(self, study: str) -> bool:
        """Count an instance of `study`; whether the association has ended by this."""
        with self._lock:
            self._busy = False
            if study:
                self.studies[study] += 1
            return self._closed

    def close(self, *, released: bool) -> bool:
        """Whether the association has ended by this."""
        with self._lock:
            if self._closed:
                return False
            self._closed, self.released = True, released
            return not self._busy


def _caller(association: Association) -> Caller:
    request = association.requestor.primitive
    place = association.requestor.address_info
    return Caller(
        calling="" if request is None else str(request.calling_ae_title).strip(),
        called="" if request is None else str(request.called_ae_title).strip(),
        address="" if place is None else str(place.address),
    )


def _application_entity(config: NodeConfig, reporters: Reporters) -> AE:
    entity = AE(ae_title=config.node.ae_title)
    introduce(entity)
    # Counted by the listener itself, see `Admitted`; this only must not be in its way.
    entity.maximum_associations = 2 * (config.node.maximum_associations + MAXIMUM_NEGOTIATIONS)
    entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
    entity.network_timeout = config.node.network_timeout_seconds
    entity.dimse_timeout = config.node.network_timeout_seconds
    entity.acse_timeout = NEGOTIATION_SECONDS
    # Refused by the library itself as well, should the node's own check ever fail to run.
    titles = [peer.ae_title for peer in config.peers]
    entity.require_calling_aet = sorted({*titles, *reporters.titles})
    entity.add_supported_context(VERIFICATION, list(UNCOMPRESSED))
    for accepted in ACCEPTED_STORAGE:
        entity.add_supported_context(accepted.uid, list(accepted.syntaxes))
    if reporters.titles:
        entity.add_supported_context(COMMITMENT, list(UNCOMPRESSED), scu_role=False, scp_role=True)
    return entity


def _reports() -> PresentationContext:
    """The context of one who reports: the requestor is the provider (PS3.4 J.3.3)."""
    context = build_context(COMMITMENT, list(UNCOMPRESSED))
    context.scu_role, context.scp_role = False, True
    return context
