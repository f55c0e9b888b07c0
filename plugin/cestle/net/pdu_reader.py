"""Reading PDUs within a byte cap and a deadline, with few calls of the system.

The stock reader collects up to 4 GiB from anybody who connects (pynetdicom issue 1086), in
pieces of 4 KiB, and waits before each of them. With several associations in one process, every
call of the system hands the interpreter over to another thread, so each that is saved counts
several times.
"""

import os
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

_CHUNK_BYTES: Final = 65_536


class PduReader:
    """Reads for one association.

    Parameters
    ----------
    connection
        To its peer; given a timeout here, which makes it non-blocking for the system.
    established
        Tells whether the association has been accepted.
    negotiation_seconds
        Time from now until when that must be.
    seconds
        Time that one PDU may take once it is.
    longest
        Largest number of bytes that may be asked for.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        established: Callable[[], bool],
        negotiation_seconds: float,
        seconds: float,
        longest: int,
    ) -> None:
        self._connection = connection
        self._established = established
        self._seconds = seconds
        self._longest = longest
        self._end_of_negotiation = time.monotonic() + negotiation_seconds
        self._held = bytearray()
        connection.settimeout(seconds)

    @property
    def holds_data(self) -> bool:
        """Whether something was read already that nobody has asked for yet."""
        return bool(self._held)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read `nr_bytes`; fewer only when the peer closed the connection.

        Raises
        ------
        OSError
            When `nr_bytes` is above the cap or the deadline has passed.
        """
        if nr_bytes > self._longest:
            raise self._refusal(f"a PDU of {nr_bytes} bytes, expected {self._longest} at most")
        end = time.monotonic() + self._seconds
        if not self._established():
            end = min(end, self._end_of_negotiation)
        while len(self._held) < nr_bytes:
            part = self._read(end)
            if not part:
                break
            self._held += part
        received = self._held[:nr_bytes]
        del self._held[:nr_bytes]
        return received

    def _read(self, end: float) -> bytes:
        """What is there, after waiting for it until `end`; nothing at the end of the stream."""
        if isinstance(self._connection, ssl.SSLSocket):
            self._connection.settimeout(self._left(end))
            return self._connection.recv(_CHUNK_BYTES)
        while True:
            try:
                # Not `recv`, which looks whether there is something before it reads.
                return os.read(self._connection.fileno(), _CHUNK_BYTES)
            except BlockingIOError:
                poller = select.poll()
                poller.register(self._connection, select.POLLIN)
                poller.poll(1000 * self._left(end))

    def _left(self, end: float) -> float:
        left = end - time.monotonic()
        if left <= 0:
            raise self._refusal("a PDU that was not complete in time")
        return left

    def _refusal(self, found: str) -> OSError:
        close_both_ways(self._connection)
        return OSError(f"closed the connection after {found}")


def close_both_ways(connection: socket.socket) -> None:
    """End a connection for both sides, whatever state it is in."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
