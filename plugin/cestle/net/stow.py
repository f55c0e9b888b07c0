"""The STOW-RS user agent (PS3.18 10.5): one request for each instance, its bytes as stored.

One request each, because the answer to it is then about that instance alone. There is no
negotiation: an instance whose class is refused is sent in the next form that it has.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
import urllib3
from urllib3.exceptions import HTTPError

from cestle.config.node import Destination, NodeConfig
from cestle.errors import DeliveryError
from cestle.net.instances import OutgoingInstance
from cestle.net.secure import web_context
from cestle.net.sender import (
    ACKNOWLEDGED,
    NOT_SUPPORTED,
    Acknowledged,
    Refusal,
    SentAs,
    log_other_class,
    out_of_resources,
    require_none_refused,
)

_JSON: Final = "application/dicom+json"
_LONGEST_ANSWER: Final = 4_194_304
_LISTED: Final = frozenset({200, 202, 400, 409})
"""Answers that say in a data set what became of the instance (PS3.18 table 10.5.3-1)."""
_TAKEN: Final = frozenset({200, 202})
_PASSING: Final = frozenset({408, 425, 429})
_OF_INSTANCE: Final = frozenset({400, 409, 413, 422})
"""Refusals that are about the instance; the others are sent all the same."""
_WRONG_TYPE: Final = 415
_CANNOT_UNDERSTAND: Final = 0xC000
_PROCESSING_FAILURE: Final = 0x0110
_log = structlog.get_logger(__name__)


def store_by_web(
    instances: Sequence[OutgoingInstance],
    destination: Destination,
    config: NodeConfig,
    *,
    acknowledged: Acknowledged,
    sent_as: SentAs = lambda *_: None,
    keep_going: Callable[[], bool] = lambda: True,
) -> None:
    """Send `instances` in order over one connection; parameters and errors as `send_instances`."""
    if not instances:
        return
    refused: list[Refusal] = []
    with _Service(destination, config) as service:
        for instance in instances:
            if not keep_going():
                return
            form, answer = _store_form(service, instance)
            if answer.status not in ACKNOWLEDGED:
                refused.append(Refusal(instance=instance, status=answer.status, said=answer.said))
                continue
            if answer.status:
                _log.warning(
                    "instance taken with a remark",
                    destination=destination.name,
                    sop_instance_uid=form.sop_instance_uid,
                    status=f"0x{answer.status:04X}",
                )
            if form is not instance:
                log_other_class(form, destination)
            sent_as(instance, form)
            acknowledged(instance)
            service.taken(form)
    require_none_refused(refused, len(instances), destination)


def look_by_web(
    destination: Destination, config: NodeConfig, *, seconds: float | None = None
) -> float:
    """See whether a service answers at all; the time that it took [s].

    Raises
    ------
    DeliveryError
        When it does not, or refuses the credentials.
    """
    begin = time.monotonic()
    with _Service(destination, config, seconds=seconds) as service:
        status, _ = service.request("OPTIONS", None, {})
        # Many do not offer OPTIONS; that they say so is an answer.
        if status in (401, 403):
            raise service.refusal(status)
        service.require_up(status)
    return time.monotonic() - begin


class _Answer:
    """What became of an instance: a status as of C-STORE, and what was said where it was HTTP."""

    def __init__(self, status: int, said: str = "") -> None:
        self.status = status
        self.said = said


class _Service:
    """One DICOMweb service, and what it was found not to take.

    Parameters
    ----------
    destination, config
        Its address, and how it is talked to.
    seconds
        Limit of each wait; None for that of the destination.
    """

    def __init__(
        self, destination: Destination, config: NodeConfig, *, seconds: float | None = None
    ) -> None:
        self._destination = destination
        self._seconds = min(destination.timeout_seconds, seconds or destination.timeout_seconds)
        self._headers = {"Accept": _JSON, "User-Agent": "cestle", **_authorization(destination)}
        self._path = f"{urlsplit(destination.stow_url).path}/studies"
        secure = destination.stow_url.startswith("https:")
        context = web_context(config.tls, mutual=destination.tls) if secure else None
        extra: dict[str, Any] = {"ssl_context": context} if secure else {}
        self._pool = urllib3.connection_from_url(
            destination.stow_url, timeout=self._seconds, retries=False, maxsize=1, **extra
        )
        self._known: set[str] = set()
        self._unknown: set[str] = set()

    def __enter__(self) -> "_Service":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def may_take(self, form: OutgoingInstance) -> bool:
        """Whether neither the class of a form nor one that it needs was refused before."""
        return self._unknown.isdisjoint({form.sop_class_uid, *form.needs} - self._known)

    def taken(self, form: OutgoingInstance) -> None:
        """Remember that it takes the class of a form."""
        self._known.add(form.sop_class_uid)

    def refuses(self, form: OutgoingInstance) -> None:
        """Remember that it does not take the class of a form."""
        self._unknown.add(form.sop_class_uid)

    def store(self, form: OutgoingInstance) -> _Answer:
        """Send one instance.

        Raises
        ------
        DeliveryError
            When nothing more should be sent for now.
        """
        boundary = f"cestle-{uuid4().hex}"
        try:
            content = form.path.read_bytes()
        except OSError as fault:
            raise DeliveryError(
                f"{form.path.name} cannot be read ({fault.strerror}); reprocess the study",
                permanent=True,
            ) from fault
        body = (
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
            + content
            + f"\r\n--{boundary}--\r\n".encode()
        )
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        status, answer = self.request("POST", body, {"Content-Type": kind})
        return self._judged(status, answer, form)

    def request(
        self, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request.

        Raises
        ------
        DeliveryError
            When there is none in time.
        """
        try:
            answer = self._pool.request(
                method,
                self._path,
                body=body,
                headers={**self._headers, **headers},
                redirect=False,
                preload_content=False,
            )
            try:
                return answer.status, self._read(answer)
            finally:
                answer.release_conn()
        except (HTTPError, OSError) as fault:
            raise DeliveryError(
                f"destination '{self._destination.name}' does not answer at "
                f"{self._destination.stow_url} ({type(fault).__name__}); the delivery is repeated",
                permanent=False,
            ) from fault

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        deadline = time.monotonic() + self._seconds
        parts = bytearray()
        while part := answer.read1(65_536):
            parts += part
            if len(parts) > _LONGEST_ANSWER or time.monotonic() > deadline:
                answer.close()
                raise OSError("the answer is too long")
        return bytes(parts)

    def require_up(self, status: int) -> None:
        """Raise where an answer says that a repeat may help."""
        if status >= 500 or status in _PASSING:
            raise DeliveryError(
                f"destination '{self._destination.name}' answered HTTP {status}; the delivery is "
                "repeated",
                permanent=False,
            )

    def refusal(self, status: int) -> DeliveryError:
        """The error for an answer that concerns every instance."""
        return DeliveryError(
            f"destination '{self._destination.name}' answered HTTP {status}, expected 200; see "
            "stow_url and credentials, then run cestle retry",
            permanent=True,
        )

    def _judged(self, status: int, body: bytes, form: OutgoingInstance) -> _Answer:
        self.require_up(status)
        said = f"HTTP {status}"
        if status == _WRONG_TYPE:
            return _Answer(NOT_SUPPORTED, said)
        if status not in _LISTED | _OF_INSTANCE:
            raise self.refusal(status)
        found = _listed(body, form.sop_instance_uid) if status in _LISTED else None
        if found is None and status in _TAKEN:
            raise DeliveryError(
                f"destination '{self._destination.name}' answered {said} without saying that it "
                f"stored {form.sop_instance_uid}, expected a Referenced SOP Sequence; it is sent "
                "again",
                permanent=False,
                limited=True,
            )
        if found is None:
            return _Answer(_CANNOT_UNDERSTAND, said)
        if 0xA700 <= found <= 0xA7FF:
            raise out_of_resources(found, self._destination)
        return _Answer(found)


def _store_form(service: _Service, instance: OutgoingInstance) -> tuple[OutgoingInstance, _Answer]:
    """Send the first form of an instance that the service takes."""
    answer = _Answer(NOT_SUPPORTED)
    for form in (instance, *instance.fallbacks):
        if not service.may_take(form):
            continue
        answer = service.store(form)
        if answer.status != NOT_SUPPORTED:
            return form, answer
        service.refuses(form)
    return instance, answer


def _listed(body: bytes, sop_instance_uid: str) -> int | None:
    """Status of an instance in a Store Instances Response (PS3.3 C.37); None when not listed."""
    try:
        tree = json.loads(body)
        tree = tree[0] if isinstance(tree, list) else tree
        for sequence, reason, without in (
            ("00081198", "00081197", _PROCESSING_FAILURE),
            ("00081199", "00081196", 0),
        ):
            for item in tree.get(sequence, {}).get("Value", []):
                if _value(item, "00081155") == sop_instance_uid:
                    return int(_value(item, reason) or without)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    return None


def _value(item: Mapping[str, Any], tag: str) -> Any:
    values = item.get(tag, {}).get("Value", [])
    return values[0] if values else None


def _authorization(destination: Destination) -> dict[str, str]:
    token, password = destination.stow_token_file, destination.stow_password_file
    if token is not None:
        return {"Authorization": f"Bearer {_secret(token, destination)}"}
    if password is not None:
        pair = base64.b64encode(_secret(password, destination).encode()).decode("ascii")
        return {"Authorization": f"Basic {pair}"}
    return {}


def _secret(path: Path, destination: Destination) -> str:
    """The one line of a file; it is read each time, so that it can be exchanged."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise DeliveryError(
            f"{path} for destination '{destination.name}' cannot be read; expected a file of one "
            "line that the node may read",
            permanent=False,
        ) from fault
    if not text or not text.isprintable():
        raise DeliveryError(
            f"{path} for destination '{destination.name}' does not hold one line of text",
            permanent=False,
        )
    return text
