"""How much the node holds and how long it has waited, counted in the journal for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass

from cestle.spool.database import Database
from cestle.spool.lifecycle import DeliveryState, RevisionState


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts over the whole journal; ages count from a time [s since the epoch].

    Parameters
    ----------
    studies, instances
        Received, each content once.
    collecting
        Studies that no revision covers yet.
    collecting_since
        First arrival of the one that waits longest; None when none does.
    revisions
        How many are in each state.
    fixed
        For each state that has revisions, when the inputs of the oldest were fixed.
    deliveries
        How many are in each state, for each destination of the journal.
    delivering_since
        For each destination that lacks something, or has not committed it, when the inputs of
        the oldest were fixed.
    """

    studies: int
    instances: int
    collecting: int
    collecting_since: float | None
    revisions: Mapping[RevisionState, int]
    fixed: Mapping[RevisionState, float]
    deliveries: Mapping[tuple[str, DeliveryState], int]
    delivering_since: Mapping[str, float]


def count(database: Database) -> Figures:
    """The figures as they are now.

    Raises
    ------
    SpoolError
        When the database does not answer.
    """
    read = database.read
    studies = read(
        "SELECT COUNT(*) AS number, COALESCE(SUM(collecting), 0) AS collecting, "
        "MIN(CASE WHEN collecting = 1 THEN first_arrival END) AS since FROM studies"
    )[0]
    revisions = read(
        "SELECT state, COUNT(*) AS number, MIN(created) AS since FROM revisions GROUP BY state"
    )
    deliveries = read(
        "SELECT destination, state, COUNT(*) AS number FROM deliveries GROUP BY destination, state"
    )
    waiting = read(
        "SELECT destination, MIN(created) AS since FROM deliveries JOIN revisions "
        "USING (study_instance_uid, number) "
        "WHERE deliveries.state IN ('waiting', 'committing') AND revisions.state = 'delivering' "
        "GROUP BY destination"
    )
    return Figures(
        studies=studies["number"],
        instances=read("SELECT COUNT(*) AS number FROM instances")[0]["number"],
        collecting=int(studies["collecting"]),
        collecting_since=studies["since"],
        revisions={RevisionState(row["state"]): row["number"] for row in revisions},
        fixed={RevisionState(row["state"]): row["since"] for row in revisions},
        deliveries={
            (row["destination"], DeliveryState(row["state"])): row["number"] for row in deliveries
        },
        delivering_since={row["destination"]: row["since"] for row in waiting},
    )
