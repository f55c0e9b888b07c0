"""The spectra on the colour page: OFF, the edited signals, the voxel, the ratios."""

from typing import Final

from PIL import Image, ImageDraw

from cestle.render.colors import (
    BACKGROUND,
    FAINT,
    PANEL,
    RULE,
    SIDE_COLOR,
    STAMP_COLOR,
    TEXT,
)
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import SpectraPanel
from cestle.render.panels import haloed_text
from cestle.render.sheet import draw_light, limited, put_lines, put_text
from cestle.render.spectrum import draw_legend, draw_spectrum
from cestle.render.voxel import Plane, voxel_panel

_GAP: Final = 10
_NUMBERS: Final = 212
_TITLE: Final = 21
_ROW: Final = 18
_STEP: Final = 13


def draw_spectra_panel(
    page: Image.Image, panel: SpectraPanel, typeface: Typeface, box: tuple[int, int, int, int]
) -> None:
    """Draw the panel onto a page.

    Parameters
    ----------
    page
        Changed in place.
    panel
        What it shows.
    typeface
        Fonts.
    box
        Left, top, width and height [pixels].
    """
    left, top, width, height = box
    draw = ImageDraw.Draw(page)
    body = height - _TITLE
    picture_px = 0 if panel.voxel is None else body + _GAP
    spectrum_px = (width - _NUMBERS - picture_px - 2 * _GAP) // 2
    put_text(draw, (left, top), panel.title, typeface, 14, bold=True)
    draw_legend(draw, panel.legend, typeface, left + 2 * spectrum_px + _GAP, top + 1)
    y = top + _TITLE
    for number, spectrum in enumerate((panel.off, panel.edited)):
        picture = draw_spectrum(spectrum, typeface, (spectrum_px, body))
        page.paste(picture, (left + number * (spectrum_px + _GAP), y))
    if panel.stamp:
        middle = (left + spectrum_px + _GAP // 2, y + (body - 18) // 2)
        stamp(page, panel.stamp, typeface, middle, 44)
    if panel.voxel is not None:
        x = left + 2 * (spectrum_px + _GAP)
        page.paste(voxel_panel(panel.voxel, Plane.AXIAL, typeface, body), (x, y))
        side = panel.voxel.side
        edge = RULE if side is None else SIDE_COLOR[side]
        draw.rectangle([x, y, x + body - 1, y + body - 1], outline=edge)
        put_text(draw, (x + body, top + 1), panel.voxel_text, typeface, 12, FAINT, anchor="ra")
    _numbers(draw, panel, typeface, (left + width - _NUMBERS, top), height)


def stamp(
    page: Image.Image, text: str, typeface: Typeface, middle: tuple[int, int], size: int
) -> None:
    """Write a warning large across a picture, in a frame, legible on any ground."""
    draw = ImageDraw.Draw(page)
    half = typeface.width(text, size, bold=True) / 2.0 + 16
    x, y = middle
    reach = size * 0.72
    for color, width in ((BACKGROUND, 8), (STAMP_COLOR, 4)):
        draw.rectangle([x - half, y - reach, x + half, y + reach], outline=color, width=width)
    haloed_text(page, (x, y), text, typeface, size, STAMP_COLOR, anchor="mm")


def _numbers(
    draw: ImageDraw.ImageDraw,
    panel: SpectraPanel,
    typeface: Typeface,
    corner: tuple[int, int],
    height: int,
) -> None:
    """The ratios, the verdict and the convention, in a box at the right."""
    left, top = corner
    right = left + _NUMBERS
    draw.rectangle([left, top, right - 1, top + height - 1], fill=PANEL, outline=RULE)
    y = top + 6
    color = FAINT if panel.stamp else TEXT
    for row in panel.ratios:
        put_text(draw, (left + 8, y), row.name, typeface, 13, color, bold=not panel.stamp)
        put_text(draw, (right - 8, y), row.value, typeface, 13, color, anchor="ra")
        y += _ROW
    draw_light(
        draw, (left + 8, y + 2), panel.light, panel.quality_title, panel.quality_word, typeface
    )
    y += 22
    if panel.stamp:
        put_text(draw, (left + 8, y), panel.stamp, typeface, 13, STAMP_COLOR, bold=True)
        y += 18
    most = (top + height - 3 - y) // _STEP
    lines = limited(panel.notes, typeface, 11, _NUMBERS - 16, most, "…")
    put_lines(draw, (left + 8, y), lines, typeface, 11, _STEP)
