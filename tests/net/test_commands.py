"""The quick reader of C-STORE commands agrees with pydicom, or leaves the command to it."""

from io import BytesIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pynetdicom.dsutils import decode

from cestle.net.commands import read_store_request, store_response
from net.raw_client import MR_IMAGE, command

UIDS = st.from_regex(r"(?:0|[1-9][0-9]{0,8})(?:\.(?:0|[1-9][0-9]{0,8})){1,5}", fullmatch=True)
NUMBERS = st.integers(0, 0xFFFF)


def plain(sop_class=MR_IMAGE, instance="1.2.3", message=7, priority=0, data=1, field=1):
    """The six elements of a C-STORE-RQ (PS3.7 table 9.3-1)."""
    return [
        *((0x0002, sop_class.encode()), (0x0100, field), (0x0110, message)),
        *((0x0700, priority), (0x0800, data), (0x1000, instance.encode())),
    ]


@given(UIDS, UIDS, NUMBERS, st.sampled_from([0, 1, 2]), NUMBERS.filter(lambda one: one != 0x0101))
def test_a_plain_request_is_read_as_pydicom_reads_it(sop_class, instance, message, priority, data):
    """All values of the command, for UIDs of odd and even length."""
    raw = command(*plain(sop_class, instance, message, priority, data))
    found, expected = read_store_request(raw), decode(BytesIO(raw), True, True)
    assert found is not None
    assert found.sop_class_uid == expected.AffectedSOPClassUID
    assert found.sop_instance_uid == expected.AffectedSOPInstanceUID
    assert found.message_id == expected.MessageID
    assert found.priority == expected.Priority


@pytest.mark.parametrize(
    "elements",
    [
        plain(data=0x0101),
        plain(field=0x8001),
        plain(field=0x0030),
        plain(priority=3),
        plain(instance=""),
        plain(instance="1.2.x"),
        plain(sop_class="1." * 40),
        plain()[:-1],
        plain()[::-1],
        [*plain(), (0x1030, b"MOVER"), (0x1031, 5)],
        [],
    ],
    ids=lambda elements: " ".join(f"{number:04x}" for number, _ in elements)[-40:],
)
def test_what_is_not_plain_is_left_to_the_library(elements):
    """No data set, other commands, values out of range, missing or additional elements."""
    assert read_store_request(command(*elements)) is None


@given(st.binary(max_size=200), st.integers(0, 160))
@example(b"", 0)
def test_broken_bytes_are_left_to_the_library(rest, kept):
    """A command cut anywhere and continued with anything is never taken for a plain one."""
    whole = command(*plain())
    raw = whole[: min(kept, len(whole) - 1)] + rest
    if raw != whole:
        found = read_store_request(raw)
        assert found is None or len(raw) == len(whole)


def test_a_response_is_no_request():
    """What is sent as an answer is not taken for a request when it comes back."""
    raw = store_response(sop_class_uid=MR_IMAGE, sop_instance_uid="1.2.3", message_id=7, status=0)
    assert read_store_request(raw) is None
    answer = decode(BytesIO(raw), True, True)
    assert (answer.CommandField, answer.MessageIDBeingRespondedTo, answer.Status) == (0x8001, 7, 0)
