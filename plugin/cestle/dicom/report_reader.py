"""Reads our own report back, as whoever receives it would."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence

from cestle.config.reporting import Codes


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
    """

    sop_instance_uid: str
    numbers: dict[str, float]
    call: str | None


def read_report(path: Path, codes: Codes) -> ReturnedReport:
    """Read the numbers and the call of a report.

    Parameters
    ----------
    path
        A structured report.
    codes
        Names the concept of the call.
    """
    dataset = dcmread(path)
    wanted = codes.get("lateralization_call").value
    found: dict[str, list[float]] = {}
    call = None
    for item in _items(dataset.get("ContentSequence", Sequence())):
        concept = _code_value(item.get("ConceptNameCodeSequence"))
        if item.get("ValueType") == "NUM" and item.get("MeasuredValueSequence"):
            value = float(item.MeasuredValueSequence[0].NumericValue)
            found.setdefault(concept, []).append(value)
        if item.get("ValueType") == "CODE" and concept == wanted:
            call = str(item.ConceptCodeSequence[0].CodeMeaning)
    return ReturnedReport(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        numbers={name: values[0] for name, values in found.items() if len(values) == 1},
        call=call,
    )


def _items(content: Sequence) -> Iterator[Dataset]:
    for item in content:
        yield item
        yield from _items(item.get("ContentSequence", Sequence()))


def _code_value(sequence: Sequence | None) -> str:
    return str(sequence[0].get("CodeValue", "")) if sequence else ""
