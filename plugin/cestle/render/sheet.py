"""Parts that all pages share: research-use strips, banner of the patient, text in boxes."""

from collections.abc import Sequence
from typing import Final

from PIL import ImageDraw

from cestle.render.colors import FAINT, TEXT, WARNING, Rgb
from cestle.render.content import Light
from cestle.render.lettering import Typeface

SIZE: Final = 1024
"""Width and height of a page [pixels]."""
LEFT: Final = 16
"""Margin at both sides [pixels]."""
FOOTER: Final = 996
"""Where the strip at the bottom begins [pixels]."""

# Distinct in hue and in lightness, also for readers who do not tell red from green.
LIGHT_COLORS: Final[dict[Light, Rgb]] = {
    Light.PASS: (86, 180, 233),
    Light.WARN: (240, 228, 66),
    Light.FAIL: (213, 94, 0),
    Light.NONE: (110, 116, 130),
}

_TITLE_GAP: Final = 24
_LEAST_BANNER: Final = 230
_BANNER_SIZES: Final = (15, 13, 11, 9, 7)
_BANNER_ROOM: Final = 42
_BANNER_LEADING: Final = 5


def put_text(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    text: str,
    typeface: Typeface,
    size: int,
    color: Rgb = TEXT,
    *,
    bold: bool = False,
    anchor: str = "la",
) -> None:
    """Write one line at a position; `anchor` is Pillow's."""
    font = typeface.font(text, size, bold=bold)
    draw.text(position, text, fill=color, font=font, anchor=anchor)


def put_lines(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    lines: Sequence[str],
    typeface: Typeface,
    size: int,
    step: int,
    color: Rgb = FAINT,
) -> None:
    """Write lines below each other, `step` pixels apart."""
    x, y = position
    for number, line in enumerate(lines):
        put_text(draw, (x, y + step * number), line, typeface, size, color)


def draw_header(
    draw: ImageDraw.ImageDraw,
    title: str,
    patient_lines: Sequence[str],
    warning: str,
    typeface: Typeface,
) -> None:
    """The research-use strip, the title, and patient and study beside it."""
    _strip(draw, 0, warning, typeface)
    put_text(draw, (LEFT, 38), title, typeface, 24, bold=True)
    room = SIZE - 2 * LEFT - _TITLE_GAP - typeface.width(title, 24, bold=True)
    _patient(draw, patient_lines[:2], typeface, max(room, _LEAST_BANNER))


def draw_footer(draw: ImageDraw.ImageDraw, footer: str, warning: str, typeface: Typeface) -> None:
    """The strip at the bottom: software at the left, research use at the right."""
    _strip(draw, FOOTER, "", typeface)
    put_text(draw, (LEFT, SIZE - 14), footer, typeface, 13, anchor="lm")
    right = (SIZE - LEFT, SIZE - 14)
    put_text(draw, right, warning, typeface, 13, bold=True, anchor="rm")


def draw_light(
    draw: ImageDraw.ImageDraw,
    position: tuple[float, float],
    light: Light,
    title: str,
    word: str,
    typeface: Typeface,
) -> None:
    """A quality light with its title and its word, so that colour is not needed."""
    x, y = position
    color = LIGHT_COLORS[light]
    draw.ellipse([x, y + 2, x + 13, y + 15], fill=color, outline=TEXT)
    put_text(draw, (x + 21, y), title, typeface, 14, bold=True)
    edge = x + 29 + typeface.width(title, 14, bold=True)
    put_text(draw, (edge, y), word, typeface, 14, color, bold=True)


def wrapped(lines: Sequence[str], typeface: Typeface, size: int, width: float) -> list[str]:
    """The lines broken to `width` pixels."""
    return [part for line in lines for part in typeface.wrap(line, size, width)]


def limited(
    lines: Sequence[str],
    typeface: Typeface,
    size: int,
    width: float,
    most: int,
    more_text: str,
) -> list[str]:
    """Broken lines, at most `most`; what does not fit is counted, never dropped in silence."""
    shown = wrapped(lines, typeface, size, width)
    if len(shown) <= most:
        return shown
    rest = more_text.format(count=len(shown) - most + 1)
    return [*shown[: most - 1], rest]


def clipped(text: str, typeface: Typeface, size: int, width: float) -> str:
    """The text, shortened with an ellipsis where it is wider than `width` pixels."""
    if typeface.width(text, size) <= width:
        return text
    while text and typeface.width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def _strip(draw: ImageDraw.ImageDraw, y: int, text: str, typeface: Typeface) -> None:
    height = SIZE - FOOTER
    draw.rectangle([0, y, SIZE, y + height - 1], fill=WARNING)
    put_text(draw, (SIZE / 2, y + height / 2), text, typeface, 15, bold=True, anchor="mm")


def _patient(
    draw: ImageDraw.ImageDraw, lines: Sequence[str], typeface: Typeface, room: float
) -> None:
    """Patient and study beside the title, smaller and broken where long, never cut off."""
    size = next(
        (
            one
            for one in _BANNER_SIZES
            if _banner_height(lines, typeface, one, room) <= _BANNER_ROOM
        ),
        _BANNER_SIZES[-1],
    )
    y = 36
    for color, line in zip((TEXT, FAINT), lines, strict=False):
        for part in typeface.wrap(line, size, room):
            put_text(draw, (SIZE - LEFT, y), part, typeface, size, color, anchor="ra")
            y += size + _BANNER_LEADING


def _banner_height(lines: Sequence[str], typeface: Typeface, size: int, room: float) -> int:
    return len(wrapped(lines, typeface, size, room)) * (size + _BANNER_LEADING)
