"""An association server that a hostile or broken client cannot stop.

It adds to pynetdicom's own server:

- callers from unknown addresses are closed before a byte of theirs is read;
- the TLS handshake runs in the connection's own thread, so a client that connects and stays
  silent delays nobody (the stock server waits for it in the accept loop);
- a PDU that claims to be longer than any real one, or that trickles in, ends its connection (the
  stock reader collects up to 4 GiB from anybody who connects, pynetdicom issue 1086);
- Nagle's algorithm is off, since it holds back every small answer.
"""

import socket
import socketserver
import ssl
import time
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.transport import (
    AssociationServer,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from cestle.net.prompt import PromptAssociation, PromptSocket

HANDSHAKE_SECONDS: Final = 10.0
NEGOTIATION_SECONDS: Final = 30.0
MAXIMUM_PDU_BYTES: Final = 131_072
"""Announced as the largest P-DATA that the node takes (PS3.8 D.1)."""
LONGEST_PDU_BYTES: Final = 2 * MAXIMUM_PDU_BYTES
"""A PDU that claims to be longer is refused: larger than any association request too."""


class PduReader:
    """Reads for an `AssociationSocket` within a byte cap and a deadline for each PDU.

    Parameters
    ----------
    association_socket
        The socket to read for.
    established
        Tells whether the association has been accepted.
    seconds
        Time that one PDU may take once the association is accepted.
    """

    def __init__(
        self, association_socket: AssociationSocket, established: Callable[[], bool], seconds: float
    ) -> None:
        self._socket = association_socket
        self._established = established
        self._seconds = seconds
        self._end_of_negotiation = time.monotonic() + NEGOTIATION_SECONDS

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`; fewer only when the peer closed the connection.

        Raises
        ------
        OSError
            When `nr_bytes` is above the cap or the deadline has passed.
        """
        if nr_bytes > LONGEST_PDU_BYTES:
            raise self._refusal(f"a PDU of {nr_bytes} bytes, expected {LONGEST_PDU_BYTES} at most")
        end = time.monotonic() + self._seconds
        if not self._established():
            end = min(end, self._end_of_negotiation)
        received = bytearray()
        connection = self._socket.socket
        while connection is not None and len(received) < nr_bytes:
            left = end - time.monotonic()
            if left <= 0:
                raise self._refusal("a PDU that was not complete in time")
            connection.settimeout(left)
            part = connection.recv(min(nr_bytes - len(received), 65_536))
            if not part:
                break
            received += part
        return received

    def _refusal(self, found: str) -> OSError:
        connection = self._socket.socket
        if connection is not None:
            _shut(connection)
        return OSError(f"closed the connection after {found}")


class GuardedHandler(RequestHandler):
    """Gives every association the guarded reader."""

    def _create_association(self) -> Association:
        server = self.server
        association = PromptAssociation(self.ae, "acceptor")
        association._server = server
        association.name = f"AcceptorThread@{self.client_address[0]}:{self.client_address[1]}"
        transport = PromptSocket(association, client_socket=self.request)
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
        reader = PduReader(
            transport,
            lambda: bool(association.is_established),
            association.network_timeout or NEGOTIATION_SECONDS,
        )
        transport.recv = reader.recv  # type: ignore[method-assign]
        return association


class GuardedServer(ThreadedAssociationServer):
    """The association server of the node.

    Parameters
    ----------
    *arguments, **keywords
        As for `pynetdicom.transport.AssociationServer`.
    knows_address
        Whether a caller from an IP address may connect at all.
    """

    def __init__(
        self, *arguments: Any, knows_address: Callable[[str], bool], **keywords: Any
    ) -> None:
        self._knows_address = knows_address
        keywords["request_handler"] = GuardedHandler
        self.daemon_threads = True
        self.request_queue_size = 64
        super().__init__(*arguments, **keywords)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; no handshake here, since this loop serves everybody."""
        listening = self.socket
        if listening is None:
            raise OSError("the server is closed")
        client, address = listening.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.settimeout(HANDSHAKE_SECONDS)
        if self.ssl_context is not None:
            client = self.ssl_context.wrap_socket(
                client, server_side=True, do_handshake_on_connect=False
            )
        return client, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let in only callers whose address belongs to a peer."""
        del request
        return self._knows_address(str(client_address[0]))

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake in the connection's own thread, then serve it."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.do_handshake()
            except OSError:
                _shut(request)
                request.close()
                return
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Drop the connection; the stock version prints a traceback."""
        del client_address
        if isinstance(request, socket.socket):
            _shut(request)

    def shutdown(self) -> None:
        """Stop accepting and close the listening socket."""
        socketserver.BaseServer.shutdown(self)
        AssociationServer.server_close(self)


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
