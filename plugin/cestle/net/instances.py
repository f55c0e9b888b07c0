"""Instances as they cross the network: bytes, and the few identifiers that travel with them."""

import hashlib
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pynetdicom.dimse_primitives import C_STORE

from cestle.config.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cestle.errors import HeaderError, InputError
from cestle.net.contexts import IMPLICIT_LITTLE
from cestle.net.identifiers import read_identifiers

_IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
_UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    OSError,
    struct.error,
)


@dataclass(frozen=True, kw_only=True)
class ReceivedInstance:
    """One instance as it was sent.

    Parameters
    ----------
    content
        The file to keep: preamble, file meta information, and the data set as it came.
    sha256
        Of the data set alone, in hexadecimal, so that equal content is known again whoever
        sends it.
    sop_class_uid, sop_instance_uid, study_instance_uid, series_instance_uid
        As the data set states them.
    transfer_syntax_uid
        Of the data set.
    calling_ae_title, called_ae_title
        Of the association that brought it.
    """

    content: bytes
    sha256: str
    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    calling_ae_title: str
    called_ae_title: str


@dataclass(frozen=True, kw_only=True)
class OutgoingInstance:
    """One file to send.

    Parameters
    ----------
    path
        DICOM file.
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        From its file meta information.
    needs
        SOP classes that the destination must take for this one to make sense, because it points
        to an instance of them.
    fallbacks
        What is sent in its place, the first that the destination takes, where it does not take
        this one.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    needs: tuple[str, ...] = ()
    fallbacks: tuple["OutgoingInstance", ...] = ()


def file_head(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1) for a data set as it came."""
    uids = (
        (0x0002, sop_class_uid),
        (0x0003, sop_instance_uid),
        (0x0010, transfer_syntax_uid),
        (0x0012, IMPLEMENTATION_CLASS_UID),
    )
    group = struct.pack("<HH2s2xI2s", 2, 1, b"OB", 2, b"\0\1")
    group += b"".join(_short_element(number, b"UI", uid, b"\0") for number, uid in uids)
    group += _short_element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" ")
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def _short_element(number: int, representation: bytes, text: str, padding: bytes) -> bytes:
    # A UID of a command can be any text; one that is malformed is refused after this.
    value = text.encode("ascii", "replace")[:64]
    value += padding * (len(value) % 2)
    return struct.pack("<HH2sH", 2, number, representation, len(value)) + value


def read_received(
    content: bytes,
    data_set: bytes,
    *,
    transfer_syntax_uid: str,
    calling_ae_title: str,
    called_ae_title: str,
) -> ReceivedInstance:
    """Read the identifiers of a received file; nothing behind the header is decoded.

    Parameters
    ----------
    content
        The file: preamble, file meta information and data set.
    data_set
        The data set alone.
    transfer_syntax_uid, calling_ae_title, called_ae_title
        Of the association.

    Raises
    ------
    InputError
        When it cannot be parsed or an identifier is missing.
    """
    found = read_identifiers(data_set, implicit=transfer_syntax_uid == IMPLICIT_LITTLE)
    try:
        if found is None:
            header = dcmread(BytesIO(content), specific_tags=_IDENTIFIERS, stop_before_pixels=True)
            found = {name: str(header.get(name) or "") for name in _IDENTIFIERS}
    except _UNREADABLE as fault:
        # The library's own text is left out: it may quote values of the data set.
        raise InputError(
            f"the data set cannot be read ({type(fault).__name__}), expected a DICOM data set in "
            f"transfer syntax {transfer_syntax_uid}"
        ) from fault
    missing = [name for name, value in found.items() if not value]
    if missing:
        raise InputError(
            f"the data set lacks {', '.join(missing)}, expected all of {', '.join(_IDENTIFIERS)}"
        )
    return ReceivedInstance(
        content=content,
        sha256=hashlib.sha256(data_set).hexdigest(),
        sop_class_uid=found["SOPClassUID"],
        sop_instance_uid=found["SOPInstanceUID"],
        study_instance_uid=found["StudyInstanceUID"],
        series_instance_uid=found["SeriesInstanceUID"],
        transfer_syntax_uid=transfer_syntax_uid,
        calling_ae_title=calling_ae_title,
        called_ae_title=called_ae_title,
    )


def require_announced(
    received: ReceivedInstance, *, sop_class_uid: str, sop_instance_uid: str
) -> None:
    """Check that the data set is the one that the C-STORE command announced.

    Raises
    ------
    HeaderError
        When they differ (status 0xA900, PS3.4 table B.2-1).
    """
    found = (received.sop_class_uid, received.sop_instance_uid)
    if found != (sop_class_uid, sop_instance_uid):
        raise HeaderError(
            f"the data set is SOP class {found[0]} instance {found[1]}, the command announced "
            f"{sop_class_uid} and {sop_instance_uid}"
        )


@dataclass(frozen=True, kw_only=True)
class SentInstance:
    """One instance as a C-STORE brought it, before anything of it is believed.

    Parameters
    ----------
    content
        The file to keep.
    data_set
        The data set alone.
    sop_class_uid, sop_instance_uid
        As the command announced them.
    transfer_syntax_uid
        Of the presentation context.
    """

    content: bytes
    data_set: bytes
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    @classmethod
    def of(cls, command: C_STORE, transfer_syntax_uid: str) -> "SentInstance":
        """What a command brought."""
        data_set = b"" if command.DataSet is None else command.DataSet.getvalue()
        sop_class_uid = str(command.AffectedSOPClassUID)
        sop_instance_uid = str(command.AffectedSOPInstanceUID)
        head = file_head(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )
        return cls(
            content=head + data_set,
            data_set=data_set,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )

    def read(self, *, calling: str, called: str) -> ReceivedInstance:
        """The instance with its identifiers, sent from one AE title to another.

        Raises
        ------
        InputError
            When it cannot be parsed or an identifier is missing.
        HeaderError
            When it is not what the command announced.
        """
        received = read_received(
            self.content,
            self.data_set,
            transfer_syntax_uid=self.transfer_syntax_uid,
            calling_ae_title=calling,
            called_ae_title=called,
        )
        require_announced(
            received, sop_class_uid=self.sop_class_uid, sop_instance_uid=self.sop_instance_uid
        )
        return received


def describe_file(path: Path) -> OutgoingInstance:
    """What the file meta information of `path` says.

    Raises
    ------
    InputError
        When `path` is not a DICOM file with file meta information.
    """
    try:
        meta = dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
        return OutgoingInstance(
            path=path,
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
        )
    except _UNREADABLE as fault:
        raise InputError(
            f"{path.name} cannot be sent ({type(fault).__name__}), expected a DICOM file with "
            "file meta information"
        ) from fault
