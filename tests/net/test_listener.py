"""The listener on loopback, with pynetdicom and dcmtk as senders."""

import socket
import struct
import threading

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.presentation import build_context

from cestle.errors import SpoolError
from cestle.net import server as server_module
from cestle.net.contexts import ACCEPTED_STORAGE
from cestle.net.listener import Listener
from net.raw_client import ABORT
from node.rig import MR_IMAGE, mr_instance, node_config, run_dcmtk, store, write_instance


@pytest.fixture
def kept():
    return []


@pytest.fixture
def aside():
    return []


@pytest.fixture
def listener(tmp_path, kept, aside):
    listener = Listener(node_config(tmp_path), store=kept.append, quarantine=aside.append)
    listener.start()
    yield listener
    listener.stop(grace_seconds=0.5)


def associate(listener, *, calling="SCANNER", called="CESTLE", contexts=None):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = 5
    contexts = contexts or [build_context(MR_IMAGE, ExplicitVRLittleEndian)]
    return entity.associate("127.0.0.1", listener.port, contexts=contexts, ae_title=called)


@pytest.mark.peer
def test_storescu_delivers_the_very_bytes(listener, kept, tmp_path):
    """The data set that is kept is the one that storescu read from its file."""
    files = [write_instance(tmp_path / "in", number) for number in (1, 2, 3)]
    sent = store(listener.port, files)
    assert sent.returncode == 0, sent.stderr
    assert [one.sop_instance_uid for one in kept] == [
        mr_instance(number).SOPInstanceUID for number in (1, 2, 3)
    ]
    received = tmp_path / "received.dcm"
    received.write_bytes(kept[0].content)
    assert dcmread(received) == dcmread(files[0])
    assert {(one.calling_ae_title, one.called_ae_title) for one in kept} == {("SCANNER", "CESTLE")}


@pytest.mark.peer
@pytest.mark.parametrize(
    ("calling", "called", "code"),
    [
        ("SCANNER", "CESTLE", 0),
        ("SCANNER", "CESTLE_REDO", 0),
        ("ROGUE", "CESTLE", 1),
        ("SCANNER", "OTHER", 1),
    ],
)
def test_echoscu_is_answered_for_listed_titles_only(listener, calling, called, code):
    """C-ECHO succeeds for a listed calling title and an own called title, else is rejected."""
    echo = run_dcmtk("echoscu", "-aet", calling, "-aec", called, "127.0.0.1", listener.port)
    assert echo.returncode == code
    assert code == 0 or "Not Recognized" in echo.stderr


@pytest.mark.peer
def test_a_rogue_stores_nothing(listener, kept, tmp_path):
    """An unlisted calling title cannot store."""
    assert store(listener.port, [write_instance(tmp_path)], calling="ROGUE").returncode != 0
    assert kept == []


def test_no_thread_remains_of_rejected_associations(listener):
    """Rejecting associations leaks no thread."""
    before = threading.active_count()
    for _ in range(5):
        assert associate(listener, calling="ROGUE").is_rejected
    for thread in threading.enumerate():
        if "Acceptor" in thread.name and thread.name.startswith("AcceptorThread"):
            thread.join(5)
    assert threading.active_count() <= before


def test_a_refusing_store_decides_the_status(tmp_path):
    """When the store cannot keep an instance the sender hears 0xA700, not Success."""

    def refuse(instance):
        del instance
        raise SpoolError("no space")

    listener = Listener(node_config(tmp_path), store=refuse, quarantine=lambda _: None)
    listener.start()
    try:
        association = associate(listener)
        assert association.send_c_store(mr_instance()).Status == 0xA700
        association.release()
    finally:
        listener.stop(grace_seconds=0.5)


def test_a_crashing_store_is_no_success(tmp_path):
    """A fault of ours inside the store gives a failure status."""

    def crash(instance):
        del instance
        raise ZeroDivisionError

    listener = Listener(node_config(tmp_path), store=crash, quarantine=lambda _: None)
    listener.start()
    try:
        association = associate(listener)
        assert association.send_c_store(mr_instance()).Status >= 0xC000
        association.release()
    finally:
        listener.stop(grace_seconds=0.5)


def test_another_instance_than_announced_is_refused(listener, kept, tmp_path):
    """A data set whose UID differs from the command's is answered 0xA900 and not kept."""
    path = write_instance(tmp_path)
    content = path.read_bytes()
    uid = mr_instance().SOPInstanceUID.encode()
    head, tail = content[: content.rindex(uid)], content[content.rindex(uid) :]
    path.write_bytes(head + tail.replace(uid, uid[:-1] + b"7", 1))
    association = associate(listener)
    assert association.send_c_store(path).Status == 0xA900
    association.release()
    assert kept == []


@pytest.mark.filterwarnings("ignore:Expected explicit VR")
def test_what_cannot_be_read_is_set_aside(listener, kept, aside, tmp_path):
    """A data set of garbage is answered 0xC000, and its bytes are kept apart."""
    path = write_instance(tmp_path)
    content = path.read_bytes()
    meta_end = 132 + 12 + struct.unpack("<I", content[140:144])[0]
    path.write_bytes(content[:meta_end] + b"\xfe\xff\x00\xe0garbage!" * 8)
    association = associate(listener)
    assert association.send_c_store(path).Status == 0xC000
    association.release()
    assert kept == []
    assert b"garbage!" in aside[0]


def test_explicit_little_endian_is_preferred(listener):
    """Whatever the order of the proposal, Explicit VR Little Endian is taken."""
    proposal = [
        build_context(MR_IMAGE, [RLELossless, ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    ]
    association = associate(listener, contexts=proposal)
    assert association.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]
    association.release()


def test_every_accepted_class_is_negotiated(listener):
    """Each SOP class of the table is accepted, private ones too, and no other."""
    contexts = [build_context(one.uid, ExplicitVRLittleEndian) for one in ACCEPTED_STORAGE]
    contexts.append(build_context("1.2.840.10008.5.1.4.1.1.2", ExplicitVRLittleEndian))  # CT
    association = associate(listener, contexts=contexts)
    accepted = {str(cx.abstract_syntax) for cx in association.accepted_contexts}
    association.release()
    assert accepted == {one.uid for one in ACCEPTED_STORAGE}


@pytest.mark.parametrize("class_uid", [one.uid for one in ACCEPTED_STORAGE if one.private])
def test_classes_that_the_library_does_not_know_are_stored(listener, kept, class_uid):
    """An instance of a private or new SOP class is kept like any other."""
    instance = mr_instance()
    instance.SOPClassUID = instance.file_meta.MediaStorageSOPClassUID = class_uid
    association = associate(listener, contexts=[build_context(class_uid, ExplicitVRLittleEndian)])
    assert association.send_c_store(instance).Status == 0x0000
    association.release()
    assert kept[0].sop_class_uid == class_uid


def test_silent_and_endless_clients_stop_nobody(listener):
    """With silent clients and one that announces a PDU of 4 GiB attached, C-STORE goes on."""
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(5)]
    flood = socket.create_connection(("127.0.0.1", listener.port))
    flood.settimeout(10)
    flood.sendall(struct.pack(">BBL", 1, 0, 0xF0000000) + bytes(1000))
    association = associate(listener)
    assert association.send_c_store(mr_instance()).Status == 0x0000
    association.release()
    try:
        assert flood.recv(10) in (b"", ABORT), "the connection of the endless PDU is closed"
        assert flood.recv(10) == b""
    except ConnectionResetError:
        pass
    finally:
        for client in [*silent, flood]:
            client.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(server_module, "NEGOTIATION_SECONDS", 0.3)


def test_a_pdu_that_trickles_in_is_cut_off(impatient, listener):
    """A client that never finishes its association request is closed at the deadline."""
    del impatient
    slow = socket.create_connection(("127.0.0.1", listener.port))
    slow.settimeout(10)
    slow.sendall(struct.pack(">BBL", 1, 0, 500) + bytes(10))
    try:
        assert slow.recv(10) == b""
    except ConnectionResetError:
        pass
    finally:
        slow.close()


def test_callers_from_unknown_addresses_are_closed_at_once(tmp_path, kept):
    """A caller whose address is not listed gets no byte of an answer."""
    config = node_config(tmp_path)
    peer = config.peers[0].model_copy(update={"hosts": ("192.0.2.1",)})
    listener = Listener(
        config.model_copy(update={"peers": (peer,)}), store=kept.append, quarantine=kept.append
    )
    listener.start()
    try:
        with socket.create_connection(("127.0.0.1", listener.port)) as client:
            client.settimeout(10)
            assert client.recv(10) == b""
    finally:
        listener.stop(grace_seconds=0.5)
