"""The three singlets that every brain spectrum shows, and where a spectrum has them.

They are sought by place and not by phase, so that drift, phase cycling and polarity do not
matter: a pair of creatine and choline in phase with each other, and NAA apart, since edit ON has
none.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import median_filter

from cestle.errors import ProtocolError
from cestle.mrs.band import Band, damped, moved
from cestle.mrs.series import MegaProtocol
from cestle.physics import Complex, Real

NAA_PPM: Final = 2.008
CREATINE_PPM: Final = 3.027
CHOLINE_PPM: Final = 3.210
"""Places of the methyl singlets (Govindaraju et al., doi:10.1002/1099-1492(200005)13:3<129)."""

WIDTH_HZ: Final = 9.0
"""Width of the sought lines, `_DAMPING_HZ` included [Hz]."""

SOUGHT_PPM: Final = 0.5
"""How far from its place a spectrum is sought, to say where it is even if it is too far [ppm]."""

_LOW_PPM: Final = 1.65
_HIGH_PPM: Final = 3.65
_DEGREE: Final = 5
_SEEN_S: Final = 0.5
_DAMPING_HZ: Final = 3.0
_NEIGHBOURS: Final = 9
_WANDER_HZ: Final = 2.0
_JUMP_COST: Final = 12.0
_STEP_HZ: Final = 1.0
_AMPLITUDE: Final = {CREATINE_PPM: 1.0, CHOLINE_PPM: 0.6}


@dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """How far the singlets are sought.

    Parameters
    ----------
    common_ppm
        Largest displacement of all transients together [ppm].
    single_hz
        Largest displacement of one transient from where most of them are [Hz].
    """

    common_ppm: float = 0.3
    single_hz: float = 25.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Whereabouts:
    """Where each transient has the singlets, and how large they are.

    Parameters
    ----------
    frequency_hz
        How far the singlets are above their places, shape (transient,) [Hz].
    creatine
        Complex amplitude of creatine, choline in phase with it, shape (transient,) [a.u.].
    naa
        Complex amplitude of NAA, same shape [a.u.].
    signal
        Energy of these lines over the variance of the noise, same shape.
    explained
        Share of the energy of all transients that these lines explain, 0…1.
    """

    frequency_hz: Real
    creatine: Complex
    naa: Complex
    signal: Real
    explained: float


def locate(fids: Complex, protocol: MegaProtocol, settings: SearchSettings) -> Whereabouts:
    """Find creatine, choline and NAA in each transient.

    Parameters
    ----------
    fids
        Shape (transient, point), in the convention ppm = transmitter + f / f0 [a.u.].
    protocol
        How they were acquired.
    settings
        How far to search.

    Raises
    ------
    ProtocolError
        When all transients together are displaced by more than `SearchSettings.common_ppm`, or
        the spectrum does not reach over the singlets.
    """
    points = min(fids.shape[-1], int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, _LOW_PPM, _HIGH_PPM, degree=_DEGREE)
    spectra = band.take(damped(fids[:, :points], protocol.dwell_s, width_hz=_DAMPING_HZ))
    reach = SOUGHT_PPM * protocol.frequency_mhz + settings.single_hz
    grid = np.arange(-np.ceil(reach), np.ceil(reach) + 1.0) * _STEP_HZ
    noise = _noise(spectra)
    strength = _Templates(band, protocol, grid).strength(spectra) / noise[:, None]
    # so that no single transient rules
    shares = strength / np.maximum(strength.max(axis=1, keepdims=True), 1.0)
    common = _common(grid, shares.sum(axis=0), protocol, settings)
    near = np.abs(grid - common) <= settings.single_hz
    frequency = _steady_peak(grid[near], strength[:, near])
    own = _Templates(band, protocol, frequency)
    creatine = np.sum(spectra * own.pair.conj(), axis=1)
    naa = np.sum(spectra * own.naa.conj(), axis=1)
    energy = float(np.sum(np.abs(spectra) ** 2))
    lines = np.abs(creatine) ** 2 + np.abs(naa) ** 2
    return Whereabouts(
        frequency_hz=frequency,
        creatine=creatine / own.pair_norm,
        naa=naa / own.naa_norm,
        signal=lines / noise,
        explained=float(lines.sum()) / energy if energy > 0.0 else 0.0,
    )


def in_phase(fids: Complex, protocol: MegaProtocol, where: Whereabouts) -> Complex:
    """FIDs moved so that the singlets are at their places and creatine is positive."""
    return moved(fids, protocol.dwell_s, where.frequency_hz, np.angle(where.creatine))


def _common(grid: Real, strength: Real, protocol: MegaProtocol, settings: SearchSettings) -> float:
    within = np.abs(grid) <= SOUGHT_PPM * protocol.frequency_mhz
    common = float(grid[within][np.argmax(strength[within])])
    shift_ppm = common / protocol.frequency_mhz
    if abs(shift_ppm) > settings.common_ppm:
        raise ProtocolError(
            f"creatine, choline and NAA are displaced by {shift_ppm:+.2f} ppm; expected them "
            f"within {settings.common_ppm:g} ppm of their places; check transmitter frequency and "
            "its chemical shift."
        )
    return common


def _noise(spectra: Complex) -> Real:
    """Variance of the noise of each transient, from the median bin, shape (transient,)."""
    power = np.median(np.abs(spectra) ** 2, axis=1) / np.log(2.0)
    noise: Real = np.maximum(power, np.finfo(np.float64).tiny)
    return noise


def _steady_peak(grid: Real, strength: Real) -> Real:
    """Likeliest place of each transient, given where its neighbours are.

    Noise of a faint transient may look like creatine anywhere. Its logarithmic likelihood falls
    with the distance to the running median of the neighbours, but by no more than a real jump
    makes up for.
    """
    first = _peak(grid, strength)
    middle = median_filter(first, min(_NEIGHBOURS, len(first)), mode="nearest")
    away = (grid[None, :] - middle[:, None]) / _WANDER_HZ
    return _peak(grid, strength - np.minimum(0.5 * away**2, _JUMP_COST))


def _peak(grid: Real, strength: Real) -> Real:
    """Place of the largest value of each row, by a parabola through three points."""
    top = np.clip(np.argmax(strength, axis=1), 1, len(grid) - 2)
    row = np.arange(len(strength))
    left, middle, right = (strength[row, top + step] for step in (-1, 0, 1))
    bend = 2.0 * middle - left - right
    aside = np.where(bend > 0.0, 0.5 * (right - left) / np.where(bend > 0.0, bend, 1.0), 0.0)
    found: Real = grid[top] + np.clip(aside, -1.0, 1.0) * (grid[1] - grid[0])
    return found


class _Templates:
    """Creatine with choline, and NAA, at each displacement, of norm 1 over the band."""

    def __init__(self, band: Band, protocol: MegaProtocol, shift_hz: Real) -> None:
        lines = [share * _line(band, protocol, ppm, shift_hz) for ppm, share in _AMPLITUDE.items()]
        self.pair, self.pair_norm = _unit(band.rough(lines[0] + lines[1]))
        self.naa, self.naa_norm = _unit(band.rough(_line(band, protocol, NAA_PPM, shift_hz)))

    def strength(self, spectra: Complex) -> Real:
        """Energy that they explain, shape (transient, displacement)."""
        pair = np.abs(spectra @ self.pair.conj().T) ** 2
        naa = np.abs(spectra @ self.naa.conj().T) ** 2
        strength: Real = pair + naa
        return strength


def _line(band: Band, protocol: MegaProtocol, ppm: float, shift_hz: Real) -> Complex:
    """Spectra of a line of FID amplitude 1, shape (displacement, bin)."""
    place = (ppm - protocol.transmitter_ppm) * protocol.frequency_mhz + shift_hz
    away = band.frequency_hz[None, :] - place[:, None]
    line: Complex = np.asarray(
        1.0 / (np.pi * WIDTH_HZ + 2j * np.pi * away) / protocol.dwell_s, dtype=np.complex128
    )
    return line


def _unit(templates: Complex) -> tuple[Complex, Real]:
    norm: Real = np.linalg.norm(templates, axis=1)
    return templates / norm[:, None], norm
