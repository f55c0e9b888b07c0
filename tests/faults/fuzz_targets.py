"""What foreign bytes may do to the receive and parse path: nothing but a stated refusal.

Each target takes bytes and raises only where a property is broken. They are called by the
property tests and, for longer, by `make fuzz`.
"""

import re
import struct
import tempfile
import warnings
from io import BytesIO
from pathlib import Path

from pydicom import dcmread

from cestle.dicom.facts import facts_from_dataset
from cestle.dicom.files import read_header
from cestle.errors import CestleError, HeaderError, InputError
from cestle.net.contexts import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from cestle.net.identifiers import read_identifiers
from cestle.net.instances import file_head, read_received
from cestle.spool.files import SpoolFiles
from cestle.study.roles import classify
from faults.strangers import element, plain_data_set
from node.rig import PLANTED, ROOT
from reading import shipped_rules

IDENTIFIERS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
FOLDER = Path(tempfile.gettempdir())
RULES = shipped_rules()
LONGEST_MESSAGE = 500


def received(content):
    """Bytes as a data set: identifiers as pydicom reads them, or an InputError without values."""
    for syntax in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        head = file_head(sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=syntax)
        quick = read_identifiers(content, implicit=syntax == IMPLICIT_LITTLE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if quick is not None:
                check_as_pydicom(head + content, quick)
            try:
                read_received(
                    head + content,
                    content,
                    transfer_syntax_uid=syntax,
                    calling_ae_title="A",
                    called_ae_title="B",
                )
            except InputError as fault:
                check_text(fault)


def check_as_pydicom(content, quick):
    """The quick reader never tells anything else than pydicom; where that gives up, nothing."""
    try:
        header = dcmread(BytesIO(content), specific_tags=IDENTIFIERS, stop_before_pixels=True)
        found = {name: str(header.get(name) or "") for name in IDENTIFIERS}
    except Exception:  # noqa: BLE001 - behind the identifiers it reads on, the quick one does not
        return
    assert quick == found


def facts(content):
    """Bytes as a received file: facts and roles, nothing, or an error without values."""
    head = file_head(
        sop_class_uid="1.2", sop_instance_uid="1.3", transfer_syntax_uid=EXPLICIT_LITTLE
    )
    with tempfile.NamedTemporaryFile(dir=FOLDER, suffix=".dcm") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.write(head + content)
        file.flush()
        try:
            header = read_header(Path(file.name))
            for one in () if header is None else facts_from_dataset(header):
                classify(one, RULES)
        except CestleError as fault:
            check_text(fault)


def paths(content):
    """Bytes as a UID: a path inside the spool, or a HeaderError."""
    files = SpoolFiles(root=FOLDER / "spool", reserve_bytes=0)
    try:
        path = files.path(content.decode("latin-1"), "0" * 64)
    except HeaderError as fault:
        check_text(fault)
        return
    assert path.resolve().parent.parent == files.instances.resolve()
    assert re.fullmatch(r"[0-9.]{1,64}", path.parent.name)
    assert path.parent.name.strip(".")


def check_text(fault):
    """One line, short, without a patient."""
    text = str(fault)
    assert "\n" not in text
    assert len(text) < LONGEST_MESSAGE
    assert not any(planted in text for planted in PLANTED)


def seeds():
    """Data sets to begin with, made here: plain ones, with sequences, in both representations."""
    item = element(0x0008, 0x1155, "UI", "1.2.3")
    endless = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + item
    endless += bytes.fromhex("feff0de000000000feffdde000000000")
    plain = plain_data_set(f"{ROOT}.1.1")
    cut = plain.index(b"\x10\x00\x10\x00")
    sequence = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFFFFFF) + endless
    unknown = struct.pack("<HH2s2xI", 0x0009, 0x1001, b"UN", 0xFFFFFFFF)
    unknown += bytes.fromhex("feff00e000000000feffdde000000000")
    private = element(0x0065, 0x0010, "LO", "Image Private Header") + element(
        0x0065, 0x1050, "DS", "nan\\1e999\\-3"
    )
    end = plain.index(b"\xe0\x7f\x10\x00")
    return (
        plain,
        plain[:cut] + sequence + unknown + plain[cut:],
        plain[:end] + private + plain[end:],
        implicit(plain),
        b"",
    )


def implicit(data_set):
    """A plain explicit data set in Implicit VR."""
    converted, at = b"", 0
    while at < len(data_set):
        group, number, kind, length = struct.unpack_from("<HH2sH", data_set, at)
        at += 8
        if kind == b"OW":
            (length,) = struct.unpack_from("<I", data_set, at)
            at += 4
        converted += struct.pack("<HHI", group, number, length) + data_set[at : at + length]
        at += length
    return converted


TARGETS = {"received": received, "facts": facts, "paths": paths}
