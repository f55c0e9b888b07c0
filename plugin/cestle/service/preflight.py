"""What can be known of the machine before a node starts: disk, ports, files, memory, clock."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cestle.config.node import NodeConfig
from cestle.config.reporting import PageFile
from cestle.config.templates import TemplateFolder
from cestle.errors import CestleError, ConfigError, SpoolError
from cestle.net.secure import server_context
from cestle.service.certificates import expiry
from cestle.service.layout import DataFolder
from cestle.service.operate import echo
from cestle.spool.database import VERSION, version_of
from cestle.spool.mounts import require_local_disk

_RENEW_DAYS: Final = 30
_EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC)
_MOUNTS: Final = Path("/proc/self/mountinfo")
_MEMORY: Final = Path("/proc/meminfo")
_GROUP_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Remark:
    """One thing that was found, in a line; a fault keeps the node from working."""

    text: str
    fault: bool = True


Remarks = Iterator[Remark]


def machine_remarks(config: NodeConfig, *, network: bool = False) -> tuple[Remark, ...]:
    """Everything that can be said of this machine for a configuration.

    Parameters
    ----------
    config
        The node's configuration.
    network
        Whether destinations are asked by C-ECHO.
    """
    looks: list[Callable[[NodeConfig], Remarks]] = [
        *(_folder, _file_system, _space, _ports, _tls, _database, _clock, _fonts, _memory),
    ]
    if network:
        looks.append(_destinations)
    return tuple(remark for look in looks for remark in look(config))


def _existing(path: Path) -> Path:
    """`path`, or the nearest folder above that exists."""
    return next(one for one in (path, *path.parents) if one.exists())


def _folder(config: NodeConfig) -> Remarks:
    folder = config.node.data_dir
    present = _existing(folder)
    if not present.is_dir():
        yield Remark(text=f"data_dir {folder}: {present} is a file, expected a folder")
    elif not os.access(present, os.W_OK | os.X_OK):
        yield Remark(
            text=f"data_dir {folder} cannot be written to by this user (uid {os.getuid()}); give "
            f"it {present}"
        )


def _file_system(config: NodeConfig) -> Remarks:
    if config.engine.database_url:
        return
    try:
        require_local_disk(config.node.data_dir, _MOUNTS)
    except ConfigError as fault:
        yield Remark(text=str(fault))


def _space(config: NodeConfig) -> Remarks:
    free = shutil.disk_usage(_existing(config.node.data_dir)).free / 1e9
    reserve = config.node.disk_reserve_gb
    if free < 2.0 * reserve:
        yield Remark(
            text=f"{free:.1f} GB are free for data_dir, nothing is received below "
            f"{reserve:g} GB (disk_reserve_gb); free space",
            fault=free < reserve,
        )


def _ports(config: NodeConfig) -> Remarks:
    if DataFolder.existing(config).in_use():
        return  # by the node itself
    wanted = [("[node]", config.node.host, config.node.port)]
    if config.web.enabled:
        wanted.append(("[web]", config.web.host, config.web.port))
    for section, host, port in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as fault:
                yield Remark(
                    text=f"{section} {host}:{port} cannot be listened on "
                    f"({fault.strerror or fault}); choose another, or stop what uses it"
                )


def _tls(config: NodeConfig) -> Remarks:
    tls = config.tls
    if not tls.complete:
        return
    try:
        server_context(tls)
        files = [file for file in (tls.certificate_file, tls.ca_file) if file is not None]
        ends = [(file, expiry(file)) for file in files]
    except CestleError as fault:
        yield Remark(text=str(fault))
        return
    for file, end in ends:
        days = (end - datetime.now(UTC)).total_seconds() / 86_400.0
        if days < 0.0:
            yield Remark(text=f"{file} expired on {end:%Y-%m-%d}; renew it")
        elif days < _RENEW_DAYS:
            yield Remark(text=f"{file} expires on {end:%Y-%m-%d}; renew it", fault=False)


def _database(config: NodeConfig) -> Remarks:
    folder = DataFolder.existing(config)
    if not folder.has_journal:
        return
    try:
        found = version_of(folder.journal)
    except SpoolError as fault:
        yield Remark(text=str(fault))
        return
    if found > VERSION:
        yield Remark(
            text=f"the journal has version {found}, this cestle knows {VERSION}; install the newer "
            "version again"
        )


def _clock(config: NodeConfig) -> Remarks:
    now = time.time()
    if now < _EARLIEST.timestamp():
        yield Remark(text=f"the clock says {datetime.now(UTC):%Y-%m-%d}; set it")
        return
    journal = DataFolder.existing(config).journal
    if isinstance(journal, Path) and journal.is_file():
        written = journal.stat().st_mtime
        if written > now + 60.0:
            yield Remark(
                text=f"the clock is {written - now:.0f} s behind the last change of the journal; "
                "set it, since waiting times count from it"
            )


def _fonts(config: NodeConfig) -> Remarks:
    if config.analysis.language != "zh-CN":
        return
    folder = TemplateFolder.default(config.templates.overlay_dir)
    fonts = folder.load_as("page/layout.yaml", PageFile).cjk_fonts
    if not any(Path(font).is_file() for font in fonts):
        yield Remark(
            text=f"language is zh-CN, but none of the fonts {', '.join(map(str, fonts))} is there; "
            "install one, or the page will be in English",
            fault=False,
        )


def _memory(config: NodeConfig) -> Remarks:
    engine = config.engine
    there = _memory_mib()
    wanted = engine.workers * engine.compute_memory_mb
    if there is not None and wanted > there:
        yield Remark(
            text=f"{engine.workers} computations may need {wanted} MiB (workers × "
            f"compute_memory_mb), this machine or container has {there:.0f} MiB; lower one of them",
            fault=False,
        )
    cores = len(os.sched_getaffinity(0))
    if engine.workers > cores:
        yield Remark(
            text=f"workers is {engine.workers}, this machine has {cores} cores for cestle; "
            "more do not make it faster",
            fault=False,
        )


def _memory_mib() -> float | None:
    """Memory of the machine, or the limit of the container if that is lower [MiB]."""
    limits = []
    if _MEMORY.is_file():
        limits.append(float(_MEMORY.read_text(encoding="ascii").split()[1]) / 1024.0)
    if _GROUP_LIMIT.is_file():
        text = _GROUP_LIMIT.read_text(encoding="ascii").strip()
        if text.isdigit():
            limits.append(float(text) / 2.0**20)
    return min(limits) if limits else None


def _destinations(config: NodeConfig) -> Remarks:
    for destination in config.destinations:
        try:
            echo(config, destination.name)
        except CestleError as fault:
            yield Remark(text=str(fault))
