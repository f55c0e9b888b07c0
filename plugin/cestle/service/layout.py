"""Where the node keeps what it keeps, below `data_dir`."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cestle.config.node import NodeConfig
from cestle.errors import ConfigError, SpoolError
from cestle.spool.database import Database
from cestle.spool.files import SpoolFiles, require_uid, sync_folder
from cestle.spool.identity import require_own_folder
from cestle.spool.mounts import require_local_disk


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """The folders and files below `data_dir`.

    Parameters
    ----------
    root
        `data_dir` of the configuration.
    database_url
        PostgreSQL database of journal and workflows; empty for SQLite files in `root`.
    """

    root: Path
    database_url: str = ""

    @classmethod
    def of(cls, config: NodeConfig) -> "DataFolder":
        """The data folder of a configuration, made when absent, for its owner's eyes only.

        Raises
        ------
        ConfigError
            When it cannot be made.
        """
        root = config.node.data_dir
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise ConfigError(
                f"data_dir {root} cannot be made ({fault.strerror}); expected a folder that the "
                "node may write to"
            ) from fault
        return cls.existing(config)

    @classmethod
    def existing(cls, config: NodeConfig) -> "DataFolder":
        """The data folder of a configuration, for commands that only look into it."""
        return cls(root=config.node.data_dir, database_url=config.engine.database_url)

    @property
    def journal(self) -> Path | str:
        """Where the journal is kept: a file, or the address of a database."""
        return self.database_url or self.root / "journal.sqlite3"

    @property
    def engine(self) -> Path | str:
        """Where the workflow engine keeps its state: a file, or the address of a database."""
        return self.database_url or self.root / "engine.sqlite3"

    @property
    def has_journal(self) -> bool:
        """Whether there can be a journal already; a node that never ran on SQLite has none."""
        return not isinstance(self.journal, Path) or self.journal.is_file()

    @property
    def results(self) -> Path:
        """Folder of the results, one folder for each study."""
        return self.root / "results"

    @property
    def run(self) -> Path:
        """Folder of what only matters while the node runs."""
        return self.root / "run"

    @contextmanager
    def open_database(self) -> Iterator[Database]:
        """The database of the node's record, closed at the end.

        Raises
        ------
        ConfigError
            When it would be SQLite on a disk of another machine.
        SpoolError
            When it cannot be opened.
        """
        if not self.database_url:
            require_local_disk(self.root)
        database = Database(self.journal)
        try:
            yield database
        finally:
            database.close()

    def require_sound(self, database: Database, config: NodeConfig) -> None:
        """Check that folder and database belong together and that the disk can be trusted.

        Raises
        ------
        ConfigError
            When they do not, or it cannot.
        """
        require_own_folder(self.spool(config).root, database)

    def spool_of_commands(self, config: NodeConfig) -> SpoolFiles:
        """The spool for a command of a person, which writes beside the receivers."""
        return self.spool(config, writer=0)

    def spool(self, config: NodeConfig, *, writer: int = 1) -> SpoolFiles:
        """The spool of received instances, for the receiver of this number."""
        reserve = round(config.node.disk_reserve_gb * 1e9)
        return SpoolFiles(root=self.root / "spool", reserve_bytes=reserve, writer=writer)

    def revision(self, study_instance_uid: str, number: int) -> Path:
        """Folder of the results of one revision."""
        return self.results / require_uid(study_instance_uid) / f"r{number}"

    def unfinished(self, place: Path, worker: str) -> Path:
        """A new name for results that are being made by a worker, beside their place."""
        return place.with_name(f"{place.name}.{_mark(worker)}-{secrets.token_hex(8)}.part")

    def unfinished_of(self, place: Path, worker: str = "") -> tuple[Path, ...]:
        """Unfinished results of a revision, by one worker or by all."""
        pattern = f"{place.name}.{_mark(worker) + '-' if worker else ''}*.part"
        return tuple(place.parent.glob(pattern)) if place.parent.is_dir() else ()

    def in_use(self) -> bool:
        """Whether a process of a node works in this folder at the moment."""
        for file in self.root.glob("*.lock"):
            try:
                handle = os.open(file, os.O_RDWR)
            except OSError:
                continue
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(handle)
        return False

    @contextmanager
    def only_one(self, what: str) -> Iterator[int]:
        """Hold the lock of a role, so that two processes never do the same work.

        The lock is held by the file descriptor that is yielded: a child that inherits it holds
        the lock too, until the last of them has ended.

        Raises
        ------
        SpoolError
            When another process holds it.
        """
        handle = os.open(self.root / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as fault:
                raise SpoolError(
                    f"another process already has the role '{what}' on {self.root}; stop it first"
                ) from fault
            yield handle
        finally:
            os.close(handle)


def _mark(worker: str) -> str:
    # A name may hold anything, such as a slash.
    return hashlib.sha256(worker.encode()).hexdigest()[:12]


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the whole of it or none."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)
