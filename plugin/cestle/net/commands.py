"""The command sets of C-STORE, read and written without a data set of the library.

What the reader does not take at its face, it leaves to the library: an element that is not
among the six of a plain request, one that is out of order, or a value that is not as the
standard wants it.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final

_GROUP_LENGTH: Final = 0x0000
_CLASS: Final = 0x0002
_FIELD: Final = 0x0100
_MESSAGE: Final = 0x0110
_ANSWERED: Final = 0x0120
_PRIORITY: Final = 0x0700
_DATA_SET: Final = 0x0800
_STATUS: Final = 0x0900
_INSTANCE: Final = 0x1000
_STORE_REQUEST: Final = 0x0001
_STORE_RESPONSE: Final = 0x8001
_NO_DATA_SET: Final = 0x0101
_PRIORITIES: Final = (0, 1, 2)
_LAYOUT: Final = (_CLASS, _FIELD, _MESSAGE, _PRIORITY, _DATA_SET, _INSTANCE)
_UID: Final = re.compile(rb"[0-9.]{1,64}\0?")
_read_head: Final = struct.Struct("<HHI").unpack_from
_read_number: Final = struct.Struct("<H").unpack


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRequest:
    """What a C-STORE-RQ announces (PS3.7 9.3.1.1).

    Parameters
    ----------
    sop_class_uid, sop_instance_uid
        Of the instance that follows.
    message_id
        What the response refers to.
    priority
        0 medium, 1 high, 2 low.
    """

    sop_class_uid: str
    sop_instance_uid: str
    message_id: int
    priority: int


def read_store_request(command: bytes) -> StoreRequest | None:
    """The request in a command set, implicit VR little endian.

    Returns
    -------
        None when it is anything else than a plain C-STORE-RQ with a data set to follow.
    """
    values: list[bytes] = []
    try:
        group, number, length = _read_head(command, 0)
        (announced,) = struct.unpack_from("<I", command, 8)
        place = 12
        if (group, number, length) != (0, _GROUP_LENGTH, 4) or announced != len(command) - place:
            return None
        for wanted in _LAYOUT:
            group, number, length = _read_head(command, place)
            values.append(command[place + 8 : place + 8 + length])
            place += 8 + length
            if group or number != wanted or place > len(command):
                return None
        sop_class_uid, field, message_id, priority, data_set, sop_instance_uid = values
        numbers = [_read_number(one)[0] for one in (field, message_id, priority, data_set)]
    except struct.error:
        return None
    plain = (
        place == len(command)
        and numbers[0] == _STORE_REQUEST
        and numbers[2] in _PRIORITIES
        and numbers[3] != _NO_DATA_SET
        and _UID.fullmatch(sop_class_uid)
        and _UID.fullmatch(sop_instance_uid)
    )
    if not plain:
        return None
    return StoreRequest(
        sop_class_uid=sop_class_uid.rstrip(b"\0").decode("ascii"),
        sop_instance_uid=sop_instance_uid.rstrip(b"\0").decode("ascii"),
        message_id=numbers[1],
        priority=numbers[2],
    )


def store_response(
    *, sop_class_uid: str, sop_instance_uid: str, message_id: int, status: int
) -> bytes:
    """The command set of a C-STORE-RSP (PS3.7 9.3.1.2), implicit VR little endian."""
    elements = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in (
            (_CLASS, _uid(sop_class_uid)),
            (_FIELD, struct.pack("<H", _STORE_RESPONSE)),
            (_ANSWERED, struct.pack("<H", message_id)),
            (_DATA_SET, struct.pack("<H", _NO_DATA_SET)),
            (_STATUS, struct.pack("<H", status)),
            (_INSTANCE, _uid(sop_instance_uid)),
        )
    )
    return struct.pack("<HHII", 0, _GROUP_LENGTH, 4, len(elements)) + elements


def _uid(text: str) -> bytes:
    value = text.encode("ascii", "replace")
    return value + b"\0" * (len(value) % 2)
