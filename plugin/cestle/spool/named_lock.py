"""A lock in PostgreSQL that ends with the process that holds it, however that ends.

The server gives it free when the connection closes, and also after some silence: a machine that
lost its power or its network closes nothing, and a process that hangs does neither.
"""

import zlib
from typing import Final

import sqlalchemy as sa

from cestle.spool.database import driver_url

LEASE_SECONDS: Final = 30.0
_CLASS: Final = 0x6365


class NamedLock:
    """A lock that at most one process of all machines holds; for use by one thread.

    Parameters
    ----------
    url
        ``postgresql://`` address of the database.
    name
        Of the lock.
    lease_s
        Silence after which the server gives it free [s].
    """

    def __init__(self, url: str, name: str, *, lease_s: float = LEASE_SECONDS) -> None:
        self._engine = sa.create_engine(
            driver_url(url),
            poolclass=sa.pool.NullPool,
            isolation_level="AUTOCOMMIT",
        )
        # In whole milliseconds, as the server takes it; available since PostgreSQL 14.
        self._lease = f"SET idle_session_timeout = {round(1000 * lease_s)}"
        self._key = zlib.crc32(name.encode()) - 2**31
        self._connection: sa.Connection | None = None

    def held(self) -> bool:
        """Whether it is ours, after taking it where it is free.

        A lock that went with a connection is taken again, so this is asked before each use.
        """
        try:
            if self._connection is not None:
                self._connection.exec_driver_sql("SELECT 1")
                return True
            connection = self._engine.connect()
        except sa.exc.SQLAlchemyError:  # the server ended it: a restart, or too long a silence
            self.release()
            return False
        try:
            connection.exec_driver_sql(self._lease)
            taken = connection.execute(sa.select(sa.func.pg_try_advisory_lock(_CLASS, self._key)))
        except sa.exc.SQLAlchemyError:
            connection.invalidate()
            connection.close()
            return False
        if not taken.scalar():
            connection.close()
            return False
        self._connection = connection
        return True

    def release(self) -> None:
        """Give it free."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
