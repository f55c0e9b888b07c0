"""A small PACS for the demonstration and the tests.

It keeps what it gets, answers C-FIND, and commits itself to what it holds in the manner asked for.

It trusts everybody and is meant for loopback only.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import AllStoragePresentationContexts
from pynetdicom.transport import ThreadedAssociationServer

from cestle.net.contexts import (
    ACCEPTED_STORAGE,
    COMMITMENT,
    COMMITMENT_INSTANCE,
    IMAGE_SYNTAXES,
    UNCOMPRESSED,
    VERIFICATION,
)
from cestle.net.library import prepare_library

_STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
_LEVEL_KEYS: Final = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}
_NO_SUCH_INSTANCE: Final = 0x0112
_PENDING: Final = 0xFF00
_BEHIND_THE_ANSWER_SECONDS: Final = 0.1
_REFUSED_IDENTIFIER: Final = 0xA900


class Commits(StrEnum):
    """How it answers a request for storage commitment."""

    NOT_OFFERED = "not_offered"
    SAME_ASSOCIATION = "same_association"
    NEW_ASSOCIATION = "new_association"
    NEVER = "never"


class PacsStandIn:
    """Storage, verification and query SCP on loopback.

    Parameters
    ----------
    folder
        Where instances are kept, as `<SHA-256 of the SOP instance UID>.dcm`.
    ae_title
        Its title; other called titles are rejected.
    port
        Port on 127.0.0.1; 0 takes a free one.
    status
        Status to answer to a C-STORE of a SOP instance UID; an instance is kept only when it is
        0x0000. For tests of a destination that refuses.
    classes
        Storage SOP classes that it takes; None for all.
    commits
        How it answers a request for storage commitment.
    keeps
        Reason not to commit itself to a SOP instance UID, 0 to do so; None for 0 when it holds the
        instance and 0x0112 when it does not.
    reports_to
        AE title and port on 127.0.0.1 for reports on an association of its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "PACS",
        port: int = 0,
        status: Callable[[str], int] = lambda _: 0x0000,
        classes: Sequence[str] | None = None,
        commits: Commits = Commits.NOT_OFFERED,
        keeps: Callable[[str], int] | None = None,
        reports_to: tuple[str, int] = ("CESTLE", 0),
    ) -> None:
        prepare_library()
        self._folder = folder
        self._status = status
        self._lock = threading.Lock()
        self._arrivals: list[str] = []
        self._ae_title = ae_title
        self.commits = commits
        self._keeps = keeps or self._held
        self.reports_to = reports_to
        self.requests: list[Dataset] = []
        self.answers: list[int | None] = []
        self._wanted_port = port
        self._entity = AE(ae_title=ae_title)
        self._entity.require_called_aet = True
        self._entity.maximum_pdu_size = 131_072
        self._entity.add_supported_context(VERIFICATION, list(UNCOMPRESSED))
        known = [str(cx.abstract_syntax) for cx in AllStoragePresentationContexts]
        known += [one.uid for one in ACCEPTED_STORAGE]
        for uid in dict.fromkeys(known if classes is None else classes):
            self._entity.add_supported_context(uid, list(IMAGE_SYNTAXES))
        for uid in (_STUDY_ROOT_FIND, _PATIENT_ROOT_FIND):
            self._entity.add_supported_context(uid, list(UNCOMPRESSED))
        if commits is not Commits.NOT_OFFERED:
            self._entity.add_supported_context(COMMITMENT, list(UNCOMPRESSED))
        self._server: ThreadedAssociationServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port listened on; the wanted one before `start`."""
        return self._wanted_port if self._server is None else int(self._server.server_address[1])

    @property
    def arrivals(self) -> tuple[str, ...]:
        """SOP instance UIDs in the order of their C-STORE, repeats included."""
        with self._lock:
            return tuple(self._arrivals)

    def files(self) -> tuple[Path, ...]:
        """The instances held, one file each, sorted by name."""
        return tuple(sorted(self._folder.glob("*.dcm")))

    def start(self) -> None:
        """Begin to listen."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = self._entity.start_server(
            ("127.0.0.1", self._wanted_port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_ECHO, lambda _: 0x0000),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_C_FIND, self._on_find),
                (evt.EVT_N_ACTION, self._on_commitment),
            ],
        )

    def stop(self) -> None:
        """Stop listening and end all associations."""
        self._wanted_port = self.port
        if self._server is not None:
            self._entity.shutdown()
            self._server = None

    def _on_store(self, event: evt.Event) -> int:
        command = event.request
        uid = str(command.AffectedSOPInstanceUID) if isinstance(command, C_STORE) else ""
        status = self._status(uid)
        with self._lock:
            self._arrivals.append(uid)
            if status == 0x0000:
                name = hashlib.sha256(uid.encode()).hexdigest()
                part = self._folder / f"{name}.part"
                part.write_bytes(event.encoded_dataset())
                part.replace(self._folder / f"{name}.dcm")
        return status

    def _held(self, uid: str) -> int:
        name = hashlib.sha256(uid.encode()).hexdigest()
        return 0 if (self._folder / f"{name}.dcm").is_file() else _NO_SUCH_INSTANCE

    def _on_commitment(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        self.requests.append(request)
        if self.commits is not Commits.NEVER:
            association = event.assoc if self.commits is Commits.SAME_ASSOCIATION else None
            threading.Thread(target=self.report, args=(request, association), daemon=True).start()
        return 0x0000, None

    def report(self, request: Dataset, association: Association | None = None) -> None:
        """Report on a request for commitment.

        Parameters
        ----------
        request
            What was asked for.
        association
            The one that asked; None to open one.
        """
        report, kind = self._judged(request)
        if association is not None:
            time.sleep(_BEHIND_THE_ANSWER_SECONDS)
            self._send_report(association, report, kind)
            return
        title, port = self.reports_to
        association = AE(ae_title=self._ae_title).associate(
            "127.0.0.1",
            port,
            contexts=[build_context(COMMITMENT, list(UNCOMPRESSED))],
            ae_title=title,
            ext_neg=[build_role(COMMITMENT, scu_role=False, scp_role=True)],
        )
        if not association.is_established:
            self.answers.append(None)
            return
        self._send_report(association, report, kind)
        association.release()

    def _send_report(self, association: Association, report: Dataset, kind: int) -> None:
        answer, _ = association.send_n_event_report(report, kind, COMMITMENT, COMMITMENT_INSTANCE)
        self.answers.append(answer.get("Status"))

    def _judged(self, request: Dataset) -> tuple[Dataset, int]:
        """The report on a request, and its type (PS3.4 J.3.3)."""
        kept: list[Dataset] = []
        failed: list[Dataset] = []
        for item in request.ReferencedSOPSequence:
            reason = self._keeps(str(item.ReferencedSOPInstanceUID))
            answer = Dataset()
            answer.ReferencedSOPClassUID = item.ReferencedSOPClassUID
            answer.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
            if reason:
                answer.FailureReason = reason
            (failed if reason else kept).append(answer)
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        if kept:
            report.ReferencedSOPSequence = kept
        if failed:
            report.FailedSOPSequence = failed
        return report, 2 if failed else 1

    def _on_find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        level = str(query.get("QueryRetrieveLevel", ""))
        if level not in _LEVEL_KEYS:
            yield _REFUSED_IDENTIFIER, None
            return
        seen: set[str] = set()
        for file in self.files():
            held = dcmread(file, stop_before_pixels=True)
            key = str(held.get(_LEVEL_KEYS[level], ""))
            if key not in seen and _matches(query, held):
                seen.add(key)
                yield _PENDING, _answer(query, held)


def _wanted(query: Dataset) -> list[str]:
    """Keywords of the query that are matched; sequences are not supported."""
    skipped = ("QueryRetrieveLevel", "SpecificCharacterSet")
    return [one.keyword for one in query if one.keyword not in skipped and one.VR != "SQ"]


def _matches(query: Dataset, held: Dataset) -> bool:
    """Single value, list of UIDs, and universal matching (PS3.4 C.2.2.2)."""
    for keyword in _wanted(query):
        value = query[keyword].value
        if value in (None, "", "*") or (not isinstance(value, str) and not list(value)):
            continue
        allowed = [value] if isinstance(value, str) else [str(one) for one in value]
        if str(held.get(keyword, "")) not in allowed:
            return False
    return True


def _answer(query: Dataset, held: Dataset) -> Dataset:
    answer = Dataset()
    if "SpecificCharacterSet" in held:
        answer.SpecificCharacterSet = held.SpecificCharacterSet
    answer.QueryRetrieveLevel = query.QueryRetrieveLevel
    for keyword in _wanted(query):
        setattr(answer, keyword, held.get(keyword))
    return answer
