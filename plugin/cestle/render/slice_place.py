"""Where the slices lie: a sagittal plane of the T1 with their edges, and their tilt."""

from typing import Final

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from cestle.geometry import Grid
from cestle.physics import Real
from cestle.render.colors import RULE, STAMP_COLOR, grey
from cestle.render.content import SlicePlace
from cestle.render.lettering import Typeface
from cestle.render.orientation import orientation_of
from cestle.render.outline import draw_line
from cestle.render.panels import draw_letters, haloed_text
from cestle.render.voxel import Plane

_FIELD_MM: Final = 230.0
_HEAD_SHARE: Final = 0.12
_SAMPLE: Final = 4
_NEVER_CUT: Final = 0.1


def slice_tilt_deg(slices: Grid) -> float | None:
    """Angle of the slices against the front-back axis, seen from the side [degrees].

    Positive where their front edge lies higher than their back edge; 90 for coronal slices; None
    for sagittal ones.
    """
    normal = slices.affine[:3, 0] / np.linalg.norm(slices.affine[:3, 0])
    if np.hypot(normal[1], normal[2]) < _NEVER_CUT:
        return None
    # The line in the plane of y and z at right angles to the normal, pointing to the front (−y).
    front, up = -normal[2], normal[1]
    if front > 0.0 or (front == 0.0 and up < 0.0):
        front, up = -front, -up
    return float(np.degrees(np.arctan2(up, -front)))


def slice_edges(slices: Grid, x_mm: float, reach_mm: float) -> list[Real]:
    """Lines in which a sagittal plane cuts the two faces of each slice.

    Parameters
    ----------
    slices
        Grid of the slices.
    x_mm
        Place of the plane, x in LPS [mm].
    reach_mm
        Half the length of the lines [mm].

    Returns
    -------
        End points in LPS, shape (2, 3) each; none for sagittal slices.
    """
    normal = slices.affine[:3, 0] / np.linalg.norm(slices.affine[:3, 0])
    if slice_tilt_deg(slices) is None:
        return []
    along = np.array([0.0, -normal[2], normal[1]]) / np.hypot(normal[1], normal[2])
    middle_index = (np.array(slices.shape, dtype=np.float64) - 1.0) / 2.0
    lines: list[Real] = []
    for number in range(slices.shape[0]):
        centre = slices.to_lps(np.array([float(number), middle_index[1], middle_index[2]]))
        for side in (-0.5, 0.5):
            height = normal @ centre + side * slices.slice_thickness_mm
            # From the centre along y and z until the face is met at this x.
            start = np.array([x_mm, centre[1], centre[2]])
            step = (height - normal @ start) / (normal[1] ** 2 + normal[2] ** 2)
            start[1:] += step * normal[1:]
            lines.append(np.stack([start - reach_mm * along, start + reach_mm * along]))
    return lines


def slice_place_panel(content: SlicePlace, typeface: Typeface, size: int) -> Image.Image:
    """Draw the sagittal plane with the edges of the slices.

    Parameters
    ----------
    content
        The T1, the slices and the place of the plane.
    typeface
        Fonts of letters and angle.
    size
        Width and height [pixels].
    """
    view = _view(content, size)
    index = np.moveaxis(np.indices(view.shape), 0, -1).astype(np.float64)
    at = content.grid.to_index(view.to_lps(index))[0]
    shown = map_coordinates(content.values, np.moveaxis(at, -1, 0), order=1, cval=0.0)
    picture = Image.fromarray(grey(shown))
    for line in slice_edges(content.slices, content.x_mm, _FIELD_MM):
        pixels = view.to_index(line)[:, :0:-1] + 0.5
        draw_line(picture, pixels, STAMP_COLOR)
    letter_px = 10 if size < 100 else 12
    draw_letters(picture, orientation_of(view), typeface, letter_px)
    tilt = slice_tilt_deg(content.slices)
    if tilt is not None:
        text = f"{tilt:+.0f}°".replace("-", "−")
        haloed_text(picture, (size - 4, size - 3), text, typeface, letter_px, anchor="rd")
    framed = Image.new("RGB", (size + 2, size + 2), RULE)
    framed.paste(picture, (1, 1))
    return framed


def _view(content: SlicePlace, size: int) -> Grid:
    """A sagittal square around the head, one voxel for each pixel."""
    coarse = content.values[::_SAMPLE, ::_SAMPLE, ::_SAMPLE]
    head = np.argwhere(coarse > _HEAD_SHARE * float(np.percentile(coarse, 99.0)))
    middle = content.grid.to_lps(_SAMPLE * np.median(head, axis=0))
    down, across = Plane.SAGITTAL.directions
    step = _FIELD_MM / size
    affine = np.eye(4)
    affine[:3, 0] = Plane.SAGITTAL.normal
    affine[:3, 1], affine[:3, 2] = step * down, step * across
    centre = np.array([content.x_mm, middle[1], middle[2]])
    affine[:3, 3] = centre - (affine[:3, 1] + affine[:3, 2]) * (size - 1) / 2.0
    return Grid(
        shape=(1, size, size),
        affine=affine,
        frame_of_reference_uid=content.grid.frame_of_reference_uid,
        slice_thickness_mm=1.0,
    )
