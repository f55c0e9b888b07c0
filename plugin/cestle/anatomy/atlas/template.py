"""What the built-in atlas knows: a symmetric T1 template and a table of ellipses in its space.

The template is the MNI152 one, positions are its LPS millimetres. Hippocampus and amygdala are
described by one ellipse in each of a few coronal sections. Only the right side is in the table;
the left one is its mirror image, so that no side is favoured by construction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.physics import Bool, Real

_COLUMNS: Final = 6
_MOST_EXPONENT: Final = 60.0


@dataclass(frozen=True, kw_only=True, eq=False)
class EllipseSections:
    """Coronal ellipses of one structure of the right side.

    Parameters
    ----------
    rows
        Shape (sections, 6), rising in y, RAS millimetres: y, x and z of the centre, long and
        short semi-axis, angle of the long one from +x towards +z [degrees, period 180].
    y_range
        Outside of these y there is nothing [mm].
    """

    rows: Real
    y_range: tuple[float, float]

    def __post_init__(self) -> None:
        rows = np.array(self.rows, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != _COLUMNS or len(rows) < 2:
            raise NumericalError(
                f"the ellipse table has shape {rows.shape}; two or more rows of 6 were expected."
            )
        if np.any(np.diff(rows[:, 0]) <= 0.0) or not np.all(np.isfinite(rows)):
            raise NumericalError("the sections of the ellipse table do not rise in y.")
        if np.any(rows[:, 3:5] <= 0.0):
            raise NumericalError("the ellipse table has semi-axes that are not positive.")
        rows[:, 5] = np.unwrap(rows[:, 5], period=180.0)
        rows.setflags(write=False)
        object.__setattr__(self, "rows", rows)

    def radius(self, ras_mm: Real) -> Real:
        """Elliptical radius, 1 on the outline, infinite outside `y_range`.

        Parameters
        ----------
        ras_mm
            Positions, shape (..., 3).
        """
        x, y, z = np.moveaxis(ras_mm, -1, 0)
        centre_x, centre_z, long, short, degrees = (
            np.interp(y, self.rows[:, 0], self.rows[:, column]) for column in range(1, _COLUMNS)
        )
        angle = np.radians(degrees)
        along = (x - centre_x) * np.cos(angle) + (z - centre_z) * np.sin(angle)
        across = (z - centre_z) * np.cos(angle) - (x - centre_x) * np.sin(angle)
        inside = (y >= self.y_range[0]) & (y <= self.y_range[1])
        radius: Real = np.where(inside, np.hypot(along / long, across / short), np.inf)
        return radius


@dataclass(frozen=True, kw_only=True, eq=False)
class EllipseTable:
    """Hippocampus and amygdala in the space of the template.

    Parameters
    ----------
    version
        Which table it is, for reports.
    source
        What it was measured from, and the licence of that.
    softness
        Width of the border, in elliptical radii.
    structures
        Sections of each structure.
    digest
        SHA-256 of the file of a site's own table; empty for the shipped one.
    """

    version: str
    source: str
    softness: float
    structures: Mapping[Structure, EllipseSections]
    digest: str = ""

    def log_odds(self, structure: Structure, side: Side, lps_mm: Real) -> Real:
        """Logarithm of the odds of lying in a structure: (1 − radius) / softness.

        Parameters
        ----------
        structure, side
            What is asked for.
        lps_mm
            Positions in the template, shape (..., 3).

        Returns
        -------
            Shape (...); a large negative number where there is nothing.
        """
        to_right = -1.0 if side is Side.RIGHT else 1.0
        ras = lps_mm * np.array([to_right, -1.0, 1.0])
        odds = (1.0 - self.structures[structure].radius(ras)) / self.softness
        bounded: Real = np.maximum(odds, -_MOST_EXPONENT)
        return bounded


@dataclass(frozen=True, kw_only=True, eq=False)
class AtlasTemplate:
    """The template that a T1 is aligned with.

    Parameters
    ----------
    values
        T1-weighted brightness of a brain without skull, shape of `grid` [a.u.].
    brain
        Where its brain is, the same shape.
    grid
        Its place; rows of `grid` run to the left, to the back and to the head.
    model
        The structures.
    identifier
        Name and version of template and table, for reports.
    """

    values: Real
    brain: Bool
    grid: Grid
    model: EllipseTable
    identifier: str

    def __post_init__(self) -> None:
        for name in ("values", "brain"):
            shape = getattr(self, name).shape
            if shape != self.grid.shape:
                raise NumericalError(
                    f"{name} of the template has shape {shape}, {self.grid.shape} was expected."
                )

    @property
    def brain_mm3(self) -> float:
        """Volume inside its skull [mm³]."""
        return float(np.count_nonzero(self.brain)) * self.grid.voxel_volume_mm3
