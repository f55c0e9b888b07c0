"""Network rule: who may call the node. Everything that is not listed is refused.

An AE title alone proves nothing, since any program can state it, so a peer is an AE title
together with the addresses it may call from.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from cestle.config.node import NodeConfig

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Admission(Enum):
    """The answer to an association request: (result, source, diagnostic) of PS3.8 table 9-21."""

    ADMITTED = None
    CALLING_TITLE_NOT_RECOGNISED = (0x01, 0x01, 0x03)
    CALLED_TITLE_NOT_RECOGNISED = (0x01, 0x01, 0x07)


@dataclass(frozen=True, kw_only=True)
class PeerRules:
    """Who may call, from where, and under which titles the node answers.

    Parameters
    ----------
    peers
        Calling AE titles, each with the networks it may call from.
    called_titles
        AE titles that the node answers to.
    """

    peers: tuple[tuple[str, tuple[_Network, ...]], ...]
    called_titles: frozenset[str]

    @classmethod
    def from_config(cls, config: NodeConfig) -> "PeerRules":
        """The rules of a configuration file."""
        return cls.of(
            ((peer.ae_title, peer.hosts) for peer in config.peers),
            called_titles=(config.node.ae_title, config.node.redo_ae_title),
        )

    @classmethod
    def of(
        cls, peers: Iterable[tuple[str, Iterable[str]]], *, called_titles: Iterable[str]
    ) -> "PeerRules":
        """Rules from titles and networks in text form."""
        return cls(
            peers=tuple(
                (title, tuple(ipaddress.ip_network(host) for host in hosts))
                for title, hosts in peers
            ),
            called_titles=frozenset(called_titles),
        )

    def knows_address(self, address: str) -> bool:
        """Whether any peer may call from `address`; asked before a byte is read."""
        found = _parse(address)
        return found is not None and any(
            found in network for _, networks in self.peers for network in networks
        )

    def judge(self, *, calling: str, called: str, address: str) -> Admission:
        """Decide about an association request.

        Parameters
        ----------
        calling, called
            AE titles of the request; spaces around them do not count (PS3.5 6.2).
        address
            IP address that the request came from.
        """
        found = _parse(address)
        allowed = found is not None and any(
            title == calling.strip() and any(found in network for network in networks)
            for title, networks in self.peers
        )
        if not allowed:
            return Admission.CALLING_TITLE_NOT_RECOGNISED
        if called.strip() not in self.called_titles:
            return Admission.CALLED_TITLE_NOT_RECOGNISED
        return Admission.ADMITTED


def _parse(address: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 callers as ::ffff:a.b.c.d.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
