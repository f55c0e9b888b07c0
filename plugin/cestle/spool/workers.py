"""Which worker computes what, so that a study whose computation takes workers down is found."""

from collections.abc import Sequence

from cestle.spool.database import Database
from cestle.spool.records import RevisionRecord, StepRecord


class Workers:
    """The record of workers and of the deaths that befell them.

    Parameters
    ----------
    database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = database.transaction
        self._read = database.read

    def begin(self, name: str) -> None:
        """A worker starts; one of its name that never said farewell has died."""
        self.note_death(name)
        self._set_running(name, running=True)

    def end(self, name: str) -> None:
        """A worker ends in order."""
        self._set_running(name, running=False)

    def computes(self, name: str, revision: RevisionRecord) -> None:
        """A worker is about to compute a revision."""
        with self._transaction() as run:
            run(
                "UPDATE revisions SET worker = ? WHERE study_instance_uid = ? AND number = ?",
                *(name, revision.study_instance_uid, revision.number),
            )
            # A worker that was thought dead, and is not, is known as running again.
            run("UPDATE workers SET running = 1 WHERE name = ? AND running = 0", name)

    def note_death(self, name: str) -> None:
        """Blame a death on what the worker computed, and acquit what was suspected before."""
        with self._transaction() as run:
            if not run(
                "UPDATE workers SET running = 0 WHERE name = ? AND running = 1 RETURNING name", name
            ):
                return
            run(
                "UPDATE revisions SET acquittals = acquittals + 1 WHERE deaths > 0 "
                "AND state IN ('queued', 'computing') AND NOT "
                "(state = 'computing' AND worker = ?)",
                name,
            )
            run(
                "UPDATE revisions SET deaths = deaths + 1 WHERE state = 'computing' AND worker = ?",
                name,
            )

    def _set_running(self, name: str, *, running: bool) -> None:
        with self._transaction() as run:
            run(
                "INSERT INTO workers (name, running) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET running = excluded.running",
                *(name, int(running)),
            )


class Steps:
    """The record of the steps that a revision went through.

    Parameters
    ----------
    database
        Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = database.transaction
        self._read = database.read

    def note(self, study_instance_uid: str, number: int, steps: Sequence[StepRecord]) -> None:
        """Record steps; one that is known counts on."""
        with self._transaction() as run:
            for step in steps:
                run(
                    "INSERT INTO steps (study_instance_uid, number, name, attempts, began, "
                    "ended, note) VALUES (?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (study_instance_uid, number, name) DO UPDATE SET "
                    "attempts = steps.attempts + excluded.attempts, began = excluded.began, "
                    "ended = excluded.ended, note = excluded.note",
                    *(study_instance_uid, number, step.name, step.attempts),
                    *(step.began, step.ended, step.note),
                )

    def of(self, study_instance_uid: str, number: int) -> tuple[StepRecord, ...]:
        """The steps of a revision, in order of their last beginning."""
        rows = self._read(
            "SELECT name, attempts, began, ended, note FROM steps "
            "WHERE study_instance_uid = ? AND number = ? ORDER BY began, name",
            study_instance_uid,
            number,
        )
        return tuple(StepRecord(**dict(row)) for row in rows)
