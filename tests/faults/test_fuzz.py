"""Arbitrary bytes at every door: no crash, no hang, nothing outside the spool, no patient told.

The same targets run for longer, guided by coverage, in `make fuzz`.
"""

import socket
import threading
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cestle.net.identifiers import read_identifiers
from cestle.net.instances import read_received
from cestle.net.listener import Listener
from cestle.spool.files import require_uid
from faults import fuzz_targets
from faults.strangers import plain_data_set
from net.raw_client import (
    RawClient,
    association_request,
    data_pdu,
    echo_request,
    pdu,
    status_of,
    store_request,
)
from node.rig import ROOT, node_config

SEEDS = fuzz_targets.seeds()
INSTANCE = f"{ROOT}.1.1"
REQUEST = association_request()
STORE = store_request(plain_data_set(INSTANCE), INSTANCE)


@st.composite
def mutated(draw, seeds):
    """A seed with some bytes replaced, left out or put in."""
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        end = draw(st.integers(at, min(at + 12, len(content))))
        content = content[:at] + draw(st.binary(max_size=12)) + content[end:]
    return content


@settings(max_examples=400, deadline=2000)
@given(st.one_of(st.binary(max_size=200), mutated(SEEDS)))
def test_data_sets(content):
    """Whatever is sent as a data set is read as pydicom reads it, or refused in one line."""
    fuzz_targets.received(content)


@settings(max_examples=300, deadline=2000)
@given(st.one_of(st.binary(max_size=200), mutated(SEEDS)))
def test_facts(content):
    """What the worker reads of a received file is facts, nothing, or a refusal in one line."""
    fuzz_targets.facts(content)


@settings(max_examples=500)
@given(
    st.one_of(st.binary(max_size=80), st.text("0123456789./\\x00 ", max_size=70).map(str.encode))
)
@example(b"..")
@example(b"1/../../x")
@example(b"1.2\n")
@example(b"\xb2.\xb3")
def test_uids(content):
    """No UID leads out of the spool."""
    fuzz_targets.paths(content)


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_reader_reads_what_is_plain(seed):
    """The seeds are read without pydicom, sequences of undefined length too."""
    found = read_identifiers(SEEDS[seed], implicit=seed == 3)
    assert found is not None
    assert found["SOPInstanceUID"] == INSTANCE
    assert found["StudyInstanceUID"] == f"{ROOT}.7"


def test_the_targets_bite(monkeypatch):
    """A reader that tells something else than pydicom is found, and a check that lets all pass."""
    wrong = dict.fromkeys(fuzz_targets.IDENTIFIERS, "1.2")
    monkeypatch.setattr(fuzz_targets, "read_identifiers", lambda *_, **__: wrong)
    with pytest.raises(AssertionError):
        fuzz_targets.received(SEEDS[0])
    monkeypatch.setattr("cestle.spool.files.require_uid", lambda text: text)
    with pytest.raises(AssertionError):
        fuzz_targets.paths(b"..")
    assert require_uid("1.2") == "1.2"
    assert read_received is fuzz_targets.read_received


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    config = node_config(folder, network_timeout_seconds=0.3)
    listener = Listener(config, store=lambda _: None, quarantine=lambda _: None)
    listener.start()
    yield listener
    listener.stop(grace_seconds=0.5)


PDUS = st.one_of(
    st.binary(max_size=60),
    st.builds(pdu, st.integers(0, 8), st.binary(max_size=60)),
    st.builds(data_pdu, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=60)),
    mutated((REQUEST, STORE, echo_request())),
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(associated=st.booleans(), sent=st.lists(PDUS, min_size=1, max_size=3))
@example(associated=True, sent=[STORE[:-1]])
@example(associated=True, sent=[data_pdu(3, 3, b"")])
@example(associated=True, sent=[pdu(4, b"\x00\x00\x00\x01\x03")])
@example(associated=True, sent=[STORE, pdu(7, b"\0\0\0\0"), STORE])
@example(associated=False, sent=[REQUEST[:74] + b"\xff" * 40])
def test_the_wire(listener, associated, sent):
    """Random PDUs, before and after association, end their own association and nothing else."""
    with RawClient(listener.port) as client:
        if associated:
            client.send(REQUEST)
            assert client.answer()[0] == 2
        client.send(*sent)
        with suppress(OSError):  # closed by the listener already
            client.socket.shutdown(socket.SHUT_WR)
        client.answers()
    with RawClient(listener.port) as peer:
        peer.send(REQUEST)
        assert peer.answer()[0] == 2
        peer.send(echo_request())
        assert status_of(peer.answer()) == 0x0000
    assert threading.active_count() < 60
