"""A DICOM client that sends whatever bytes it is told to."""

import socket
import struct

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
RELEASE_REQUEST = bytes.fromhex("05000000000400000000")
ABORT = bytes.fromhex("07000000000400000000")
WHOLE_COMMAND, WHOLE_DATA, DATA = 3, 2, 0
"""Message control headers (PS3.8 E.2)."""


def association_request(calling="SCANNER", called="CESTLE", classes=(VERIFICATION, MR_IMAGE)):
    """An A-ASSOCIATE-RQ; presentation contexts are numbered 1, 3, ... (PS3.8 9.3.2)."""
    items = _item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, uid in enumerate(classes):
        syntaxes = _item(0x30, uid.encode()) + _item(0x40, EXPLICIT_LITTLE.encode())
        items += _item(0x20, bytes([2 * number + 1, 0, 0, 0]) + syntaxes)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.3.4")
    body = struct.pack(">H2x16s16s32x", 1, called.encode().ljust(16), calling.encode().ljust(16))
    return pdu(1, body + items + _item(0x50, user))


def _item(kind, content):
    return struct.pack(">BxH", kind, len(content)) + content


def pdu(kind, body, *, length=None):
    """A PDU; `length` lies about its length."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def data_pdu(context, control, content):
    """A P-DATA-TF PDU of one value."""
    return pdu(4, struct.pack(">IBB", len(content) + 2, context, control) + content)


def command(*elements):
    """A command set in Implicit VR Little Endian, with its group length."""
    content = b""
    for number, value in elements:
        raw = value if isinstance(value, bytes) else struct.pack("<H", value)
        raw += b"\0" * (len(raw) % 2)
        content += struct.pack("<HHI", 0, number, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(content)) + content


def echo_request():
    """A C-ECHO-RQ in context 1."""
    elements = (0x0002, VERIFICATION.encode()), (0x0100, 0x0030), (0x0110, 7), (0x0800, 0x0101)
    return data_pdu(1, WHOLE_COMMAND, command(*elements))


def store_request(
    data_set,
    instance_uid,
    *,
    class_uid=MR_IMAGE,
    context=3,
    message_id=9,
    priority=0,
    mover=None,
):
    """A C-STORE-RQ with its data set, in PDUs of 16 KiB; on behalf of `mover`."""
    elements = (
        *((0x0002, class_uid.encode()), (0x0100, 0x0001), (0x0110, message_id)),
        *((0x0700, priority), (0x0800, 0x0001), (0x1000, instance_uid.encode())),
        *(() if mover is None else ((0x1030, mover), (0x1031, 5))),
    )
    sent = data_pdu(context, WHOLE_COMMAND, command(*elements))
    parts = [data_set[at : at + 16_000] for at in range(0, len(data_set), 16_000)] or [b""]
    for part in parts[:-1]:
        sent += data_pdu(context, DATA, part)
    return sent + data_pdu(context, WHOLE_DATA, parts[-1])


def status_of(answer):
    """Status of a response PDU; None when it is none."""
    kind, body = answer
    if kind != 4:
        return None
    at, content = 12, body[6:]
    while at + 8 <= len(content):
        number, length = struct.unpack_from("<2xHI", content, at)
        if number == 0x0900:
            return struct.unpack_from("<H", content, at + 8)[0]
        at += 8 + length
    return None


class RawClient:
    """One connection.

    Parameters
    ----------
    port
        Of 127.0.0.1.
    source
        Address to call from; on Linux all of 127.0.0.0/8 are this machine's.
    """

    def __init__(self, port, *, source="127.0.0.1", seconds=10.0):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *fault):
        self.socket.close()

    def send(self, *content):
        """Send bytes; whether the other side still takes them."""
        try:
            self.socket.sendall(b"".join(content))
        except OSError:
            return False
        return True

    def answer(self):
        """The next PDU as (type, body); None when the connection was closed."""
        head = self._read(6)
        if head is None:
            return None
        kind, length = struct.unpack(">BxI", head)
        body = self._read(length)
        return None if body is None else (kind, body)

    def answers(self):
        """All PDUs until the connection is closed."""
        found = []
        while (answer := self.answer()) is not None:
            found.append(answer)
        return found

    def _read(self, number):
        content = b""
        while len(content) < number:
            try:
                part = self.socket.recv(number - len(content))
            except ConnectionResetError:
                return None
            if not part:
                return None
            content += part
        return content
