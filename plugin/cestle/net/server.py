"""An association server that a hostile or broken client cannot stop.

It adds to pynetdicom's own server:

- callers from unknown addresses are closed before a byte of theirs is read;
- a connection costs no thread before it has asked for an association, see `waiting`;
- the TLS handshake runs in the connection's own thread, so a client that connects and stays
  silent delays nobody (the stock server waits for it in the accept loop);
- a PDU that claims to be longer than any real one, or that trickles in, ends its connection (the
  stock reader collects up to 4 GiB from anybody who connects, pynetdicom issue 1086);
- several processes can accept from one listening socket;
- Nagle's algorithm is off, since it holds back every small answer.
"""

import gc
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.transport import (
    AssociationServer,
    RequestHandler,
    ThreadedAssociationServer,
)

from cestle.net.pdu_reader import PduReader, close_both_ways
from cestle.net.prompt import PromptAssociation, PromptSocket
from cestle.net.waiting import Guest, WaitingRoom

HANDSHAKE_SECONDS: Final = 5.0
NEGOTIATION_SECONDS: Final = 10.0
"""Time to ask for an association, and from then on to negotiate it."""
MAXIMUM_NEGOTIATIONS: Final = 32
"""Connections at a time that have asked and are no association yet."""
MAXIMUM_PDU_BYTES: Final = 131_072
"""Announced as the largest P-DATA that the node takes (PS3.8 D.1)."""
LONGEST_PDU_BYTES: Final = 2 * MAXIMUM_PDU_BYTES
"""A PDU that claims to be longer is refused: larger than any association request too."""
BACKLOG: Final = 128
_HESITATION_SECONDS: Final = 0.001
_LONGEST_HESITATION_SECONDS: Final = 0.02
_ACCEPTED_AT_ONCE: Final = 16


class GuardedHandler(RequestHandler):
    """Gives every association the guarded reader, and a reactor that does not sleep."""

    server: "GuardedServer"

    def _create_association(self) -> Association:
        server = self.server
        association = PromptAssociation(self.ae, "acceptor", ended=server.ended)
        association._server = server
        association.name = f"AcceptorThread@{self.client_address[0]}:{self.client_address[1]}"
        reader = PduReader(
            self.request,
            established=lambda: bool(association.is_established),
            negotiation_seconds=NEGOTIATION_SECONDS,
            seconds=association.network_timeout or NEGOTIATION_SECONDS,
            longest=LONGEST_PDU_BYTES,
        )
        transport = PromptSocket(association, self.request, reader)
        association.set_socket(transport)
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = deepcopy(server.contexts)
        association.requestor.address_info = self.remote
        for event, bound in server._handlers.items():
            for handler in bound if isinstance(bound, list) else [bound]:
                association.bind(event, *handler)
        server.note_association(self.request, association)
        return association


@dataclass(kw_only=True)
class _Negotiation:
    """A connection on its way to an association."""

    connection: socket.socket
    association: Association | None = None

    @property
    def over(self) -> bool:
        association = self.association
        if association is None or association.ident is None:
            return False
        return association.is_established or not association.is_alive()


class GuardedServer(ThreadedAssociationServer):
    """The association server of the node.

    Parameters
    ----------
    *arguments, **keywords
        As for `pynetdicom.transport.AssociationServer`.
    knows_address
        Whether a caller from an IP address may connect at all.
    turned_away
        Told the address of a connection that never became an association, and why.
    busy
        How many associations there are; the more, the longer a process that shares its socket
        with others leaves a connection to them.
    ended
        Called with each association that has ended.
    listening
        A socket that is bound already and may be shared with other processes; None to bind one.
    """

    def __init__(
        self,
        *arguments: Any,
        knows_address: Callable[[str], bool],
        turned_away: Callable[[str, str], None] = lambda *_: None,
        busy: Callable[[], int] = lambda: 0,
        ended: Callable[[Association], None] = lambda _: None,
        listening: socket.socket | None = None,
        **keywords: Any,
    ) -> None:
        self._knows_address = knows_address
        self._turned_away = turned_away
        self.last_tick = time.monotonic()
        self._busy = busy
        self.ended = ended
        self._shared = listening
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._stopped.set()
        self._lock = threading.Lock()
        self._negotiations: list[_Negotiation] = []
        self._accepted = 0
        keywords["request_handler"] = GuardedHandler
        self.daemon_threads = True
        self.request_queue_size = BACKLOG
        super().__init__(*arguments, **keywords)

    def server_bind(self) -> None:
        """Bind the socket, or take the one that was given."""
        if self._shared is None:
            super().server_bind()
            return
        if self.socket is not None:
            self.socket.close()
        self.socket = self._shared
        self.server_address = self._shared.getsockname()

    def serve_forever(self, poll_interval: float = 0.1) -> None:
        """Accept connections until `shutdown`; nothing here waits for any one of them."""
        listening = self._listening()
        self._stopped.clear()
        listening.setblocking(False)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(listening, selectors.EVENT_READ)
                room = WaitingRoom(
                    selector,
                    seconds=NEGOTIATION_SECONDS,
                    tls=self.ssl_context is not None,
                    longest=LONGEST_PDU_BYTES,
                )
                while not self._stopping.is_set():
                    events = selector.select(poll_interval)
                    self.last_tick = time.monotonic()
                    for key, _ in events:
                        self._attend(key.data, room)
                    room.dismiss_overdue()
                    if not events:
                        self._tidy()
                room.close()
        finally:
            self._stopped.set()

    def _tidy(self) -> None:
        """Free what associations left, while nobody waits for it; they are cycles of objects."""
        if self._accepted and not self._busy():
            self._accepted = 0
            gc.collect()

    def _attend(self, guest: Guest | None, room: WaitingRoom) -> None:
        if guest is None:
            self._accept(room)
        elif room.is_complete(guest):
            self._hand_over(guest)

    def _accept(self, room: WaitingRoom) -> None:
        busy = self._busy() if self._shared is not None else 0
        if busy:
            # Other processes that have less to do are to be faster.
            time.sleep(min(busy * _HESITATION_SECONDS, _LONGEST_HESITATION_SECONDS))
        for _ in range(1 if busy else _ACCEPTED_AT_ONCE):
            try:
                client, address = self._listening().accept()
            except BlockingIOError:
                return  # there is none left, or another process was faster
            except OSError:
                time.sleep(0.05)  # out of file descriptors: some are closed sooner or later
                return
            if self._knows_address(str(address[0])):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                room.enter(client, address)
            else:
                self._turned_away(str(address[0]), "unknown_address")
                client.close()

    def _listening(self) -> socket.socket:
        if self.socket is None:
            raise OSError("the server is closed")
        return self.socket

    def _hand_over(self, guest: Guest) -> None:
        """Give a connection that has asked for an association a thread of its own."""
        client = guest.connection
        client.settimeout(HANDSHAKE_SECONDS)
        if self.ssl_context is not None:
            try:
                client = self.ssl_context.wrap_socket(
                    client, server_side=True, do_handshake_on_connect=False
                )
            except OSError:  # closed by its peer meanwhile
                client.close()
                return
        with self._lock:
            under_way = [one for one in self._negotiations if not one.over]
            if len(under_way) >= MAXIMUM_NEGOTIATIONS:
                close_both_ways(under_way.pop(0).connection)
            self._accepted += 1
            self._negotiations = [*under_way, _Negotiation(connection=client)]
        try:
            self.process_request(client, guest.address)
        except RuntimeError:  # no further thread can be started
            self.shutdown_request(client)

    def note_association(self, connection: socket.socket, association: Association) -> None:
        """Say which association a connection became."""
        with self._lock:
            for one in self._negotiations:
                if one.connection is connection:
                    one.association = association

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's own thread, then serve it."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except OSError:
                self._turned_away(str(client_address[0]), "tls_handshake")
                self._drop(request)
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Drop the connection; the stock version prints a traceback."""
        del client_address
        if isinstance(request, socket.socket):
            self._drop(request)

    def _drop(self, connection: socket.socket) -> None:
        close_both_ways(connection)
        connection.close()
        with self._lock:
            self._negotiations = [
                one for one in self._negotiations if one.connection is not connection
            ]

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket."""
        self._stopping.set()
        self._stopped.wait()
        self.server_close()

    def server_close(self) -> None:
        """Close the socket; a shared one is not shut down, since others accept from it."""
        if self._shared is None:
            AssociationServer.server_close(self)
        else:
            self._shared.close()
