"""B1 correction: what the contrast would be at the nominal saturation amplitude."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.interpolate import PchipInterpolator

from cestle.errors import ConfigError, ProtocolError
from cestle.physics import Real
from cestle.protocol import CestProtocol

FIELD_TOLERANCE = 0.02
"""Relative difference of transmitter frequency at which a calibration is of another field."""


class B1Method(StrEnum):
    """How a B1 that is not nominal is handled."""

    NONE = "none"
    """Not corrected; the relative B1 of each region is reported."""
    DIVIDE = "divide"
    """Contrast divided by relative B1, as one published 7T program does."""
    CALIBRATION = "calibration"
    """Each side of water brought to nominal B1 by a calibration file, before the contrast."""


@dataclass(frozen=True, kw_only=True, eq=False)
class B1Calibration:
    """How the signal at ±3 ppm depends on B1, for one tissue and one protocol.

    Parameters
    ----------
    name
        Name and version that reports state.
    provenance
        "model" when computed, "measured" when acquired at several B1 levels.
    f0_mhz, b1_rms_ut, saturation_s, target_offset_ppm
        The protocol that the curves hold for.
    relative_b1
        Actual over nominal B1 in rising order, containing 1, shape (n,).
    negative_ratio, positive_ratio
        S(b)/S(1) at −target and +target, each of shape (n,), positive.
    """

    name: str
    provenance: str
    f0_mhz: float
    b1_rms_ut: float
    saturation_s: float
    target_offset_ppm: float
    relative_b1: Real
    negative_ratio: Real
    positive_ratio: Real

    def __post_init__(self) -> None:
        b = self.relative_b1
        curves = (self.negative_ratio, self.positive_ratio)
        if len(b) < 3 or not np.all(np.diff(b) > 0) or not b[0] <= 1.0 <= b[-1]:
            raise ConfigError(
                f"B1 calibration {self.name}: relative_b1 must hold at least 3 rising values "
                "around 1; correct the file."
            )
        if any(len(curve) != len(b) or not np.all(curve > 0) for curve in curves):
            raise ConfigError(
                f"B1 calibration {self.name}: each curve must hold {len(b)} positive ratios; "
                "correct the file."
            )

    def require_protocol(self, protocol: CestProtocol, *, f0_mhz: float) -> None:
        """Refuse a series that the curves were not made for.

        Raises
        ------
        ProtocolError
            When field, amplitude, duration or offset differ.
        """
        faults = []
        if abs(f0_mhz / self.f0_mhz - 1.0) > FIELD_TOLERANCE:
            faults.append(f"field {self.f0_mhz:g} MHz instead of {f0_mhz:g}")
        for what, ours, theirs in (
            ("B1rms [µT]", self.b1_rms_ut, protocol.b1_rms_ut),
            ("saturation [s]", self.saturation_s, protocol.saturation_s),
            ("offset [ppm]", self.target_offset_ppm, protocol.target_offset_ppm),
        ):
            if abs(ours - theirs) > 1e-3 * abs(theirs):
                faults.append(f"{what} {ours:g} instead of {theirs:g}")
        if faults:
            raise ProtocolError(
                f"the B1 calibration {self.name} does not fit the series: {', '.join(faults)}; "
                "configure the file of this protocol or b1_method = none."
            )


def to_nominal(signal: Real, relative_b1: Real, *, grid: Real, ratio: Real) -> Real:
    """Bring one side of water to the nominal B1.

    Parameters
    ----------
    signal
        B0-corrected signal, any shape [a.u.].
    relative_b1
        Actual over nominal B1, same shape.
    grid, ratio
        The curve S(b)/S(1) of one side, both of shape (n,).

    Returns
    -------
        Signal at nominal B1, NaN where B1 is unknown or outside the curve, same shape.
    """
    curve = PchipInterpolator(grid, np.log(ratio), extrapolate=False)
    with np.errstate(invalid="ignore"):
        corrected: Real = signal * np.exp(curve(1.0) - curve(relative_b1))
    return corrected
