"""Dependence of the saturated signals on B1, for a calibration file made from the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cestle.phantom.bloch_mcconnell import SaturationSequence, Tissue, signal
from cestle.physics import Real


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
    """

    tissue: str
    relative_b1: Real
    negative: Real
    positive: Real


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
    return tuple(
        B1Curve(
            tissue=tissue.name,
            relative_b1=relative_b1,
            negative=_relative(tissue, -target_ppm, relative_b1, sequence),
            positive=_relative(tissue, target_ppm, relative_b1, sequence),
        )
        for tissue in tissues
    )


def _relative(
    tissue: Tissue, offset_ppm: float, relative_b1: Real, sequence: SaturationSequence
) -> Real:
    b1 = np.append(relative_b1, 1.0)
    strength = signal(tissue, np.full(len(b1), offset_ppm), b1, sequence=sequence)
    ratio: Real = strength[:-1] / strength[-1]
    return ratio
