"""Reads our own report back, as whoever receives it would."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from cestle.config.reporting import Codes
from cestle.dicom.report_spectroscopy import GateLine, parse_gate
from cestle.measurement import Side


@dataclass(frozen=True, kw_only=True)
class ReturnedSpectroscopy:
    """What a report says of spectroscopy.

    Parameters
    ----------
    side
        Laterality of the voxel; None when the report states none.
    usable
        Whether the report allows the use of the numbers; False also without numbers.
    numbers
        Value of each number by its code value.
    qualified
        Code values of the numbers that are qualified as failed measurements.
    gates
        The quality gates.
    protocol
        The MRSinMRS table; "not stated" where it says so.
    convention, model, basis
        What the numbers are; empty without numbers.
    notes, comments
        Decisions and limitations; marks and reasons.
    sources
        SOP Instance UIDs of the spectra that it refers to.
    """

    side: Side | None
    usable: bool
    numbers: Mapping[str, float]
    qualified: frozenset[str]
    gates: tuple[GateLine, ...]
    protocol: Mapping[str, str]
    convention: str
    model: str
    basis: str
    notes: tuple[str, ...]
    comments: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReturnedReport:
    """What a report says.

    Parameters
    ----------
    sop_instance_uid
        The report.
    numbers
        Value of each number that occurs once in the document, by its code value.
    call
        Meaning of the coded call, such as "Left"; None when the report has none.
    spectroscopy
        The group of spectroscopy; None when the report has none.
    """

    sop_instance_uid: str
    numbers: dict[str, float]
    call: str | None
    spectroscopy: ReturnedSpectroscopy | None = None


def read_report(path: Path, codes: Codes) -> ReturnedReport:
    """Read the numbers, the call and the spectroscopy of a report.

    Parameters
    ----------
    path
        A structured report.
    codes
        Names the concepts.
    """
    dataset = dcmread(path)
    wanted = codes.get("lateralization_call").value
    found: dict[str, list[float]] = {}
    call = None
    spectroscopy = None
    for item in _items(dataset.get("ContentSequence", Sequence())):
        concept = _concept(item)
        if item.get("ValueType") == "NUM" and item.get("MeasuredValueSequence"):
            found.setdefault(concept, []).append(_number(item))
        if item.get("ValueType") == "CODE" and concept == wanted:
            call = str(item.ConceptCodeSequence[0].CodeMeaning)
        if _is_spectroscopy(item, codes):
            spectroscopy = _spectroscopy(item, codes)
    return ReturnedReport(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        numbers={name: values[0] for name, values in found.items() if len(values) == 1},
        call=call,
        spectroscopy=spectroscopy,
    )


def _is_spectroscopy(item: Dataset, codes: Codes) -> bool:
    """Whether an item is the measurement group whose finding is spectroscopy."""
    return any(
        child.get("ValueType") == "CODE" and _code(child) == codes.get("mrs").value
        for child in item.get("ContentSequence", Sequence())
    )


def _spectroscopy(group: Dataset, codes: Codes) -> ReturnedSpectroscopy:
    content = list(group.ContentSequence)
    numbers = [item for item in content if item.ValueType == "NUM"]
    texts: dict[str, list[str]] = {}
    for item in content:
        if item.ValueType == "TEXT":
            texts.setdefault(_concept(item), []).append(str(item.TextValue))

    def said(name: str) -> list[str]:
        return texts.get(codes.get(name).value, [])

    use = [_code(item) for item in content if _concept(item) == codes.get("mrs_usability").value]
    rows = (line.partition(": ") for line in said("mrs_protocol"))
    return ReturnedSpectroscopy(
        side=_side(group, codes),
        usable=use == [codes.get("mrs_usable").value],
        numbers={_concept(item): _number(item) for item in numbers},
        qualified=frozenset(
            _concept(item) for item in numbers if "NumericValueQualifierCodeSequence" in item
        ),
        gates=tuple(gate for line in said("mrs_gate") if (gate := parse_gate(line)) is not None),
        protocol={key: value for key, _, value in rows},
        convention="".join(said("mrs_convention")),
        model="".join(said("mrs_model")),
        basis="".join(said("mrs_basis")),
        notes=tuple(said("mrs_note")),
        comments=tuple(said("comment")),
        sources=tuple(
            str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
            for item in content
            if item.ValueType == "COMPOSITE"
        ),
    )


def _side(group: Dataset, codes: Codes) -> Side | None:
    """Laterality of the finding site of a group."""
    sides = {codes.get(side).value: side for side in Side}
    stated = [
        sides[_code(item)]
        for item in _items(group.ContentSequence)
        if item.ValueType == "CODE" and _code(item) in sides
    ]
    return stated[0] if len(stated) == 1 else None


def _items(content: Sequence) -> Iterator[Dataset]:
    for item in content:
        yield item
        yield from _items(item.get("ContentSequence", Sequence()))


def _number(item: Dataset) -> float:
    """The value at full precision where the item has it; NumericValue holds 16 characters."""
    measured = item.MeasuredValueSequence[0]
    return float(measured.get("FloatingPointValue", measured.NumericValue))


def _concept(item: Dataset) -> str:
    return _first_code(item.get("ConceptNameCodeSequence"))


def _code(item: Dataset) -> str:
    return _first_code(item.get("ConceptCodeSequence"))


def _first_code(sequence: Sequence | None) -> str:
    return str(sequence[0].get("CodeValue", "")) if sequence else ""
