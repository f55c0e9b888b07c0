"""How one study is to be processed: what a person asks for beside the node's configuration.

The values are those of `node.toml` and are checked by the same models. What is asked for is
written down as JSON, so that a revision can say what it was made with, and a later one can be
made in the same way.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cestle.config.node import AnalysisSection, B0MethodName, B1MethodName, MrsMethodName
from cestle.config.templates import validation_lines
from cestle.errors import InputError
from cestle.mrs.selection import numbers_text

LABEL_MAP_SUFFIXES: Final = (".nii.gz", ".nii", ".mgz", ".mgh")
OBJECT_SUFFIX: Final = ".dcm"

_MOST_TRANSIENTS: Final = 4096


def _rising(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) > _MOST_TRANSIENTS:
        raise ValueError(f"expected at most {_MOST_TRANSIENTS} numbers")
    return tuple(sorted(set(numbers)))


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class RegionFile(_Strict):
    """A file with regions, kept by the node under the hash of its content.

    Its own name is not kept, since it may name the patient.
    """

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    suffix: Literal[".dcm", ".nii.gz", ".nii", ".mgz", ".mgh"]
    label_scheme: str | None = None

    @staticmethod
    def hash_of(content: bytes) -> str:
        """Hash that a file of this content is kept under."""
        return hashlib.sha256(content).hexdigest()


class StudyOptions(_Strict):
    """What a person asked for; None where the node's configuration stands.

    `forget` says that nothing that was asked for earlier holds any more.
    """

    onset_side: Literal["left", "right"] | None = None
    roi: Annotated[tuple[RegionFile, ...] | None, Field(strict=False, min_length=1)] = None
    b0_method: B0MethodName | None = None
    b1_method: B1MethodName | None = None
    registration: bool | None = None
    mrs_method: MrsMethodName | None = None
    drop_transients: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...] | None,
        Field(strict=False),
        AfterValidator(lambda numbers: None if numbers is None else _rising(numbers)),
    ] = None
    forget: bool = False

    @classmethod
    def checked(cls, values: Mapping[str, Any]) -> Self:
        """Options from values that a person typed.

        Raises
        ------
        InputError
            When one of them does not fit; the message names every fault.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as fault:
            raise InputError("options: " + "; ".join(validation_lines(fault))) from fault

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Options from what `to_text` wrote; none from an empty text."""
        return cls.model_validate_json(text) if text else cls()

    def to_text(self) -> str:
        """The options as JSON, equal options as equal text; empty for none."""
        content = self.to_json()
        return json.dumps(content, sort_keys=True) if content else ""

    def to_json(self) -> dict[str, Any]:
        """The options that are set, as a JSON tree."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def over(self, earlier: "StudyOptions") -> "StudyOptions":
        """These on top of what was asked for earlier."""
        if self.forget:
            return self
        mine = {name: value for name, value in self if value is not None and name != "forget"}
        return earlier.model_copy(update=mine)

    def applied_to(self, analysis: AnalysisSection) -> AnalysisSection:
        """The configuration with these options in place.

        Raises
        ------
        InputError
            When they do not go together.
        """
        content = analysis.model_dump()
        for name in ("b0_method", "b1_method", "registration"):
            if getattr(self, name) is not None:
                content[name] = getattr(self, name)
        if self.mrs_method is not None:
            content["mrs"]["method"] = self.mrs_method
        try:
            return AnalysisSection.model_validate(content)
        except ValidationError as fault:
            raise InputError("options: " + "; ".join(validation_lines(fault))) from fault

    @property
    def label_scheme(self) -> str | None:
        """Scheme of the label maps among the regions; None where there are none."""
        schemes = (one.label_scheme for one in self.roi or ())
        return next((scheme for scheme in schemes if scheme is not None), None)

    def words(self) -> tuple[str, ...]:
        """One line for each option that is set, for people."""
        told = self.to_json()
        if self.drop_transients is not None:
            told["drop_transients"] = numbers_text(self.drop_transients) or "none"
        if self.roi is not None:
            told["roi"] = ", ".join(f"file {one.sha256[:12]}" for one in self.roi)
        told.pop("forget", None)
        return tuple(
            f"{name}: {str(value).lower() if isinstance(value, bool) else value}"
            for name, value in told.items()
        )
