"""Dependence of the saturated signals on B1, for a calibration file made from the model.

The tissues here are **not** those of the phantom, so that scoring the file on the phantom is not
circular. They follow other sources:

==================  =========================  ==============================================
quantity            value                      source
==================  =========================  ==============================================
water T1, T2        grey 1.82 s, 99 ms         3 T values [1] used at 5 T
                    white 1.08 s, 69 ms
semisolid           grey 5.0 %, 40 /s, 9.1 µs  3 T values [1] used at 5 T
                    white 13.9 %, 23 /s,
                    10.0 µs
glutamate amine     +3.2 ppm, 7480 /s,         7 T values [2] used at 5 T; 3 protons each of
                    T2 6.9 ms, 11.5 mM         11.5 mM, white matter 0.7 of it by an estimate
amide               +3.5 ppm, 50 mM, 60 /s     within the range of published values
guanidine amine     +2.0 ppm, 15 mM, 800 /s    within the range of published values
aliphatic NOE       −3.5 ppm, 350 mM, 10 /s    within the range of published values
other amines        +2.8 ppm, 4000 /s          **fitted**: grey matter 8 %, white matter 5 %
CSF T1, T2          4.0 s, 1.5 s               usual values
==================  =========================  ==============================================

The values of [1] and [2] are second-hand.

References
----------
[1] Stanisz GJ et al. Magn Reson Med 2005;54:507-512. doi:10.1002/mrm.20605
[2] Khlebnikov V et al. Sci Rep 2019;9
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from scipy.optimize import brentq

from cestle.phantom.bloch_mcconnell import (
    ExchangePool,
    SaturationSequence,
    SemisolidPool,
    Tissue,
    glucest_percent,
    signal,
)
from cestle.phantom.tissues import WATER_PROTONS_MM
from cestle.physics import Real

_OTHER_AMINES: Final = "other amines"

_AIMED_PERCENT: Final = {"grey": 8.0, "white": 5.0}


def _pool(
    name: str, shift_ppm: float, protons_mm: float, exchange_per_s: float, t2_s: float
) -> ExchangePool:
    return ExchangePool(
        name=name,
        shift_ppm=shift_ppm,
        fraction=protons_mm / WATER_PROTONS_MM,
        exchange_per_s=exchange_per_s,
        t1_s=1.0,
        t2_s=t2_s,
    )


def _pools(glutamate_mm: float) -> tuple[ExchangePool, ...]:
    return (
        _pool("glutamate amine", 3.2, 3.0 * glutamate_mm, 7480.0, 0.0069),
        _pool("amide", 3.5, 50.0, 60.0, 0.05),
        _pool("guanidine amine", 2.0, 15.0, 800.0, 0.05),
        _pool("aliphatic NOE", -3.5, 350.0, 10.0, 0.0005),
        _pool(_OTHER_AMINES, 2.8, 100.0, 4000.0, 0.02),
    )


_MODEL: Final = {
    "grey": Tissue(
        name="grey matter",
        proton_density=0.83,
        t1_s=1.82,
        t2_s=0.099,
        pools=_pools(11.5),
        semisolid=SemisolidPool(fraction=0.050, exchange_per_s=40.0, t1_s=1.0, t2_s=9.1e-6),
    ),
    "white": Tissue(
        name="white matter",
        proton_density=0.70,
        t1_s=1.08,
        t2_s=0.069,
        pools=_pools(8.0),
        semisolid=SemisolidPool(fraction=0.139, exchange_per_s=23.0, t1_s=1.0, t2_s=10.0e-6),
    ),
    "fluid": Tissue(name="fluid", proton_density=1.0, t1_s=4.0, t2_s=1.5),
}

MODEL_SOURCE: Final = (
    "Bloch-McConnell model; water and semisolid: 3T values of doi:10.1002/mrm.20605 used at 5T; "
    "glutamate: Khlebnikov 2019, 7T values; other amines fitted to contrasts of 8 % in grey and "
    "5 % in white matter; no measurement at 5T is behind it"
)
"""What the constants are, in words that stand in the file."""


def model_tissues(*, target_ppm: float, sequence: SaturationSequence) -> dict[str, Tissue]:
    """Grey, white and fluid of the model, their other amines fitted to the aimed contrast.

    Parameters
    ----------
    target_ppm
        Absolute offset of both images [ppm].
    sequence
        Timing and nominal amplitude.
    """
    tissues = dict(_MODEL)
    for kind, percent in _AIMED_PERCENT.items():

        def excess(factor: float, tissue: Tissue = _MODEL[kind], percent: float = percent) -> float:
            trial = _with_other_amines(tissue, factor)
            return glucest_percent(trial, target_ppm=target_ppm, sequence=sequence) - percent

        factor = float(brentq(excess, 0.0, 10.0, xtol=1e-9))
        tissues[kind] = _with_other_amines(_MODEL[kind], factor)
    return tissues


def _with_other_amines(tissue: Tissue, factor: float) -> Tissue:
    pools = tuple(
        replace(pool, fraction=pool.fraction * factor) if pool.name == _OTHER_AMINES else pool
        for pool in tissue.pools
    )
    return replace(tissue, pools=pools)


@dataclass(frozen=True, kw_only=True, eq=False)
class B1Curve:
    """Signals of one tissue over B1, each relative to that at nominal B1.

    Parameters
    ----------
    tissue
        Name of the tissue.
    relative_b1
        Actual over nominal B1, shape (n,) [1].
    negative, positive
        S(b)/S(1) at the negative and at the positive target offset, shape (n,) [1].
    nominal_negative, nominal_positive
        S(1), with pure water at equilibrium and no echo as 1.
    """

    tissue: str
    relative_b1: Real
    negative: Real
    positive: Real
    nominal_negative: float
    nominal_positive: float


def b1_curves(
    tissues: Sequence[Tissue],
    relative_b1: Real,
    *,
    target_ppm: float,
    sequence: SaturationSequence,
) -> tuple[B1Curve, ...]:
    """B1 curves of `tissues`, from the Bloch-McConnell model.

    Parameters
    ----------
    tissues
        Any tissues: a calibration that is to be tested on the phantom should be made with other
        constants than the phantom's.
    relative_b1
        Where to compute, shape (n,) [1].
    target_ppm
        Absolute offset of both images [ppm].
    sequence
        Timing and nominal amplitude.
    """
    relative_b1 = np.asarray(relative_b1, dtype=np.float64)
    curves = []
    for tissue in tissues:
        negative, nominal_negative = _relative(tissue, -target_ppm, relative_b1, sequence)
        positive, nominal_positive = _relative(tissue, target_ppm, relative_b1, sequence)
        curves.append(
            B1Curve(
                tissue=tissue.name,
                relative_b1=relative_b1,
                negative=negative,
                positive=positive,
                nominal_negative=nominal_negative,
                nominal_positive=nominal_positive,
            )
        )
    return tuple(curves)


def _relative(
    tissue: Tissue, offset_ppm: float, relative_b1: Real, sequence: SaturationSequence
) -> tuple[Real, float]:
    b1 = np.append(relative_b1, 1.0)
    strength = signal(tissue, np.full(len(b1), offset_ppm), b1, sequence=sequence)
    return strength[:-1] / strength[-1], float(strength[-1])
