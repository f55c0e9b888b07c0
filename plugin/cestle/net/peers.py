"""Network rule: who may call the node. Everything that is not listed is refused.

An AE title alone proves nothing, since any program can state it, so a peer is an AE title
together with the addresses it may call from and, with TLS, the subject of its certificate.
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
    CERTIFICATE_OF_ANOTHER = (0x01, 0x01, 0x01)
    TOO_MANY_ASSOCIATIONS = (0x02, 0x03, 0x02)


@dataclass(frozen=True, kw_only=True)
class KnownPeer:
    """One peer.

    Parameters
    ----------
    ae_title
        Its calling AE title.
    networks
        Where it may call from.
    certificate_subject
        Subject that its certificate must have, as common name or in the form of RFC 4514; empty
        for any that the authority issued.
    """

    ae_title: str
    networks: tuple[_Network, ...]
    certificate_subject: str = ""

    def may_call_from(self, address: _Address) -> bool:
        """Whether `address` is one of its own."""
        return any(address in network for network in self.networks)


@dataclass(frozen=True, kw_only=True)
class PeerRules:
    """Who may call, from where, and under which titles the node answers.

    Parameters
    ----------
    peers
        Who may call.
    called_titles
        AE titles that the node answers to.
    """

    peers: tuple[KnownPeer, ...]
    called_titles: frozenset[str]

    @classmethod
    def from_config(cls, config: NodeConfig) -> "PeerRules":
        """The rules of a configuration file."""
        return cls(
            peers=tuple(
                KnownPeer(
                    ae_title=peer.ae_title,
                    networks=_networks(peer.hosts),
                    certificate_subject=peer.certificate_subject,
                )
                for peer in config.peers
            ),
            called_titles=frozenset((config.node.ae_title, config.node.redo_ae_title)),
        )

    @classmethod
    def of(
        cls, peers: Iterable[tuple[str, Iterable[str]]], *, called_titles: Iterable[str]
    ) -> "PeerRules":
        """Rules from titles and networks in text form, for peers without certificates."""
        return cls(
            peers=tuple(
                KnownPeer(ae_title=title, networks=_networks(hosts)) for title, hosts in peers
            ),
            called_titles=frozenset(called_titles),
        )

    def knows_address(self, address: str) -> bool:
        """Whether any peer may call from `address`; asked before a byte is read."""
        found = _parse(address)
        return found is not None and any(peer.may_call_from(found) for peer in self.peers)

    def judge(
        self, *, calling: str, called: str, address: str, subjects: frozenset[str] = frozenset()
    ) -> Admission:
        """Decide about an association request.

        Parameters
        ----------
        calling, called
            AE titles of the request; spaces around them do not count (PS3.5 6.2).
        address
            IP address that the request came from.
        subjects
            What the subject of the verified certificate may be called; empty without TLS.
        """
        found = _parse(address)
        candidates = [
            peer
            for peer in self.peers
            if found is not None and peer.ae_title == calling.strip() and peer.may_call_from(found)
        ]
        if not candidates:
            return Admission.CALLING_TITLE_NOT_RECOGNISED
        if not any(
            not peer.certificate_subject or peer.certificate_subject in subjects
            for peer in candidates
        ):
            return Admission.CERTIFICATE_OF_ANOTHER
        if called.strip() not in self.called_titles:
            return Admission.CALLED_TITLE_NOT_RECOGNISED
        return Admission.ADMITTED


def _networks(hosts: Iterable[str]) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(host) for host in hosts)


def _parse(address: str) -> _Address | None:
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 callers as ::ffff:a.b.c.d.
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
