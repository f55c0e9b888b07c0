"""Associations that wait for what happens instead of sleeping between two looks.

Each association of pynetdicom has two threads, and both look for work once in a millisecond: the
provider at its socket and at what it is asked to send, the association at what was received.
Three such sleeps for each message are nine tenths of the time of receiving. Here the provider
waits on the socket and on a bell that rings when it is asked to send, and the association waits
on the queue of messages. What is done with an event is the library's own.

Private names of the library are used, so it is pinned; `tests/net/test_prompt.py` compares the
behaviour of both and fails when the overridden functions change.
"""

import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

import structlog
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from cestle.net.commands import read_store_request, store_response
from cestle.net.pdu_reader import PduReader

_TICK_SECONDS: Final = 0.1
"""Longest wait: what no event announces, such as a timer, is noticed after this time."""
_CLOSING_STATE: Final = "Sta13"
_IDLE_STATE: Final = "Sta1"
_COMMAND: Final = 1
_LAST: Final = 2
"""Bits of the message control header (PS3.8 E.2)."""
_WHOLE_COMMAND: Final = bytes([_COMMAND | _LAST])
_INVALID_PDU: Final = "Evt19"
_log = structlog.get_logger(__name__)


class PromptSocket(AssociationSocket):
    """A transport whose `ready` waits for data, where there is nothing else to do.

    Parameters
    ----------
    association
        The association it belongs to.
    connection
        To its peer.
    reader
        Reads from this connection.
    """

    def __init__(
        self, association: Association, connection: socket.socket, reader: PduReader
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._reader = reader

    @property
    def ready(self) -> bool:
        """Whether there is something to read; waits when nothing else is pending."""
        provider = self.assoc.dul
        if not isinstance(provider, PromptProvider):
            raise TypeError("a prompt socket belongs to a prompt provider")
        connection = self.socket if self._is_connected else None
        if connection is not None and self._reader.holds_data:
            return True
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            return True
        number = -1 if connection is None else connection.fileno()
        found = provider.wait(number)
        if connection is None:
            return False
        if number < 0 or found & select.POLLNVAL:
            self.event_queue.put("Evt17")  # the connection was closed
            return False
        return bool(found)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`, or less when the connection ends; errors as `PduReader.recv`."""
        return self._reader.recv(nr_bytes)


class PromptProvider(DULServiceProvider):
    """The upper layer of one association, woken by its socket or by whoever asks it to send.

    Parameters
    ----------
    association
        The association it serves.
    """

    def __init__(self, association: Association) -> None:
        super().__init__(association)
        self.daemon = True
        self._run_loop_delay = 0.0
        self._bell: socket.socket | None = None
        self._ear: socket.socket | None = None
        self._waiting = False
        self.to_provider_queue = _RingingQueue(self._ring)

    def run_reactor(self) -> None:
        """Run until the association has ended, and leave no socket open behind."""
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        try:
            super().run_reactor()
        except InvalidEventError:
            # A request to send that came after the peer had ended the association: the state
            # machine knows no answer to it, and there is nobody to answer to.
            _log.debug("an association ended before it was answered")
        finally:
            for end in (self._bell, self._ear):
                end.close()
            if self.state_machine.current_state != _IDLE_STATE and self.socket is not None:
                self.socket.close()
            # Whoever still waits for a request waits in vain; nothing says so by itself.
            self.to_user_queue.put(None)  # type: ignore[arg-type]

    def wait(self, number: int) -> int:
        """Wait for file descriptor `number`, for the bell, or for the next look at the timers.

        Returns
        -------
            The events of `number` as `select.poll` states them; 0 when there are none.
        """
        poller = select.poll()
        if number >= 0:
            poller.register(number, select.POLLIN)
        if self._ear is not None:
            poller.register(self._ear, select.POLLIN)
        self._waiting = True
        try:
            found = dict(poller.poll(0 if self._has_work() else round(1000 * _TICK_SECONDS)))
        finally:
            self._waiting = False
        if self._ear is not None and self._ear.fileno() in found:
            self._ear.recv(4096)
        return found.get(number, 0)

    def kill_dul(self) -> None:
        """End the loop, at once also when it waits."""
        super().kill_dul()
        self._ring()

    def restart_idle_timer(self) -> None:
        """Begin to count silence again."""
        self._idle_timer.restart()

    def stop_dul(self) -> bool:
        """End the loop when the association is over; whether it was."""
        if self.state_machine.current_state != _IDLE_STATE:
            return False
        self.kill_dul()
        self.join()
        return True

    def _has_work(self) -> bool:
        # Closing: the peer is not waited for.
        return (
            self._kill_thread
            or self.state_machine.current_state == _CLOSING_STATE
            or not self.event_queue.empty()
            or not self.to_provider_queue.empty()
        )

    def _ring(self) -> None:
        # `_waiting` is set before the queues are looked at, and this runs after something was
        # put into one, so no request is missed.
        bell = self._bell
        if self._waiting and bell is not None:
            try:
                bell.send(b"!")
            except OSError:
                return  # it has been rung often enough, or the loop has ended


class PromptMessages(DIMSEServiceProvider):
    """The messages of one association; C-STORE is served and answered without a detour.

    Parameters
    ----------
    association
        The association they belong to.
    """

    def __init__(self, association: "PromptAssociation") -> None:
        super().__init__(association)
        self._association = association
        self.msg_queue = _ServingQueue(self._serve_at_once)
        self._arriving: _Arriving | None = None

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what was received; a plain C-STORE without building data sets of its command."""
        values = primitive.presentation_data_value_list
        if self.message is None and self._arriving is None:
            self._arriving = self._announced(values)
            values = values[1:]
        if self._arriving is None:
            super().receive_primitive(primitive)
            return
        for _, fragment in values:
            if fragment[0] & _COMMAND:
                # No other message may come between (PS3.7 6.3.1).
                self._arriving = None
                self.dul.event_queue.put(_INVALID_PDU)
                return
            self._arriving.data_set.write(memoryview(fragment)[1:])
            if fragment[0] & _LAST:
                arrived, self._arriving = self._arriving, None
                arrived.request.DataSet = arrived.data_set
                self.msg_queue.put((arrived.context_id, arrived.request))
                return

    def _announced(self, values: Sequence[Any]) -> "_Arriving | None":
        """The C-STORE that begins with these values; None for what the library is to read."""
        if not values or self.assoc.get_handlers(evt.EVT_DIMSE_RECV):
            return None
        context_id, fragment = values[0]
        if fragment[:1] != _WHOLE_COMMAND:
            return None
        announced = read_store_request(bytes(fragment[1:]))
        if announced is None:
            return None
        request = C_STORE()
        request.MessageID = announced.message_id
        request.Priority = announced.priority
        request.AffectedSOPClassUID = announced.sop_class_uid
        request.AffectedSOPInstanceUID = announced.sop_instance_uid
        request._context_id = context_id
        return _Arriving(context_id=context_id, request=request)

    def _serve_at_once(self, item: Any) -> bool:
        """Serve a C-STORE in the thread that received it; False for what has to be queued.

        Two changes of threads for each instance are saved so. A sender waits for the answer
        before it goes on, so nothing else could be read meanwhile.
        """
        context_id, message = item
        association = self._association
        if (
            not isinstance(message, C_STORE)
            or not association.is_established
            or threading.current_thread() is not association.dul
        ):
            return False
        association.serve_now(message, context_id)
        return True

    def send_msg(self, primitive: Any, context_id: int) -> None:
        """Send `primitive`; where anybody listens in, or anything is unusual, as the library."""
        plain = (
            isinstance(primitive, C_STORE)
            and primitive.MessageIDBeingRespondedTo is not None
            and primitive.OffendingElement is None
            and primitive.ErrorComment is None
            and not self.assoc.get_handlers(evt.EVT_DIMSE_SENT)
        )
        if not plain:
            super().send_msg(primitive, context_id)
            return
        command = store_response(
            sop_class_uid=str(primitive.AffectedSOPClassUID),
            sop_instance_uid=str(primitive.AffectedSOPInstanceUID),
            message_id=int(primitive.MessageIDBeingRespondedTo),
            status=int(primitive.Status),
        )
        data = P_DATA()
        value = [context_id, _WHOLE_COMMAND + command]  # a list, whatever the annotation says
        data.presentation_data_value_list = [value]  # type: ignore[list-item]
        self.dul.send_pdu(data)


@dataclass(kw_only=True)
class _Arriving:
    """A C-STORE whose data set is under way."""

    context_id: int
    request: C_STORE
    data_set: BytesIO = field(default_factory=BytesIO)


class PromptAssociation(Association):
    """An accepted association that serves a message as soon as it is there.

    Parameters
    ----------
    entity
        Application entity that accepts it.
    mode
        "acceptor".
    ended
        Called with this association when it has ended, however it did.
    """

    def __init__(
        self,
        entity: ApplicationEntity,
        mode: str,
        *,
        ended: Callable[[Association], None] = lambda _: None,
    ) -> None:
        super().__init__(entity, mode)
        self._ended = ended
        self._serving = False
        self._provider = PromptProvider(self)
        self.dul = self._provider
        self.dimse = PromptMessages(self)
        # The library's way of waking whoever waits for a message is an empty one.
        messages = self.dimse.msg_queue
        self.dul.to_user_queue = _RingingQueue(lambda: messages.put((None, None)))
        # These two are handed on to the timers of the provider.
        self.acse_timeout = entity.acse_timeout
        self.network_timeout = entity.network_timeout

    def run_reactor(self) -> None:
        """Negotiate and serve, until the association has ended."""
        try:
            super().run_reactor()
        finally:
            self._ended(self)

    def serve_now(self, message: Any, context_id: int) -> None:
        """Serve a request in the provider's thread."""
        self._serving = True
        try:
            self._serve_request(message, context_id)
        finally:
            self._serving = False
            self._provider.restart_idle_timer()

    def _abort_blocking(self, block: bool = True) -> None:
        # The provider's thread cannot wait for its own end.
        super()._abort_blocking(block and threading.current_thread() is not self.dul)

    def _run_reactor(self) -> None:
        while not self._kill:
            self._is_paused = True
            self._reactor_checkpoint.wait()
            self._is_paused = False
            try:
                context_id, message = self.dimse.msg_queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                context_id, message = None, None
            if message is not None and context_id is not None:
                self._serve_request(message, context_id)
            if self._has_ended():
                self.kill()

    def _has_ended(self) -> bool:
        """Answer a release, note an abort, and end what has been silent for too long."""
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED, {})
            return True
        if self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted = True
            self.is_established = False
            evt.trigger(self, evt.EVT_ABORTED, {})
            return True
        if not self.dul.is_alive():
            return True
        if self.dul.idle_timer_expired() and not self._serving:
            self.abort()
            return True
        return False


class _RingingQueue(queue.Queue[Any]):
    """A queue that tells when something was put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put `item` and ring."""
        super().put(item, block, timeout)
        self._ring()


class _ServingQueue(queue.Queue[Any]):
    """A queue for what was not served at once."""

    def __init__(self, serve: Callable[[Any], bool]) -> None:
        super().__init__()
        self._serve = serve

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Serve `item`, or put it."""
        if not self._serve(item):
            super().put(item, block, timeout)
