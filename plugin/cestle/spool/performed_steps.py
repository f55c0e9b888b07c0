"""Performed procedure steps in the node's record: identifiers and states, never a patient."""

from enum import Enum, auto

from cestle.spool.database import Database, Rows
from cestle.study.performed_steps import PerformedStep, StepState


class StepAnswer(Enum):
    """What became of a change of a step."""

    TAKEN = auto()
    UNKNOWN = auto()
    FINAL = auto()


class PerformedSteps:
    """The steps; safe to use from several threads and processes.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, step: PerformedStep, *, calling_ae_title: str) -> bool:
        """Record a new step; False, with nothing changed, when it is known already.

        Raises
        ------
        SpoolError
            When it could not be committed.
        """
        with self._database.transaction() as run:
            created = run(
                "INSERT INTO performed_steps (step_uid, study_instance_uid, state, "
                "calling_ae_title, created, changed) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (step_uid) DO NOTHING RETURNING step_uid",
                *(step.step_uid, step.study_instance_uid, step.state.value),
                *(calling_ae_title, step.changed, step.changed),
            )
            for series, sop in step.instances if created else ():
                run(_INSERT, step.step_uid, series, sop)
        return bool(created)

    def change(
        self,
        step_uid: str,
        *,
        state: StepState | None,
        instances: frozenset[tuple[str, str]] | None,
        now: float,
    ) -> StepAnswer:
        """Change a step that is in progress.

        Parameters
        ----------
        step_uid
            Which one.
        state
            The new state; None to leave it.
        instances
            The new list, which takes the place of the old one; None to leave it.
        now
            The time [s since the epoch].

        Raises
        ------
        SpoolError
            When it could not be committed.
        """
        with self._database.transaction() as run:
            rows = run("SELECT state FROM performed_steps WHERE step_uid = ?", step_uid)
            if not rows:
                return StepAnswer.UNKNOWN
            if StepState(rows[0]["state"]).is_final:
                return StepAnswer.FINAL
            run(
                "UPDATE performed_steps SET state = ?, changed = ? WHERE step_uid = ?",
                *((state or StepState.IN_PROGRESS).value, now, step_uid),
            )
            if instances is not None:
                run("DELETE FROM performed_instances WHERE step_uid = ?", step_uid)
                for series, sop in instances:
                    run(_INSERT, step_uid, series, sop)
        return StepAnswer.TAKEN

    def of_study(self, study_instance_uid: str) -> tuple[PerformedStep, ...]:
        """The steps of a study, the oldest first."""
        steps = self._database.read(
            "SELECT * FROM performed_steps WHERE study_instance_uid = ? ORDER BY created, step_uid",
            study_instance_uid,
        )
        listed: Rows = ()
        if steps:
            listed = self._database.read(
                "SELECT performed_instances.* FROM performed_instances JOIN performed_steps "
                "USING (step_uid) WHERE study_instance_uid = ?",
                study_instance_uid,
            )
        return tuple(
            PerformedStep(
                step_uid=step["step_uid"],
                study_instance_uid=study_instance_uid,
                state=StepState(step["state"]),
                instances=frozenset(
                    (row["series_instance_uid"], row["sop_instance_uid"])
                    for row in listed
                    if row["step_uid"] == step["step_uid"]
                ),
                changed=step["changed"],
            )
            for step in steps
        )


_INSERT = (
    "INSERT INTO performed_instances (step_uid, series_instance_uid, sop_instance_uid) "
    "VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
