"""Which image plays which role: typed rules over header facts, first match wins.

The rules come from ``dicom_templates/classify/`` (`cestle.config.classification` reads them).
A role belongs to an image or a frame, never to a series: one series may hold a map and its
magnitude images.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from cestle.measurement import Side, Structure
from cestle.study.facts import InstanceFacts


class Role(StrEnum):
    """What an image, frame or object is for."""

    T1_3D = "t1_3d"
    CEST_SOURCE = "cest_source"
    CEST_MAP_VENDOR = "cest_map_vendor"
    B0_MAP = "b0_map"
    B0_MAGNITUDE = "b0_magnitude"
    B1_MAP = "b1_map"
    MRS_MEGA = "mrs_mega"
    MRS_WATER = "mrs_water"
    ROI = "roi"
    VENDOR_PICTURE = "vendor_picture"
    OWN_OUTPUT = "own_output"
    IGNORED = "ignored"


class Operator(StrEnum):
    """How the values of an element are held against a condition."""

    EQUALS = "equals"
    REGEX = "regex"
    IN = "in"
    RANGE = "range"
    EXISTS = "exists"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One test on one element; any value of a multi-valued element may fulfil it.

    Parameters
    ----------
    element
        Key of `InstanceFacts.values`, or one of ``SOPClassUID``, ``NumberOfFrames``, ``Rows``,
        ``Columns``.
    operator
        How to compare; text is compared without regard to case.
    values
        One text for `EQUALS`, a pattern for `REGEX` (found anywhere), the choices for `IN`.
    low, high
        Limits of `RANGE`, both included.
    expected
        For `EXISTS`, whether the element must be present with a value or absent.
    """

    element: str
    operator: Operator
    values: tuple[str, ...] = ()
    low: float = float("-inf")
    high: float = float("inf")
    expected: bool = True


class B0Unit(StrEnum):
    """Unit of the numbers in a B0 map."""

    HZ = "Hz"
    PPM = "ppm"
    PPM_1000 = "ppm*1000"
    RADIAN = "rad"
    DECLARED = "declared"
    """Hz or ppm, as the object itself says; refused when it says nothing."""


class B1Unit(StrEnum):
    """Unit of the numbers in a B1 map."""

    PERCENT = "percent"
    RELATIVE = "relative"
    DEGREE = "degree"
    DEGREE_10 = "degree*10"


class VendorMapUnit(StrEnum):
    """Unit of the numbers in the scanner's own GluCEST map."""

    PERCENT_100 = "percent*100"
    PERCENT = "percent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class B0Encoding:
    """What the numbers of a B0 map mean.

    Parameters
    ----------
    unit
        Unit after the rescale and `factor`.
    sign
        +1 when a positive number says that water precesses faster than the transmitter, −1 for
        the opposite.
    factor
        Multiplies the rescaled value, for example π/4096 for a phase image.
    delta_te_ms
        Difference of the echo times of a phase map [ms]; None for other units.
    """

    unit: B0Unit
    sign: int = 1
    factor: float = 1.0
    delta_te_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class B1Encoding:
    """What the numbers of a B1 map mean; `nominal_flip_deg` is needed for angles."""

    unit: B1Unit
    nominal_flip_deg: float | None = None


@dataclass(frozen=True, kw_only=True)
class OffsetExtractor:
    """Where a saturation offset may stand in the header.

    Parameters
    ----------
    element
        Key of the element.
    pattern
        Regular expression; its group ``offset`` holds the number, its group ``unit``, when
        there is one, ``ppm`` or ``Hz``.
    unit
        Unit when the pattern has no such group.
    sign
        −1 when the scanner counts upfield as positive.
    """

    element: str
    pattern: str
    unit: str = "ppm"
    sign: int = 1


@dataclass(frozen=True, kw_only=True)
class AcquisitionRule:
    """A CEST acquisition that a rule accepts.

    Parameters
    ----------
    name
        Name in reports.
    offsets_ppm
        Offsets with repeats; the order matters only where `table_conditions` are used [ppm].
    f0_range_mhz
        Accepted transmitter frequencies [MHz].
    table_conditions
        Fingerprint that all images must fulfil before unlabelled images may be numbered by
        their order of acquisition; None when the order may never be used.
    signal_rises_with_offset
        Whether the mean signal must rise from the smallest to the largest offset on each side,
        used as a check of an order that no label confirms.
    """

    name: str
    offsets_ppm: tuple[float, ...]
    f0_range_mhz: tuple[float, float]
    table_conditions: tuple[Condition, ...] | None = None
    signal_rises_with_offset: bool = True


@dataclass(frozen=True, kw_only=True)
class EditingRule:
    """What a site knows of its MEGA-PRESS protocol and the header does not say.

    Parameters
    ----------
    f0_range_mhz
        Accepted transmitter frequencies [MHz]; None for any.
    edit_on_ppm, edit_off_ppm
        Centres of the editing pulse [ppm]; None where they are not known.
    """

    f0_range_mhz: tuple[float, float] | None = None
    edit_on_ppm: float | None = None
    edit_off_ppm: float | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One line of the table: all `conditions` together give `role`.

    `b0`, `b1`, `vendor_unit`, `extractors`, `acquisitions` and `editing` are there for the roles
    that need them and empty for the others. `source` is the file that the rule stands in.
    """

    name: str
    role: Role
    conditions: tuple[Condition, ...]
    source: str
    b0: B0Encoding | None = None
    b1: B1Encoding | None = None
    vendor_unit: VendorMapUnit | None = None
    extractors: tuple[OffsetExtractor, ...] = ()
    acquisitions: tuple[AcquisitionRule, ...] = ()
    editing: EditingRule | None = None


@dataclass(frozen=True, kw_only=True)
class LabelScheme:
    """Numbers of a label map: for each structure and side one label.

    Parameters
    ----------
    name
        Name by which a file or an option calls it.
    labels
        Triples of label, structure and the patient's side.
    source
        Where the numbers are from.
    """

    name: str
    labels: tuple[tuple[int, Structure, Side], ...]
    source: str


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """All rules in the order in which they are tried, and the label schemes."""

    rules: tuple[Rule, ...]
    label_schemes: tuple[LabelScheme, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Classified:
    """An image with its role and why it has it; `rule` is None where no rule was needed."""

    facts: InstanceFacts
    role: Role
    rule: Rule | None
    reason: str


OWN_NAME: Final = "cestle"
_OWN_ELEMENTS: Final = ("Manufacturer", "ManufacturerModelName", "SoftwareVersions")
# A segmentation of ours that a person corrected comes back with us as a contributor.
_RETURNING_CLASSES: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.66.7",
        "1.2.840.10008.5.1.4.1.1.481.3",
    }
)


def classify(facts: InstanceFacts, rules: RuleSet) -> Classified:
    """Give an image its role: our own products first, then the first rule that matches."""
    own = _own_output_reason(facts)
    if own is not None:
        return Classified(facts=facts, role=Role.OWN_OUTPUT, rule=None, reason=own)
    for rule in rules.rules:
        if all(fulfils(facts, condition) for condition in rule.conditions):
            return Classified(facts=facts, role=rule.role, rule=rule, reason=_reason(facts, rule))
    return Classified(
        facts=facts,
        role=Role.IGNORED,
        rule=None,
        reason=f"none of the {len(rules.rules)} rules matched",
    )


def _own_output_reason(facts: InstanceFacts) -> str | None:
    for element in _OWN_ELEMENTS:
        if any(value.lower().startswith(OWN_NAME) for value in facts.all(element)):
            return f"made by {OWN_NAME}: {element} says so"
    if facts.sop_class_uid in _RETURNING_CLASSES:
        return None
    for element in _OWN_ELEMENTS:
        key = f"ContributingEquipmentSequence.{element}"
        if any(value.lower().startswith(OWN_NAME) for value in facts.all(key)):
            return f"made by {OWN_NAME}: ContributingEquipmentSequence says so"
    return None


def _reason(facts: InstanceFacts, rule: Rule) -> str:
    tests = ", ".join(_condition_text(facts, condition) for condition in rule.conditions)
    return f"rule {rule.name} ({rule.source}): {tests}"


def _condition_text(facts: InstanceFacts, condition: Condition) -> str:
    found = "\\".join(element_values(facts, condition.element))
    found = found if len(found) <= 60 else found[:57] + "…"
    return f"{condition.element} {condition.operator} [{found}]"


def element_values(facts: InstanceFacts, element: str) -> tuple[str, ...]:
    """Values of an element, the structural ones included."""
    if element == "SOPClassUID":
        return (facts.sop_class_uid,)
    if element == "NumberOfFrames":
        return (str(facts.number_of_frames),)
    return facts.all(element)


def fulfils(facts: InstanceFacts, condition: Condition) -> bool:
    """Whether `facts` fulfil one condition."""
    values = element_values(facts, condition.element)
    match condition.operator:
        case Operator.EXISTS:
            return any(values) == condition.expected
        case Operator.EQUALS | Operator.IN:
            wanted = {text.casefold() for text in condition.values}
            return any(
                value.casefold() in wanted or _same_number(value, wanted) for value in values
            )
        case Operator.REGEX:
            pattern = _compiled(condition.values[0])
            return any(pattern.search(value) for value in values)
        case Operator.RANGE:
            numbers = (_number(value) for value in values)
            return any(
                number is not None and condition.low <= number <= condition.high
                for number in numbers
            )


def _same_number(value: str, wanted: set[str]) -> bool:
    number = _number(value)
    return number is not None and any(_number(text) == number for text in wanted)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def offset_ppm(
    facts: InstanceFacts, extractor: OffsetExtractor, *, f0_mhz: float | None
) -> float | None:
    """Saturation offset that one extractor reads from the header [ppm].

    None when the element does not hold one, or holds one in Hz and the frequency is unknown.
    """
    pattern = _compiled(extractor.pattern)
    for value in facts.all(extractor.element):
        found = pattern.search(value)
        if found is None:
            continue
        number = parse_number(found.group("offset"))
        unit = (found.groupdict().get("unit") or extractor.unit).lower()
        if number is None:
            continue
        if unit == "hz":
            if f0_mhz is None:
                continue
            number /= f0_mhz
        return extractor.sign * number
    return None


_SIGN_WORDS: Final = {"neg": "-", "minus": "-", "m": "-", "n": "-", "pos": "+", "plus": "+"}
_SIGNED: Final = re.compile(r"^(?P<sign>[a-z]+|[-+]?)\s*(?P<number>\d+(?:[.p,]\d+)?)$")


def parse_number(text: str) -> float | None:
    """Read a number as technologists type it: ``-3.0``, ``−3``, ``neg3``, ``+3p0``, ``3,4``."""
    plain = text.strip().lower().replace("−", "-").replace("–", "-").replace("_", "")
    found = _SIGNED.match(plain)
    if found is None:
        return None
    word = found["sign"]
    sign = _SIGN_WORDS.get(word, word)
    if sign not in {"", "+", "-"}:
        return None
    return float(sign + found["number"].replace("p", ".").replace(",", "."))


ORDER_KEYS: Final = (
    "TemporalPositionIndex",
    "TemporalPositionIdentifier",
    "FrameAcquisitionDateTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "(0065,2C)|Image Private Header",
    "AcquisitionNumber",
    "InstanceNumber",
)
"""Elements that may tell the order of acquisition, most trustworthy first."""


def acquisition_order(images: Sequence[InstanceFacts]) -> tuple[str, tuple[int, ...]] | None:
    """Order images of one slice position by the first element that orders them all.

    Returns
    -------
        The element and, for each place in the order, the index of the image; None when no
        element is present in all images with a different number in each, or when the most
        trustworthy element that varies gives two images the same place.
    """
    for key in ORDER_KEYS:
        numbers = [_time_or_number(facts, key) for facts in images]
        if any(number is None for number in numbers) or len(set(numbers)) == 1 < len(numbers):
            continue
        if len(set(numbers)) < len(numbers):
            return None
        order = sorted(range(len(images)), key=lambda index: numbers[index] or 0.0)
        return key, tuple(order)
    return None


def _time_or_number(facts: InstanceFacts, key: str) -> float | None:
    text = facts.first(key)
    # A DT may end in a UTC offset, the same for all images of a series.
    return None if text is None else _number(re.split(r"(?<=\d)[+-]", text)[0])
