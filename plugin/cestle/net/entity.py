"""The application entity that asks others for associations."""

import socket
import ssl

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket


class RequestingEntity(AE):
    """An application entity whose sockets are set up and closed properly.

    The library leaves Nagle's algorithm on, which delays every small message, and forgets to
    close a socket that could not connect.
    """

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title)
        self._sockets: list[socket.socket] = []

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:
        transport = super()._create_socket(assoc, address, tls_args)
        if transport.socket is not None:
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(transport.socket)
        return transport

    def close_sockets(self) -> None:
        """Close what a failed request left open."""
        for one in self._sockets:
            one.close()
