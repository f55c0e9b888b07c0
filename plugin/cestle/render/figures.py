"""Plain pictures: the map and the field maps with their colour bar, and PNG encoding."""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.render.colors import BACKGROUND, TEXT, WARNING, Pixels
from cestle.render.content import MapContent
from cestle.render.lettering import Typeface
from cestle.render.orientation import orientation_of
from cestle.render.panels import color_bar, map_panel

_MAP: Final = 768


def render_figure(content: MapContent, title: str, warning: str, typeface: Typeface) -> Pixels:
    """Draw one map with title and colour bar.

    Parameters
    ----------
    content
        The map.
    title
        Quantity and unit.
    warning
        Research-use banner.
    typeface
        Fonts.

    Returns
    -------
        RGB, shape (880, 800, 3).
    """
    picture = Image.new("RGB", (_MAP + 32, _MAP + 112), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((16, 10), title, fill=TEXT, font=typeface.font(title, 18, bold=True))
    panel = map_panel(content, orientation_of(content.grid), typeface, _MAP)
    picture.paste(panel, (16, 38))
    picture.paste(color_bar(content.scale, typeface, _MAP), (16, _MAP + 46))
    bottom = picture.height
    draw.rectangle([0, bottom - 22, picture.width, bottom], fill=WARNING)
    middle = (picture.width / 2, bottom - 11)
    font = typeface.font(warning, 13, bold=True)
    draw.text(middle, warning, fill=TEXT, font=font, anchor="mm")
    return np.asarray(picture, dtype=np.uint8).copy()


def on_canvas(picture: Pixels, rows: int, columns: int) -> Pixels:
    """`picture` in the middle of a larger one, shape (rows, columns, 3)."""
    canvas = np.empty((rows, columns, 3), dtype=np.uint8)
    canvas[:] = BACKGROUND
    top = (rows - picture.shape[0]) // 2
    left = (columns - picture.shape[1]) // 2
    canvas[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return canvas


def png_bytes(pixels: Pixels) -> bytes:
    """Encode RGB pixels, shape (rows, columns, 3), as PNG; the same pixels give the same bytes."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
