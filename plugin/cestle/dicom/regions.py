"""Regions as they arrive: read from their object, cut to size, and their sides verified.

A region stays on the voxel lattice that it was drawn on; a region drawn on the CEST grid itself
gets the whole of that grid, any other was cut to its bounding box plus one empty voxel, since four
whole-head fractions would fill the memory.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from cestle.anatomy.ladder import choose_regions, class_of
from cestle.anatomy.regions import Region
from cestle.dicom.files import StoredObject
from cestle.dicom.label_map_reader import read_label_map
from cestle.dicom.region_grids import without_overlap
from cestle.dicom.segmentation_reader import SEGMENTATIONS, read_segmentation
from cestle.dicom.structure_set_reader import STRUCTURE_SET, read_structure_set
from cestle.errors import (
    GeometryError,
    InputError,
    LateralityError,
    NoRegionError,
    ProtocolError,
)
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Real
from cestle.study.roles import LabelScheme

REGION_CLASSES: Final = SEGMENTATIONS | {STRUCTURE_SET}
"""SOP classes that carry regions."""

LEFT_TO_RIGHT_MM: Final = (20.0, 80.0)
"""Distance of the two centroids along x: 25 to 70 mm in adults, with some room."""

VOLUME_MM3: Final = {Structure.HIPPOCAMPUS: (1000.0, 7500.0), Structure.AMYGDALA: (400.0, 3500.0)}
"""Accepted volumes of regions drawn in 3D."""

OFF_CENTRE_MM: Final = 15.0
"""Largest distance of the middle of a pair from the middle of the head along x."""

_MIDLINE_MARGIN_MM: Final = 8.0
_FINE_VOXEL_MM: Final = 2.5
_SLICES_OF_3D: Final = 3


def read_regions(
    objects: Sequence[StoredObject],
    files: Sequence[Path],
    *,
    anatomy: Grid | None,
    cest: Grid | None,
    midline_x_mm: float | None,
    schemes: Sequence[LabelScheme],
    label_scheme: str | None = None,
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Read all regions of a study, take the best ones and verify them.

    An object that holds none of the structures, such as an outline of something else, is only
    noted beside others that do.

    Parameters
    ----------
    objects
        Segmentations and structure sets.
    files
        Label maps.
    anatomy, cest
        Grids of the T1 and of the CEST series, where there are such.
    midline_x_mm
        x of the middle of the head in LPS, for a region without a partner [mm]; None when
        unknown.
    schemes
        Known label schemes.
    label_scheme
        Name of the scheme of `files` that have no JSON file beside them.

    Returns
    -------
        The regions, hippocampus before amygdala, left before right, and notes for the report.

    Raises
    ------
    LateralityError
        When a stated side contradicts the geometry.
    ProtocolError
        When an object cannot be read, or a volume is impossible.
    NoRegionError
        When all objects together hold none of the structures.
    GeometryError
        When a region lies where it cannot be.
    InputError
        When two objects of one class offer the same structure and side.
    """
    grids = tuple(grid for grid in (anatomy, cest) if grid is not None)
    reference = anatomy if anatomy is not None else cest
    readings: list[Callable[[], tuple[Region, ...]]] = [
        partial(_read_object, stored, grids) for stored in objects
    ]
    readings += [
        partial(
            read_label_map, path, schemes=schemes, scheme_name=label_scheme, reference=reference
        )
        for path in files
    ]
    found: list[tuple[Region, ...]] = []
    without: list[NoRegionError] = []
    for read in readings:
        try:
            found.append(read())
        except NoRegionError as fault:
            without.append(fault)
    if not found and without:
        raise without[0]
    sound, refusals = _without_contradictions(found, midline_x_mm)
    choice = choose_regions(sound)
    regions, notes = verified(choice.regions, anatomy=anatomy, cest=cest, midline_x_mm=midline_x_mm)
    return regions, (*refusals, *choice.notes, *(str(fault) for fault in without), *notes)


def _without_contradictions(
    objects: Sequence[tuple[Region, ...]], midline_x_mm: float | None
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """The regions of all objects but those whose sides are wrong, and what was wrong with them.

    An object whose sides are wrong is only passed over for one that is at least as good and right,
    such as its correction: nothing else would ever end the question.

    Raises
    ------
    LateralityError
        When there is no such other object.
    """
    right: list[Region] = []
    wrong: list[tuple[tuple[Region, ...], LateralityError]] = []
    for regions in objects:
        require_distinct(regions)
        try:
            verify_sides(regions, midline_x_mm=midline_x_mm)
        except LateralityError as fault:
            wrong.append((regions, fault))
            continue
        except GeometryError:
            pass  # judged together with the other objects
        right += regions
    for regions, reason in wrong:
        for region in regions:
            best = class_of(right, region.structure)
            if best is None or best > region.source.region_class:
                raise reason
    return tuple(right), tuple(str(reason) for _, reason in wrong)


def _read_object(stored: StoredObject, grids: Sequence[Grid]) -> tuple[Region, ...]:
    if stored.header.SOPClassUID in SEGMENTATIONS:
        return read_segmentation(stored)
    if stored.header.SOPClassUID == STRUCTURE_SET:
        return read_structure_set(stored, grids)
    return ()


def verified(
    regions: Sequence[Region],
    *,
    anatomy: Grid | None,
    cest: Grid | None,
    midline_x_mm: float | None,
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Hold regions against the geometry and against each other.

    Parameters
    ----------
    regions
        What is to be used, one for each structure and side.
    anatomy, cest, midline_x_mm
        As in `read_regions`.

    Returns
    -------
        The regions, each voxel in one of them at most, and notes for the report.

    Raises
    ------
    LateralityError, GeometryError, ProtocolError, InputError
        As `read_regions`.
    """
    require_distinct(regions)
    _require_place(regions, anatomy, cest)
    verify_sides(regions, midline_x_mm=midline_x_mm)
    _require_plausible(regions)
    separate, claimed = without_overlap(regions)
    notes = (f"{claimed} voxels in two regions were given to neither",) if claimed else ()
    return tuple(_settled(region, cest) for region in separate), notes


def require_distinct(regions: Sequence[Region]) -> None:
    """Refuse two regions for one structure and side.

    Raises
    ------
    InputError
        With the question which one is meant.
    """
    seen: dict[str, str] = {}
    for region in regions:
        if region.name in seen:
            raise InputError(
                f"two regions for {region.name} found ({seen[region.name]} and "
                f"{region.source.identifier}); which one is to be used? Keep one, or name its "
                "file with --roi."
            )
        seen[region.name] = region.source.identifier


def _require_place(regions: Sequence[Region], anatomy: Grid | None, cest: Grid | None) -> None:
    """Refuse regions that stand neither in the coordinates of the CEST series nor of the T1."""
    # What was drawn on the T1 can be used once the place of the T1 is found in the images.
    known = {grid.frame_of_reference_uid for grid in (anatomy, cest) if grid is not None}
    for region in regions:
        own = region.grid.frame_of_reference_uid
        if own and cest is not None and own not in known:
            raise GeometryError(
                f"{region.name} stands in the Frame of Reference {own}, the CEST series in "
                f"{cest.frame_of_reference_uid or 'none'}; one examination without repositioning "
                "was expected. Draw the region on images of this examination."
            )
        if not own:
            raise GeometryError(
                f"{region.name} states no Frame of Reference, so nothing says where in this "
                "patient it lies; a FrameOfReferenceUID was expected. Export region and images "
                "with it."
            )


def verify_sides(regions: Sequence[Region], *, midline_x_mm: float | None) -> None:
    """Hold the stated sides against the geometry: in LPS the patient's left has the larger x.

    Raises
    ------
    LateralityError
        When the left region of a pair is not to the left of the right one, or a single region
        lies on the other side of the middle of the head.
    GeometryError
        When a pair is too close, too far apart or beside the middle of the head, a single region
        too near the middle, or the amygdala behind the hippocampus.
    """
    centroids = {(one.structure, one.side): one.centroid_lps_mm for one in regions}
    for structure in Structure:
        left = centroids.get((structure, Side.LEFT))
        right = centroids.get((structure, Side.RIGHT))
        if left is not None and right is not None:
            _verify_pair(structure, float(left[0] - right[0]))
            _verify_centre(structure, float(left[0] + right[0]) / 2.0, midline_x_mm)
        elif left is not None:
            _verify_single(structure, Side.LEFT, float(left[0]), midline_x_mm)
        elif right is not None:
            _verify_single(structure, Side.RIGHT, float(right[0]), midline_x_mm)
    for side in Side:
        hippocampus = centroids.get((Structure.HIPPOCAMPUS, side))
        amygdala = centroids.get((Structure.AMYGDALA, side))
        if hippocampus is not None and amygdala is not None and amygdala[1] >= hippocampus[1]:
            raise GeometryError(
                f"the {side} amygdala lies {amygdala[1] - hippocampus[1]:.0f} mm behind the "
                "hippocampus; in front was expected. Check the regions and their grid."
            )


def _verify_pair(structure: Structure, distance_mm: float) -> None:
    if distance_mm <= 0.0:
        raise LateralityError(
            f"the region called left {structure} lies {-distance_mm:.0f} mm to the right of the "
            "one called right (LPS); left and right may be swapped. Correct the regions; nothing "
            "is computed from them."
        )
    low, high = LEFT_TO_RIGHT_MM
    if not low <= distance_mm <= high:
        raise GeometryError(
            f"left and right {structure} are {distance_mm:.0f} mm apart; {low:g} to {high:g} mm "
            "was expected. Check the regions."
        )


def _verify_centre(structure: Structure, middle_x_mm: float, midline_x_mm: float | None) -> None:
    if midline_x_mm is None:
        return
    off = middle_x_mm - midline_x_mm
    if abs(off) > OFF_CENTRE_MM:
        raise GeometryError(
            f"the middle of the two {structure} regions lies {abs(off):.0f} mm to the "
            f"{'left' if off > 0.0 else 'right'} of the middle of the head; at most "
            f"{OFF_CENTRE_MM:g} mm was expected. Check the regions and the image they were drawn "
            "on."
        )


def _verify_single(
    structure: Structure, side: Side, x_mm: float, midline_x_mm: float | None
) -> None:
    if midline_x_mm is None:
        raise GeometryError(
            f"only the {side} {structure} was drawn and no image shows the middle of the head; "
            "the side cannot be verified. Draw both sides, or send the T1."
        )
    offset = (x_mm - midline_x_mm) * (1.0 if side is Side.LEFT else -1.0)
    if offset < -_MIDLINE_MARGIN_MM:
        raise LateralityError(
            f"the region called {side} {structure} lies {-offset:.0f} mm on the other side of the "
            "middle of the head (LPS); left and right may be swapped. Correct the region; "
            "nothing is computed from it."
        )
    if offset < _MIDLINE_MARGIN_MM:
        raise GeometryError(
            f"the region called {side} {structure} lies in the middle of the head; its side "
            "cannot be verified. Correct the region."
        )


def _require_plausible(regions: Sequence[Region]) -> None:
    for region in regions:
        # A region drawn on thick CEST slices holds only the part that they cover.
        fine = max(region.grid.spacing_mm) <= _FINE_VOXEL_MM
        if not fine or np.count_nonzero(region.fraction.any(axis=(1, 2))) < _SLICES_OF_3D:
            continue
        low, high = VOLUME_MM3[region.structure]
        if not low <= region.volume_mm3 <= high:
            raise ProtocolError(
                f"{region.name} has {region.volume_mm3 / 1000.0:.2f} ml; {low / 1000.0:g} to "
                f"{high / 1000.0:g} ml was expected. Check the region and its label."
            )


def _settled(region: Region, cest: Grid | None) -> Region:
    if cest is not None:
        whole = _on_grid(region, cest)
        if whole is not None:
            return Region(
                structure=region.structure,
                side=region.side,
                fraction=whole,
                grid=cest,
                source=region.source,
            )
    return region


def _on_grid(region: Region, grid: Grid) -> Real | None:
    """The fractions on all of `grid` when the region's voxels are voxels of it, else None."""
    if region.grid.frame_of_reference_uid != grid.frame_of_reference_uid:
        return None
    spacing_differs = np.abs(np.subtract(region.grid.spacing_mm[1:], grid.spacing_mm[1:])) > 1e-3
    inside = np.argwhere(region.fraction > 0.0)
    index = grid.to_index(region.grid.to_lps(inside.astype(np.float64)))
    nearest = np.rint(index).astype(int)
    off_mm = np.abs(index - nearest) * np.array(grid.spacing_mm)
    outside = np.any(nearest < 0) or np.any(nearest >= np.array(grid.shape))
    if spacing_differs.any() or outside or np.any(off_mm > 0.05):
        return None
    if len(np.unique(nearest, axis=0)) != len(nearest):
        return None
    fraction = np.zeros(grid.shape)
    fraction[tuple(nearest.T)] = region.fraction[tuple(inside.T)]
    return fraction
