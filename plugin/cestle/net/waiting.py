"""Connections that have not asked for an association yet: a file descriptor each, no thread.

A port scanner, a load balancer's probe or an attacker connects and stays silent, or says half a
word. Such connections wait here until their first message is complete, and when there are too
many the oldest goes: a peer speaks at once, so it passes a room full of silent ones.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MAXIMUM_WAITING: Final = 256
"""Silent connections in all."""
MAXIMUM_WAITING_OF_ONE: Final = 64
"""Silent connections from one address."""


_ASSOCIATE_REQUEST: Final = 0x01
_HANDSHAKE: Final = 0x16
_PDU_HEAD: Final = struct.Struct(">BxI")
_RECORD_HEAD: Final = struct.Struct(">BxxH")
_ABORT: Final = bytes.fromhex("07000000000400000000")
"""A-ABORT of the service user, which answers anything but a request (PS3.8 9.2.3, AA-1)."""

Measure = Callable[[bytes], int | None]
"""Length of the whole message that begins with these bytes; None when it is not acceptable."""


def request_length(longest: int) -> Measure:
    """Measures an association request of at most `longest` bytes behind its head."""

    def measure(head: bytes) -> int | None:
        kind, length = _PDU_HEAD.unpack(head)
        return 6 + length if kind == _ASSOCIATE_REQUEST and length <= longest else None

    return measure


def handshake_length(head: bytes) -> int | None:
    """Measures the first record of a TLS handshake (RFC 8446 section 5.1)."""
    kind, length = _RECORD_HEAD.unpack(head)
    return 5 + length if kind == _HANDSHAKE else None


@dataclass(kw_only=True)
class Guest:
    """A connection that waits.

    Parameters
    ----------
    connection
        Its socket.
    address
        Where it is from.
    leaves
        Until when it may stay [s, monotonic].
    wanted
        Length of its first message; 0 while that is not known [bytes].
    """

    connection: socket.socket
    address: tuple[str, int]
    leaves: float
    wanted: int = 0


class WaitingRoom:
    """Connections that wait, the oldest first.

    Parameters
    ----------
    selector
        Tells when one of them has said enough.
    seconds
        How long one may stay.
    tls
        Whether they are to begin with a TLS handshake.
    longest
        Of an association request [bytes].
    """

    def __init__(
        self, selector: selectors.BaseSelector, *, seconds: float, tls: bool, longest: int
    ) -> None:
        self._selector = selector
        self._seconds = seconds
        self._head = _RECORD_HEAD.size if tls else _PDU_HEAD.size
        self._measure: Measure = handshake_length if tls else request_length(longest)
        self._farewell = b"" if tls else _ABORT
        self._guests: dict[socket.socket, Guest] = {}

    def enter(self, connection: socket.socket, address: tuple[str, int]) -> None:
        """Let a connection wait; the oldest of its address, or of all, makes room for it."""
        same = [one for one in self._guests.values() if one.address[0] == address[0]]
        if len(same) >= MAXIMUM_WAITING_OF_ONE:
            self._dismiss(same[0])
        elif len(self._guests) >= MAXIMUM_WAITING:
            self._dismiss(next(iter(self._guests.values())))
        connection.setblocking(False)
        # Readable only once so many bytes are there, so half a message wakes nobody.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self._head)
        guest = Guest(
            connection=connection, address=address, leaves=time.monotonic() + self._seconds
        )
        self._guests[connection] = guest
        self._selector.register(connection, selectors.EVENT_READ, guest)

    def is_complete(self, guest: Guest) -> bool:
        """Look at a connection that became readable; when complete it is taken out."""
        connection = guest.connection
        if connection not in self._guests:
            return False
        try:
            said = connection.recv(guest.wanted or self._head, socket.MSG_PEEK)
            if len(said) < (guest.wanted or self._head):  # closed before it had said all
                self._dismiss(guest)
                return False
            if not guest.wanted:
                return self._measured(guest, said)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        except OSError:
            self._dismiss(guest)
            return False
        self._leave(guest)
        return True

    def _measured(self, guest: Guest, head: bytes) -> bool:
        wanted = self._measure(head)
        if wanted is None:
            if self._farewell and head[0] != self._farewell[0]:
                guest.connection.send(self._farewell)
            self._dismiss(guest)
            return False
        guest.wanted = wanted
        guest.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, wanted)
        return False

    def dismiss_overdue(self) -> None:
        """Close what has waited for too long."""
        now = time.monotonic()
        for guest in list(self._guests.values()):
            if guest.leaves > now:
                return
            self._dismiss(guest)

    def close(self) -> None:
        """Close all."""
        for guest in list(self._guests.values()):
            self._dismiss(guest)

    def _leave(self, guest: Guest) -> None:
        del self._guests[guest.connection]
        self._selector.unregister(guest.connection)

    def _dismiss(self, guest: Guest) -> None:
        self._leave(guest)
        guest.connection.close()
