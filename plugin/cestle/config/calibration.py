"""B1 calibration files: YAML in, checked curves out."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cestle.cest.b1 import B1Calibration
from cestle.config.templates import validation_lines
from cestle.errors import ConfigError

_Curve = Annotated[tuple[float, ...], Field(min_length=3, strict=False)]


class CalibrationFile(BaseModel):
    """One calibration: what it holds for, where it is from, and the curves.

    The curves are S(b)/S(1) at ±`target_offset_ppm` over the relative B1 b; the tissue is named
    because one curve serves all voxels.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    id: Annotated[str, Field(min_length=1, max_length=48, pattern=r"^[\x21-\x7e]+$")]
    version: Annotated[str, Field(min_length=1, max_length=16)]
    provenance: Literal["model", "measured"]
    how_made: str
    tissue: str
    f0_mhz: Annotated[float, Field(gt=0)]
    b1_rms_ut: Annotated[float, Field(gt=0)]
    saturation_s: Annotated[float, Field(gt=0)]
    target_offset_ppm: Annotated[float, Field(gt=0)]
    relative_b1: _Curve
    negative_ratio: _Curve
    positive_ratio: _Curve


def load_calibration(path: Path) -> B1Calibration:
    """Read a calibration file.

    Raises
    ------
    ConfigError
        When it cannot be read or does not fit; every fault is listed with the file.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        file = CalibrationFile.model_validate(content)
    except ValidationError as fault:
        lines = "; ".join(validation_lines(fault))
        raise ConfigError(f"B1 calibration {path}: {lines}") from fault
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as fault:
        text = " ".join(str(fault).split())
        raise ConfigError(f"B1 calibration {path} cannot be read: {text}") from fault
    return B1Calibration(
        name=f"{file.id} {file.version}",
        provenance=file.provenance,
        f0_mhz=file.f0_mhz,
        b1_rms_ut=file.b1_rms_ut,
        saturation_s=file.saturation_s,
        target_offset_ppm=file.target_offset_ppm,
        relative_b1=np.array(file.relative_b1),
        negative_ratio=np.array(file.negative_ratio),
        positive_ratio=np.array(file.positive_ratio),
    )
