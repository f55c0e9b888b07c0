"""A segmentation program of the site, run as a process: T1 as NIfTI in, labels as NIfTI out."""

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import structlog

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.config.node import RegionsSection
from cestle.dicom.label_map_reader import read_label_map
from cestle.dicom.nifti_image import write_nifti
from cestle.errors import InputError
from cestle.service.process_groups import end_group, group_memory_mib
from cestle.study.inputs import ScalarImage
from cestle.study.roles import LabelScheme

_LOOK_SECONDS: Final = 0.05
_TOLD_CHARACTERS: Final = 2000
_BLOCK: Final = 1 << 20
_log = structlog.get_logger(__name__)
_running: set[int] = set()


class PlugInError(InputError):
    """The plug-in gave no labels."""


def end_running() -> None:
    """Kill what runs, for a process that is about to end itself."""
    for group in tuple(_running):
        end_group(group)


@dataclass(frozen=True, kw_only=True)
class PlugIn:
    """Regions of a configured program.

    Parameters
    ----------
    settings
        Command, limits, and what the program is.
    schemes
        Known label schemes.
    scratch
        Folder for its files; a new one inside is made and removed for each run.
    """

    settings: RegionsSection
    schemes: Sequence[LabelScheme]
    scratch: Path

    @property
    def name(self) -> str:
        """What it is called in notes."""
        return f"the plug-in {self.settings.plugin_name}"

    def regions(self, anatomy: ScalarImage) -> tuple[Region, ...]:
        """Run the program on a T1.

        Parameters
        ----------
        anatomy
            The T1.

        Raises
        ------
        PlugInError
            When it cannot be started, fails, takes too long or too much memory, or writes no
            labels.
        InputError
            When its labels cannot be used.
        """
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="plug-in.") as folder:
            t1, labels = Path(folder) / "t1.nii.gz", Path(folder) / "labels.nii.gz"
            write_nifti(anatomy, t1)
            command = [
                argument.replace("{t1}", str(t1)).replace("{labels}", str(labels))
                for argument in self.settings.plugin_command
            ]
            digest = _digest(self.settings.plugin_command)
            self._run(command, Path(folder))
            if not labels.is_file():
                raise PlugInError(
                    "it ended without an error but wrote no labels; check plugin_command"
                )
            return read_label_map(
                labels,
                schemes=self.schemes,
                scheme_name=self.settings.plugin_scheme,
                reference=anatomy.grid,
                source=RegionSource(
                    form=RegionForm.PLUG_IN,
                    creation="automatic",
                    identifier="plug-in",
                    tool=f"{self.settings.plugin_name} {self.settings.plugin_version}",
                    digest=digest,
                ),
            )

    def _run(self, command: Sequence[str], folder: Path) -> None:
        with tempfile.TemporaryFile(dir=folder) as told:
            try:
                # A group of its own, so that all of it can be ended, in the session of the
                # computing child, so that whoever ends that finds it.
                process = subprocess.Popen(  # noqa: S603 - a list of the site's configuration
                    command,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=told,
                    stderr=subprocess.STDOUT,
                    process_group=0,
                )
            except OSError as fault:
                raise PlugInError(
                    f"it cannot be started ({type(fault).__name__}); check plugin_command"
                ) from fault
            _running.add(process.pid)
            try:
                self._watch(process, told)
            finally:
                end_group(process.pid)
                process.wait()
                _running.discard(process.pid)

    def _watch(self, process: "subprocess.Popen[bytes]", told: IO[bytes]) -> None:
        begin = time.monotonic()
        code: int | None = None
        while code is None:
            try:
                code = process.wait(_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                self._require_limits(process.pid, time.monotonic() - begin)
        _log.info("plug-in ended", exit_code=code, seconds=round(time.monotonic() - begin, 3))
        if code != 0:
            # What it printed may name files of the site, so it stays in the log.
            _log.warning("plug-in failed", printed=_last(told))
            raise PlugInError(f"it ended with code {code}; the log holds what it printed")

    def _require_limits(self, group: int, seconds: float) -> None:
        if seconds > 60.0 * self.settings.plugin_timeout_minutes:
            raise PlugInError(
                f"it was stopped after {self.settings.plugin_timeout_minutes:g} min, see "
                "plugin_timeout_minutes"
            )
        memory_mib = group_memory_mib(group)
        if memory_mib > self.settings.plugin_memory_mb:
            raise PlugInError(
                f"it was stopped at {memory_mib:.0f} MiB of memory, see plugin_memory_mb"
            )


def _last(told: IO[bytes]) -> str:
    size = told.seek(0, 2)
    told.seek(max(0, size - _TOLD_CHARACTERS))
    return told.read().decode("utf-8", errors="replace")


def _digest(command: Sequence[str]) -> str:
    """SHA-256 of the files that a command names, in their order."""
    total = hashlib.sha256()
    program = shutil.which(command[0])
    named = [program or command[0], *command[1:]]
    for path in (Path(argument) for argument in named):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                total.update(block)
    return total.hexdigest()
