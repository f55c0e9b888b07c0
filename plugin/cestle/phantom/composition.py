"""The spectrum of the voxel without noise, and the areas that the ratios are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from cestle.errors import ConfigError
from cestle.mrs.basis import LineList, MegaBasis
from cestle.phantom import macromolecules
from cestle.phantom.lineshape import (
    FieldDistribution,
    drawn_distribution,
    fitted_width,
    full_width_hz,
    height,
)
from cestle.phantom.mega_settings import MegaSimulation
from cestle.phantom.metabolites import Metabolite, metabolites
from cestle.phantom.signals import Axis, Pair
from cestle.physics import Complex

GABA_PPM: Final = (2.80, 3.20)
GLX_PPM: Final = (3.60, 3.90)
CREATINE_PPM: Final = (2.90, 3.15)
NAA_PPM: Final = (1.90, 2.10)
"""Limits of the lines that ratios, widths and heights are taken of [ppm]."""

_CREATINE: Final = ("Cr", "PCr")
_GLX: Final = ("Glu", "Gln")
_SHIFT_HZ: Final = 0.25
_T2_SPREAD: Final = 0.08


@dataclass(frozen=True, kw_only=True, eq=False)
class Composition:
    """Signals of the voxel at their right places, without noise; creatine methyl in OFF is 1.

    Parameters
    ----------
    axis
        Where and when they are made.
    field
        Distribution of the field in the voxel.
    components
        All wanted signals and the smooth baseline in both states, by name; their sum is the
        spectrum, but for water and lipid.
    gaba_plus, glx
        The signals of the difference that GABA+/Cr and Glx/Cr speak of, shape (point,).
    creatine, naa
        The methyl signals in OFF, shape (point,).
    areas
        Of the signals that the ratios are made of: tcr, gaba, mm, glx.
    """

    axis: Axis
    field: FieldDistribution
    components: Mapping[str, Pair]
    gaba_plus: Complex
    glx: Complex
    creatine: Complex
    naa: Complex
    areas: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "components", MappingProxyType(dict(self.components)))
        object.__setattr__(self, "areas", MappingProxyType(dict(self.areas)))

    @property
    def total(self) -> Pair:
        """Sum of the components."""
        zero = np.zeros(len(self.axis.time_s), dtype=np.complex128)
        return sum(self.components.values(), Pair(on=zero, off=zero))


@dataclass(frozen=True, kw_only=True)
class _Share:
    """Amount of a metabolite and what is its own."""

    weight: float
    shift_hz: float
    t2_s: float

    def fid(self, axis: Axis, lines: LineList) -> Complex:
        """Signal of the lines before the field acts, shape (point,)."""
        signal = axis.ringing(lines.shift_ppm, self.weight * lines.amplitude)
        own: Complex = signal * axis.turned(self.shift_hz) * axis.decay(self.t2_s)
        return own


def simulation_axis(settings: MegaSimulation, basis: MegaBasis) -> Axis:
    """Axis at the frequency of the basis."""
    return Axis(
        time_s=np.arange(settings.points, dtype=np.float64) * settings.dwell_s,
        frequency_mhz=basis.settings.frequency_mhz,
        transmitter_ppm=settings.transmitter_ppm,
    )


def compose(settings: MegaSimulation, basis: MegaBasis) -> Composition:
    """Mix metabolites, macromolecules and baseline.

    Raises
    ------
    ConfigError
        When the basis lacks a metabolite or edits none of those that are asked for, or the line
        cannot be as narrow as asked.
    """
    axis = simulation_axis(settings, basis)
    shares, areas = _scaled_shares(settings, basis)
    creatine = sum(
        (shares[name].fid(axis, basis.off[name].within(*CREATINE_PPM)) for name in _CREATINE),
        np.zeros(settings.points, dtype=np.complex128),
    )
    field = _field(settings, axis, creatine)
    envelope = field.envelope(axis.time_s)
    components = {
        name: Pair(on=share.fid(axis, basis.on[name]), off=share.fid(axis, basis.off[name]))
        for name, share in shares.items()
    }
    generator = np.random.default_rng([settings.seed, 0x3343])
    three, others = macromolecules.co_edited(axis, generator)
    quiet = macromolecules.unedited(axis, generator, echo_time_s=1e-3 * basis.settings.echo_time_ms)
    components["macromolecules"] = replace(quiet, on=quiet.on + areas["mm"] * (three + others))
    components = {name: pair.times(envelope) for name, pair in components.items()}
    components["baseline"] = _baseline(settings, axis, height(creatine * envelope))
    gaba = _edited(axis, basis, shares, ("GABA",), GABA_PPM)
    naa = shares["NAA"].fid(axis, basis.off["NAA"].within(*NAA_PPM))
    return Composition(
        axis=axis,
        field=field,
        components=components,
        gaba_plus=(gaba + areas["mm"] * three) * envelope,
        glx=_edited(axis, basis, shares, _GLX, GLX_PPM) * envelope,
        creatine=creatine * envelope,
        naa=naa * envelope,
        areas=areas,
    )


def _scaled_shares(
    settings: MegaSimulation, basis: MegaBasis
) -> tuple[dict[str, _Share], dict[str, float]]:
    """Shares with the ratios asked for, and the areas that they give."""
    found = _individual(settings, basis)
    creatine = sum(
        found[name].weight * basis.off[name].within(*CREATINE_PPM).area for name in _CREATINE
    )
    found = {name: replace(one, weight=one.weight / creatine) for name, one in found.items()}
    gaba = _edited_area(basis, found, ("GABA",), GABA_PPM)
    glx = _edited_area(basis, found, _GLX, GLX_PPM)
    if not (gaba > 0.0 and glx > 0.0):
        raise ConfigError(
            f"basis {basis.settings.name} gives no positive edited GABA and Glx; choose a basis "
            "of MEGA-PRESS for GABA."
        )
    plus = gaba / (1.0 - settings.mm_fraction)
    gaba_factor = 1.0 if settings.gaba_cr is None else settings.gaba_cr / plus
    glx_factor = 1.0 if settings.glx_cr is None else settings.glx_cr / glx
    for names, factor in ((("GABA",), gaba_factor), (_GLX, glx_factor)):
        for name in names:
            found[name] = replace(found[name], weight=factor * found[name].weight)
    areas = {
        "tcr": 1.0,
        "gaba": gaba_factor * gaba,
        "mm": gaba_factor * (plus - gaba),
        "glx": glx_factor * glx,
    }
    return found, areas


def _individual(settings: MegaSimulation, basis: MegaBasis) -> dict[str, _Share]:
    """Each metabolite of the tissue with a shift and a T2 of its own."""
    generator = np.random.default_rng([settings.seed, 0x1D1D])
    found = {}
    for name, metabolite in metabolites(settings.tissue).items():
        if name not in basis.on or name not in basis.off:
            raise ConfigError(
                f"basis {basis.settings.name} lacks {name}; choose one with all metabolites."
            )
        shift, spread = settings.individuality * generator.normal(scale=(_SHIFT_HZ, _T2_SPREAD))
        own = Metabolite(
            concentration_mm=metabolite.concentration_mm,
            t1_s=metabolite.t1_s,
            t2_s=metabolite.t2_s * float(np.exp(spread)),
        )
        weight = own.weight(
            echo_time_s=1e-3 * basis.settings.echo_time_ms,
            repetition_time_s=1e-3 * settings.repetition_time_ms,
        )
        found[name] = _Share(weight=weight, shift_hz=float(shift), t2_s=own.t2_s)
    return found


def _edited_area(
    basis: MegaBasis,
    shares: Mapping[str, _Share],
    names: tuple[str, ...],
    limits_ppm: tuple[float, float],
) -> float:
    return float(
        sum(
            shares[name].weight
            * (basis.on[name].within(*limits_ppm).area - basis.off[name].within(*limits_ppm).area)
            for name in names
        )
    )


def _edited(
    axis: Axis,
    basis: MegaBasis,
    shares: Mapping[str, _Share],
    names: tuple[str, ...],
    limits_ppm: tuple[float, float],
) -> Complex:
    """Difference signal within limits, before the field acts, shape (point,)."""
    signal = np.zeros(len(axis.time_s), dtype=np.complex128)
    for name in names:
        signal += shares[name].fid(axis, basis.on[name].within(*limits_ppm))
        signal -= shares[name].fid(axis, basis.off[name].within(*limits_ppm))
    return signal


def _field(settings: MegaSimulation, axis: Axis, creatine: Complex) -> FieldDistribution:
    shape = drawn_distribution(
        np.random.default_rng([settings.seed, 0xF1E1]), asymmetry=settings.asymmetry
    )
    return fitted_width(
        shape,
        lambda field: full_width_hz(creatine * field.envelope(axis.time_s), axis.dwell_s),
        asked_hz=settings.fwhm_hz,
    )


def _baseline(settings: MegaSimulation, axis: Axis, creatine_height: float) -> Pair:
    generator = np.random.default_rng([settings.seed, 0xBA5E])
    smooth = macromolecules.remainder(axis, generator).times(settings.baseline)
    return smooth + macromolecules.rolling(axis, generator).times(settings.roll * creatine_height)
