"""Where the regions of a result came from, what that allows, and what the result before had."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cestle.anatomy.ladder import class_of
from cestle.anatomy.regions import Region, RegionClass, RegionForm, RegionSource
from cestle.anatomy.slab import region_on_grid
from cestle.biomarkers.lateralization import LateralizationResult, as_preliminary, withhold
from cestle.errors import GeometryError
from cestle.geometry import Grid
from cestle.measurement import Estimate, Structure

EXPECTED_OVERLAP: Final = {Structure.HIPPOCAMPUS: 0.82, Structure.AMYGDALA: 0.71}
"""Mean Dice coefficient of the built-in atlas with outlines by hand: 35 healthy T1 of 1 mm."""

REGION_ERROR: Final = {Structure.HIPPOCAMPUS: 0.007, Structure.AMYGDALA: 0.006}
"""Standard deviation of the change of an asymmetry index when the built-in atlas draws in place
of a person, in 13 people: mean absolute change 0.0053 and 0.0044, 95th percentile 0.0144 and
0.0114."""

_COMPARED: Final = ("dai_glu_h_epi", "dai_glu_a_epi")

LEAST_MARGIN: Final = 0.012
"""A preliminary call needs at least this distance from the cut-off."""


@dataclass(frozen=True, kw_only=True)
class StructureOrigin:
    """Where both regions of a structure came from.

    Parameters
    ----------
    region_class
        Step of the ladder.
    sources
        Sources of the regions, each once.
    outlines
        SHA-256 of unverified outlines on the T1 by name of the region, by which they are
        recognised when they come back; empty for others.
    """

    region_class: RegionClass
    sources: tuple[RegionSource, ...]
    outlines: Mapping[str, str] = field(default_factory=dict)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the outlines cannot be relied on."""
        return tuple(dict.fromkeys(line for one in self.sources for line in one.doubts))

    @property
    def tools(self) -> str:
        """Names and versions of the programs that drew them."""
        return ", ".join(dict.fromkeys(one.tool for one in self.sources if one.tool))

    @property
    def words(self) -> str:
        """The sources in words."""
        return "; ".join(dict.fromkeys(one.in_words for one in self.sources))


@dataclass(frozen=True, kw_only=True)
class PreviousResult:
    """What the result set before says, for comparison.

    Parameters
    ----------
    revision
        Its number.
    classes
        Class of the regions by structure.
    indices
        Its asymmetry indices by name.
    outlines
        SHA-256 of its unverified outlines on the T1 by name of the region.
    """

    revision: int
    classes: Mapping[Structure, RegionClass]
    indices: Mapping[str, float]
    outlines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RegionsResult:
    """The block of the results on regions.

    Parameters
    ----------
    structures
        By structure; those without regions are not in it.
    notes
        What was left out, and why better sources gave nothing.
    previous
        The result set before; None for the first one.
    """

    structures: Mapping[Structure, StructureOrigin] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    previous: PreviousResult | None = None

    def class_of(self, structure: Structure) -> RegionClass | None:
        """Class of the regions of a structure; None without any."""
        origin = self.structures.get(structure)
        return None if origin is None else origin.region_class

    @property
    def unverified(self) -> tuple[Structure, ...]:
        """Structures whose outlines nobody verified."""
        return tuple(
            structure
            for structure, origin in self.structures.items()
            if not origin.region_class.verified
        )


def regions_result(
    regions: Sequence[Region],
    anatomy: Grid | None,
    *,
    notes: tuple[str, ...],
    previous: PreviousResult | None,
) -> RegionsResult:
    """Say where regions came from.

    Parameters
    ----------
    regions
        As drawn, each on its own grid.
    anatomy
        Grid of the T1; None without one.
    notes
        What was left out.
    previous
        The result set before.
    """
    structures = {}
    for structure in Structure:
        own = [one for one in regions if one.structure is structure]
        region_class = class_of(own, structure)
        if region_class is None:
            continue
        structures[structure] = StructureOrigin(
            region_class=region_class,
            sources=tuple(dict.fromkeys(one.source for one in own)),
            outlines={} if region_class.verified else _outlines(own, anatomy),
        )
    return RegionsResult(structures=structures, notes=notes, previous=previous)


def recognise_returned(
    regions: Sequence[Region], anatomy: Grid | None, previous: PreviousResult | None
) -> tuple[tuple[Region, ...], tuple[str, ...]]:
    """Give outlines that came back unchanged the class that they had when they left.

    A viewer that opens our segmentation and saves it writes its own name into it, and may call
    it made by hand. Only voxels that differ show that a person corrected something.

    Parameters
    ----------
    regions
        As read.
    anatomy
        Grid of the T1.
    previous
        The result set whose outlines may have come back.

    Returns
    -------
        The regions, and notes on those that were recognised.
    """
    if previous is None or anatomy is None or not previous.outlines:
        return tuple(regions), ()
    notes: list[str] = []
    found: list[Region] = []
    for structure in Structure:
        own = [one for one in regions if one.structure is structure]
        left_as = previous.classes.get(structure)
        seen = _outlines(own, anatomy)
        unchanged = bool(seen) and all(
            previous.outlines.get(name) == digest for name, digest in seen.items()
        )
        if left_as is not RegionClass.ATLAS or class_of(own, structure) is left_as or not unchanged:
            found += own
            continue
        notes.append(
            f"the {structure} of {own[0].source.in_words} holds the automatic outlines of result "
            f"set {previous.revision} unchanged; it stays class {left_as}, unverified"
        )
        found += [replace(one, source=_as_atlas(one.source)) for one in own]
    return tuple(found), tuple(notes)


def _as_atlas(source: RegionSource) -> RegionSource:
    return replace(source, form=RegionForm.ATLAS, creation="automatic")


def restrain(
    call: LateralizationResult,
    score: Estimate | None,
    origin: StructureOrigin | None,
) -> LateralizationResult:
    """Leave of a call what the source of its regions allows.

    Parameters
    ----------
    call
        The call by rule and policy.
    score
        The index that it rests on, its standard error with that of the regions.
    origin
        Where the regions of its structure came from.
    """
    if origin is None or origin.region_class.verified:
        return call
    preliminary = as_preliminary(call, score, least_margin=LEAST_MARGIN)
    return withhold(
        preliminary,
        tuple(f"automatic outlines of low confidence: {line}" for line in origin.doubts),
    )


def sentence(structure: Structure, origin: StructureOrigin) -> str:
    """The source of a structure in one English sentence, as documents state it."""
    start = f"Regions, {structure}: "
    match origin.region_class:
        case RegionClass.EXPERT:
            return start + "expert" + _details(origin.sources)
        case RegionClass.SITE_TOOL:
            return (
                f"{start}automatic, site tool {origin.tools or 'not named'}, not edited"
                f"{_details(origin.sources)}"
            )
        case RegionClass.PLUG_IN:
            digests = ", ".join(dict.fromkeys(one.digest[:16] for one in origin.sources))
            return f"{start}automatic, plug-in {origin.tools}, SHA-256 {digests}, not edited"
        case RegionClass.ATLAS:
            return (
                f"{start}automatic atlas, UNVERIFIED; expected overlap with an expert "
                f"{EXPECTED_OVERLAP[structure]:g}; confidence {'low' if origin.doubts else 'high'}"
            )


def previous_sentence(previous: PreviousResult, indices: Mapping[str, Estimate | None]) -> str:
    """The result set before beside this one, in one English sentence, as documents state it."""
    classes = ", ".join(f"{name} {one}" for name, one in previous.classes.items()) or "none"
    changes = differences(previous, indices)
    values = "; ".join(
        f"{name} {value:+.4f}" + (f", now {changes[name]:+.4f}" if name in changes else "")
        for name, value in previous.indices.items()
        if name in _COMPARED
    )
    return f"Result set {previous.revision}: classes of regions {classes}; {values or 'no index'}"


def _details(sources: Sequence[RegionSource]) -> str:
    parts = []
    for source in sources:
        parts += [source.creator, f"{source.form} {source.identifier}"]
        parts.append(f"drawn on series {source.drawn_on}" if source.drawn_on else "")
    found = [part for part in dict.fromkeys(parts) if part]
    return ", " + ", ".join(found) if found else ""


def regions_form(result: RegionsResult, indices: Mapping[str, Estimate | None]) -> dict[str, Any]:
    """JSON form of the block."""
    return {
        "structures": {
            str(structure): _origin_form(origin) for structure, origin in result.structures.items()
        },
        "notes": list(result.notes),
        "previous": _previous_form(result.previous, indices),
    }


def differences(
    previous: PreviousResult, indices: Mapping[str, Estimate | None]
) -> dict[str, float]:
    """New index minus that of the result set before, where both exist."""
    return {
        name: value.value - previous.indices[name]
        for name, value in indices.items()
        if value is not None and name in previous.indices
    }


def previous_result(tree: Mapping[str, Any]) -> PreviousResult | None:
    """What a `results.json` says for comparison; None when it is of a version that says nothing."""
    block = tree.get("regions")
    if not isinstance(block, Mapping):
        return None
    structures = {Structure(name): one for name, one in block["structures"].items()}
    asymmetry = tree["asymmetry"]
    return PreviousResult(
        revision=int(tree["revision"]),
        classes={name: RegionClass(one["class"]) for name, one in structures.items()},
        indices={
            name: float(one["value"])
            for name, one in asymmetry.items()
            if name != "reasons" and one is not None
        },
        outlines={
            name: str(digest)
            for one in structures.values()
            for name, digest in one["outline_sha256"].items()
        },
    )


def _origin_form(origin: StructureOrigin) -> dict[str, Any]:
    return {
        "class": str(origin.region_class),
        "verified": origin.region_class.verified,
        "source": origin.words,
        "objects": [
            {
                "form": str(one.form),
                "creation": one.creation,
                "identifier": one.identifier,
                "tool": one.tool,
                "creator": one.creator,
                "drawn_on": one.drawn_on,
                "sha256": one.digest,
            }
            for one in origin.sources
        ],
        "doubts": list(origin.doubts),
        "outline_sha256": dict(origin.outlines),
    }


def _previous_form(
    previous: PreviousResult | None, indices: Mapping[str, Estimate | None]
) -> dict[str, Any] | None:
    if previous is None:
        return None
    return {
        "revision": previous.revision,
        "classes": {str(name): str(one) for name, one in previous.classes.items()},
        "indices": dict(previous.indices),
        "difference": differences(previous, indices),
    }


def _outlines(regions: Sequence[Region], anatomy: Grid | None) -> dict[str, str]:
    if anatomy is None:
        return {}
    found = {}
    for region in regions:
        try:
            on_t1 = outline_on(region, anatomy)
        except GeometryError:
            return {}
        found[region.name] = hashlib.sha256(on_t1.tobytes()).hexdigest()
    return found


def outline_on(region: Region, anatomy: Grid) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Voxels of the T1 that a region holds for the greater part, shape (n, 3), in order.

    Raises
    ------
    GeometryError
        When the frames of reference differ.
    """
    exact = _same_lattice(region, anatomy)
    if exact is not None:
        return exact
    first, part = _reached(region, anatomy)
    return np.argwhere(region_on_grid(region, part).fraction >= 0.5) + first


def _reached(region: Region, anatomy: Grid) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Grid]:
    """The part of the T1 grid around a region, and the index of its first voxel."""
    inside = np.argwhere(region.fraction > 0.0)
    low, high = inside.min(axis=0) - 1.0, inside.max(axis=0) + 1.0
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    index = anatomy.to_index(region.grid.to_lps(corners))
    last = np.array(anatomy.shape) - 1
    first = np.clip(np.floor(index.min(axis=0)).astype(np.int64), 0, last)
    stop = np.clip(np.ceil(index.max(axis=0)).astype(np.int64), first, last) + 1
    affine = np.array(anatomy.affine)
    affine[:3, 3] = anatomy.to_lps(first.astype(np.float64))
    shape = tuple(int(length) for length in stop - first)
    return first, replace(anatomy, shape=(shape[0], shape[1], shape[2]), affine=affine)


def _same_lattice(region: Region, anatomy: Grid) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The same without interpolation, where voxels of the region are voxels of the T1."""
    if region.grid.frame_of_reference_uid != anatomy.frame_of_reference_uid:
        return None
    inside = np.argwhere(region.fraction >= 0.5)
    index = anatomy.to_index(region.grid.to_lps(inside.astype(np.float64)))
    nearest = np.rint(index).astype(np.int64)
    off_mm = np.abs(index - nearest) * np.array(anatomy.spacing_mm)
    same_size = np.allclose(region.grid.spacing_mm, anatomy.spacing_mm, atol=1e-3)
    outside = np.any(nearest < 0) or np.any(nearest >= np.array(anatomy.shape))
    if not same_size or outside or np.any(off_mm > 0.05):
        return None
    unique = np.unique(nearest, axis=0)
    return unique if len(unique) == len(nearest) else None
