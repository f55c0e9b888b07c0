"""How sure the means and indices are: an error budget with named terms.

Every term is a change of the regional means. What changes both sides of an index together (a B1
calibration, a displaced image) is followed through to the index as one change, so that what
cancels between the sides does cancel.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from scipy.ndimage import shift as shifted

from cestle.cest.b1 import correction_error
from cestle.cest.images import FieldMaps, GluCestMap, SaturationImages
from cestle.cest.noise import noise_correlation, repeated_pairs, roughness, sum_variance
from cestle.cest.registration import SYSTEMATIC_MM
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.errors import NumericalError
from cestle.geometry import Grid
from cestle.physics import Bool, Real, hz_to_ppm

_B0_STEP_HZ: Final = 1.0
_B1_STEP: Final = 0.01


class Evaluate(Protocol):
    """Makes the map; called again with perturbed images and fields."""

    def __call__(
        self,
        images: SaturationImages,
        fields: FieldMaps | None,
        *,
        tissue_fractions: TissueFractions | None = None,
    ) -> GluCestMap:
        """The map of images, fields and shares."""
        ...


@dataclass(frozen=True, kw_only=True)
class UncertaintySettings:
    """Sizes of the errors that images do not tell.

    Parameters
    ----------
    b0_noise_hz
        Noise of each voxel of the B0 map; measured from its roughness when None [Hz].
    b0_common_hz
        Error that all voxels of the B0 map share, as drift after its acquisition makes [Hz].
    b1_calibration_error
        Error of the B1 correction, as a share of the correction, one for all voxels; that of a
        model without tissue shares when None [1].
    b1_noise
        Noise of each voxel of relative B1; measured from its roughness when None [1].
    motion_row_mm, motion_column_mm, motion_deg
        Standard error of the place of each image that goes into the map, along rows, along
        columns and turned [mm], [mm], [degrees]; what the registration states, or the motion
        itself where it was not corrected.
    region_shift_mm
        Error of the regions' place against the images, along rows and along columns [mm].
    """

    b0_noise_hz: float | None = None
    b0_common_hz: float = 0.0
    b1_calibration_error: float | None = None
    b1_noise: float | None = None
    motion_row_mm: float = SYSTEMATIC_MM
    motion_column_mm: float = SYSTEMATIC_MM
    motion_deg: float = 0.01
    region_shift_mm: float = 0.5


@dataclass(frozen=True, kw_only=True)
class ErrorBudget:
    """Standard errors of one value by their cause, in the unit of the value.

    A term is None where it cannot be known; that is not zero.

    Parameters
    ----------
    noise
        Of the saturation images, from their repeats, with the correlation of neighbours.
    b0_map
        Of the B0 map.
    b1
        Of the B1 correction and of the B1 map; None where no correction was made.
    motion
        Of what registration leaves.
    partial_volume
        Of the place of the region; through-plane shifts are not included.
    region
        Of outlines that nobody verified; None for others, whose error is not known.
    """

    noise: float | None
    b0_map: float | None
    b1: float | None
    motion: float | None
    partial_volume: float | None
    region: float | None = None

    @property
    def total(self) -> float | None:
        """All known terms in quadrature; None where not even the noise is known."""
        if self.noise is None:
            return None
        terms = (getattr(self, field.name) for field in dataclasses.fields(self))
        return float(np.sqrt(sum(term**2 for term in terms if term is not None)))


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """Error budgets of regions and indices.

    Parameters
    ----------
    regions
        Of each regional mean, by its name [percentage points].
    indices
        Of each index (a − b)/(a + b), by its name [1].
    noise_inflation
        Standard error of each regional mean over that of independent voxels [1].
    b0_noise_hz, b1_noise
        Noise of the maps that was assumed; None where it could not be measured [Hz], [1].
    """

    regions: dict[str, ErrorBudget]
    indices: dict[str, ErrorBudget]
    noise_inflation: dict[str, float]
    b0_noise_hz: float | None
    b1_noise: float | None


@dataclass(frozen=True, kw_only=True)
class Repeatability:
    """One index from either half of the repeated images.

    Both halves share the images that were acquired once, so the difference shows what the
    repeats disagree in, not the whole error.
    """

    first: float
    second: float

    @property
    def difference(self) -> float:
        """First minus second."""
        return self.first - self.second


def error_budget(
    images: SaturationImages,
    fields: FieldMaps | None,
    *,
    evaluate: Evaluate,
    regions: Mapping[str, Real],
    indices: Mapping[str, tuple[str, str]],
    settings: UncertaintySettings | None = None,
    tissue: TissueFractions | None = None,
) -> Uncertainty:
    """Follow every error through the map to regional means and indices.

    Parameters
    ----------
    images, fields
        What the map is made from, after registration.
    evaluate
        Makes the map; called about 25 times with the slices that the regions meet.
    regions
        Share of each voxel that lies in each region, shape (slices, rows, columns).
    indices
        The two regions that each index (a − b)/(a + b) compares, patient's left first.
    settings
        Errors that the images do not tell; the defaults when None.
    tissue
        Shares of the tissues that the map is made with; None where it is made without.

    Raises
    ------
    NumericalError
        When a region holds no valid voxel.
    """
    settings = settings or UncertaintySettings()
    foreground = _foreground(images)
    correlation = noise_correlation(images, foreground)
    work = _Work(images, fields, evaluate, regions, tissue)
    b0_noise_hz, b1_noise = _field_noise(fields, settings, foreground, images.f0_mhz)
    effects = {
        "noise": work.noise(correlation),
        "b0_map": _b0_effects(work, settings, b0_noise_hz),
        "b1": _b1_effects(work, settings, b1_noise),
        "motion": _motion_effects(work, settings),
        "partial_volume": _region_effects(work, settings),
    }
    slopes = {name: work.index_slope(pair) for name, pair in indices.items()}
    picks = {name: np.eye(len(work.names))[number] for number, name in enumerate(work.names)}
    independent = work.noise(None)
    return Uncertainty(
        regions={name: _budget(effects, pick) for name, pick in picks.items()},
        indices={name: _budget(effects, slope) for name, slope in slopes.items()},
        noise_inflation=_inflation(work.names, effects["noise"], independent),
        b0_noise_hz=b0_noise_hz,
        b1_noise=b1_noise,
    )


def split_repeats(
    images: SaturationImages,
) -> tuple[SaturationImages, SaturationImages] | None:
    """Two sets, each with one image of every repeated offset and all others.

    Returns
    -------
        The set of the first and the set of the last repeats; None without repeats.
    """
    pairs = repeated_pairs(images)
    if not pairs:
        return None
    later, earlier = {j for _, j in pairs}, {i for i, _ in pairs}
    return _without(images, later), _without(images, earlier)


def within_scan_repeatability(
    images: SaturationImages,
    fields: FieldMaps | None,
    *,
    evaluate: Evaluate,
    regions: Mapping[str, Real],
    indices: Mapping[str, tuple[str, str]],
    tissue: TissueFractions | None = None,
) -> dict[str, Repeatability] | None:
    """Indices from the first repeats against those from the last; None without repeats.

    Parameters
    ----------
    images, fields, evaluate, regions, indices, tissue
        As in `error_budget`.

    Raises
    ------
    NumericalError
        When a region holds no valid voxel.
    """
    halves = split_repeats(images)
    if halves is None:
        return None
    values = []
    for half in halves:
        glucest = evaluate(half, fields, tissue_fractions=tissue)
        means = {
            name: float(np.sum(_shares(glucest.valid, share, name) * _filled(glucest.percent)))
            for name, share in regions.items()
        }
        values.append({name: _index(means[a], means[b]) for name, (a, b) in indices.items()})
    first, second = values
    return {name: Repeatability(first=first[name], second=second[name]) for name in indices}


class _Work:
    """The map, and what perturbations make of the regional means."""

    def __init__(
        self,
        images: SaturationImages,
        fields: FieldMaps | None,
        evaluate: Evaluate,
        regions: Mapping[str, Real],
        tissue: TissueFractions | None,
    ) -> None:
        slices = _met_slices(regions)
        self.names = tuple(regions)
        self.images = _cut_images(images, slices)
        self.fields = None if fields is None else _cut_fields(fields, slices)
        self.fractions = {name: share[slices] for name, share in regions.items()}
        self._tissue = None if tissue is None else _cut_tissue(tissue, slices)
        self._evaluate = evaluate
        self.glucest = self._map(self.images, self.fields)
        self.shares = np.stack(
            [_shares(self.glucest.valid, self.fractions[name], name) for name in self.names]
        )
        self.means = self._sum(_filled(self.glucest.percent))

    def _map(self, images: SaturationImages, fields: FieldMaps | None) -> GluCestMap:
        return self._evaluate(images, fields, tissue_fractions=self._tissue)

    def _sum(self, values: Real) -> Real:
        total: Real = np.sum(self.shares * values, axis=(1, 2, 3))
        return total

    def change(self, images: SaturationImages, fields: FieldMaps | None) -> Real:
        """Change of each voxel; 0 where either map is not valid."""
        return _filled(self._map(images, fields).percent - self.glucest.percent)

    def mean_change(self, images: SaturationImages, fields: FieldMaps | None) -> Real:
        """Change of the mean of each region, shape (regions,)."""
        return self._sum(self.change(images, fields))

    def of_voxels(self, error: Real) -> list[Real]:
        """Effects of voxels that err independently, one for each region."""
        sizes = np.sqrt(np.sum((self.shares * _filled(error)) ** 2, axis=(1, 2, 3)))
        return [size * pick for size, pick in zip(sizes, np.eye(len(sizes)), strict=True)]

    def noise(self, correlation: Real | None) -> list[Real] | None:
        """Effects of image noise; None where it is unknown."""
        used = np.any(self.shares > 0.0, axis=0)
        error = self.glucest.standard_error
        if not np.all(np.isfinite(error[used])):
            return None
        sizes = [
            np.sqrt(sum_variance(share * _filled(error), correlation)) for share in self.shares
        ]
        return [size * pick for size, pick in zip(sizes, np.eye(len(sizes)), strict=True)]

    def index_slope(self, pair: tuple[str, str]) -> Real:
        """Derivative of (a − b)/(a + b) to the regional means, shape (regions,)."""
        one, other = (self.names.index(name) for name in pair)
        a, b = self.means[one], self.means[other]
        slope = np.zeros(len(self.names))
        slope[one], slope[other] = 2.0 * b / (a + b) ** 2, -2.0 * a / (a + b) ** 2
        return slope


def _b0_effects(
    work: _Work, settings: UncertaintySettings, noise_hz: float | None
) -> list[Real] | None:
    if work.fields is None or (noise_hz is None and settings.b0_common_hz == 0.0):
        return None
    step = float(hz_to_ppm(np.array(_B0_STEP_HZ), f0_mhz=work.images.f0_mhz))
    up, down = (
        dataclasses.replace(work.fields, b0_shift_ppm=work.fields.b0_shift_ppm + sign * step)
        for sign in (1.0, -1.0)
    )
    changes = work.change(work.images, up), work.change(work.images, down)
    per_hz = 0.5 * (changes[0] - changes[1]) / _B0_STEP_HZ
    common = settings.b0_common_hz * np.sum(work.shares * per_hz, axis=(1, 2, 3))
    return [*work.of_voxels((noise_hz or 0.0) * per_hz), common]


def _b1_effects(
    work: _Work, settings: UncertaintySettings, noise: float | None
) -> list[Real] | None:
    if work.fields is None or work.fields.relative_b1 is None:
        return None
    b1 = work.fields.relative_b1
    nominal = dataclasses.replace(work.fields, relative_b1=np.where(np.isfinite(b1), 1.0, b1))
    uncorrected = work.change(work.images, nominal)
    higher = dataclasses.replace(work.fields, relative_b1=b1 + _B1_STEP)
    per_unit = work.change(work.images, higher) / _B1_STEP
    if not uncorrected.any() and not per_unit.any():
        return None  # the map does not depend on B1, so what B1 does to it is unknown
    correction = np.sum(work.shares * uncorrected, axis=(1, 2, 3))
    share = settings.b1_calibration_error
    if share is None:
        share = correction_error(None, tissue_known=False)
    return [share * correction, *work.of_voxels((noise or 0.0) * per_unit)]


def _motion_effects(work: _Work, settings: UncertaintySettings) -> list[Real]:
    """Each image displaced alone, along rows, along columns and turned."""
    _, row_mm, column_mm = work.images.grid.spacing_mm
    _, rows, columns = work.images.grid.shape
    y = (np.arange(rows) - 0.5 * (rows - 1))[None, :, None] * row_mm
    x = (np.arange(columns) - 0.5 * (columns - 1))[None, None, :] * column_mm
    later = {j for _, j in repeated_pairs(work.images)}
    effects = []
    for number in sorted(set(range(len(work.images.signal))) - later):
        image = work.images.signal[number]
        # repeats weigh alike in the map, so one stands for all of its offset
        alike = np.sqrt(1.0 + sum(i == number for i, _ in repeated_pairs(work.images)))
        along_rows = np.gradient(image, row_mm, axis=1)
        along_columns = np.gradient(image, column_mm, axis=2)
        turn = along_columns * y - along_rows * x
        for slope, size in (
            (along_rows, settings.motion_row_mm),
            (along_columns, settings.motion_column_mm),
            (turn, np.radians(settings.motion_deg)),
        ):
            signal = work.images.signal.copy()
            signal[number] = np.maximum(image + size * slope, 0.0)
            displaced = dataclasses.replace(work.images, signal=signal)
            effects.append(alike * work.mean_change(displaced, work.fields))
    return effects


def _region_effects(work: _Work, settings: UncertaintySettings) -> list[Real] | None:
    """All regions shifted together; each direction both ways, since a centred region only loses."""
    _, row_mm, column_mm = work.images.grid.spacing_mm
    values, valid = _filled(work.glucest.percent), work.glucest.valid
    effects = []
    for step in (
        (settings.region_shift_mm / row_mm, 0.0),
        (0.0, settings.region_shift_mm / column_mm),
    ):
        for sign in (1.0, -1.0):
            change = np.empty(len(work.names))
            for number, name in enumerate(work.names):
                moved = shifted(
                    work.fractions[name], (0.0, sign * step[0], sign * step[1]), order=1
                )
                try:
                    share = _shares(valid, moved, name)
                except NumericalError:
                    return None
                change[number] = np.sum(share * values) - work.means[number]
            # the two ways are one error of either sign: half of the sum of squares
            effects.append(change / np.sqrt(2.0))
    return effects


def _budget(effects: Mapping[str, list[Real] | None], slope: Real) -> ErrorBudget:
    """Independent effects in quadrature, seen through the derivative of a value."""
    return ErrorBudget(
        **{
            name: None
            if found is None
            else float(np.sqrt(sum(float(effect @ slope) ** 2 for effect in found)))
            for name, found in effects.items()
        }
    )


def _inflation(
    names: tuple[str, ...], correlated: list[Real] | None, independent: list[Real] | None
) -> dict[str, float]:
    if correlated is None or independent is None:
        return {}
    return {
        name: float(a.sum() / b.sum()) if b.sum() > 0.0 else 1.0
        for name, a, b in zip(names, correlated, independent, strict=True)
    }


def _field_noise(
    fields: FieldMaps | None, settings: UncertaintySettings, foreground: Bool, f0_mhz: float
) -> tuple[float | None, float | None]:
    """Noise of the B0 map [Hz] and of relative B1, as stated or as measured in the head."""
    if fields is None:
        return None, None
    b0_hz, b1 = settings.b0_noise_hz, settings.b1_noise
    if b0_hz is None:
        b0_hz = roughness(fields.b0_shift_ppm * f0_mhz, foreground)
    if b1 is None and fields.relative_b1 is not None:
        b1 = roughness(fields.relative_b1, foreground)
    return b0_hz, b1


def _foreground(images: SaturationImages) -> Bool:
    mean = images.signal.mean(axis=0)
    mask: Bool = mean > 0.05 * np.percentile(mean, 99.0)
    return mask


def _shares(valid: Bool, fraction: Real, name: str) -> Real:
    """Weight of each voxel in the mean of a region, which sum to 1."""
    weight = np.where(valid, fraction, 0.0)
    total = float(weight.sum())
    if total <= 0.0:
        raise NumericalError(
            f"no valid voxel lies in {name}, so its error cannot be given; check the region and "
            "the B0 and B1 maps."
        )
    shares: Real = weight / total
    return shares


def _index(a: float, b: float) -> float:
    return (a - b) / (a + b)


def _filled(values: Real) -> Real:
    filled: Real = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return filled


def _without(images: SaturationImages, left_out: set[int]) -> SaturationImages:
    kept = [number for number in range(len(images.signal)) if number not in left_out]
    return dataclasses.replace(
        images, signal=images.signal[kept], offsets_ppm=images.offsets_ppm[kept]
    )


def _met_slices(regions: Mapping[str, Real]) -> slice:
    met = np.flatnonzero(sum(np.sum(share, axis=(1, 2)) for share in regions.values()))
    if len(met) == 0:
        raise NumericalError(
            "no region meets the CEST slices, so no error can be given; check the regions."
        )
    return slice(int(met[0]), int(met[-1]) + 1)


def _cut_images(images: SaturationImages, slices: slice) -> SaturationImages:
    signal = images.signal[:, slices]
    return dataclasses.replace(images, signal=signal, grid=_cut_grid(images.grid, slices))


def _cut_fields(fields: FieldMaps, slices: slice) -> FieldMaps:
    b1 = fields.relative_b1
    return FieldMaps(
        b0_shift_ppm=fields.b0_shift_ppm[slices],
        relative_b1=None if b1 is None else b1[slices],
        grid=_cut_grid(fields.grid, slices),
    )


def _cut_tissue(tissue: TissueFractions, slices: slice) -> TissueFractions:
    return TissueFractions(**{one.value: tissue.of(one)[slices] for one in TissueClass})


def _cut_grid(grid: Grid, slices: slice) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += slices.start * affine[:3, 0]
    shape = (slices.stop - slices.start, *grid.shape[1:])
    return dataclasses.replace(grid, shape=shape, affine=affine)
