"""Frequency of each transient: drift, edit states, and what was left out."""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.physics import Bool, Real
from cestle.render.colors import BACKGROUND, FAINT, PANEL, RULE, TEXT, Rgb
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import DriftContent

ON_COLOR: Final[Rgb] = (255, 105, 180)
OFF_COLOR: Final[Rgb] = (0, 190, 140)
REJECTED_COLOR: Final[Rgb] = (240, 228, 66)

_LEFT: Final = 34
_BOTTOM: Final = 18
_TOP: Final = 20
_OVERSAMPLING: Final = 4
_LEAST_RANGE_HZ: Final = 4.0


def draw_drift(content: DriftContent, typeface: Typeface, size: tuple[int, int]) -> Image.Image:
    """Draw frequency against the number of the transient.

    Parameters
    ----------
    content
        What is drawn.
    typeface
        Fonts.
    size
        Width and height [pixels].
    """
    width, height = size
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    if content.frequency_hz.size == 0:
        draw.rectangle([0, 0, width - 1, height - 1], fill=PANEL, outline=RULE)
        for k, line in enumerate(typeface.wrap(content.absent, 14, width - 40)):
            font = typeface.font(line, 14)
            draw.text((20, 70 + 19 * k), line, fill=FAINT, font=font)
        return picture
    inner = (width - _LEFT - 2, height - _BOTTOM - _TOP)
    low, high = _limits(content.frequency_hz)
    x = 4.0 + np.arange(len(content.on)) / max(len(content.on) - 1, 1) * (inner[0] - 8.0)
    y = (high - content.frequency_hz) / (high - low) * inner[1]
    picture.paste(_marks(content, x, y, inner), (_LEFT, _TOP))
    draw.rectangle([_LEFT, _TOP, _LEFT + inner[0] - 1, _TOP + inner[1] - 1], outline=RULE)
    _axes(draw, content, typeface, (low, high), inner)
    _key(draw, content, typeface, width)
    return picture


def _limits(frequency_hz: Real) -> tuple[float, float]:
    """Whole hertz that hold all values, a few at least."""
    low, high = float(np.floor(frequency_hz.min())), float(np.ceil(frequency_hz.max()))
    lacking = max(_LEAST_RANGE_HZ - (high - low), 0.0) / 2.0
    return low - np.floor(lacking), high + np.ceil(lacking)


def _marks(content: DriftContent, x: Real, y: Real, size: tuple[int, int]) -> Image.Image:
    k = _OVERSAMPLING
    picture = Image.new("RGB", (size[0] * k, size[1] * k), PANEL)
    draw = ImageDraw.Draw(picture)

    def dots(chosen: Bool, color: Rgb) -> None:
        for a, b in zip(x[chosen] * k, y[chosen] * k, strict=True):
            draw.ellipse([a - 2 * k, b - 2 * k, a + 2 * k, b + 2 * k], fill=color)

    kept = ~content.rejected
    dots(content.on & kept, ON_COLOR)
    dots(~content.on & kept, OFF_COLOR)
    for a, b in zip(x[content.rejected] * k, y[content.rejected] * k, strict=True):
        reach = 3.5 * k
        for sign in (1.0, -1.0):
            draw.line(
                [(a - reach, b - sign * reach), (a + reach, b + sign * reach)],
                fill=REJECTED_COLOR,
                width=round(1.4 * k),
            )
    return picture.reduce(k)


def _axes(
    draw: ImageDraw.ImageDraw,
    content: DriftContent,
    typeface: Typeface,
    limits: tuple[float, float],
    inner: tuple[int, int],
) -> None:
    low, high = limits
    for value in np.linspace(low, high, 3):
        y = _TOP + (high - value) / (high - low) * (inner[1] - 1)
        text = f"{value:g}".replace("-", "−")
        draw.line([(_LEFT - 4, y), (_LEFT, y)], fill=FAINT)
        draw.text((_LEFT - 6, y), text, fill=FAINT, font=typeface.font(text, 11), anchor="rm")
    bottom = _TOP + inner[1] + 3
    count = len(content.on)
    for text, x, anchor in (
        ("1", _LEFT + 4.0, "la"),
        (content.axis, _LEFT + inner[0] / 2.0, "ma"),
        (str(count), _LEFT + inner[0] - 2.0, "ra"),
    ):
        font = typeface.font(text, 11)
        draw.text((x, bottom), text, fill=FAINT, font=font, anchor=anchor)


def _key(draw: ImageDraw.ImageDraw, content: DriftContent, typeface: Typeface, width: int) -> None:
    x = float(width)
    for text, color in (
        (content.rejected_text, REJECTED_COLOR),
        (content.off_text, OFF_COLOR),
        (content.on_text, ON_COLOR),
    ):
        x -= typeface.width(text, 12)
        draw.text((x, 2), text, fill=TEXT, font=typeface.font(text, 12))
        if color is REJECTED_COLOR:
            for sign in (1, -1):
                draw.line([(x - 12, 10 - sign * 4), (x - 4, 10 + sign * 4)], fill=color, width=2)
        else:
            draw.ellipse([x - 12, 6, x - 5, 13], fill=color)
        x -= 26
