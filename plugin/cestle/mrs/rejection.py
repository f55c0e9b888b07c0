"""Transients that are unlike the others of their edit state, with the reason.

Corrupted transients are left out before averaging (Near et al., doi:10.1002/nbm.4257).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.alignment import HIGH_PPM, LOW_PPM, Alignment
from cestle.mrs.band import Band
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import ppm_axis
from cestle.physics import Complex, Real

EMPTY: Final = "empty"

_SEEN_S: Final = 0.35
_PLACES: Final = {
    "unlike the others": (LOW_PPM, HIGH_PPM),
    "lipid or another artefact": (0.4, LOW_PPM),
    "an artefact beside water": (HIGH_PPM, 4.1),
}
_DEGREE: Final = 3
_NARROWEST_PPM: Final = 0.2
_NEGLIGIBLE: Final = 0.03
_LEAST_GROUP: Final = 4
_SMALL_GROUP: Final = 6


@dataclass(frozen=True, kw_only=True)
class RejectionSettings:
    """When a transient is an outlier: beyond `deviations` and beyond the limit of its kind.

    Parameters
    ----------
    deviations
        Distance from the median in median absolute deviations.
    gain
        Least relative change of amplitude.
    broadening_hz
        Least broadening [Hz].
    misfit
        Least relative excess of the residual.
    """

    deviations: float = 5.0
    gain: float = 0.15
    broadening_hz: float = 1.0
    misfit: float = 0.15


def reasons_to_reject(
    fids: Complex, found: Alignment, protocol: MegaProtocol, settings: RejectionSettings
) -> tuple[str | None, ...]:
    """Why each transient should be left out; None for those to keep.

    Parameters
    ----------
    fids
        Aligned transients of one edit state, shape (transient, point) [a.u.].
    found
        Their alignment.
    protocol
        How they were acquired.
    settings
        Limits.
    """
    count = len(fids)
    empty = ~np.any(fids, axis=1)
    reasons: list[str | None] = [EMPTY if nothing else None for nothing in empty]
    if count - int(empty.sum()) < _LEAST_GROUP:
        return tuple(reasons)
    middle = np.median(fids[~empty].real, axis=0) + 1j * np.median(fids[~empty].imag, axis=0)
    rest = fids - middle
    # what is smaller than that is of no consequence, however it stands out without noise
    floor = _NEGLIGIBLE * float(_size(middle[None], protocol, LOW_PPM, HIGH_PPM)[0])
    excess = {
        reason: np.log(np.hypot(_size(rest, protocol, *place), floor))
        for reason, place in _PLACES.items()
    }
    judged = [
        ("broadened", found.broadening_hz, settings.broadening_hz),
        ("signal lost", -found.gain, settings.gain),
        ("too much signal", found.gain, settings.gain),
        *((reason, value, settings.misfit) for reason, value in excess.items()),
    ]
    # the spread of a few transients is itself not well known
    few = 1.0 + _SMALL_GROUP / (count - int(empty.sum()))
    for reason, value, least in judged:
        centre = float(np.median(value[~empty]))
        spread = float(np.median(np.abs(value[~empty] - centre)))
        limit = max(settings.deviations * few * spread, least)
        for number in np.flatnonzero(value - centre > limit):
            reasons[number] = reasons[number] or reason
    return tuple(reasons)


def _size(fids: Complex, protocol: MegaProtocol, low_ppm: float, high_ppm: float) -> Real:
    """Size of the signal within a range, shape (transient,)."""
    points = min(fids.shape[-1], int(np.ceil(_SEEN_S / protocol.dwell_s)))
    # a narrow spectrum does not reach lipid, which is then no trouble either
    axis = ppm_axis(points, protocol)
    low_ppm, high_ppm = max(low_ppm, float(axis[0])), min(high_ppm, float(axis[-1]))
    if high_ppm - low_ppm < _NARROWEST_PPM:
        return np.zeros(len(fids))
    band = Band.of(protocol, points, low_ppm, high_ppm, degree=_DEGREE)
    size: Real = np.linalg.norm(band.take(fids[:, :points]), axis=1)
    return size
