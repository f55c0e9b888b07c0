"""STOW-RS against a small hostile HTTP server, over TLS, and with Orthanc's DICOMweb."""

import base64
import json
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydicom import dcmread

from cestle.config.node import Destination
from cestle.errors import DeliveryError
from cestle.net.instances import describe_file
from cestle.net.stow import look_by_web, store_by_web
from node import orthanc
from node.rig import free_port, mr_instance, need_program, node_config, write_instance

ENHANCED = "1.2.840.10008.5.1.4.1.1.88.22"


def listing(*, stored=(), failed=(), warned=()):
    """A Store Instances Response as DICOM JSON."""

    def item(uid, tag=None, reason=None):
        found = {"00081155": {"vr": "UI", "Value": [uid]}}
        return found | ({tag: {"vr": "US", "Value": [reason]}} if tag else {})

    tree = {}
    if stored or warned:
        items = [item(uid) for uid in stored] + [item(u, "00081196", r) for u, r in warned]
        tree["00081199"] = {"vr": "SQ", "Value": items}
    if failed:
        items = [item(uid, "00081197", reason) for uid, reason in failed]
        tree["00081198"] = {"vr": "SQ", "Value": items}
    return json.dumps(tree).encode()


class Service:
    """An HTTP server whose answers are said by a function of the UID: status and body."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.parts = []
        self.port = 0


def uid_of(path_or_bytes):
    from io import BytesIO

    return str(dcmread(BytesIO(path_or_bytes)).SOPInstanceUID)


@contextmanager
def serving(answer=None, *, context=None):
    """Serve on loopback; `answer(uid, handler)` gives status and body, or breaks off."""
    service = Service(answer or (lambda uid, _: (200, listing(stored=[uid]))))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.requests.append((self.path, dict(self.headers)))
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            message = BytesParser(policy=HTTP).parsebytes(head + body)
            boundary = message.get_boundary().encode()
            content = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--" + boundary, 1)[0]
            assert [one.get_content_type() for one in message.iter_parts()] == ["application/dicom"]
            uid = uid_of(content)
            service.parts.append((uid, content))
            found = service.answer(uid, self)
            if found is None:
                self.close_connection = True
                return
            status, answer = found
            self.send_response(status)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def do_OPTIONS(self):
            service.requests.append((self.path, dict(self.headers)))
            self.send_response(service.answer("", self)[0])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    service.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def config(tmp_path):
    return node_config(tmp_path)


@pytest.fixture
def outgoing(tmp_path):
    return [describe_file(write_instance(tmp_path / "out", number)) for number in (1, 2, 3)]


def destination(port, *, scheme="http", seconds=3.0, **more):
    return Destination(
        name="web",
        stow_url=f"{scheme}://127.0.0.1:{port}/dicom-web/",
        timeout_seconds=seconds,
        **more,
    )


def send(outgoing, port, config, **keywords):
    taken = []
    store_by_web(outgoing, destination(port, **keywords), config, acknowledged=taken.append)
    return taken


def test_the_very_bytes_arrive_in_order(outgoing, config):
    """Each instance is one request with the bytes of its file, in the given order."""
    with serving() as service:
        assert send(outgoing, service.port, config) == outgoing
    assert service.parts == [(one.sop_instance_uid, one.path.read_bytes()) for one in outgoing]
    assert {path for path, _ in service.requests} == {"/dicom-web/studies"}
    assert all(headers["Accept"] == "application/dicom+json" for _, headers in service.requests)


@pytest.mark.parametrize("status", [200, 202, 409])
def test_one_refused_stops_no_other(outgoing, config, status):
    """A failed instance is a permanent fault that names its reason, after all others were sent."""
    bad = outgoing[1].sop_instance_uid
    taken = []

    def answer(uid, _):
        return (
            (status, listing(failed=[(uid, 0xA900)]))
            if uid == bad
            else (
                200,
                listing(stored=[uid]),
            )
        )

    with (
        serving(answer) as service,
        pytest.raises(DeliveryError, match=r"1 of 3.*0xA900") as caught,
    ):
        store_by_web(outgoing, destination(service.port), config, acknowledged=taken.append)
    assert caught.value.permanent
    assert taken == [outgoing[0], outgoing[2]]


@pytest.mark.parametrize("warning", [0xB000, 0xB006, 0xB007])
def test_a_warning_counts_as_taken(outgoing, config, warning):
    """An instance that was stored with a warning is acknowledged."""
    with serving(lambda uid, _: (202, listing(warned=[(uid, warning)]))) as service:
        assert send(outgoing, service.port, config) == outgoing


@pytest.mark.parametrize(
    ("status", "body", "permanent", "limited"),
    [
        (500, b"", False, False),
        (503, b"", False, False),
        (429, b"", False, False),
        (408, b"", False, False),
        (401, b"", True, False),
        (404, b"", True, False),
        (302, b"", True, False),
        (413, b"", True, False),
        (409, b"not json", True, False),
        (200, b"<html>please log in</html>", False, True),
        (200, b"", False, True),
        (200, b"[" * 100_000, False, True),
        (200, listing(stored=["1.2.3"]), False, True),
        (200, listing(failed=[("1.2.3", 1)]), False, True),
    ],
)
def test_classes_of_answers(outgoing, config, status, body, permanent, limited):
    """What a repeat may change is repeated; Success without the instance in it is no success."""
    taken = []
    with serving(lambda *_: (status, body)) as service, pytest.raises(DeliveryError) as caught:
        store_by_web(outgoing, destination(service.port), config, acknowledged=taken.append)
    assert (caught.value.permanent, caught.value.limited) == (permanent, limited)
    assert taken == []
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("reason", "limited"), [(0xA700, False), (0x0110, True)])
def test_a_service_without_room_is_asked_again(outgoing, config, reason, limited):
    """Out of resources ends the delivery for now; a processing failure is repeated a few times."""
    with (
        serving(lambda uid, _: (409, listing(failed=[(uid, reason)]))) as service,
        pytest.raises(DeliveryError) as caught,
    ):
        send(outgoing, service.port, config)
    assert not caught.value.permanent
    assert caught.value.limited == limited
    assert len(service.parts) == (3 if limited else 1)


def test_a_service_that_hangs_or_breaks_off_is_transient(outgoing, config):
    """Silence, a closed connection and an endless answer are transient, and end in time."""
    release = threading.Event()

    def endless(uid, handler):
        del uid
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b" " * 65_536)

    def silent(uid, handler):
        del uid, handler
        release.wait(20)

    for answer in (silent, endless, lambda *_: None):
        with serving(answer) as service:
            begin = time.monotonic()
            with pytest.raises(DeliveryError, match="does not answer") as caught:
                send(outgoing, service.port, config, seconds=0.5)
            assert not caught.value.permanent
            assert time.monotonic() - begin < 10, "far above the limit of half a second"
            release.set()
    with pytest.raises(DeliveryError, match="does not answer"):
        send(outgoing, free_port(), config)


def test_what_was_taken_before_a_break_is_acknowledged(outgoing, config):
    """When the service dies at the second instance the first one is acknowledged."""
    taken = []

    def answer(uid, _):
        return (200, listing(stored=[uid])) if uid == outgoing[0].sop_instance_uid else None

    with serving(answer) as service, pytest.raises(DeliveryError):
        store_by_web(outgoing, destination(service.port), config, acknowledged=taken.append)
    assert taken == outgoing[:1]


@pytest.mark.parametrize("refusal", ["status", "media_type"])
def test_the_next_form_is_sent_where_a_class_is_not_taken(tmp_path, config, refusal):
    """A report whose class is refused goes in its next class, and what points to it likewise."""
    best = describe_file(write_instance(tmp_path, 1))
    other = replace(describe_file(write_instance(tmp_path, 2)), sop_class_uid=ENHANCED)
    report = replace(best, fallbacks=(other,), needs=(best.sop_class_uid,))
    pointer_best = replace(describe_file(write_instance(tmp_path, 3)), needs=(best.sop_class_uid,))
    pointer = replace(
        replace(pointer_best, sop_class_uid="1.2.3"),
        fallbacks=(
            replace(
                describe_file(write_instance(tmp_path, 4)), sop_class_uid="1.2.3", needs=(ENHANCED,)
            ),
        ),
    )
    forms = {}

    def answer(uid, _):
        if uid != best.sop_instance_uid:
            return 200, listing(stored=[uid])
        return (415, b"") if refusal == "media_type" else (409, listing(failed=[(uid, 0x0122)]))

    with serving(answer) as service:
        store_by_web(
            [report, pointer],
            destination(service.port),
            config,
            acknowledged=lambda _: None,
            sent_as=lambda instance, form: forms.update(
                {instance.sop_instance_uid: form.sop_instance_uid}
            ),
        )
    assert forms == {
        report.sop_instance_uid: other.sop_instance_uid,
        pointer.sop_instance_uid: pointer.fallbacks[0].sop_instance_uid,
    }


def test_a_look_tells_who_is_there(config, tmp_path):
    """Any answer but a fault of the server means that it is there; refused credentials are said."""
    statuses = iter([200, 404, 405, 500, 401])
    with serving(lambda *_: (next(statuses), b"")) as service:
        for _ in range(3):
            assert look_by_web(destination(service.port), config) > 0
        with pytest.raises(DeliveryError, match="HTTP 500") as caught:
            look_by_web(destination(service.port), config)
        assert not caught.value.permanent
        with pytest.raises(DeliveryError, match="HTTP 401") as caught:
            look_by_web(destination(service.port), config)
        assert caught.value.permanent
    with pytest.raises(DeliveryError, match="does not answer"):
        look_by_web(destination(free_port()), config)
    assert tmp_path.is_dir()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=cestle", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run(
        [need_program("openssl"), "req", "-x509", *key, *name, *files],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.peer
@pytest.mark.parametrize(
    ("key", "content", "header"),
    [
        ("stow_token_file", "abc.def\n", "Bearer abc.def"),
        (
            "stow_password_file",
            "node:geheim ü\n",
            "Basic " + base64.b64encode("node:geheim ü".encode()).decode(),
        ),
    ],
)
def test_credentials_travel_to_a_verified_server_only(
    tmp_path, outgoing, certificate, key, content, header
):
    """Over TLS the secret of the file is sent; to a server of an unknown authority nothing is."""
    secret = tmp_path / "secret"
    secret.write_text(content, encoding="utf-8")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    trusting = node_config(tmp_path, extra=f'[tls]\nca_file = "{certificate}/cert.pem"\n')
    with serving(context=context) as service:
        keywords = {"scheme": "https", key: secret}
        assert send(outgoing, service.port, trusting, **keywords) == outgoing
        assert {headers["Authorization"] for _, headers in service.requests} == {header}
        service.requests.clear()
        with pytest.raises(DeliveryError, match="SSLError") as caught:
            send(outgoing, service.port, node_config(tmp_path), **keywords)
        assert not caught.value.permanent
        secret.write_text("two\nlines")
        with pytest.raises(DeliveryError, match="one line"):
            send(outgoing, service.port, trusting, **keywords)
        secret.unlink()
        with pytest.raises(DeliveryError, match="cannot be read") as caught:
            send(outgoing, service.port, trusting, **keywords)
        assert "geheim" not in str(caught.value)
    assert service.requests == []


@pytest.mark.peer
def test_orthanc_keeps_the_very_bytes(tmp_path, outgoing, config):
    """Orthanc stores each instance, gives it back as it was, and names one that it cannot read."""
    with orthanc.running(tmp_path) as pacs:
        assert look_by_web(destination(pacs.http_port), config) > 0
        assert send(outgoing, pacs.http_port, config) == outgoing
        held = {}
        for identifier in pacs.json("/instances"):
            content = pacs.get(f"/instances/{identifier}/file")
            held[uid_of(content)] = content
        assert held == {one.sop_instance_uid: one.path.read_bytes() for one in outgoing}
        assert send(outgoing, pacs.http_port, config) == outgoing, "a repeat is harmless"
        broken = tmp_path / "broken.dcm"
        broken.write_bytes(outgoing[0].path.read_bytes()[:140])
        with pytest.raises(DeliveryError, match="refused 1 of 1") as caught:
            send([replace(outgoing[0], path=broken)], pacs.http_port, config)
        assert caught.value.permanent
        assert len(pacs.json("/instances")) == 3
    assert mr_instance().SOPInstanceUID == outgoing[0].sop_instance_uid
