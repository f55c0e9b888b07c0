"""B1 calibration files, from the model or from a session at several B1 levels."""

from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np

from cestle.config.calibration import CalibrationFile, TissuePart
from cestle.phantom.bloch_mcconnell import SaturationSequence
from cestle.phantom.calibration import MODEL_SOURCE, b1_curves, model_tissues
from cestle.physics import Real
from cestle.protocol import JUPITER_5T_GLUCEST, CestProtocol

MODEL_F0_MHZ: Final = 210.8
MODEL_DATE: Final = date(2026, 1, 15)
"""Date of the model's constants; the file must not depend on the day it is made."""

_MODEL_RANGE: Final = (0.4, 1.6)
_MODEL_POINTS: Final = 25
_DIGITS: Final = 5
_ECHO_S: Final = 0.0065
_INTRAVOXEL_HZ: Final = 2.0


def model_file(protocol: CestProtocol = JUPITER_5T_GLUCEST) -> CalibrationFile:
    """The calibration that the Bloch-McConnell model gives for a protocol."""
    sequence = SaturationSequence(
        b1_rms_ut=protocol.b1_rms_ut,
        saturation_s=protocol.saturation_s,
        repetition_s=protocol.repetition_s,
        echo_s=_ECHO_S,
        f0_mhz=MODEL_F0_MHZ,
        intravoxel_hz=_INTRAVOXEL_HZ,
    )
    target = protocol.target_offset_ppm
    tissues = model_tissues(target_ppm=target, sequence=sequence)
    grid = np.round(np.linspace(*_MODEL_RANGE, _MODEL_POINTS), 6)
    curves = b1_curves(tuple(tissues.values()), grid, target_ppm=target, sequence=sequence)
    parts = {}
    for name, curve in zip(tissues, curves, strict=True):
        parts[name] = TissuePart(
            nominal_negative=_rounded(curve.nominal_negative),
            nominal_positive=_rounded(curve.nominal_positive),
            negative_ratio=_listed(curve.negative),
            positive_ratio=_listed(curve.positive),
        )
    return _file(
        id="jupiter_5t_glucest-model",
        provenance="model",
        how_made=MODEL_SOURCE,
        made_on=MODEL_DATE,
        subjects=0,
        f0_mhz=MODEL_F0_MHZ,
        protocol=protocol,
        relative_b1=grid,
        parts=parts,
    )


def _file(
    *,
    id: str,
    provenance: str,
    how_made: str,
    made_on: date,
    subjects: int,
    f0_mhz: float,
    protocol: CestProtocol,
    relative_b1: Real,
    parts: Mapping[str, TissuePart],
) -> CalibrationFile:
    return CalibrationFile.model_validate(
        {
            "id": id,
            "version": "1",
            "provenance": provenance,
            "how_made": how_made,
            "date": made_on.isoformat(),
            "subjects": subjects,
            "f0_mhz": f0_mhz,
            "b1_rms_ut": protocol.b1_rms_ut,
            "saturation_s": protocol.saturation_s,
            "repetition_s": protocol.repetition_s,
            "offsets_ppm": tuple(sorted(set(protocol.offsets_ppm))),
            "target_offset_ppm": protocol.target_offset_ppm,
            "tissue": "grey",
            "relative_b1": _listed(relative_b1),
            "tissues": dict(parts),
        }
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _listed(values: Real) -> tuple[float, ...]:
    return tuple(_rounded(float(value)) for value in values)
