"""How a slice is shown: radiological convention, derived from the place of the voxels."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.geometry import Grid
from cestle.physics import Real

_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))
"""Letters at the negative and positive end of the LPS axes (PS3.3 C.7.6.1.1.1)."""

_SECOND_LETTER_COSINE: Final = 0.34
"""An axis tilted by more than 20° is named by two letters."""


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How the (row, column) plane of a grid is turned for display.

    Parameters
    ----------
    transpose
        Whether rows and columns change places, before the flips.
    flip_rows, flip_columns
        Whether the displayed rows or columns run backwards.
    left, right, top, bottom
        Letters at the edges of the picture: L and R are the patient's, then A, P, H (head) and
        F (feet); a tilted axis has two.
    pixel_mm
        Distance of displayed (rows, columns) [mm].
    """

    transpose: bool
    flip_rows: bool
    flip_columns: bool
    left: str
    right: str
    top: str
    bottom: str
    pixel_mm: tuple[float, float]

    def apply(self, plane: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Turn one plane (rows, columns, …) for display."""
        shown = plane.swapaxes(0, 1) if self.transpose else plane
        if self.flip_rows:
            shown = shown[::-1]
        if self.flip_columns:
            shown = shown[:, ::-1]
        return shown


def orientation_of(grid: Grid) -> Orientation:
    """Orientation that shows the patient's right at the left edge of the picture.

    Coronal and axial planes have right at the left; sagittal ones have anterior at the left.
    Head is at the top, in axial planes anterior.

    Parameters
    ----------
    grid
        Place of the voxels; only its affine counts.

    Returns
    -------
        The turns to make and the letters at the edges afterwards.
    """
    directions = grid.affine[:3, 1:3] / np.linalg.norm(grid.affine[:3, 1:3], axis=0)
    down, across = directions[:, 0], directions[:, 1]
    down_mm, across_mm = grid.spacing_mm[1:]
    transpose = _first_is_horizontal(down, across)
    if transpose:
        down, across = across, down
        down_mm, across_mm = across_mm, down_mm
    # Toward +x is left and toward +y is posterior: both stand at the right edge.
    flip_columns = bool(across[_dominant(across)] < 0.0)
    # Rows run toward the feet (-z) or, in axial planes, toward posterior (+y).
    axis = _dominant(down)
    flip_rows = bool(down[axis] > 0.0) if axis == 2 else bool(down[axis] < 0.0)
    across = -across if flip_columns else across
    down = -down if flip_rows else down
    return Orientation(
        transpose=transpose,
        flip_rows=flip_rows,
        flip_columns=flip_columns,
        left=letters(-across),
        right=letters(across),
        top=letters(-down),
        bottom=letters(down),
        pixel_mm=(down_mm, across_mm),
    )


def letters(direction: Real) -> str:
    """Name a direction in LPS by its main letter and a second one where it is tilted.

    Parameters
    ----------
    direction
        Unit vector, shape (3,).
    """
    order = np.argsort(-np.abs(direction), kind="stable")
    chosen = [axis for axis in order[:2] if abs(direction[axis]) > _SECOND_LETTER_COSINE]
    return "".join(_LETTERS[axis][int(direction[axis] > 0.0)] for axis in chosen)


def _dominant(direction: Real) -> int:
    return int(np.argmax(np.abs(direction)))


def _first_is_horizontal(down: Real, across: Real) -> bool:
    """Whether the row index, and not the column index, has to run across the picture."""
    if max(abs(down[0]), abs(across[0])) > 0.5:
        return bool(abs(down[0]) > abs(across[0]))
    return bool(abs(down[1]) > abs(across[1]))
