"""Which way the FID turns, decided on the data.

Vendors store FIDs as exp(+iωt), as the standard says (PS3.3 C.8.14.4.1), or conjugated. The
metabolites of a brain lie on one side of water only, so the signal itself tells. For either sign
creatine, choline and NAA are sought in each transient, the transients are put in phase and
averaged, water is taken away, and the energy where metabolites should be is held against that of
the mirrored range. A search finds something in pure noise, too, but then as much for either sign.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.ndimage import median_filter

from cestle.errors import ProtocolError
from cestle.mrs.band import damped
from cestle.mrs.series import MegaProtocol
from cestle.mrs.singlets import SOUGHT_PPM, SearchSettings, in_phase, locate
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from cestle.mrs.water import WATER_PPM, WaterModes, WaterSettings
from cestle.physics import Complex, Real

DECISIVE: Final = 20.0
"""Least ratio of the energies on both sides of water; a real frame of water alone gave 5."""
UNIQUE: Final = 4.0
"""How many times larger the ratio must be than that of the search for the other sign."""

_NEAR_PPM: Final = 1.4
_FAR_PPM: Final = 2.8
_LIPID_FAR_PPM: Final = 4.2
_WATER_PPM: Final = 1.0
_CENTRED_PPM: Final = 0.3
_SEEN_S: Final = 0.5
_DAMPING_HZ: Final = 5.0
_BASELINE_PPM: Final = 0.3
_SMALLEST: Final = 1e-6
_SWAMPED: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class FidSign:
    """The sign of a FID and how sure it is.

    Parameters
    ----------
    conjugated
        Whether the FID turns against the standard.
    ratio
        Energy 1.4 to 2.8 ppm below water over that as far above it.
    """

    conjugated: bool
    ratio: float


@dataclass(frozen=True, kw_only=True)
class _Sides:
    """Signal beside water, of the mean of all transients put in phase."""

    explained: float
    ratio: float
    lipid: float


def decide_sign(fids: Complex, protocol: MegaProtocol) -> FidSign:
    """Find which way metabolite FIDs turn.

    Parameters
    ----------
    fids
        As they arrived, one coil, shape (transient, point) [a.u.].
    protocol
        How they were acquired.

    Raises
    ------
    ProtocolError
        When the data do not tell: no metabolites beside water, or signal on both sides of it.
    """
    found = [_sides(fids, protocol), _sides(fids.conj(), protocol)]
    best, other = sorted(found, key=lambda sides: sides.ratio, reverse=True)
    if abs(protocol.transmitter_ppm - WATER_PPM) > _CENTRED_PPM:
        # the mirrored range does not mirror water then, which may even lie among metabolites
        best, other = _beside_water(fids, protocol, found)
    if best.ratio < DECISIVE or best.ratio < UNIQUE * other.ratio:
        raise ProtocolError(
            f"the sign of the FID cannot be told: {_reason(best, other)} (energy below over that "
            f"above water is {best.ratio:.2g}, at least {DECISIVE:g} expected); check that these "
            "are metabolite data of a brain with NAA, creatine and choline."
        )
    return FidSign(conjugated=best is found[1], ratio=best.ratio)


def _beside_water(
    fids: Complex, protocol: MegaProtocol, found: list[_Sides]
) -> tuple[_Sides, _Sides]:
    """The sign that leaves water in its place, or else explains more, and the other one."""
    there = [_shows_water(fids, protocol), _shows_water(fids.conj(), protocol)]
    if there[0] != there[1]:
        best, other = found if there[0] else reversed(found)
        return best, replace(other, ratio=0.0)
    best, other = sorted(found, key=lambda sides: sides.explained, reverse=True)
    return best, other


def _shows_water(fids: Complex, protocol: MegaProtocol) -> bool:
    """Whether the strongest line of all transients together stands where water belongs."""
    power = np.sum(np.abs(to_spectrum(fids)) ** 2, axis=0)
    place = ppm_axis(fids.shape[-1], protocol)[np.argmax(power)]
    return bool(abs(place - WATER_PPM) <= SOUGHT_PPM)


def _reason(best: _Sides, other: _Sides) -> str:
    if best.lipid > _SWAMPED:
        return "lipid swamps the metabolites"
    if best.ratio < UNIQUE * other.ratio:
        return "no side of water shows more than the other, as in water or noise alone"
    return "there is signal on both sides of water"


def _sides(fids: Complex, protocol: MegaProtocol) -> _Sides:
    search = SearchSettings(common_ppm=SOUGHT_PPM)
    points = min(fids.shape[-1], int(np.ceil(_SEEN_S / protocol.dwell_s)))
    seen = fids[:, :points]
    where = locate(seen, protocol, search)
    mean = in_phase(seen, protocol, where).mean(axis=0)
    # for the wrong sign the search may have moved water by all that it may move anything
    everywhere = WaterSettings(half_width_ppm=_WATER_PPM)
    rest = WaterModes.of(mean, protocol, everywhere).taken_from(mean)
    below = WATER_PPM - ppm_axis(points, protocol)
    power = _power(damped(rest, protocol.dwell_s, width_hz=_DAMPING_HZ), below)

    def energy(near: float, far: float) -> float:
        return float(power[(below >= near) & (below <= far)].sum())

    def strongest(near: float, far: float) -> float:
        return float(power[(below >= near) & (below <= far)].max(initial=0.0))

    there, mirrored = energy(_NEAR_PPM, _FAR_PPM), energy(-_FAR_PPM, -_NEAR_PPM)
    return _Sides(
        explained=where.explained,
        ratio=_over(there, mirrored),
        lipid=_over(strongest(_FAR_PPM, _LIPID_FAR_PPM), strongest(_NEAR_PPM, _FAR_PPM)),
    )


def _over(energy: float, other: float) -> float:
    """Ratio of two energies, not beyond one million."""
    return energy / max(other, _SMALLEST * energy, np.finfo(np.float64).tiny)


def _power(fid: Complex, below: Real) -> Real:
    """Power spectrum without what is broader than a running median."""
    spectrum = to_spectrum(fid)
    width = 2 * int(0.5 * _BASELINE_PPM / abs(below[1] - below[0])) + 1
    broad = median_filter(spectrum.real, width) + 1j * median_filter(spectrum.imag, width)
    power: Real = np.abs(spectrum - broad) ** 2
    return power
