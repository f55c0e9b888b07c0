"""Water signal after saturation, from the Bloch-McConnell equations.

Water and each exchanging pool have a magnetisation with three components; the semisolid pool has
only a longitudinal one, which is saturated at the rate of its lineshape. During a pulse of
constant amplitude the system is linear with constant coefficients, so that its solution is a sum
of exponentials, computed here from the eigenvalues of many systems at once.

References
----------
McConnell HM. J Chem Phys 1958;28:430-431. doi:10.1063/1.1744152
Woessner DE et al. Magn Reson Med 2005;53:790-799. doi:10.1002/mrm.20408
Henkelman RM et al. Magn Reson Med 1993;29:759-766. doi:10.1002/mrm.1910290607
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.physics import GAMMA_BAR_MHZ_PER_T, Real

RAD_PER_S_PER_UT: Final = 2.0 * np.pi * GAMMA_BAR_MHZ_PER_T
"""Rotation by a field of 1 µT [rad/s]."""

_ORIENTATIONS: Final = 2000
_POLE_HZ: Final = 200.0


class Lineshape(StrEnum):
    """Absorption line of the semisolid pool."""

    SUPER_LORENTZIAN = "super-Lorentzian"
    LORENTZIAN = "Lorentzian"


@dataclass(frozen=True, kw_only=True)
class ExchangePool:
    """Protons of a solute in exchange with water.

    Parameters
    ----------
    name
        What the protons belong to.
    shift_ppm
        Resonance relative to water, + downfield [ppm].
    fraction
        Number of protons over that of water [1].
    exchange_per_s
        Rate from the pool to water [1/s]; detailed balance gives the rate back.
    t1_s, t2_s
        Relaxation times of the pool [s].
    """

    name: str
    shift_ppm: float
    fraction: float
    exchange_per_s: float
    t1_s: float
    t2_s: float


@dataclass(frozen=True, kw_only=True)
class SemisolidPool:
    """Macromolecular protons, of which only the longitudinal part is followed.

    Parameters
    ----------
    fraction
        Number of protons over that of water [1].
    exchange_per_s
        Rate from the pool to water [1/s].
    t1_s, t2_s
        Relaxation times; `t2_s` sets the width of the line [s].
    shift_ppm
        Centre of the line relative to water [ppm].
    lineshape
        Form of the line.
    """

    fraction: float
    exchange_per_s: float
    t1_s: float
    t2_s: float
    shift_ppm: float = 0.0
    lineshape: Lineshape = Lineshape.SUPER_LORENTZIAN


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """Water and the pools that exchange with it.

    Parameters
    ----------
    name
        What it is.
    proton_density
        Water protons relative to pure water [1].
    t1_s, t2_s
        Relaxation times of water without exchange [s].
    pools
        Exchanging solutes.
    semisolid
        Macromolecules; None for a fluid.
    """

    name: str
    proton_density: float
    t1_s: float
    t2_s: float
    pools: tuple[ExchangePool, ...] = ()
    semisolid: SemisolidPool | None = None


@dataclass(frozen=True, kw_only=True)
class SaturationSequence:
    """One shot: recovery, a square pulse, a readout that leaves no magnetisation behind.

    Parameters
    ----------
    b1_rms_ut
        Nominal amplitude of the pulse [µT].
    saturation_s
        Duration of the pulse [s].
    repetition_s
        Time from one readout to the next [s].
    echo_s
        Effective echo time of the readout [s].
    f0_mhz
        Transmitter frequency [MHz].
    intravoxel_hz
        Half width of the Lorentzian spread of B0 inside a voxel [Hz]. It dephases the
        magnetisation that nutates about the effective field; without it fluids would show
        oscillations along the offset that no voxel of a patient shows. 0 for a point.
    """

    b1_rms_ut: float
    saturation_s: float
    repetition_s: float
    echo_s: float
    f0_mhz: float
    intravoxel_hz: float


def super_lorentzian(detuning_rad_s: Real, *, t2_s: float) -> Real:
    """Super-Lorentzian absorption line, normalised to a unit integral over angular frequency.

    Nearer to the centre than 200 Hz, where the powder average diverges, the line continues as
    the parabola that meets it there with equal value and slope.

    Parameters
    ----------
    detuning_rad_s
        Distance from the centre of the line, shape (n,) [rad/s].
    t2_s
        Transverse relaxation time of the pool [s].

    Returns
    -------
        Line, shape (n,) [s].

    References
    ----------
    Morrison C, Henkelman RM. Magn Reson Med 1995;33:475-482. doi:10.1002/mrm.1910330404
    """
    pole = 2.0 * np.pi * _POLE_HZ
    step = 0.01 * pole
    at_pole, beyond = _powder_average(np.array([pole, pole + step]), t2_s=t2_s)
    slope = (beyond - at_pole) / step
    distance = np.abs(detuning_rad_s)
    near = at_pole + 0.5 * slope / pole * (distance**2 - pole**2)
    far = _powder_average(np.maximum(distance, pole), t2_s=t2_s)
    line: Real = np.where(distance < pole, near, far)
    return line


def _powder_average(detuning_rad_s: Real, *, t2_s: float) -> Real:
    cosine = (np.arange(_ORIENTATIONS) + 0.5) / _ORIENTATIONS
    width = np.abs(3.0 * cosine**2 - 1.0)
    exponent = -2.0 * (detuning_rad_s[:, None] * t2_s / width) ** 2
    line: Real = np.sqrt(2.0 / np.pi) * np.mean(t2_s / width * np.exp(exponent), axis=1)
    return line


def saturation_rate(pool: SemisolidPool, detuning_rad_s: Real, omega1_rad_s: Real) -> Real:
    """Rate at which a pulse saturates the semisolid pool [1/s].

    Parameters
    ----------
    pool
        The pool.
    detuning_rad_s
        Pulse minus centre of the line, shape (n,) [rad/s].
    omega1_rad_s
        Amplitude of the pulse, shape (n,) [rad/s].
    """
    if pool.lineshape is Lineshape.LORENTZIAN:
        line = pool.t2_s / np.pi / (1.0 + (detuning_rad_s * pool.t2_s) ** 2)
    else:
        line = super_lorentzian(detuning_rad_s, t2_s=pool.t2_s)
    rate: Real = np.pi * omega1_rad_s**2 * line
    return rate


def generators(
    tissue: Tissue, offsets_ppm: Real, omega1_rad_s: Real, *, f0_mhz: float
) -> tuple[Real, Real]:
    """Matrices A and vector b of dM/dt = A M + b in the frame that rotates with the pulse.

    The order of the components is x, y, z of water, x, y, z of each pool, z of the semisolid.

    Parameters
    ----------
    tissue
        Water and pools.
    offsets_ppm
        Pulse minus the voxel's own water frequency, shape (n,) [ppm].
    omega1_rad_s
        Amplitude of the pulse along x, shape (n,) [rad/s].
    f0_mhz
        Transmitter frequency [MHz].

    Returns
    -------
        A of shape (n, d, d) [1/s] and b of shape (d,), with the equilibrium of water as unit.
    """
    spins = [(1.0, 0.0, tissue.t1_s, tissue.t2_s)]
    spins += [(p.fraction, p.shift_ppm, p.t1_s, p.t2_s) for p in tissue.pools]
    solid = tissue.semisolid
    size = 3 * len(spins) + (solid is not None)
    a = np.zeros((len(offsets_ppm), size, size))
    b = np.zeros(size)
    rad_per_ppm = 2.0 * np.pi * f0_mhz
    for spin, (fraction, shift_ppm, t1_s, t2_s) in enumerate(spins):
        x, y, z = 3 * spin, 3 * spin + 1, 3 * spin + 2
        precession = (shift_ppm - offsets_ppm) * rad_per_ppm
        a[:, x, x] = a[:, y, y] = -1.0 / t2_s
        a[:, z, z] = -1.0 / t1_s
        a[:, x, y], a[:, y, x] = -precession, precession
        a[:, y, z], a[:, z, y] = -omega1_rad_s, omega1_rad_s
        b[z] = fraction / t1_s
    for spin, pool in enumerate(tissue.pools, start=1):
        for axis in range(3):
            _exchange(a, 3 * spin + axis, axis, pool.exchange_per_s, pool.fraction)
    if solid is not None:
        last = size - 1
        detuning = (offsets_ppm - solid.shift_ppm) * rad_per_ppm
        a[:, last, last] = -1.0 / solid.t1_s - saturation_rate(solid, detuning, omega1_rad_s)
        b[last] = solid.fraction / solid.t1_s
        _exchange(a, last, 2, solid.exchange_per_s, solid.fraction)
    return a, b


def _exchange(a: Real, pool: int, water: int, rate_per_s: float, fraction: float) -> None:
    """Add exchange of component `pool` with component `water` under detailed balance."""
    a[:, pool, pool] -= rate_per_s
    a[:, water, pool] += rate_per_s
    a[:, water, water] -= rate_per_s * fraction
    a[:, pool, water] += rate_per_s * fraction


def evolve(a: Real, b: Real, start: Real, *, duration_s: float, intravoxel_hz: float) -> Real:
    """Magnetisation after `duration_s` of dM/dt = A M + b.

    Parameters
    ----------
    a, b
        As `generators` returns them, shapes (n, d, d) and (d,).
    start
        Magnetisation before, shape (d,).
    duration_s
        Time [s].
    intravoxel_hz
        Spread of B0 that dephases the rotating solutions, see `SaturationSequence` [Hz].

    Returns
    -------
        Magnetisation after, shape (n, d).

    Raises
    ------
    NumericalError
        When a system has no full set of eigenvectors, so that the sum of exponentials fails.
    """
    steady = -np.linalg.solve(a, np.broadcast_to(b, a.shape[:2])[..., None])[..., 0]
    values, vectors = np.linalg.eig(a)
    amplitudes = np.linalg.solve(vectors, (start - steady)[..., None].astype(np.complex128))
    rotating = np.abs(values.imag) > 1e-6 * np.abs(values.real)
    damping = np.where(rotating, 2.0 * np.pi * intravoxel_hz, 0.0)
    decay = np.exp((values - damping) * duration_s)
    after = steady + np.matmul(vectors, decay[..., None] * amplitudes)[..., 0]
    if not np.all(np.isfinite(after)) or np.max(np.abs(after.imag)) > 1e-6:
        raise NumericalError(
            "the Bloch-McConnell system has no full set of eigenvectors; change a relaxation "
            "time or an exchange rate slightly."
        )
    real: Real = np.ascontiguousarray(after.real)
    return real


def water_mz(
    tissue: Tissue, offsets_ppm: Real, relative_b1: Real, *, sequence: SaturationSequence
) -> Real:
    """Longitudinal water magnetisation when the readout begins, in a running series of shots.

    Parameters
    ----------
    tissue
        Water and pools.
    offsets_ppm
        Pulse minus the voxel's own water frequency, shape (n,) [ppm].
    relative_b1
        Actual over nominal amplitude of the pulse, shape (n,) [1].
    sequence
        Timing and nominal amplitude.

    Returns
    -------
        Mz over its equilibrium, shape (n,) [1].
    """
    omega1 = relative_b1 * sequence.b1_rms_ut * RAD_PER_S_PER_UT
    recovered = _recover(tissue, sequence)
    a, b = generators(tissue, offsets_ppm, omega1, f0_mhz=sequence.f0_mhz)
    after = evolve(
        a,
        b,
        recovered,
        duration_s=sequence.saturation_s,
        intravoxel_hz=sequence.intravoxel_hz,
    )
    mz: Real = after[:, 2]
    return mz


def signal(
    tissue: Tissue, offsets_ppm: Real, relative_b1: Real, *, sequence: SaturationSequence
) -> Real:
    """Signal of pure `tissue`, shape (n,), with pure water at equilibrium and no echo as 1."""
    decay = tissue.proton_density * np.exp(-sequence.echo_s / tissue.t2_s)
    strength: Real = decay * water_mz(tissue, offsets_ppm, relative_b1, sequence=sequence)
    return strength


def glucest_percent(tissue: Tissue, *, target_ppm: float, sequence: SaturationSequence) -> float:
    """True contrast of `tissue` at nominal B1 and on resonance, 100 (S₋ − S₊) / S₋ [%].

    Kept here, apart from the reconstruction, so that truth and measurement share no code.
    """
    pair = np.array([-target_ppm, target_ppm])
    negative, positive = signal(tissue, pair, np.ones(2), sequence=sequence)
    return float(100.0 * (negative - positive) / negative)


def _recover(tissue: Tissue, sequence: SaturationSequence) -> Real:
    """State before the pulse: all magnetisation was used up one recovery time before."""
    a, b = generators(tissue, np.zeros(1), np.zeros(1), f0_mhz=sequence.f0_mhz)
    pause_s = sequence.repetition_s - sequence.saturation_s
    start = np.zeros(len(b))
    state: Real = evolve(a, b, start, duration_s=pause_s, intravoxel_hz=0.0)[0]
    return state
