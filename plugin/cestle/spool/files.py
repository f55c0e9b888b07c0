"""Files of received instances, written so that a crash leaves a whole file or none.

Nothing of a data set becomes part of a path except a UID that was checked, and the SHA-256 of
the content.
"""

import hashlib
import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from cestle.errors import HeaderError, SpoolError

_UID: Final = re.compile(r"[0-9]{1,64}(?:\.[0-9]{1,64}){0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def require_uid(text: str) -> str:
    """`text`, when it can be a UID (PS3.5 9.1), so that it is safe as part of a path.

    Raises
    ------
    HeaderError
        When it is longer than 64 characters or has others than digits and single dots.
    """
    if len(text) > 64 or not _UID.fullmatch(text):
        raise HeaderError(
            f"a UID of {len(text)} characters is malformed, expected at most 64 digits and dots; "
            "correct the sender"
        )
    return text


@dataclass(frozen=True, kw_only=True)
class SpoolFiles:
    """The folder of received instances.

    Parameters
    ----------
    root
        Folder with `instances/`, `attachments/`, `tmp/` and `quarantine/`, all on one file system.
    reserve_bytes
        Free space below which nothing is accepted.
    writer
        Number of the process that writes. Each has its own folder of unfinished files, so that
        one that starts again sweeps nothing of the others.
    """

    root: Path
    reserve_bytes: int
    writer: int = 1

    @cached_property
    def instances(self) -> Path:
        """Folder of the instances, one folder for each study."""
        return self.root / "instances"

    def sweep(self) -> int:
        """Remove the unfinished files of all writers, while none is at work; how many they were.

        An unfinished file was never acknowledged, so its sender sends it again.
        """
        folder = self.root / "tmp"
        parts = [part for part in folder.rglob("*") if not part.is_dir()]
        for part in parts:
            part.unlink()
        return len(parts)

    def prepare(self) -> None:
        """Make the folders and remove what this writer left unfinished."""
        self.make_folders()
        for part in self._tmp.iterdir():
            part.unlink()

    def make_folders(self) -> None:
        """Make the folders that are not there yet."""
        for folder in (self._tmp, self.instances, self._attachments, self._quarantine):
            folder.mkdir(parents=True, exist_ok=True)

    def path(self, study_instance_uid: str, sha256: str) -> Path:
        """Where the content `sha256` of a study belongs.

        Raises
        ------
        HeaderError
            When `study_instance_uid` is malformed.
        SpoolError
            When `sha256` is none.
        """
        if not _SHA256.fullmatch(sha256):
            raise SpoolError(f"'{sha256[:80]}' is no SHA-256; report this fault")
        return self.instances / require_uid(study_instance_uid) / f"{sha256}.dcm"

    def keep(self, content: bytes, *, study_instance_uid: str, sha256: str) -> Path:
        """Put `content` on the disk; when this returns it survives a crash.

        Raises
        ------
        HeaderError
            When the UID is malformed.
        SpoolError
            When there is too little space, or writing failed.
        """
        target = self.path(study_instance_uid, sha256)
        self._write(content, target)
        return target

    def attachment(self, sha256: str, suffix: str) -> Path:
        """Where a file that a person gave belongs, by the hash of its content.

        Raises
        ------
        SpoolError
            When `sha256` is none.
        """
        if not _SHA256.fullmatch(sha256):
            raise SpoolError(f"'{sha256[:80]}' is no SHA-256; report this fault")
        return self._attachments / f"{sha256}{suffix}"

    def attach(self, content: bytes, suffix: str) -> str:
        """Keep a file that a person gave; its hash. When this returns it survives a crash.

        Parameters
        ----------
        content
            Of the file.
        suffix
            End of its name, which tells its format; nothing else of the name is kept.

        Raises
        ------
        SpoolError
            When there is too little space, or writing failed.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        target = self.attachment(sha256, suffix)
        if not target.is_file():
            self.make_folders()
            self._write(content, target)
        return sha256

    def quarantine(self, content: bytes) -> Path:
        """Keep bytes that cannot be parsed, under a name of our own.

        Raises
        ------
        SpoolError
            When there is too little space, or writing failed.
        """
        target = self._quarantine / f"{secrets.token_hex(16)}.bin"
        self._write(content, target)
        return target

    def set_aside(self, path: Path) -> Path:
        """Move a file of `instances` that the journal does not know out of the way, unchanged."""
        target = self._quarantine / f"{path.stem}.{secrets.token_hex(4)}.dcm"
        os.utime(path)  # its time here counts from now
        path.replace(target)
        sync_folder(self._quarantine)
        return target

    def remove(self, path: str) -> None:
        """Remove the file of an instance, and the folder of its study with the last one.

        Parameters
        ----------
        path
            Relative to the folder of the instances.
        """
        file = self.instances / path
        file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            file.parent.rmdir()

    def clean_quarantine(self, limit: float) -> int:
        """Remove what was put into quarantine before `limit` [s since the epoch]; how many."""
        old = [one for one in self._quarantine.glob("*") if one.stat().st_mtime < limit]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)

    def require_space(self, wanted_bytes: int = 0) -> None:
        """Check that `wanted_bytes` more leave the reserve untouched.

        Raises
        ------
        SpoolError
            When they would not.
        """
        free = shutil.disk_usage(self.root).free
        if free - wanted_bytes < self.reserve_bytes:
            raise SpoolError(
                f"{free / 1e9:.2f} GB are free, expected {self.reserve_bytes / 1e9:.2f} GB "
                f"(disk_reserve_gb) and {wanted_bytes / 1e9:.2f} GB; free space on the node"
            )

    @property
    def _attachments(self) -> Path:
        return self.root / "attachments"

    @cached_property
    def _tmp(self) -> Path:
        return self.root / "tmp" / str(self.writer)

    @property
    def _quarantine(self) -> Path:
        return self.root / "quarantine"

    def _write(self, content: bytes, target: Path) -> None:
        part = self._tmp / f"{secrets.token_hex(16)}.part"
        try:
            self.require_space(len(content))
            _write_through(part, content)
            try:
                part.replace(target)
            except FileNotFoundError:
                # The first of its study; or the cleaning took the empty folder away just now.
                target.parent.mkdir(exist_ok=True)
                sync_folder(target.parent.parent)
                part.replace(target)
            sync_folder(target.parent)
        except OSError as fault:
            with suppress(OSError):  # of a read-only disk; swept at the next start
                part.unlink(missing_ok=True)
            raise SpoolError(
                f"an instance of {len(content)} bytes cannot be written ({fault.strerror}); see "
                "the disk of the node"
            ) from fault


def _write_through(path: Path, content: bytes) -> None:
    """Make a file and have its content on the disk; with as few calls of the system as can be."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        written = 0
        while written < len(content):
            written += os.write(handle, memoryview(content)[written:])
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
