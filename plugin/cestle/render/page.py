"""The colour page: everything the report says, on one picture of 1024 × 1024 pixels."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.measurement import Side
from cestle.render.chart import draw_indices
from cestle.render.colors import (
    BACKGROUND,
    FAINT,
    PANEL,
    RULE,
    SIDE_COLOR,
    TEXT,
    WARNING,
    Pixels,
    Rgb,
)
from cestle.render.content import (
    CallContent,
    Light,
    MapContent,
    PageContent,
    QualityBlock,
    RegionRow,
    TextBlock,
)
from cestle.render.lettering import Typeface
from cestle.render.orientation import Orientation, orientation_of
from cestle.render.panels import (
    color_bar,
    draw_letters,
    draw_plane,
    main_slice,
    map_panel,
    shown_plane,
    side_frames,
)

SIZE: Final = 1024
_LEFT: Final = 16
_MAP: Final = 512
_RIGHT: Final = 544
_RIGHT_WIDTH: Final = SIZE - _RIGHT - _LEFT
_TOP: Final = 104
_ZOOM: Final = (230, 198)
_LINE: Final = 18
_TITLE_GAP: Final = 24
_BANNER_SIZES: Final = (15, 13, 11, 9, 7)
_BANNER_ROOM: Final = 42
_BANNER_LEADING: Final = 5
_BLOCKS_END: Final = 994
# Distinct in hue and in lightness, also for readers who do not tell red from green.
_LIGHT_COLORS: Final[dict[Light, Rgb]] = {
    Light.PASS: (86, 180, 233),
    Light.WARN: (240, 228, 66),
    Light.FAIL: (213, 94, 0),
    Light.NONE: (110, 116, 130),
}
_COLUMN_EDGES: Final = (276, 332, 388, 456, 508)


def render_page(content: PageContent, typeface: Typeface) -> Pixels:
    """Draw the colour page.

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
    _header(draw, content, typeface)
    if content.picture is None:
        _no_picture(draw, content.no_picture, typeface)
    else:
        _pictures(page, content, content.picture, typeface)
    _table(draw, content.columns, content.rows, typeface, top=630)
    draw_indices(page, content.indices, typeface, (_RIGHT, 630), _RIGHT_WIDTH)
    _call(draw, content.call, content.more_text, typeface, top=800)
    _blocks(draw, content, typeface, top=888)
    _footer(draw, content, typeface)
    return np.asarray(page, dtype=np.uint8).copy()


def _text(
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
    font = typeface.font(text, size, bold=bold)
    draw.text(position, text, fill=color, font=font, anchor=anchor)


def _strip(draw: ImageDraw.ImageDraw, y: int, height: int, text: str, typeface: Typeface) -> None:
    draw.rectangle([0, y, SIZE, y + height - 1], fill=WARNING)
    middle = (SIZE / 2, y + height / 2)
    _text(draw, middle, text, typeface, 15, bold=True, anchor="mm")


def _header(draw: ImageDraw.ImageDraw, content: PageContent, typeface: Typeface) -> None:
    _strip(draw, 0, 28, content.warning, typeface)
    _text(draw, (_LEFT, 38), content.title, typeface, 24, bold=True)
    caption = _clipped(content.map_caption, typeface, 14, _MAP)
    _text(draw, (_LEFT, 78), caption, typeface, 14, FAINT)
    room = SIZE - 2 * _LEFT - _TITLE_GAP - typeface.width(content.title, 24, bold=True)
    _patient(draw, content.patient_lines[:2], typeface, max(room, _ZOOM[0]))


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
            _text(draw, (SIZE - _LEFT, y), part, typeface, size, color, anchor="ra")
            y += size + _BANNER_LEADING


def _banner_height(lines: Sequence[str], typeface: Typeface, size: int, room: float) -> int:
    return len(_wrapped(lines, typeface, size, room)) * (size + _BANNER_LEADING)


def _no_picture(draw: ImageDraw.ImageDraw, block: TextBlock, typeface: Typeface) -> None:
    box = [_LEFT, _TOP, SIZE - _LEFT, _TOP + _MAP]
    draw.rectangle(box, fill=PANEL, outline=RULE)
    _text(draw, (_LEFT + 40, _TOP + 150), block.title, typeface, 30, bold=True)
    y = _TOP + 210
    for line in _wrapped(block.lines, typeface, 18, SIZE - 2 * _LEFT - 80)[:11]:
        _text(draw, (_LEFT + 40, y), line, typeface, 18, FAINT)
        y += 26


def _pictures(
    page: Image.Image, content: PageContent, picture: MapContent, typeface: Typeface
) -> None:
    orientation = orientation_of(picture.grid)
    page.paste(map_panel(picture, orientation, typeface, _MAP), (_LEFT, _TOP))
    draw = ImageDraw.Draw(page)
    draw.rectangle([_LEFT - 1, _TOP - 1, _LEFT + _MAP, _TOP + _MAP], outline=RULE)
    row_two = _TOP + _ZOOM[1] + 24
    _zooms(page, picture, orientation, typeface, _TOP, colored=True)
    _zooms(page, picture, orientation, typeface, row_two, colored=False)
    _text(draw, (_RIGHT, _TOP - 26), content.zoom_caption, typeface, 14, FAINT)
    _text(draw, (_RIGHT, row_two - 21), content.anatomy_caption, typeface, 14, FAINT)
    bar_top = row_two + _ZOOM[1] + 10
    for line, text in enumerate(content.bar_caption[:2]):
        _text(draw, (_RIGHT, bar_top + 20 * line), text, typeface, 14, FAINT if line else TEXT)
    page.paste(color_bar(picture.scale, typeface, _RIGHT_WIDTH), (_RIGHT, bar_top + 44))


def _zooms(
    page: Image.Image,
    content: MapContent,
    orientation: Orientation,
    typeface: Typeface,
    top: int,
    *,
    colored: bool,
) -> None:
    """Both temporal lobes; the patient's right at the left, as in the whole slice."""
    plane = shown_plane(content, orientation, main_slice(content))
    frames = side_frames(plane, orientation, _ZOOM)
    draw = ImageDraw.Draw(page)
    for side, x in ((Side.RIGHT, _RIGHT), (Side.LEFT, SIZE - _LEFT - _ZOOM[0])):
        box = [x, top, x + _ZOOM[0] - 1, top + _ZOOM[1] - 1]
        draw.rectangle(box, fill=PANEL, outline=SIDE_COLOR[side])
        frame = frames.get(side)
        if frame is None:
            _text(draw, (x + _ZOOM[0] / 2, top + _ZOOM[1] / 2), "–", typeface, 20, anchor="mm")
            continue
        picture = draw_plane(plane, frame, typeface, colored=colored, label_px=14)
        draw_letters(picture, orientation, typeface, 13)
        x += (_ZOOM[0] - picture.width) // 2
        page.paste(picture, (x, top + (_ZOOM[1] - picture.height) // 2))
        draw.rectangle(box, outline=SIDE_COLOR[side])


def _table(
    draw: ImageDraw.ImageDraw,
    columns: Sequence[str],
    rows: Sequence[RegionRow],
    typeface: Typeface,
    top: int,
) -> None:
    edges = [_LEFT + right for right in _COLUMN_EDGES]
    _text(draw, (_LEFT, top), columns[0], typeface, 15, bold=True)
    for x, name in zip(edges, columns[1:], strict=True):
        _text(draw, (x, top + 2), name, typeface, 13, FAINT, anchor="ra")
    y = top + 26
    draw.line([(_LEFT, y - 2), (_LEFT + _MAP, y - 2)], fill=RULE)
    for row in rows:
        draw.rectangle([_LEFT, y + 5, _LEFT + 7, y + 25], fill=SIDE_COLOR[row.side])
        _text(draw, (_LEFT + 16, y + 7), row.name, typeface, 15)
        if len(row.cells) == 1:
            start = edges[0] - 102
            line = _clipped(row.cells[0], typeface, 13, _LEFT + _MAP - start)
            _text(draw, (start, y + 9), line, typeface, 13, FAINT)
        else:
            for k, (x, cell) in enumerate(zip(edges, row.cells, strict=True)):
                _text(draw, (x, y + 7), cell, typeface, 15, bold=k == 0, anchor="ra")
        y += 31
        draw.line([(_LEFT, y), (_LEFT + _MAP, y)], fill=RULE)


def _call(
    draw: ImageDraw.ImageDraw,
    call: CallContent,
    more_text: str,
    typeface: Typeface,
    top: int,
) -> None:
    height = 80
    color = FAINT if call.side is None else SIDE_COLOR[call.side]
    draw.rectangle([_LEFT, top, SIZE - _LEFT, top + height], fill=PANEL, outline=RULE)
    draw.rectangle([_LEFT, top, _LEFT + 7, top + height], fill=color)
    size = 27
    while typeface.width(call.headline, size, bold=True) > _MAP - 30 and size > 16:
        size -= 1
    _text(draw, (_LEFT + 22, top + 8), call.headline, typeface, size, color, bold=True)
    for line, text in enumerate(call.facts[:2]):
        _text(draw, (_LEFT + 22, top + 42 + 18 * line), text, typeface, 14)
    size, most, step = 14, 4, _LINE
    if len(_wrapped(call.reasons, typeface, size, _RIGHT_WIDTH - 16)) > most:
        size, most, step = 12, 5, 14
    # The last reason is what the call is not; it stays when others have to be left to the report.
    last = _wrapped(call.reasons[-1:], typeface, size, _RIGHT_WIDTH - 16)
    first = _limited(
        call.reasons[:-1], typeface, size, _RIGHT_WIDTH - 16, max(most - len(last), 1), more_text
    )
    for line, text in enumerate([*first, *last]):
        _text(draw, (_RIGHT, top + 6 + step * line), text, typeface, size, FAINT)


def _blocks(draw: ImageDraw.ImageDraw, content: PageContent, typeface: Typeface, top: int) -> None:
    used = _quality(draw, content.quality, content.more_text, typeface, top)
    for block, x, width, y in (
        (content.missing, _LEFT, _MAP, top + used),
        (content.methods, _RIGHT, _RIGHT_WIDTH, top),
    ):
        _text(draw, (x, y), block.title, typeface, 14, bold=True)
        room = (_BLOCKS_END - y - 19) // 14
        lines = _limited(block.lines, typeface, 12, width, room, content.more_text)
        for line, text in enumerate(lines):
            _text(draw, (x, y + 19 + 14 * line), text, typeface, 12, FAINT)


def _quality(
    draw: ImageDraw.ImageDraw, block: QualityBlock, more_text: str, typeface: Typeface, top: int
) -> int:
    """Draw the light and its lines; the height used."""
    color = _LIGHT_COLORS[block.light]
    draw.ellipse([_LEFT, top + 2, _LEFT + 13, top + 15], fill=color, outline=TEXT)
    _text(draw, (_LEFT + 21, top), block.title, typeface, 14, bold=True)
    edge = _LEFT + 29 + typeface.width(block.title, 14, bold=True)
    _text(draw, (edge, top), block.word, typeface, 14, color, bold=True)
    lines = _limited(block.lines, typeface, 12, _MAP, 3, more_text)
    for line, text in enumerate(lines):
        _text(draw, (_LEFT, top + 19 + 14 * line), text, typeface, 12, FAINT)
    return 22 + 14 * len(lines)


def _footer(draw: ImageDraw.ImageDraw, content: PageContent, typeface: Typeface) -> None:
    _strip(draw, SIZE - 28, 28, "", typeface)
    _text(draw, (_LEFT, SIZE - 14), content.footer, typeface, 13, anchor="lm")
    right = (SIZE - _LEFT, SIZE - 14)
    _text(draw, right, content.warning, typeface, 13, bold=True, anchor="rm")


def _wrapped(lines: Sequence[str], typeface: Typeface, size: int, width: float) -> list[str]:
    return [part for line in lines for part in typeface.wrap(line, size, width)]


def _limited(
    lines: Sequence[str],
    typeface: Typeface,
    size: int,
    width: float,
    most: int,
    more_text: str,
) -> list[str]:
    """Broken lines, at most `most`; what does not fit is counted, never dropped in silence."""
    shown = _wrapped(lines, typeface, size, width)
    if len(shown) <= most:
        return shown
    rest = more_text.format(count=len(shown) - most + 1)
    return [*shown[: most - 1], rest]


def _clipped(text: str, typeface: Typeface, size: int, width: float) -> str:
    if typeface.width(text, size) <= width:
        return text
    while text and typeface.width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"
