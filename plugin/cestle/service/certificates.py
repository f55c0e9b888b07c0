"""When a certificate expires, read from its PEM file.

Only the validity is read, by walking the outermost structure of the certificate (RFC 5280 4.1);
whether a certificate is to be trusted is decided by the TLS library alone.
"""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cestle.errors import ConfigError

_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17
_END: Final = "-----END CERTIFICATE-----"
_FIELDS_BEFORE_VALIDITY: Final = 3
"""serialNumber, signature and issuer."""


def expiry(file: Path) -> datetime:
    """End of the validity of the first certificate in a PEM file.

    Raises
    ------
    ConfigError
        When there is none that can be read.
    """
    try:
        text = file.read_text(encoding="ascii", errors="replace")
        first = text[text.index(ssl.PEM_HEADER) : text.index(_END) + len(_END)]
        return _not_after(ssl.PEM_cert_to_DER_cert(first))
    except (OSError, ValueError, IndexError) as fault:
        raise ConfigError(
            f"{file} has no certificate that can be read, expected one in PEM form"
        ) from fault


def _not_after(certificate: bytes) -> datetime:
    _, whole, _ = _element(certificate)
    _, rest, _ = _element(whole)
    tag, _, after = _element(rest)
    if tag == _VERSION:
        rest = after
    for _ in range(_FIELDS_BEFORE_VALIDITY):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    tag, content, _ = _element(rest)
    digits = content.decode("ascii")
    if tag == _UTC_TIME:  # years 50 to 99 are of the last century (RFC 5280 4.1.2.5.1)
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first DER element, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + length], data[start + length :]
