"""The ratios of spectroscopy on an axis, with both of their error bars."""

from collections.abc import Callable, Sequence
from typing import Final

from PIL import Image, ImageDraw

from cestle.render.colors import FAINT, PANEL, RULE, STAMP_COLOR, TEXT, Rgb
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import RangeRow
from cestle.render.panels import haloed_text

_ROW: Final = 46
_BAR: Final = 22
_BAND: Final[Rgb] = (66, 74, 90)
_MODELS: Final[Rgb] = (240, 228, 66)
_STEP: Final = 0.1
_LEAST_END: Final = 0.4


def axis_end(rows: Sequence[RangeRow]) -> float:
    """End of the axis, which begins at zero: all that is drawn lies on it."""
    ends = [_LEAST_END]
    for row in rows:
        ends.append(row.value)
        ends += [pair[1] for pair in (row.interval, row.models) if pair is not None]
        ends += [] if row.published is None else [row.published[2]]
    return -(-max(ends) // _STEP) * _STEP


def draw_ratios(
    page: Image.Image,
    rows: Sequence[RangeRow],
    stamp: str,
    typeface: Typeface,
    corner: tuple[int, int],
    width: int,
) -> int:
    """Draw the ratios into a box of the page.

    Parameters
    ----------
    page
        Changed in place.
    rows
        The ratios.
    stamp
        Written on each bar where the numbers may not be used; empty otherwise.
    typeface
        Fonts.
    corner
        Left and top of the box [pixels].
    width
        Its width [pixels].

    Returns
    -------
        Where the box ends [pixels from the top of the page].
    """
    draw = ImageDraw.Draw(page)
    left, top = corner
    end = axis_end(rows)

    def x(value: float) -> float:
        return left + 4 + min(max(value / end, 0.0), 1.0) * (width - 8)

    for number, row in enumerate(rows):
        y = top + _ROW * number
        draw.text((left, y), row.name, fill=TEXT, font=typeface.font(row.name, 13, bold=True))
        font = typeface.font(row.text, 12)
        draw.text((left + width, y + 1), row.text, fill=TEXT, font=font, anchor="ra")
        _bars(draw, row, x, (left, y + 18, left + width - 1, y + 18 + _BAR))
        haloed_text(page, (left + 4, y + 19), stamp, typeface, 10, STAMP_COLOR)
    bottom = top + _ROW * len(rows) - 6
    for number in range(round(end / _STEP) + 1):
        at = x(number * _STEP)
        draw.line([(at, bottom), (at, bottom + 3)], fill=RULE)
        text = f"{number * _STEP:.1f}"
        draw.text((at, bottom + 4), text, fill=FAINT, font=typeface.font(text, 11), anchor="ma")
    return bottom + 22


def _bars(
    draw: ImageDraw.ImageDraw,
    row: RangeRow,
    x: Callable[[float], float],
    box: tuple[float, float, float, float],
) -> None:
    """Published band behind, range of the models and interval from noise over it."""
    _, top, _, bottom = box
    middle = (top + bottom) / 2.0
    draw.rectangle(box, fill=PANEL)
    if row.published is not None:
        centre, low, high = row.published
        draw.rectangle([x(low), top + 2, x(high), bottom - 2], fill=_BAND)
        draw.line([(x(centre), top + 2), (x(centre), bottom - 2)], fill=FAINT)
    for pair, shift, reach, color in (
        (row.models, 5.0, 3.0, _MODELS),
        (row.interval, -3.0, 4.0, TEXT),
    ):
        if pair is not None:
            y = middle + shift
            draw.line([(x(pair[0]), y), (x(pair[1]), y)], fill=color, width=2)
            for end in pair:
                draw.line([(x(end), y - reach), (x(end), y + reach)], fill=color, width=2)
    at, y = x(row.value), middle - 3.0
    draw.ellipse([at - 5, y - 5, at + 5, y + 5], fill=TEXT, outline=PANEL, width=1)
