"""The tables of the node's record, the same in SQLite and PostgreSQL.

A table or column that is new in a version is added to what an older one left behind, so a new
column needs a server default. Times are seconds since the epoch, UTC.
"""

from typing import Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()
_SECONDS: Final[sa.types.TypeEngine[float]] = sa.Double().with_variant(sa.REAL, "sqlite")
_BYTES: Final[sa.types.TypeEngine[int]] = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _text(name: str, *, key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, primary_key=key)


def _words(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False, server_default="")


def _count(name: str, default: int = 0) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False, server_default=str(default))


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False, primary_key=True, autoincrement=False)


def _moment(name: str) -> "sa.Column[float]":
    """A time that may be unset, which is 0."""
    return sa.Column(name, _SECONDS, nullable=False, server_default="0")


def _number_value(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer, nullable=False)


def _time(name: str) -> "sa.Column[float]":
    return sa.Column(name, _SECONDS, nullable=False)


def _time_if_any(name: str) -> "sa.Column[float]":
    return sa.Column(name, _SECONDS)


def _table(name: str, *parts: "sa.schema.SchemaItem") -> sa.Table:
    return sa.Table(name, METADATA, *parts, sqlite_strict=True)


_table(
    "instances",
    _text("sop_instance_uid", key=True),
    _text("sha256", key=True),
    _text("study_instance_uid"),
    _text("series_instance_uid"),
    _text("sop_class_uid"),
    _text("transfer_syntax_uid"),
    _text("calling_ae_title"),
    _text("called_ae_title"),
    _text("path"),
    sa.Column("size", _BYTES, nullable=False),
    _time("received"),
    sa.Index("instances_of_study", "study_instance_uid", "received"),
)
_table(
    "studies",
    _text("study_instance_uid", key=True),
    _time("first_arrival"),
    _time("last_arrival"),
    sa.Column("collecting", sa.Integer, nullable=False),
    _words("note"),
    _words("wanted"),
    _words("wanted_options"),
    _count("hurried"),
)
_table(
    "revisions",
    sa.Column("study_instance_uid", sa.ForeignKey("studies.study_instance_uid"), primary_key=True),
    _number("number"),
    _text("state"),
    _text("cause"),
    _words("reason"),
    sa.Column("predecessor", sa.Integer),
    _time("created"),
    _time("changed"),
    _count("attempts"),
    _count("run", 1),
    _words("options"),
    # Who computes it, how often a worker died of that, and how often one died without it since.
    _words("worker"),
    _count("deaths"),
    _count("acquittals"),
    _moment("cleaned"),
    _words("fingerprint"),
    _words("repeated"),
)
_table(
    "revision_inputs",
    _text("study_instance_uid", key=True),
    _number("number"),
    _text("sop_instance_uid", key=True),
    _text("sha256"),
    sa.Column("used", sa.Integer, nullable=False),
)
_table(
    "deliveries",
    _text("study_instance_uid", key=True),
    _number("number"),
    _text("destination", key=True),
    _text("state"),
    _words("reason"),
    _count("attempts"),
    _count("run", 1),
    _time("changed"),
    _moment("offered"),
    _time_if_any("since"),
    _count("held"),
    _count("refusals"),
    _count("resends"),
    sa.Index("deliveries_by_state", "state", "destination"),
)
_table(
    "delivery_items",
    _text("study_instance_uid", key=True),
    _number("number"),
    _text("destination", key=True),
    _number("position"),
    _text("sop_instance_uid"),
    _text("path"),
    sa.Column("acknowledged", _SECONDS),
    _words("sent_class"),
    _words("sent_uid"),
    _time_if_any("committed"),
)
_table(
    "retries",
    sa.Column("id", sa.Integer, primary_key=True),
    _text("study_instance_uid"),
    _words("step"),
    _words("destination"),
)
_table(
    "steps",
    _text("study_instance_uid", key=True),
    _number("number"),
    _text("name", key=True),
    _count("attempts"),
    _time("began"),
    _time("ended"),
    _words("note"),
)
# What was received once and is no longer kept, so that a repeat is known as one.
_table(
    "cleaned_instances",
    _text("sop_instance_uid", key=True),
    _text("sha256", key=True),
    _text("study_instance_uid"),
    _text("path"),
    _time("cleaned"),
    sa.Index("cleaned_of_study", "study_instance_uid"),
)
_table(
    "workers",
    _text("name", key=True),
    _count("running"),
)
# One row that tells which data folder belongs to this database.
_table("spool_identity", _text("identity", key=True))
_table(
    "performed_steps",
    _text("step_uid", key=True),
    _text("study_instance_uid"),
    _text("state"),
    _text("calling_ae_title"),
    _time("created"),
    _time("changed"),
    sa.Index("performed_steps_of_study", "study_instance_uid"),
)
_table(
    "performed_instances",
    _text("step_uid", key=True),
    _text("series_instance_uid"),
    _text("sop_instance_uid", key=True),
)
# Each row holds the hash of the one before, so that a change or a gap is seen (spool/audit.py).
_table(
    "audit",
    _number("seq"),
    _text("time"),
    _text("event"),
    sa.Column("outcome", sa.Integer, nullable=False),
    _words("actor"),
    _words("source"),
    _words("study"),
    _words("detail"),
    _text("previous"),
    _text("hash"),
)
# One row that tells which version wrote last.
_table("journal_version", _number("number"))
_table(
    "destinations",
    _text("name", key=True),
    _text("state"),
    _count("failures"),
    _count("looks"),
    _time_if_any("down_since"),
    _time_if_any("open_until"),
    _time_if_any("last_success"),
    _time_if_any("last_attempt"),
    _time_if_any("last_echo"),
    _words("reason"),
)
_table(
    "commitments",
    _text("transaction_uid", key=True),
    _text("study_instance_uid"),
    _number_value("number"),
    _text("destination"),
    _text("state"),
    _time("created"),
    _time("deadline"),
    _time_if_any("answered"),
    sa.Index("commitments_of_delivery", "study_instance_uid", "number", "destination"),
)
_table(
    "commitment_items",
    _text("transaction_uid", key=True),
    _text("sop_instance_uid", key=True),
    _text("sop_class_uid"),
    _words("outcome"),
)
