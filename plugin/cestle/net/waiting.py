"""Connections that have not said a word yet: each costs a file descriptor and no thread.

A port scanner, a load balancer's probe or an attacker connects and stays silent. Such
connections wait here until their first byte, and when there are too many the oldest goes: a peer
speaks at once, so it passes a room full of silent ones.
"""

import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAXIMUM_WAITING: Final = 256
"""Silent connections in all."""
MAXIMUM_WAITING_OF_ONE: Final = 64
"""Silent connections from one address."""


@dataclass(frozen=True, kw_only=True)
class Guest:
    """One silent connection, where it is from, and until when it may stay [s, monotonic]."""

    connection: socket.socket
    address: tuple[str, int]
    leaves: float


class WaitingRoom:
    """Silent connections, the oldest first.

    Parameters
    ----------
    selector
        Tells when one of them speaks.
    seconds
        How long one may stay silent.
    """

    def __init__(self, selector: selectors.BaseSelector, *, seconds: float) -> None:
        self._selector = selector
        self._seconds = seconds
        self._guests: dict[socket.socket, Guest] = {}

    def enter(self, connection: socket.socket, address: tuple[str, int]) -> None:
        """Let a connection wait; the oldest of its address, or of all, makes room for it."""
        same = [one for one in self._guests.values() if one.address[0] == address[0]]
        if len(same) >= MAXIMUM_WAITING_OF_ONE:
            self._dismiss(same[0])
        elif len(self._guests) >= MAXIMUM_WAITING:
            self._dismiss(next(iter(self._guests.values())))
        connection.setblocking(False)
        guest = Guest(
            connection=connection, address=address, leaves=time.monotonic() + self._seconds
        )
        self._guests[connection] = guest
        self._selector.register(connection, selectors.EVENT_READ, guest)

    def speaking(self, guest: Guest) -> bool:
        """Take out a connection that became readable; False when it was only closed."""
        if self._guests.pop(guest.connection, None) is None:
            return False
        self._selector.unregister(guest.connection)
        try:
            speaks = bool(guest.connection.recv(1, socket.MSG_PEEK))
        except OSError:
            speaks = False
        if not speaks:
            guest.connection.close()
        return speaks

    def dismiss_overdue(self) -> None:
        """Close what has been silent for too long."""
        now = time.monotonic()
        for guest in list(self._oldest()):
            if guest.leaves > now:
                return
            self._dismiss(guest)

    def close(self) -> None:
        """Close all."""
        for guest in list(self._oldest()):
            self._dismiss(guest)

    def _oldest(self) -> Iterator[Guest]:
        return iter(self._guests.values())

    def _dismiss(self, guest: Guest) -> None:
        del self._guests[guest.connection]
        self._selector.unregister(guest.connection)
        guest.connection.close()
