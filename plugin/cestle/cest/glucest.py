"""The formula, and the whole way from saturation images to a map."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from cestle.cest.b0 import B0Method, CorrectedSide, correct_side
from cestle.cest.b0map import smooth_b0
from cestle.cest.b1 import B1Calibration, B1Method, expected_signals
from cestle.cest.images import FieldMaps, GluCestMap, SaturationImages
from cestle.cest.tissue import (
    Classes,
    TissueFractions,
    classes_from_fractions,
    classes_from_images,
)
from cestle.cest.zspectrum import ZSpectrumSide, noise_from_repeats, split_sides
from cestle.errors import ConfigError, InputError, ProtocolError
from cestle.geometry import require_same_grid
from cestle.physics import Bool, Real
from cestle.protocol import JUPITER_5T_GLUCEST, CestProtocol

FOREGROUND_FRACTION: Final = 0.05
"""Share of the brightest signal above which a voxel serves the noise estimate."""


@dataclass(frozen=True, kw_only=True)
class GluCestSettings:
    """How the map is made.

    Parameters
    ----------
    b0_method, b1_method
        The corrections.
    b1_calibration
        Curves for `B1Method.CALIBRATION` and `B1Method.ADDITIVE`.
    protocol
        What the site says it acquires; the calibration must fit it.
    max_b0_shift_ppm
        Voxels further off are masked: beyond the outer offsets the value is extrapolated [ppm].
    relative_b1_range
        Voxels outside are masked [1].
    min_signal_snr
        Voxels whose S(−3 ppm) is below this many noise standard deviations are masked.
    smooth_b0
        Whether the B0 map is smoothed lightly before use, edges kept.
    """

    b0_method: B0Method = B0Method.POOLED
    b1_method: B1Method = B1Method.NONE
    b1_calibration: B1Calibration | None = None
    protocol: CestProtocol = field(default=JUPITER_5T_GLUCEST)
    max_b0_shift_ppm: float = 0.4
    relative_b1_range: tuple[float, float] = (0.6, 1.4)
    min_signal_snr: float = 5.0
    smooth_b0: bool = False


def glucest_percent(sat_negative: Real, sat_positive: Real) -> Real:
    """GluCEST contrast from one pair of corrected saturation images.

    Parameters
    ----------
    sat_negative
        Signal saturated at −3 ppm, any shape [a.u.].
    sat_positive
        Signal saturated at +3 ppm, on the amine resonance, same shape [a.u.].

    Returns
    -------
        100 · (S(−3) − S(+3)) / S(−3), same shape [%]; NaN where S(−3) is not positive. The
        denominator is S(−3), not S0 as in MTRasym.

    References
    ----------
    Cai K et al. Nat Med 2012;18:302-306. doi:10.1038/nm.2615
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        percent: Real = np.where(
            sat_negative > 0.0, 100.0 * (sat_negative - sat_positive) / sat_negative, np.nan
        )
    return percent


def compute_glucest(
    images: SaturationImages,
    fields: FieldMaps | None,
    settings: GluCestSettings,
    *,
    tissue_fractions: TissueFractions | None = None,
) -> GluCestMap:
    """The map of one study.

    Parameters
    ----------
    images
        Saturation images, repeats kept apart.
    fields
        B0 and B1; None only for `B0Method.NONE` with `B1Method.NONE`.
    settings
        How the map is made.
    tissue_fractions
        Shares of the tissues on the grid of `images`, when a segmentation is there.

    Raises
    ------
    InputError
        When a map that the settings need is missing, or offsets or grids do not fit.
    """
    b0_shift_ppm = _b0_shift(images, fields, settings)
    relative_b1 = None if fields is None else fields.relative_b1
    negative, positive = split_sides(images)
    target = settings.protocol.target_offset_ppm
    _require_target(negative, target, sign=-1)
    _require_target(positive, target, sign=1)
    classes = _classes(negative, positive, tissue_fractions)
    noise = noise_from_repeats(images, _foreground(negative))
    corrected_negative = correct_side(
        negative, target - b0_shift_ppm, settings.b0_method, classes=classes, noise=noise
    )
    corrected_positive = correct_side(
        positive, target + b0_shift_ppm, settings.b0_method, classes=classes, noise=noise
    )
    valid = _valid(corrected_negative, b0_shift_ppm, relative_b1, noise, settings)
    percent, scale = _contrast(
        corrected_negative.signal,
        corrected_positive.signal,
        images,
        relative_b1,
        settings,
        tissue_fractions,
    )
    error = scale * _standard_error(corrected_negative, corrected_positive, noise)
    valid = valid & np.isfinite(percent)
    return GluCestMap(
        percent=np.where(valid, percent, np.nan),
        standard_error=np.where(valid, error, np.nan),
        valid=valid,
        grid=images.grid,
        reference=corrected_negative.signal,
    )


def _b0_shift(
    images: SaturationImages, fields: FieldMaps | None, settings: GluCestSettings
) -> Real:
    if settings.b0_method is B0Method.NONE:
        return np.zeros(images.grid.shape)
    if fields is None:
        raise InputError(
            "no B0 map was found; at 5T one hertz moves GluCEST by 0.3 percentage points, so no "
            "map is made without it. Send the B0 map acquired with the CEST geometry."
        )
    require_same_grid(images.grid, fields.grid, name_a="the CEST series", name_b="the B0 map")
    return smooth_b0(fields.b0_shift_ppm) if settings.smooth_b0 else fields.b0_shift_ppm


def _classes(
    negative: ZSpectrumSide, positive: ZSpectrumSide, fractions: TissueFractions | None
) -> Classes:
    if fractions is None:
        return classes_from_images(negative, positive)
    return classes_from_fractions(fractions)


def _require_target(side: ZSpectrumSide, target_ppm: float, *, sign: int) -> None:
    if not side.distance_ppm[0] - 1e-6 <= target_ppm <= side.distance_ppm[-1] + 1e-6:
        found = ", ".join(f"{sign * distance:+.2f}" for distance in side.distance_ppm)
        raise ProtocolError(
            f"the offsets {found} ppm do not enclose {sign * target_ppm:+.2f} ppm; "
            "check the offsets of the CEST series or the protocol in the classification rules."
        )


def _foreground(side: ZSpectrumSide) -> Bool:
    image = side.signal.mean(axis=0)
    mask: Bool = image > FOREGROUND_FRACTION * np.percentile(image, 99.0)
    return mask


def _valid(
    negative: CorrectedSide,
    b0_shift_ppm: Real,
    relative_b1: Real | None,
    noise: float | None,
    settings: GluCestSettings,
) -> Bool:
    with np.errstate(invalid="ignore"):
        valid: Bool = np.abs(b0_shift_ppm) <= settings.max_b0_shift_ppm
        if relative_b1 is not None:
            low, high = settings.relative_b1_range
            valid = valid & (relative_b1 >= low) & (relative_b1 <= high)
        signal = negative.signal
        floor = FOREGROUND_FRACTION * np.nanpercentile(np.where(signal > 0, signal, np.nan), 99.0)
        valid = valid & (signal > floor)
        if noise is not None:
            valid = valid & (signal > settings.min_signal_snr * noise)
    return valid


def _contrast(
    negative: Real,
    positive: Real,
    images: SaturationImages,
    relative_b1: Real | None,
    settings: GluCestSettings,
    fractions: TissueFractions | None,
) -> tuple[Real, Real]:
    """The contrast after the B1 step [%], and the factor by which that step scaled its noise."""
    plain = glucest_percent(negative, positive)
    method = settings.b1_method
    if method is B1Method.NONE:
        return plain, np.ones_like(plain)
    if relative_b1 is None:
        raise InputError(
            f"no B1 map was found, b1_method = {method} needs one; send the B1 map "
            "acquired with the CEST geometry or configure b1_method = none."
        )
    if method is B1Method.DIVIDE:
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(relative_b1 > 0.0, 1.0 / relative_b1, np.nan)
        return plain * scale, scale
    calibration = settings.b1_calibration
    if calibration is None:
        raise ConfigError(
            f"b1_method = {method} but no calibration file is configured; set "
            "b1_calibration_file or choose another b1_method."
        )
    calibration.require_protocol(
        settings.protocol, f0_mhz=images.f0_mhz, offsets_ppm=images.offsets_ppm
    )
    expected = expected_signals(calibration, relative_b1, fractions)
    at_nominal = glucest_percent(expected.nominal_negative, expected.nominal_positive)
    if method is B1Method.ADDITIVE:
        as_acquired = glucest_percent(expected.negative, expected.positive)
        return plain + at_nominal - as_acquired, np.ones_like(plain)
    to_negative = expected.nominal_negative / expected.negative
    to_positive = expected.nominal_positive / expected.positive
    corrected = glucest_percent(negative * to_negative, positive * to_positive)
    return corrected, to_positive / to_negative


def _standard_error(negative: CorrectedSide, positive: CorrectedSide, noise: float | None) -> Real:
    """Noise of 100·(1 − S₊/S₋), to first order [percentage points]."""
    if noise is None:
        return np.full(negative.signal.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = positive.signal / negative.signal
        relative = (
            negative.variance_factor / negative.signal**2
            + positive.variance_factor / positive.signal**2
        )
        error: Real = 100.0 * np.abs(ratio) * noise * np.sqrt(relative)
    return error
