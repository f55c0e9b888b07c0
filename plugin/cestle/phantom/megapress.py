"""MEGA-PRESS of the phantom's hippocampus, with known truth.

The metabolites are those of a basis handed in; everything else is what a fit is not told: a field
distribution that is no Voigt line, a T2 and a small shift of its own for each metabolite, broad
asymmetric macromolecules, a smooth baseline, lipid, residual water, eddy currents, and transients
that drift, jump, move and are spoilt. The editing efficiency does not follow the drift.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.basis import MegaBasis
from cestle.mrs.series import EditState, MegaProtocol, MegaSeries
from cestle.phantom import macromolecules
from cestle.phantom.composition import Composition, compose
from cestle.phantom.instability import History, Receiver, drawn_receiver, history, spiked
from cestle.phantom.lineshape import height
from cestle.phantom.mega_settings import Labelling, MegaSimulation
from cestle.phantom.mega_truth import MegaTruth, truth_of
from cestle.phantom.voxel import hippocampal_voxel
from cestle.physics import Bool, Complex

WATER_PPM: Final = 4.68
"""Chemical shift of water at body temperature [ppm]."""

# relative to the creatine methyl: 40 M of water against 8.5 mM at TE 72 ms
_WATER_AREA: Final = 1500.0
_WATER_T2_S: Final = 0.065
_EDDY_S: Final = (0.012, 0.080)
_RESIDUES: Final = 3
_SPIKE_NOISE: Final = 5.0
_SPIKE_CREATINE: Final = 0.1


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedMega:
    """A measurement with its truth.

    Parameters
    ----------
    series
        FIDs as a scanner would store them.
    truth
        The truth about them.
    composition
        The noise-free signals of which they are made, in units of the creatine methyl.
    """

    series: MegaSeries
    truth: MegaTruth
    composition: Composition


def simulate_mega(settings: MegaSimulation, basis: MegaBasis) -> SimulatedMega:
    """Make a measurement; equal settings and basis give equal numbers.

    Parameters
    ----------
    settings
        What it is to be.
    basis
        Where the metabolites come from; it also sets frequency, TE and editing pulses.

    Raises
    ------
    ConfigError
        When the basis lacks a metabolite, or the line cannot be as narrow as asked.
    """
    composition = compose(settings, basis)
    past = history(settings)
    receiver = drawn_receiver(settings)
    sigma = _noise_sigma(composition, past, settings)
    generator = np.random.default_rng([settings.seed, 0x2015])
    transients = _transients(composition, past, settings)
    spike = _SPIKE_NOISE * sigma * np.sqrt(settings.points)
    spike += _SPIKE_CREATINE * settings.scale * height(composition.creatine)
    transients = spiked(transients, past.bad, height=spike, seed=settings.seed)
    fids = _received(transients, receiver, sigma, generator)
    water = _water(composition, past, settings)
    stored_water = None
    if water is not None:
        repeated = np.repeat(water[None, :], settings.water_transients, axis=0)
        stored_water = _received(repeated, receiver, sigma, generator)
    return SimulatedMega(
        series=_stored(fids, stored_water, past, receiver, settings, basis),
        truth=truth_of(composition, past, settings, basis, sigma=sigma, water=water),
        composition=composition,
    )


def _noise_sigma(composition: Composition, past: History, settings: MegaSimulation) -> float:
    """Standard deviation of each channel of a point of one combined transient [a.u.]."""
    if settings.tcr_snr is None:
        return 0.0
    share = len(past.of(EditState.OFF)) / settings.points
    size = settings.scale * height(composition.creatine) / settings.tcr_snr
    return float(size * np.sqrt(share))


def _transients(composition: Composition, past: History, settings: MegaSimulation) -> Complex:
    """Combined signal of each transient without noise, shape (transient, point) [a.u.]."""
    total = composition.total
    is_on = np.array([state is EditState.ON for state in past.states])
    wanted = np.where(is_on[:, None], total.on, total.off)
    unwanted = _residual_water(composition, is_on, settings) + _lipid(composition, is_on, settings)
    eddy = _eddy(composition, settings)
    factors = past.factors(composition.axis.time_s)
    signal: Complex = wanted + past.unwanted[:, None] * unwanted
    signal *= settings.scale * factors * eddy
    return signal


def _residual_water(composition: Composition, is_on: Bool, settings: MegaSimulation) -> Complex:
    """Several pools whose phases wander, shape (transient, point)."""
    axis = composition.axis
    generator = np.random.default_rng([settings.seed, 0x4A7E])
    pools = np.stack(
        [
            axis.ringing(np.array([WATER_PPM]), np.ones(1, dtype=np.complex128))
            * axis.turned(generator.normal(scale=8.0))
            * axis.decay(1.0 / (np.pi * generator.uniform(3.0, 15.0)))
            for _ in range(_RESIDUES)
        ]
    )
    shape = (settings.transients, _RESIDUES)
    size = generator.dirichlet(np.ones(_RESIDUES)) * (1.0 + 0.1 * generator.normal(size=shape))
    phase = generator.uniform(-np.pi, np.pi, size=_RESIDUES) + np.cumsum(
        generator.normal(scale=0.1, size=shape), axis=0
    )
    area = settings.residual_water * _WATER_AREA
    size = size * np.where(is_on, 0.8 * np.exp(0.4j), 1.0)[:, None]
    residual: Complex = area * (size * np.exp(1j * phase)) @ pools
    residual *= composition.field.envelope(axis.time_s)
    return residual


def _lipid(composition: Composition, is_on: Bool, settings: MegaSimulation) -> Complex:
    """Fat, unstable in size and phase, shape (transient, point)."""
    generator = np.random.default_rng([settings.seed, 0xFA7])
    signal = settings.lipid * macromolecules.lipid(composition.axis, generator)
    size = 1.0 + 0.15 * generator.normal(size=settings.transients)
    phase = 0.15 * generator.normal(size=settings.transients)
    # a little of the fat lies within the edit-ON pulse
    size = size * np.where(is_on, 0.93, 1.0)
    return np.outer(size * np.exp(1j * phase), signal)


def _eddy(composition: Composition, settings: MegaSimulation) -> Complex:
    """Phase that decaying gradients leave, shape (point,)."""
    time_s = composition.axis.time_s
    turns = np.zeros(len(time_s))
    for tau_s in _EDDY_S:
        share_hz = settings.eddy_hz / len(_EDDY_S)
        turns += share_hz * tau_s * (1.0 - np.exp(-time_s / tau_s))
    factor: Complex = np.exp(2j * np.pi * turns)
    return factor


def _water(composition: Composition, past: History, settings: MegaSimulation) -> Complex | None:
    """Unsuppressed water at the frequency of the first transient, shape (point,) [a.u.]."""
    if not settings.water_transients:
        return None
    axis = composition.axis
    line = axis.ringing(np.array([WATER_PPM]), np.array([_WATER_AREA], dtype=np.complex128))
    line *= axis.decay(_WATER_T2_S) * np.exp(-np.pi * settings.water_extra_hz * axis.time_s)
    line *= composition.field.envelope(axis.time_s) * axis.turned(settings.offset_hz)
    water: Complex = line * np.exp(1j * np.radians(past.receiver_deg))
    return settings.scale * water * _eddy(composition, settings)


def _received(
    signal: Complex, receiver: Receiver, sigma: float, generator: np.random.Generator
) -> Complex:
    """Signal of each element with its noise, shape (transient, coil, point)."""
    elements: Complex = signal[:, None, :] * receiver.sensitivity[:, None]
    if sigma > 0.0:
        channels = generator.normal(scale=sigma, size=(*elements.shape, 2)).view(np.complex128)
        elements += receiver.mixing @ channels[..., 0]
    return elements


def _stored(
    fids: Complex,
    water: Complex | None,
    past: History,
    receiver: Receiver,
    settings: MegaSimulation,
    basis: MegaBasis,
) -> MegaSeries:
    combined = np.einsum("c,tcp->tp", receiver.weights, fids)
    means = {state: combined[past.of(state)].mean(axis=0) for state in EditState}
    states = past.states
    if settings.averaged:
        states = (settings.first, _other(settings.first))
        fids = np.stack([means[state] for state in states])[:, None, :]
        if water is not None:
            water = np.einsum("c,tcp->p", receiver.weights, water)[None, None, :] / len(water)
    if settings.on_inverted:
        signs = np.array([-1.0 if state is EditState.ON else 1.0 for state in states])
        fids = signs[:, None, None] * fids
    difference = None
    if settings.difference_scale is not None:
        difference = settings.difference_scale * (means[EditState.ON] - means[EditState.OFF])
    return MegaSeries(
        fids=_turned(fids, settings),
        labels=tuple(_label(state, settings.labelling) for state in states),
        averaged=settings.averaged,
        averages=settings.transients,
        water=None if water is None else _turned(water, settings),
        difference=None if difference is None else _turned(difference, settings),
        protocol=_protocol(settings, basis),
        voxel=hippocampal_voxel(settings.side),
        source="simulation",
    )


def _turned(fids: Complex, settings: MegaSimulation) -> Complex:
    return np.conj(fids) if settings.conjugated else fids


def _other(state: EditState) -> EditState:
    return EditState.OFF if state is EditState.ON else EditState.ON


def _label(state: EditState, labelling: Labelling) -> EditState | None:
    if labelling is Labelling.NONE:
        return None
    return state if labelling is Labelling.TRUE else _other(state)


def _protocol(settings: MegaSimulation, basis: MegaBasis) -> MegaProtocol:
    return MegaProtocol(
        frequency_mhz=basis.settings.frequency_mhz,
        dwell_s=settings.dwell_s,
        transmitter_ppm=settings.transmitter_ppm,
        echo_time_ms=basis.settings.echo_time_ms,
        repetition_time_ms=settings.repetition_time_ms,
        edit_on_ppm=basis.settings.edit_on_ppm,
        edit_off_ppm=basis.settings.edit_off_ppm,
        sequence_name="svs_mega",
        manufacturer="UIH",
        model="uMR Jupiter",
        software="V10",
    )
