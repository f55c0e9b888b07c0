"""Associations that the node opens: made, and judged when they fail."""

from collections.abc import Sequence
from typing import Any, Final

from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext

from cestle.config.node import Destination, NodeConfig
from cestle.errors import DeliveryError
from cestle.net.entity import refused_certificate, request_association

_REJECTED_TRANSIENT: Final = 0x02


def associate(
    destination: Destination,
    config: NodeConfig,
    contexts: list[PresentationContext],
    *,
    handlers: Sequence[tuple[Any, ...]] = (),
    seconds: float | None = None,
) -> Association:
    """An established association.

    Parameters
    ----------
    destination
        Where to.
    config
        The node's own title and TLS files.
    contexts
        What is proposed.
    handlers
        For events of the association, as the library takes them.
    seconds
        Limit of each wait; None for that of the destination.

    Raises
    ------
    DeliveryError
        When there is none; permanent when a repeat would get the same answer.
    """
    limit = min(destination.timeout_seconds, seconds or destination.timeout_seconds)
    try:
        association = request_association(
            destination, config, contexts, seconds=limit, handlers=handlers
        )
    except OSError as fault:
        raise _unreachable(destination, fault) from fault
    if association.is_established:
        return association
    if association.is_rejected:
        raise _rejected(association, destination)
    if association.acceptor.primitive is not None:
        # The library aborts by itself when no proposed context was accepted.
        raise DeliveryError(
            f"destination '{destination.name}' accepts none of the proposed SOP classes; "
            "configure it for what the node sends (see the conformance statement)",
            permanent=True,
        )
    raise _unreachable(destination)


def _rejected(association: Association, destination: Destination) -> DeliveryError:
    answer = association.acceptor.primitive
    if answer is None:
        return lost(destination)
    result, source, reason = answer.result, answer.result_source, answer.diagnostic
    transient = result == _REJECTED_TRANSIENT
    advice = (
        "the delivery is repeated"
        if transient
        else "check the AE titles on both sides, then run cestle retry"
    )
    return DeliveryError(
        f"destination '{destination.name}' rejected the association (result {result}, source "
        f"{source}, reason {reason}: {answer.reason_str}); {advice}",
        permanent=not transient,
    )


def _unreachable(destination: Destination, fault: OSError | None = None) -> DeliveryError:
    refused = "" if fault is None else refused_certificate(fault, destination)
    if refused:
        return DeliveryError(f"{refused}, the delivery is repeated", permanent=False)
    return DeliveryError(
        f"destination '{destination.name}' does not answer at {destination.host}:"
        f"{destination.port}; the delivery is repeated",
        permanent=False,
    )


def lost(destination: Destination) -> DeliveryError:
    """The error for an association that ended, or an answer that did not come in time."""
    return DeliveryError(
        f"destination '{destination.name}' ended the association or answered too late; the "
        "delivery is repeated",
        permanent=False,
    )
