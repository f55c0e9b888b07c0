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
from cestle.net.association import associate, lost
from cestle.net.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE, UNCOMPRESSED, VERIFICATION
from cestle.net.entity import close
from cestle.net.instances import OutgoingInstance

Acknowledged = Callable[[OutgoingInstance], None]
"""Called after the destination acknowledged an instance, before the next one is sent."""
SentAs = Callable[[OutgoingInstance, OutgoingInstance], None]
"""Called before that with the instance and the form of it that was sent."""

# Accepted with a remark (PS3.4 table B.2-1), or held already under the same UID (PS3.7 C.4.2):
# our UIDs are derived from study, revision and product, so an instance of the same UID is the
# same instance, sent before a crash.
ACKNOWLEDGED: Final = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
NOT_SUPPORTED: Final = 0x0122
"""The SOP class is not supported (PS3.7 C.5.6)."""
MAY_PASS: Final = frozenset({0x0110, 0x0213})
"""Processing failure and lack of resources: repeated a few times (PS3.7 C.5)."""
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An instance that was not taken, and the status that says why."""

    instance: OutgoingInstance
    status: int
    said: str = ""

    @property
    def answer(self) -> str:
        """What was answered, in words."""
        return self.said or f"status 0x{self.status:04X}"


def send_instances(
    instances: Sequence[OutgoingInstance],
    destination: Destination,
    config: NodeConfig,
    *,
    acknowledged: Acknowledged,
    sent_as: SentAs = lambda *_: None,
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
    sent_as
        Called before, with the form of it that was sent.
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
    association = associate(destination, config, _contexts(instances))
    refused: list[Refusal] = []
    try:
        for instance in instances:
            if not keep_going():
                return
            form = _accepted_form(instance, _accepted(association))
            status = NOT_SUPPORTED if form is None else _send_one(association, form, destination)
            if status in ACKNOWLEDGED:
                if status:
                    _log.warning(
                        "instance taken with a remark",
                        destination=destination.name,
                        sop_instance_uid=instance.sop_instance_uid,
                        status=f"0x{status:04X}",
                    )
                if form is not None and form is not instance:
                    log_other_class(form, destination)
                sent_as(instance, form or instance)
                acknowledged(instance)
            else:
                refused.append(Refusal(instance=instance, status=status))
    finally:
        close(association)
    require_none_refused(refused, len(instances), destination)


def require_none_refused(refused: Sequence[Refusal], total: int, destination: Destination) -> None:
    """Say which instances were refused, and whether a repeat may help.

    Raises
    ------
    DeliveryError
        When any was.
    """
    if not refused:
        return
    lasting = [one for one in refused if one.status not in MAY_PASS]
    first = (lasting or refused)[0]
    advice = "see why it refuses, then run cestle retry" if lasting else "they are sent again"
    raise DeliveryError(
        f"destination '{destination.name}' refused {len(refused)} of {total} "
        f"instances, the first ({first.instance.sop_instance_uid}) with {first.answer}; {advice}",
        permanent=bool(lasting),
        limited=not lasting,
    )


def out_of_resources(status: int, destination: Destination) -> DeliveryError:
    """The error for a status that says that there is no room."""
    return DeliveryError(
        f"destination '{destination.name}' is out of resources (status 0x{status:04X}); "
        "the delivery is repeated",
        permanent=False,
    )


def log_other_class(form: OutgoingInstance, destination: Destination) -> None:
    """Say that a destination got another form of an instance than the best."""
    _log.info(
        "sent in another class",
        destination=destination.name,
        sop_instance_uid=form.sop_instance_uid,
        sop_class_uid=form.sop_class_uid,
    )


def echo(destination: Destination, config: NodeConfig, *, seconds: float | None = None) -> float:
    """C-ECHO to `destination`; the time from connecting to the answer [s].

    Parameters
    ----------
    destination
        Who is asked.
    config
        The node's own title and TLS files.
    seconds
        Limit of each wait; None for that of the destination.

    Raises
    ------
    DeliveryError
        When it does not answer with Success.
    """
    begin = time.monotonic()
    association = associate(
        destination,
        config,
        [build_context(VERIFICATION, list(UNCOMPRESSED))],
        seconds=seconds,
    )
    try:
        answer = association.send_c_echo()
        status = answer.get("Status")
    except (RuntimeError, ValueError) as fault:
        raise lost(destination) from fault
    finally:
        close(association)
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


def _accepted(association: Association) -> set[tuple[str, str]]:
    """SOP classes and syntaxes that were accepted."""
    return {
        (str(cx.abstract_syntax), str(cx.transfer_syntax[0]))
        for cx in association.accepted_contexts
    }


def _send_one(association: Association, form: OutgoingInstance, destination: Destination) -> int:
    """Status of one C-STORE; raises when the association is lost or must be ended."""
    try:
        as_stored = (form.sop_class_uid, form.transfer_syntax_uid) in _accepted(association)
        answer = association.send_c_store(form.path if as_stored else dcmread(form.path))
    except (RuntimeError, ValueError) as fault:
        raise lost(destination) from fault
    except OSError as fault:
        raise DeliveryError(
            f"{form.path.name} cannot be read ({fault.strerror}); reprocess the study",
            permanent=True,
        ) from fault
    status = answer.get("Status")
    if status is None:
        raise lost(destination)
    if 0xA700 <= status <= 0xA7FF:
        raise out_of_resources(status, destination)
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
