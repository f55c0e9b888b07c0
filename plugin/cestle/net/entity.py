"""The application entity that asks others for associations."""

import socket
import ssl
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation, AssociationSocket

from cestle.config.node import Archive, Destination, NodeConfig
from cestle.net.library import introduce, prepare_library
from cestle.net.requested import RequestedAssociation
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

    def prepare(
        self,
        called: Destination | Archive,
        contexts: Sequence[PresentationContext],
        tls: ssl.SSLContext | None,
    ) -> RequestedAssociation:
        """An association with `called` that proposes `contexts` and is not asked for yet."""
        association = RequestedAssociation(self)
        there = AddressInformation.from_addr_port(called.host, called.port)
        here = AddressInformation.from_tuple(("", 0) if there.is_ipv4 else ("::0", 0))
        association.acceptor.ae_title = called.ae_title
        association.acceptor.address_info = there
        association.requestor.ae_title = self.ae_title
        association.requestor.address_info = here
        association.requestor.maximum_length = self.maximum_pdu_size
        association.requestor.implementation_class_uid = self.implementation_class_uid
        association.requestor.implementation_version_name = self.implementation_version_name
        proposed = deepcopy(list(contexts))
        for number, context in enumerate(proposed):
            context.context_id = 2 * number + 1  # odd (PS3.8 9.3.2.2)
        association.requestor.requested_contexts = proposed
        transport = AssociationSocket(association, address=here)
        if transport.socket is not None:
            transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(transport.socket)
        if tls is not None:
            transport.tls_args = (self._watched(tls), called.host)
        association.set_socket(transport)
        return association

    def _watched(self, context: ssl.SSLContext) -> ssl.SSLContext:
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
    tls = client_context(config.tls) if called.tls else None
    association = entity.prepare(called, contexts, tls)
    for role in roles:
        association.requestor.add_negotiation_item(role)
    for event, *handler in handlers:
        association.bind(event, *handler)
    association.request()
    if association.is_established:
        association.start()
    else:
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
