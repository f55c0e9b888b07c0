"""Mutual TLS of listener and sender, and a silent client beside it."""

import socket
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest

from cestle.config.node import Destination, TlsSection
from cestle.errors import ConfigError, DeliveryError
from cestle.net.instances import describe_file
from cestle.net.listener import Listener
from cestle.net.secure import server_context
from cestle.net.sender import echo, send_instances
from net.certificates import issue, openssl, tls_section
from net.raw_client import association_request
from node.rig import need_program, node_config, run_dcmtk, write_instance


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, its own authority."""
    return issue(tmp_path_factory.mktemp("tls"), "cestle")


@pytest.fixture(scope="module")
def clients(certificate):
    """Folders with the certificate and key of callers of several kinds."""
    folder = certificate.parent
    whole = "/C=DE/O=Hospital, Ltd/CN=mr1"
    return {
        "good": issue(folder, "good", subject=whole, authority=certificate),
        "other": issue(folder, "other", subject="/CN=mr2", authority=certificate),
        "stranger": issue(folder, "stranger", subject=whole),
    }


@pytest.fixture
def listening(tmp_path, certificate, request):
    """A TLS listener, where SCANNER must show the subject that a test asks for."""
    config = node_config(tmp_path, extra=tls_section(certificate))
    peer = config.peers[0].model_copy(update={"certificate_subject": getattr(request, "param", "")})
    config = config.model_copy(update={"peers": (peer,)})
    listener = Listener(config, store=lambda _: None, quarantine=lambda _: None)
    listener.start()
    yield listener
    listener.stop(grace_seconds=0.5)


def tls_echo(listener, authority, client):
    """Exit code of dcmtk's echoscu with a client certificate."""
    return run_dcmtk(
        "echoscu",
        *("-aet", "SCANNER", "-aec", "CESTLE", "-ta", "5", "-td", "5"),
        *("+tls", client / "key.pem", client / "cert.pem", "+cf", authority / "cert.pem"),
        *("127.0.0.1", listener.port),
    )


@pytest.mark.peer
def test_row_18_echoscu_with_a_certificate(listening, certificate, clients):
    """A caller with a certificate of the authority is served, one of another is not."""
    assert tls_echo(listening, certificate, clients["good"]).returncode == 0
    assert tls_echo(listening, certificate, clients["stranger"]).returncode != 0


@pytest.mark.peer
def test_row_18_plain_is_refused(listening):
    """A caller that does not speak TLS gets no association."""
    plain = run_dcmtk("echoscu", "-aet", "SCANNER", "-aec", "CESTLE", "127.0.0.1", listening.port)
    assert plain.returncode != 0


@pytest.mark.peer
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
def test_row_18_versions(listening, certificate, clients, version):
    """With a certificate both versions are served, without one neither, beside silent clients."""
    silent = [socket.create_connection(("127.0.0.1", listening.port)) for _ in range(4)]
    for client in silent[:2]:
        client.sendall(b"\x16\x03\x01\x00\x10" + bytes(16))
    try:
        for name in ("good", None):
            assert (tls_association(listening, certificate, clients.get(name), version) == 2) is (
                name is not None
            )
    finally:
        for client in silent:
            client.close()


def tls_association(listener, authority, client, version):
    """Kind of PDU that answers an association request over TLS; None when there is none."""
    context = ssl.create_default_context(cafile=authority / "cert.pem")
    context.minimum_version = context.maximum_version = version
    if client is not None:
        context.load_cert_chain(client / "cert.pem", client / "key.pem")
    raw = socket.create_connection(("127.0.0.1", listener.port), 5)
    try:
        with context.wrap_socket(raw, server_hostname="127.0.0.1") as connection:
            assert connection.version() == version.name.replace("_", ".")
            connection.sendall(association_request())
            return connection.recv(1)[0]
    except (OSError, IndexError):
        return None
    finally:
        raw.close()


@pytest.mark.peer
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_row_18_old_versions_are_refused(listening, certificate, clients, version):
    """Nothing older than TLS 1.2 is spoken."""
    assert tls_association(listening, certificate, clients["good"], version) is None


@pytest.mark.peer
def test_an_expired_certificate_is_refused(certificate):
    """A certificate that is no longer valid opens nothing, though its authority issued it."""
    folder = certificate.parent
    openssl(
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old"),
        *("-keyout", folder / "old.key", "-out", folder / "old.csr"),
    )
    (folder / "db").write_text("")
    (folder / "ca.cnf").write_text(
        f"[ca]\ndefault_ca = c\n[c]\ndatabase = {folder}/db\nnew_certs_dir = {folder}\n"
        "rand_serial = yes\ndefault_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n"
    )
    openssl(
        *("ca", "-batch", "-config", folder / "ca.cnf", "-in", folder / "old.csr"),
        *("-cert", certificate / "cert.pem", "-keyfile", certificate / "key.pem"),
        *("-startdate", "20200101000000Z", "-enddate", "20210101000000Z"),
        *("-out", folder / "old.pem"),
    )
    section = tls_files(certificate)
    client = ssl.create_default_context(cafile=certificate / "cert.pem")
    client.load_cert_chain(folder / "old.pem", folder / "old.key")
    ours, theirs = socket.socketpair()
    server = server_context(section).wrap_socket(
        ours, server_side=True, do_handshake_on_connect=False
    )
    caller = threading.Thread(target=_shake, args=(client, theirs))
    caller.start()
    with pytest.raises(ssl.SSLError, match="expired"):
        server.do_handshake()
    server.close()
    caller.join()


def tls_files(folder):
    """The [tls] section of a certificate that is its own authority."""
    return TlsSection(
        enabled=True,
        certificate_file=folder / "cert.pem",
        key_file=folder / "key.pem",
        ca_file=folder / "cert.pem",
    )


def _shake(context, connection):
    with suppress(OSError), context.wrap_socket(connection, server_hostname="127.0.0.1") as tls:
        tls.recv(1)
    connection.close()


SUBJECTS = ["mr1", "CN=mr1,O=Hospital\\, Ltd,C=DE"]


@pytest.mark.peer
@pytest.mark.parametrize("listening", SUBJECTS, indirect=True)
def test_a_peer_is_known_by_the_subject_of_its_certificate(listening, certificate, clients):
    """The title opens only for its certificate, though one authority issued both."""
    assert tls_echo(listening, certificate, clients["good"]).returncode == 0
    refused = tls_echo(listening, certificate, clients["other"])
    assert refused.returncode != 0
    assert "Rejected" in refused.stderr


@pytest.mark.peer
def test_openssl_prints_a_subject_as_it_is_compared(clients):
    """The form in node.toml is the one that `openssl x509 -nameopt RFC2253` prints."""
    printed = subprocess.run(
        [
            *(need_program("openssl"), "x509", "-noout", "-subject", "-nameopt", "RFC2253"),
            *("-in", clients["good"] / "cert.pem"),
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed.strip().removeprefix("subject=").strip() == SUBJECTS[1]


def test_a_subject_without_tls_is_no_configuration(tmp_path):
    """It would protect nothing, so it is an error."""
    extra = '[[peers]]\nae_title = "X"\nhosts = ["10.0.0.1"]\ncertificate_subject = "x"\n'
    with pytest.raises(ConfigError, match="certificate_subject of X without TLS"):
        node_config(tmp_path, extra=extra)


@pytest.mark.peer
def test_only_a_caller_with_a_certificate_is_served(tmp_path, certificate):
    """With silent clients attached a TLS sender is served; a plain one is not."""
    config = node_config(tmp_path, ae_title="SCANNER", extra=tls_section(certificate))
    kept = []
    listener = Listener(config, store=kept.append, quarantine=kept.append)
    listener.start()
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(3)]
    target = Destination(
        name="node",
        ae_title="SCANNER",
        host="127.0.0.1",
        port=listener.port,
        tls=True,
        timeout_seconds=5.0,
    )
    try:
        assert echo(target, config) < 5
        outgoing = [describe_file(write_instance(tmp_path / "in"))]
        send_instances(outgoing, target, config, acknowledged=lambda _: None)
        with pytest.raises(DeliveryError):
            echo(target.model_copy(update={"tls": False}), config)
    finally:
        for client in silent:
            client.close()
        listener.stop(grace_seconds=0.5)
    assert len(kept) == 1


def test_files_that_are_no_certificates_are_named(tmp_path):
    """TLS files that cannot be loaded give one line that names them."""
    (tmp_path / "cert.pem").write_text("no certificate")
    config = node_config(tmp_path, extra=tls_section(tmp_path))
    with pytest.raises(ConfigError, match=r"cert\.pem"):
        server_context(config.tls)
