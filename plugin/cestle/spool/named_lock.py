"""A lock in PostgreSQL that ends with the process that holds it, however that ends."""

import zlib
from typing import Final

import sqlalchemy as sa

from cestle.spool.database import driver_url

_CLASS: Final = 0x6365


class NamedLock:
    """A lock that at most one process of all machines holds; for use by one thread.

    Parameters
    ----------
    url
        ``postgresql://`` address of the database.
    name
        Of the lock.
    """

    def __init__(self, url: str, name: str) -> None:
        self._engine = sa.create_engine(
            driver_url(url), poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT"
        )
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
        except sa.exc.SQLAlchemyError:
            self.release()
            return False
        taken = connection.execute(sa.select(sa.func.pg_try_advisory_lock(_CLASS, self._key)))
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
