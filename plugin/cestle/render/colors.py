"""Colours: the scale of the map, the sides, and the page.

Sides and marks are taken from the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/),
which people with colour-vision deficiency can tell apart.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import matplotlib
import numpy as np
import numpy.typing as npt

from cestle.measurement import Side
from cestle.physics import Bool, Real

Pixels = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

BACKGROUND: Final[Rgb] = (13, 16, 22)
PANEL: Final[Rgb] = (22, 27, 36)
RULE: Final[Rgb] = (58, 66, 80)
TEXT: Final[Rgb] = (236, 239, 244)
FAINT: Final[Rgb] = (165, 174, 188)
WARNING: Final[Rgb] = (168, 24, 56)
STAMP_COLOR: Final[Rgb] = (255, 82, 60)
HALO: Final[Rgb] = (0, 0, 0)
HATCH: Final[Rgb] = (150, 150, 150)
UNDER: Final[Rgb] = (70, 78, 98)
OVER: Final[Rgb] = (255, 255, 255)

SIDE_COLOR: Final[dict[Side, Rgb]] = {Side.LEFT: (86, 180, 233), Side.RIGHT: (240, 165, 20)}


class ColorMap(StrEnum):
    """Maps from value to colour."""

    VIRIDIS = "viridis"
    INFERNO = "inferno"
    PAPER_RAINBOW = "paper_rainbow"


_MATPLOTLIB_NAME: Final = {
    ColorMap.VIRIDIS: "viridis",
    ColorMap.INFERNO: "inferno",
    ColorMap.PAPER_RAINBOW: "jet",
}


@dataclass(frozen=True, kw_only=True)
class ColorScale:
    """A fixed scale: the same value has the same colour in every patient.

    Parameters
    ----------
    color_map
        Name of the colours.
    low, high
        Values of the first and the last colour, in the unit of the image.
    ticks
        Values that are written at the bar.
    unit
        Unit, as written at the bar.
    """

    color_map: ColorMap
    low: float
    high: float
    ticks: tuple[float, ...]
    unit: str

    def table(self) -> Pixels:
        """The 256 colours from `low` to `high`, shape (256, 3)."""
        colors = matplotlib.colormaps[_MATPLOTLIB_NAME[self.color_map]](np.arange(256))
        table: Pixels = np.rint(np.asarray(colors)[:, :3] * 255.0).astype(np.uint8)
        return table

    def colors(self, values: Real) -> Pixels:
        """Colours of values.

        Values outside the scale get `UNDER` and `OVER`, which are no colours of the scale, so
        that a clipped value never looks like a measured one.

        Parameters
        ----------
        values
            Any shape, finite, in the unit of the scale.

        Returns
        -------
            RGB, shape (*values.shape, 3).
        """
        position = np.rint((values - self.low) / (self.high - self.low) * 255.0)
        picture = self.table()[np.clip(position, 0, 255).astype(np.intp)]
        picture[values < self.low] = UNDER
        picture[values > self.high] = OVER
        return picture


def grey(values: Real, inside: Bool | None = None) -> Pixels:
    """Grey picture of anatomy between its 1st and 99th percentile, kept darker than the map.

    Parameters
    ----------
    values
        Any shape [a.u.]; not finite is black.
    inside
        Voxels that set the window, same shape; None takes all that are not zero.

    Returns
    -------
        RGB, shape (*values.shape, 3).
    """
    finite = np.isfinite(values)
    chosen = finite & ((values != 0.0) if inside is None else inside)
    if not chosen.any():
        return np.zeros((*values.shape, 3), dtype=np.uint8)
    low, high = (float(q) for q in np.percentile(values[chosen], (1.0, 99.0)))
    low = min(low, 0.0) if low > 0.0 else low
    span = high - low if high > low else 1.0
    level = np.clip((np.where(finite, values, low) - low) / span, 0.0, 1.0) * 215.0
    picture: Pixels = np.repeat(np.rint(level).astype(np.uint8)[..., np.newaxis], 3, axis=-1)
    return picture
