"""The database of the node's record: a SQLite file, or PostgreSQL for several machines.

Statements are written once for both. Writers come one after the other: SQLite allows no other
way, and on PostgreSQL a lock makes it so, since the order in which studies are collected, judged
and frozen is what keeps two workers from doing the same thing.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import sqlalchemy as sa

from cestle.errors import SpoolError
from cestle.spool.tables import METADATA

VERSION: Final = 5
"""Raised with every change of the tables that an older version could not work with."""
_WRITERS_KEY: Final = 0x63657374
"""Number of the advisory lock that puts writers in line."""
_BUSY_SECONDS: Final = 30.0
_BUSY_PAUSE_SECONDS: Final = 0.0003
"""Between two tries to write to SQLite while another process does; about what one commit takes.

SQLite's own pauses grow to 100 ms, in which several others may come and go.
"""
_PRIMARY_CODE: Final = 0xFF
"""Bits of SQLite's result codes that the extended ones share with theirs."""
_LIMITS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""Parameters of libpq, in seconds except for the last one."""

Rows = Sequence[Mapping[str, Any]]
_FAULTS: Final = (sa.exc.SQLAlchemyError, sqlite3.Error, psycopg.Error)


class Statements:
    """Executes statements in one transaction; ``?`` stands for a value.

    The driver is asked without a detour, since every instance that arrives is waited for.

    Parameters
    ----------
    driver
        An open connection of the database's driver.
    qmark
        Whether the driver takes ``?`` as it is.
    """

    def __init__(self, driver: sa.PoolProxiedConnection, *, qmark: bool) -> None:
        self._driver = driver
        self._qmark = qmark

    @classmethod
    def of(cls, connection: sa.Connection) -> "Statements":
        """Those of an open connection of the library."""
        return cls(connection.connection, qmark=connection.dialect.name == "sqlite")

    def __call__(self, statement: str, *values: Any) -> Rows:
        """Rows of a statement; empty when it gives none."""
        text = statement if self._qmark else statement.replace("?", "%s")
        cursor = self._driver.cursor()
        try:
            cursor.execute(text, values)
            if cursor.description is None:
                return ()
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        finally:
            cursor.close()


class Database:
    """Where the node's record is; safe to use from several threads and processes.

    Parameters
    ----------
    place
        File of SQLite, on a local disk, made when absent; or a ``postgresql://`` address.

    Raises
    ------
    SpoolError
        When it cannot be opened or was written by a newer version.
    """

    def __init__(self, place: Path | str) -> None:
        self._writing = threading.Lock()
        self._engine = _engine(place)
        self._writer: sa.PoolProxiedConnection | None = None
        self.is_shared = self._engine.dialect.name == "postgresql"
        try:
            with self._engine.begin() as connection:
                self._put_in_line(Statements.of(connection))
                _bring_up_to_date(connection)
        except _FAULTS as fault:
            self._engine.dispose()
            raise SpoolError(
                f"the journal in {describe(place)} cannot be opened ({cause(fault)}); see whether "
                "the database runs and can be written to"
            ) from fault
        except SpoolError:
            self._engine.dispose()
            raise

    def close(self) -> None:
        """Close all connections."""
        with self._writing:
            self._drop_writer()
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[Statements]:
        """A transaction that is committed at the end, alone among the writers.

        Raises
        ------
        SpoolError
            When the database does not do it; nothing is changed then.
        """
        try:
            with self._writing, self._pooled() if self.is_shared else self._own() as run:
                self._put_in_line(run)
                yield run
        except _FAULTS as fault:
            raise SpoolError(f"the journal cannot be written ({cause(fault)})") from fault

    @contextmanager
    def _pooled(self) -> Iterator[Statements]:
        with self._engine.begin() as connection:
            yield Statements.of(connection)

    @contextmanager
    def _own(self) -> Iterator[Statements]:
        """A connection that is kept open; what failed on it is not used again.

        Taking one from the pool for each transaction was a seventh of the time of receiving.
        """
        try:
            if self._writer is None:
                self._writer = self._engine.raw_connection()
                # Others are waited for by us, with shorter pauses.
                self._writer.cursor().execute("PRAGMA busy_timeout = 0").close()
            yield Statements(self._writer, qmark=True)
            self._writer.commit()
        except BaseException:
            self._drop_writer()
            raise

    def _drop_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.invalidate()

    def read(self, statement: str, *values: Any) -> Rows:
        """Rows of a query.

        Raises
        ------
        SpoolError
            When the database does not answer.
        """
        try:
            with self._engine.connect() as connection:
                return Statements.of(connection)(statement, *values)
        except _FAULTS as fault:
            raise SpoolError(f"the journal cannot be read ({cause(fault)})") from fault

    def _put_in_line(self, run: Statements) -> None:
        if self.is_shared:
            run("SELECT pg_advisory_xact_lock(?)", _WRITERS_KEY)
            return
        end = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                run("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as fault:
                code = getattr(fault, "sqlite_errorcode", 0)
                if code & _PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(_BUSY_PAUSE_SECONDS)
            else:
                return


def version_of(place: Path | str) -> int:
    """Version of the tables in a database, which is left as it is; 0 for an empty one.

    Raises
    ------
    SpoolError
        When it does not answer.
    """
    engine = _engine(place)
    try:
        with engine.connect() as connection:
            return _written_by(connection, Statements.of(connection))
    except _FAULTS as fault:
        raise SpoolError(
            f"the journal in {describe(place)} cannot be opened ({cause(fault)}); see whether "
            "the database runs and can be read"
        ) from fault
    finally:
        engine.dispose()


def describe(place: Path | str) -> str:
    """`place` without the password that it may hold."""
    if isinstance(place, Path):
        return str(place)
    return sa.make_url(place).render_as_string(hide_password=True)


def cause(fault: Exception) -> str:
    """What the database says, in one line, without statement and values."""
    origin = getattr(fault, "orig", None) if isinstance(fault, sa.exc.SQLAlchemyError) else fault
    return " ".join(str(origin or type(fault).__name__).split())


def watchful_url(url: str) -> str:
    """A ``postgresql://`` address with limits for a network that is cut without a word.

    The system would otherwise wait for a quarter of an hour, and with it everything that waits
    for an answer. What the address says itself stays.
    """
    parsed = sa.make_url(url)
    limits = {name: value for name, value in _LIMITS.items() if name not in parsed.query}
    return parsed.update_query_dict(limits).render_as_string(hide_password=False)


def driver_url(url: str) -> str:
    """The same for the driver that is installed."""
    return "postgresql+psycopg://" + watchful_url(url).partition("://")[2]


def _engine(place: Path | str) -> sa.Engine:
    if not isinstance(place, Path):
        # A connection that a restart of the server ended is noticed before it is used.
        return sa.create_engine(driver_url(place), pool_pre_ping=True)
    # Transactions are begun by us, since the driver would begin them without the writer's lock.
    own = {"timeout": _BUSY_SECONDS, "isolation_level": None}
    engine = sa.create_engine(f"sqlite:///{place}", connect_args=own)

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, record: Any) -> None:
        del record
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    return engine


def _bring_up_to_date(connection: sa.Connection) -> None:
    """Make what is missing; what an older version wrote stays."""
    run = Statements.of(connection)
    found = _written_by(connection, run)
    if found > VERSION:
        raise SpoolError(
            f"the journal has version {found}, this cestle knows {VERSION}; install the newer "
            "version again"
        )
    if found == VERSION:
        return
    METADATA.create_all(connection)
    for table in METADATA.sorted_tables:
        present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                definition = sa.schema.CreateColumn(column).compile(connection.engine)
                run(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
        for index in table.indexes:
            index.create(connection, checkfirst=True)
    run("DELETE FROM journal_version")
    run("INSERT INTO journal_version (number) VALUES (?)", VERSION)


def _written_by(connection: sa.Connection, run: Statements) -> int:
    """Version of the tables that are there; 0 for none."""
    tables = sa.inspect(connection).get_table_names()
    if "journal_version" in tables:
        rows = run("SELECT number FROM journal_version")
        return int(rows[0]["number"]) if rows else 0
    return 1 if "instances" in tables else 0
