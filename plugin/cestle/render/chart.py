"""The asymmetry indices on an axis, with interval, cut-off and published spread."""

from typing import Final

from PIL import Image, ImageDraw

from cestle.measurement import Side
from cestle.render.colors import FAINT, PANEL, RULE, SIDE_COLOR, TEXT, Rgb
from cestle.render.content import IndexContent, IndexRow
from cestle.render.lettering import Typeface

_NAME_WIDTH: Final = 186
_ROW: Final = 42
_BAND: Final[Rgb] = (66, 74, 90)
_CUTOFF: Final[Rgb] = (230, 90, 130)


class _Axis:
    """Position of values along the axis [pixels]."""

    def __init__(self, content: IndexContent, left: float, right: float) -> None:
        ends = [content.half_width]
        for row in content.rows:
            ends += [] if row.value is None else [abs(row.value)]
            ends += [] if row.interval is None else [abs(end) for end in row.interval]
        reach = max(ends)
        # The axis grows in whole steps, so that most pages have the same axis.
        steps = -(-reach // content.half_width)
        self.half_width = content.half_width * min(max(steps, 1.0), 5.0)
        self.left = left
        self.right = right

    def x(self, value: float) -> float:
        """Position of `value`, held inside the axis."""
        share = (value + self.half_width) / (2.0 * self.half_width)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)


def draw_indices(
    page: Image.Image,
    content: IndexContent,
    typeface: Typeface,
    corner: tuple[int, int],
    width: int,
) -> None:
    """Draw the indices into a box of the page.

    Parameters
    ----------
    page
        Changed in place.
    content
        The indices.
    typeface
        Fonts.
    corner
        Left and top of the box [pixels].
    width
        Width of the box [pixels].
    """
    draw = ImageDraw.Draw(page)
    left, top = corner
    right = left + width
    draw.text(corner, content.title, fill=TEXT, font=typeface.font(content.title, 15, bold=True))
    axis = _Axis(content, left + _NAME_WIDTH + 18, right - 18)
    first = top + 44
    bottom = first + _ROW * len(content.rows)
    draw.rectangle([axis.left - 18, first - 4, right, bottom], fill=PANEL)
    for k, row in enumerate(content.rows):
        _reference(draw, row, axis, first + _ROW * k)
    draw.line([(axis.x(0.0), first - 4), (axis.x(0.0), bottom)], fill=FAINT)
    _cutoff(draw, content, axis, typeface, top, first)
    for k, row in enumerate(content.rows):
        _index(draw, row, axis, typeface, left, first + _ROW * k)
    _ticks(draw, content, axis, typeface, bottom)


def _reference(draw: ImageDraw.ImageDraw, row: IndexRow, axis: _Axis, top: float) -> None:
    if row.reference is None:
        return
    low, centre, high = (
        axis.x(v) for v in (row.reference.low, row.reference.centre, row.reference.high)
    )
    draw.rectangle([low, top + 4, high, top + _ROW - 10], fill=_BAND)
    draw.line([(centre, top + 4), (centre, top + _ROW - 10)], fill=FAINT, width=1)


def _cutoff(
    draw: ImageDraw.ImageDraw,
    content: IndexContent,
    axis: _Axis,
    typeface: Typeface,
    top: float,
    first: float,
) -> None:
    x = axis.x(content.cutoff)
    for y in range(int(first) - 4, int(first) + _ROW - 6, 6):
        draw.line([(x, y), (x, y + 3)], fill=_CUTOFF, width=2)
    font = typeface.font(content.cutoff_text, 12)
    draw.text((x, top + 38), content.cutoff_text, fill=_CUTOFF, font=font, anchor="md")


def _index(
    draw: ImageDraw.ImageDraw,
    row: IndexRow,
    axis: _Axis,
    typeface: Typeface,
    left: float,
    top: float,
) -> None:
    draw.text((left, top), row.name, fill=TEXT, font=typeface.font(row.name, 14, bold=True))
    draw.text((left, top + 18), row.text, fill=FAINT, font=typeface.font(row.text, 13))
    if row.value is None:
        return
    y, x = top + _ROW / 2 - 3, axis.x(row.value)
    color = SIDE_COLOR[Side.LEFT if row.value > 0.0 else Side.RIGHT]
    if row.interval is not None:
        low, high = (axis.x(end) for end in row.interval)
        draw.line([(low, y), (high, y)], fill=TEXT, width=2)
        for end in (low, high):
            draw.line([(end, y - 5), (end, y + 5)], fill=TEXT, width=2)
    draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=color, outline=TEXT, width=2)


def _ticks(
    draw: ImageDraw.ImageDraw, content: IndexContent, axis: _Axis, typeface: Typeface, y: float
) -> None:
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        value = share * axis.half_width
        x = axis.x(value)
        draw.line([(x, y), (x, y + 4)], fill=RULE)
        text = f"{value:+g}".replace("-", "−") if value else "0"
        draw.text((x, y + 5), text, fill=FAINT, font=typeface.font(text, 12), anchor="ma")
    for x, text, anchor in (
        (axis.left - 18, content.lower_text, "la"),
        (axis.right + 18, content.upper_text, "ra"),
    ):
        color = SIDE_COLOR[Side.RIGHT if anchor == "la" else Side.LEFT]
        draw.text((x, y + 21), text, fill=color, font=typeface.font(text, 12), anchor=anchor)
    left = axis.left - _NAME_WIDTH - 18
    text = content.reference_text
    for k, line in enumerate(typeface.wrap(text, 12, _NAME_WIDTH - 8)[:2]):
        draw.text((left, y + 5 + 15 * k), line, fill=FAINT, font=typeface.font(line, 12))
