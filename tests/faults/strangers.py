"""Hostile and broken clients, each as a function that the tests and longer runs can call."""

import select
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from cestle.config.node import NodeConfig
from cestle.service.receivers import Receivers
from net.raw_client import (
    RELEASE_REQUEST,
    RawClient,
    association_request,
    echo_request,
    pdu,
    status_of,
    store_request,
)
from node.rig import ROOT, node_config

PATIENCE_SECONDS = 2.0
"""Within this a peer is served whatever strangers do: the requirement itself."""
OTHER_PEER = '[[peers]]\nae_title = "OTHER"\nhosts = ["127.0.0.2"]\n'


@dataclass
class Besieged:
    """A node that receives, in a process of its own, and what it costs."""

    config: NodeConfig
    receivers: Receivers
    stored: int = 0
    process: psutil.Process = field(init=False)

    def __post_init__(self):
        self.process = psutil.Process(self.receivers.pids[0])
        for _ in range(3):
            self.serve("SCANNER", "127.0.0.1")
        self.settled_bytes = self.process.memory_info().rss

    @property
    def port(self):
        """Where it listens."""
        return self.receivers.port

    @property
    def growth_mib(self):
        """Resident memory above that after the first associations."""
        return (self.process.memory_info().rss - self.settled_bytes) / 2**20

    @property
    def threads(self):
        """Threads of the receiver."""
        return self.process.num_threads()

    def is_the_same(self):
        """Whether the receiver has neither crashed nor been started again."""
        return self.receivers.pids == (self.process.pid,) and self.process.is_running()

    def serve(self, calling, source):
        """Have C-ECHO and C-STORE done for a peer; raises where one takes too long."""
        self.stored += 1
        instance = f"{ROOT}.77.{self.stored}"
        with RawClient(self.port, source=source, seconds=PATIENCE_SECONDS) as client:
            client.send(association_request(calling))
            assert client.answer()[0] == 2, "the association is accepted"
            client.send(echo_request())
            assert status_of(client.answer()) == 0x0000
            client.send(store_request(plain_data_set(instance), instance))
            assert status_of(client.answer()) == 0x0000
            client.send(RELEASE_REQUEST)
            assert client.answer()[0] == 6


@contextmanager
def besieged(folder, *, extra="", **node):
    """A receiving node with two peers: SCANNER at 127.0.0.1 and OTHER at 127.0.0.2."""
    config = node_config(folder, extra=OTHER_PEER + extra, **node)
    receivers = Receivers(config)
    receivers.start()
    try:
        yield Besieged(config, receivers)
    finally:
        receivers.stop()


def element(group, number, representation, value):
    """An element in Explicit VR Little Endian."""
    raw = value if isinstance(value, bytes) else value.encode()
    if representation in ("OB", "OW", "SQ", "UN"):
        return struct.pack("<HH2s2xI", group, number, representation.encode(), len(raw)) + raw
    raw += (b"\0" if representation == "UI" else b" ") * (len(raw) % 2)
    return struct.pack("<HH2sH", group, number, representation.encode(), len(raw)) + raw


def plain_data_set(instance, *, study=f"{ROOT}.7", rows=4, columns=4, pixels=bytes(32), tail=b""):
    """A small MR image as bytes; every part of it can lie."""
    class_uid = "1.2.840.10008.5.1.4.1.1.4"
    return b"".join(
        (
            element(0x0008, 0x0016, "UI", class_uid),
            element(0x0008, 0x0018, "UI", instance),
            element(0x0010, 0x0010, "PN", "PLANTED^NAME"),
            element(0x0020, 0x000D, "UI", study),
            element(0x0020, 0x000E, "UI", f"{ROOT}.8"),
            element(0x0028, 0x0010, "US", struct.pack("<H", rows)),
            element(0x0028, 0x0011, "US", struct.pack("<H", columns)),
            element(0x0028, 0x0100, "US", struct.pack("<H", 16)),
            element(0x7FE0, 0x0010, "OW", pixels),
            tail,
        )
    )


def strangers_by_title(port, count):
    """Associations from an unknown calling title; how many were rejected."""
    rejected = 0
    for _ in range(count):
        with RawClient(port) as client:
            client.send(association_request("ROGUE"))
            answer = client.answer()
            rejected += answer is not None and answer[0] == 3
    return rejected


def strangers_by_address(port, count):
    """Connections from an unknown address; how many were closed without an answer."""
    closed = 0
    for _ in range(count):
        with RawClient(port, source="127.0.0.9") as client:
            client.send(association_request("SCANNER"))
            closed += client.answer() is None
    return closed


def flood(port, *, megabytes, kind=1):
    """Announce and send a PDU of so many MB before any association; MB sent until closed."""
    chunk, sent = bytes(1_000_000), 0
    with RawClient(port) as client:
        client.send(pdu(kind, b"", length=megabytes * 1_000_000))
        while sent < megabytes and client.send(chunk):
            sent += 1
    return sent


@contextmanager
def crowd(port, count, *, says=b"", source="127.0.0.1"):
    """So many clients that say `says` and then nothing; yields how many could connect."""
    clients = []
    try:
        for _ in range(count):
            with suppress(OSError):
                clients.append(RawClient(port, source=source))
                clients[-1].send(says)
        yield len(clients)
    finally:
        for client in clients:
            client.socket.close()


def passers_by(port, count, *, together=50):
    """So many connections that are closed at once; how many could connect."""
    connected = 0
    for _ in range(0, count, together):
        clients = [socket.socket() for _ in range(together)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        waiting = set(clients)
        while waiting:
            _, ready, _ = select.select([], waiting, [], 10)
            connected += sum(
                one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 for one in ready
            )
            waiting = waiting - set(ready) if ready else set()
        for client in clients:
            client.close()
    return connected


def stores(port, data_sets, *, source="127.0.0.1", calling="SCANNER"):
    """Send pairs of announced instance UID and data set; the status of each, None for an abort."""
    found, waiting = [], iter(data_sets)
    pair = next(waiting, None)
    while pair is not None:
        with RawClient(port, source=source) as client:
            client.send(association_request(calling))
            assert client.answer()[0] == 2
            while pair is not None:
                client.send(store_request(pair[1], pair[0]))
                answer = client.answer()
                found.append(None if answer is None else status_of(answer))
                pair = next(waiting, None)
                if found[-1] is None:
                    break
    return found


def lies():
    """Data sets that are not what they say, by name: (announced instance UID, data set)."""
    instance, study = f"{ROOT}.5.1", f"{ROOT}.7"
    outside = "../../../../tmp/outside"
    whole = plain_data_set(instance)
    return {
        "instance UID is a path": (outside, plain_data_set(outside)),
        "study UID is a path": (instance, plain_data_set(instance, study="../../x")),
        "study UID is absolute": (instance, plain_data_set(instance, study="/etc/x")),
        "study UID has a null": (instance, plain_data_set(instance, study="1.2\0/x")),
        "study UID of dots": (instance, plain_data_set(instance, study="..")),
        "another instance than announced": (f"{instance}.1", whole),
        "rows and columns of 65535": (
            instance,
            plain_data_set(instance, rows=65535, columns=65535),
        ),
        "pixel data cut off": (f"{instance}.2", plain_data_set(f"{instance}.2")[:-20]),
        "pixel data of 4 GB announced": (
            f"{instance}.3",
            plain_data_set(f"{instance}.3")[:-44]
            + struct.pack("<HH2s2xI", 0x7FE0, 0x0010, b"OW", 0xFFFF_FFF0),
        ),
        "element of 4 GB in the header": (
            f"{instance}.4",
            element(0x0008, 0x0016, "UI", "1.2")
            + struct.pack("<HH2s2xI", 0x0009, 0x1001, b"UN", 0xFFFF_FFF0),
        ),
        "sequences nested 5000 deep": (
            f"{instance}.6",
            (
                struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFF_FFFF)
                + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFF_FFFF)
            )
            * 5000,
        ),
        "compressed zeros": (f"{instance}.7", b"\x78\x9c" + bytes(50_000)),
        "nothing": (f"{instance}.8", b""),
        "file with preamble": (f"{instance}.9", bytes(128) + b"DICM" + whole),
        "a study of another": (f"{instance}.10", plain_data_set(f"{instance}.10", study=study)),
    }


def many_instances(node, count):
    """Send so many instances of one study in two associations; how many were acknowledged."""
    halves = [range(1, count // 2 + 1), range(count // 2 + 1, count + 1)]
    acknowledged = []

    def send(numbers):
        uids = (f"{ROOT}.6.{number}" for number in numbers)
        found = stores(node.port, ((uid, plain_data_set(uid, study=f"{ROOT}.66")) for uid in uids))
        acknowledged.append(found.count(0x0000))

    threads = [threading.Thread(target=send, args=(half,)) for half in halves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(acknowledged)
