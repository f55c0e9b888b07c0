"""A spectrum with fit, baseline and residual; high chemical shifts at the left."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from cestle.physics import Real
from cestle.render.colors import BACKGROUND, FAINT, PANEL, RULE, TEXT, Rgb
from cestle.render.lettering import Typeface
from cestle.render.mrs_content import Legend, Signal, SpectrumContent
from cestle.render.panels import haloed_text

DATA_COLOR: Final[Rgb] = (178, 188, 204)
FIT_COLOR: Final[Rgb] = (255, 105, 180)
BASELINE_COLOR: Final[Rgb] = (0, 190, 140)
RESIDUAL_COLOR: Final[Rgb] = (140, 150, 168)
FILL_COLOR: Final[Rgb] = (118, 96, 22)

_OVERSAMPLING: Final = 4
_AXIS: Final = 18
_HEADROOM: Final = 36
"""Room for title and labels above the highest point [pixels]."""
_FOOT: Final = 6
_LEAST_RESIDUAL: Final = 0.1
"""Share of the height that the residual has at least."""
_LEAST_LABELLED: Final = 0.05
"""Signals lower than this share of the range are not labelled."""
_EDGE: Final = 0.03
"""Share of the axis at its ends where a peak belongs to what lies beyond."""
_TICKS_PPM: Final = (0.5, 0.2, 0.1)


@dataclass(frozen=True, kw_only=True)
class _Scale:
    """From ppm and signal to the pixels of a panel."""

    left: float
    width: float
    low_ppm: float
    high_ppm: float
    zero: float
    per_unit: float
    residual_zero: float

    def x(self, ppm: Real) -> Real:
        """Pixels from the left; they fall as the chemical shift rises."""
        share = (self.high_ppm - ppm) / (self.high_ppm - self.low_ppm)
        x: Real = self.left + share * self.width
        return x

    def y(self, values: Real) -> Real:
        """Pixels from the top."""
        y: Real = self.zero - values * self.per_unit
        return y

    def y_residual(self, values: Real) -> Real:
        """Pixels from the top of the residual, in the scale of the spectrum."""
        y: Real = self.residual_zero - values * self.per_unit
        return y


def draw_spectrum(
    content: SpectrumContent, typeface: Typeface, size: tuple[int, int]
) -> Image.Image:
    """Draw a spectrum into a picture of its own.

    Parameters
    ----------
    content
        What is drawn.
    typeface
        Fonts.
    size
        Width and height [pixels].
    """
    width, height = size
    scale = _scale(content, width, height - _AXIS)
    picture = Image.new("RGB", size, BACKGROUND)
    picture.paste(_lines(content, scale, (width, height - _AXIS)), (0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, width - 1, height - _AXIS - 1], outline=RULE)
    _axis(draw, scale, typeface, height - _AXIS)
    _labels(picture, content, scale, typeface)
    haloed_text(picture, (6.0, 3.0), content.title, typeface, 12)
    return picture


def draw_legend(
    draw: ImageDraw.ImageDraw, legend: Legend, typeface: Typeface, right: float, y: float
) -> None:
    """Names of the lines with a piece of each, ending at `right` [pixels]."""
    x = right
    for text, color in (
        (legend.residual, RESIDUAL_COLOR),
        (legend.baseline, BASELINE_COLOR),
        (legend.fit, FIT_COLOR),
        (legend.data, DATA_COLOR),
    ):
        x -= typeface.width(text, 12)
        draw.text((x, y), text, fill=FAINT, font=typeface.font(text, 12))
        draw.line([(x - 20, y + 8), (x - 5, y + 8)], fill=color, width=2)
        x -= 34


def _scale(content: SpectrumContent, width: int, height: int) -> _Scale:
    """The whole of spectrum and residual fits, both in one scale."""
    shown = np.concatenate([content.data, content.fit, content.baseline])
    low, high = min(float(shown.min()), 0.0), max(float(shown.max()), 0.0)
    span = max(high - low, 1e-12)
    residual = content.data - content.fit
    half = max(float(np.max(np.abs(residual))), _LEAST_RESIDUAL * span / 2.0)
    per_unit = (height - _HEADROOM - _FOOT) / (span + 2.0 * half)
    zero = _HEADROOM + high * per_unit
    return _Scale(
        left=2.0,
        width=width - 4.0,
        low_ppm=float(content.ppm[0]),
        high_ppm=float(content.ppm[-1]),
        zero=zero,
        per_unit=per_unit,
        residual_zero=zero + (half - low) * per_unit + _FOOT / 2.0,
    )


def _lines(content: SpectrumContent, scale: _Scale, size: tuple[int, int]) -> Image.Image:
    """All curves, smoothed by oversampling."""
    k = _OVERSAMPLING
    picture = Image.new("RGB", (size[0] * k, size[1] * k), PANEL)
    draw = ImageDraw.Draw(picture)
    x = scale.x(content.ppm) * k

    def curve(y: Real, color: Rgb, width_px: float) -> None:
        points = [(float(a), float(b)) for a, b in zip(x, y * k, strict=True)]
        draw.line(points, fill=color, width=round(width_px * k), joint="curve")

    for signal in content.signals:
        if signal.filled:
            top = scale.y(content.baseline + signal.values) * k
            bottom = scale.y(content.baseline) * k
            edge = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
            draw.polygon([(float(a), float(b)) for a, b in edge], fill=FILL_COLOR)
    curve(scale.y_residual(np.zeros_like(content.data)), RULE, 0.8)
    curve(scale.y_residual(content.data - content.fit), RESIDUAL_COLOR, 0.9)
    curve(scale.y(content.data), DATA_COLOR, 1.0)
    curve(scale.y(content.baseline), BASELINE_COLOR, 1.1)
    curve(scale.y(content.fit), FIT_COLOR, 1.5)
    return picture.reduce(k)


def _axis(
    draw: ImageDraw.ImageDraw,
    scale: _Scale,
    typeface: Typeface,
    top: int,
) -> None:
    low, high = scale.low_ppm, scale.high_ppm
    step = next((s for s in _TICKS_PPM if (high - low) / s >= 4.0), _TICKS_PPM[-1])
    first = int(np.ceil(low / step - 1e-6))
    last = int(np.floor(high / step + 1e-6))
    unit_end = scale.left + typeface.width("ppm", 11) + 4
    for number in range(first, last + 1):
        x = float(scale.x(np.array(number * step)))
        draw.line([(x, top), (x, top + 3)], fill=FAINT)
        text = f"{number * step:.1f}"
        half = typeface.width(text, 11) / 2.0
        if x - half > unit_end and x + half < scale.left + scale.width:
            draw.text((x, top + 4), text, fill=FAINT, font=typeface.font(text, 11), anchor="ma")
    draw.text((scale.left, top + 4), "ppm", fill=FAINT, font=typeface.font("ppm", 11))


def _labels(
    picture: Image.Image, content: SpectrumContent, scale: _Scale, typeface: Typeface
) -> None:
    """Name each signal at its highest point; filled ones first, so that they keep their place."""
    taken: list[tuple[float, float, float]] = []
    span = float(np.ptp(content.fit)) or 1.0
    for signal in sorted(content.signals, key=lambda one: not one.filled):
        peak = int(np.argmax(np.abs(signal.values)))
        tall = abs(float(signal.values[peak])) >= _LEAST_LABELLED * span
        inside = _EDGE <= peak / max(len(content.ppm) - 1, 1) <= 1.0 - _EDGE
        if not (signal.filled or (tall and inside)):
            continue
        place = _label_place(content, signal, peak, scale, typeface)
        half = typeface.width(signal.label, 12, bold=True) / 2.0
        if any(abs(place[0] - x) < half + w and abs(place[1] - y) < 14.0 for x, y, w in taken):
            continue
        taken.append((place[0], place[1], half))
        color = TEXT if signal.filled else FAINT
        haloed_text(picture, place, signal.label, typeface, 12, color, anchor="md")


def _label_place(
    content: SpectrumContent, signal: Signal, peak: int, scale: _Scale, typeface: Typeface
) -> tuple[float, float]:
    """Above a positive peak, or beside the tip of a negative one, inside the panel."""
    half = typeface.width(signal.label, 12, bold=True) / 2.0
    x = float(scale.x(content.ppm[peak]))
    x = float(np.clip(x, scale.left + half + 3, scale.left + scale.width - half - 3))
    near = slice(max(peak - 3, 0), peak + 4)
    if signal.values[peak] < 0.0:
        return x + half + 6.0, float(np.max(scale.y(content.fit[near])))
    high = np.min(scale.y(np.maximum(content.fit[near], content.data[near])))
    return x, max(float(high) - 4.0, 32.0)
