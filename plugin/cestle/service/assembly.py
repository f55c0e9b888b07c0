"""Assembly: watch the studies that are arriving, and fix the inputs of a revision in time.

Nothing is kept in memory that matters: all times come from the journal, so a restart forgets
no timer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from cestle.errors import CestleError
from cestle.service.clock import ClockWatch
from cestle.service.logs import describe_fault
from cestle.service.meters import Meters
from cestle.spool.journal import Journal
from cestle.spool.records import RevisionRecord, StepRecord, StoredInstance, StudyRecord
from cestle.spool.retention import Retention
from cestle.spool.workers import Steps

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """What has arrived of a study so far.

    Parameters
    ----------
    instances
        One for each SOP Instance UID, the newest where there are several.
    first_arrival, last_arrival, now
        Times [s since the epoch].
    """

    instances: tuple[StoredInstance, ...]
    first_arrival: float
    last_arrival: float
    now: float


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Whether to begin.

    Parameters
    ----------
    ready
        True to begin, with what there is.
    reason
        What is waited for, or why it begins, in words.
    used
        SOP Instance UIDs that results depend on; pictures and own outputs that come back are
        not among them.
    """

    ready: bool
    reason: str
    used: frozenset[str]


Assess = Callable[[Gathered], Assessment]


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Turns collections of instances into revisions.

    Parameters
    ----------
    journal
        Where studies are recorded.
    assess
        Judges whether a study is complete.
    retention
        What is no longer kept.
    steps
        What was done when.
    clock
        Notices when the clock is set.
    meters
        What is measured.
    """

    journal: Journal
    assess: Assess
    retention: Retention
    steps: Steps
    clock: ClockWatch = field(default_factory=ClockWatch)
    meters: Meters = field(default_factory=Meters)

    def step(self, now: float) -> float:
        """Look at every study that is being collected, once.

        Returns
        -------
            How far the clock was set since the last step [s]; mostly 0.
        """
        collecting = self.journal.collecting()
        before, jump = self.clock.look(now)
        if jump > 0 or any(max(one.last_arrival, one.first_arrival) > now for one in collecting):
            # Waiting is measured by the clock. One that was set makes a study neither complete
            # too early nor wait for the hours that it was set back.
            self.journal.restamp(known_by=before, delay=max(jump, 0.0), now=now)
            collecting = self.journal.collecting()
        for study in collecting:
            try:
                self._look_at(study, now)
            except CestleError as fault:
                self._note(study, f"cannot be judged: {fault}")
            except Exception as fault:  # noqa: BLE001 - the other studies go on
                self._note(study, f"cannot be judged: {describe_fault(fault)}")
        return jump

    def _look_at(self, study: StudyRecord, now: float) -> None:
        uid = study.study_instance_uid
        revisions = self.journal.revisions(uid)
        if revisions and revisions[-1].state.computing:
            # One after the other, so that a revision can name the one that it replaces.
            self._note(study, f"waits for revision {revisions[-1].number}")
            return
        missing = self._missing(uid, revisions)
        if missing:
            self._note(
                study,
                f"waits for {missing} instances that were removed by age; send the study again",
            )
            return
        received = self.journal.instances(uid)
        newest = {one.sop_instance_uid: one for one in received}
        assessment = self.assess(
            Gathered(
                instances=tuple(newest.values()),
                first_arrival=study.first_arrival,
                last_arrival=study.last_arrival,
                now=now,
            )
        )
        if not assessment.ready:
            self._note(study, assessment.reason)
            return
        used = assessment.used & newest.keys()
        if revisions and not study.wanted:
            before = self.journal.used_inputs(uid, revisions[-1].number)
            if before == {(sop, newest[sop].sha256) for sop in used}:
                if self.journal.close_collection(study, note="nothing new that results depend on"):
                    _log.info("study unchanged", study=uid)
                return
        cause = _cause(study, assessment, late=bool(revisions))
        if len(received) > len(newest):
            cause += f"; {len(received) - len(newest)} instances with two contents, newest used"
        revision = self.journal.open_revision(
            study, inputs=tuple(newest.values()), used=used, cause=cause, now=now
        )
        if revision is not None:
            self.steps.note(uid, revision.number, [_collected(study, now)])
            self.meters.step("collecting", now - study.first_arrival)
            _log.info(
                "study complete",
                study=uid,
                revision=revision.number,
                instances=len(newest),
                cause=cause,
            )

    def _missing(self, uid: str, revisions: tuple[RevisionRecord, ...]) -> int:
        """How many instances that the last results depended on are no longer kept."""
        if not revisions:
            return 0
        cleaned = self.retention.cleaned_instances(uid)
        return len(cleaned & self.journal.used_inputs(uid, revisions[-1].number)) if cleaned else 0

    def _note(self, study: StudyRecord, note: str) -> None:
        if note != study.note:
            self.journal.set_note(study.study_instance_uid, note)
            _log.info("study waits", study=study.study_instance_uid, reason=note)


def _collected(study: StudyRecord, now: float) -> StepRecord:
    began = min(study.first_arrival, now)
    return StepRecord(name="collecting the images", attempts=1, began=began, ended=now, note="")


def _cause(study: StudyRecord, assessment: Assessment, *, late: bool) -> str:
    if study.wanted:
        return study.wanted
    prefix = "late or changed instances; " if late else ""
    return f"{prefix}{assessment.reason}"
