"""From a data set to `InstanceFacts`.

Nothing here may fail on what a scanner or a de-identifier wrote: values are taken as text, a
value that cannot be decoded is left out.
"""

import hashlib
import hmac
import re
import secrets
import struct
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag
from pydicom.uid import (
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
)

from cestle.errors import HeaderError
from cestle.physics import Real
from cestle.study.facts import InstanceFacts

MULTIFRAME_MR: Final = frozenset({EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage})
"""SOP classes whose frames are classified one by one."""

UNDECODABLE: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
    BytesLengthException,
    OSError,
    EOFError,
    struct.error,
)
"""What pydicom raises on elements that cannot be decoded."""

_SPECTROSCOPY_DATA: Final = 0x56000020
_PROCESS_KEY: Final = secrets.token_bytes(32)
_LONGEST_TEXT: Final = 1024
_MOST_VALUES: Final = 64
_MOST_ITEMS: Final = 32
_DEEPEST: Final = 3

# Who the person is, who sent and who saw them (PS3.15 table E.1-1): of no use to a rule.
_PERSONAL_GROUPS: Final = frozenset({0x0010, 0x0032, 0x0038})
_PERSONAL_KEYWORDS: Final = frozenset(
    {"AccessionNumber", "StudyID", "RequestAttributesSequence", "ReferencedPatientSequence"}
)
_KEPT_PATIENT_KEYWORDS: Final = frozenset({"PatientSex", "PatientWeight"})
_NOT_FLATTENED: Final = frozenset(
    {
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "ReferencedImageSequence",
        "ReferencedStudySequence",
        "ReferencedPerformedProcedureStepSequence",
        "ReferencedSeriesSequence",
        "ReferencedImageEvidenceSequence",
        "SourceImageEvidenceSequence",
        "ROIContourSequence",
        "ContentSequence",
    }
)


def facts_from_dataset(dataset: Dataset, *, key: bytes | None = None) -> tuple[InstanceFacts, ...]:
    """Facts of an instance, or of each frame of an Enhanced MR object.

    Parameters
    ----------
    dataset
        Header, with or without pixels.
    key
        Secret of the keyed patient hash; None for one that lasts as long as the process, so
        that the hashes of two processes cannot be compared.

    Raises
    ------
    HeaderError
        When one of the identifying UIDs is missing.
    """
    shared = _instance_values(dataset)
    base = InstanceFacts(
        sop_instance_uid=_required_uid(dataset, "SOPInstanceUID"),
        sop_class_uid=_required_uid(dataset, "SOPClassUID"),
        series_instance_uid=_required_uid(dataset, "SeriesInstanceUID"),
        study_instance_uid=_required_uid(dataset, "StudyInstanceUID"),
        frame=None,
        patient_key=_patient_key(dataset, key or _PROCESS_KEY),
        number_of_frames=_count(dataset, "NumberOfFrames", default=1),
        rows=_count(dataset, "Rows", default=0),
        columns=_count(dataset, "Columns", default=0),
        values=shared,
    )
    if base.sop_class_uid not in MULTIFRAME_MR:
        return (base,)
    return tuple(_frame_facts(dataset, base))


def _frame_facts(dataset: Dataset, base: InstanceFacts) -> Iterator[InstanceFacts]:
    common = dict(base.values)
    for item in _items(dataset, "SharedFunctionalGroupsSequence")[:1]:
        common.update(_functional_group_values(item))
    frames = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(frames) != base.number_of_frames:
        raise HeaderError(
            f"instance {base.sop_instance_uid} states {base.number_of_frames} frames but "
            f"describes {len(frames)}; send it again from the scanner."
        )
    for number, item in enumerate(frames, start=1):
        yield InstanceFacts(
            sop_instance_uid=base.sop_instance_uid,
            sop_class_uid=base.sop_class_uid,
            series_instance_uid=base.series_instance_uid,
            study_instance_uid=base.study_instance_uid,
            frame=number,
            patient_key=base.patient_key,
            number_of_frames=base.number_of_frames,
            rows=base.rows,
            columns=base.columns,
            values={**common, **_functional_group_values(item)},
        )


def _functional_group_values(group: Dataset) -> dict[str, tuple[str, ...]]:
    """Values of one functional group item, its macros opened (PS3.3 C.7.6.16)."""
    values: dict[str, tuple[str, ...]] = {}
    for element in _elements(group):
        name = _key(group, element)
        if name is None or _is_personal(element):
            continue
        if element.VR != "SQ":
            _put(values, name, element)
        elif name == "RealWorldValueMappingSequence" or element.tag.is_private:
            # Kept under the sequence's name: private content must not pose as a standard one.
            _put_sequence(values, name, element, depth=1)
        elif name not in _NOT_FLATTENED:
            for item in element.value[:_MOST_ITEMS]:
                values.update(_dataset_values(item, prefix="", depth=1))
    return values


def _instance_values(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return _dataset_values(dataset, prefix="", depth=0)


def _dataset_values(dataset: Dataset, *, prefix: str, depth: int) -> dict[str, tuple[str, ...]]:
    values: dict[str, tuple[str, ...]] = {}
    for element in _elements(dataset):
        name = _key(dataset, element)
        if name is None or _is_personal(element):
            continue
        if element.VR == "SQ":
            if name not in _NOT_FLATTENED and depth < _DEEPEST:
                _put_sequence(values, prefix + name, element, depth=depth + 1)
        else:
            _put(values, prefix + name, element)
    return values


def _put_sequence(
    values: dict[str, tuple[str, ...]], name: str, element: DataElement, *, depth: int
) -> None:
    for item in element.value[:_MOST_ITEMS]:
        for inner, texts in _dataset_values(item, prefix=f"{name}.", depth=depth).items():
            values[inner] = values.get(inner, ()) + texts


def _put(values: dict[str, tuple[str, ...]], name: str, element: DataElement) -> None:
    texts = value_texts(element)
    if texts is not None:
        values[name] = texts


def value_texts(element: DataElement) -> tuple[str, ...] | None:
    """Values of an element as text; None for pixels, spectra and what cannot be shown.

    Bytes become text where they are printable, which is how private elements arrive under
    Implicit VR (`UN`), and else their length and a short hash, so that two can be compared.
    """
    if element.tag.group >= 0x7FE0 or element.tag == _SPECTROSCOPY_DATA:
        return None
    value = element.value
    if isinstance(value, bytes | bytearray):
        return _bytes_texts(bytes(value))
    if value is None:
        return ()
    many = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if element.VR == "PN":
        return None
    texts = tuple(_text(part) for part, _ in zip(many, range(_MOST_VALUES), strict=False))
    return () if texts == ("",) else texts


def finite_numbers(texts: Iterable[str]) -> Real | None:
    """Texts as numbers, shape (n,); None when there is none or one is no finite number."""
    try:
        found = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError:
        return None
    return found if len(found) and np.all(np.isfinite(found)) else None


def _text(value: Any) -> str:
    original = getattr(value, "original_string", None)
    text = original if isinstance(original, str) else str(value)
    return text.strip().strip("\0")[:_LONGEST_TEXT]


def _bytes_texts(value: bytes) -> tuple[str, ...]:
    trimmed = value.rstrip(b"\0 ")
    for encoding in ("utf-8", "gb18030"):
        try:
            text = trimmed.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.isprintable() and len(text) <= _LONGEST_TEXT:
            return tuple(part.strip() for part in text.split("\\")) if text else ()
    return (f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:12]}",)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Elements that can be decoded; a broken one is passed over, never fatal."""
    for tag in sorted(dataset.keys()):
        element = None if tag.group >= 0x7FE0 else element_of(dataset, tag)
        if element is not None:
            yield element


def element_of(dataset: Dataset, tag: BaseTag) -> DataElement | None:
    """An element; None when it is absent or cannot be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return dataset[tag]
        except UNDECODABLE:
            return None


def private_element(dataset: Dataset, group: int, creator: str, number: int) -> DataElement | None:
    """Element `number` of a creator's block; None when it is absent or cannot be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tag = dataset.private_block(group, creator).get_tag(number)
        except UNDECODABLE:
            return None
    return element_of(dataset, tag)


_CREATOR_BLOCK: Final = range(0x10, 0x100)


def _key(dataset: Dataset, element: DataElement) -> str | None:
    tag = element.tag
    if not tag.is_private:
        return keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})"
    if tag.is_private_creator or tag.element < 0x1000:
        return None
    creator = _creator(dataset, tag)
    return None if creator is None else private_key(tag.group, tag.element & 0xFF, creator)


def _creator(dataset: Dataset, tag: BaseTag) -> str | None:
    block = tag.element >> 8
    if block not in _CREATOR_BLOCK:
        return None
    holder = element_of(dataset, BaseTag(tag.group << 16 | block))
    if holder is None:
        # Items of a private sequence seldom repeat the creator of their own elements.
        return None
    texts = value_texts(holder)
    return texts[0] if texts else None


def private_key(group: int, element: int, creator: str) -> str:
    """Key of a private element in `InstanceFacts.values`, such as ``(0065,2D)|…``."""
    return f"({group:04X},{element:02X})|{creator}"


def _is_personal(element: DataElement) -> bool:
    if element.VR == "PN":
        return True
    if element.keyword in _KEPT_PATIENT_KEYWORDS:
        return False
    return element.tag.group in _PERSONAL_GROUPS or element.keyword in _PERSONAL_KEYWORDS


def _patient_key(dataset: Dataset, key: bytes) -> str:
    """Hash of the patient's ID; of name and birth date where there is none.

    The issuer plays no part: workstations leave it out of the segmentations they make. Two
    different issuers in one study are refused by the reader of the study.
    """
    identity = plain_text(dataset, "PatientID")
    if not identity:
        identity = "\0".join(
            ("", plain_text(dataset, "PatientName"), plain_text(dataset, "PatientBirthDate"))
        )
    return hmac.new(key, identity.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:32]


def plain_text(dataset: Dataset, keyword: str) -> str:
    """Text of a top-level element; empty when it is absent or cannot be decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(dataset.get(keyword) or "").strip()
        except UNDECODABLE:
            return ""


_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")


def _required_uid(dataset: Dataset, keyword: str) -> str:
    text = plain_text(dataset, keyword)
    if not _UID.fullmatch(text) or len(text) > 64:
        raise HeaderError(
            f"an object has {'no' if not text else 'an invalid'} {keyword}; a DICOM UID was "
            "expected. Export the study again."
        )
    return text


def _count(dataset: Dataset, keyword: str, *, default: int) -> int:
    text = plain_text(dataset, keyword)
    try:
        return max(int(float(text)), 0) if text else default
    except ValueError:
        return default


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = dataset.get(keyword)
    return list(value) if value is not None else []
