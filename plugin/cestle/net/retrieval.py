"""The query and retrieve SCU: find a study in an archive, and have it sent (PS3.4 annex C).

With C-MOVE the archive sends to the node's own listener; with C-GET the instances come back on
the same association. Either way they are kept like those of any sender. What is asked for is
never logged: an accession number leads to a person.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context, build_role

from cestle.config.node import Archive, NodeConfig
from cestle.errors import CestleError, DeliveryError
from cestle.net.contexts import ACCEPTED_STORAGE, UNCOMPRESSED
from cestle.net.entity import close, refused_certificate, request_association
from cestle.net.instances import ReceivedInstance, SentInstance

FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
"""Study Root Query/Retrieve SOP classes."""
MODALITIES: Final = ("MR", "SEG", "RTSTRUCT")
"""Series that a study is processed from: images, maps and spectra are MR."""

_SUCCESS: Final = 0x0000
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_UNKNOWN_DESTINATION: Final = 0xA801
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """A study in an archive: its UID, its date as DA, and its instances where that is known."""

    study_instance_uid: str
    date: str
    instances: int | None


@dataclass(frozen=True, kw_only=True)
class FoundSeries:
    """A series in an archive: its UID, its modality, and its instances where that is known."""

    series_instance_uid: str
    modality: str
    instances: int | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the retrieval of one series is: sub-operations done, failed and remaining."""

    done: int
    failed: int
    remaining: int


def find_studies(
    archive: Archive, config: NodeConfig, *, accession: str = "", study_instance_uid: str = ""
) -> tuple[FoundStudy, ...]:
    """Studies of an accession number or of a UID, each once.

    What an archive answers beside the question is left aside: some match loosely.

    Raises
    ------
    DeliveryError
        When the archive does not answer.
    """
    query = _query("STUDY", StudyInstanceUID=study_instance_uid, AccessionNumber=accession)
    query.StudyDate = query.NumberOfStudyRelatedInstances = ""
    found = {}
    for one in _find(archive, config, query):
        uid = str(one.get("StudyInstanceUID") or "")
        fits = uid == study_instance_uid if study_instance_uid else _same(one, accession)
        if uid and fits:
            found[uid] = FoundStudy(
                study_instance_uid=uid,
                date=str(one.get("StudyDate") or ""),
                instances=_count(one, "NumberOfStudyRelatedInstances"),
            )
    return tuple(found.values())


def find_series(
    archive: Archive, config: NodeConfig, study_instance_uid: str
) -> tuple[FoundSeries, ...]:
    """All series of a study.

    Raises
    ------
    DeliveryError
        When the archive does not answer.
    """
    query = _query("SERIES", StudyInstanceUID=study_instance_uid, SeriesInstanceUID="")
    query.Modality = query.NumberOfSeriesRelatedInstances = ""
    return tuple(
        FoundSeries(
            series_instance_uid=str(one.SeriesInstanceUID),
            modality=str(one.get("Modality") or ""),
            instances=_count(one, "NumberOfSeriesRelatedInstances"),
        )
        for one in _find(archive, config, query)
        if one.get("SeriesInstanceUID")
    )


def move_series(
    archive: Archive,
    config: NodeConfig,
    study_instance_uid: str,
    series: Sequence[FoundSeries],
    told: Callable[[FoundSeries, Progress], None],
) -> int:
    """Have an archive send series to the node's listener; how many instances failed.

    Parameters
    ----------
    archive
        Which one; it must know the node's AE title with its address.
    config
        Titles and TLS.
    study_instance_uid
        The study.
    series
        Its series to send.
    told
        Called with each report of the archive.

    Raises
    ------
    DeliveryError
        When the archive does not answer or refuses.
    """
    contexts = [build_context(MOVE, list(UNCOMPRESSED))]
    with _associated(archive, config, contexts) as association:
        return sum(
            _retrieved(
                archive,
                association.send_c_move(_of(study_instance_uid, one), config.node.ae_title, MOVE),
                lambda progress, one=one: told(one, progress),  # type: ignore[misc]
            )
            for one in series
        )


def get_series(
    archive: Archive,
    config: NodeConfig,
    study_instance_uid: str,
    series: Sequence[FoundSeries],
    told: Callable[[FoundSeries, Progress], None],
    store: Callable[[ReceivedInstance], None],
) -> int:
    """Fetch series on our own association; how many instances failed.

    Parameters
    ----------
    archive, config, study_instance_uid, series, told
        As in `move_series`.
    store
        Keeps an instance; returns when it is safe.

    Raises
    ------
    DeliveryError
        When the archive does not answer or refuses.
    """
    contexts = [build_context(GET, list(UNCOMPRESSED))]
    contexts += [build_context(one.uid, list(one.syntaxes)) for one in ACCEPTED_STORAGE]
    roles = [build_role(one.uid, scp_role=True) for one in ACCEPTED_STORAGE]

    def on_store(event: evt.Event) -> int:
        return _kept(event, archive, config, study_instance_uid, store)

    handlers = [(evt.EVT_C_STORE, on_store)]
    with _associated(archive, config, contexts, roles=roles, handlers=handlers) as association:
        return sum(
            _retrieved(
                archive,
                association.send_c_get(_of(study_instance_uid, one), GET),
                lambda progress, one=one: told(one, progress),  # type: ignore[misc]
            )
            for one in series
        )


def _kept(
    event: evt.Event,
    archive: Archive,
    config: NodeConfig,
    study_instance_uid: str,
    store: Callable[[ReceivedInstance], None],
) -> int:
    """Status of one C-STORE sub-operation; nothing of another study is kept."""
    command = event.request
    if not isinstance(command, C_STORE):
        return CestleError.dimse_status
    sent = SentInstance.of(command, str(event.context.transfer_syntax))
    try:
        received = sent.read(calling=archive.ae_title, called=config.node.ae_title)
        if received.study_instance_uid != study_instance_uid:
            _log.error("an archive sent an instance of another study", archive=archive.name)
            return CestleError.dimse_status
        store(received)
    except CestleError as fault:
        _log.error("instance refused", status=f"0x{fault.dimse_status:04X}", reason=str(fault))
        return fault.dimse_status
    return _SUCCESS


def _retrieved(
    archive: Archive,
    answers: Iterator[tuple[Dataset, Dataset | None]],
    told: Callable[[Progress], None],
) -> int:
    """Follow a retrieval to its end; how many instances failed."""
    failed = 0
    for status, _ in _answers(archive, answers):
        failed = int(status.get("NumberOfFailedSuboperations") or 0)
        warned = int(status.get("NumberOfWarningSuboperations") or 0)
        told(
            Progress(
                done=int(status.get("NumberOfCompletedSuboperations") or 0) + warned,
                failed=failed,
                remaining=int(status.get("NumberOfRemainingSuboperations") or 0),
            )
        )
        code = int(status.Status)
        if code in _PENDING or code >> 12 == 0xB or code == _SUCCESS:
            continue  # a warning at the end counts what failed
        if code == _UNKNOWN_DESTINATION:
            raise DeliveryError(
                f"archive '{archive.name}' does not know the node as a destination (0xA801); "
                'enter its AE title, address and port there, or set retrieve = "get"',
                permanent=True,
            )
        raise _refused(archive, code)
    return failed


def _find(archive: Archive, config: NodeConfig, query: Dataset) -> list[Dataset]:
    found = []
    with _associated(archive, config, [build_context(FIND, list(UNCOMPRESSED))]) as association:
        for status, answer in _answers(archive, association.send_c_find(query, FIND)):
            code = int(status.Status)
            if code in _PENDING and answer is not None:
                found.append(answer)
            elif code != _SUCCESS:
                raise _refused(archive, code)
    return found


def _answers(
    archive: Archive, answers: Iterator[tuple[Dataset, Dataset | None]]
) -> Iterator[tuple[Dataset, Dataset | None]]:
    """The answers of the library, with a lost association as an error of ours."""
    try:
        for status, answer in answers:
            if "Status" not in status:
                break
            yield status, answer
        else:
            return
    except (RuntimeError, ValueError) as fault:
        raise _lost(archive) from fault
    raise _lost(archive)


@contextmanager
def _associated(
    archive: Archive,
    config: NodeConfig,
    contexts: list[PresentationContext],
    *,
    roles: Sequence[Any] = (),
    handlers: Sequence[Any] = (),
) -> Iterator[Association]:
    try:
        association = request_association(
            archive,
            config,
            contexts,
            seconds=archive.timeout_seconds,
            roles=roles,
            handlers=handlers,
        )
    except OSError as fault:
        refused = refused_certificate(fault, archive)
        if refused:
            raise DeliveryError(refused, permanent=True) from fault
        raise _lost(archive) from fault
    if not association.is_established:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            raise DeliveryError(
                f"archive '{archive.name}' rejected the association ({answer.reason_str}); check "
                "the AE titles on both sides",
                permanent=True,
            )
        raise _lost(archive)
    try:
        if not any(one.abstract_syntax in (FIND, MOVE, GET) for one in _accepted(association)):
            raise DeliveryError(
                f"archive '{archive.name}' does not offer this service; see its conformance "
                "statement, and retrieve in the configuration",
                permanent=True,
            )
        yield association
    finally:
        close(association)


def _accepted(association: Association) -> list[PresentationContext]:
    return list(association.accepted_contexts)


def _of(study_instance_uid: str, series: FoundSeries) -> Dataset:
    return _query(
        "SERIES",
        StudyInstanceUID=study_instance_uid,
        SeriesInstanceUID=series.series_instance_uid,
    )


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    if not all(value.isascii() for value in keys.values()):
        query.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _same(answer: Dataset, accession: str) -> bool:
    return str(answer.get("AccessionNumber") or "").strip() == accession


def _count(answer: Dataset, keyword: str) -> int | None:
    text = str(answer.get(keyword) or "")
    return int(text) if text.isdigit() else None


def _refused(archive: Archive, code: int) -> DeliveryError:
    return DeliveryError(
        f"archive '{archive.name}' answered status 0x{code:04X}, expected 0x0000; see its log",
        permanent=True,
    )


def _lost(archive: Archive) -> DeliveryError:
    return DeliveryError(
        f"archive '{archive.name}' does not answer at {archive.host}:{archive.port}, or ended the "
        "association; try again",
        permanent=False,
    )
