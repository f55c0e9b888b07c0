"""The four identifiers of a data set, read without decoding anything else of it.

What this reader does not take at its face, it leaves to pydicom: anything out of order, of an
unknown representation, or longer than the data set. So it is quick where a data set is plain,
and never the judge of one that is not.
"""

import re
import struct
from typing import Final

_WANTED: Final = {
    0x0008_0016: "SOPClassUID",
    0x0008_0018: "SOPInstanceUID",
    0x0020_000D: "StudyInstanceUID",
    0x0020_000E: "SeriesInstanceUID",
}
_LAST: Final = 0x0020_000E
_UNDEFINED: Final = 0xFFFF_FFFF
_ITEM: Final = 0xFFFE_E000
_END_OF_ITEM: Final = 0xFFFE_E00D
_END_OF_SEQUENCE: Final = 0xFFFE_E0DD
_DEEPEST: Final = 16
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
"""Representations with a length of 16 bits (PS3.5 7.1.2)."""
_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_UID: Final = re.compile(rb"[0-9.]{1,64}")
_read_head: Final = struct.Struct("<HH2sH").unpack_from
_read_implicit: Final = struct.Struct("<HHI").unpack_from
_read_length: Final = struct.Struct("<I").unpack_from


def read_identifiers(data_set: bytes, *, implicit: bool) -> dict[str, str] | None:
    """SOP class, instance, study and series UID by keyword.

    Parameters
    ----------
    data_set
        In a little endian transfer syntax, not deflated.
    implicit
        Whether value representations are left out.

    Returns
    -------
        All four, or None when this reader cannot tell.
    """
    found: dict[str, str] = {}
    place, before = 0, 0
    try:
        while before < _LAST:
            tag, start, length, unknown = _element(data_set, place, implicit)
            if tag <= before or tag >> 16 == 0xFFFE:
                return None
            before = tag
            if length == _UNDEFINED:
                place = _after_sequence(data_set, start, implicit or unknown, 0)
                continue
            place = start + length
            if place > len(data_set):
                return None
            name = _WANTED.get(tag)
            if name is not None:
                value = data_set[start:place].rstrip(b"\0 ")
                if not _UID.fullmatch(value):
                    return None
                found[name] = value.decode("ascii")
    except (struct.error, _UnclearError):
        return None
    return found if len(found) == len(_WANTED) else None


class _UnclearError(Exception):
    """The data set is not as plain as this reader wants it."""


def _element(data_set: bytes, place: int, implicit: bool) -> tuple[int, int, int, bool]:
    """Tag, start and length of the value at `place`, and whether a value of UN is meant."""
    group, number, representation, length = _read_head(data_set, place)
    tag = group << 16 | number
    if implicit or group == 0xFFFE:
        return tag, place + 8, _read_length(data_set, place + 4)[0], False
    if representation in _SHORT:
        return tag, place + 8, length, False
    if representation in _LONG:
        return tag, place + 12, _read_length(data_set, place + 8)[0], representation == b"UN"
    raise _UnclearError


def _after_sequence(data_set: bytes, place: int, implicit: bool, depth: int) -> int:
    """The place behind a sequence of undefined length."""
    if depth > _DEEPEST:
        raise _UnclearError
    while True:
        group, number, length = _read_implicit(data_set, place)
        tag = group << 16 | number
        place += 8
        if tag == _END_OF_SEQUENCE:
            return place
        if tag != _ITEM:
            raise _UnclearError
        place = (
            _after_item(data_set, place, implicit, depth)
            if length == _UNDEFINED
            else place + length
        )


def _after_item(data_set: bytes, place: int, implicit: bool, depth: int) -> int:
    """The place behind an item of undefined length."""
    while True:
        tag, start, length, unknown = _element(data_set, place, implicit)
        if tag == _END_OF_ITEM:
            return start
        if length == _UNDEFINED:
            # PS3.5 6.2.2: what is UN with undefined length is encoded in Implicit VR.
            place = _after_sequence(data_set, start, implicit or unknown, depth + 1)
        else:
            place = start + length
