"""The built-in atlas: nilearn's T1 template, read as a file, and the shipped table of ellipses."""

from importlib import metadata
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import nibabel as nib
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cestle.anatomy.atlas import AtlasTemplate, EllipseSections, EllipseTable
from cestle.config.templates import read_model
from cestle.errors import ConfigError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Structure

SHIPPED_TABLE: Final = Path(__file__).with_name("mtl_ellipses.yaml")

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


class EllipseFile(_Part):
    """The table of ellipses."""

    schema_: Annotated[Literal["cestle-mtl-ellipses/1"], Field(alias="schema")]
    version: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x7e]+$")]
    space: Literal["MNI152NLin2009aSym"]
    source: Annotated[str, Field(min_length=1)]
    softness: Annotated[float, Field(gt=0.0, le=1.0)]
    structures: dict[Literal["hippocampus", "amygdala"], SectionsPart]

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
    return read_model(path, EllipseFile, what="ellipse table").table()


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
        identifier=f"MNI152NLin2009aSym of {_PACKAGE} {version}, ellipses {model.version}",
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
