"""B1 correction: what the contrast would be at the nominal saturation amplitude."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.interpolate import PchipInterpolator

from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.cest.zspectrum import OFFSET_TOLERANCE_PPM
from cestle.errors import ConfigError, GeometryError, ProtocolError
from cestle.physics import Real
from cestle.protocol import CestProtocol

FIELD_TOLERANCE = 0.02
"""Relative difference of transmitter frequency at which a calibration is of another field."""

_MEASURED: Final = "measured"
_ERROR_MODEL: Final = {False: 0.3, True: 0.25}
_ERROR_MEASURED: Final = {False: 0.2, True: 0.1}
"""Error over correction without and with tissue shares. On the phantoms a model errs by 0.30 and
0.26 of what it corrects, a file without error of the very chemistry by 0.16 and 0.05."""

_LEAST_SHARE: Final = 0.5
"""A voxel of which less is calibrated tissue takes the curve of the calibration's one tissue."""


class B1Method(StrEnum):
    """How a B1 that is not nominal is handled."""

    NONE = "none"
    """Not corrected; the relative B1 of each region is reported."""
    DIVIDE = "divide"
    """Contrast divided by relative B1, as one published 7T program does."""
    ADDITIVE = "additive"
    """The contrast that the calibrated tissue gains from actual to nominal B1 is added."""
    CALIBRATION = "calibration"
    """Each side of water brought to nominal B1 by a calibration file, before the contrast."""

    @property
    def needs_calibration(self) -> bool:
        """Whether the method reads a calibration file."""
        return self in (B1Method.ADDITIVE, B1Method.CALIBRATION)


@dataclass(frozen=True, kw_only=True, eq=False)
class TissueCurve:
    """Signals of one tissue over B1, in a unit that all tissues of a calibration share.

    Parameters
    ----------
    negative, positive
        S(b) at −target and +target, each of shape (n,), positive [a.u.].
    """

    negative: Real
    positive: Real


@dataclass(frozen=True, kw_only=True, eq=False)
class B1Calibration:
    """How the signals at ±3 ppm depend on B1, for the tissues and one protocol.

    Parameters
    ----------
    name
        Name and version that reports state.
    provenance
        "model" when computed, "measured" when acquired at several B1 levels.
    made_on
        Date of the file, ISO 8601.
    subjects
        Number of people behind it, 0 for a model.
    f0_mhz, b1_rms_ut, saturation_s, repetition_s, offsets_ppm, target_offset_ppm
        The protocol that the curves hold for.
    relative_b1
        Actual over nominal B1 in rising order, around 1, shape (n,).
    curves
        Each tissue's signals.
    tissue
        The one that is used for voxels whose tissue is not known.
    """

    name: str
    provenance: str
    made_on: str
    subjects: int
    f0_mhz: float
    b1_rms_ut: float
    saturation_s: float
    repetition_s: float
    offsets_ppm: tuple[float, ...]
    target_offset_ppm: float
    relative_b1: Real
    curves: Mapping[TissueClass, TissueCurve]
    tissue: TissueClass

    def __post_init__(self) -> None:
        b = self.relative_b1
        if len(b) < 3 or not np.all(np.diff(b) > 0) or not b[0] <= 1.0 <= b[-1]:
            raise ConfigError(
                f"B1 calibration {self.name}: relative_b1 must hold at least 3 rising values "
                "around 1; correct the file."
            )
        if self.tissue not in self.curves:
            raise ConfigError(
                f"B1 calibration {self.name}: no curve of the tissue {self.tissue}; correct the "
                "file."
            )
        for tissue, curve in self.curves.items():
            for side in (curve.negative, curve.positive):
                if len(side) != len(b) or not np.all(side > 0):
                    raise ConfigError(
                        f"B1 calibration {self.name}: each curve of {tissue} must hold {len(b)} "
                        "positive signals; correct the file."
                    )

    def require_protocol(self, protocol: CestProtocol, *, f0_mhz: float, offsets_ppm: Real) -> None:
        """Refuse a series that the curves were not made for.

        Parameters
        ----------
        protocol
            What the site says it acquires.
        f0_mhz
            Transmitter frequency of the series [MHz].
        offsets_ppm
            Saturation offsets of the series, repeats included, shape (offsets,) [ppm].

        Raises
        ------
        ProtocolError
            When field, amplitude, timing or offsets differ.
        """
        faults = []
        if abs(f0_mhz / self.f0_mhz - 1.0) > FIELD_TOLERANCE:
            faults.append(f"field {self.f0_mhz:g} MHz instead of {f0_mhz:g}")
        for what, ours, theirs in (
            ("B1rms [µT]", self.b1_rms_ut, protocol.b1_rms_ut),
            ("saturation [s]", self.saturation_s, protocol.saturation_s),
            ("TR [s]", self.repetition_s, protocol.repetition_s),
            ("target offset [ppm]", self.target_offset_ppm, protocol.target_offset_ppm),
        ):
            if abs(ours - theirs) > 1e-3 * abs(theirs):
                faults.append(f"{what} {ours:g} instead of {theirs:g}")
        mine, found = _distinct(np.array(self.offsets_ppm)), _distinct(offsets_ppm)
        if len(mine) != len(found) or np.max(np.abs(mine - found)) > OFFSET_TOLERANCE_PPM:
            faults.append(f"offsets [ppm] {_listed(mine)} instead of {_listed(found)}")
        if faults:
            raise ProtocolError(
                f"the B1 calibration {self.name} does not fit the series: {', '.join(faults)}; "
                "configure the file of this protocol or b1_method = none."
            )


def correction_error(calibration: B1Calibration | None, *, tissue_known: bool) -> float:
    """Standard error of a B1 correction, as a share of the correction.

    Parameters
    ----------
    calibration
        What corrects; None for a correction without a file.
    tissue_known
        Whether the shares of the tissues are known.

    Returns
    -------
        For a model the root mean square over phantoms of three chemistries; what is measured
        errs less there, and is given twice that for what one volunteer does not tell of others.
    """
    if calibration is not None and calibration.provenance == _MEASURED:
        return _ERROR_MEASURED[tissue_known]
    return _ERROR_MODEL[tissue_known and calibration is not None]


def _distinct(offsets_ppm: Real) -> Real:
    """Offsets in rising order without their repeats."""
    ordered = np.sort(offsets_ppm)
    distinct: Real = ordered[np.append(True, np.diff(ordered) > OFFSET_TOLERANCE_PPM)]
    return distinct


def _listed(offsets_ppm: Real) -> str:
    return " ".join(f"{offset:g}" for offset in np.round(offsets_ppm, 3))


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpectedSignals:
    """What the calibration expects of each voxel, at its own and at nominal B1.

    Parameters
    ----------
    negative, positive
        At the voxel's own B1, shape (slices, rows, columns) [unit of the calibration]; NaN where
        B1 is unknown or outside the curves.
    nominal_negative, nominal_positive
        At nominal B1, same shape.
    """

    negative: Real
    positive: Real
    nominal_negative: Real
    nominal_positive: Real


def expected_signals(
    calibration: B1Calibration, relative_b1: Real, fractions: TissueFractions | None
) -> ExpectedSignals:
    """Signals of each voxel's mixture of tissues.

    Signals of tissues in one voxel add, contrasts and logarithms do not; so the mixture is made
    before either is formed.

    Parameters
    ----------
    calibration
        The curves; read by monotone interpolation of ln S between their points.
    relative_b1
        Actual over nominal B1, shape (slices, rows, columns).
    fractions
        Shares of the tissues on the same voxels; None when they are not known, then every voxel
        is the one tissue that the calibration names.

    Raises
    ------
    GeometryError
        When the shares have another shape.
    """
    shares = _shares(calibration, relative_b1.shape, fractions)
    sums = np.zeros((4, *relative_b1.shape))
    for tissue, share in shares.items():
        curve = calibration.curves[tissue]
        for number, side in enumerate((curve.negative, curve.positive)):
            logarithm = PchipInterpolator(calibration.relative_b1, np.log(side), extrapolate=False)
            sums[number] += share * np.exp(logarithm(relative_b1))
            sums[number + 2] += share * float(np.exp(logarithm(1.0)))
    return ExpectedSignals(
        negative=sums[0],
        positive=sums[1],
        nominal_negative=sums[2],
        nominal_positive=sums[3],
    )


def _shares(
    calibration: B1Calibration, shape: tuple[int, ...], fractions: TissueFractions | None
) -> dict[TissueClass, Real]:
    """Share of each calibrated tissue, summing to 1."""
    if fractions is None:
        return {calibration.tissue: np.ones(shape)}
    if fractions.grey.shape != shape:
        raise GeometryError(
            f"the tissue shares have shape {fractions.grey.shape}, {shape} was expected; "
            "resample them to the CEST grid."
        )
    total = np.sum([fractions.of(tissue) for tissue in calibration.curves], axis=0)
    known = total >= _LEAST_SHARE
    return {
        tissue: np.where(
            known,
            fractions.of(tissue) / np.where(known, total, 1.0),
            1.0 if tissue is calibration.tissue else 0.0,
        )
        for tissue in calibration.curves
    }
