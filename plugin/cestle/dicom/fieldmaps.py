"""B0, B1 and vendor maps in the units of the core, checked for plausibility."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from cestle.dicom.images import (
    Slice,
    Volume,
    read_values,
    require_lossless,
    scaling,
    stack,
    transmitter_mhz,
)
from cestle.dicom.saturation import SAME_FREQUENCY_PPM
from cestle.errors import HeaderError, ProtocolError
from cestle.physics import Real, hz_to_ppm
from cestle.study.roles import B0Encoding, B0Unit, B1Encoding, B1Unit, Rule, VendorMapUnit

# Proposed limits, none measured at 5T: a unit taken for another misses them by far.
MAX_MEDIAN_B0_PPM: Final = 0.5
MAX_B0_PPM: Final = 1.5
FLATTEST_B0_PPM: Final = 0.004
ONE_SIDED_B0_PPM: Final = 0.15
MEDIAN_RELATIVE_B1: Final = (0.6, 1.4)
RELATIVE_B1: Final = (0.2, 2.0)


def read_b0_hz(slices: Sequence[Slice], *, f0_mhz: float | None = None) -> tuple[Volume, Real]:
    """Frequency of each voxel's own water minus the transmitter's.

    Parameters
    ----------
    slices
        The slices of one B0 map.
    f0_mhz
        Transmitter frequency, needed for maps in ppm [MHz].

    Returns
    -------
        The volume, and its values in the shape of its grid [Hz].

    Raises
    ------
    ProtocolError
        When the object declares another unit than the rule, or a map in ppm has no frequency.
    GeometryError
        When the slices form no volume.
    HeaderError
        When pixels are truncated or cannot be decoded.
    """
    rule = _rule(slices)
    encoding = rule.b0
    if encoding is None:
        raise ProtocolError(f"rule {rule.name} declares no unit for the B0 map.")
    if encoding.unit is B0Unit.DECLARED:
        encoding = replace(encoding, unit=_declared_b0_unit(slices, rule))
    declared = "" if encoding.unit is B0Unit.PPM_1000 else encoding.unit.value
    volume, values = _quantities(slices, rule, name="the B0 map", unit=declared)
    return volume, _to_hz(values * encoding.factor, encoding, f0_mhz)


def _declared_b0_unit(slices: Sequence[Slice], rule: Rule) -> B0Unit:
    units = {scaling(one.facts).unit for one in slices}
    if len(units) != 1 or not units <= {B0Unit.HZ.value, B0Unit.PPM.value}:
        raise ProtocolError(
            f"the B0 map declares neither Hz nor ppm, but rule {rule.name} relies on it; name the "
            f"unit in {rule.source}."
        )
    return B0Unit(units.pop())


def _to_hz(values: Real, encoding: B0Encoding, f0_mhz: float | None) -> Real:
    match encoding.unit:
        case B0Unit.HZ:
            return encoding.sign * values
        case B0Unit.RADIAN:
            if encoding.delta_te_ms is None:
                raise ProtocolError("the B0 map is a phase but no delta_te_ms is configured.")
            return encoding.sign * values / (2.0 * np.pi * encoding.delta_te_ms * 1e-3)
        case B0Unit.PPM | B0Unit.PPM_1000:
            if f0_mhz is None:
                raise ProtocolError(
                    "the B0 map is in ppm but no transmitter frequency is known; send the CEST "
                    "series with it."
                )
            thousandth = 1e-3 if encoding.unit is B0Unit.PPM_1000 else 1.0
            return encoding.sign * values * thousandth * f0_mhz
        case B0Unit.DECLARED:
            raise ProtocolError("the B0 map has no unit; name it in the classification rules.")


def read_b0_ppm(slices: Sequence[Slice], *, f0_mhz: float) -> tuple[Volume, Real]:
    """The B0 map in ppm of the transmitter frequency of the CEST series.

    Parameters
    ----------
    slices
        The slices of one B0 map.
    f0_mhz
        Transmitter frequency of the CEST series [MHz].

    Raises
    ------
    ProtocolError
        As `read_b0_hz`, and when the map was made with another transmitter frequency.
    GeometryError, HeaderError
        As `read_b0_hz`.
    """
    _require_one_transmitter(slices, f0_mhz)
    volume, values_hz = read_b0_hz(slices, f0_mhz=f0_mhz)
    return volume, hz_to_ppm(values_hz, f0_mhz=f0_mhz)


def _require_one_transmitter(slices: Sequence[Slice], f0_mhz: float) -> None:
    """A map tells the distance from its own transmitter frequency, not from another series'."""
    for one in slices:
        own = transmitter_mhz(one.facts)
        if own is not None and abs(own - f0_mhz) > SAME_FREQUENCY_PPM * 1e-6 * f0_mhz:
            raise ProtocolError(
                f"the B0 map has the transmitter frequency {own:.6f} MHz and the CEST series "
                f"{f0_mhz:.6f} MHz; one frequency was expected. Acquire the B0 map without a new "
                "frequency adjustment."
            )


def require_plausible_b0(b0_shift_ppm: Real, slices: Sequence[Slice]) -> None:
    """Refuse values that cannot be a shim in the configured unit.

    Parameters
    ----------
    b0_shift_ppm
        Values of the voxels with signal, shape (voxels,) [ppm].
    slices
        The slices of the map, for its rule.

    Raises
    ------
    ProtocolError
        When they are too large, too flat or all on one side of the transmitter.
    """
    if b0_shift_ppm.size == 0:
        return
    rule = _rule(slices)
    unit = rule.b0.unit if rule.b0 is not None else ""
    size = np.abs(b0_shift_ppm)
    median, most = float(np.median(size)), float(np.percentile(size, 99.0))
    hint = f"The unit of rule {rule.name} is {unit}; correct it in {rule.source}."
    if median >= MAX_MEDIAN_B0_PPM:
        raise ProtocolError(
            f"the B0 median is {median:.3g} ppm; less than {MAX_MEDIAN_B0_PPM} ppm was expected. "
            f"{hint}"
        )
    if most >= MAX_B0_PPM:
        raise ProtocolError(
            f"1 % of the B0 map is beyond {most:.3g} ppm; less than {MAX_B0_PPM} ppm was "
            f"expected. {hint}"
        )
    nearest = float(np.percentile(b0_shift_ppm * np.sign(np.median(b0_shift_ppm)), 1.0))
    if nearest > ONE_SIDED_B0_PPM:
        raise ProtocolError(
            f"99 % of the B0 map is more than {nearest:.2g} ppm to one side of the transmitter; "
            "a shimmed head lies on both sides. Check that it is no B1 map and that the frequency "
            f"was adjusted. {hint}"
        )
    # An exactly flat map is a phantom's; tiny numbers are ppm taken for Hz.
    if 0.0 < most < FLATTEST_B0_PPM:
        raise ProtocolError(
            f"99 % of the B0 map is within {most:.2g} ppm, flatter than any head; more than "
            f"{FLATTEST_B0_PPM} ppm was expected. {hint}"
        )


def read_relative_b1(slices: Sequence[Slice]) -> tuple[Volume, Real]:
    """The B1 map as actual over nominal amplitude, NaN where the map holds 0.

    Raises
    ------
    ProtocolError
        When the object declares another unit than the rule.
    GeometryError, HeaderError
        As `read_b0_hz`.
    """
    rule = _rule(slices)
    if rule.b1 is None:
        raise ProtocolError(f"rule {rule.name} declares no unit for the B1 map.")
    declared = "%" if rule.b1.unit is B1Unit.PERCENT else ""
    volume, values = _quantities(slices, rule, name="the B1 map", unit=declared)
    relative_b1 = values / _nominal(rule.b1)
    return volume, np.where(relative_b1 > 0.0, relative_b1, np.nan)


def _nominal(encoding: B1Encoding) -> float:
    """Number that stands for the nominal amplitude."""
    match encoding.unit:
        case B1Unit.PERCENT:
            return 100.0
        case B1Unit.RELATIVE:
            return 1.0
        case B1Unit.DEGREE:
            return encoding.nominal_flip_deg or np.nan
        case B1Unit.DEGREE_10:
            return 10.0 * (encoding.nominal_flip_deg or np.nan)


def require_plausible_b1(relative_b1: Real, slices: Sequence[Slice]) -> None:
    """Refuse values that cannot be a B1 map in the configured unit.

    Parameters
    ----------
    relative_b1
        Values of the voxels with signal, NaN where unknown, shape (voxels,) [1 = nominal].
    slices
        The slices of the map, for its rule.

    Raises
    ------
    ProtocolError
        When median or range are those of another unit.
    """
    relative_b1 = relative_b1[np.isfinite(relative_b1)]
    if relative_b1.size == 0:
        return
    rule = _rule(slices)
    unit = rule.b1.unit if rule.b1 is not None else ""
    hint = f"The unit of rule {rule.name} is {unit}; correct it in {rule.source}."
    median = float(np.median(relative_b1))
    low, high = MEDIAN_RELATIVE_B1
    if not low <= median <= high:
        raise ProtocolError(
            f"the median of the relative B1 is {median:.3g}; {low} to {high} was expected. {hint}"
        )
    least, most = (float(np.percentile(relative_b1, share)) for share in (1.0, 99.0))
    low, high = RELATIVE_B1
    if least < low or most > high:
        raise ProtocolError(
            f"the relative B1 reaches from {least:.3g} to {most:.3g}; {low} to {high} was "
            f"expected. {hint}"
        )


def read_vendor_map(slices: Sequence[Slice]) -> tuple[Volume, Real, bool]:
    """The scanner's own GluCEST map in percent, or in unknown units, and whether they are known.

    Raises
    ------
    ProtocolError, GeometryError, HeaderError
        As `read_b0_hz`.
    """
    rule = _rule(slices)
    unit = rule.vendor_unit or VendorMapUnit.UNKNOWN
    declared = "%" if unit is VendorMapUnit.PERCENT else ""
    volume, values = _quantities(slices, rule, name="the vendor's GluCEST map", unit=declared)
    factor = 0.01 if unit is VendorMapUnit.PERCENT_100 else 1.0
    return volume, values * factor, unit is not VendorMapUnit.UNKNOWN


def _rule(slices: Sequence[Slice]) -> Rule:
    rule = slices[0].classified.rule
    if rule is None:
        raise ProtocolError(
            f"series {slices[0].facts.series_instance_uid} has a role without a rule; a rule "
            "with a unit was expected."
        )
    return rule


def _quantities(
    slices: Sequence[Slice], rule: Rule, *, name: str, unit: str
) -> tuple[Volume, Real]:
    volume = stack(slices, name=name)
    require_lossless(slices, name=name)
    scalings = {index: scaling(one.facts) for index, one in enumerate(volume.slices)}
    declared = {scale.unit for scale in scalings.values()} - {""}
    if declared and declared != {unit}:
        raise ProtocolError(
            f"{name} declares the unit {', '.join(sorted(declared))} but rule {rule.name} says "
            f"{_configured(rule)}; correct the rule in {rule.source}."
        )
    values = read_values(volume.slices, scalings)
    if not np.all(np.isfinite(values)):
        raise HeaderError(f"{name} holds values that are no numbers; send it again.")
    return volume, values


def _configured(rule: Rule) -> str:
    for encoding in (rule.b0, rule.b1):
        if encoding is not None:
            return encoding.unit.value
    return "" if rule.vendor_unit is None else rule.vendor_unit.value
