"""Associations that the node asks for: the answer to a request reaches whoever made it.

The library's association looks for messages in a thread of its own, which a request halts first.
It takes a flag of that thread for halted which the thread may be about to take back, so on busy
cores the thread can take the answer itself and drop it as unexpected; the request then waits out
its time. Here a request and a look of that thread exclude each other.

Private names of the library are used, so it is pinned; `tests/net/test_requested.py` holds the
thread at each of its lines and fails when the overridden functions change.
"""

import threading
import time
from typing import Any, Final

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association

_LOOK_SECONDS: Final = 0.005
"""Between two looks for what the peer does without having been asked."""


class RequestedAssociation(Association):
    """An association asked for by this side, whose own thread takes no answer to a request.

    Parameters
    ----------
    entity
        Application entity that asks for it.
    """

    def __init__(self, entity: ApplicationEntity) -> None:
        super().__init__(entity, "requestor")
        self._looking = threading.RLock()
        self._reactor_checkpoint = _Checkpoint(self._looking)
        # What the library's requests wait for: true at any time, since the checkpoint is what
        # excludes them.
        self._is_paused = True

    def kill(self) -> None:
        """End the association, and wake whoever waits for an answer."""
        super().kill()
        self.dimse.msg_queue.put((None, None))

    def _serve_request(self, msg: Any, context_id: int) -> None:
        # The library takes the flag back after serving, also in the thread of an N-EVENT-REPORT,
        # where nothing sets it again while a request waits for it.
        try:
            super()._serve_request(msg, context_id)
        finally:
            self._is_paused = True

    def _run_reactor(self) -> None:
        while not self._kill:
            self._reactor_checkpoint.wait()
            with self._looking:
                if self._reactor_checkpoint.is_set() and not self._kill:
                    self._look()
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        """Serve what the peer asks for, and end the association when it has ended."""
        context_id, message = self.dimse.get_msg(block=False)
        if message is not None and context_id is not None:
            self._serve_request(message, context_id)
        if self.is_established and self.acse.is_release_requested():
            self.acse.send_release(is_response=True)
            self.is_released = True
            self.is_established = False
            evt.trigger(self, evt.EVT_RELEASED, {})
            self.kill()
        elif self.acse.is_aborted():
            self.dul.receive_pdu(wait=False)
            self.is_aborted = True
            self.is_established = False
            evt.trigger(self, evt.EVT_ABORTED, {})
            self.kill()
        elif not self.dul.is_alive():
            self.kill()
        elif self.dul.idle_timer_expired():
            self.abort()


class _Checkpoint(threading.Event):
    """Passed by the thread of an association while no request is under way.

    Parameters
    ----------
    looking
        Held by that thread while it looks.
    """

    def __init__(self, looking: threading.RLock) -> None:
        super().__init__()
        self._looking = looking
        self.set()

    def clear(self) -> None:
        """Let the thread finish its look, and begin no other."""
        with self._looking:
            super().clear()
