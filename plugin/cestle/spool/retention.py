"""What may be removed by age, and the record of what was."""

from collections.abc import Callable, Sequence

from cestle.spool.audit import AuditEvent, AuditNote, append
from cestle.spool.database import Database, Rows, Statements

_NOTHING_OPEN = (
    "studies.collecting = 0 AND NOT EXISTS (SELECT 1 FROM revisions WHERE "
    "revisions.study_instance_uid = studies.study_instance_uid AND revisions.state != 'done')"
)


class Retention:
    """Finds what is old and finished; nothing that is open, parked, failed or undelivered.

    Parameters
    ----------
    database
        Where the record is.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = database.transaction
        self._read = database.read

    def studies_before(self, limit: float) -> tuple[str, ...]:
        """Finished studies with received instances, untouched since `limit`."""
        rows = self._read(
            f"SELECT study_instance_uid AS uid FROM studies WHERE {_NOTHING_OPEN} "  # noqa: S608
            "AND last_arrival < ? AND NOT EXISTS (SELECT 1 FROM revisions WHERE "
            "revisions.study_instance_uid = studies.study_instance_uid "
            "AND revisions.changed >= ?) AND EXISTS (SELECT 1 FROM instances WHERE "
            "instances.study_instance_uid = studies.study_instance_uid) ORDER BY last_arrival",
            *(limit, limit),
        )
        return _uids(rows)

    def take_instances(self, study_instance_uid: str, limit: float, *, now: float) -> list[str]:
        """Mark the instances of a study as cleaned; the paths of their files.

        Nothing is marked when the study was touched since it was found.
        """
        with self._transaction() as run:
            if not run(
                f"SELECT 1 FROM studies WHERE {_NOTHING_OPEN} "  # noqa: S608 - our own text
                "AND study_instance_uid = ? AND last_arrival < ?",
                *(study_instance_uid, limit),
            ):
                return []
            run(
                "INSERT INTO cleaned_instances (sop_instance_uid, sha256, study_instance_uid, "
                "path, cleaned) SELECT sop_instance_uid, sha256, study_instance_uid, path, ? "
                "FROM instances WHERE study_instance_uid = ?",
                *(now, study_instance_uid),
            )
            rows = run(
                "DELETE FROM instances WHERE study_instance_uid = ? RETURNING path",
                study_instance_uid,
            )
            _note(run, study_instance_uid, now, what="received instances", count=len(rows))
        return [row["path"] for row in rows]

    def remove_files(self, paths: Sequence[str], remove: Callable[[str], None]) -> None:
        """Remove the files of instances that were marked and did not arrive again meanwhile.

        Parameters
        ----------
        paths
            Relative to the spool's instance folder.
        remove
            Removes one; called while nobody can record an arrival.
        """
        with self._transaction() as run:
            for path in paths:
                if not run("SELECT 1 FROM instances WHERE path = ?", path):
                    remove(path)

    def results_before(self, limit: float) -> tuple[tuple[str, int], ...]:
        """Revisions that were delivered before `limit` and whose results are kept."""
        rows = self._read(
            "SELECT study_instance_uid, number FROM revisions WHERE state = 'done' "
            "AND changed < ? AND cleaned = 0 ORDER BY changed",
            limit,
        )
        return tuple((row["study_instance_uid"], int(row["number"])) for row in rows)

    def take_results(self, study_instance_uid: str, number: int, *, now: float) -> bool:
        """Mark the results of a revision as cleaned; False when it is no longer done."""
        with self._transaction() as run:
            taken = run(
                "UPDATE revisions SET cleaned = ? WHERE study_instance_uid = ? "
                "AND number = ? AND state = 'done' RETURNING number",
                *(now, study_instance_uid, number),
            )
            if taken:
                _note(run, study_instance_uid, now, what="results", revision=number)
        return bool(taken)

    def cleaned_instances(self, study_instance_uid: str) -> frozenset[tuple[str, str]]:
        """SOP Instance UID and SHA-256 of what is no longer kept of a study."""
        rows = self._read(
            "SELECT sop_instance_uid, sha256 FROM cleaned_instances WHERE study_instance_uid = ?",
            study_instance_uid,
        )
        return frozenset((row["sop_instance_uid"], row["sha256"]) for row in rows)


def _note(run: Statements, study_instance_uid: str, now: float, **detail: str | int) -> None:
    note = AuditNote(
        event=AuditEvent.STUDY_DELETED,
        actor="retention",
        study=study_instance_uid,
        detail=detail,
    )
    append(run, note, now=now)


def _uids(rows: Rows) -> tuple[str, ...]:
    return tuple(row["uid"] for row in rows)
