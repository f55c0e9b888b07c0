"""Where the node keeps what it keeps, below `data_dir`."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cestle.config.node import NodeConfig
from cestle.errors import ConfigError, SpoolError
from cestle.spool.files import SpoolFiles, require_uid, sync_folder
from cestle.spool.journal import Journal


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """The folders and files below `data_dir`.

    Parameters
    ----------
    root
        `data_dir` of the configuration.
    """

    root: Path

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
        return cls(root=root)

    @property
    def journal(self) -> Path:
        """The journal file."""
        return self.root / "journal.sqlite3"

    @property
    def engine(self) -> Path:
        """The database of the workflow engine."""
        return self.root / "engine.sqlite3"

    @property
    def results(self) -> Path:
        """Folder of the results, one folder for each study."""
        return self.root / "results"

    def open_journal(self) -> Journal:
        """Open the journal."""
        return Journal(self.journal)

    def spool(self, config: NodeConfig, *, writer: int = 1) -> SpoolFiles:
        """The spool of received instances, for the receiver of this number."""
        reserve = round(config.node.disk_reserve_gb * 1e9)
        return SpoolFiles(root=self.root / "spool", reserve_bytes=reserve, writer=writer)

    def revision(self, study_instance_uid: str, number: int) -> Path:
        """Folder of the results of one revision."""
        return self.results / require_uid(study_instance_uid) / f"r{number}"

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


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that a crash leaves the whole of it or none."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)
