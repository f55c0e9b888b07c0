"""The colour page: everything the report says, on one picture of 1024 × 1024 pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    STAMP_COLOR,
    TEXT,
    Pixels,
)
from cestle.render.content import (
    CallContent,
    MapContent,
    PageContent,
    QualityBlock,
    RegionRow,
    TextBlock,
)
from cestle.render.lettering import Typeface
from cestle.render.mrs_panel import draw_spectra_panel
from cestle.render.orientation import Orientation, orientation_of
from cestle.render.panels import (
    Layer,
    color_bar,
    draw_letters,
    draw_plane,
    haloed_text,
    main_slice,
    map_panel,
    shown_plane,
    side_frames,
    slices_to_show,
)
from cestle.render.sheet import (
    FOOTER,
    LEFT,
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
from cestle.render.slice_place import slice_place_panel

_RIGHT: Final = 544
_RIGHT_WIDTH: Final = SIZE - _RIGHT - LEFT
_LEFT_WIDTH: Final = 512
_TOP: Final = 104
_LINE: Final = 18
_BLOCKS_END: Final = FOOTER - 2
_GAP: Final = 4
"""Between the two zooms of a pair."""
_COLUMN_EDGES: Final = (276, 332, 388, 456, 508)


@dataclass(frozen=True, kw_only=True)
class _Zooms:
    """A pair of zooms, the patient's right at the left.

    Parameters
    ----------
    left, top
        Of the pair [pixels].
    size
        Width and height of each [pixels].
    label_px
        Size of the labels of regions [pixels]; 0 for none, where they would cover the letters of
        the directions and the zooms with the map name the same outlines.
    """

    left: int
    top: int
    size: tuple[int, int]
    label_px: int = 14

    @property
    def width(self) -> int:
        """Of the pair [pixels]."""
        return 2 * self.size[0] + _GAP


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the pictures stand.

    Parameters
    ----------
    map_px
        Side of the square with the map [pixels].
    colored
        The pair of zooms with the map.
    anatomy
        The pair without it, where it stands alone.
    pair
        The pairs of averaged and of thin anatomy, where both are shown.
    bar
        Left and top of the colour bar with its caption [pixels].
    right_px
        Width of what stands to the right of the map [pixels].
    """

    map_px: int
    colored: _Zooms
    anatomy: _Zooms
    pair: tuple[_Zooms, _Zooms]
    bar: tuple[int, int]
    right_px: int


_WHOLE: Final = _Layout(
    map_px=_LEFT_WIDTH,
    colored=_Zooms(left=_RIGHT, top=_TOP, size=(230, 198)),
    anatomy=_Zooms(left=_RIGHT, top=_TOP + 222, size=(230, 198)),
    pair=(
        _Zooms(left=_RIGHT, top=_TOP + 222, size=(113, 198), label_px=0),
        _Zooms(left=_RIGHT + 234, top=_TOP + 222, size=(113, 198), label_px=0),
    ),
    bar=(_RIGHT, _TOP + 430),
    right_px=_RIGHT_WIDTH,
)
"""Without spectra: the zooms stand above each other beside a large map."""

_SHARED: Final = _Layout(
    map_px=320,
    colored=_Zooms(left=352, top=_TOP, size=(159, 226)),
    anatomy=_Zooms(left=352 + 332, top=_TOP, size=(159, 226)),
    pair=(
        _Zooms(left=352 + 332, top=_TOP, size=(77, 226), label_px=0),
        _Zooms(left=352 + 498, top=_TOP, size=(77, 226), label_px=0),
    ),
    bar=(352, _TOP + 236),
    right_px=SIZE - 352 - LEFT,
)
"""With spectra below: a smaller map, and the zooms in one row beside it."""
_SPECTRA_TOP: Final = _TOP + _SHARED.map_px + 8
_SPECTRA_HEIGHT: Final = 190


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
    layout = _WHOLE if content.spectra is None else _SHARED
    draw_header(draw, content.title, content.patient_lines, content.warning, typeface)
    widths = {size: typeface.width(content.map_caption, size) for size in (14, 12, 11)}
    size = next((one for one, width in widths.items() if width <= layout.map_px), 11)
    caption = clipped(content.map_caption, typeface, size, layout.map_px)
    put_text(draw, (LEFT, 92 - size), caption, typeface, size, FAINT)
    if content.picture is None:
        _no_picture(draw, content.no_picture, typeface, layout.map_px)
    else:
        _pictures(page, content, content.picture, typeface, layout)
    if content.spectra is not None:
        box = (LEFT, _SPECTRA_TOP, SIZE - 2 * LEFT, _SPECTRA_HEIGHT)
        draw_spectra_panel(page, content.spectra, typeface, box)
    _table(draw, content.columns, content.rows, typeface, top=630)
    size = 12 if typeface.width(content.volumes, 12) <= _LEFT_WIDTH else 11
    put_text(
        draw, (LEFT, 783), clipped(content.volumes, typeface, size, _LEFT_WIDTH), typeface, size
    )
    draw_indices(page, content.indices, typeface, (_RIGHT, 630), _RIGHT_WIDTH)
    _call(draw, content.call, content.more_text, typeface, top=800)
    _blocks(draw, content, typeface, top=888)
    draw_footer(draw, content.footer, content.warning, typeface)
    return np.asarray(page, dtype=np.uint8).copy()


def _no_picture(
    draw: ImageDraw.ImageDraw, block: TextBlock, typeface: Typeface, height: int
) -> None:
    draw.rectangle([LEFT, _TOP, SIZE - LEFT, _TOP + height], fill=PANEL, outline=RULE)
    y = _TOP + round(0.3 * height) - 4
    put_text(draw, (LEFT + 40, y), block.title, typeface, 30, bold=True)
    most = (_TOP + height - y - 60) // 26
    lines = wrapped(block.lines, typeface, 18, SIZE - 2 * LEFT - 80)[:most]
    put_lines(draw, (LEFT + 40, y + 60), lines, typeface, 18, 26)


def _pictures(
    page: Image.Image,
    content: PageContent,
    picture: MapContent,
    typeface: Typeface,
    layout: _Layout,
) -> None:
    orientation = orientation_of(picture.grid)
    page.paste(map_panel(picture, orientation, typeface, layout.map_px), (LEFT, _TOP))
    draw = ImageDraw.Draw(page)
    draw.rectangle([LEFT - 1, _TOP - 1, LEFT + layout.map_px, _TOP + layout.map_px], outline=RULE)
    if content.slice_place is not None and len(slices_to_show(picture)) == 1:
        # In the corner beside the head, where a slice shows nothing.
        inset = slice_place_panel(content.slice_place, typeface, round(0.24 * layout.map_px))
        edge = layout.map_px - inset.width - 3
        page.paste(inset, (LEFT + edge, _TOP + edge))
    if content.picture_note:
        note = typeface.wrap(content.picture_note, 12, layout.map_px - 16, bold=True)
        for number, words in enumerate(note):
            # Below the letter at the upper edge.
            top = _TOP + 24 + 15 * number
            haloed_text(page, (LEFT + 8, top), words, typeface, 12, STAMP_COLOR)
    rows = [[(layout.colored, content.zoom_caption, Layer.MAP)]]
    if picture.thin is None:
        rows.append([(layout.anatomy, content.anatomy_caption, Layer.ANATOMY)])
    else:
        layers = (Layer.ANATOMY, Layer.THIN)
        rows.append(list(zip(layout.pair, content.pair_captions, layers, strict=True)))
    for row in rows:
        fits = all(typeface.width(words, 14) <= zooms.width for zooms, words, _ in row)
        size = 14 if fits else 12
        for zooms, words, layer in row:
            _zooms(page, picture, orientation, typeface, zooms, layer)
            shown = clipped(words, typeface, size, zooms.width)
            gap = (26 if zooms.top == _TOP else 21) + size - 14
            put_text(draw, (zooms.left, zooms.top - gap), shown, typeface, size, FAINT)
    left, top = layout.bar
    for line, text in enumerate(content.bar_caption[:2]):
        put_text(draw, (left, top + 20 * line), text, typeface, 14, FAINT if line else TEXT)
    page.paste(color_bar(picture.scale, typeface, layout.right_px), (left, top + 44))


def _zooms(
    page: Image.Image,
    content: MapContent,
    orientation: Orientation,
    typeface: Typeface,
    zooms: _Zooms,
    layer: Layer,
) -> None:
    """Both temporal lobes; the patient's right at the left, as in the whole slice."""
    plane = shown_plane(content, orientation, main_slice(content))
    size, top = zooms.size, zooms.top
    frames = side_frames(plane, orientation, size)
    draw = ImageDraw.Draw(page)
    for side, x in ((Side.RIGHT, zooms.left), (Side.LEFT, zooms.left + size[0] + _GAP)):
        box = [x, top, x + size[0] - 1, top + size[1] - 1]
        draw.rectangle(box, fill=PANEL, outline=SIDE_COLOR[side])
        frame = frames.get(side)
        if frame is None:
            middle = (x + size[0] / 2, top + size[1] / 2)
            put_text(draw, middle, "–", typeface, 20, anchor="mm")
            continue
        picture = draw_plane(plane, frame, typeface, layer=layer, label_px=zooms.label_px)
        draw_letters(picture, orientation, typeface, 13 if zooms.label_px else 11)
        x += (size[0] - picture.width) // 2
        page.paste(picture, (x, top + (size[1] - picture.height) // 2))
        draw.rectangle(box, outline=SIDE_COLOR[side])


def _table(
    draw: ImageDraw.ImageDraw,
    columns: Sequence[str],
    rows: Sequence[RegionRow],
    typeface: Typeface,
    top: int,
) -> None:
    edges = [LEFT + right for right in _COLUMN_EDGES]
    put_text(draw, (LEFT, top), columns[0], typeface, 15, bold=True)
    for x, name in zip(edges, columns[1:], strict=True):
        put_text(draw, (x, top + 2), name, typeface, 13, FAINT, anchor="ra")
    y = top + 26
    draw.line([(LEFT, y - 2), (LEFT + _LEFT_WIDTH, y - 2)], fill=RULE)
    for row in rows:
        draw.rectangle([LEFT, y + 5, LEFT + 7, y + 25], fill=SIDE_COLOR[row.side])
        put_text(draw, (LEFT + 16, y + 7), row.name, typeface, 15)
        if len(row.cells) == 1:
            start = edges[0] - 102
            line = clipped(row.cells[0], typeface, 13, LEFT + _LEFT_WIDTH - start)
            put_text(draw, (start, y + 9), line, typeface, 13, FAINT)
        else:
            for k, (x, cell) in enumerate(zip(edges, row.cells, strict=True)):
                put_text(draw, (x, y + 7), cell, typeface, 15, bold=k == 0, anchor="ra")
        y += 31
        draw.line([(LEFT, y), (LEFT + _LEFT_WIDTH, y)], fill=RULE)


def _call(
    draw: ImageDraw.ImageDraw,
    call: CallContent,
    more_text: str,
    typeface: Typeface,
    top: int,
) -> None:
    height = 80
    color = FAINT if call.side is None else SIDE_COLOR[call.side]
    draw.rectangle([LEFT, top, SIZE - LEFT, top + height], fill=PANEL, outline=RULE)
    draw.rectangle([LEFT, top, LEFT + 7, top + height], fill=color)
    size = 27
    while typeface.width(call.headline, size, bold=True) > _LEFT_WIDTH - 30 and size > 16:
        size -= 1
    put_text(draw, (LEFT + 22, top + 8), call.headline, typeface, size, color, bold=True)
    for line, fact in enumerate(call.facts[:2]):
        size = 14
        while typeface.width(fact, size) > _LEFT_WIDTH - 16 and size > 11:
            size -= 1
        put_text(draw, (LEFT + 22, top + 56 - size + 18 * line), fact, typeface, size)
    size, most, step = 14, 4, _LINE
    if len(wrapped(call.reasons, typeface, size, _RIGHT_WIDTH - 16)) > most:
        size, most, step = 12, 5, 14
    # The last reason is what the call is not; it stays when others have to be left to the report.
    last = wrapped(call.reasons[-1:], typeface, size, _RIGHT_WIDTH - 16)
    first = limited(
        call.reasons[:-1], typeface, size, _RIGHT_WIDTH - 16, max(most - len(last), 1), more_text
    )
    put_lines(draw, (_RIGHT, top + 6), [*first, *last], typeface, size, step)


def _blocks(draw: ImageDraw.ImageDraw, content: PageContent, typeface: Typeface, top: int) -> None:
    used = _quality(draw, content.quality, content.more_text, typeface, top)
    for block, x, width, y in (
        (content.missing, LEFT, _LEFT_WIDTH, top + used),
        (content.methods, _RIGHT, _RIGHT_WIDTH, top),
    ):
        if not block.lines:
            continue
        put_text(draw, (x, y), block.title, typeface, 14, bold=True)
        room = (_BLOCKS_END - y - 19) // 14
        lines = limited(block.lines, typeface, 12, width, room, content.more_text)
        put_lines(draw, (x, y + 19), lines, typeface, 12, 14)


def _quality(
    draw: ImageDraw.ImageDraw, block: QualityBlock, more_text: str, typeface: Typeface, top: int
) -> int:
    """Draw the light and its lines; the height used."""
    draw_light(draw, (LEFT, top), block.light, block.title, block.word, typeface)
    lines = limited(block.lines, typeface, 12, _LEFT_WIDTH, 3, more_text)
    put_lines(draw, (LEFT, top + 19), lines, typeface, 12, 14)
    return 22 + 14 * len(lines)
