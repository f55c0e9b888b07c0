"""Whether a study may be processed: a verdict from what arrived, what is expected, and the time.

Pure: the clock comes in as an argument, so that a node can ask again whenever it likes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cestle.study.counts import declared_count
from cestle.study.performed_steps import Performed, StepState
from cestle.study.roles import Classified, Role


class State(StrEnum):
    """What to do with a study."""

    WAIT = "wait"
    READY = "ready"
    READY_PARTIAL = "ready_partial"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do, why, and what is still missing.

    Parameters
    ----------
    state
        Wait, process, or process with what is there.
    reason
        One line for the status page and the log.
    missing
        Names of the expectations that are not met, each with what is known.
    ask_again_at
        When time alone could change the verdict; None when only a new instance could.
    """

    state: State
    reason: str
    missing: tuple[str, ...]
    ask_again_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """Something that a study should hold: at least one image of one of `roles`."""

    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, kw_only=True)
class StudyProfile:
    """What a site expects of a study, and how long it waits.

    Parameters
    ----------
    expectations
        What must be there before the study counts as complete.
    quiet_seconds
        Time without a new instance before a complete study is processed [s].
    partial_quiet_seconds
        Time without a new instance before an incomplete study is processed as it is [s].
    max_wait_minutes
        Longest wait since the first instance [min].
    regions_from_t1
        Whether software draws the regions on the T1 where nobody sent any, so that a study with
        a T1 is complete without them.
    wait_for_regions_minutes
        Time without a new instance that such a study waits for regions of a person or of a
        program of the site [min].
    performed_quiet_seconds
        Time without a new instance once all that the scanner listed is here [s].
    """

    expectations: tuple[Expectation, ...]
    quiet_seconds: float = 20.0
    partial_quiet_seconds: float = 300.0
    max_wait_minutes: float = 120.0
    regions_from_t1: bool = False
    wait_for_regions_minutes: float = 0.0
    performed_quiet_seconds: float = 3.0


EXPECTATIONS: Final = {
    "cest": Expectation(
        name="CEST images or map", roles=frozenset({Role.CEST_SOURCE, Role.CEST_MAP_VENDOR})
    ),
    "b0_map": Expectation(name="B0 map", roles=frozenset({Role.B0_MAP})),
    "b1_map": Expectation(name="B1 map", roles=frozenset({Role.B1_MAP})),
    "t1": Expectation(name="3D T1", roles=frozenset({Role.T1_3D})),
    "regions": Expectation(name="regions", roles=frozenset({Role.ROI})),
    "spectra": Expectation(name="MEGA-PRESS spectra", roles=frozenset({Role.MRS_MEGA})),
    "water": Expectation(name="water of the spectra", roles=frozenset({Role.MRS_WATER})),
}
"""What a site may expect of its studies, by the names in `node.toml`."""

GLUCEST_EXPECTATIONS: Final = tuple(
    EXPECTATIONS[name] for name in ("cest", "b0_map", "b1_map", "t1", "regions")
)
"""A GluCEST study with regions. Without regions there is nothing to compare between the sides,
so the node waits a little longer for them."""

_SPECTRA: Final = frozenset({Role.MRS_MEGA, Role.MRS_WATER})
_FIELD_ROLES: Final = frozenset({Role.B0_MAP, Role.B1_MAP})


@dataclass(frozen=True, kw_only=True)
class SeriesInventory:
    """What arrived of one series.

    Parameters
    ----------
    series_instance_uid
        The series.
    roles
        Roles of its images.
    arrived
        Instances that arrived, each SOP Instance UID once.
    declared
        Instances that the series says it has; None when it does not say.
    """

    series_instance_uid: str
    roles: frozenset[Role]
    arrived: int
    declared: int | None


@dataclass(frozen=True, kw_only=True)
class StudyInventory:
    """What arrived of a study.

    Parameters
    ----------
    series
        Its series, in the order of their UIDs.
    cest_images
        CEST source images or frames.
    expected_cest_images
        Smallest number of images of an accepted acquisition; None when no rule says.
    """

    series: tuple[SeriesInventory, ...]
    cest_images: int
    expected_cest_images: int | None

    @property
    def roles(self) -> frozenset[Role]:
        """All roles that arrived."""
        return frozenset().union(*(one.roles for one in self.series))


def take_inventory(classified: Iterable[Classified]) -> StudyInventory:
    """Count what arrived; the order of arrival and repeats play no part."""
    unique = {(one.facts.sop_instance_uid, one.facts.frame): one for one in classified}
    by_series: dict[str, list[Classified]] = {}
    for one in unique.values():
        by_series.setdefault(one.facts.series_instance_uid, []).append(one)
    cest = [one for one in unique.values() if one.role is Role.CEST_SOURCE]
    wanted = [
        len(acquisition.offsets_ppm)
        for one in cest
        if one.rule is not None
        for acquisition in one.rule.acquisitions
    ]
    return StudyInventory(
        series=tuple(_series(uid, group) for uid, group in sorted(by_series.items())),
        cest_images=len(cest),
        expected_cest_images=min(wanted) if wanted else None,
    )


def _series(uid: str, group: list[Classified]) -> SeriesInventory:
    declared = [declared_count([one.facts for one in group])]
    arrived = len({one.facts.sop_instance_uid for one in group})
    if any(one.role in _SPECTRA for one in group):
        declared.append(_numbered(group, arrived))
    return SeriesInventory(
        series_instance_uid=uid,
        roles=frozenset(one.role for one in group),
        arrived=arrived,
        declared=max((count for count in declared if count is not None), default=None),
    )


def _numbered(group: list[Classified], arrived: int) -> int | None:
    """Instances that must be there by their numbers, gaps included; None when nothing tells.

    A series of single transients states no count: a number that is left out is on its way.
    """
    numbers = {one.facts.number("InstanceNumber") for one in group}
    known = {number for number in numbers if number is not None}
    if len(known) < arrived or not all(number.is_integer() for number in known):
        return None
    return int(max(known) - min(known)) + 1


def assess_completeness(
    inventory: StudyInventory,
    profile: StudyProfile,
    *,
    now: datetime,
    last_arrival: datetime,
    first_arrival: datetime,
    performed: Performed | None = None,
) -> Verdict:
    """Decide whether to wait for more of a study.

    Parameters
    ----------
    inventory
        What arrived.
    profile
        What is expected, and the waiting times.
    now, last_arrival, first_arrival
        The present and the times of the newest and of the oldest instance.
    performed
        What the scanner says of its own work; None when it says nothing.

    Returns
    -------
        READY once everything expected is there and nothing came for the quiet time;
        READY_PARTIAL after the longer quiet time, or when the study has waited too long. A list
        of the scanner, once it has ended its work, takes the place of the expectations.
    """
    missing = _missing(inventory, profile)
    needed, told = _patience(missing, profile, performed)
    if performed is not None and performed.missing:
        missing = (*missing, performed.missing)
    quiet = max((now - last_arrival).total_seconds(), 0.0)
    waited = max((now - first_arrival).total_seconds(), 0.0)
    to_draw = _drawn_by_software(inventory, profile)
    if to_draw:
        needed = max(needed, 60.0 * profile.wait_for_regions_minutes)
    deadline = 60.0 * profile.max_wait_minutes
    ready = State.READY_PARTIAL if missing else State.READY
    lacking = f"; missing: {', '.join(missing)}" if missing else ""
    lacking += "; no regions were sent, software draws them" if to_draw else ""
    begin = f"{_completeness(missing)}{told}"
    if quiet >= needed:
        reason = f"{begin}, quiet for {quiet:.0f} s{lacking}"
        return Verdict(state=ready, reason=reason, missing=missing, ask_again_at=None)
    if waited >= deadline:
        reason = f"{begin}, waited {waited / 60.0:.0f} min, the longest time{lacking}"
        return Verdict(state=ready, reason=reason, missing=missing, ask_again_at=None)
    reason = f"{begin}, quiet for {quiet:.0f} of {needed:g} s{lacking}"
    again = min(
        last_arrival + timedelta(seconds=needed), first_arrival + timedelta(seconds=deadline)
    )
    return Verdict(state=State.WAIT, reason=reason, missing=missing, ask_again_at=again)


def _patience(
    missing: tuple[str, ...], profile: StudyProfile, performed: Performed | None
) -> tuple[float, str]:
    """Silence to wait for [s], and what the scanner says, in words."""
    usual = profile.partial_quiet_seconds if missing else profile.quiet_seconds
    if performed is None:
        return usual, ""
    listed = f", {performed.arrived} of {performed.listed} listed instances are here"
    match performed.state:
        case StepState.IN_PROGRESS:
            return profile.partial_quiet_seconds, ", the scanner says that it is still at work"
        case StepState.DISCONTINUED:
            words = ", the scanner says that the examination was broken off"
            return profile.quiet_seconds, words + (listed if performed.listed else "")
        case StepState.COMPLETED:
            words = ", the scanner says that it has finished"
            if not performed.listed:
                return usual, words
            if performed.missing:
                return profile.partial_quiet_seconds, words
            return profile.performed_quiet_seconds, words + listed


def _completeness(missing: tuple[str, ...]) -> str:
    return "incomplete" if missing else "complete"


def _missing(inventory: StudyInventory, profile: StudyProfile) -> tuple[str, ...]:
    missing = []
    for expectation in profile.expectations:
        if _not_needed(expectation, inventory, profile) or expectation.roles & inventory.roles:
            continue
        missing.append(expectation.name)
    wanted = inventory.expected_cest_images
    if wanted is not None and inventory.cest_images < wanted:
        missing.append(f"CEST images ({inventory.cest_images} of {wanted})")
    for one in inventory.series:
        useful = one.roles - {Role.IGNORED, Role.OWN_OUTPUT, Role.VENDOR_PICTURE}
        if useful and one.declared is not None and one.arrived < one.declared:
            names = "/".join(sorted(useful))
            missing.append(f"{names} ({one.arrived} of {one.declared} instances)")
    return tuple(missing)


def _drawn_by_software(inventory: StudyInventory, profile: StudyProfile) -> bool:
    """Whether regions are absent and can be drawn on the T1."""
    roles = inventory.roles
    return profile.regions_from_t1 and Role.T1_3D in roles and Role.ROI not in roles


def _not_needed(expectation: Expectation, inventory: StudyInventory, profile: StudyProfile) -> bool:
    """Field maps serve the source images; the vendor's map is already corrected."""
    if expectation.roles == {Role.ROI}:
        return _drawn_by_software(inventory, profile)
    only_vendor_map = (
        Role.CEST_MAP_VENDOR in inventory.roles and Role.CEST_SOURCE not in inventory.roles
    )
    return only_vendor_map and expectation.roles <= _FIELD_ROLES
