"""Tissue constants of the phantom, each with its source and field strength.

==================  =========================  ==============================================
quantity            value at 5 T               source
==================  =========================  ==============================================
water T1            grey 1.40 s                mean of 1.20 s at 3 T and 1.60 s at 7 T [1]
                    white 1.13 s               1.05 s at 3 T [2], raised by an estimate
water T2            grey 65 ms                 between 69 ms at 3 T and 62 ms at 7 T [1]
                    white 50 ms                estimate; [2] has 40 ms at 3 T
CSF T1, T2          4.3 s, 2.0 s               3 T values [3] used at 5 T
semisolid fraction  grey 5.5/111               3 T value [1] used at 5 T; a share of protons
                    white 11.2/111             does not depend on the field. White: [2]
semisolid rate, T2  40 and 29 /s, 9 µs         3 T values [1, 2] used at 5 T
amide               +3.5 ppm, 72 mM, 30 /s     3 T values [1] used at 5 T
glutamate amine     +3.0 ppm, 2000 /s          7 T values [4] used at 5 T; 3 protons each of
                                               10 mM in grey and 7 mM in white matter
other amines        +3.0 ppm, 5500 /s          shift and rate [1]
                    130 and 110 mM protons     **fitted** here, see below
aliphatic NOE       −3.5 ppm, 500 mM, 16 /s    amount and rate [1]; the five narrow lines of
                                               the source are one broad line here
proton density      0.82, 0.70, scalp 0.35     usual values; they set brightness, not contrast
==================  =========================  ==============================================

The values of [1] and [2] were taken from the simulation settings of the pulseq-cest library,
which cite them; those of [3] and [4] are second-hand too. No relaxometry at 5 T is published.
The amounts of the other amines have no measured value. They are chosen so that the contrast at
5 T, 4 µT and 1 s lies where 7 T measurements and the first 5 T study put it: about 9 % in the
hippocampus, less in white matter. The temporal lobe structures are grey matter with a slightly
longer T1. Absolute glutamate must not be concluded from this model.

References
----------
[1] van Zijl PCM et al. NeuroImage 2018;168:222-241. doi:10.1016/j.neuroimage.2017.04.045
[2] Heo HY et al. Magn Reson Med 2019 (white matter water and semisolid). PMC6422734
[3] Rooney WD et al. Magn Reson Med 2007;57:308-318. doi:10.1002/mrm.21122 (CSF T1, and a T1
    that grows with the field)
[4] Cai K et al. Nat Med 2012;18:302-306. doi:10.1038/nm.2615
"""

from dataclasses import replace
from typing import Final

from scipy.optimize import brentq

from cestle.errors import ConfigError
from cestle.phantom.bloch_mcconnell import (
    ExchangePool,
    SaturationSequence,
    SemisolidPool,
    Tissue,
    glucest_percent,
)

WATER_PROTONS_MM: Final = 111_000.0
"""Concentration of the protons of pure water [mM]."""

GLUTAMATE: Final = "glutamate amine"


def _amide(concentration_mm: float = 72.0) -> ExchangePool:
    return ExchangePool(
        name="amide",
        shift_ppm=3.5,
        fraction=concentration_mm / WATER_PROTONS_MM,
        exchange_per_s=30.0,
        t1_s=1.3,
        t2_s=0.1,
    )


def _glutamate(concentration_mm: float) -> ExchangePool:
    return ExchangePool(
        name=GLUTAMATE,
        shift_ppm=3.0,
        fraction=3.0 * concentration_mm / WATER_PROTONS_MM,
        exchange_per_s=2000.0,
        t1_s=1.3,
        t2_s=0.2,
    )


def _other_amines(protons_mm: float) -> ExchangePool:
    return ExchangePool(
        name="other amines",
        shift_ppm=3.0,
        fraction=protons_mm / WATER_PROTONS_MM,
        exchange_per_s=5500.0,
        t1_s=1.3,
        t2_s=0.2,
    )


def _noe(protons_mm: float) -> ExchangePool:
    return ExchangePool(
        name="aliphatic NOE",
        shift_ppm=-3.5,
        fraction=protons_mm / WATER_PROTONS_MM,
        exchange_per_s=16.0,
        t1_s=1.3,
        t2_s=0.0005,
    )


GREY_MATTER: Final = Tissue(
    name="grey matter",
    proton_density=0.82,
    t1_s=1.40,
    t2_s=0.065,
    pools=(_amide(), _glutamate(10.0), _other_amines(130.0), _noe(500.0)),
    semisolid=SemisolidPool(fraction=5.5 / 111.0, exchange_per_s=40.0, t1_s=1.3, t2_s=9.0e-6),
)

WHITE_MATTER: Final = Tissue(
    name="white matter",
    proton_density=0.70,
    t1_s=1.13,
    t2_s=0.050,
    pools=(_amide(), _glutamate(7.0), _other_amines(110.0), _noe(500.0)),
    semisolid=SemisolidPool(fraction=11.2 / 111.0, exchange_per_s=29.0, t1_s=1.05, t2_s=9.0e-6),
)

HIPPOCAMPUS: Final = replace(GREY_MATTER, name="hippocampus", t1_s=1.45)

AMYGDALA: Final = replace(GREY_MATTER, name="amygdala", t1_s=1.43)

CEREBROSPINAL_FLUID: Final = Tissue(
    name="cerebrospinal fluid", proton_density=1.0, t1_s=4.3, t2_s=2.0
)

SCALP: Final = replace(WHITE_MATTER, name="scalp", proton_density=0.35)
"""Skin and muscle, as tissue with much semisolid and little water; fat is not modelled."""


def with_glutamate(tissue: Tissue, factor: float) -> Tissue:
    """`tissue` with `factor` times its glutamate."""
    pools = tuple(
        replace(pool, fraction=pool.fraction * factor) if pool.name == GLUTAMATE else pool
        for pool in tissue.pools
    )
    return replace(tissue, pools=pools)


def with_contrast(
    tissue: Tissue, percent: float, *, target_ppm: float, sequence: SaturationSequence
) -> Tissue:
    """`tissue` with as much glutamate as makes its true contrast `percent` [%].

    Raises
    ------
    ConfigError
        When the contrast lies outside what 0 to 5 times the usual glutamate can give.
    """

    def excess(factor: float) -> float:
        trial = with_glutamate(tissue, factor)
        return glucest_percent(trial, target_ppm=target_ppm, sequence=sequence) - percent

    lowest, highest = excess(0.0) + percent, excess(5.0) + percent
    if not lowest < percent < highest:
        raise ConfigError(
            f"a contrast of {percent:.2f} % was asked for the {tissue.name}, but glutamate can "
            f"give {lowest:.2f} to {highest:.2f} %; ask for less asymmetry or another base value."
        )
    return with_glutamate(tissue, float(brentq(excess, 0.0, 5.0, xtol=1e-10)))
