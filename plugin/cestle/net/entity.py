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
    close a socket that could not connect or was refused.

    Parameters
    ----------
    ae_title
        Its own title.

    Attributes
    ----------
    fault
        Why no secure connection was made, which the library writes to its log only.
    """

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title)
        self._sockets: list[socket.socket] = []
        self.fault: OSError | None = None

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

    def watched(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The same context, whose sockets are closed by this entity and tell why they failed."""
        entity = self

        class WatchedSocket(ssl.SSLSocket):
            def connect(self, addr: Any) -> None:
                entity._sockets.append(self)
                try:
                    super().connect(addr)
                except OSError as fault:
                    entity.fault = fault
                    raise

        context.sslsocket_class = WatchedSocket
        return context

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
        When the host name cannot be resolved, or no secure connection was made.
    """
    prepare_library()
    entity = RequestingEntity(ae_title=config.node.ae_title)
    introduce(entity)
    entity.connection_timeout = entity.acse_timeout = seconds
    entity.dimse_timeout = entity.network_timeout = seconds
    tls = (entity.watched(client_context(config.tls)), called.host) if called.tls else None
    association = entity.associate(
        called.host,
        called.port,
        contexts=contexts,
        ae_title=called.ae_title,
        ext_neg=list(roles),
        evt_handlers=list(handlers),
        tls_args=tls,
    )
    if not association.is_established:
        entity.close_sockets()
    if entity.fault is not None:
        raise entity.fault
    return association


def refused_certificate(fault: BaseException, called: Destination | Archive) -> str:
    """What is wrong with the certificate of who was called, and what to do; empty for else.

    Parameters
    ----------
    fault
        Of `request_association`.
    called
        Who was asked.
    """
    if not isinstance(fault, ssl.SSLCertVerificationError):
        return ""
    found = str(fault.verify_message).rstrip(".")
    return (
        f"{type(called).__name__.lower()} '{called.name}' shows a certificate that does not hold "
        f"for '{called.host}' ({found}), expected one of an authority in tls.ca_file with this "
        "name; correct one of them"
    )


def close(association: Association) -> None:
    """Release it; abort it where that is not possible."""
    if association.is_established:
        association.release()
    if not association.is_released:
        association.abort()
