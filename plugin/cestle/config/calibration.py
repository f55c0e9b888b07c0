"""B1 calibration files: YAML in, checked curves out, and back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cestle.cest.b1 import B1Calibration, TissueCurve
from cestle.cest.tissue import TissueClass
from cestle.config.templates import read_model

_Curve = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=3, strict=False)]
_Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class TissuePart(_Part):
    """The curves of one tissue.

    `negative_ratio` and `positive_ratio` are S(b)/S(1) at ∓`target_offset_ppm`;
    `nominal_negative` and `nominal_positive` are S(1), in one unit for all tissues.
    """

    nominal_negative: _Positive
    nominal_positive: _Positive
    negative_ratio: _Curve
    positive_ratio: _Curve


class CalibrationFile(_Part):
    """One calibration: what it holds for, where it is from, and the curves of each tissue.

    `tissue` names the one that serves voxels whose tissue is not known.
    """

    id: Annotated[str, Field(min_length=1, max_length=48, pattern=r"^[\x21-\x7e]+$")]
    version: Annotated[str, Field(min_length=1, max_length=16)]
    provenance: Literal["model", "measured"]
    how_made: str
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    subjects: Annotated[int, Field(ge=0)]
    f0_mhz: _Positive
    b1_rms_ut: _Positive
    saturation_s: _Positive
    repetition_s: _Positive
    offsets_ppm: Annotated[tuple[float, ...], Field(min_length=2, strict=False)]
    target_offset_ppm: _Positive
    tissue: Literal["grey", "white", "fluid"]
    relative_b1: _Curve
    tissues: Annotated[Mapping[Literal["grey", "white", "fluid"], TissuePart], Field(min_length=1)]

    @model_validator(mode="after")
    def _measured_on_people(self) -> Self:
        if (self.provenance == "measured") != (self.subjects > 0):
            raise ValueError(
                f"provenance is {self.provenance} with {self.subjects} subjects; expected at "
                "least 1 for measured and 0 for model"
            )
        return self

    def calibration(self) -> B1Calibration:
        """The curves as the correction uses them.

        Raises
        ------
        ConfigError
            When the curves do not fit each other.
        """
        curves = {}
        for name, part in self.tissues.items():
            curves[TissueClass(name)] = TissueCurve(
                negative=part.nominal_negative * np.array(part.negative_ratio),
                positive=part.nominal_positive * np.array(part.positive_ratio),
            )
        return B1Calibration(
            name=f"{self.id} {self.version}",
            provenance=self.provenance,
            made_on=self.date,
            subjects=self.subjects,
            f0_mhz=self.f0_mhz,
            b1_rms_ut=self.b1_rms_ut,
            saturation_s=self.saturation_s,
            repetition_s=self.repetition_s,
            offsets_ppm=self.offsets_ppm,
            target_offset_ppm=self.target_offset_ppm,
            relative_b1=np.array(self.relative_b1),
            curves=curves,
            tissue=TissueClass(self.tissue),
        )


def load_calibration(path: Path) -> B1Calibration:
    """Read a calibration file.

    Raises
    ------
    ConfigError
        When it cannot be read or does not fit; every fault is listed with the file.
    """
    return read_model(path, CalibrationFile, what="B1 calibration").calibration()


def calibration_text(file: CalibrationFile) -> str:
    """The file as YAML; equal content gives equal text."""
    content = file.model_dump(mode="json")
    return yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, width=99, default_flow_style=None
    )
