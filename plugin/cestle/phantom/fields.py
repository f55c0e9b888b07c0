"""Smooth B0 and B1 fields over the head, drawn from a seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.phantom.head import BRAIN_CENTRE_MM, BRAIN_SEMIAXES_MM
from cestle.physics import Real

TEMPORAL_BOX_MM: Final = ((-45.0, 45.0), (-15.0, 50.0), (-35.0, 5.0))
"""Limits in x, y, z of the region whose B0 range is set."""

_MODES: Final = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class SmoothField:
    """A sum of a few long waves, a bright centre and spots.

    Parameters
    ----------
    waves
        Wave vectors, shape (modes, 3) [rad/mm].
    phases, weights
        Of each wave, shape (modes,) [rad], [1].
    spots_mm
        Centres of Gaussian spots, shape (spots, 3) [mm].
    spot_weights, spot_width_mm
        Of each spot, shape (spots,) [1], and of all [mm].
    offset, scale
        Value = (sum − offset) · scale, which makes it fill −1…1 where it was normalised.
    """

    waves: Real
    phases: Real
    weights: Real
    spots_mm: Real
    spot_weights: Real
    spot_width_mm: float
    offset: float = 0.0
    scale: float = 1.0

    def at(self, lps_mm: Real) -> Real:
        """Value at positions of shape (..., 3), shape (...); −1…1 where it was normalised."""
        total = np.zeros(lps_mm.shape[:-1])
        for wave, phase, weight in zip(self.waves, self.phases, self.weights, strict=True):
            total += weight * np.cos(lps_mm @ wave + phase)
        for centre, weight in zip(self.spots_mm, self.spot_weights, strict=True):
            squared = np.sum((lps_mm - centre) ** 2, axis=-1)
            total += weight * np.exp(-0.5 * squared / self.spot_width_mm**2)
        field: Real = (total - self.offset) * self.scale
        return field


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadFields:
    """B0 and B1 as functions of position.

    Parameters
    ----------
    b0, b1
        Shapes of the fields.
    b0_range_ppm
        Largest absolute B0 shift within `TEMPORAL_BOX_MM` [ppm].
    b1_spread
        Largest deviation of the relative B1 from 1 within the brain [1]; 0 makes it exactly 1.
    """

    b0: SmoothField
    b1: SmoothField
    b0_range_ppm: float
    b1_spread: float

    def b0_shift_ppm(self, lps_mm: Real) -> Real:
        """B0 shift at positions of shape (..., 3) [ppm]; at most twice the range anywhere."""
        shift: Real = self.b0_range_ppm * _bounded(self.b0.at(lps_mm))
        return shift

    def relative_b1(self, lps_mm: Real) -> Real:
        """Actual over nominal B1 at positions of shape (..., 3) [1]."""
        relative: Real = 1.0 + self.b1_spread * _bounded(self.b1.at(lps_mm))
        return relative


def _bounded(value: Real) -> Real:
    """Leave −1…1 alone and let larger values approach ±2 smoothly."""
    excess = np.maximum(np.abs(value) - 1.0, 0.0)
    bounded: Real = np.where(excess > 0.0, np.sign(value) * (1.0 + np.tanh(excess)), value)
    return bounded


def head_fields(seed: int, *, b0_range_ppm: float, b1_spread: float) -> HeadFields:
    """Draw the fields of one head.

    Parameters
    ----------
    seed
        Same seed, same shapes.
    b0_range_ppm, b1_spread
        See `HeadFields`.
    """
    generator = np.random.default_rng([seed, 0xB0])
    # Air in the sinuses and the ear canals shifts the field of the tissue beside it.
    air = np.array([[0.0, -62.0, -24.0], [58.0, 18.0, -34.0], [-58.0, 18.0, -34.0]])
    b0 = _draw(generator, spots_mm=air, spot_weights=np.array([1.2, -0.7, -0.7]), width_mm=24.0)
    # At 5 T the centre of the head is bright and the temporal lobes are dark.
    centre = np.array([[0.0, 17.0, 10.0]])
    b1 = _draw(generator, spots_mm=centre, spot_weights=np.array([2.2]), width_mm=55.0)
    temporal = [np.linspace(low, high, 12) for low, high in TEMPORAL_BOX_MM]
    directions = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 13)] * 3), axis=-1).reshape(-1, 3)
    unit_ball = directions[np.sum(directions**2, axis=1) <= 1.0]
    return HeadFields(
        b0=_normalised(b0, np.stack(np.meshgrid(*temporal), axis=-1).reshape(-1, 3)),
        b1=_normalised(b1, unit_ball * BRAIN_SEMIAXES_MM + BRAIN_CENTRE_MM),
        b0_range_ppm=b0_range_ppm,
        b1_spread=b1_spread,
    )


def _draw(
    generator: np.random.Generator, *, spots_mm: Real, spot_weights: Real, width_mm: float
) -> SmoothField:
    directions = generator.normal(size=(_MODES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    lengths_mm = generator.uniform(150.0, 320.0, size=_MODES)
    return SmoothField(
        waves=2.0 * np.pi * directions / lengths_mm[:, None],
        phases=generator.uniform(0.0, 2.0 * np.pi, size=_MODES),
        weights=generator.uniform(0.2, 0.5, size=_MODES),
        spots_mm=spots_mm,
        spot_weights=spot_weights,
        spot_width_mm=width_mm,
    )


def _normalised(field: SmoothField, samples_mm: Real) -> SmoothField:
    """`field` moved and scaled to fill −1…1 over `samples_mm`."""
    values = field.at(samples_mm)
    low, high = float(values.min()), float(values.max())
    return SmoothField(
        waves=field.waves,
        phases=field.phases,
        weights=field.weights,
        spots_mm=field.spots_mm,
        spot_weights=field.spot_weights,
        spot_width_mm=field.spot_width_mm,
        offset=0.5 * (low + high),
        scale=2.0 / (high - low),
    )
