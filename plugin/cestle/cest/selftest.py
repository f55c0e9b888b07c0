"""Whether the B0 map fits the images: the factor that it would have to be multiplied by.

After a right correction GluCEST does not depend on the B0 shift. The map is therefore corrected
with the B0 map as it is and with its sign flipped, and the slope of GluCEST against the shift is
taken of both. From the two slopes follows the factor that would make the slope vanish: 1 for a
right map, −1 for a flipped sign, 2 for a map at half its scale. Anatomy and B1, which may happen
to follow the field, are taken out by the mean signal and the relative B1 of each voxel.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.ndimage import binary_erosion

from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.measurement import MAD_TO_SD
from cestle.physics import Bool, Real

DOUBTFUL_DEVIATION: Final = 0.2
"""Deviation of the factor from 1 that is worth 10 percentage points per ppm at 5T."""
WRONG_DEVIATION: Final = 0.35
LEAST_SPREAD_PPM: Final = 0.03
LEAST_VOXELS: Final = 400
LEAST_SENSITIVITY: Final = 20.0
"""Below this change of slope [percentage points / ppm] only the sign can be judged."""
_INNER_SHIFT_PPM: Final = 0.3
_EROSION_VOXELS: Final = 3
_HUBER: Final = 2.0
_ROUNDS: Final = 20


class Fit(StrEnum):
    """Whether the B0 map fits the images."""

    RIGHT = "right"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """Outcome of the test.

    Parameters
    ----------
    fit
        The verdict.
    factor
        What the B0 map would have to be multiplied by [1]; None when it cannot be tested.
    spread_ppm
        Standard deviation of the B0 shift over the voxels used [ppm].
    """

    fit: Fit
    factor: float | None
    spread_ppm: float


def check_b0_map(
    images: SaturationImages, fields: FieldMaps, settings: GluCestSettings
) -> SelfTest:
    """Estimate the factor that the B0 map would have to be multiplied by.

    Parameters
    ----------
    images, fields
        The measurement.
    settings
        How the map is made; the B1 step is left out here.

    Returns
    -------
        The verdict. A nearly uniform field cannot be tested: a wrong sign then does little harm.
    """
    plain = replace(settings, b1_method=B1Method.NONE)
    flipped_fields = FieldMaps(
        b0_shift_ppm=-fields.b0_shift_ppm, relative_b1=fields.relative_b1, grid=fields.grid
    )
    as_it_is = compute_glucest(images, fields, plain)
    flipped = compute_glucest(images, flipped_fields, plain)
    used = _inner(as_it_is.valid & flipped.valid, fields)
    shift = fields.b0_shift_ppm[used]
    spread = float(np.std(shift)) if shift.size else 0.0
    if shift.size < LEAST_VOXELS or spread < LEAST_SPREAD_PPM:
        return SelfTest(fit=Fit.NOT_TESTABLE, factor=None, spread_ppm=spread)
    others = _covariates(images, fields, used)
    slope = _slope(shift, others, as_it_is.percent[used])
    sensitivity = 0.5 * (_slope(shift, others, flipped.percent[used]) - slope)
    if abs(sensitivity) < 1.0:
        return SelfTest(fit=Fit.NOT_TESTABLE, factor=None, spread_ppm=spread)
    factor = 1.0 + slope / abs(sensitivity)
    return SelfTest(fit=_verdict(factor, abs(sensitivity)), factor=factor, spread_ppm=spread)


def _verdict(factor: float, sensitivity: float) -> Fit:
    if factor <= 0.0:
        return Fit.WRONG
    deviation = abs(factor - 1.0)
    if sensitivity < LEAST_SENSITIVITY or deviation <= DOUBTFUL_DEVIATION:
        return Fit.RIGHT
    return Fit.WRONG if deviation > WRONG_DEVIATION else Fit.DOUBTFUL


def _inner(valid: Bool, fields: FieldMaps) -> Bool:
    """Voxels away from edges, where fat, motion and partial volume rule."""
    cross = np.zeros((3, 3, 3), dtype=np.bool_)
    cross[1, 1, :] = cross[1, :, 1] = True
    solid = binary_erosion(valid, structure=cross, iterations=_EROSION_VOXELS)
    with np.errstate(invalid="ignore"):
        inner: Bool = solid & (np.abs(fields.b0_shift_ppm) <= _INNER_SHIFT_PPM)
    return inner


def _covariates(images: SaturationImages, fields: FieldMaps, used: Bool) -> Real:
    """Tissue and B1 of each voxel, shape (voxels, covariates).

    The mean over both sides of water does not depend on a B0 shift to first order.
    """
    tissue = np.log(np.maximum(images.signal.mean(axis=0)[used], np.finfo(np.float64).tiny))
    tissue = (tissue - tissue.mean()) / max(float(tissue.std()), 1e-9)
    columns = [np.ones_like(tissue), tissue, tissue**2, tissue**3]
    if fields.relative_b1 is not None:
        deviation = fields.relative_b1[used] - 1.0
        if np.all(np.isfinite(deviation)) and float(deviation.std()) > 1e-3:
            columns += [deviation, deviation**2]
    return np.stack(columns, axis=1)


def _slope(shift: Real, others: Real, percent: Real) -> float:
    """Coefficient of the shift in a regression that is robust against outliers (Huber 1964)."""
    design = np.column_stack([shift, others])
    weight = np.ones(len(shift))
    coefficients = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], percent * root, rcond=None)[0]
        coefficients = np.asarray(solution, dtype=np.float64)
        residual = percent - design @ coefficients
        scale = MAD_TO_SD * np.median(np.abs(residual - np.median(residual)))
        if scale <= 0.0:
            break
        weight = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(residual), 1e-12))
    return float(coefficients[0])
