"""The Storage SCU: one association for a delivery, contexts from what is sent.

An instance may have fallbacks, in other SOP classes. All of them are proposed, and what the
destination accepts at negotiation decides which one it is sent; it never gets two.
"""

import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final

import structlog
from pydicom import dcmread
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from cestle.config.node import Destination, NodeConfig
from cestle.errors import DeliveryError
from cestle.net.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, UNCOMPRESSED, VERIFICATION
from cestle.net.entity import RequestingEntity
from cestle.net.instances import OutgoingInstance
from cestle.net.library import introduce, prepare_library
from cestle.net.secure import client_context

Acknowledged = Callable[[OutgoingInstance], None]
"""Called after the destination acknowledged an instance, before the next one is sent."""

# Accepted with a remark (PS3.4 table B.2-1), or held already under the same UID (PS3.7 C.4.2):
# our UIDs are derived from study, revision and product, so an instance of the same UID is the
# same instance, sent before a crash.
ACKNOWLEDGED: Final = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
_REJECTED_TRANSIENT: Final = 0x02
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Refusal:
    instance: OutgoingInstance
    status: int


def send_instances(
    instances: Sequence[OutgoingInstance],
    destination: Destination,
    config: NodeConfig,
    *,
    acknowledged: Acknowledged,
    keep_going: Callable[[], bool] = lambda: True,
) -> None:
    """Send `instances` in order over one association.

    Parameters
    ----------
    instances
        What to send; nothing is done when it is empty.
    destination
        Where to.
    config
        The node's own title and TLS files.
    acknowledged
        Called for each instance that the destination took.
    keep_going
        Asked before each instance; when it says no the association is released and the rest is
        left for another time.

    Raises
    ------
    DeliveryError
        When an instance was not taken. It is permanent when every instance got an answer and a
        repeat would get the same one.
    """
    if not instances:
        return
    association = _associate(destination, config, _contexts(instances))
    refused: list[_Refusal] = []
    try:
        for instance in instances:
            if not keep_going():
                return
            status = _send_one(association, instance, destination)
            if status in ACKNOWLEDGED:
                if status:
                    _log.warning(
                        "instance taken with a remark",
                        destination=destination.name,
                        sop_instance_uid=instance.sop_instance_uid,
                        status=f"0x{status:04X}",
                    )
                acknowledged(instance)
            else:
                refused.append(_Refusal(instance=instance, status=status))
    finally:
        _close(association)
    if refused:
        first = refused[0]
        raise DeliveryError(
            f"destination '{destination.name}' refused {len(refused)} of {len(instances)} "
            f"instances, the first ({first.instance.sop_instance_uid}) with status "
            f"0x{first.status:04X}; see why it refuses, then run cestle retry",
            permanent=True,
        )


def echo(destination: Destination, config: NodeConfig) -> float:
    """C-ECHO to `destination`; the time from connecting to the answer [s].

    Raises
    ------
    DeliveryError
        When it does not answer with Success.
    """
    begin = time.monotonic()
    association = _associate(destination, config, [build_context(VERIFICATION, list(UNCOMPRESSED))])
    try:
        answer = association.send_c_echo()
        status = answer.get("Status")
    except (RuntimeError, ValueError) as fault:
        raise _lost(destination) from fault
    finally:
        _close(association)
    if status != 0x0000:
        found = "nothing" if status is None else f"status 0x{status:04X}"
        raise DeliveryError(
            f"destination '{destination.name}' answered {found} to C-ECHO, expected 0x0000",
            permanent=False,
        )
    return time.monotonic() - begin


def _contexts(instances: Sequence[OutgoingInstance]) -> list[PresentationContext]:
    """One context for each SOP class and syntax, with Implicit VR as the way out."""
    every = [form for one in instances for form in (one, *one.fallbacks)]
    pairs = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in every)
    pairs |= dict.fromkeys((uid, EXPLICIT_LITTLE) for one in every for uid in one.needs)
    pairs |= dict.fromkeys((uid, IMPLICIT_LITTLE) for uid, syntax in pairs if _plain(syntax))
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def _plain(syntax: str) -> bool:
    return syntax == EXPLICIT_LITTLE


def _associate(
    destination: Destination, config: NodeConfig, contexts: list[PresentationContext]
) -> Association:
    prepare_library()
    entity = RequestingEntity(ae_title=config.node.ae_title)
    introduce(entity)
    entity.connection_timeout = destination.timeout_seconds
    entity.acse_timeout = destination.timeout_seconds
    entity.dimse_timeout = destination.timeout_seconds
    entity.network_timeout = destination.timeout_seconds
    try:
        association = entity.associate(
            destination.host,
            destination.port,
            contexts=contexts,
            ae_title=destination.ae_title,
            tls_args=(client_context(config.tls), destination.host) if destination.tls else None,
        )
    except OSError as fault:  # the host name cannot be resolved
        raise _unreachable(destination) from fault
    if association.is_established:
        return association
    entity.close_sockets()
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


def _send_one(
    association: Association, instance: OutgoingInstance, destination: Destination
) -> int:
    """Status of one C-STORE; raises when the association is lost or must be ended."""
    accepted = {
        (str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
        for cx in association.accepted_contexts
    }
    form = _accepted_form(instance, accepted)
    if form is None:
        return 0x0122  # SOP class not supported (PS3.7 C.5.6)
    if form is not instance:
        _log.info(
            "sent in another class",
            destination=destination.name,
            sop_instance_uid=form.sop_instance_uid,
            sop_class_uid=form.sop_class_uid,
        )
    try:
        as_stored = (form.sop_class_uid, form.transfer_syntax_uid) in accepted
        answer = association.send_c_store(form.path if as_stored else dcmread(form.path))
    except (RuntimeError, ValueError) as fault:
        raise _lost(destination) from fault
    except OSError as fault:
        raise DeliveryError(
            f"{form.path.name} cannot be read ({fault.strerror}); reprocess the study",
            permanent=True,
        ) from fault
    status = answer.get("Status")
    if status is None:
        raise _lost(destination)
    if 0xA700 <= status <= 0xA7FF:
        raise DeliveryError(
            f"destination '{destination.name}' is out of resources (status 0x{status:04X}); "
            "the delivery is repeated",
            permanent=False,
        )
    return int(status)


def _accepted_form(
    instance: OutgoingInstance, accepted: Set[tuple[str, str]]
) -> OutgoingInstance | None:
    """The instance, or the first of its fallbacks, that the destination takes."""
    classes = {uid for uid, _ in accepted}
    for form in (instance, *instance.fallbacks):
        syntaxes = {form.transfer_syntax_uid}
        if _plain(form.transfer_syntax_uid):
            syntaxes.add(IMPLICIT_LITTLE)
        taken = any((form.sop_class_uid, syntax) in accepted for syntax in syntaxes)
        if taken and classes.issuperset(form.needs):
            return form
    return None


def _close(association: Association) -> None:
    if association.is_established:
        association.release()
    if not association.is_released:
        association.abort()


def _rejected(association: Association, destination: Destination) -> DeliveryError:
    answer = association.acceptor.primitive
    if answer is None:
        return _lost(destination)
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


def _unreachable(destination: Destination) -> DeliveryError:
    return DeliveryError(
        f"destination '{destination.name}' does not answer at {destination.host}:"
        f"{destination.port}; the delivery is repeated",
        permanent=False,
    )


def _lost(destination: Destination) -> DeliveryError:
    return DeliveryError(
        f"destination '{destination.name}' ended the association or answered too late; the "
        "delivery is repeated",
        permanent=False,
    )
