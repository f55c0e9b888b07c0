"""Associations that wait for events behave as the library's own, which sleep."""

import hashlib
import inspect
import struct
import threading

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.transport import (
    AssociationServer,
    AssociationSocket,
    RequestHandler,
    ThreadedAssociationServer,
)

from cestle.net.library import prepare_library
from cestle.net.server import GuardedServer
from net.raw_client import (
    ABORT,
    MR_IMAGE,
    RELEASE_REQUEST,
    VERIFICATION,
    RawClient,
    association_request,
    data_pdu,
    echo_request,
    pdu,
    status_of,
    store_request,
)
from node.rig import mr_instance, wait_until

REVIEWED = {
    Association.__init__: "eb07516b8009ad8f",
    Association.run_reactor: "ed8bbbe3b3d6ddae",
    Association._run_reactor: "f28838c5559e462a",
    Association._abort_blocking: "10b43ef8c63c6764",
    Association.kill: "8f9713666a7f4cff",
    DULServiceProvider.__init__: "c82dafa9438ddf70",
    DULServiceProvider.run_reactor: "e3a10eb3a0931e48",
    DULServiceProvider.stop_dul: "28a7e0be126e7b30",
    DULServiceProvider.kill_dul: "5ceccf8dd01c2072",
    DULServiceProvider._is_transport_event: "8725ed03bb8fbdef",
    DIMSEMessage.decode_msg: "f51c777e841a76be",
    DIMSEMessage.message_to_primitive: "f8f43d34e43450ef",
    DIMSEServiceProvider.receive_primitive: "5f99c86b14a15cef",
    DIMSEServiceProvider.send_msg: "a839cf2fb46976d9",
    AssociationSocket.ready.fget: "3eb58e3d39dc076d",
    AssociationSocket.close: "c726c8db53813d55",
    RequestHandler._create_association: "05c8d12b79863cdb",
    AssociationServer.server_bind: "cf69278a05a5c777",
}
"""The functions that `prompt` and `server` replace or rely on, as of pynetdicom 3.0.4."""


@pytest.mark.parametrize("function", list(REVIEWED), ids=lambda one: one.__qualname__)
def test_the_library_is_the_one_that_was_reviewed(function):
    """A release that changes these functions needs a new look at the overrides, then a new sum."""
    found = hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]
    assert found == REVIEWED[function]


def data_set(number=1):
    """A small MR image as it crosses the network, and its instance UID."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    image = mr_instance(number)
    write_dataset(stream, image)
    return stream.getvalue(), str(image.SOPInstanceUID)


def values_of(sent):
    """Context, control header and content of each value in P-DATA-TF PDUs."""
    while sent:
        length, context, control = struct.unpack_from(">IBB", sent, 6)
        yield context, control, sent[12 : 10 + length]
        sent = sent[10 + length :]


def in_fragments(sent, *, each=50):
    """The same message in fragments of `each` bytes, a PDU each."""
    return b"".join(
        data_pdu(context, control if at + each >= len(content) else control & 1, part)
        for context, control, content in values_of(sent)
        for at in range(0, max(len(content), 1), each)
        for part in [content[at : at + each]]
    )


def in_one_pdu(sent):
    """The same message with all of its values in one PDU."""
    return pdu(4, b"".join(data_pdu(*value)[6:] for value in values_of(sent)))


IMAGE, INSTANCE = data_set()
REQUEST, STORE = association_request(), store_request(IMAGE, INSTANCE)
SCENARIOS = {
    "release": (REQUEST, RELEASE_REQUEST),
    "echo, store, store, release": (REQUEST, echo_request(), STORE, STORE, RELEASE_REQUEST),
    "abort": (REQUEST, ABORT),
    "abort after a store": (REQUEST, STORE, ABORT),
    "abort instead of a request": (ABORT,),
    "release instead of a request": (RELEASE_REQUEST,),
    "data instead of a request": (echo_request(),),
    "two requests": (REQUEST, REQUEST),
    "unknown kind of PDU": (REQUEST, pdu(9, b"")),
    "unknown kind at once": (pdu(9, b""),),
    "context that was not agreed": (REQUEST, store_request(IMAGE, INSTANCE, context=99)),
    "command that is none": (REQUEST, data_pdu(1, 3, b"garbage!" * 4)),
    "store with no UIDs": (REQUEST, data_pdu(3, 3, store_request(b"", "")[12:20])),
    "silence": (REQUEST,),
    "command in two fragments": (REQUEST, in_fragments(STORE), RELEASE_REQUEST),
    "command and data in one PDU": (REQUEST, in_one_pdu(STORE), RELEASE_REQUEST),
    "data in many fragments": (REQUEST, in_fragments(STORE, each=100), RELEASE_REQUEST),
    "moved instance": (REQUEST, store_request(IMAGE, INSTANCE, mover=b"MOVER"), RELEASE_REQUEST),
    "priority that is none": (REQUEST, store_request(IMAGE, INSTANCE, priority=9)),
    "instance UID that is none": (REQUEST, store_request(IMAGE, "1.2.x"), RELEASE_REQUEST),
    "two instances at once": (REQUEST, STORE + STORE),
}


class Server:
    """A Storage SCP on either kind of server, which notes how its associations ended."""

    def __init__(self, kind):
        prepare_library()
        self.entity = AE(ae_title="CESTLE")
        self.entity.network_timeout = self.entity.acse_timeout = 0.6
        self.entity.add_supported_context(VERIFICATION)
        self.entity.add_supported_context(MR_IMAGE)
        self.events, self.stored = [], []
        notes = (evt.EVT_ESTABLISHED, evt.EVT_RELEASED, evt.EVT_ABORTED)
        handlers = [(one, lambda event: self.events.append(event.event.name)) for one in notes]
        handlers += [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _: 0x0000)]
        extra = {"knows_address": lambda _: True} if kind is GuardedServer else {}
        self.server = self.entity.make_server(
            ("127.0.0.1", 0), evt_handlers=handlers, server_class=kind, **extra
        )
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def _store(self, event):
        self.stored.append(event.encoded_dataset(include_meta=False))
        return 0x0000

    def close(self):
        """Stop, once all associations have ended by themselves."""
        wait_until(lambda: not self.entity.active_associations, what="the end of associations")
        if isinstance(self.server, GuardedServer):
            self.server.shutdown()
        else:
            self.entity._servers.append(self.server)
            self.server.shutdown()
        self.thread.join()


def outcome(kind, sent):
    """What the client gets and how the association ended, for bytes that are sent in turn."""
    server = Server(kind)
    try:
        with RawClient(server.port) as client:
            answers = []
            for number, part in enumerate(sent):
                client.send(part)
                if number + 1 < len(sent):
                    answers.append(client.answer())
            answers += client.answers()
    finally:
        server.close()
    return answers, server.events, server.stored


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_same_answers_and_same_end(scenario):
    """PDUs to the peer, events and stored bytes are the same, byte for byte."""
    sent = SCENARIOS[scenario]
    assert outcome(GuardedServer, sent) == outcome(ThreadedAssociationServer, sent)


def test_the_scenarios_do_what_they_say():
    """Stored instances, their status, and a release, so that the comparison is not of nothing."""
    answers, events, stored = outcome(GuardedServer, SCENARIOS["echo, store, store, release"])
    assert [kind for kind, _ in answers] == [2, 4, 4, 4, 6]
    assert [status_of(one) for one in answers[1:4]] == [0, 0, 0]
    assert events == ["EVT_ESTABLISHED", "EVT_RELEASED"]
    assert stored == [IMAGE, IMAGE]


@pytest.mark.parametrize("rest", [STORE[:-10], pdu(9, b"12345678")], ids=["half", "unknown"])
def test_what_the_library_waits_for_without_end(rest):
    """Half a PDU ends the association at the deadline; the library's own reader hangs."""
    answers, events, stored = outcome(GuardedServer, (REQUEST, rest))
    assert answers[0][0] == 2
    assert {kind for kind, _ in answers[1:]} <= {7}
    assert events == ["EVT_ESTABLISHED", "EVT_ABORTED"]
    assert stored == []


def test_a_command_within_a_data_set_ends_the_association():
    """Messages are not mixed (PS3.7 6.3.1); the library takes the data set of one for the other."""
    first, second = STORE.index(IMAGE[:50]) - 12, len(STORE)
    mixed = STORE[:first] + data_pdu(3, 0, IMAGE[:50]) + STORE[:first] + STORE[first:second]
    answers, events, stored = outcome(GuardedServer, (REQUEST, mixed))
    assert [kind for kind, _ in answers] == [2, 7]
    assert events == ["EVT_ESTABLISHED", "EVT_ABORTED"]
    assert stored == []


def test_an_answer_that_comes_too_late_ends_its_thread_only():
    """A peer that leaves while its instance is stored leaves no thread and no error behind."""
    server, go = Server(GuardedServer), threading.Event()
    server.server.unbind(evt.EVT_C_STORE, server._store)
    server.server.bind(evt.EVT_C_STORE, lambda _: go.wait(10) and 0x0000)
    before = threading.active_count()
    with RawClient(server.port) as client:
        client.send(REQUEST)
        assert client.answer()[0] == 2
        client.send(STORE)
    go.set()
    server.close()
    wait_until(lambda: threading.active_count() <= before, what="the end of its threads")
