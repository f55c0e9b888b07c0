"""The header policy: patient and study are copied from the sources and never invented."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import validate_value

from cestle.errors import HeaderError
from cestle.study.presentation import PatientBanner

_REQUIRED: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "StudyID"),
    "ReferringPhysicianName",
)
"""Type 1 and 2 attributes of the patient and the study: written even when they are empty."""

_OPTIONAL: Final = (
    *("SpecificCharacterSet", "TimezoneOffsetFromUTC"),
    *("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence"),
    *("PatientAge", "PatientSize", "PatientWeight"),
    *("StudyDescription", "IssuerOfAccessionNumberSequence", "ProcedureCodeSequence"),
)

_MUST_AGREE: Final = (
    *("StudyInstanceUID", "PatientID", "IssuerOfPatientID", "PatientName"),
    *("PatientBirthDate", "PatientSex", "AccessionNumber", "StudyDate"),
)
_NEVER_EMPTY: Final = ("StudyInstanceUID", "PatientID")
"""Attributes of which an empty value contradicts one that is filled."""

_CHECKED_VR: Final = frozenset({"DA", "TM", "AS", "DS", "CS", "UI", "SH"})

_TEXT_VR: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

CHARACTER_SETS: Final = {
    "": "ISO 646, the default repertoire",
    "ISO_IR 100": "Latin alphabet No. 1",
    "ISO_IR 192": "Unicode in UTF-8",
    "GB18030": "Chinese, GB 18030",
    "GBK": "Chinese, GBK",
}
"""Character sets that are known to come through unchanged, by defined term."""

_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"

ROLE_ORDER: Final = (*("cest_source", "cest_map_vendor", "b0_map", "b1_map", "t1_3d", "roi"),)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyHeader:
    """Patient and study as all sources of a study state them.

    Parameters
    ----------
    attributes
        The root attributes to copy, with the character set that they are encoded in.
    acquisition
        First source of the first role, for the acquisition equipment.
    """

    attributes: Dataset
    acquisition: Dataset

    @property
    def study_instance_uid(self) -> str:
        """StudyInstanceUID."""
        return str(self.attributes.StudyInstanceUID)

    def copy_to(self, target: Dataset) -> None:
        """Write patient and study to an object, replacing what it says of them."""
        for keyword in (*_REQUIRED, *_OPTIONAL):
            if keyword in target:
                delattr(target, keyword)
        for element in self.attributes:
            target.add(deepcopy(element))


def study_header(sources: Mapping[str, Sequence[Dataset]]) -> StudyHeader:
    """Collect patient and study of the sources.

    Parameters
    ----------
    sources
        Header datasets by role.

    Raises
    ------
    HeaderError
        When there is no source, when the sources name different patients or studies, or when
        the patient's name does not fit the declared character set.
    """
    ordered = [*ROLE_ORDER, *(role for role in sources if role not in ROLE_ORDER)]
    datasets = [dataset for role in ordered for dataset in sources.get(role, ())]
    if not datasets:
        raise HeaderError(
            "no source images were kept, at least one was expected to name the patient; "
            "send the study again."
        )
    for keyword in _MUST_AGREE:
        _require_agreement(datasets, keyword)
    first = datasets[0]
    attributes = Dataset()
    for keyword in (*_REQUIRED, *_OPTIONAL):
        element = _copied(_holder(datasets, keyword), keyword)
        if element is not None:
            attributes.add(element)
    return StudyHeader(attributes=attributes, acquisition=first)


def patient_banner(header: StudyHeader, *, draws_chinese: bool) -> PatientBanner:
    """The patient for the colour page.

    Parameters
    ----------
    header
        Patient and study.
    draws_chinese
        Whether the page has a font for Chinese; otherwise only the alphabetic form of the name
        is drawn, and none where there is no such form.
    """
    attributes = header.attributes
    date = _text(attributes, "StudyDate")
    readable = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 else ""
    return PatientBanner(
        name=_drawable_name(attributes, draws_chinese),
        patient_id=_text(attributes, "PatientID"),
        birth_date=_text(attributes, "PatientBirthDate"),
        sex=_text(attributes, "PatientSex"),
        study_date=readable,
    )


def _drawable_name(attributes: Dataset, draws_chinese: bool) -> str:
    name = attributes.get("PatientName") or ""
    groups = [str(group) for group in getattr(name, "components", (name,)) if str(group)]
    wanted = [group for group in groups if draws_chinese or group.isascii()]
    preferred = wanted[-1] if draws_chinese and wanted else next(iter(wanted), "")
    return preferred.replace("^", " ").strip()


def _holder(datasets: Sequence[Dataset], keyword: str) -> Dataset:
    """The first source; it also sets the character set, so text comes from nowhere else."""
    first = datasets[0]
    if keyword in first or keyword not in _MUST_AGREE:
        return first
    charset = first.get("SpecificCharacterSet")
    return next(
        (d for d in datasets if keyword in d and d.get("SpecificCharacterSet") == charset), first
    )


def _copied(source: Dataset, keyword: str) -> DataElement | None:
    """The element to write: as in the source; empty when required but absent or unreadable."""
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword  # noqa: S101  a keyword of ours that the dictionary lacks
    if keyword in source:
        element: DataElement = source[tag]
        if _is_lossy(element):
            _refuse_lossy(source, keyword)
        elif _is_valid(element) and _is_plain_inside(element):
            return deepcopy(element)
    if keyword in _REQUIRED:
        return DataElement(tag, dictionary_VR(tag), None)
    return None


def _is_lossy(element: DataElement) -> bool:
    """Whether bytes could not be decoded, so that a copy would hold other bytes."""
    return element.VR != "SQ" and _REPLACEMENT in str(element.value)


def _is_plain_inside(element: DataElement) -> bool:
    """Whether text inside a sequence is ASCII; readers garble other text there.

    All sequences that are copied are optional, so one with other text is left out whole.
    """
    if element.VR != "SQ":
        return True
    items: Any = element.value
    return all(
        str(inner.value).isascii()
        for item in items or ()
        for inner in item.iterall()
        if inner.VR in _TEXT_VR
    )


def _refuse_lossy(source: Dataset, keyword: str) -> None:
    """Refuse a patient or study whose text would change; an optional text is left out instead."""
    if keyword in _REQUIRED:
        raise HeaderError(
            f"{keyword} of series {_text(source, 'SeriesInstanceUID')} does not fit the character "
            f"set {source.get('SpecificCharacterSet') or 'ASCII'} that the header declares; "
            "correct the character set at the scanner or in the archive and send the study again."
        )


def _is_valid(element: DataElement) -> bool:
    """Whether a value may stand in an object; de-identified dates are often ``***``."""
    if element.VR not in _CHECKED_VR or element.is_empty:
        return True
    values: list[Any] = list(element.value) if element.VM > 1 else [element.value]
    try:
        for value in values:
            validate_value(element.VR, str(value), config.RAISE)
    except ValueError:
        return False
    return True


def _text(dataset: Dataset, keyword: str) -> str:
    value = dataset.get(keyword)
    return "" if value is None else str(value).rstrip(" \0")


def _identity(dataset: Dataset, keyword: str) -> str:
    text = _text(dataset, keyword)
    return text.rstrip("^= ") if keyword == "PatientName" else text


def _require_agreement(datasets: Sequence[Dataset], keyword: str) -> None:
    """Refuse sources of different patients or studies, without naming any."""
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        value = _identity(dataset, keyword)
        if value or keyword in _NEVER_EMPTY:
            seen.setdefault(value, dataset)
    if len(seen) > 1:
        first, second = list(seen.values())[:2]
        raise HeaderError(
            f"{keyword} differs between series {_text(first, 'SeriesInstanceUID')} and "
            f"{_text(second, 'SeriesInstanceUID')}, one patient and one study were expected; "
            "correct the study in the archive and send it again."
        )
