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
        regions += [one for one in offered if one.source.region_class is best]
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


def _forms(regions: Sequence[Region]) -> str:
    return ", ".join(dict.fromkeys(str(one.source.form) for one in regions))


def _rank(region: Region) -> tuple[int, int]:
    return list(Structure).index(region.structure), list(Side).index(region.side)
