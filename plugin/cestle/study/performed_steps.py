"""What a scanner says of its own work: performed procedure steps, and the images that they list.

When every step of a study has ended, the images that they list are the exact set to expect.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum


class StepState(StrEnum):
    """State of a performed procedure step (PS3.4 table F.7.2-1)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"

    @property
    def is_final(self) -> bool:
        """Whether the step may no longer be changed."""
        return self is not StepState.IN_PROGRESS


@dataclass(frozen=True, kw_only=True)
class PerformedStep:
    """One performed procedure step, without anything that tells of the patient.

    Parameters
    ----------
    step_uid
        SOP Instance UID of the step.
    study_instance_uid
        Study that it belongs to.
    state
        As the scanner stated it last.
    instances
        Series and SOP Instance UID of each instance that it lists.
    changed
        When the scanner stated this [s since the epoch].
    """

    step_uid: str
    study_instance_uid: str
    state: StepState
    instances: frozenset[tuple[str, str]]
    changed: float


@dataclass(frozen=True, kw_only=True)
class Performed:
    """All steps of a study against what arrived.

    Parameters
    ----------
    state
        IN_PROGRESS while any step is; DISCONTINUED when any was broken off; else COMPLETED.
    listed, arrived
        Instances that the steps list, and how many of these are here.
    absent_series
        Listed series of which nothing is here.
    """

    state: StepState
    listed: int
    arrived: int
    absent_series: int

    @property
    def missing(self) -> str:
        """What is missing of the list, in words; empty when nothing is."""
        if self.arrived >= self.listed:
            return ""
        text = f"{self.listed - self.arrived} of {self.listed} instances that the scanner listed"
        if self.absent_series:
            text += f" ({self.absent_series} whole series)"
        return text


def performed_of(steps: Iterable[PerformedStep], arrived: Set[str]) -> Performed | None:
    """The steps of a study as one; None when there are none.

    Parameters
    ----------
    steps
        All steps of the study.
    arrived
        SOP Instance UIDs that are here.
    """
    every = tuple(steps)
    if not every:
        return None
    states = {step.state for step in every}
    order = (StepState.IN_PROGRESS, StepState.DISCONTINUED, StepState.COMPLETED)
    listed = frozenset().union(*(step.instances for step in every))
    here = {(series, sop) for series, sop in listed if sop in arrived}
    return Performed(
        state=next(state for state in order if state in states),
        listed=len(listed),
        arrived=len(here),
        absent_series=len({series for series, _ in listed} - {series for series, _ in here}),
    )
