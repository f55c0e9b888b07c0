"""Where the T1 and what was drawn on it lie against the CEST slices, and what that changes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cestle.anatomy.regions import Region
from cestle.anatomy.slab_registration import (
    LARGEST_SHIFT_MM,
    SlabRegistration,
    register_to_slices,
)
from cestle.anatomy.slab_registration import Placement as Placement
from cestle.gates import Gate, Limits, Verdict
from cestle.geometry import Grid
from cestle.measurement import Structure
from cestle.study.inputs import StudyInputs

INDEX_CHANGE: Final = Limits(
    quantity="change of the index by moving the T1 to where the CEST slices show the head",
    unit="1",
    warn=0.01,
    fail=None,
    higher_is_better=False,
    action="compare both places on the page; acquire T1 and CEST without a pause",
)
DISPLACEMENT: Final = Limits(
    quantity="displacement of the T1 against the CEST slices",
    unit="mm",
    warn=LARGEST_SHIFT_MM,
    fail=None,
    higher_is_better=False,
    action="check the outlines of the regions on the map; draw them on the CEST slices",
)

_SAME_PLANES_MM: Final = 0.5
_PARALLEL: Final = 0.9998  # cosine of one degree


@dataclass(frozen=True, kw_only=True, eq=False)
class T1Place:
    """What a study offers, with the T1 where the CEST slices show it.

    Parameters
    ----------
    inputs
        The study; T1 and regions that live on it moved where their place was found.
    registration
        The search; None when there was none.
    reasons
        Why regions were left out, by name.
    """

    inputs: StudyInputs
    registration: SlabRegistration | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def corrected(self) -> bool:
        """Whether the T1 was moved."""
        found = self.registration
        return found is not None and found.placement is Placement.CORRECTED


@dataclass(frozen=True, kw_only=True)
class T1PlaceResult:
    """What the results say of the T1's place; all sizes are those found, used or not.

    Parameters
    ----------
    placement
        What became of the search: ``corrected``, ``as_stated`` or ``not_found``.
    reason
        Why no place was found.
    shift_mm, rotation_deg
        Shift of the middle of the head in the slices, and axis of the turn times its angle, both
        in LPS [mm], [degrees].
    size_mm, angle_deg
        Their sizes [mm], [degrees].
    gain
        Gain of normalised mutual information over the headers [1].
    starts_apart_mm, starts_apart_deg
        How far apart two searches ended [mm], [degrees].
    indices_as_stated, indices_corrected
        Indices with the regions where the headers and where the search put them, by name; empty
        where the T1 was not moved, or where the headers state no place.
    """

    placement: Placement
    reason: str
    shift_mm: tuple[float, float, float]
    rotation_deg: tuple[float, float, float]
    size_mm: float
    angle_deg: float
    gain: float
    starts_apart_mm: float
    starts_apart_deg: float
    indices_as_stated: dict[str, float] = field(default_factory=dict)
    indices_corrected: dict[str, float] = field(default_factory=dict)


def t1_in_place(inputs: StudyInputs, *, searched: bool) -> T1Place:
    """Find the T1 against the CEST slices and move it there with all that was drawn on it.

    A region that was drawn on the CEST slices stays. A T1 of another frame of reference has no
    stated place, so what was drawn on it is left out unless its place is found.

    Parameters
    ----------
    inputs
        What the study offers.
    searched
        Whether the place is searched for.
    """
    anatomy, saturation = inputs.anatomy, inputs.saturation
    if not searched or anatomy is None or saturation is None or anatomy.grid.shape[0] < 2:
        return T1Place(inputs=inputs)
    target = saturation.grid
    one_frame = anatomy.grid.frame_of_reference_uid == target.frame_of_reference_uid
    found = register_to_slices(
        anatomy.values, anatomy.grid, saturation.signal.mean(axis=0), target, one_frame=one_frame
    )
    if found.placement is not Placement.CORRECTED:
        if one_frame:
            return T1Place(inputs=inputs, registration=found)
        return _without_homeless(inputs, found, target)

    def moved(grid: Grid) -> Grid:
        place = found.motion.move_grid(grid)
        return replace(place, frame_of_reference_uid=target.frame_of_reference_uid)

    regions = tuple(
        replace(region, grid=moved(region.grid))
        if lives_on_t1(region, anatomy.grid, target)
        else region
        for region in inputs.regions
    )
    placed = replace(inputs, anatomy=replace(anatomy, grid=moved(anatomy.grid)), regions=regions)
    return T1Place(inputs=placed, registration=found)


def lives_on_t1(region: Region, t1: Grid, cest: Grid) -> bool:
    """Whether a region moves with the T1: it is in its frame and not drawn on the CEST slices."""
    same = region.grid.frame_of_reference_uid == t1.frame_of_reference_uid
    return same and not drawn_on_slices(region.grid, cest)


def drawn_on_slices(grid: Grid, cest: Grid) -> bool:
    """Whether the planes of a grid are slices of the CEST series."""
    if grid.frame_of_reference_uid != cest.frame_of_reference_uid:
        return False
    normal = np.cross(cest.affine[:3, 1], cest.affine[:3, 2])
    normal /= np.linalg.norm(normal)
    own = np.cross(grid.affine[:3, 1], grid.affine[:3, 2])
    if abs(own @ normal) < _PARALLEL * np.linalg.norm(own):
        return False
    distance = cest.spacing_mm[0]
    same_distance = abs(grid.spacing_mm[0] - distance) < _SAME_PLANES_MM
    ahead = float((grid.affine[:3, 3] - cest.affine[:3, 3]) @ normal) / distance
    return same_distance and abs(ahead - round(ahead)) * distance < _SAME_PLANES_MM


def place_result(
    place: T1Place, as_stated: Mapping[str, float], corrected: Mapping[str, float]
) -> T1PlaceResult | None:
    """What the results say; None without a search.

    Parameters
    ----------
    place
        The search.
    as_stated, corrected
        Indices with either place of the regions, by name; used where the T1 was moved.
    """
    found = place.registration
    if found is None:
        return None
    x, y, z = (float(value) for value in found.shift_mm)
    a, b, c = (float(value) for value in found.motion.rotation_deg)
    both = place.corrected and bool(as_stated)
    return T1PlaceResult(
        placement=found.placement,
        reason=found.reason,
        shift_mm=(x, y, z),
        rotation_deg=(a, b, c),
        size_mm=found.size_mm,
        angle_deg=found.motion.angle_deg,
        gain=found.measure_found - found.measure_as_stated,
        starts_apart_mm=found.starts_apart_mm,
        starts_apart_deg=found.starts_apart_deg,
        indices_as_stated=dict(as_stated) if both else {},
        indices_corrected=dict(corrected) if both else {},
    )


def place_gates(result: T1PlaceResult | None, letters: Mapping[Structure, str]) -> tuple[Gate, ...]:
    """A warning where no place was found, and what the correction changes.

    Parameters
    ----------
    result
        The search.
    letters
        Letter of each structure in the names of the indices.
    """
    if result is None:
        return ()
    lost = result.placement is Placement.NOT_FOUND
    gate = Gate(
        name="t1_place",
        scope="study",
        value=None if lost else result.size_mm,
        verdict=Verdict.WARN if lost else Verdict.PASS,
        limits=DISPLACEMENT,
    )
    changes = {
        structure: abs(result.indices_corrected[name] - result.indices_as_stated[name])
        for structure, letter in letters.items()
        if (name := f"dai_glu_{letter}_epi") in result.indices_corrected
        and name in result.indices_as_stated
    }
    return (
        gate,
        *(
            Gate.held("t1_index_change", str(structure), change, INDEX_CHANGE)
            for structure, change in changes.items()
        ),
    )


def place_comments(result: T1PlaceResult | None) -> tuple[str, ...]:
    """Lines for the report; none without a search."""
    if result is None:
        return ()
    size = f"{result.size_mm:.1f} mm and {result.angle_deg:.1f} degrees"
    if result.placement is Placement.NOT_FOUND:
        return (f"T1 where its headers say, not verified in the CEST slices: {result.reason}",)
    if result.placement is Placement.AS_STATED:
        return (f"T1 where its headers say; the CEST slices show it within {size} of there",)
    changes = (
        f"{name} {result.indices_as_stated[name]:+.4f} before, {value:+.4f} after"
        for name, value in result.indices_corrected.items()
        if name in result.indices_as_stated
    )
    line = f"T1 moved by {size} to where the CEST slices show the head"
    return ("; ".join((line, *changes)),)


def place_form(result: T1PlaceResult | None) -> dict[str, Any] | None:
    """The block ``t1_registration`` of ``results.json``."""
    if result is None:
        return None
    return {
        "placement": result.placement.value,
        "reason": result.reason,
        "shift_mm": list(result.shift_mm),
        "rotation_deg": list(result.rotation_deg),
        "size_mm": result.size_mm,
        "angle_deg": result.angle_deg,
        "gain": result.gain,
        "starts_apart_mm": result.starts_apart_mm,
        "starts_apart_deg": result.starts_apart_deg,
        "indices_as_stated": dict(result.indices_as_stated),
        "indices_corrected": dict(result.indices_corrected),
    }


def _without_homeless(inputs: StudyInputs, found: SlabRegistration, target: Grid) -> T1Place:
    """The study without regions of another frame of reference, whose place was not found."""
    strange = {
        region.name
        for region in inputs.regions
        if region.grid.frame_of_reference_uid != target.frame_of_reference_uid
    }
    reason = (
        "the T1 that the region was drawn on has another Frame of Reference than the CEST series, "
        f"and its place was not found: {found.reason}"
    )
    return T1Place(
        inputs=replace(
            inputs, regions=tuple(one for one in inputs.regions if one.name not in strange)
        ),
        registration=found,
        reasons=dict.fromkeys(sorted(strange), reason),
    )
