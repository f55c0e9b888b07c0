"""Frequency and phase of each transient, with less of the noise that each was found with.

Aligning to noise adds the noise of each transient in phase: at low signal it made creatine of ON
larger than that of OFF, and what then remains in the difference looks like GABA. A scanner drifts
slowly, so that neighbours tell most of a transient's frequency and phase. Each value is therefore
drawn towards the running median of its neighbours, the more the less the transients of this
acquisition scatter beyond their noise; one that really jumped stays where it was found.
"""

from typing import Final

import numpy as np
from scipy.ndimage import median_filter

from cestle.physics import Real

_NEIGHBOURS: Final = 9
_FEWEST: Final = 12
_JUMPED: Final = 5.0
_CYCLED: Final = 0.15
_OWN_SHARE: Final = 0.95
"""Of its noise a value keeps this share in its distance to a median that it is part of."""


def steadied(values: Real, covariance: Real) -> Real:
    """Values of transients in the order of acquisition, drawn towards those of their neighbours.

    Parameters
    ----------
    values
        Frequency and phase, shape (transient, 2); phases without jumps of a full turn.
    covariance
        Of their noise, shape (transient, 2, 2).

    Returns
    -------
        Shape of `values`; unchanged for fewer than twelve transients.
    """
    if len(values) < _FEWEST:
        return values
    middle = np.stack([running_median(column) for column in values.T], axis=1)
    away = values - middle
    noise = np.median(covariance, axis=0)
    real = _real_scatter(away, noise)
    drawn = np.empty_like(values)
    for number, own in enumerate(covariance):
        distance = away[number] @ np.linalg.solve(own, away[number])
        share = np.eye(2) if distance > _JUMPED**2 else real @ np.linalg.inv(real + own)
        drawn[number] = middle[number] + share @ away[number]
    return drawn


def quarters(phase_rad: Real) -> Real:
    """The whole quarter turns of a phase cycle in phases about zero; zeros where there is none."""
    turns = np.round(phase_rad / (0.5 * np.pi))
    cycled = np.mean(turns != 0.0) > _CYCLED
    return turns * (0.5 * np.pi) if cycled else np.zeros(len(phase_rad))


def running_median(column: Real) -> Real:
    """Running median of nine that follows a slope up to both ends; the values where they are few.

    Parameters
    ----------
    column
        Shape (transient,).
    """
    if len(column) < _FEWEST:
        return column
    half = _NEIGHBOURS // 2
    # mirrored in a point that noise moves less than it moves the last value
    before = 2.0 * np.median(column[: half + 1]) - column[2 * half : half : -1]
    after = 2.0 * np.median(column[-half - 1 :]) - column[-half - 2 : -2 * half - 2 : -1]
    longer = np.concatenate([before, column, after])
    middle: Real = median_filter(longer, _NEIGHBOURS)[half:-half]
    return middle


def _real_scatter(away: Real, noise: Real) -> Real:
    """Covariance of the scatter beyond noise; none of its directions is negative."""
    distance = np.einsum("ti,ij,tj->t", away, np.linalg.inv(noise), away)
    calm = away[distance <= _JUMPED**2]
    if len(calm) < len(away) // 2:
        calm = away
    beyond = calm.T @ calm / len(calm) - _OWN_SHARE * noise
    size, axes = np.linalg.eigh(beyond)
    scatter: Real = (axes * np.maximum(size, 0.0)) @ axes.T
    return scatter
