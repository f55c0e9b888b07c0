"""Values for comparison and research: other models, other conventions, concentrations.

Concentration ratios are those of the basis, with its editing efficiency and without relaxation. A
value whose own error exceeds a fifth of it is not separable from its neighbours and is None.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from cestle.measurement import Estimate
from cestle.mrs.difference_fit import GABA_PLUS
from cestle.mrs.linear_combination import LinearCombination
from cestle.mrs.peaks import PeakRatios
from cestle.mrs.quality import PreparedQuality
from cestle.mrs.uncertainty import Draws, Quantity
from cestle.physics import Real

LARGEST_ERROR: Final = 0.2
"""Relative standard error beyond which a value is not told from its neighbours."""


def research_values(
    fit: LinearCombination,
    draws: Draws,
    quality: PreparedQuality,
    peaks: PeakRatios | None,
    paper: PeakRatios | None,
) -> dict[str, Estimate | None]:
    """All of them by name.

    Parameters
    ----------
    fit
        The chosen fit.
    draws
        Amplitudes of the bootstrap.
    quality
        Measured on the prepared spectra.
    peaks, paper
        Ratios by the peak model and by the published chain; None where they failed.
    """
    off, difference = fit.off, fit.difference
    names = [component.name for component in off.components]

    def picked(*wanted: str) -> Real:
        weights = np.zeros(len(off.fit.amplitudes))
        weights[: len(names)] = [name in wanted for name in names]
        return weights

    creatine = picked("tCr")
    per_molecule = next(part.area for part in difference.components if part.name == "GABA")
    gaba_plus = difference.weights(*GABA_PLUS) / per_molecule
    mm = difference.weights(*(name for name in GABA_PLUS if name != "GABA"))
    return {
        "gaba_cr_peaks": None if peaks is None else peaks.gaba_cr,
        "glx_cr_peaks": None if peaks is None else peaks.glx_cr,
        "gaba_cr_paper": None if paper is None else paper.gaba_cr,
        "glx_cr_paper": None if paper is None else paper.glx_cr,
        "gaba_tcr": _separable(fit, draws, lambda low, high: high @ gaba_plus / (low @ creatine)),
        "glx_tcr_off": _separable(
            fit, draws, lambda low, _: low @ picked("Glu", "Gln") / (low @ creatine)
        ),
        "glu_tcr_off": _separable(
            fit, draws, lambda low, _: low @ picked("Glu") / (low @ creatine)
        ),
        "mm_fraction": _separable(
            fit, draws, lambda _, high: high @ mm / (high @ difference.weights(*GABA_PLUS))
        ),
        "naa_snr": Estimate(value=quality.naa_snr, standard_error=None),
        "tcr_snr": Estimate(value=quality.creatine_snr, standard_error=None),
    }


def halved(ratios: Mapping[str, Estimate]) -> dict[str, Estimate | None]:
    """The half-difference values of other programs, by name with ``_half``."""
    return {
        f"{name}_half": Estimate(
            value=0.5 * ratio.value,
            standard_error=None if ratio.standard_error is None else 0.5 * ratio.standard_error,
        )
        for name, ratio in ratios.items()
    }


def _separable(fit: LinearCombination, draws: Draws, quantity: Quantity) -> Estimate | None:
    off, difference = fit.off.fit.amplitudes, fit.difference.fit.amplitudes
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(quantity(off, difference))
    error = draws.scatter(quantity)
    if error is None or not np.isfinite(value) or not error <= LARGEST_ERROR * abs(value):
        return None
    return Estimate(value=value, standard_error=error)
