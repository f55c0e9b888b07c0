"""Basis files of the MEGA-PRESS fit: YAML in, checked line lists out, and back.

Each line of a table is a resonance: chemical shift [ppm], real and imaginary amplitude [protons].
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cestle.config.templates import TemplateFolder, read_model
from cestle.errors import ConfigError
from cestle.mrs.basis import BasisSettings, LineList, MegaBasis

BASIS_SCHEMA: Final = "cestle-basis/1"
BASIS_FOLDER: Final = "basis"

LOWEST_PPM: Final = -2.0
HIGHEST_PPM: Final = 12.0

_AREA_TOLERANCE: Final = 0.02
_COLUMNS: Final = 3

Metabolite = Literal[
    "GABA",
    "Glu",
    "Gln",
    "GSH",
    "NAA",
    "NAAG",
    "Cr",
    "PCr",
    "GPC",
    "PCh",
    "mIns",
    "Tau",
    "Asp",
    "Lac",
]
_Positive = Annotated[float, Field(gt=0)]
_Shift = Annotated[float, Field(ge=LOWEST_PPM, le=HIGHEST_PPM)]


def _checked_table(text: str) -> str:
    table_lines(text)
    return text


_Table = Annotated[str, AfterValidator(_checked_table)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class MetabolitePart(_Part):
    """Tables of one metabolite for edit ON and edit OFF."""

    protons: Annotated[int, Field(gt=0)]
    edit_on: _Table
    edit_off: _Table

    @model_validator(mode="after")
    def _no_more_than_there_is(self) -> Self:
        for state, text in (("edit_on", self.edit_on), ("edit_off", self.edit_off)):
            area = table_lines(text).area
            if abs(area) > self.protons * (1.0 + _AREA_TOLERANCE):
                raise ValueError(
                    f"the area of {state} is {area:.3f}; expected at most the {self.protons} "
                    "protons that there are"
                )
        return self


class BasisFile(_Part):
    """One basis: what it was simulated for, and the tables of each metabolite.

    Where several files fit a measurement, the one of the lowest `preference` is the default.
    """

    schema_: Annotated[Literal["cestle-basis/1"], Field(alias="schema")]
    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\x21-\x7e]+$")]
    version: Annotated[str, Field(min_length=1, max_length=16)]
    preference: Annotated[int, Field(ge=0)]
    frequency_mhz: _Positive
    echo_time_ms: _Positive
    first_echo_ms: _Positive
    edit_on_ppm: _Shift
    edit_off_ppm: _Shift
    edit_pulse: Annotated[str, Field(min_length=1)]
    edit_pulse_ms: _Positive
    localisation: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    metabolites: Mapping[Metabolite, MetabolitePart]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [name for name in get_args(Metabolite) if name not in self.metabolites]
        if missing:
            raise ValueError(f"metabolites lacks {', '.join(missing)}; expected all of a basis")
        return self

    def basis(self) -> MegaBasis:
        """The basis as the fit uses it."""
        on, off = {}, {}
        for name, part in self.metabolites.items():
            on[str(name)] = table_lines(part.edit_on)
            off[str(name)] = table_lines(part.edit_off)
        settings = BasisSettings(
            name=self.id,
            version=self.version,
            frequency_mhz=self.frequency_mhz,
            echo_time_ms=self.echo_time_ms,
            edit_on_ppm=self.edit_on_ppm,
            edit_off_ppm=self.edit_off_ppm,
            edit_pulse=self.edit_pulse,
            edit_pulse_ms=self.edit_pulse_ms,
            localisation=self.localisation,
            source=self.source,
        )
        return MegaBasis(settings=settings, on=on, off=off)


def table_lines(text: str) -> LineList:
    """The resonances of a table.

    Raises
    ------
    ValueError
        When a line is not three finite numbers, or the shifts do not rise within −2 to 12 ppm.
    """
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != _COLUMNS or not np.all(np.isfinite(row)):
            raise ValueError(
                f"line {number} is {line[:40]!r}; expected shift, real and imaginary amplitude"
            )
        rows.append(row)
    table = np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)
    shift = table[:, 0]
    if not len(shift):
        raise ValueError("the table is empty; expected one resonance at least")
    if shift[0] < LOWEST_PPM or shift[-1] > HIGHEST_PPM or np.any(np.diff(shift) <= 0.0):
        raise ValueError(
            f"shifts from {shift[0]:g} to {shift[-1]:g} ppm; expected rising ones from "
            f"{LOWEST_PPM:g} to {HIGHEST_PPM:g} ppm"
        )
    return LineList(shift_ppm=shift, amplitude=table[:, 1] + 1j * table[:, 2])


def lines_table(lines: LineList) -> str:
    """The table of a line list, to 10⁻⁵ ppm and 10⁻⁵ protons; lines that are then zero go."""
    shift = np.round(lines.shift_ppm, 5)
    text = []
    for place in np.unique(shift):
        amplitude = np.round(lines.amplitude[shift == place].sum(), 5)
        if amplitude != 0.0:
            # adding zero turns a negative zero into zero
            text.append(f"{place:.5f} {amplitude.real + 0.0:.5f} {amplitude.imag + 0.0:.5f}\n")
    return "".join(text)


def load_basis(path: Path) -> MegaBasis:
    """Read a basis file.

    Raises
    ------
    ConfigError
        When it cannot be read or does not fit; every fault is listed with the file.
    """
    return _read(path).basis()


def shipped_bases(templates: TemplateFolder) -> tuple[MegaBasis, ...]:
    """All bases in force, the preferred one first.

    Raises
    ------
    ConfigError
        When there is none, one cannot be used, or two have the same id.
    """
    names = [name for name in templates.names() if name.startswith(f"{BASIS_FOLDER}/")]
    if not names:
        raise ConfigError(
            f"no basis was found in {templates.shipped / BASIS_FOLDER}; reinstall cestle, or make "
            "one with cestle simulate-basis."
        )
    files = [_read(templates.path(name)) for name in names]
    files.sort(key=lambda file: (file.preference, file.id))
    ids = [file.id for file in files]
    if len(set(ids)) < len(ids):
        twice = sorted({id for id in ids if ids.count(id) > 1})
        raise ConfigError(
            f"several basis files have the id {', '.join(twice)}; give each one of its own."
        )
    return tuple(file.basis() for file in files)


def basis_text(file: BasisFile) -> str:
    """The file as YAML, tables as blocks; equal content gives equal text."""
    content = file.model_dump(mode="json", by_alias=True)
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)


def _read(path: Path) -> BasisFile:
    return read_model(path, BasisFile, what="MEGA-PRESS basis")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _block(dumper: yaml.SafeDumper, text: str) -> Any:
    return dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    )


_Dumper.add_representer(str, _block)
