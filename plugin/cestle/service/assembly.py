"""Assembly: watch the studies that are arriving, and fix the inputs of a revision in time.

Nothing is kept in memory that matters: all times come from the journal, so a restart forgets
no timer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from cestle.config.options import StudyOptions
from cestle.errors import CestleError
from cestle.service.clock import ClockWatch
from cestle.service.fingerprint import fingerprint
from cestle.service.logs import describe_fault
from cestle.service.meters import Meters
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import Event, next_state
from cestle.spool.records import (
    DeliveryItem,
    RevisionRecord,
    StepRecord,
    StoredInstance,
    StudyRecord,
)
from cestle.spool.retention import Retention
from cestle.spool.workers import Steps
from cestle.study.performed_steps import PerformedStep

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
    steps
        What the scanner says of its own work.
    """

    instances: tuple[StoredInstance, ...]
    first_arrival: float
    last_arrival: float
    now: float
    steps: tuple[PerformedStep, ...] = ()


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
    spectra
        Those of `used` that are spectra.
    """

    ready: bool
    reason: str
    used: frozenset[str]
    spectra: frozenset[str] = frozenset()


Assess = Callable[[Gathered], Assessment]
Plan = Mapping[str, Sequence[DeliveryItem]]
"""For the name of each destination the objects that it gets, in the order of sending."""


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """Turns collections of instances into revisions.

    Parameters
    ----------
    journal
        Where studies are recorded.
    assess
        Judges whether a study is complete.
    recipe
        Hash of what is done with any study at present.
    plan
        What each destination gets of a revision that has results; None when they are gone.
    steps
        Performed procedure steps of a study.
    retention
        What is no longer kept.
    timeline
        What was done when.
    clock
        Notices when the clock is set.
    meters
        What is measured.
    """

    journal: Journal
    assess: Assess
    recipe: Callable[[], str]
    plan: Callable[[RevisionRecord], Plan | None]
    steps: Callable[[str], tuple[PerformedStep, ...]]
    retention: Retention
    timeline: Steps
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
        latest = revisions[-1] if revisions else None
        if latest is not None and latest.state.computing:
            # One after the other, so that a revision can name the one that it replaces.
            self._note(study, f"waits for revision {latest.number}")
            return
        missing = self._missing(uid, latest)
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
                steps=self.steps(uid),
            )
        )
        if not (assessment.ready or study.hurried):
            self._note(study, assessment.reason)
            return
        freeze = _Freeze.of(study, assessment, newest, latest, self.journal)
        mark = fingerprint(freeze.used, freeze.options, self.recipe())
        if latest is not None and self._is_settled(study, latest, freeze, mark, now):
            return
        cause = _cause(study, assessment, late=latest is not None)
        if len(received) > len(newest):
            cause += f"; {len(received) - len(newest)} instances with two contents, newest used"
        revision = self.journal.open_revision(
            study,
            inputs=tuple(newest.values()),
            used=frozenset(sop for sop, _ in freeze.used),
            cause="; ".join((cause, *freeze.notes)),
            now=now,
            options=freeze.options.to_text(),
            fingerprint=mark,
        )
        if revision is not None:
            self.timeline.note(uid, revision.number, [_collected(study, now)])
            self.meters.step("collecting", now - study.first_arrival)
            _log.info(
                "study complete",
                study=uid,
                revision=revision.number,
                instances=len(newest),
                cause=revision.cause,
            )

    def _missing(self, uid: str, latest: RevisionRecord | None) -> int:
        """How many instances that the last results depended on are no longer kept."""
        if latest is None:
            return 0
        cleaned = self.retention.cleaned_instances(uid)
        return len(cleaned & self.journal.used_inputs(uid, latest.number)) if cleaned else 0

    def _is_settled(
        self, study: StudyRecord, latest: RevisionRecord, freeze: "_Freeze", mark: str, now: float
    ) -> bool:
        """Whether no new revision is needed: its results are there, or were not asked for."""
        uid = study.study_instance_uid
        if not study.wanted:
            if freeze.used != freeze.before:
                return False
            if self.journal.close_collection(study, note="nothing new that results depend on"):
                _log.info("study unchanged", study=uid)
            return True
        if mark != latest.fingerprint:
            return False
        why = f"{study.wanted}; nothing has changed since revision {latest.number}"
        if next_state(latest.state, Event.REPEAT) is None:
            done = self.journal.compute_again(study, latest, why=why, now=now)
            what = "revision is computed again"
        else:
            plan = self.plan(latest)
            if plan is None:
                return False
            done = self.journal.deliver_again(study, latest, plan, why=why, now=now)
            what = "objects are sent again"
        if done:
            _log.info(what, study=uid, revision=latest.number, reason=why)
        return True

    def _note(self, study: StudyRecord, note: str) -> None:
        if note != study.note:
            self.journal.set_note(study.study_instance_uid, note)
            _log.info("study waits", study=study.study_instance_uid, reason=note)


def _collected(study: StudyRecord, now: float) -> StepRecord:
    began = min(study.first_arrival, now)
    return StepRecord(name="collecting the images", attempts=1, began=began, ended=now, note="")


@dataclass(frozen=True, kw_only=True)
class _Freeze:
    """What a revision would be made of now.

    Parameters
    ----------
    used, before
        SOP Instance UID and SHA-256 of the inputs that results depend on, now and in the latest
        revision; the latter is empty without one.
    options
        How it would be processed: what is asked for, over what was asked for before.
    notes
        What is to be said about that.
    """

    used: frozenset[tuple[str, str]]
    before: frozenset[tuple[str, str]]
    options: StudyOptions
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        study: StudyRecord,
        assessment: Assessment,
        newest: Mapping[str, StoredInstance],
        latest: RevisionRecord | None,
        journal: Journal,
    ) -> "_Freeze":
        used = _contents(assessment.used, newest)
        before: frozenset[tuple[str, str]] = frozenset()
        earlier = StudyOptions()
        notes = []
        wish = StudyOptions.from_text(study.wanted_options)
        if latest is not None:
            before = journal.used_inputs(study.study_instance_uid, latest.number)
            earlier = StudyOptions.from_text(latest.options)
            if earlier.drop_transients and not _contents(assessment.spectra, newest) <= before:
                # Their numbers were read off other spectra.
                earlier = earlier.model_copy(update={"drop_transients": None})
                if wish.drop_transients is None and not wish.forget:
                    notes.append("the spectra changed, so no transients are left out any more")
        options = wish.over(earlier)
        settled = {"forget": False, "drop_transients": options.drop_transients or None}
        options = options.model_copy(update=settled)
        return cls(used=used, before=before, options=options, notes=tuple(notes))


def _contents(
    uids: frozenset[str], newest: Mapping[str, StoredInstance]
) -> frozenset[tuple[str, str]]:
    return frozenset((uid, newest[uid].sha256) for uid in uids & newest.keys())


def _cause(study: StudyRecord, assessment: Assessment, *, late: bool) -> str:
    if study.wanted:
        return f"{study.wanted}; {assessment.reason}" if study.hurried else study.wanted
    prefix = "late or changed instances; " if late else ""
    return f"{prefix}{assessment.reason}"
