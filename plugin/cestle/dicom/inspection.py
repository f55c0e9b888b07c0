"""What a folder holds: roles with reasons, and every element that varies inside a series.

This is what a physicist needs to write the classification rules of a site. Elements that
identify the person are not read at all (`cestle.dicom.facts` leaves them out).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, Final

import yaml

from cestle.dicom.files import read_objects
from cestle.dicom.study_reader import classify_objects
from cestle.study.facts import InstanceFacts
from cestle.study.roles import (
    Classified,
    Condition,
    EditingRule,
    Operator,
    Role,
    RuleSet,
    acquisition_order,
    parse_number,
)

_SHOWN_VALUES: Final = 8
_SHOWN_CHARACTERS: Final = 60
_ALWAYS_VARY: Final = frozenset({"SOPInstanceUID"})


@dataclass(frozen=True, kw_only=True)
class VaryingElement:
    """An element with more than one value inside a series.

    Parameters
    ----------
    element
        Its key.
    distinct
        Number of different values, "absent" counted as one.
    examples
        The first few, in the order of the images.
    """

    element: str
    distinct: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RoleCount:
    """Images of one role in a series, and why they have it."""

    role: Role
    images: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class SeriesReport:
    """One series.

    Parameters
    ----------
    series_instance_uid, sop_class_uid, description, manufacturer, modality
        From its first image.
    instances, images
        Objects, and images or frames in them.
    declared
        Instances as (0054,0081) says; None when it does not.
    roles
        Roles with reasons, most images first.
    varying
        What varies, fewest different values first: a label that tells contrasts apart has few.
    """

    series_instance_uid: str
    sop_class_uid: str
    description: str
    manufacturer: str
    modality: str
    instances: int
    images: int
    declared: int | None
    roles: tuple[RoleCount, ...]
    varying: tuple[VaryingElement, ...]


@dataclass(frozen=True, kw_only=True)
class InspectionReport:
    """A folder: counts, and its series."""

    patients: int
    studies: int
    not_dicom: int
    duplicates: int
    series: tuple[SeriesReport, ...]

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "patients": self.patients,
            "studies": self.studies,
            "not_dicom": self.not_dicom,
            "duplicates": self.duplicates,
            "series": [_series_json(one) for one in self.series],
        }

    def to_text(self) -> str:
        """The report for a person."""
        lines = [
            f"{len(self.series)} series, {self.studies} study(ies), {self.patients} patient(s) "
            f"(identifiers not shown), {self.not_dicom} file(s) that are no DICOM objects"
        ]
        for one in self.series:
            lines += ["", *_series_lines(one)]
        return "\n".join(lines)


def inspect_files(files: Sequence[Path], rules: RuleSet) -> InspectionReport:
    """Look at files, in any order.

    Raises
    ------
    InputError
        When there is no DICOM object among them.
    """
    content = read_objects(files)
    pairs = classify_objects(content.objects, rules)
    by_series: dict[str, list[Classified]] = {}
    for classified, _ in pairs:
        by_series.setdefault(classified.facts.series_instance_uid, []).append(classified)
    return InspectionReport(
        patients=len({one.facts.patient_key for one, _ in pairs}),
        studies=len({one.facts.study_instance_uid for one, _ in pairs}),
        not_dicom=content.not_dicom,
        duplicates=content.duplicates,
        series=tuple(_report(group) for group in sorted(by_series.values(), key=_series_order)),
    )


def _series_order(group: Sequence[Classified]) -> tuple[float, str]:
    facts = group[0].facts
    return facts.number("SeriesNumber") or 0.0, facts.series_instance_uid


def _report(group: Sequence[Classified]) -> SeriesReport:
    first = group[0].facts
    declared = [one.facts.declared_instances for one in group]
    return SeriesReport(
        series_instance_uid=first.series_instance_uid,
        sop_class_uid=first.sop_class_uid,
        description=first.first("SeriesDescription") or "",
        manufacturer=first.first("Manufacturer") or "",
        modality=first.first("Modality") or "",
        instances=len({one.facts.sop_instance_uid for one in group}),
        images=len(group),
        declared=max((count for count in declared if count is not None), default=None),
        roles=_roles(group),
        varying=varying_elements([one.facts for one in group]),
    )


def _roles(group: Sequence[Classified]) -> tuple[RoleCount, ...]:
    counts = Counter(one.role for one in group)
    reasons = {one.role: one.reason for one in reversed(group)}
    return tuple(
        RoleCount(role=role, images=count, reason=reasons[role])
        for role, count in counts.most_common()
    )


def varying_elements(images: Sequence[InstanceFacts]) -> tuple[VaryingElement, ...]:
    """Every element that does not have the same value in all images."""
    ordered = sorted(images, key=_image_order)
    elements = sorted(set().union(*(facts.values for facts in ordered)) - _ALWAYS_VARY)
    found = []
    for element in elements:
        values = [_shown(facts.values, element) for facts in ordered]
        distinct = list(dict.fromkeys(values))
        if len(distinct) > 1:
            found.append(
                VaryingElement(
                    element=element,
                    distinct=len(distinct),
                    examples=tuple(distinct[:_SHOWN_VALUES]),
                )
            )
    return tuple(sorted(found, key=lambda one: (one.distinct, one.element)))


def _image_order(facts: InstanceFacts) -> tuple[float, int, str]:
    return facts.number("InstanceNumber") or 0.0, facts.frame or 0, facts.sop_instance_uid


def _shown(values: Mapping[str, tuple[str, ...]], element: str) -> str:
    if element not in values:
        return "(absent)"
    text = "\\".join(values[element])
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _series_json(one: SeriesReport) -> dict[str, Any]:
    return {
        "series_instance_uid": one.series_instance_uid,
        "sop_class_uid": one.sop_class_uid,
        "description": one.description,
        "manufacturer": one.manufacturer,
        "modality": one.modality,
        "instances": one.instances,
        "images": one.images,
        "declared_instances": one.declared,
        "roles": [
            {"role": role.role.value, "images": role.images, "reason": role.reason}
            for role in one.roles
        ],
        "varying": [
            {
                "element": element.element,
                "distinct": element.distinct,
                "examples": list(element.examples),
            }
            for element in one.varying
        ],
    }


def _series_lines(one: SeriesReport) -> list[str]:
    declared = "" if one.declared is None else f" of {one.declared} declared"
    frames = "" if one.images == one.instances else f", {one.images} frames"
    lines = [
        f"{one.description or '(no description)'} · {one.manufacturer} · {one.modality} · "
        f"{one.instances} instance(s){declared}{frames}",
        f"  series {one.series_instance_uid}",
    ]
    lines += [f"  {role.role} ({role.images}): {role.reason}" for role in one.roles]
    lines += [
        f"    varies: {element.element} · {element.distinct} values: {', '.join(element.examples)}"
        for element in one.varying
    ]
    return lines


def learn_rules(files: Sequence[Path], rules: RuleSet) -> str:
    """Draft a file of classification rules from one example study.

    Series that a rule recognises keep their role; the others become `ignored`, to be corrected
    by a person. Units are never learned: they are copied from the rule that matched, with a
    remark that they have to be confirmed.

    Returns
    -------
        YAML text for ``classify/``, which loads as it stands.

    Raises
    ------
    InputError
        As `inspect_files`.
    """
    pairs = classify_objects(read_objects(files).objects, rules)
    by_series: dict[str, list[Classified]] = {}
    for classified, _ in pairs:
        by_series.setdefault(classified.facts.series_instance_uid, []).append(classified)
    drafts = [
        draft for group in sorted(by_series.values(), key=_series_order) for draft in _drafts(group)
    ]
    return _HEADER + _acquisition_text(pairs) + "rules:\n" + "\n".join(_numbered(drafts))


_HEADER: Final = """\
# Draft from one example study. Check each role, unit and sign before use; put the file into the
# classify/ folder of the site's overlay. First match wins.
order: 5

"""

_BLOCKS: Final = {
    Role.B0_MAP: "b0: {{unit: {unit}}}   # CONFIRM: Hz, ppm, ppm*1000, or rad with delta_te_ms",
    Role.B1_MAP: "b1: {{unit: {unit}}}   # CONFIRM: percent, relative, degree, degree*10",
    Role.CEST_MAP_VENDOR: "vendor_map: {{unit: {unit}}}   # CONFIRM: percent*100, percent, unknown",
}


def _drafts(group: Sequence[Classified]) -> list[tuple[str, list[str]]]:
    """Name and lines of one rule for each role in a series."""
    drafts = []
    for count in _roles(group):
        if count.role is Role.OWN_OUTPUT:
            continue
        members = [one for one in group if one.role is count.role]
        drafts.append((_rule_name(members[0].facts), _rule_lines(members)))
    return drafts


def _rule_name(facts: InstanceFacts) -> str:
    text = facts.first("SeriesDescription") or facts.first("Modality") or "series"
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "series"


def _numbered(drafts: Sequence[tuple[str, list[str]]]) -> list[str]:
    lines: list[str] = []
    seen: Counter[str] = Counter()
    for name, body in drafts:
        seen[name] += 1
        suffix = "" if seen[name] == 1 else f"_{seen[name]}"
        lines += [f"  - name: draft_{name}{suffix}", *(f"    {line}" for line in body), ""]
    return lines


def _rule_lines(members: Sequence[Classified]) -> list[str]:
    facts, role = members[0].facts, members[0].role
    known = role is not Role.IGNORED
    lines = [f"role: {role.value}" + ("" if known else "   # CHOOSE a role"), "when:"]
    lines.append(f"  - {{element: SOPClassUID, equals: {facts.sop_class_uid}}}")
    settled = {"SOPClassUID"}
    for element in ("Manufacturer", "SeriesDescription", "SequenceName"):
        value = facts.first(element)
        if value is not None and all(one.facts.first(element) == value for one in members):
            lines.append(f"  - {{element: {element}, equals: {_quoted(value)}}}")
            settled.add(element)
    # What told these images apart from others of the same name must stay.
    conditions = () if members[0].rule is None else members[0].rule.conditions
    lines += [f"  - {_condition_yaml(one)}" for one in conditions if one.element not in settled]
    lines += _role_block(members)
    varying = varying_elements([one.facts for one in members])
    lines += [f"# varies: {one.element}: {', '.join(one.examples[:4])}" for one in varying[:12]]
    return lines


def _condition_yaml(condition: Condition) -> str:
    return f"{{element: {_quoted(condition.element)}, {_operand_yaml(condition)}}}"


def _operand_yaml(condition: Condition) -> str:
    match condition.operator:
        case Operator.EQUALS | Operator.REGEX:
            return f"{condition.operator}: {_quoted(condition.values[0])}"
        case Operator.IN:
            return f"in: [{', '.join(_quoted(value) for value in condition.values)}]"
        case Operator.RANGE:
            limits = [None if abs(x) == inf else x for x in (condition.low, condition.high)]
            return f"range: [{', '.join('null' if x is None else repr(x) for x in limits)}]"
        case Operator.EXISTS:
            return f"exists: {'true' if condition.expected else 'false'}"


def _role_block(members: Sequence[Classified]) -> list[str]:
    role, rule = members[0].role, members[0].rule
    if rule is None:
        return []
    if rule.editing is not None:
        return [_editing_line(rule.editing)]
    if role is Role.CEST_SOURCE:
        return ["cest:", "  acquisitions: [learned]", *_extractor_lines(members)]
    unit = None
    if rule.b0 is not None:
        unit = rule.b0.unit.value
        if rule.b0.delta_te_ms is not None:
            unit += f", factor: {rule.b0.factor!r}, delta_te_ms: {rule.b0.delta_te_ms}"
    elif rule.b1 is not None:
        unit = rule.b1.unit.value
        if rule.b1.nominal_flip_deg is not None:
            unit += f", nominal_flip_deg: {rule.b1.nominal_flip_deg}"
    elif rule.vendor_unit is not None:
        unit = rule.vendor_unit.value
    return [] if unit is None else [_BLOCKS[role].format(unit=unit)]


def _editing_line(editing: EditingRule) -> str:
    frequencies = editing.f0_range_mhz
    known = {
        "f0_range_mhz": None if frequencies is None else list(frequencies),
        "edit_on_ppm": editing.edit_on_ppm,
        "edit_off_ppm": editing.edit_off_ppm,
    }
    stated = ", ".join(f"{name}: {value}" for name, value in known.items() if value is not None)
    return f"editing: {{{stated}}}   # CONFIRM the pulses: no header states them"


_LABEL: Final = re.compile(r"(?P<offset>[-+−]?\d+(?:[.p]\d+)?) ?(?P<unit>ppm|Hz)", re.IGNORECASE)


def _label_elements(facts: Sequence[InstanceFacts]) -> list[str]:
    """Elements that hold a number in ppm or Hz in every image, not the same in all."""
    elements = set().union(*(one.values for one in facts))
    found = []
    for element in sorted(elements):
        texts = [_LABEL.search(one.first(element) or "") for one in facts]
        labels = {text.group() for text in texts if text is not None}
        if all(texts) and len(labels) > 1:
            found.append(element)
    return found


def _extractor_lines(members: Sequence[Classified]) -> list[str]:
    elements = _label_elements([one.facts for one in members])
    if not elements:
        return ["  # no element holds an offset in ppm or Hz in every image: a protocol table is"]
    lines = ["  offsets:   # CONFIRM the sign: + is downfield of water"]
    for element in elements:
        lines += [f"    - element: {_quoted(element)}", f"      regex: {_quoted(_LABEL.pattern)}"]
    return lines


def _acquisition_text(pairs: Sequence[tuple[Classified, Any]]) -> str:
    cest = [one.facts for one, _ in pairs if one.role is Role.CEST_SOURCE]
    if not cest:
        return ""
    rule = next(one.rule for one, _ in pairs if one.role is Role.CEST_SOURCE)
    known = rule.acquisitions[0] if rule is not None and rule.acquisitions else None
    offsets = _learned_offsets(cest) or (known.offsets_ppm if known is not None else ())
    low, high = known.f0_range_mhz if known is not None else (1.0, 1000.0)
    return (
        "acquisitions:\n  - name: learned\n"
        f"    offsets_ppm: [{', '.join(f'{value:g}' for value in offsets)}]   # CONFIRM\n"
        f"    f0_range_mhz: [{low:g}, {high:g}]   # CONFIRM\n\n"
    )


def _learned_offsets(facts: Sequence[InstanceFacts]) -> tuple[float, ...]:
    """Offsets at one slice position, when a label in ppm gives them."""
    first = facts[0].all("ImagePositionPatient")
    place = [one for one in facts if one.all("ImagePositionPatient") == first]
    ordered = acquisition_order(place)
    place = place if ordered is None else [place[index] for index in ordered[1]]
    for element in _label_elements(place):
        found = [_LABEL.search(one.first(element) or "") for one in place]
        if any(text is None or text["unit"].lower() != "ppm" for text in found):
            continue
        numbers = [parse_number(text["offset"]) for text in found if text is not None]
        return tuple(number for number in numbers if number is not None)
    return ()


def _quoted(text: str) -> str:
    """A YAML scalar on one line."""
    return yaml.safe_dump(text, default_style="'", allow_unicode=True, width=10_000).strip()
