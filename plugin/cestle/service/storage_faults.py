"""Tells a disk that takes nothing from a fault of a study: the first passes, the second stays."""

import errno
from typing import Final

import sqlalchemy as sa

_NOT_TAKEN: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ESTALE})
_DATABASE_AWAY: Final = (
    sa.exc.OperationalError,
    sa.exc.InterfaceError,
    sa.exc.TimeoutError,
    sa.exc.InternalError,
)


def is_of_storage(fault: BaseException | None) -> bool:
    """Whether a disk that takes nothing or a database that is away is behind an exception."""
    seen: set[int] = set()
    while fault is not None and id(fault) not in seen:
        seen.add(id(fault))
        if isinstance(fault, _DATABASE_AWAY):
            return True
        if isinstance(fault, OSError) and fault.errno in _NOT_TAKEN:
            return True
        fault = fault.__cause__ or fault.__context__
    return False
