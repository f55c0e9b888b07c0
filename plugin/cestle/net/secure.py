"""TLS contexts: both sides show a certificate, TLS 1.2 or newer (PS3.15 B.12, BCP 195)."""

import re
import ssl
from typing import Any, Final

from cestle.config.node import TlsSection
from cestle.errors import ConfigError

_SHORT_NAMES: Final = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
"""Attribute types with a short name in RFC 4514 section 3; others keep the name of OpenSSL."""


def certificate_subjects(connection: object) -> frozenset[str]:
    """What the subject of the peer's verified certificate may be called.

    Parameters
    ----------
    connection
        A socket.

    Returns
    -------
        The common name where there is exactly one, and the whole subject in the form of RFC 4514
        (``CN=mr1,OU=Imaging,O=Hospital,C=DE``, as `openssl x509 -subject -nameopt RFC2253`
        prints it); nothing without TLS.
    """
    if not isinstance(connection, ssl.SSLSocket):
        return frozenset()
    names: Any = (connection.getpeercert() or {}).get("subject", ())
    relative = [[(str(key), str(value)) for key, value in part] for part in names]
    common = [value for part in relative for key, value in part if key == "commonName"]
    whole = ",".join(
        "+".join(f"{_SHORT_NAMES.get(key, key)}={_escaped(value)}" for key, value in part)
        for part in reversed(relative)
    )
    # A common name with "=" could pass for the whole subject of another.
    alone = [value for value in common if len(common) == 1 and "=" not in value]
    return frozenset(alone + ([whole] if whole else []))


def _escaped(value: str) -> str:
    # RFC 4514 section 2.4
    escaped = re.sub(r'([,+"\\<>;])', r"\\\1", value)
    if escaped[:1] in ("#", " "):
        escaped = "\\" + escaped
    return escaped[:-1] + "\\ " if escaped.endswith(" ") and len(value) > 1 else escaped


def server_context(settings: TlsSection) -> ssl.SSLContext:
    """Context of the listener: a client without an accepted certificate is refused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, settings)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: TlsSection) -> ssl.SSLContext:
    """Context of the sender: the destination's certificate and host name are verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, settings)
    return context


def web_context(settings: TlsSection, *, mutual: bool) -> ssl.SSLContext:
    """Context of a web request: the server is verified, and shown our certificate if `mutual`.

    Accepted are the authorities of ``ca_file``, or those of the system where it names none.
    """
    if mutual:
        return client_context(settings)
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as fault:
        raise ConfigError(
            f"tls: {settings.ca_file} cannot be loaded ({' '.join(str(fault).split())}); expected "
            "a PEM file of authorities"
        ) from fault
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _load(context: ssl.SSLContext, settings: TlsSection) -> None:
    if settings.certificate_file is None or settings.key_file is None or settings.ca_file is None:
        raise ConfigError("tls: certificate_file, key_file and ca_file are needed")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
        context.load_verify_locations(settings.ca_file)
    except (OSError, ssl.SSLError) as fault:
        text = " ".join(str(fault).split())
        raise ConfigError(
            f"tls: {settings.certificate_file}, {settings.key_file} and {settings.ca_file} cannot "
            f"be loaded ({text}); expected PEM files that belong together"
        ) from fault
