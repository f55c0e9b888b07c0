"""MEGA-PRESS transients with known truth, from the shipped basis and plain formulas.

Written apart from the phantom of the product, so that the preparation is held against physics
and not against another part of cestle.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.mrs.series import EditState, MegaProtocol, MegaSeries

ON, OFF = EditState.ON, EditState.OFF

MILLIMOLAR = {
    "NAA": 12.0, "NAAG": 1.5, "Cr": 4.5, "PCr": 4.0, "GPC": 1.0, "PCh": 0.6, "mIns": 6.0,
    "Glu": 9.0, "Gln": 3.0, "GABA": 1.4, "GSH": 1.0, "Asp": 2.0, "Tau": 1.5, "Lac": 0.5,
}  # fmt: skip

MACROMOLECULES = (
    # ppm, area in OFF, area in ON [mM protons], FWHM [ppm]
    (0.91, 9.0, 9.0, 0.12), (1.21, 5.0, 5.0, 0.12), (1.39, 8.0, 8.0, 0.12),
    (1.67, 4.0, 1.0, 0.12), (2.04, 12.0, 2.0, 0.16), (2.27, 5.0, 3.0, 0.14),
    (2.99, 1.0, 2.4, 0.09), (3.21, 1.0, 1.0, 0.10), (3.75, 3.0, 3.0, 0.15),
)  # fmt: skip


@cache
def basis(frequency_mhz):
    """The default basis of the nearest field."""
    bases = shipped_bases(TemplateFolder.default())
    return min(bases, key=lambda b: abs(b.settings.frequency_mhz - frequency_mhz))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is acquired. Frequencies in Hz, phases in degrees, widths FWHM in Hz."""

    pairs: int = 32
    points: int = 2048
    dwell_s: float = 0.0005
    frequency_mhz: float = 210.8
    transmitter_ppm: float = 4.7
    snr: float | None = 100.0
    """NAA height of mean OFF over the noise of its real part; None without noise."""
    order: tuple[EditState, ...] = (ON, OFF)
    """Repeated as a pattern."""
    lorentz_hz: float = 4.0
    gauss_hz: float = 4.0
    water: float = 20.0
    """Amplitude of the water line over that of NAA (36 mM)."""
    water_hz: float = 9.0
    water_jitter: float = 0.1
    lipid: float = 0.0
    """Amplitude of the line at 1.3 ppm over that of NAA."""
    shift_hz: float = 0.0
    drift_hz: float = 0.0
    """From the first to the last transient."""
    jumps: tuple[tuple[int, float], ...] = ()
    """From which transient on, by how much."""
    jitter_hz: float = 0.0
    jitter_deg: float = 0.0
    phase_deg: float = 0.0
    phase_cycle: tuple[float, ...] = (0.0,)
    on_polarity: float = 1.0
    on_shift_hz: float = 0.0
    eddy_deg: float = 0.0
    """Phase at the start that decays with 25 ms, in all FIDs."""
    coils: int = 1
    conjugated: bool = False
    gain: float = 1.0
    bad: tuple[tuple[int, str], ...] = ()
    """Transient and what is wrong with it."""
    without: tuple[str, ...] = ()
    naa: float = 1.0
    """Factor on NAA and NAAG."""
    editing: bool = True
    with_water: bool = True
    seed: int = 1


@dataclass(frozen=True)
class Acquired:
    """The series and what is true of it."""

    series: MegaSeries
    states: tuple[EditState, ...]
    frequency_hz: np.ndarray
    on: np.ndarray
    off: np.ndarray
    """Noise-free FIDs without water, drift and eddy currents; creatine at 3.027 ppm, phase 0."""
    noise_sd: float
    """Of the real part of the spectrum of one transient, all coils combined."""


def times(scene):
    return np.arange(scene.points) * scene.dwell_s


def protocol(scene):
    return MegaProtocol(
        frequency_mhz=scene.frequency_mhz,
        dwell_s=scene.dwell_s,
        transmitter_ppm=scene.transmitter_ppm,
        echo_time_ms=72.0,
        repetition_time_ms=3000.0,
        edit_on_ppm=1.9,
        edit_off_ppm=7.5,
    )


def decay(scene, lorentz_hz, gauss_hz):
    time = times(scene)
    return np.exp(-np.pi * lorentz_hz * time - (np.pi * gauss_hz * time) ** 2 / (4 * np.log(2)))


def line(scene, ppm, lorentz_hz, gauss_hz=0.0):
    offset = (ppm - scene.transmitter_ppm) * scene.frequency_mhz
    return np.exp(2j * np.pi * offset * times(scene)) * decay(scene, lorentz_hz, gauss_hz)


@cache
def undamped(points, protocol, edited):
    """FIDs of the metabolites without decay, by name."""
    lists = basis(protocol.frequency_mhz)
    lists = lists.on if edited else lists.off
    turns = np.arange(points) * protocol.dwell_s * protocol.frequency_mhz
    return {
        name: lists[name].amplitude
        @ np.exp(2j * np.pi * np.outer(lists[name].shift_ppm - protocol.transmitter_ppm, turns))
        for name in MILLIMOLAR
    }


@cache
def tissue(scene):
    """Noise-free FIDs of both states without water."""
    found = []
    for state in (ON, OFF):
        signals = undamped(scene.points, protocol(scene), state is ON and scene.editing)
        total = np.zeros(scene.points, dtype=complex)
        for name, amount in MILLIMOLAR.items():
            if name not in scene.without:
                amount *= scene.naa if name in ("NAA", "NAAG") else 1.0
                total += amount * signals[name]
        total *= decay(scene, scene.lorentz_hz, scene.gauss_hz)
        if "MM" not in scene.without:
            for ppm, off, on, fwhm_ppm in MACROMOLECULES:
                area = on if state is ON and scene.editing else off
                total += area * line(scene, ppm, 2.0, fwhm_ppm * scene.frequency_mhz)
        found.append(total)
    return found


def spoiled(scene, fid, fault, rng):
    """One transient as a fault leaves it."""
    time = times(scene)
    if fault == "quiet":
        return 0.45 * fid
    if fault == "empty":
        return 0.0 * fid
    if fault == "broad":
        return fid * np.exp(-np.pi * 8.0 * time)
    if fault == "lipid":
        swing = np.exp(2j * np.pi * rng.uniform())
        return fid + 150.0 * swing * line(scene, 1.3, 25.0)
    if fault == "spike":
        place = rng.integers(20, 400)
        fid = fid.copy()
        fid[place : place + 3] += 600.0 * np.exp(2j * np.pi * rng.uniform(size=3))
        return fid
    if fault == "moved":
        # the frequency changes while the echo is read, and part of the signal is dephased
        return fid * (0.7 + 0.3 * np.exp(2j * np.pi * (rng.uniform() + 25.0 * time)))
    if fault == "roll":
        return fid + 400.0 * np.exp(2j * np.pi * rng.uniform() - time / 0.0008)
    raise ValueError(fault)


@cache
def acquire(scene):
    """The transients of a scene in the order of acquisition."""
    rng = np.random.default_rng(scene.seed)
    time, count = times(scene), 2 * scene.pairs
    states = tuple(scene.order[i % len(scene.order)] for i in range(count))
    frequency = scene.shift_hz + scene.drift_hz * np.linspace(0.0, 1.0, count)
    for first, step in scene.jumps:
        frequency[first:] += step
    frequency += scene.jitter_hz * rng.standard_normal(count)
    phase = scene.phase_deg + scene.jitter_deg * rng.standard_normal(count)
    phase += np.array([scene.phase_cycle[i % len(scene.phase_cycle)] for i in range(count)])
    on, off = tissue(scene)
    eddy = np.exp(1j * np.radians(scene.eddy_deg) * np.exp(-time / 0.025))
    water_line = 36.0 * line(scene, 4.68, scene.water_hz, scene.water_hz)
    fat = 36.0 * scene.lipid * line(scene, 1.3, 20.0, 15.0)
    heights = np.abs(np.fft.fft(off))
    axis = scene.transmitter_ppm + np.fft.fftfreq(scene.points, scene.dwell_s) / scene.frequency_mhz
    naa = heights[np.abs(axis - 2.0) < 0.15].max()
    spectrum_sd = 0.0 if scene.snr is None else naa / scene.snr * np.sqrt(scene.pairs)
    point_sd = spectrum_sd / np.sqrt(scene.points)
    bad = dict(scene.bad)
    fids = np.empty((count, scene.points), dtype=complex)
    for i, state in enumerate(states):
        residual = scene.water * (1.0 + scene.water_jitter * rng.standard_normal())
        turn = 1j * np.radians(phase[i] + rng.normal(0.0, 20.0 * scene.water_jitter))
        clean = (on if state is ON else off) * np.exp(1j * np.radians(phase[i]))
        fid = clean + (residual * water_line + fat) * np.exp(turn)
        own = frequency[i] + (scene.on_shift_hz if state is ON else 0.0)
        fid = fid * eddy * np.exp(2j * np.pi * own * time)
        if i in bad:
            fid = spoiled(scene, fid, bad[i], rng)
        fids[i] = fid * (scene.on_polarity if state is ON else 1.0)
    reference = 40000.0 / 36.0 * water_line * eddy * np.exp(2j * np.pi * scene.shift_hz * time)
    return _received(scene, fids, reference[None], states, frequency, point_sd, rng)


def _received(scene, fids, water, states, frequency, point_sd, rng):
    gains = np.ones(1, dtype=complex)
    mixing = np.eye(1)
    if scene.coils > 1:
        gains = rng.uniform(0.2, 1.0, scene.coils) * np.exp(
            2j * np.pi * rng.uniform(size=scene.coils)
        )
        mixing = np.eye(scene.coils) + 0.2 * rng.standard_normal((scene.coils, scene.coils))
        # so that the best combination has the noise that one coil would have had
        seen = np.linalg.inv(mixing @ mixing.T)
        gains /= np.sqrt((gains.conj() @ seen @ gains).real)

    def heard(signal):
        shape = (len(signal), len(gains), scene.points)
        noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        noise = np.einsum("cd,tdn->tcn", mixing, noise)
        both = signal[:, None, :] * gains[None, :, None] + point_sd * noise
        both = both.conj() if scene.conjugated else both
        return scene.gain * both

    on, off = tissue(scene)
    series = MegaSeries(
        fids=heard(fids),
        labels=(None,) * len(states),
        averaged=False,
        averages=len(states),
        water=heard(water) if scene.with_water else None,
        difference=None,
        protocol=protocol(scene),
        voxel=None,
        source="synthetic",
    )
    return Acquired(
        series, states, frequency, scene.gain * on, scene.gain * off,
        scene.gain * point_sd * np.sqrt(scene.points),
    )  # fmt: skip


def averages(scene, *, difference=1.0, labelled=True):
    """The same as a scanner would average it: ON, OFF, difference and water."""
    got = acquire(scene)
    fids = got.series.fids[:, 0]
    on = fids[[state is ON for state in got.states]].mean(axis=0)
    off = fids[[state is OFF for state in got.states]].mean(axis=0)
    series = replace(
        got.series,
        fids=np.stack([on, off])[:, None],
        labels=(ON, OFF) if labelled else (None, None),
        averaged=True,
        difference=None if difference is None else difference * (on - off),
    )
    return replace(got, series=series, states=(ON, OFF))
