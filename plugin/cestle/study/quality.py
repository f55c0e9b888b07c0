"""Quality gates: is the measurement good enough to be believed, and what to do when it is not.

The limits were proposed from a model of the 5T protocol; none has been confirmed on 5T data.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from cestle.anatomy.regions import Region
from cestle.anatomy.sampling import weighted_quantile
from cestle.cest.b0 import B0Method
from cestle.cest.drift import b0_drift_hz, signal_change
from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import FieldMaps, GluCestMap, SaturationImages
from cestle.cest.registration import Verdict as RegistrationVerdict
from cestle.cest.selftest import DOUBTFUL_DEVIATION, WRONG_DEVIATION, Fit
from cestle.cest.zspectrum import OFFSET_TOLERANCE_PPM, noise_from_repeats, split_sides
from cestle.gates import Gate, Limits, Verdict
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real
from cestle.study.scan import GluCestScan

STUDY: Final = "study"


LIMITS: Final[Mapping[str, Limits]] = {
    "b0_in_range": Limits(
        quantity="share of the region within the B0 range",
        unit="%",
        warn=95.0,
        fail=80.0,
        higher_is_better=True,
        action="shim over the temporal lobes and repeat the CEST series",
    ),
    "b0_left_right": Limits(
        quantity="difference of the median B0 shift between the sides",
        unit="ppm",
        warn=0.15,
        fail=None,
        higher_is_better=False,
        action="shim over both temporal lobes",
    ),
    "b1_in_range": Limits(
        quantity="share of the region within the B1 range",
        unit="%",
        warn=95.0,
        fail=80.0,
        higher_is_better=True,
        action="check the position in the coil and the transmit reference",
    ),
    "b1_left_right": Limits(
        quantity="difference of the median relative B1 between the sides",
        unit="1",
        warn=0.05,
        fail=None,
        higher_is_better=False,
        action="centre the head in the coil; read the index with the B1 correction in mind",
    ),
    "snr": Limits(
        quantity="S(−3 ppm) of the region over the noise of one image",
        unit="1",
        warn=40.0,
        fail=20.0,
        higher_is_better=True,
        action="check coil and receive gain, repeat the CEST series",
    ),
    "voxels": Limits(
        quantity="effective voxels of the region",
        unit="1",
        warn=25.0,
        fail=None,
        higher_is_better=True,
        action="place the slice along the hippocampal axis",
    ),
    "repeat_change": Limits(
        quantity="change of the signal between the two repeats",
        unit="%",
        warn=1.0,
        fail=5.0,
        higher_is_better=False,
        action="look for motion or drift, repeat the CEST series",
    ),
    "b0_drift": Limits(
        quantity="change of B0 between the repeats, from the two sides of water",
        unit="Hz",
        warn=5.0,
        fail=20.0,
        higher_is_better=False,
        action="let the gradients cool, acquire the B0 map next to the CEST series, repeat both",
    ),
    "clipped": Limits(
        quantity="voxels with signal at the largest number of the file",
        unit="%",
        warn=0.1,
        fail=2.0,
        higher_is_better=False,
        action="lower the receive gain or the image scale of the scanner, repeat the CEST series",
    ),
    "csf_share": Limits(
        quantity="share of fluid in the region, by the T1",
        unit="%",
        warn=10.0,
        fail=None,
        higher_is_better=False,
        action="voxels with a tenth of fluid or more are left out; place the slice along the axis",
    ),
    "csf_left_right": Limits(
        quantity="difference of the share of fluid between the sides, by the T1",
        unit="%",
        warn=5.0,
        fail=None,
        higher_is_better=False,
        action="read the index with partial volume in mind; place the slice symmetrically",
    ),
    "motion": Limits(
        quantity="largest displacement of an image within its plane",
        unit="mm",
        warn=0.3,
        fail=1.0,
        higher_is_better=False,
        action="fix the head and repeat the CEST series",
    ),
    "b0_self_test": Limits(
        quantity="deviation from 1 of the factor that would make the B0 map fit the images",
        unit="1",
        warn=DOUBTFUL_DEVIATION,
        fail=WRONG_DEVIATION,
        higher_is_better=False,
        action="check unit and sign of the B0 map in the classification rules",
    ),
    "typical_contrast_low": Limits(
        quantity="median GluCEST of all voxels",
        unit="%",
        warn=0.0,
        fail=0.0,
        higher_is_better=True,
        action="check the sign of the offsets in the classification rules",
    ),
    "typical_contrast_high": Limits(
        quantity="median GluCEST of all voxels",
        unit="%",
        warn=15.0,
        fail=25.0,
        higher_is_better=False,
        action="check offsets and saturation amplitude",
    ),
    "repeats_agree": Limits(
        quantity="difference between repeats over that to the nearest other image",
        unit="1",
        warn=1.0,
        fail=None,
        higher_is_better=False,
        action="check the order of the offsets, look for motion",
    ),
    "rises_with_offset": Limits(
        quantity="least rise of the signal from one offset to the next",
        unit="%",
        warn=0.0,
        fail=None,
        higher_is_better=True,
        action="check the order of the offsets",
    ),
}


def assess_quality(
    scan: GluCestScan, regions: Iterable[Region], settings: GluCestSettings
) -> tuple[Gate, ...]:
    """Hold a measurement against all gates that its inputs allow.

    Parameters
    ----------
    scan
        The measurement.
    regions
        Regions on the grid of the map.
    settings
        Ranges of B0 and B1.

    Returns
    -------
        The gates: those of the study first, then those of regions and structures.
    """
    images, fields, glucest = scan.images, scan.fields, scan.glucest
    present = {region.name: region for region in regions if region.fraction.any()}
    found = [*_study_gates(scan)]
    noise = noise_from_repeats(images, glucest.valid)
    negative, positive = split_sides(images)
    target = settings.protocol.target_offset_ppm
    node = int(np.argmin(np.abs(negative.distance_ppm - target)))
    reach = settings.max_b0_shift_ppm
    if settings.b0_method is not B0Method.NONE:
        # beyond the outer offsets a value is extrapolated, also where the settings allow it
        reach = min(reach, *(_reach(side.distance_ppm, target) for side in (negative, positive)))
    for region in present.values():
        found += _region_gates(
            region, fields, settings, negative.signal[node], noise, glucest, reach
        )
    for structure in Structure:
        pair = [present.get(f"{structure}_{side}") for side in Side]
        if fields is not None and pair[0] is not None and pair[1] is not None:
            found += _structure_gates(structure, (pair[0], pair[1]), fields)
    return tuple(found)


_FIT_VERDICTS: Final = {
    Fit.RIGHT: Verdict.PASS,
    Fit.NOT_TESTABLE: Verdict.PASS,
    Fit.DOUBTFUL: Verdict.WARN,
    Fit.WRONG: Verdict.FAIL,
}


def _gate(name: str, scope: str, value: float) -> Gate:
    return Gate.held(name, scope, value, LIMITS[name])


def _study_gates(scan: GluCestScan) -> Iterator[Gate]:
    images, glucest, self_test = scan.images, scan.glucest, scan.self_test
    valid = glucest.valid
    if scan.registration is not None:
        gate = _gate("motion", STUDY, float(scan.registration.displacement.foreground_mm.max()))
        failed = scan.registration.verdict is RegistrationVerdict.FAILED
        # where no displacement could be found, a small number is no comfort
        yield (
            replace(gate, verdict=Verdict.WARN) if failed and gate.verdict is Verdict.PASS else gate
        )
    if self_test is not None and self_test.factor is not None:
        deviation = abs(self_test.factor - 1.0)
        verdict = _FIT_VERDICTS[self_test.fit]
        yield Gate(
            name="b0_self_test",
            scope=STUDY,
            value=deviation,
            verdict=verdict,
            limits=LIMITS["b0_self_test"],
        )
    if valid.any():
        median = float(np.median(glucest.percent[valid]))
        yield _gate("typical_contrast_low", STUDY, median)
        yield _gate("typical_contrast_high", STUDY, median)
        yield _gate("rises_with_offset", STUDY, _least_rise(images, valid))
        agreement = _repeats_against_others(images, valid)
        if agreement is not None:
            yield _gate("repeats_agree", STUDY, agreement)
        change = signal_change(images, valid)
        if change is not None:
            yield _gate("repeat_change", STUDY, 100.0 * change)
        drift = b0_drift_hz(images, valid)
        if drift is not None:
            yield _gate("b0_drift", STUDY, abs(drift))
    if images.clipped_share is not None:
        yield _gate("clipped", STUDY, 100.0 * images.clipped_share)


def _least_rise(images: SaturationImages, valid: Bool) -> float:
    """Smallest change of the median signal from one offset to the next further one [%]."""
    rises = []
    for side in split_sides(images):
        medians = np.array([np.median(signal[valid]) for signal in side.signal])
        rises.append(100.0 * np.min(np.diff(medians) / medians[:-1]))
    return float(min(rises))


def _repeats_against_others(images: SaturationImages, valid: Bool) -> float | None:
    """Largest ratio of the distance between repeats to that of the nearest other image.

    Repeats are nearest to each other whatever the contrast, so a wrong order of the offsets
    shows in the pixels alone; None without repeats.
    """
    offsets = images.offsets_ppm
    pixels = images.signal[:, valid]
    apart = np.abs(offsets[:, None] - offsets[None, :]) > OFFSET_TOLERANCE_PPM
    distance = np.array([[np.sqrt(np.mean((a - b) ** 2)) for b in pixels] for a in pixels])
    ratios = [
        distance[i, j] / distance[i, apart[i]].min()
        for i in range(len(offsets))
        for j in range(len(offsets))
        if i != j and not apart[i, j] and distance[i, apart[i]].min() > 0.0
    ]
    return max(ratios, default=None)


def _region_gates(
    region: Region,
    fields: FieldMaps | None,
    settings: GluCestSettings,
    reference: Real,
    noise: float | None,
    glucest: GluCestMap,
    reach: float,
) -> Iterator[Gate]:
    weight = region.fraction
    if fields is not None:
        with np.errstate(invalid="ignore"):
            near = np.abs(fields.b0_shift_ppm) <= reach
        yield _gate("b0_in_range", region.name, _share(near, weight))
        if fields.relative_b1 is not None:
            low, high = settings.relative_b1_range
            with np.errstate(invalid="ignore"):
                inside = (fields.relative_b1 >= low) & (fields.relative_b1 <= high)
            yield _gate("b1_in_range", region.name, _share(inside, weight))
    if noise is not None and noise > 0.0:
        signal = float(np.sum(weight * reference) / weight.sum())
        yield _gate("snr", region.name, signal / noise)
    used = weight[glucest.valid & (weight > 0.0)]
    effective = float(used.sum() ** 2 / np.sum(used**2)) if used.size else 0.0
    yield _gate("voxels", region.name, effective)


def _structure_gates(
    structure: Structure, pair: tuple[Region, Region], fields: FieldMaps
) -> Iterator[Gate]:
    for name, values in (
        ("b0_left_right", fields.b0_shift_ppm),
        ("b1_left_right", fields.relative_b1),
    ):
        if values is None:
            continue
        medians = [_median(values, region.fraction) for region in pair]
        if None not in medians:
            left, right = (value for value in medians if value is not None)
            yield _gate(name, str(structure), abs(left - right))


def _reach(distance_ppm: Real, target_ppm: float) -> float:
    """Largest B0 shift at which a side is interpolated in either direction [ppm]."""
    tolerance = 1e-6  # offsets such as 3.4 − 3.0 have no exact binary form
    return float(min(distance_ppm[-1] - target_ppm, target_ppm - distance_ppm[0])) + tolerance


def _share(inside: Bool, weight: Real) -> float:
    return min(100.0, float(100.0 * weight[inside].sum() / weight.sum()))


def _median(values: Real, weight: Real) -> float | None:
    used = (weight > 0.0) & np.isfinite(values)
    return weighted_quantile(values[used], weight[used], 0.5) if used.any() else None
