"""What the report says of spectroscopy: the items of its measurement group."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from highdicom import sr
from pydicom import Dataset

from cestle.config.reporting import TemplateSet
from cestle.dicom.coding import ascii_text, coded
from cestle.gates import Gate
from cestle.study.mrs_result import MrsResult
from cestle.study.spectroscopy import SWITCHED_OFF

NOT_FOR_USE: Final = "NOT FOR USE: the quality of the spectra is not sufficient"

_GATE_LINE: Final = re.compile(r"(?P<name>\w+): (?P<verdict>\w+), measured (?P<value>\S+)")


@dataclass(frozen=True, kw_only=True)
class GateLine:
    """What a line of the report says of a quality gate; the value is None when not measured."""

    name: str
    verdict: str
    value: float | None


def gate_text(gate: Gate) -> str:
    """One gate in one line, which `parse_gate` reads back."""
    limits = gate.limits
    relation = "at least" if limits.higher_is_better else "at most"
    value = "-" if gate.value is None else f"{float(gate.value)!r} {limits.unit}"
    fail = "none" if limits.fail is None else f"{limits.fail:g}"
    return (
        f"{gate.name}: {gate.verdict}, measured {value}, {relation} {limits.warn:g} without "
        f"warning, limit of failure {fail}; {limits.quantity}"
    )


def parse_gate(line: str) -> GateLine | None:
    """Read a line of `gate_text`; None when it is none."""
    found = _GATE_LINE.match(line)
    if found is None:
        return None
    value = found["value"].rstrip(",")
    return GateLine(
        name=found["name"],
        verdict=found["verdict"],
        value=None if value == "-" else float(value),
    )


def not_computed_code(mrs: MrsResult) -> str:
    """Why there are no numbers, as the name of a code."""
    return "switched_off" if mrs.reasons == (SWITCHED_OFF,) else "no_data"


def texts(mrs: MrsResult) -> list[tuple[str, str]]:
    """Texts of the group, each with the name of its concept, the mark first.

    The convention and the model stand beside the numbers, so that nobody compares them with
    those of another definition.
    """
    numbers = mrs.numbers
    if numbers is None:
        return [("comment", f"MRS not assessed: {reason}") for reason in mrs.reasons]
    marks = [] if mrs.usable else [NOT_FOR_USE, *mrs.reasons]
    return [
        *(("comment", mark) for mark in marks),
        ("mrs_convention", numbers.convention),
        ("mrs_model", numbers.model),
        ("mrs_basis", numbers.basis),
        *(("mrs_gate", gate_text(gate)) for gate in numbers.gates),
        *(("mrs_note", note) for note in mrs.notes),
        *(("mrs_protocol", f"{item.key}: {item.value or 'not stated'}") for item in mrs.protocol),
    ]


def source_references(
    received: Sequence[Dataset], templates: TemplateSet
) -> list[sr.CompositeContentItem]:
    """One object of each spectroscopy series; all of them are evidence.

    Spectra are no images, so they are referred to as composite objects (PS3.3 C.18.3).
    """
    series: dict[str, Dataset] = {}
    for dataset in received:
        series.setdefault(str(dataset.SeriesInstanceUID), dataset)
    return [
        sr.CompositeContentItem(
            name=coded(templates, "source_of_measurement"),
            referenced_sop_class_uid=dataset.SOPClassUID,
            referenced_sop_instance_uid=dataset.SOPInstanceUID,
            relationship_type=sr.RelationshipTypeValues.CONTAINS,
        )
        for dataset in series.values()
    ]


def algorithm(mrs: MrsResult, name: str, version: str) -> sr.AlgorithmIdentification | None:
    """TID 4019 of a ratio: model, basis and what the ratio is; None without numbers."""
    numbers = mrs.numbers
    if numbers is None:
        return None
    lines = (
        f"model: {numbers.model}",
        f"basis: {numbers.basis}",
        f"convention: {numbers.convention}",
    )
    return sr.AlgorithmIdentification(
        name=name, version=version, parameters=[ascii_text(line) for line in lines]
    )
