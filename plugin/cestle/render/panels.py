"""Panels with the map: voxels, outlines, letters and the colour bar."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.measurement import Side
from cestle.physics import Bool, Real
from cestle.render.colors import (
    BACKGROUND,
    FAINT,
    HALO,
    HATCH,
    OVER,
    RULE,
    SIDE_COLOR,
    TEXT,
    UNDER,
    ColorScale,
    Pixels,
    Rgb,
    grey,
)
from cestle.render.content import MapContent, ShownRegion
from cestle.render.lettering import Typeface
from cestle.render.orientation import Orientation
from cestle.render.outline import Frame, draw_outline, outlines

_HATCH_SHARE: Final = 0.2
_MARGIN_VOXELS: Final = 4
_MOST_SLICES: Final = 9


class Layer(StrEnum):
    """What a panel shows below the outlines."""

    MAP = "map"
    ANATOMY = "anatomy"
    THIN = "thin"


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownPlane:
    """One slice in display orientation.

    Parameters
    ----------
    anatomy, colored
        RGB of the underlay, and of the map over it, shape (rows, columns, 3).
    hatched
        Voxels of a region that have no value, shape (rows, columns).
    fractions
        Regions with their shares in this slice, shape (rows, columns) each.
    thin
        RGB of the anatomy in the middle plane, some samples for each voxel; None without it.
    """

    anatomy: Pixels
    colored: Pixels
    hatched: Bool
    fractions: tuple[tuple[ShownRegion, Real], ...]
    thin: Pixels | None = None


def shown_plane(content: MapContent, orientation: Orientation, index: int) -> ShownPlane:
    """Prepare slice `index` of the map for display."""
    anatomy = grey(content.underlay)[index]
    colored = anatomy.copy()
    valid = content.valid[index]
    colored[valid] = content.scale.colors(content.values[index][valid])
    held = np.zeros(valid.shape, dtype=np.float64)
    for region in content.regions:
        held = np.maximum(held, region.fraction[index])
    return ShownPlane(
        anatomy=np.ascontiguousarray(orientation.apply(anatomy), dtype=np.uint8),
        colored=np.ascontiguousarray(orientation.apply(colored), dtype=np.uint8),
        hatched=np.asarray(orientation.apply((held > _HATCH_SHARE) & ~valid), dtype=np.bool_),
        fractions=tuple(
            (region, np.asarray(orientation.apply(region.fraction[index]), dtype=np.float64))
            for region in content.regions
            if region.fraction[index].any()
        ),
        thin=None
        if content.thin is None or index != main_slice(content)
        else np.ascontiguousarray(orientation.apply(grey(content.thin)), dtype=np.uint8),
    )


def slices_to_show(content: MapContent) -> list[int]:
    """Slices that hold regions; without regions, the one with most values."""
    weight = np.zeros(content.grid.shape[0])
    for region in content.regions:
        weight += region.fraction.sum(axis=(1, 2))
    if not weight.any():
        return [int(np.argmax(content.valid.sum(axis=(1, 2))))]
    heaviest = np.argsort(-weight, kind="stable")[:_MOST_SLICES]
    return sorted(int(k) for k in heaviest if weight[k] > 0.0)


def main_slice(content: MapContent) -> int:
    """The slice that holds the greatest part of the regions."""
    shown = slices_to_show(content)
    weights = [sum(float(r.fraction[k].sum()) for r in content.regions) for k in shown]
    return shown[int(np.argmax(weights))]


def whole_frame(plane: ShownPlane, orientation: Orientation, size: int) -> Frame:
    """The whole plane in a square of `size` pixels, in true proportions."""
    rows, columns = plane.hatched.shape
    row_mm, column_mm = orientation.pixel_mm
    per_mm = size / max(rows * row_mm, columns * column_mm)
    scale = (per_mm * row_mm, per_mm * column_mm)
    return Frame(first_row=0, first_column=0, rows=rows, columns=columns, scale=scale)


def side_frames(
    plane: ShownPlane, orientation: Orientation, size: tuple[int, int]
) -> dict[Side, Frame]:
    """Frames around the regions of each side, in one magnification.

    Parameters
    ----------
    plane
        What is shown.
    orientation
        Its orientation, for the proportions.
    size
        Width and height of a panel [pixels].
    """
    boxes = {side: box for side in Side if (box := _bounding_box(plane, side)) is not None}
    if not boxes:
        return {}
    row_mm, column_mm = orientation.pixel_mm
    # Both sides show the same rows, so that left and right are compared at one height.
    top = min(box[0] for box in boxes.values())
    bottom = max(box[1] for box in boxes.values())
    need_rows = bottom - top + 2 * _MARGIN_VOXELS
    need_columns = max(right - left for _, _, left, right in boxes.values()) + 2 * _MARGIN_VOXELS
    per_mm = min(size[1] / (need_rows * row_mm), size[0] / (need_columns * column_mm))
    if row_mm == column_mm:
        per_mm = max(1.0, np.floor(per_mm * row_mm)) / row_mm
    scale = (float(per_mm * row_mm), float(per_mm * column_mm))
    shape = plane.hatched.shape
    rows = min(int(size[1] / scale[0]), shape[0])
    columns = min(int(size[0] / scale[1]), shape[1])
    frames = {}
    first_row = int(np.clip((top + bottom - rows) // 2, 0, shape[0] - rows))
    for side, (_, _, left, right) in boxes.items():
        first_column = int(np.clip((left + right - columns) // 2, 0, shape[1] - columns))
        frames[side] = Frame(
            first_row=first_row,
            first_column=first_column,
            rows=rows,
            columns=columns,
            scale=scale,
        )
    return frames


def _bounding_box(plane: ShownPlane, side: Side) -> tuple[int, int, int, int] | None:
    held = np.zeros(plane.hatched.shape, dtype=np.bool_)
    for region, fraction in plane.fractions:
        if region.side is side:
            held |= fraction > 0.1
    if not held.any():
        return None
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    return (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def draw_plane(
    plane: ShownPlane, frame: Frame, typeface: Typeface, *, layer: Layer, label_px: int
) -> Image.Image:
    """Panel of one plane: true voxels or thin anatomy, outlines and their labels.

    Parameters
    ----------
    plane
        What is shown.
    frame
        Which part, how large.
    typeface
        Fonts of the labels.
    layer
        What lies below the outlines.
    label_px
        Size of the labels [pixels]; 0 for none.
    """
    picture = _background(plane, frame, layer)
    for region, fraction in plane.fractions:
        draw_outline(
            picture,
            fraction,
            frame,
            SIDE_COLOR[region.side],
            region.structure,
            verified=region.verified,
        )
    if label_px:
        for region, fraction in plane.fractions:
            _label(picture, region, fraction, frame, typeface, label_px)
    return picture


def _background(plane: ShownPlane, frame: Frame, layer: Layer) -> Image.Image:
    """What a frame shows of a layer; only the thin anatomy is smooth."""
    if layer is Layer.THIN and plane.thin is not None:
        each = plane.thin.shape[0] // plane.hatched.shape[0]
        return _part(plane.thin, frame, each, Image.Resampling.BILINEAR)
    colored = layer is Layer.MAP
    voxels = plane.colored if colored else plane.anatomy
    picture = _part(voxels, frame, 1, Image.Resampling.NEAREST)
    if colored:
        _hatch(picture, plane.hatched[_within(frame, 1)])
    return picture


def _part(pixels: Pixels, frame: Frame, each: int, how: Image.Resampling) -> Image.Image:
    part = np.ascontiguousarray(pixels[_within(frame, each)])
    return Image.fromarray(part).resize(frame.size, how)


def _within(frame: Frame, each: int) -> tuple[slice, slice]:
    """Rows and columns of a frame in an image of so many samples for each voxel."""
    return (
        slice(each * frame.first_row, each * (frame.first_row + frame.rows)),
        slice(each * frame.first_column, each * (frame.first_column + frame.columns)),
    )


def _hatch(picture: Image.Image, hatched: Bool) -> None:
    """Grey stripes over voxels of a region that have no value."""
    width, height = picture.size
    y, x = np.mgrid[0:height, 0:width]
    stripes = ((x + y) % 6) < 2
    area = Image.fromarray(hatched.astype(np.uint8) * 255).resize(
        (width, height), Image.Resampling.NEAREST
    )
    mask = Image.fromarray(np.asarray(area) * stripes.astype(np.uint8))
    picture.paste(HATCH, mask=mask)


def _label(
    picture: Image.Image,
    region: ShownRegion,
    fraction: Real,
    frame: Frame,
    typeface: Typeface,
    size: int,
) -> None:
    """Write the short name at the lateral side of the outline, inside the panel."""
    lines = outlines(fraction)
    if not lines:
        return
    points = frame.to_pixels(np.concatenate(lines))
    middle = points.mean(axis=0)
    if not (0.0 <= middle[0] < picture.width and 0.0 <= middle[1] < picture.height):
        return
    width = typeface.width(region.label, size, bold=True)
    # The patient's right lies at the left of the picture, so lateral is outward on both sides.
    outward = region.side is Side.RIGHT
    x = points[:, 0].min() - width - 5 if outward else points[:, 0].max() + 5
    y = (points[:, 1].min() + points[:, 1].max()) / 2 - size * 0.6
    x = float(np.clip(x, 3, picture.width - width - 3))
    y = float(np.clip(y, 3, picture.height - size * 1.3))
    haloed_text(picture, (x, y), region.label, typeface, size, SIDE_COLOR[region.side])


def haloed_text(
    picture: Image.Image,
    position: tuple[float, float],
    text: str,
    typeface: Typeface,
    size: int,
    color: Rgb = TEXT,
    *,
    anchor: str = "la",
) -> None:
    """Bold text with a dark rim, legible on any ground."""
    ImageDraw.Draw(picture).text(
        position,
        text,
        fill=color,
        font=typeface.font(text, size, bold=True),
        anchor=anchor,
        stroke_width=2,
        stroke_fill=HALO,
    )


def draw_letters(
    picture: Image.Image, orientation: Orientation, typeface: Typeface, size: int
) -> None:
    """Letters of the patient's directions at the edges of a panel."""
    width, height = picture.size
    for position, text, anchor in (
        ((6.0, height / 2), orientation.left, "lm"),
        ((width - 6.0, height / 2), orientation.right, "rm"),
        ((width / 2, 4.0), orientation.top, "ma"),
        ((width / 2, height - 4.0), orientation.bottom, "md"),
    ):
        haloed_text(picture, position, text, typeface, size, anchor=anchor)


def draw_ruler(
    picture: Image.Image, frame: Frame, orientation: Orientation, typeface: Typeface
) -> None:
    """A ruler of 5 cm at the lower left."""
    length = 50.0 / orientation.pixel_mm[1] * frame.scale[1]
    if length > picture.width / 2:
        return
    x, y = 12, picture.height - 14
    draw = ImageDraw.Draw(picture)
    for color, width in ((HALO, 5), (TEXT, 2)):
        draw.line([(x, y), (x + length, y)], fill=color, width=width)
        for end in (x, x + length):
            draw.line([(end, y - 5), (end, y + 5)], fill=color, width=width)
    haloed_text(picture, (x + length / 2, y - 6), "5 cm", typeface, 12, anchor="md")


def map_panel(
    content: MapContent, orientation: Orientation, typeface: Typeface, size: int
) -> Image.Image:
    """The whole slice, or a montage of the slices that hold regions, in a square panel."""
    shown = slices_to_show(content)
    per_row = int(np.ceil(np.sqrt(len(shown))))
    cell = size // per_row
    panel = Image.new("RGB", (size, size), BACKGROUND)
    for position, index in enumerate(shown):
        plane = shown_plane(content, orientation, index)
        frame = whole_frame(plane, orientation, cell - (0 if per_row == 1 else 2))
        label_px = 14 if per_row == 1 else 0
        picture = draw_plane(plane, frame, typeface, layer=Layer.MAP, label_px=label_px)
        draw_letters(picture, orientation, typeface, 20 if per_row == 1 else 13)
        if position == 0:
            draw_ruler(picture, frame, orientation, typeface)
        if per_row > 1:
            haloed_text(picture, (6, 4), str(index + 1), typeface, 12, FAINT)
        row, column = divmod(position, per_row)
        x = column * cell + (cell - picture.width) // 2
        y = row * cell + (cell - picture.height) // 2
        panel.paste(picture, (x, y))
    return panel


def color_bar(scale: ColorScale, typeface: Typeface, width: int) -> Image.Image:
    """Horizontal colour bar with ticks; the caps are the colours outside the scale."""
    cap, bar_height, height = 22, 16, 40
    picture = Image.new("RGB", (width, height), BACKGROUND)
    inner = width - 2 * cap - 8
    table = scale.table()[np.linspace(0, 255, inner).round().astype(np.intp)]
    strip = np.repeat(table[np.newaxis], bar_height, axis=0)
    left = cap + 4
    picture.paste(Image.fromarray(strip), (left, 1))
    draw = ImageDraw.Draw(picture)
    for x, color in ((0, UNDER), (width - cap, OVER)):
        draw.rectangle([x, 1, x + cap - 1, bar_height], fill=color, outline=RULE)
    for tick in scale.ticks:
        at = left + (tick - scale.low) / (scale.high - scale.low) * (inner - 1)
        draw.line([(at, bar_height + 1), (at, bar_height + 5)], fill=TEXT)
        text = f"{tick:g}".replace("-", "−")
        font = typeface.font(text, 13)
        draw.text((at, bar_height + 7), text, fill=TEXT, font=font, anchor="ma")
    for at, text, color in ((cap / 2, "<", TEXT), (width - cap / 2, ">", HALO)):
        font = typeface.font(text, 13, bold=True)
        draw.text((at, bar_height / 2 + 1), text, fill=color, font=font, anchor="mm")
    return picture
