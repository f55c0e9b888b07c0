"""What is known of each destination, and the deliveries that wait for it to come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from cestle.spool.breaker import BreakerState, DestinationRecord, PauseAfter
from cestle.spool.database import Database, Rows, Statements

_COLUMNS = tuple(one.name for one in fields(DestinationRecord))


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Deliveries of one destination that are not finished.

    Parameters
    ----------
    waiting
        Not wholly sent.
    held
        Those of them that wait, without a job, for the destination to come back.
    committing
        Sent, and not committed yet.
    oldest
        When the oldest of them was planned [s since the epoch]; None when there is none.
    """

    waiting: int = 0
    held: int = 0
    committing: int = 0
    oldest: float | None = None


class DestinationStates:
    """States of the destinations; safe to use from several threads and processes.

    Parameters
    ----------
    database
        Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._transaction = database.transaction
        self._read = database.read

    def all(self) -> tuple[DestinationRecord, ...]:
        """Every destination that was ever tried, by name."""
        return tuple(map(_record, self._read("SELECT * FROM destinations ORDER BY name")))

    def get(self, name: str) -> DestinationRecord:
        """One destination; closed and untried where nothing is known of it."""
        return _only(self._read("SELECT * FROM destinations WHERE name = ?", name), name)

    def backlogs(self) -> dict[str, Backlog]:
        """What is unfinished, for each destination that has anything unfinished."""
        rows = self._read(
            "SELECT destination, COUNT(*) AS total, "
            "SUM(CASE WHEN state = 'committing' THEN 1 ELSE 0 END) AS committing, "
            "SUM(CASE WHEN state = 'waiting' AND held = 1 THEN 1 ELSE 0 END) AS held, "
            "MIN(COALESCE(since, changed)) AS oldest FROM deliveries "
            "WHERE state IN ('waiting', 'committing') GROUP BY destination"
        )
        return {
            row["destination"]: Backlog(
                waiting=int(row["total"]) - int(row["committing"]),
                held=int(row["held"]),
                committing=int(row["committing"]),
                oldest=row["oldest"],
            )
            for row in rows
        }

    # What was learnt

    def note_success(self, name: str, *, now: float) -> DestinationRecord:
        """Record that it took something."""
        return self._change(name, lambda one: one.after_success(now))

    def note_refusal(self, name: str, reason: str, *, now: float) -> DestinationRecord:
        """Record an answer that a repeat would not change."""
        return self._change(name, lambda one: one.after_refusal(now, reason))

    def note_echo(self, name: str, *, now: float) -> DestinationRecord:
        """Record that it answered a look."""
        return self._change(name, lambda one: one.after_echo(now))

    def note_failure(
        self, name: str, reason: str, *, now: float, pause_after: PauseAfter
    ) -> DestinationRecord:
        """Record a failure that may pass; when it then counts as down, its deliveries are held.

        Parameters
        ----------
        name
            The destination.
        reason
            What went wrong.
        now
            The time [s since the epoch].
        pause_after
            Pause before the next look.
        """
        with self._transaction() as run:
            before = _only(run("SELECT * FROM destinations WHERE name = ?", name), name)
            after = before.after_failure(now, reason, pause_after)
            _write(run, after)
            if after.state is BreakerState.OPEN and before.state is not BreakerState.OPEN:
                # The run is counted so that jobs which pause or queue find themselves replaced.
                run(
                    "UPDATE deliveries SET held = 1, run = run + 1 "
                    "WHERE destination = ? AND state = 'waiting' AND held = 0",
                    name,
                )
        return after

    def hold(self, study_instance_uid: str, number: int, name: str) -> None:
        """Have a delivery wait for its destination."""
        with self._transaction() as run:
            run(
                "UPDATE deliveries SET held = 1, run = run + 1 WHERE study_instance_uid = ? "
                "AND number = ? AND destination = ? AND state = 'waiting' AND held = 0",
                *(study_instance_uid, number, name),
            )

    def release(self, name: str) -> int:
        """Let held deliveries go: all when it is sent to, one when it is to be tried.

        A destination that is to be tried while nothing waits for it is closed.

        Returns
        -------
            How many were let go.
        """
        with self._transaction() as run:
            state = _only(run("SELECT * FROM destinations WHERE name = ?", name), name)
            if state.state is BreakerState.OPEN:
                return 0
            if state.state is BreakerState.CLOSED:
                return len(_let_go(run, name))
            rows = run(
                "SELECT held, COUNT(*) AS total FROM deliveries "
                "WHERE destination = ? AND state = 'waiting' GROUP BY held",
                name,
            )
            if not rows:
                _write(run, state.closed())
            if not rows or any(not row["held"] for row in rows):
                return 0
            oldest = run(
                "SELECT study_instance_uid, number FROM deliveries WHERE destination = ? "
                "AND state = 'waiting' AND held = 1 ORDER BY since, study_instance_uid LIMIT 1",
                name,
            )[0]
            return len(_let_go(run, name, oldest["study_instance_uid"], oldest["number"]))

    def _change(
        self, name: str, change: Callable[[DestinationRecord], DestinationRecord]
    ) -> DestinationRecord:
        with self._transaction() as run:
            after = change(_only(run("SELECT * FROM destinations WHERE name = ?", name), name))
            _write(run, after)
        return after


def _let_go(run: Statements, name: str, study: str = "", number: int = 0) -> Rows:
    one = "AND study_instance_uid = ? AND number = ? " if study else ""
    return run(
        "UPDATE deliveries SET held = 0 WHERE destination = ? AND state = 'waiting' "  # noqa: S608 - our text
        f"AND held = 1 {one}RETURNING number",
        *((name, study, number) if study else (name,)),
    )


def _record(row: Mapping[str, Any]) -> DestinationRecord:
    values = dict(row)
    return DestinationRecord(**(values | {"state": BreakerState(values["state"])}))


def _only(rows: Rows, name: str) -> DestinationRecord:
    return _record(rows[0]) if rows else DestinationRecord(name=name)


def _write(run: Statements, record: DestinationRecord) -> None:
    run("DELETE FROM destinations WHERE name = ?", record.name)
    run(
        f"INSERT INTO destinations ({', '.join(_COLUMNS)}) "  # noqa: S608 - our own names
        f"VALUES ({', '.join('?' * len(_COLUMNS))})",
        *(getattr(record, name) for name in _COLUMNS[:1]),
        record.state.value,
        *(getattr(record, name) for name in _COLUMNS[2:]),
    )
