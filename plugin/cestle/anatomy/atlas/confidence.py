"""Whether the atlas seems to fit: a help against bad fits that finds only part of them."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.anatomy.atlas.volume import Single, widened
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.physics import Real

LEAST_CORRELATION: Final = 0.80
MOST_LOG_JACOBIAN_SD: Final = 0.33
LEAST_BRIGHTNESS: Final = 0.80
"""Brightness of the region over that of the template there; fluid stays far below."""
_AROUND_MM: Final = 6.0
_MOSTLY: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class AtlasConfidence:
    """How well the atlas seems to fit one region.

    Parameters
    ----------
    template_correlation
        Of the brightness of T1 and warped template in and around the region.
    log_jacobian_sd
        Spread of the logarithm of the local change of volume in the region; large where the
        template had to be bent much.
    brightness
        Median of the T1 in the region over that of the template.
    low
        Whether the region must not be relied upon.
    reasons
        Why, one line each.
    """

    template_correlation: float
    log_jacobian_sd: float
    brightness: float
    low: bool
    reasons: tuple[str, ...]


def confidence_of(fraction: Real, warp: LobeWarp) -> AtlasConfidence:
    """Judge one region.

    Parameters
    ----------
    fraction
        Its probability on the voxels of the warp.
    warp
        How the template was bent.
    """
    inside = fraction > _MOSTLY
    reasons = [f"the step of {step} did not bring the T1 closer" for step in warp.failed_steps]
    if not inside.any():
        return AtlasConfidence(
            template_correlation=0.0,
            log_jacobian_sd=0.0,
            brightness=0.0,
            low=True,
            reasons=(*reasons, "no voxel belongs mostly to the region"),
        )
    near = widened(warp.t1, inside, _AROUND_MM)
    correlation = _correlation(warp.matched.values[near], warp.warped.values[near])
    spread = float(np.std(_log_jacobian(warp)[inside]))
    brightness = float(np.median(warp.matched.values[inside])) / max(
        float(np.median(warp.warped.values[inside])), 1e-9
    )
    if correlation < LEAST_CORRELATION:
        reasons.append(
            f"T1 and template correlate by {correlation:.2f} around it, at least "
            f"{LEAST_CORRELATION:.2f} was expected"
        )
    if spread > MOST_LOG_JACOBIAN_SD:
        reasons.append(
            f"the template had to be bent by {spread:.2f} (SD of the log-Jacobian), at most "
            f"{MOST_LOG_JACOBIAN_SD:.2f} was expected"
        )
    if brightness < LEAST_BRIGHTNESS:
        reasons.append(
            f"it is {brightness:.2f} times as bright as in the template, at least "
            f"{LEAST_BRIGHTNESS:.2f} was expected; look for fluid or surgery there"
        )
    return AtlasConfidence(
        template_correlation=correlation,
        log_jacobian_sd=spread,
        brightness=brightness,
        low=bool(reasons),
        reasons=tuple(reasons),
    )


def _correlation(a: Single, b: Single) -> float:
    if float(np.std(a)) == 0.0 or float(np.std(b)) == 0.0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _log_jacobian(warp: LobeWarp) -> Real:
    """Logarithm of the change of volume from the T1 to the template."""
    step = warp.t1.step_mm
    slopes = np.empty((*warp.template_mm.shape, 3))
    for component in range(3):
        for axis in range(3):
            slopes[..., component, axis] = np.gradient(
                warp.template_mm[..., component], step, axis=axis
            )
    # the derivatives come along z, y, x and the components are L, P, S: an odd exchange
    change: Real = np.log(np.maximum(-np.linalg.det(slopes), 1e-3))
    return change
