"""Mutual TLS of listener and sender, and a silent client beside it."""

import socket
import subprocess

import pytest

from cestle.config.node import Destination
from cestle.errors import ConfigError, DeliveryError
from cestle.net.instances import describe_file
from cestle.net.listener import Listener
from cestle.net.secure import server_context
from cestle.net.sender import echo, send_instances
from node.rig import need_program, node_config, write_instance


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            need_program("openssl"),
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=cestle",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            folder / "key.pem",
            "-out",
            folder / "cert.pem",
        ],
        check=True,
        capture_output=True,
    )
    return folder


def tls_section(folder):
    return (
        f'[tls]\nenabled = true\ncertificate_file = "{folder}/cert.pem"\n'
        f'key_file = "{folder}/key.pem"\nca_file = "{folder}/cert.pem"\n'
    )


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
