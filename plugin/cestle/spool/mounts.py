"""Which file system a folder is on: SQLite may not be used over a network."""

import re
from pathlib import Path
from typing import Final

from cestle.errors import ConfigError

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"),
        *("gpfs", "beegfs", "orangefs", "pvfs2", "ncpfs", "coda", "virtiofs", "vboxsf", "prl_fs"),
        "vmhgfs",
    }
)
_LOCAL_FUSE: Final = frozenset({"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.lxcfs"})


def file_system_type(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Type of the file system that `folder` is on, such as ext4; empty where unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = folder.resolve()
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        place = Path(_unescaped(fields[4]))
        # Of several mounts on one place, the last one covers those before.
        if wanted.is_relative_to(place) and len(place.parts) >= best:
            best, kind = len(place.parts), after.split()[0]
    return kind


def require_local_disk(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Check that SQLite files in `folder` are safe; the type of its file system.

    Raises
    ------
    ConfigError
        When it is reached over a network, where the locks of SQLite do not hold.
    """
    kind = file_system_type(folder, mounts)
    if kind in _NETWORK or (kind.startswith("fuse.") and kind not in _LOCAL_FUSE):
        raise ConfigError(
            f"data_dir {folder} is on {kind}, expected a local disk, since SQLite loses data over "
            "a network; choose another folder, or name a PostgreSQL in [engine] database_url"
        )
    return kind


def _unescaped(text: str) -> str:
    """Mount points have blanks and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
