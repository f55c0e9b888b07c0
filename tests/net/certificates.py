"""Certificates of the tests, made with openssl."""

import subprocess

from node.rig import need_program


def tls_section(folder, *, authority=None):
    """The [tls] section of a certificate; without an authority it is its own."""
    return (
        f'[tls]\nenabled = true\ncertificate_file = "{folder}/cert.pem"\n'
        f'key_file = "{folder}/key.pem"\nca_file = "{authority or folder}/cert.pem"\n'
    )


def openssl(*arguments):
    """Run openssl."""
    subprocess.run([need_program("openssl"), *arguments], check=True, capture_output=True)


def issue(folder, name, *, days="2", subject=None, authority=None, address="127.0.0.1"):
    """A key and a certificate for an address; without an authority it is its own."""
    arguments = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    arguments += ["-nodes", "-days", days, "-subj", subject or f"/CN={name}"]
    arguments += ["-addext", f"subjectAltName=IP:{address}"]
    if authority:
        arguments += ["-CA", authority / "cert.pem", "-CAkey", authority / "key.pem"]
        arguments += ["-addext", "basicConstraints=critical,CA:FALSE"]
    place = folder / name
    place.mkdir()
    openssl(*arguments, "-keyout", place / "key.pem", "-out", place / "cert.pem")
    return place
