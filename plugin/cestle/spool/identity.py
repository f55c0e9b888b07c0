"""Ties a data folder to its database, so that neither is ever used with another.

A share that is not mounted looks like an empty folder. A receiver that took it for one would
forget everything that was acknowledged, so the folder holds a random word that the database
knows too.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from cestle.errors import ConfigError
from cestle.spool.database import Database, Statements
from cestle.spool.files import sync_folder

_NAME: Final = "identity"


def require_own_folder(folder: Path, database: Database) -> None:
    """Check that `folder` belongs to `database`; the first to come makes the pair.

    Parameters
    ----------
    folder
        The spool.
    database
        The node's record.

    Raises
    ------
    ConfigError
        When the folder is another's, is not there, or cannot be written to.
    """
    file = folder / _NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with database.transaction() as run:
            rows = run("SELECT identity FROM spool_identity")
            known = str(rows[0]["identity"]) if rows else ""
            found = file.read_text(encoding="ascii").strip() if file.is_file() else ""
            if not known:
                known = _make_pair(run, file, found)
                found = known
        if found == known:
            _probe(folder)
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            f"the spool {folder} cannot be used ({getattr(fault, 'strerror', None) or fault}); "
            "expected a folder in which files can be written, renamed and read"
        ) from fault
    if found != known:
        what = f"is that of another node ({found})" if found else "is not mounted, or was emptied"
        raise ConfigError(
            f"the spool {folder} {what}: its file '{_NAME}' should say {known}; mount the right "
            f"folder. Only if it was lost for good, write {known} into {file}"
        )


def _make_pair(run: Statements, file: Path, found: str) -> str:
    used = bool(run("SELECT 1 FROM instances LIMIT 1"))
    holds = any((file.parent / "instances").glob("*/*.dcm"))
    if found and holds and not used:
        raise ConfigError(
            f"the spool {file.parent} belongs to another database: it holds instances and the "
            f"identity {found}, and this database is empty; correct [engine] database_url. Only "
            f"if that database was lost for good, remove {file}"
        )
    identity = found or secrets.token_hex(16)
    if not found:
        _write(file, identity)
    run("INSERT INTO spool_identity (identity) VALUES (?)", identity)
    return identity


def _probe(folder: Path) -> None:
    """Write, rename and read a file the way that received instances are."""
    token = secrets.token_hex(16)
    target = folder / f"probe-{token}"
    try:
        _write(target, token)
        if target.read_text(encoding="ascii") != token:
            raise OSError(0, "what was written is not what is read")
    finally:
        target.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    part = file.with_name(f"{file.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("x", encoding="ascii") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
        sync_folder(file.parent)
    finally:
        part.unlink(missing_ok=True)
