"""Which of several outlines of a structure are used: the ladder of sources."""

from collections.abc import Sequence
from dataclasses import dataclass

from cestle.anatomy.regions import Region, RegionClass
from cestle.measurement import Side, Structure


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What the ladder takes and what it leaves.

    Parameters
    ----------
    regions
        Those that are used, hippocampus before amygdala, left before right; of one class for each
        structure.
    left_out
        The others.
    notes
        One sentence for each class of a structure that was left out.
    """

    regions: tuple[Region, ...]
    left_out: tuple[Region, ...]
    notes: tuple[str, ...]


def choose_regions(candidates: Sequence[Region]) -> Choice:
    """Take for each structure the regions of the best class that offers any.

    Of several of that class the one that was written last is taken, side by side: a person who
    draws again means to replace. Where the objects do not say when, all are left to the caller.

    A structure is never put together from two classes: the difference between two ways of
    drawing would become a difference between the sides. Nor does a lower class take the place of
    a better one that drew one side only, since the other side may have been left out on purpose,
    as after a resection.

    Parameters
    ----------
    candidates
        Regions of any class, in any order.
    """
    regions: list[Region] = []
    left_out: list[Region] = []
    notes: list[str] = []
    for structure in Structure:
        offered = [one for one in candidates if one.structure is structure]
        classes = sorted({one.source.region_class for one in offered})
        if not classes:
            continue
        best = classes[0]
        chosen, older = _newest([one for one in offered if one.source.region_class is best])
        regions += chosen
        left_out += older
        notes += [f"an earlier {one.name} ({one.source.form}) was replaced" for one in older]
        for other in classes[1:]:
            left = [one for one in offered if one.source.region_class is other]
            left_out += left
            notes.append(
                f"the {structure} of class {other} ({_forms(left)}) was not used, one of class "
                f"{best} is there"
            )
    return Choice(
        regions=tuple(sorted(regions, key=_rank)), left_out=tuple(left_out), notes=tuple(notes)
    )


def missing_structures(regions: Sequence[Region]) -> tuple[Structure, ...]:
    """Structures that no region is of; these a lower class may offer."""
    return tuple(
        structure
        for structure in Structure
        if not any(one.structure is structure for one in regions)
    )


def class_of(regions: Sequence[Region], structure: Structure) -> RegionClass | None:
    """Class of the regions of a structure; None without any."""
    classes = [one.source.region_class for one in regions if one.structure is structure]
    return max(classes, default=None)


def is_newer(region: Region, than: Region) -> bool:
    """Whether the object of one region was written after that of another, as both say."""
    return bool(than.source.written) and region.source.written > than.source.written


def _newest(regions: Sequence[Region]) -> tuple[list[Region], list[Region]]:
    """For each side the region that replaces all others, where there is one, and the others."""
    chosen: list[Region] = []
    older: list[Region] = []
    for side in Side:
        own = sorted(
            (one for one in regions if one.side is side), key=lambda one: one.source.written
        )
        replaced = own[:-1] if all(is_newer(own[-1], one) for one in own[:-1]) else []
        older += replaced
        chosen += own[len(replaced) :]
    return chosen, older


def _forms(regions: Sequence[Region]) -> str:
    return ", ".join(dict.fromkeys(str(one.source.form) for one in regions))


def _rank(region: Region) -> tuple[int, int]:
    return list(Structure).index(region.structure), list(Side).index(region.side)
