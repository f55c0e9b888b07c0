"""The built-in atlas: nilearn's T1 template, read as a file, and a table of ellipses.

The table is the shipped one, or one that `cestle roi-calibrate` has fitted to a site's own people.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import nibabel as nib
import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cestle.anatomy.atlas import LEAST_PEOPLE, AtlasTemplate, EllipseSections, EllipseTable
from cestle.config.templates import read_model
from cestle.errors import ConfigError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Structure

SHIPPED_TABLE: Final = Path(__file__).with_name("mtl_ellipses.yaml")

SPACE: Final = "MNI152NLin2009aSym"
"""Space of the template that nilearn brings."""

_PACKAGE: Final = "nilearn"
_TEMPLATE: Final = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
_SHAPE: Final = (197, 233, 189)
_ORIGIN_RAS_MM: Final = (-98.0, -134.0, -72.0)

_Row = Annotated[list[float], Field(min_length=6, max_length=6)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SectionsPart(_Part):
    """One structure of the right side."""

    y_range: Annotated[list[float], Field(min_length=2, max_length=2)]
    rows: Annotated[list[_Row], Field(min_length=2)]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            self.sections()
        except NumericalError as fault:
            raise ValueError(str(fault)) from fault
        if not self.y_range[0] < self.y_range[1]:
            raise ValueError("y_range does not rise")
        return self

    def sections(self) -> EllipseSections:
        """The sections as the atlas uses them."""
        return EllipseSections(rows=np.array(self.rows), y_range=(self.y_range[0], self.y_range[1]))


_Overlap = Annotated[float, Field(ge=0.0, le=1.0)]


class OverlapPart(_Part):
    """Mean Dice of one structure: by tables that did not know the person, and before."""

    left_one_out: _Overlap
    before: _Overlap


class CalibrationPart(_Part):
    """How a site's table was made: counts and numbers, nothing of any person.

    `before` is the version of the table that it was compared with; `numbers_sha256` is that of
    softness and structures, so that a table that was changed by hand does not keep the overlap of
    another one.
    """

    people: Annotated[int, Field(ge=LEAST_PEOPLE)]
    label_scheme: Annotated[str, Field(min_length=1, max_length=48)]
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    software: Annotated[str, Field(min_length=1, max_length=48)]
    before: Annotated[str, Field(min_length=1, max_length=16)]
    overlap: dict[Literal["hippocampus", "amygdala"], OverlapPart]
    numbers_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class EllipseFile(_Part):
    """The table of ellipses; `calibration` is there in a site's own."""

    schema_: Annotated[Literal["cestle-mtl-ellipses/1"], Field(alias="schema")]
    version: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x7e]+$")]
    space: Literal["MNI152NLin2009aSym"]
    source: Annotated[str, Field(min_length=1)]
    softness: Annotated[float, Field(gt=0.0, le=1.0)]
    structures: dict[Literal["hippocampus", "amygdala"], SectionsPart]
    calibration: CalibrationPart | None = None

    @model_validator(mode="after")
    def _unchanged(self) -> Self:
        made = self.calibration
        if made is not None and made.numbers_sha256 != numbers_sha256(self.softness, self._rows()):
            raise ValueError(
                "the numbers are not those that were fitted (calibration.numbers_sha256); make "
                "the file again with cestle roi-calibrate"
            )
        return self

    def _rows(self) -> dict[str, tuple[list[float], list[list[float]]]]:
        return {str(name): (part.y_range, part.rows) for name, part in self.structures.items()}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [structure for structure in Structure if structure not in self.structures]
        if missing:
            raise ValueError(f"structures lacks {', '.join(missing)}")
        return self

    def table(self) -> EllipseTable:
        """The table as the atlas uses it."""
        return EllipseTable(
            version=self.version,
            source=self.source,
            softness=self.softness,
            structures={Structure(name): part.sections() for name, part in self.structures.items()},
        )


def load_ellipse_table(path: Path = SHIPPED_TABLE) -> EllipseTable:
    """Read a table of ellipses.

    Raises
    ------
    ConfigError
        When it cannot be read or does not fit; every fault is listed with the file.
    """
    table = read_model(path, EllipseFile, what="ellipse table").table()
    if path == SHIPPED_TABLE:
        return table
    return replace(table, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def numbers_sha256(
    softness: float, rows: Mapping[str, tuple[list[float], list[list[float]]]]
) -> str:
    """SHA-256 of what the atlas takes from a table.

    Parameters
    ----------
    softness
        Width of the border.
    rows
        Range of y and ellipses of each structure.
    """
    content = json.dumps([softness, dict(rows)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def table_text(file: EllipseFile) -> str:
    """The file as YAML; equal content gives equal text."""
    return yaml.safe_dump(
        file.model_dump(mode="json", by_alias=True),
        sort_keys=False,
        allow_unicode=True,
        width=99,
        default_flow_style=None,
    )


def load_atlas_template(table: Path = SHIPPED_TABLE) -> AtlasTemplate:
    """The template and the table of ellipses.

    nilearn is not imported, which would take more than a second; its file is.

    Raises
    ------
    ConfigError
        When nilearn or its file is missing or is another one than expected.
    """
    model = load_ellipse_table(table)
    path, version = _template_file()
    try:
        image = nib.Nifti1Image.from_filename(path)
        stored = np.asanyarray(image.dataobj)
    except (OSError, nib.filebasedimages.ImageFileError, EOFError) as fault:
        text = " ".join(str(fault).split())
        raise ConfigError(f"the T1 template {path} cannot be read: {text}") from fault
    expected = np.eye(4)
    expected[:3, 3] = _ORIGIN_RAS_MM
    if stored.shape != _SHAPE or not np.array_equal(image.affine, expected):
        raise ConfigError(
            f"the T1 template {path} is another one than expected ({stored.shape}, {_SHAPE} was "
            f"expected); install {_PACKAGE} anew."
        )
    # RAS to LPS: x and y turn around; then (x, y, z) to (z, y, x)
    values = np.ascontiguousarray(stored[::-1, ::-1].transpose(2, 1, 0), dtype=np.float64)
    return AtlasTemplate(
        values=values,
        brain=values > 0.0,
        grid=_grid(stored.shape),
        model=model,
        identifier=f"{SPACE} of {_PACKAGE} {version}, ellipses {model.version}",
    )


def _template_file() -> tuple[Path, str]:
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError as fault:
        raise ConfigError(
            f"the package {_PACKAGE}, which holds the T1 template, is not installed; reinstall "
            "cestle."
        ) from fault
    for file in package.files or ():
        if file.name == _TEMPLATE:
            return Path(str(package.locate_file(file))), package.version
    raise ConfigError(
        f"{_PACKAGE} {package.version} has no file {_TEMPLATE}; install a version from 0.14 on."
    )


def _grid(shape: tuple[int, ...]) -> Grid:
    x, y, z = shape
    right, back, foot = _ORIGIN_RAS_MM
    affine = np.zeros((4, 4))
    affine[[2, 1, 0], [0, 1, 2]] = 1.0
    affine[:3, 3] = -(right + x - 1), -(back + y - 1), foot
    affine[3, 3] = 1.0
    return Grid(shape=(z, y, x), affine=affine, frame_of_reference_uid="", slice_thickness_mm=1.0)
