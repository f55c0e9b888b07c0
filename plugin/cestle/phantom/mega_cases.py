"""Named kinds of MEGA-PRESS measurement; seeds draw the individuals."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from cestle.errors import ConfigError
from cestle.mrs.series import EditState
from cestle.phantom.mega_settings import Labelling, MegaSimulation
from cestle.phantom.metabolites import HippocampalTissue

USUAL_BASIS: Final = "mega_press_5t_te72_gauss14_slices"

_IDEAL_BASIS: Final = "mega_press_5t_te72_gauss14_ideal"
_DISPLACED_BASES: Final = (
    "mega_press_5t_te72_gauss17_slices",
    "mega_press_5t_te72_sincgauss14_slices",
)
_PHASE_CYCLES: Final = ((0.0,), (0.0, 180.0), (0.0, 90.0, 180.0, 270.0))


@dataclass(frozen=True, kw_only=True)
class MegaCase:
    """One individual of a kind.

    Parameters
    ----------
    settings
        What to simulate.
    basis
        Name of the basis that the metabolites come from.
    usable
        Whether quality control should let its numbers be used; never without water, whose width is
        then unknown.
    """

    settings: MegaSimulation
    basis: str = USUAL_BASIS
    usable: bool = True


def mega_case(name: str, seed: int) -> MegaCase:
    """The individual of a kind that a seed draws.

    Raises
    ------
    ConfigError
        When there is no such kind.
    """
    if name not in CASES:
        raise ConfigError(f"there is no case {name!r}; choose one of {', '.join(CASES)}.")
    # its own stream, so that no draw of the case repeats one of the simulation
    drawn = CASES[name](np.random.default_rng([seed, 0xCA5E]), seed)
    return replace(drawn, usable=drawn.usable and drawn.settings.water_transients > 0)


def _typical_settings(generator: np.random.Generator, seed: int) -> MegaSimulation:
    """Any order, coils, phase cycle, sign and polarity, with small instabilities."""
    return MegaSimulation(
        seed=seed,
        gaba_cr=float(generator.uniform(0.12, 0.24)),
        glx_cr=float(generator.uniform(0.17, 0.32)),
        mm_fraction=float(generator.uniform(0.50, 0.62)),
        fwhm_hz=float(generator.uniform(6.0, 8.0)),
        asymmetry=float(generator.uniform(0.2, 0.8)),
        residual_water=float(generator.uniform(0.001, 0.006)),
        eddy_hz=float(generator.uniform(-4.0, 4.0)),
        offset_hz=float(generator.uniform(-4.0, 4.0)),
        drift_hz=float(generator.uniform(-2.0, 2.0)),
        walk_hz=0.5,
        frequency_noise_hz=0.2,
        phase_noise_deg=3.0,
        phase_drift_deg=float(generator.uniform(-15.0, 15.0)),
        phase_cycle_deg=_PHASE_CYCLES[generator.integers(len(_PHASE_CYCLES))],
        first=tuple(EditState)[generator.integers(2)],
        block=int(generator.choice([1, 1, 8, 80])),
        coils=int(generator.choice([1, 4, 8])),
        conjugated=bool(generator.integers(2)),
        on_inverted=bool(generator.integers(2)),
        water_transients=int(generator.choice([0, 2, 4])),
    )


def _typical(generator: np.random.Generator, seed: int) -> MegaCase:
    return MegaCase(settings=_typical_settings(generator, seed))


def _drift(generator: np.random.Generator, seed: int) -> MegaCase:
    """Nearly as much drift as quality control allows."""
    usual = _typical_settings(generator, seed)
    side = float(generator.choice([-1.0, 1.0]))
    jump = (int(generator.integers(20, 140)), side * 1.5)
    settings = replace(
        usual, drift_hz=side * float(generator.uniform(5.0, 6.5)), walk_hz=0.8, jumps=(jump,)
    )
    return MegaCase(settings=settings)


def _motion(generator: np.random.Generator, seed: int) -> MegaCase:
    return MegaCase(settings=replace(_typical_settings(generator, seed), moved=20, spikes=4))


def _broad(generator: np.random.Generator, seed: int) -> MegaCase:
    usual = _typical_settings(generator, seed)
    return MegaCase(settings=replace(usual, fwhm_hz=9.3, tcr_snr=190.0, water_transients=2))


def _patient(generator: np.random.Generator, seed: int) -> MegaCase:
    """Sclerotic tissue, restless, near the skull base."""
    settings = replace(
        _typical_settings(generator, seed),
        tissue=HippocampalTissue.SCLEROTIC,
        gaba_cr=float(generator.uniform(0.11, 0.20)),
        fwhm_hz=8.5,
        asymmetry=1.0,
        tcr_snr=180.0,
        lipid=0.5,
        moved=8,
        drift_hz=float(generator.uniform(-4.0, 4.0)),
    )
    return MegaCase(settings=settings)


def _lipid_roll(generator: np.random.Generator, seed: int) -> MegaCase:
    usual = _typical_settings(generator, seed)
    return MegaCase(settings=replace(usual, lipid=2.5, roll=0.12))


def _fail_snr(generator: np.random.Generator, seed: int) -> MegaCase:
    usual = _typical_settings(generator, seed)
    return MegaCase(settings=replace(usual, tcr_snr=45.0), usable=False)


def _fail_width(generator: np.random.Generator, seed: int) -> MegaCase:
    usual = _typical_settings(generator, seed)
    return MegaCase(settings=replace(usual, fwhm_hz=14.5, tcr_snr=150.0), usable=False)


def _no_gaba(generator: np.random.Generator, seed: int) -> MegaCase:
    """Nothing to measure: below the limit of detection, so not usable."""
    usual = _typical_settings(generator, seed)
    return MegaCase(settings=replace(usual, gaba_cr=0.0), usable=False)


def _ideal_slices(generator: np.random.Generator, seed: int) -> MegaCase:
    return MegaCase(settings=_typical_settings(generator, seed), basis=_IDEAL_BASIS)


def _displacement(generator: np.random.Generator, seed: int) -> MegaCase:
    """Another pulse: other displacement and editing than the usual basis has."""
    return MegaCase(
        settings=_typical_settings(generator, seed),
        basis=_DISPLACED_BASES[generator.integers(len(_DISPLACED_BASES))],
    )


def _averaged(generator: np.random.Generator, seed: int) -> MegaCase:
    """What the scanner stores when it averages: labels are right, the difference is scaled."""
    settings = replace(
        _typical_settings(generator, seed),
        averaged=True,
        labelling=Labelling.TRUE,
        phase_cycle_deg=(0.0,),
        difference_scale=float(generator.choice([1.0, -1.0, 0.5])),
        water_transients=2,
    )
    return MegaCase(settings=settings)


CASES: Final = MappingProxyType(
    dict[str, Callable[[np.random.Generator, int], MegaCase]](
        typical=_typical,
        drift=_drift,
        motion=_motion,
        broad=_broad,
        patient=_patient,
        lipid_roll=_lipid_roll,
        fail_snr=_fail_snr,
        fail_width=_fail_width,
        no_gaba=_no_gaba,
        ideal_slices=_ideal_slices,
        displacement=_displacement,
        averaged=_averaged,
    )
)
"""Kinds of measurement by name."""
