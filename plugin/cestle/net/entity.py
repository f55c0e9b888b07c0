"""The application entity that asks others for associations."""

import socket
import ssl
from collections.abc import Sequence
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from cestle.config.node import Archive, Destination, NodeConfig
from cestle.net.library import introduce, prepare_library
from cestle.net.secure import client_context


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


def request_association(
    called: Destination | Archive,
    config: NodeConfig,
    contexts: list[PresentationContext],
    *,
    seconds: float,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, ...]] = (),
) -> Association:
    """Ask for an association; one that is not established tells why, its socket is closed.

    Parameters
    ----------
    called
        Who is asked.
    config
        The node's own title and TLS files.
    contexts
        What is proposed.
    seconds
        Limit of each wait.
    roles
        Role selection items, as the library takes them.
    handlers
        For events of the association, as the library takes them.

    Raises
    ------
    OSError
        When the host name cannot be resolved.
    """
    prepare_library()
    entity = RequestingEntity(ae_title=config.node.ae_title)
    introduce(entity)
    entity.connection_timeout = entity.acse_timeout = seconds
    entity.dimse_timeout = entity.network_timeout = seconds
    association = entity.associate(
        called.host,
        called.port,
        contexts=contexts,
        ae_title=called.ae_title,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
        tls_args=(client_context(config.tls), called.host) if called.tls else None,
    )
    if not association.is_established:
        entity.close_sockets()
    return association


def close(association: Association) -> None:
    """Release it; abort it where that is not possible."""
    if association.is_established:
        association.release()
    if not association.is_released:
        association.abort()
