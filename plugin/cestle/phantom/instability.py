"""What changes from transient to transient: field, phase, motion, spikes, receiver elements."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from cestle.mrs.series import EditState
from cestle.phantom.mega_settings import MegaSimulation
from cestle.physics import Complex, Real

MOVED: Final = "motion"
SPIKE: Final = "spike"

_LONGEST_EVENT: Final = 5
_ATTEMPTS: Final = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """What each transient suffers, in the order of acquisition.

    Parameters
    ----------
    states
        Editing state of each.
    receiver_deg
        Phase of the receiver, which the unsuppressed water has too [degrees].
    frequency_hz, phase_deg
        Shift of all its signals, shape (transient,) [Hz], [degrees].
    amplitude
        Factor on all its signals, shape (transient,) [1].
    broadening_hz
        Lorentzian width added to all its signals, shape (transient,) [Hz].
    unwanted
        Factor on residual water and lipid, shape (transient,) [1].
    bad
        Why a transient is spoilt, by its number.
    """

    states: tuple[EditState, ...]
    receiver_deg: float
    frequency_hz: Real
    phase_deg: Real
    amplitude: Real
    broadening_hz: Real
    unwanted: Real
    bad: Mapping[int, str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "bad", MappingProxyType(dict(self.bad)))

    def of(self, state: EditState) -> list[int]:
        """Numbers of the transients of a state."""
        return [number for number, one in enumerate(self.states) if one is state]

    @property
    def drift_range_hz(self) -> float:
        """Largest minus smallest frequency of the transients that are not spoilt [Hz]."""
        good = [number not in self.bad for number in range(len(self.states))]
        return float(np.ptp(self.frequency_hz[np.array(good)]))

    def factors(self, time_s: Real) -> Complex:
        """Factor on the FID of each transient, shape (transient, point)."""
        exponent = 2j * np.pi * np.outer(self.frequency_hz, time_s)
        exponent -= np.pi * np.outer(self.broadening_hz, time_s)
        turned = self.amplitude * np.exp(1j * np.radians(self.phase_deg))
        factors: Complex = turned[:, None] * np.exp(exponent)
        return factors


def history(settings: MegaSimulation) -> History:
    """Draw the history of a measurement."""
    count = settings.transients
    progress = np.arange(count) / max(count - 1, 1)
    states = _states(settings)
    generator = np.random.default_rng([settings.seed, 0xD21F])
    walk = np.cumsum(generator.normal(scale=settings.walk_hz / np.sqrt(count), size=count))
    frequency = settings.offset_hz + settings.drift_hz * progress + walk - walk[0]
    for number, jump_hz in settings.jumps:
        frequency[number:] += jump_hz
    frequency += settings.frequency_noise_hz * generator.normal(size=count)
    drawn = float(generator.uniform(-180.0, 180.0))
    receiver = drawn if settings.phase_deg is None else settings.phase_deg
    phases = receiver + settings.phase_drift_deg * progress + _cycle(settings, states)
    phases += settings.phase_noise_deg * generator.normal(size=count)
    steady = History(
        states=states,
        receiver_deg=receiver,
        frequency_hz=frequency,
        phase_deg=phases,
        amplitude=np.ones(count),
        broadening_hz=np.zeros(count),
        unwanted=np.ones(count),
        bad={},
    )
    return _disturbed(steady, settings)


def spiked(fids: Complex, bad: Mapping[int, str], *, height: float, seed: int) -> Complex:
    """Transients with a large point or two in those that are to have a spike.

    Parameters
    ----------
    fids
        Shape (transient, point) [a.u.].
    bad
        As in `History`.
    height
        Smallest size of a spike [a.u.].
    seed
        Of the places and sizes.
    """
    generator = np.random.default_rng([seed, 0x5B1C])
    found = fids.copy()
    for number, reason in bad.items():
        if reason != SPIKE:
            continue
        start = int(generator.integers(4, fids.shape[-1] // 4))
        size = height * generator.uniform(1.0, 2.0) * np.exp(2j * np.pi * generator.uniform())
        found[number, start : start + int(generator.integers(1, 3))] += size
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Receiver:
    """Elements of the coil.

    Parameters
    ----------
    sensitivity
        Signal of each for a unit signal, shape (coil,) [1].
    mixing
        Maps independent noise of unit variance to that of the elements, shape (coil, coil), so
        that the best combination of them has unit variance for a unit signal.
    """

    sensitivity: Complex
    mixing: Complex

    @property
    def weights(self) -> Complex:
        """Best combination, shape (coil,): unit signal, least noise."""
        covariance = self.mixing @ np.conj(self.mixing.T)
        matched = np.linalg.solve(covariance, self.sensitivity)
        weights: Complex = np.conj(matched) / np.real(np.conj(self.sensitivity) @ matched)
        return weights


def drawn_receiver(settings: MegaSimulation) -> Receiver:
    """Elements of unequal distance to the voxel, whose noise is correlated."""
    count = settings.coils
    if count == 1:
        one = np.ones(1, dtype=np.complex128)
        return Receiver(sensitivity=one, mixing=np.ones((1, 1), dtype=np.complex128))
    generator = np.random.default_rng([settings.seed, 0xC011])
    size = np.exp(generator.normal(scale=0.8, size=count))
    sensitivity = size * np.exp(2j * np.pi * generator.uniform(size=count))
    shared = generator.normal(size=(count, 3)) + 1j * generator.normal(size=(count, 3))
    covariance = np.eye(count) + 0.25 * shared @ np.conj(shared.T)
    gain = np.exp(generator.normal(scale=0.3, size=count))
    covariance = covariance * np.outer(gain, gain)
    least = np.real(np.conj(sensitivity) @ np.linalg.solve(covariance, sensitivity))
    return Receiver(sensitivity=sensitivity, mixing=np.linalg.cholesky(covariance * least))


def _states(settings: MegaSimulation) -> tuple[EditState, ...]:
    other = EditState.OFF if settings.first is EditState.ON else EditState.ON
    return tuple(
        settings.first if number // settings.block % 2 == 0 else other
        for number in range(settings.transients)
    )


def _cycle(settings: MegaSimulation, states: tuple[EditState, ...]) -> Real:
    """Phase of each transient by the cycle, which moves on with every transient of a state."""
    steps = np.array(settings.phase_cycle_deg)
    counted = dict.fromkeys(EditState, 0)
    phase = np.empty(len(states))
    for number, state in enumerate(states):
        phase[number] = steps[counted[state] % len(steps)]
        counted[state] += 1
    return phase


def _disturbed(steady: History, settings: MegaSimulation) -> History:
    count = settings.transients
    generator = np.random.default_rng([settings.seed, 0xBAD])
    bad = dict.fromkeys(_moved_numbers(generator, count, settings.moved), MOVED)
    free = [number for number in range(count) if number not in bad]
    picked = generator.choice(free, size=settings.spikes, replace=False)
    bad |= dict.fromkeys((int(number) for number in picked), SPIKE)
    moved = np.array([bad.get(number) == MOVED for number in range(count)])
    side = generator.choice([-1.0, 1.0], size=(2, count))
    return replace(
        steady,
        frequency_hz=steady.frequency_hz
        + np.where(moved, side[0] * generator.uniform(2.0, 10.0, size=count), 0.0),
        phase_deg=steady.phase_deg
        + np.where(moved, side[1] * generator.uniform(30.0, 140.0, size=count), 0.0),
        amplitude=np.where(moved, generator.uniform(0.3, 0.75, size=count), 1.0),
        broadening_hz=np.where(moved, generator.uniform(5.0, 16.0, size=count), 0.0),
        unwanted=np.where(moved, generator.uniform(2.0, 6.0, size=count), 1.0),
        bad=dict(sorted(bad.items())),
    )


def _moved_numbers(generator: np.random.Generator, count: int, wanted: int) -> list[int]:
    """Numbers of `wanted` transients in events of one to five that follow each other."""
    taken: set[int] = set()
    for _ in range(_ATTEMPTS):
        if len(taken) >= wanted:
            break
        length = min(int(generator.integers(1, _LONGEST_EVENT + 1)), wanted - len(taken))
        start = int(generator.integers(0, count - length + 1))
        event = set(range(start, start + length))
        if not event & taken:
            taken |= event
    return sorted(taken)
