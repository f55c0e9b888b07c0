"""Network rule: who may report that it committed itself, beside the peers.

An archive that is only sent to opens an association of its own to report. It is admitted by its
AE title and the addresses of its host. Names of hosts are looked up in a thread, since whoever
asks for a connection must not wait for a name service.
"""

import ipaddress
import socket
import threading
from typing import Final

from cestle.config.node import NodeConfig
from cestle.net.peers import PeerRules

_REFRESH_SECONDS: Final = 60.0


class Reporters:
    """The destinations that storage commitment is asked of, as callers.

    Parameters
    ----------
    config
        Destinations, and the titles that the node answers to.
    """

    def __init__(self, config: NodeConfig) -> None:
        asked = [one for one in config.destinations if one.storage_commitment]
        self._called = (config.node.ae_title, config.node.redo_ae_title)
        self._callers = [
            (one.name, title, host)
            for one in asked
            for title in sorted({one.ae_title, one.for_commitment().ae_title})
            for host in sorted({one.host, one.for_commitment().host})
        ]
        self.titles = frozenset(title for _, title, _ in self._callers)
        self._addresses = {host: _literal(host) for _, _, host in self._callers}
        self._by_name = [host for host, found in self._addresses.items() if not found]
        self._rules = self._made()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look up the names among the hosts, where there are any."""
        if self._by_name:
            self._thread = threading.Thread(target=self._refresh, name="reporters", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Look up nothing more."""
        self._stopping.set()

    def knows_address(self, address: str) -> bool:
        """Whether any of them may call from `address`."""
        return any(rules.knows_address(address) for _, _, rules in self._rules)

    def admits(self, *, calling: str, called: str, address: str) -> bool:
        """Whether an association may be opened in order to report."""
        return called.strip() in self._called and bool(self.names(calling=calling, address=address))

    def names(self, *, calling: str, address: str) -> frozenset[str]:
        """Names of the destinations that a caller speaks for."""
        return frozenset(
            name
            for name, title, rules in self._rules
            if title == calling.strip() and rules.knows_address(address)
        )

    def look_up(self) -> None:
        """Look up the names once; one that cannot be resolved keeps what it had."""
        for host in self._by_name:
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            except OSError:
                continue
            self._addresses[host] = tuple(sorted({str(one[4][0]).split("%")[0] for one in found}))
        self._rules = self._made()

    def _refresh(self) -> None:
        while True:
            self.look_up()
            if self._stopping.wait(_REFRESH_SECONDS):
                return

    def _made(self) -> list[tuple[str, str, PeerRules]]:
        return [
            (
                name,
                title,
                PeerRules.of([(title, self._addresses[host])], called_titles=self._called),
            )
            for name, title, host in self._callers
        ]


def _literal(host: str) -> tuple[str, ...]:
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()
