"""The page of the spectra: all that stands behind the two ratios, on 1024 × 1024 pixels."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.render.blocks import TextBlock
from cestle.render.colors import BACKGROUND, FAINT, PANEL, RULE, SIDE_COLOR, TEXT, Pixels
from cestle.render.drift import draw_drift
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import GateRow, MrsPage
from cestle.render.mrs_panel import stamp
from cestle.render.ratios import draw_ratios
from cestle.render.sheet import (
    FOOTER,
    LEFT,
    LIGHT_COLORS,
    SIZE,
    clipped,
    draw_footer,
    draw_header,
    draw_light,
    limited,
    put_lines,
    put_text,
    wrapped,
)
from cestle.render.spectrum import draw_legend, draw_spectrum
from cestle.render.voxel import Plane, voxel_panel

_GAP: Final = 10
_SPECTRA_TOP: Final = 100
_SPECTRUM: Final = (324, 218)
_PLACES_TOP: Final = 341
_PLACE: Final = 170
_TABLES_TOP: Final = 519
_TEXTS_TOP: Final = 872
_NUMBERS: Final = 300
_GATES: Final = 330
_GATES_LEFT: Final = LEFT + _NUMBERS + _GAP
_PROTOCOL_LEFT: Final = _GATES_LEFT + _GATES + _GAP
_PROTOCOL: Final = SIZE - LEFT - _PROTOCOL_LEFT
_PROTOCOL_NAMES: Final = 112
_RESEARCH_COLUMN: Final = 88
_STEP: Final = 13


def render_mrs_page(content: MrsPage, typeface: Typeface) -> Pixels:
    """Draw the page of the spectra.

    Parameters
    ----------
    content
        What it shows.
    typeface
        Fonts.

    Returns
    -------
        RGB, shape (1024, 1024, 3).
    """
    page = Image.new("RGB", (SIZE, SIZE), BACKGROUND)
    draw = ImageDraw.Draw(page)
    draw_header(draw, content.title, content.patient_lines, content.warning, typeface)
    _spectra(page, content, typeface)
    _places(page, content, typeface)
    _ratios_and_research(page, content, typeface)
    ends = (_gates(draw, content, typeface), _protocol(draw, content, typeface))
    more, middle = content.more_text, SIZE // 2
    width = middle - LEFT - _GAP
    _block(draw, content.method, more, typeface, (LEFT, _TEXTS_TOP), width)
    _block(draw, content.notes, more, typeface, (middle + _GAP, max(ends) + 10), width)
    draw_footer(draw, content.footer, content.warning, typeface)
    return np.asarray(page, dtype=np.uint8).copy()


def _spectra(page: Image.Image, content: MrsPage, typeface: Typeface) -> None:
    draw = ImageDraw.Draw(page)
    panel = content.panel
    draw_legend(draw, panel.legend, typeface, SIZE - LEFT, _SPECTRA_TOP - 19)
    draw_light(
        draw,
        (LEFT, _SPECTRA_TOP - 21),
        panel.light,
        panel.quality_title,
        panel.quality_word,
        typeface,
    )
    for number, spectrum in enumerate((panel.off, content.difference, panel.edited)):
        picture = draw_spectrum(spectrum, typeface, _SPECTRUM)
        page.paste(picture, (LEFT + number * (_SPECTRUM[0] + _GAP), _SPECTRA_TOP))
    if panel.stamp:
        stamp(page, panel.stamp, typeface, (SIZE // 2, _SPECTRA_TOP + 100), 72)


def _places(page: Image.Image, content: MrsPage, typeface: Typeface) -> None:
    """The voxel in three planes, or why it cannot be shown, and the drift beside it."""
    draw = ImageDraw.Draw(page)
    panel = content.panel
    width = 3 * _PLACE + 2 * _GAP
    if panel.voxel is None:
        box = [LEFT, _PLACES_TOP, LEFT + width - 1, _PLACES_TOP + _PLACE - 1]
        draw.rectangle(box, fill=PANEL, outline=RULE)
        lines = typeface.wrap(panel.voxel_text, 14, width - 40)
        put_lines(draw, (LEFT + 20, _PLACES_TOP + 70), lines, typeface, 14, 19)
    else:
        side = panel.voxel.side
        edge = RULE if side is None else SIDE_COLOR[side]
        for number, plane in enumerate(Plane):
            x = LEFT + number * (_PLACE + _GAP)
            page.paste(voxel_panel(panel.voxel, plane, typeface, _PLACE), (x, _PLACES_TOP))
            box = [x, _PLACES_TOP, x + _PLACE - 1, _PLACES_TOP + _PLACE - 1]
            draw.rectangle(box, outline=edge)
            title = content.plane_titles[number]
            put_text(draw, (x, _PLACES_TOP - 17), title, typeface, 12, FAINT)
    left = LEFT + width + 2 * _GAP
    put_text(draw, (left, _PLACES_TOP - 17), content.drift.title, typeface, 12, FAINT)
    picture = draw_drift(content.drift, typeface, (SIZE - LEFT - left, _PLACE))
    page.paste(picture, (left, _PLACES_TOP))


def _ratios_and_research(page: Image.Image, content: MrsPage, typeface: Typeface) -> None:
    draw = ImageDraw.Draw(page)
    mark = content.panel.stamp
    y = draw_ratios(page, content.ranges, mark, typeface, (LEFT, _TABLES_TOP), _NUMBERS)
    for row in content.panel.ratios[len(content.ranges) :]:
        put_text(draw, (LEFT, y), row.name, typeface, 13, bold=True)
        put_text(draw, (LEFT + _NUMBERS, y), row.value, typeface, 13, anchor="ra")
        y += 18
    lines = wrapped([content.ranges_note], typeface, 11, _NUMBERS)
    put_lines(draw, (LEFT, y), lines, typeface, 11, _STEP)
    y += _STEP * len(lines) + 6
    put_text(draw, (LEFT, y), content.research_title, typeface, 12, bold=True)
    y += 17
    for name, *values in content.research:
        put_text(draw, (LEFT, y), name, typeface, 11, FAINT)
        for place, value in enumerate(reversed(values)):
            right = LEFT + _NUMBERS - place * _RESEARCH_COLUMN
            put_text(draw, (right, y), value, typeface, 11, anchor="ra")
        y += _STEP


def _gates(draw: ImageDraw.ImageDraw, content: MrsPage, typeface: Typeface) -> int:
    """Draw the quality gates; where they end."""
    edges = (_GATES_LEFT + 206, _GATES_LEFT + 278, _GATES_LEFT + _GATES)
    put_text(draw, (_GATES_LEFT, _TABLES_TOP), content.gates_title, typeface, 13, bold=True)
    y = _TABLES_TOP + 19
    for x, name in zip(edges, content.gates_columns, strict=True):
        put_text(draw, (x, y), name, typeface, 11, FAINT, anchor="ra")
    y += 15
    draw.line([(_GATES_LEFT, y), (_GATES_LEFT + _GATES, y)], fill=RULE)
    y += 3
    for row in content.gates:
        _gate(draw, row, typeface, edges, y)
        y += 18
    return y


def _gate(
    draw: ImageDraw.ImageDraw,
    row: GateRow,
    typeface: Typeface,
    edges: Sequence[float],
    y: float,
) -> None:
    color = LIGHT_COLORS[row.light]
    draw.rectangle([_GATES_LEFT, y + 3, _GATES_LEFT + 5, y + 13], fill=color)
    room = edges[0] - _GATES_LEFT - 12 - typeface.width(row.value, 12) - 8
    name = clipped(row.name, typeface, 12, room)
    put_text(draw, (_GATES_LEFT + 12, y), name, typeface, 12)
    put_text(draw, (edges[0], y), row.value, typeface, 12, anchor="ra")
    put_text(draw, (edges[1], y), row.limit, typeface, 12, FAINT, anchor="ra")
    put_text(draw, (edges[2], y), row.word, typeface, 12, color, bold=True, anchor="ra")


def _protocol(draw: ImageDraw.ImageDraw, content: MrsPage, typeface: Typeface) -> int:
    """Draw the MRSinMRS table, long statements broken while there is room; where it ends."""
    put_text(draw, (_PROTOCOL_LEFT, _TABLES_TOP), content.protocol_title, typeface, 13, bold=True)
    y = _TABLES_TOP + 20
    width = _PROTOCOL - _PROTOCOL_NAMES
    left_over = len(content.protocol)
    for name, value in content.protocol:
        left_over -= 1
        free = (_TEXTS_TOP - 4 - y) // _STEP - left_over
        lines = limited([value], typeface, 11, width, max(free, 1), "…")
        put_text(
            draw,
            (_PROTOCOL_LEFT, y),
            clipped(name, typeface, 11, _PROTOCOL_NAMES - 6),
            typeface,
            11,
            FAINT,
        )
        put_lines(draw, (_PROTOCOL_LEFT + _PROTOCOL_NAMES, y), lines, typeface, 11, _STEP, TEXT)
        y += _STEP * len(lines)
    return y


def _block(
    draw: ImageDraw.ImageDraw,
    block: TextBlock,
    more_text: str,
    typeface: Typeface,
    corner: tuple[int, int],
    width: float,
) -> None:
    left, top = corner
    put_text(draw, (left, top), block.title, typeface, 13, bold=True)
    y = top + 18
    most = (FOOTER - 2 - y) // _STEP
    lines = limited(block.lines, typeface, 11, width, most, more_text)
    put_lines(draw, (left, y), lines, typeface, 11, _STEP)
