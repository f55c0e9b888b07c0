"""Outlines of regions: a bright line on a dark halo, drawn smoothly."""

from dataclasses import dataclass
from typing import Final

import contourpy
import numpy as np
from PIL import Image, ImageDraw

from cestle.measurement import Structure
from cestle.physics import Real
from cestle.render.colors import HALO, Rgb

_OVERSAMPLING: Final = 4
_LINE_PX: Final = 1.75
_HALO_PX: Final = 3.5
_DASH_PX: Final = (6.0, 3.0)
_DOT_PX: Final = {Structure.HIPPOCAMPUS: (2.5, 3.5), Structure.AMYGDALA: (2.5, 6.5)}
_DOT_LINE_PX: Final = 2.5
_REACH: Final = 0.2
"""Share of a voxel at the faint line; voxels beyond it count for little."""
_LEAST_DISTANCE: Final = 0.05
"""Between the shares at both lines, below which the faint one would lie on the other."""
_REACH_PX: Final = 1.25
_REACH_OPACITY: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The part of a displayed plane that a panel shows, and its magnification.

    Parameters
    ----------
    first_row, first_column
        Top left voxel.
    rows, columns
        Number of voxels.
    scale
        Pixels per voxel along (rows, columns).
    """

    first_row: int
    first_column: int
    rows: int
    columns: int
    scale: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the panel [pixels]."""
        return (round(self.columns * self.scale[1]), round(self.rows * self.scale[0]))

    def to_pixels(self, points: Real) -> Real:
        """Panel pixels (x, y) of voxel coordinates (column, row), both of shape (n, 2)."""
        shifted = points + 0.5 - np.array([self.first_column, self.first_row])
        pixels: Real = shifted * np.array([self.scale[1], self.scale[0]])
        return pixels


def outlines(fraction: Real) -> list[Real]:
    """Lines around the voxels that a region holds for the greater part.

    Parameters
    ----------
    fraction
        Share of each voxel in the region, shape (rows, columns).

    Returns
    -------
        Lines of (column, row) voxel coordinates, each of shape (n, 2). The level is one half;
        for a region that fills no voxel by half, it is half of its greatest share.
    """
    level = _level(fraction)
    return _contours(fraction, level) if level > 0.0 else []


def reach(fraction: Real) -> list[Real]:
    """Lines around the voxels of which a region holds a fifth or more, as `outlines`.

    None where they would lie on the outline or within it.
    """
    return _contours(fraction, _REACH) if _level(fraction) >= _REACH + _LEAST_DISTANCE else []


def _level(fraction: Real) -> float:
    return min(0.5, 0.5 * float(fraction.max(initial=0.0)))


def _contours(fraction: Real, level: float) -> list[Real]:
    lines = contourpy.contour_generator(z=np.pad(fraction, 1)).lines(level)
    return [np.asarray(line, dtype=np.float64) - 1.0 for line in lines]


def draw_outline(
    picture: Image.Image,
    fraction: Real,
    frame: Frame,
    color: Rgb,
    structure: Structure,
    *,
    verified: bool = True,
) -> None:
    """Draw the outline of one region onto a panel.

    The amygdala's is dashed. Outlines that nobody verified are dotted, the amygdala's with wider
    gaps. A faint line shows how far voxels reach that count for less than a half.

    Parameters
    ----------
    picture
        The panel, changed in place.
    fraction
        Share of each voxel, in display orientation, shape (rows, columns).
    frame
        What the panel shows.
    color
        Colour of the line.
    structure
        What the region is.
    verified
        Whether the line is a firm one.
    """
    faint = _mask(picture.size, [frame.to_pixels(line) for line in reach(fraction)], _REACH_PX)
    picture.paste(color, mask=faint.point(lambda value: round(_REACH_OPACITY * value)))
    lines = [frame.to_pixels(line) for line in outlines(fraction)]
    shown = lines
    if not verified:
        shown = [dot for line in lines for dot in _dashes(line, _DOT_PX[structure])]
    elif structure is Structure.AMYGDALA:
        shown = [dash for line in lines for dash in _dashes(line, _DASH_PX)]
    picture.paste(HALO, mask=_mask(picture.size, lines, _HALO_PX))
    width = _LINE_PX if verified else _DOT_LINE_PX
    picture.paste(color, mask=_mask(picture.size, shown, width))


def draw_line(picture: Image.Image, line: Real, color: Rgb) -> None:
    """Draw one line on its halo, smoothly.

    Parameters
    ----------
    picture
        The panel, changed in place.
    line
        Panel pixels (x, y), shape (n, 2).
    color
        Colour of the line.
    """
    picture.paste(HALO, mask=_mask(picture.size, [line], _HALO_PX))
    picture.paste(color, mask=_mask(picture.size, [line], _LINE_PX))


def _mask(size: tuple[int, int], lines: list[Real], width_px: float) -> Image.Image:
    """Coverage of lines of one width, smoothed by oversampling."""
    mask = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    draw = ImageDraw.Draw(mask)
    width = round(width_px * _OVERSAMPLING)
    for line in lines:
        points = [(float(x), float(y)) for x, y in line * _OVERSAMPLING]
        draw.line(points, fill=255, width=width, joint="curve")
    return mask.reduce(_OVERSAMPLING)


def _dashes(line: Real, pattern: tuple[float, float]) -> list[Real]:
    """Cut a line into dashes; `pattern` is their length and that of the gaps [pixels]."""
    steps = np.hypot(*np.diff(line, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if along[-1] <= 0.0:
        return []
    on, off = pattern
    pieces = []
    for start in np.arange(0.0, along[-1], on + off):
        at = np.linspace(start, min(start + on, along[-1]), 6)
        pieces.append(
            np.column_stack([np.interp(at, along, line[:, 0]), np.interp(at, along, line[:, 1])])
        )
    return pieces
