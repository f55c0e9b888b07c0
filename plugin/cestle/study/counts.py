"""How many instances a series should have, by what its own headers say.

Silence alone does not tell a pause from the end of a transfer. Where the headers state a count,
a series with fewer instances is not complete.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from cestle.study.facts import InstanceFacts


def declared_count(instances: Sequence[InstanceFacts]) -> int | None:
    """Instances that a series should have; None when no header says it.

    The largest of what these elements state, each read as the standard means it:

    - (0054,0081) Number of Slices, which United Imaging fills with the instances of the series,
    - (0020,1209) Number of Series Related Instances,
    - (0020,1002) Images in Acquisition, for each acquisition (PS3.3 C.8.3.1),
    - (0020,0105) Number of Temporal Positions, each with as many images as the fullest one,
    - (0020,9163) In-concatenation Total Number, for each concatenation (PS3.3 C.7.6.16).

    Parameters
    ----------
    instances
        What arrived of one series; facts of frames of one instance count once.
    """
    unique = list({one.sop_instance_uid: one for one in instances}.values())
    stated = [
        *(one.declared_instances for one in unique),
        *(_whole(one, "NumberOfSeriesRelatedInstances") for one in unique),
        _by_acquisition(unique),
        _by_temporal_position(unique),
        _by_concatenation(unique),
    ]
    return max((count for count in stated if count is not None), default=None)


def _by_acquisition(instances: Sequence[InstanceFacts]) -> int | None:
    """Sum over the acquisitions; a count that the series just has as a whole is of the series."""
    groups: dict[str, list[InstanceFacts]] = {}
    for one in instances:
        groups.setdefault(one.first("AcquisitionNumber") or "", []).append(one)
    counts = {
        number: _largest(_whole(one, "ImagesInAcquisition") for one in group)
        for number, group in groups.items()
    }
    if not any(counts.values()):
        return None
    if all(count == len(instances) for count in counts.values()):
        return len(instances)
    return sum(max(counts[number], len(group)) for number, group in groups.items())


def _by_temporal_position(instances: Sequence[InstanceFacts]) -> int | None:
    positions = _largest(_whole(one, "NumberOfTemporalPositions") for one in instances)
    places = [one.first("TemporalPositionIdentifier") for one in instances]
    if positions < 2 or None in places:
        return None
    return positions * max(Counter(places).values())


def _by_concatenation(instances: Sequence[InstanceFacts]) -> int | None:
    parts: dict[str, int] = {}
    alone = 0
    for one in instances:
        whole, total = one.first("ConcatenationUID"), _whole(one, "InConcatenationTotalNumber")
        if whole is None or total is None:
            alone += 1
        else:
            parts[whole] = max(parts.get(whole, 0), total)
    return sum(parts.values()) + alone if parts else None


def _whole(facts: InstanceFacts, element: str) -> int | None:
    """A positive whole number; None for anything else."""
    number = facts.number(element)
    return None if number is None or number < 1 or not number.is_integer() else int(number)


def _largest(counts: Iterable[int | None]) -> int:
    return max((count for count in counts if count is not None), default=0)
