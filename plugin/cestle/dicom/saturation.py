"""The CEST source series: which image has which offset, and all images on one scale."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from cestle.cest.images import SaturationImages
from cestle.dicom.files import largest_stored
from cestle.dicom.images import (
    Scaling,
    Slice,
    grid_of,
    group_positions,
    read_values,
    require_lossless,
    rescale,
    transmitter_mhz,
)
from cestle.dicom.uih import SCALE_FACTOR
from cestle.errors import InputError, ProtocolError
from cestle.physics import Real
from cestle.study.facts import InstanceFacts
from cestle.study.roles import (
    AcquisitionRule,
    OffsetExtractor,
    Rule,
    acquisition_order,
    fulfils,
    offset_ppm,
)

SAME_OFFSET_PPM: Final = 0.02
SAME_FREQUENCY_PPM: Final = 0.05
"""Largest difference of transmitter frequencies that stand for one adjustment, 10 Hz at 5T."""

_RISE_TOLERANCE: Final = 0.01
_SIGNAL_SHARE: Final = 0.05
"""Share of the brightest voxel above which a voxel counts as signal when clipping is judged."""
_SAME_TIMING: Final = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class SaturationReading:
    """The images, how their offsets became known, and the slices that they came from.

    Parameters
    ----------
    images
        Saturation images in rising order of the offset, repeats in order of acquisition.
    slices
        The slices of `images`.
    evidence
        Where the offsets are from, in words.
    notes
        What was left aside, and why.
    """

    images: SaturationImages
    slices: tuple[Slice, ...]
    evidence: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Labelled:
    """An offset for each slice of a set [ppm], by identity of the slice."""

    offsets: Mapping[int, float]
    acquisition: AcquisitionRule
    evidence: str
    from_order: bool


def read_saturation(slices: Sequence[Slice]) -> SaturationReading:
    """Read the CEST source images of a study.

    Parameters
    ----------
    slices
        All slices with the role ``cest_source``, in any order.

    Raises
    ------
    ProtocolError
        When images are missing, offsets are unknown or not those of an accepted acquisition,
        the frequency is another field strength's, or intensities have no common scale.
    GeometryError
        When the images do not share one geometry.
    HeaderError
        When pixels are truncated or cannot be decoded.
    InputError
        When several complete acquisitions are there and nothing says which one is meant.
    """
    rule = _common_rule(slices)
    f0_mhz = _common_frequency(slices)
    chosen, notes = _one_acquisition(slices, rule, f0_mhz)
    _require_declared_counts(chosen)
    labelled = _label(chosen, rule, f0_mhz)
    _require_frequency(f0_mhz, labelled.acquisition)
    _require_one_protocol(chosen)
    _require_one_scale(chosen)
    require_lossless(chosen, name="the CEST series")
    volumes = _volumes(chosen, labelled.offsets)
    grid = grid_of(volumes[0], name="the CEST series")
    ordered = [one for volume in volumes for one in volume]
    scalings = {i: rescale(one.facts) for i, one in enumerate(ordered)}
    values = read_values(ordered, scalings)
    signal = values.reshape(len(volumes), *grid.shape)
    offsets = np.array([labelled.offsets[id(volume[0])] for volume in volumes])
    if labelled.from_order and labelled.acquisition.signal_rises_with_offset:
        _require_rise(signal, offsets, labelled.acquisition)
    images = SaturationImages(
        signal=signal,
        offsets_ppm=offsets,
        grid=grid,
        f0_mhz=f0_mhz,
        clipped_share=_clipped_share(ordered, values, scalings, images=len(volumes)),
    )
    return SaturationReading(
        images=images, slices=tuple(ordered), evidence=labelled.evidence, notes=notes
    )


def _clipped_share(
    slices: Sequence[Slice], values: Real, scalings: Mapping[int, Scaling], *, images: int
) -> float | None:
    """Share of the voxels with signal at the ceiling of the file, of the worst image."""
    ceilings = [largest_stored(one.stored.header) for one in slices]
    if None in ceilings:
        return None
    at_ceiling = np.stack(
        [
            value >= scalings[i].slope * ceiling + scalings[i].intercept
            for i, (value, ceiling) in enumerate(zip(values, ceilings, strict=True))
            if ceiling is not None
        ]
    ).reshape(images, -1)
    bright = values.reshape(images, -1)
    with_signal = bright > _SIGNAL_SHARE * bright.max(axis=1, keepdims=True)
    return float(np.max(at_ceiling.sum(axis=1) / np.maximum(with_signal.sum(axis=1), 1)))


def _common_rule(slices: Sequence[Slice]) -> Rule:
    rules = {
        one.classified.rule.name: one.classified.rule
        for one in slices
        if one.classified.rule is not None
    }
    if len(rules) != 1:
        raise InputError(
            f"{len(rules)} rules ({', '.join(sorted(rules))}) found CEST source images in one "
            "study; which of them is meant? Keep one rule, or remove one series."
        )
    return next(iter(rules.values()))


def _common_frequency(slices: Sequence[Slice]) -> float:
    found = [transmitter_mhz(one.facts) for one in slices]
    known = [value for value in found if value is not None]
    if len(known) != len(found):
        raise ProtocolError(
            f"{len(found) - len(known)} of {len(found)} CEST images state no transmitter "
            "frequency; ImagingFrequency was expected. Export the series with it."
        )
    if max(known) - min(known) > SAME_FREQUENCY_PPM * 1e-6 * max(known):
        raise ProtocolError(
            f"the CEST images have transmitter frequencies from {min(known):.6f} to "
            f"{max(known):.6f} MHz; one frequency was expected. Acquire them without a new "
            "frequency adjustment."
        )
    return float(np.median(known))


def _require_frequency(f0_mhz: float, acquisition: AcquisitionRule) -> None:
    low, high = acquisition.f0_range_mhz
    if not low <= f0_mhz <= high:
        raise ProtocolError(
            f"the transmitter frequency is {f0_mhz:.3f} MHz; {low:g} to {high:g} MHz was expected "
            f"by acquisition {acquisition.name}. Send data of that scanner, or change "
            "f0_range_mhz in the classification rules."
        )


def _one_acquisition(
    slices: Sequence[Slice], rule: Rule, f0_mhz: float
) -> tuple[tuple[Slice, ...], tuple[str, ...]]:
    """Choose the one complete series when there are several that could stand alone.

    Eight series with one offset each are one acquisition; none of them is complete by itself.
    """
    by_series: dict[str, list[Slice]] = {}
    for one in slices:
        by_series.setdefault(one.facts.series_instance_uid, []).append(one)
    if len(by_series) == 1:
        return tuple(slices), ()
    complete = [uid for uid, group in by_series.items() if _is_complete(group, rule, f0_mhz)]
    if not complete:
        _require_one_offset_each(by_series, rule, f0_mhz)
        return tuple(slices), ()
    if len(complete) > 1:
        raise InputError(
            f"{len(complete)} complete CEST series found ({', '.join(sorted(complete))}); which "
            "one is to be used? Remove the others, or tell them apart by a rule."
        )
    note = (
        f"{len(by_series) - 1} incomplete CEST series left aside; series {complete[0]} is complete"
    )
    return tuple(by_series[complete[0]]), (note,)


def _require_one_offset_each(
    by_series: Mapping[str, Sequence[Slice]], rule: Rule, f0_mhz: float
) -> None:
    """Refuse to piece one acquisition together from parts of several scans.

    Between two scans the head may have moved; eight series with one offset each are one scan.
    """
    for uid, group in by_series.items():
        found = (_extract_all(group, extractor, f0_mhz) for extractor in rule.extractors)
        if any(len({round(value, 2) for value in offsets.values()}) > 1 for offsets in found):
            raise ProtocolError(
                f"{len(by_series)} CEST series found, none of them complete, and series {uid} "
                "holds several offsets; parts of several scans are never mixed. Send one whole "
                "CEST series."
            )


def _is_complete(group: Sequence[Slice], rule: Rule, f0_mhz: float) -> bool:
    try:
        _label(group, rule, f0_mhz)
    except ProtocolError:
        return False
    return True


def _require_declared_counts(slices: Sequence[Slice]) -> None:
    by_series: dict[str, dict[str, InstanceFacts]] = {}
    for one in slices:
        series = by_series.setdefault(one.facts.series_instance_uid, {})
        series[one.facts.sop_instance_uid] = one.facts
    for uid, instances in by_series.items():
        declared = max((facts.declared_instances or 0) for facts in instances.values())
        if declared > len(instances):
            raise ProtocolError(
                f"{len(instances)} of {declared} images of the CEST series {uid} arrived, as its "
                "NumberOfSlices says; send the whole series."
            )


def _label(slices: Sequence[Slice], rule: Rule, f0_mhz: float) -> _Labelled:
    """Offsets from the first place that has one for every image, else from a protocol table."""
    for extractor in rule.extractors:
        offsets = _extract(slices, extractor, f0_mhz)
        if offsets is not None:
            _require_no_contradiction(slices, offsets, extractor, rule, f0_mhz)
            acquisition = _matching(slices, offsets, rule)
            return _Labelled(
                offsets=offsets,
                acquisition=acquisition,
                evidence=f"offsets from {extractor.element}",
                from_order=False,
            )
    return _label_by_table(slices, rule)


def _extract(
    slices: Sequence[Slice], extractor: OffsetExtractor, f0_mhz: float
) -> dict[int, float] | None:
    offsets = _extract_all(slices, extractor, f0_mhz)
    return offsets if len(offsets) == len(slices) and _varied(offsets) else None


def _extract_all(
    slices: Sequence[Slice], extractor: OffsetExtractor, f0_mhz: float
) -> dict[int, float]:
    """Offsets of those slices that have one in this place [ppm]."""
    found = {id(one): offset_ppm(one.facts, extractor, f0_mhz=f0_mhz) for one in slices}
    return {key: value for key, value in found.items() if value is not None}


def _varied(offsets: Mapping[int, float]) -> bool:
    """Whether the numbers tell images apart; one number in all of them names the protocol."""
    return len({round(value, 3) for value in offsets.values()}) > 1


def _require_no_contradiction(
    slices: Sequence[Slice],
    offsets: Mapping[int, float],
    used: OffsetExtractor,
    rule: Rule,
    f0_mhz: float,
) -> None:
    for extractor in rule.extractors:
        others = _extract_all(slices, extractor, f0_mhz)
        if not _varied(others):
            continue
        for key, other in others.items():
            if abs(other - offsets[key]) > SAME_OFFSET_PPM:
                raise ProtocolError(
                    f"one CEST image has the offset {offsets[key]:+.2f} ppm in {used.element} and "
                    f"{other:+.2f} ppm in {extractor.element}; one offset was expected. Correct "
                    "the labels, or leave one of the two places out of the classification rules."
                )


def _matching(slices: Sequence[Slice], offsets: Mapping[int, float], rule: Rule) -> AcquisitionRule:
    places = group_positions(slices)
    sets = [sorted(offsets[id(one)] for one in place) for place in places]
    for acquisition in rule.acquisitions:
        wanted = sorted(acquisition.offsets_ppm)
        if all(_same_set(found, wanted) for found in sets):
            return acquisition
    raise ProtocolError(_mismatch_text(sets, rule.acquisitions))


def _same_set(found: Sequence[float], wanted: Sequence[float]) -> bool:
    return len(found) == len(wanted) and all(
        abs(a - b) <= SAME_OFFSET_PPM for a, b in zip(found, wanted, strict=True)
    )


def _mismatch_text(sets: Sequence[Sequence[float]], acquisitions: Sequence[AcquisitionRule]) -> str:
    """The first slice that fits no acquisition, held against the acquisition nearest to it."""
    for found in sets:
        for acquisition in acquisitions:
            missing = _without(sorted(acquisition.offsets_ppm), found)
            if missing and not _without(found, sorted(acquisition.offsets_ppm)):
                return (
                    f"{len(found)} of {len(acquisition.offsets_ppm)} saturation images found: "
                    f"{_ppm_list(missing)} ppm is missing for acquisition {acquisition.name}. "
                    "Send the whole CEST series."
                )
    found = next(
        (
            one
            for one in sets
            if not any(_same_set(one, sorted(a.offsets_ppm)) for a in acquisitions)
        ),
        sets[0],
    )
    wanted = "; ".join(f"{_ppm_list(sorted(a.offsets_ppm))} ({a.name})" for a in acquisitions)
    return (
        f"saturation images at {_ppm_list(found)} ppm found; {wanted} was expected. Send that "
        "acquisition, or describe the other one in the classification rules."
    )


def _without(first: Sequence[float], second: Sequence[float]) -> list[float]:
    rest = list(second)
    left = []
    for value in first:
        match = next((other for other in rest if abs(other - value) <= SAME_OFFSET_PPM), None)
        if match is None:
            left.append(value)
        else:
            rest.remove(match)
    return left


def _ppm_list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:+.2f}" for value in values)


def _label_by_table(slices: Sequence[Slice], rule: Rule) -> _Labelled:
    for acquisition in rule.acquisitions:
        conditions = acquisition.table_conditions
        if conditions is None or not all(
            fulfils(one.facts, condition) for one in slices for condition in conditions
        ):
            continue
        return _numbered(slices, acquisition)
    raise ProtocolError(
        f"offsets unknown: no place in the header gives a saturation offset for all "
        f"{len(slices)} CEST images, and no protocol table of rule {rule.name} fits. Name the "
        "place or the table in the classification rules."
    )


def _numbered(slices: Sequence[Slice], acquisition: AcquisitionRule) -> _Labelled:
    wanted = acquisition.offsets_ppm
    offsets: dict[int, float] = {}
    keys: set[str] = set()
    for place in group_positions(slices):
        if len(place) != len(wanted):
            raise ProtocolError(
                f"{len(place)} of {len(wanted)} saturation images found for acquisition "
                f"{acquisition.name}, and they carry no offset of their own. Send the whole CEST "
                "series."
            )
        ordered = acquisition_order([one.facts for one in place])
        if ordered is None:
            raise ProtocolError(
                "offsets unknown: the CEST images carry no offset and nothing orders them (time, "
                "temporal position, acquisition or instance number); export them with their "
                "times or labels."
            )
        keys.add(ordered[0])
        offsets.update(
            {id(place[index]): offset for index, offset in zip(ordered[1], wanted, strict=True)}
        )
    return _Labelled(
        offsets=offsets,
        acquisition=acquisition,
        evidence=f"offsets from the protocol table of {acquisition.name}, ordered by "
        + ", ".join(sorted(keys)),
        from_order=True,
    )


def _require_one_protocol(slices: Sequence[Slice]) -> None:
    """Refuse a set in which more than the offset differs."""
    for element in ("RepetitionTime", "EchoTime", "FlipAngle"):
        found = {one.facts.number(element) for one in slices}
        numbers = {number for number in found if number is not None}
        same = len(numbers) <= 1 or max(numbers) - min(numbers) <= _SAME_TIMING * max(numbers)
        if not same or (numbers and None in found):
            raise ProtocolError(
                f"the CEST images differ in {element} "
                f"({', '.join('none' if x is None else f'{x:g}' for x in sorted(found, key=str))});"
                " images that differ only in the saturation offset were expected. Send one "
                "acquisition."
            )


def _require_one_scale(slices: Sequence[Slice]) -> None:
    stated = {bool(one.facts.all("RescaleSlope")) for one in slices}
    if len(stated) > 1:
        raise ProtocolError(
            "some CEST images state a RescaleSlope and others none; one scale for all was "
            "expected. Export them again with one scale."
        )
    kinds = {(one.facts.first("PhotometricInterpretation") or "").upper() for one in slices}
    if len(kinds) > 1:
        raise ProtocolError(
            f"the CEST images mix {' and '.join(sorted(kinds))}; one Photometric Interpretation "
            "was expected. Export them again in one way."
        )
    factors = {one.facts.first(SCALE_FACTOR) for one in slices}
    if len(factors) > 1:
        raise ProtocolError(
            f"the private scale factor (0065,102F) has {len(factors)} values among the CEST "
            "images; one scale for all was expected. Ask the vendor for images of one scale."
        )


def _volumes(
    slices: Sequence[Slice], offsets: Mapping[int, float]
) -> tuple[tuple[Slice, ...], ...]:
    """For each image of the protocol its slices, volumes in rising order of the offset."""
    columns = [sorted(place, key=_by_offset(offsets, place)) for place in group_positions(slices)]
    return tuple(zip(*columns, strict=True))


def _by_offset(
    offsets: Mapping[int, float], place: Sequence[Slice]
) -> Callable[[Slice], tuple[float, int, str]]:
    ordered = acquisition_order([one.facts for one in place])
    # Repeats are averaged, so where nothing orders them any fixed order will do.
    rank = {} if ordered is None else {id(place[i]): n for n, i in enumerate(ordered[1])}
    return lambda one: (
        round(offsets[id(one)], 2),
        rank.get(id(one), 0),
        f"{one.facts.sop_instance_uid} {one.frame:06d}",
    )


def _require_rise(signal: Real, offsets: Real, acquisition: AcquisitionRule) -> None:
    """Refuse an assumed order in which the signal falls with the distance from water."""
    mean_image = signal.mean(axis=0)
    inside = mean_image > 0.2 * np.percentile(mean_image, 99.0)
    means = np.array([image[inside].mean() for image in signal])
    for sign in (-1.0, 1.0):
        distances = np.unique(np.round(sign * offsets[sign * offsets > 0.0], 2))
        curve = [
            means[np.abs(sign * offsets - distance) <= SAME_OFFSET_PPM].mean()
            for distance in distances
        ]
        falls = any(b < a * (1.0 - _RISE_TOLERANCE) for a, b in pairwise(curve))
        if falls:
            side = "negative" if sign < 0.0 else "positive"
            raise ProtocolError(
                f"with the order of acquisition {acquisition.name} the signal falls with the "
                f"distance from water on the {side} side; it should rise. Check the order of "
                "offsets in the protocol table."
            )
