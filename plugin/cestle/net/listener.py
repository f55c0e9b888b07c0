"""The Storage SCP: check the peer, hand the bytes over, answer. Nothing else happens here.

Success is answered only after `store` returned, and `store` returns only when the instance is
safe on disk. Data sets are passed on as the bytes that came, never decoded and encoded again.
"""

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE

from cestle.config.node import NodeConfig
from cestle.errors import CestleError
from cestle.net.contexts import ACCEPTED_STORAGE, UNCOMPRESSED, VERIFICATION
from cestle.net.instances import ReceivedInstance, read_received, require_announced
from cestle.net.library import introduce, prepare_library
from cestle.net.peers import Admission, PeerRules
from cestle.net.performed_steps import PERFORMED_STEP, StepKeeper, StepProvider
from cestle.net.secure import server_context
from cestle.net.server import MAXIMUM_PDU_BYTES, NEGOTIATION_SECONDS, GuardedServer

Store = Callable[[ReceivedInstance], None]
"""Keeps an instance; returns when it is safe, raises `CestleError` with the status to answer."""
Quarantine = Callable[[bytes], None]
"""Keeps bytes that cannot be parsed, out of the way of everything else."""

_SUCCESS: Final = 0x0000
_NOT_AUTHORISED: Final = 0x0124
_CANNOT_UNDERSTAND: Final = CestleError.dimse_status
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
    steps
        Keeps performed procedure steps; None to take none.
    """

    def __init__(
        self,
        config: NodeConfig,
        *,
        store: Store,
        quarantine: Quarantine,
        steps: StepKeeper | None = None,
    ) -> None:
        prepare_library()
        self._config = config
        self._store = store
        self._quarantine = quarantine
        self._rules = PeerRules.from_config(config)
        self._admitted: weakref.WeakSet[Association] = weakref.WeakSet()
        self._entity = _application_entity(config)
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
                *self._more_handlers,
            ],
            server_class=GuardedServer,
            knows_address=self._rules.knows_address,
        )
        if not isinstance(server, GuardedServer):
            raise TypeError("pynetdicom made another server than asked for")
        self._server = server
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="listener", daemon=True
        )
        self._thread.start()
        _log.info("listening", host=node.host, port=self.port, ae_title=node.ae_title)

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Accept nothing more, let running associations end, then abort what is left."""
        if self._server is None or self._thread is None:
            return
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
        admission = self._rules.judge(
            calling=caller.calling, called=caller.called, address=caller.address
        )
        if admission is Admission.ADMITTED:
            self._admitted.add(association)
            return
        _log.warning(
            "association refused",
            reason=admission.name.lower(),
            calling_ae_title=caller.calling,
            called_ae_title=caller.called,
            address=caller.address,
        )
        association.acse.send_reject(*admission.value)
        association.kill()

    def _on_echo(self, event: evt.Event) -> int:
        return _SUCCESS if event.assoc in self._admitted else _NOT_AUTHORISED

    def _on_store(self, event: evt.Event) -> int:
        # The library goes on when a handler of a request fails, so its verdict is looked up
        # again here: what was not admitted stores nothing.
        command = event.request
        if event.assoc not in self._admitted or not isinstance(command, C_STORE):
            return _NOT_AUTHORISED
        content = event.encoded_dataset()
        caller = _caller(event.assoc)
        try:
            received = read_received(
                content,
                event.encoded_dataset(include_meta=False),
                transfer_syntax_uid=str(event.context.transfer_syntax),
                calling_ae_title=caller.calling,
                called_ae_title=caller.called,
            )
            require_announced(
                received,
                sop_class_uid=str(command.AffectedSOPClassUID),
                sop_instance_uid=str(command.AffectedSOPInstanceUID),
            )
            self._store(received)
        except CestleError as fault:
            _log.error("instance refused", status=f"0x{fault.dimse_status:04X}", reason=str(fault))
            if fault.dimse_status == _CANNOT_UNDERSTAND:
                self._set_aside(content)
            return fault.dimse_status
        return _SUCCESS

    def _set_aside(self, content: bytes) -> None:
        try:
            self._quarantine(content)
        except CestleError as fault:
            _log.error("unreadable instance not kept", reason=str(fault))


@dataclass(frozen=True, kw_only=True)
class _Caller:
    """Who asked for an association; empty where the request does not say."""

    calling: str
    called: str
    address: str


def _caller(association: Association) -> _Caller:
    request = association.requestor.primitive
    place = association.requestor.address_info
    return _Caller(
        calling="" if request is None else str(request.calling_ae_title).strip(),
        called="" if request is None else str(request.called_ae_title).strip(),
        address="" if place is None else str(place.address),
    )


def _application_entity(config: NodeConfig) -> AE:
    entity = AE(ae_title=config.node.ae_title)
    introduce(entity)
    entity.maximum_associations = config.node.maximum_associations
    entity.maximum_pdu_size = MAXIMUM_PDU_BYTES
    entity.network_timeout = config.node.network_timeout_seconds
    entity.dimse_timeout = config.node.network_timeout_seconds
    entity.acse_timeout = NEGOTIATION_SECONDS
    # Refused by the library itself as well, should the node's own check ever fail to run.
    entity.require_calling_aet = [peer.ae_title for peer in config.peers]
    entity.add_supported_context(VERIFICATION, list(UNCOMPRESSED))
    for accepted in ACCEPTED_STORAGE:
        entity.add_supported_context(accepted.uid, list(accepted.syntaxes))
    return entity
