"""The files of ``dicom_templates/classify/``: strict models, and the rules made from them.

Each file holds rules that are tried from top to bottom; the files are tried in the order of
their `order` number. A site changes a file by putting one of the same name into its overlay,
and adds one by giving it a number of its own.
"""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.measurement import Side, Structure
from cestle.study.facts import PRIVATE_KEY
from cestle.study.roles import (
    AcquisitionRule,
    B0Encoding,
    B0Unit,
    B1Encoding,
    B1Unit,
    Condition,
    EditingRule,
    LabelScheme,
    OffsetExtractor,
    Operator,
    Role,
    Rule,
    RuleSet,
    VendorMapUnit,
)

FOLDER: Final = "classify/"
LABEL_SCHEMES: Final = "classify/label_schemes.yaml"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


_KEYWORD: Final = re.compile(r"[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*")
_TAG: Final = re.compile(r"\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\)")


def _check_element(text: str) -> str:
    if not (_KEYWORD.fullmatch(text) or PRIVATE_KEY.fullmatch(text) or _TAG.fullmatch(text)):
        raise ValueError(
            "an element is a DICOM keyword such as SeriesDescription, or a private one such as "
            "'(0065,2D)|Image Private Header'"
        )
    return text


def _check_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as fault:
        raise ValueError(f"no regular expression: {fault}") from fault
    return text


class ConditionModel(_Strict):
    """One test on one element; exactly one operator."""

    element: str
    equals: str | int | float | None = None
    regex: str | None = None
    one_of: list[str | int | float] | None = Field(default=None, alias="in")
    range: tuple[float | None, float | None] | None = Field(default=None, strict=False)
    exists: bool | None = None

    _element = field_validator("element")(_check_element)

    @field_validator("regex")
    @classmethod
    def _regex_compiles(cls, text: str | None) -> str | None:
        return None if text is None else _check_pattern(text)

    @model_validator(mode="after")
    def _one_operator(self) -> Self:
        given = [self.equals, self.regex, self.one_of, self.range, self.exists]
        if sum(value is not None for value in given) != 1:
            raise ValueError("exactly one of equals, regex, in, range, exists is needed")
        return self

    def condition(self) -> Condition:
        """The typed test."""
        if self.equals is not None:
            return _text_condition(self.element, Operator.EQUALS, (self.equals,))
        if self.regex is not None:
            return _text_condition(self.element, Operator.REGEX, (self.regex,))
        if self.one_of is not None:
            return _text_condition(self.element, Operator.IN, tuple(self.one_of))
        if self.range is not None:
            low, high = self.range
            return Condition(
                element=self.element,
                operator=Operator.RANGE,
                low=float("-inf") if low is None else low,
                high=float("inf") if high is None else high,
            )
        return Condition(element=self.element, operator=Operator.EXISTS, expected=bool(self.exists))


def _text_condition(
    element: str, operator: Operator, values: tuple[str | int | float, ...]
) -> Condition:
    return Condition(
        element=element, operator=operator, values=tuple(str(value) for value in values)
    )


class B0Model(_Strict):
    """Meaning of the numbers of a B0 map."""

    unit: Literal["Hz", "ppm", "ppm*1000", "rad", "declared"]
    sign: Literal[1, -1] = 1
    factor: float = 1.0
    delta_te_ms: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _radian_needs_echo_times(self) -> Self:
        if (self.unit == "rad") != (self.delta_te_ms is not None):
            raise ValueError("delta_te_ms is needed for unit rad, and for no other")
        return self

    def encoding(self) -> B0Encoding:
        """The typed encoding."""
        return B0Encoding(
            unit=B0Unit(self.unit),
            sign=self.sign,
            factor=self.factor,
            delta_te_ms=self.delta_te_ms,
        )


class B1Model(_Strict):
    """Meaning of the numbers of a B1 map."""

    unit: Literal["percent", "relative", "degree", "degree*10"]
    nominal_flip_deg: float | None = Field(default=None, gt=0.0)

    @model_validator(mode="after")
    def _angle_needs_nominal(self) -> Self:
        if self.unit.startswith("degree") != (self.nominal_flip_deg is not None):
            raise ValueError("nominal_flip_deg is needed for angles, and for nothing else")
        return self

    def encoding(self) -> B1Encoding:
        """The typed encoding."""
        return B1Encoding(unit=B1Unit(self.unit), nominal_flip_deg=self.nominal_flip_deg)


class VendorMapModel(_Strict):
    """Meaning of the numbers of the scanner's own map."""

    unit: Literal["percent*100", "percent", "unknown"]


class ExtractorModel(_Strict):
    """Where a saturation offset may stand."""

    element: str
    regex: str
    unit: Literal["ppm", "Hz"] = "ppm"
    sign: Literal[1, -1] = 1

    _element = field_validator("element")(_check_element)

    @field_validator("regex")
    @classmethod
    def _names_the_offset(cls, text: str) -> str:
        _check_pattern(text)
        if "offset" not in re.compile(text).groupindex:
            raise ValueError("the pattern needs a group (?P<offset>…)")
        return text

    def extractor(self) -> OffsetExtractor:
        """The typed extractor."""
        return OffsetExtractor(
            element=self.element, pattern=self.regex, unit=self.unit, sign=self.sign
        )


class AcquisitionModel(_Strict):
    """A CEST acquisition that is accepted."""

    name: str
    offsets_ppm: Annotated[list[float], Field(min_length=2, strict=False)]
    f0_range_mhz: tuple[float, float] = Field(strict=False)
    table: list[ConditionModel] | None = None
    signal_rises_with_offset: bool = True

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        low, high = self.f0_range_mhz
        if not 0.0 < low < high:
            raise ValueError("f0_range_mhz needs two rising frequencies in MHz")
        return self

    def acquisition(self) -> AcquisitionRule:
        """The typed acquisition."""
        return AcquisitionRule(
            name=self.name,
            offsets_ppm=tuple(self.offsets_ppm),
            f0_range_mhz=self.f0_range_mhz,
            table_conditions=None
            if self.table is None
            else tuple(model.condition() for model in self.table),
            signal_rises_with_offset=self.signal_rises_with_offset,
        )


class CestModel(_Strict):
    """What a rule for CEST source images needs besides its conditions."""

    offsets: list[ExtractorModel] = []
    acquisitions: Annotated[list[str], Field(min_length=1)]


class EditingModel(_Strict):
    """A MEGA-PRESS protocol, as far as the header does not say it."""

    f0_range_mhz: tuple[float, float] | None = Field(default=None, strict=False)
    edit_on_ppm: float | None = Field(default=None, ge=0.0, le=12.0)
    edit_off_ppm: float | None = Field(default=None, ge=0.0, le=12.0)

    @model_validator(mode="after")
    def _range_is_ordered(self) -> Self:
        if self.f0_range_mhz is not None and not 0.0 < self.f0_range_mhz[0] < self.f0_range_mhz[1]:
            raise ValueError("f0_range_mhz needs two rising frequencies in MHz")
        return self

    def editing(self) -> EditingRule:
        """The typed protocol."""
        return EditingRule(
            f0_range_mhz=self.f0_range_mhz,
            edit_on_ppm=self.edit_on_ppm,
            edit_off_ppm=self.edit_off_ppm,
        )


class RuleModel(_Strict):
    """One rule: conditions, a role, and what the role needs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    role: str
    when: Annotated[list[ConditionModel], Field(min_length=1)]
    b0: B0Model | None = None
    b1: B1Model | None = None
    vendor_map: VendorMapModel | None = None
    cest: CestModel | None = None
    editing: EditingModel | None = None

    @field_validator("role")
    @classmethod
    def _role_exists(cls, text: str) -> str:
        allowed = sorted(role.value for role in Role if role is not Role.OWN_OUTPUT)
        if text not in allowed:
            raise ValueError(f"a role is one of {', '.join(allowed)}")
        return text

    @model_validator(mode="after")
    def _role_has_its_block(self) -> Self:
        needed = {"b0_map": "b0", "b1_map": "b1", "cest_map_vendor": "vendor_map"}
        needed["cest_source"] = "cest"
        for role, block in needed.items():
            if (self.role == role) != (getattr(self, block) is not None):
                raise ValueError(f"role {role} needs a block {block}, and no other role has one")
        if self.editing is not None and self.role != Role.MRS_MEGA:
            raise ValueError("only role mrs_mega has a block editing")
        return self


class ClassificationFile(_Strict):
    """One file of rules."""

    order: int
    acquisitions: list[AcquisitionModel] = []
    rules: Annotated[list[RuleModel], Field(min_length=1)]


class LabelModel(_Strict):
    """One label of a scheme."""

    label: Annotated[int, Field(ge=1)]
    structure: Literal["hippocampus", "amygdala"]
    side: Literal["left", "right"]


class SchemeModel(_Strict):
    """Numbers of one labelling tool."""

    source: str
    labels: Annotated[list[LabelModel], Field(min_length=2)]

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        numbers = [model.label for model in self.labels]
        names = [(model.structure, model.side) for model in self.labels]
        if len(set(numbers)) != len(numbers) or len(set(names)) != len(names):
            raise ValueError("each label and each structure and side may stand once")
        return self


class LabelSchemesFile(_Strict):
    """``label_schemes.yaml``."""

    schemes: dict[str, SchemeModel]


def load_rules(templates: TemplateFolder) -> RuleSet:
    """Read all rules and label schemes that are in force.

    Raises
    ------
    ConfigError
        When a file does not fit its model, two files have the same `order`, two rules the same
        name, or a rule names an acquisition that no file defines; all faults at once.
    """
    names = [
        name for name in templates.names() if name.startswith(FOLDER) and name != LABEL_SCHEMES
    ]
    faults: list[str] = []
    files: list[tuple[str, ClassificationFile]] = []
    schemes: tuple[LabelScheme, ...] = ()
    for name in names:
        try:
            files.append((name, templates.load_as(name, ClassificationFile)))
        except ConfigError as fault:
            faults.append(str(fault))
    try:
        schemes = _schemes(templates.load_as(LABEL_SCHEMES, LabelSchemesFile))
    except ConfigError as fault:
        faults.append(str(fault))
    files.sort(key=lambda pair: (pair[1].order, pair[0]))
    faults.extend(_faults_between(files))
    if faults:
        raise ConfigError("; ".join(faults))
    return RuleSet(rules=_rules(files), label_schemes=schemes)


def _faults_between(files: list[tuple[str, ClassificationFile]]) -> list[str]:
    faults = []
    orders: dict[int, str] = {}
    rules: dict[str, str] = {}
    acquisitions = {model.name for _, file in files for model in file.acquisitions}
    for name, file in files:
        if file.order in orders:
            faults.append(f"{name}: order {file.order} is already that of {orders[file.order]}")
        orders[file.order] = name
        for rule in file.rules:
            if rule.name in rules:
                faults.append(f"{name}: rule {rule.name} also stands in {rules[rule.name]}")
            rules[rule.name] = name
            wanted = set(rule.cest.acquisitions if rule.cest is not None else ())
            faults.extend(
                f"{name}: rule {rule.name} names no known acquisition: {unknown}"
                for unknown in sorted(wanted - acquisitions)
            )
    if not files:
        faults.append(f"no file of rules was found in {FOLDER}")
    return faults


def _rules(files: list[tuple[str, ClassificationFile]]) -> tuple[Rule, ...]:
    acquisitions = {
        model.name: model.acquisition() for _, file in files for model in file.acquisitions
    }
    return tuple(_rule(name, model, acquisitions) for name, file in files for model in file.rules)


def _rule(source: str, model: RuleModel, acquisitions: dict[str, AcquisitionRule]) -> Rule:
    cest = model.cest
    vendor = model.vendor_map
    return Rule(
        name=model.name,
        role=Role(model.role),
        conditions=tuple(condition.condition() for condition in model.when),
        source=source,
        b0=None if model.b0 is None else model.b0.encoding(),
        b1=None if model.b1 is None else model.b1.encoding(),
        vendor_unit=None if vendor is None else VendorMapUnit(vendor.unit),
        extractors=() if cest is None else tuple(one.extractor() for one in cest.offsets),
        acquisitions=()
        if cest is None
        else tuple(acquisitions[name] for name in cest.acquisitions),
        editing=None if model.editing is None else model.editing.editing(),
    )


def _schemes(file: LabelSchemesFile) -> tuple[LabelScheme, ...]:
    return tuple(
        LabelScheme(
            name=name,
            labels=tuple(
                (one.label, Structure(one.structure), Side(one.side)) for one in scheme.labels
            ),
            source=scheme.source,
        )
        for name, scheme in file.schemes.items()
    )
