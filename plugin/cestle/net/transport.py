"""To a destination by whichever way it is reached: DIMSE or DICOMweb."""

from collections.abc import Callable, Sequence

from cestle.config.node import Destination, NodeConfig
from cestle.net.instances import OutgoingInstance
from cestle.net.sender import Acknowledged, SentAs, echo, send_instances


def deliver(
    instances: Sequence[OutgoingInstance],
    destination: Destination,
    config: NodeConfig,
    *,
    acknowledged: Acknowledged,
    sent_as: SentAs,
    keep_going: Callable[[], bool],
) -> None:
    """Send instances in order; parameters and errors as `send_instances`."""
    send = send_instances
    if destination.stow_url:
        # Here, so that a node without such a destination does not load an HTTP library.
        from cestle.net.stow import store_by_web as send
    send(
        instances,
        destination,
        config,
        acknowledged=acknowledged,
        sent_as=sent_as,
        keep_going=keep_going,
    )


def look(destination: Destination, config: NodeConfig, *, seconds: float | None = None) -> float:
    """See whether a destination answers; the time that it took [s]. Errors as `echo`."""
    if destination.stow_url:
        from cestle.net.stow import look_by_web

        return look_by_web(destination, config, seconds=seconds)
    return echo(destination, config, seconds=seconds)
