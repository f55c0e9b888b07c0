"""Values for comparison and research: other models, other conventions, concentrations.

Concentration ratios are those of the basis, with its editing efficiency and without relaxation. A
value whose own error exceeds a fifth of it is not separable from its neighbours and is None.
"""

from typing import Final

import numpy as np

from cestle.measurement import Estimate
from cestle.mrs.difference_fit import GABA_PLUS
from cestle.mrs.linear_combination import LinearCombination
from cestle.mrs.peaks import PeakRatios
from cestle.mrs.quality import PreparedQuality
from cestle.mrs.ratios import Ratios, scaled
from cestle.mrs.uncertainty import Draws, Quantity
from cestle.physics import Real

LARGEST_ERROR: Final = 0.2
"""Relative standard error beyond which a value is not told from its neighbours."""


def research_values(
    ratios: Ratios,
    fit: LinearCombination,
    draws: Draws,
    quality: PreparedQuality,
    peaks: PeakRatios | None,
    paper: PeakRatios | None,
) -> dict[str, Estimate | None]:
    """All of them by name.

    Parameters
    ----------
    ratios
        What is reported, for its half-difference values.
    fit
        The chosen fit.
    draws
        Amplitudes of the bootstrap.
    quality
        Measured on the prepared spectra.
    peaks, paper
        Ratios by the peak model and by the published chain; None where they failed.
    """
    return {
        "gaba_cr_half": scaled(ratios.gaba_cr, 0.5),
        "glx_cr_half": scaled(ratios.glx_cr, 0.5),
        "gaba_cr_peaks": None if peaks is None else peaks.gaba_cr,
        "glx_cr_peaks": None if peaks is None else peaks.glx_cr,
        "gaba_cr_paper": None if paper is None else paper.gaba_cr,
        "glx_cr_paper": None if paper is None else paper.glx_cr,
        **_concentrations(fit, draws),
        "naa_snr": _plain(quality.naa_snr),
        "tcr_snr": _plain(quality.creatine_snr),
    }


def _concentrations(fit: LinearCombination, draws: Draws) -> dict[str, Estimate | None]:
    """Ratios of amplitudes; macromolecules count as the GABA of equal area."""
    off, difference = fit.off, fit.difference
    names = [component.name for component in off.components]

    def picked(*wanted: str) -> Real:
        weights = np.zeros(len(off.fit.amplitudes))
        weights[: len(names)] = [name in wanted for name in names]
        return weights

    creatine = picked("tCr")
    per_molecule = next(part.area for part in difference.components if part.name == "GABA")
    whole = difference.weights(*GABA_PLUS)
    macromolecules = difference.weights(*(name for name in GABA_PLUS if name != "GABA"))
    quantities: dict[str, Quantity] = {
        "gaba_tcr": lambda low, high: high @ whole / per_molecule / (low @ creatine),
        "glx_tcr_off": lambda low, _: low @ picked("Glu", "Gln") / (low @ creatine),
        "glu_tcr_off": lambda low, _: low @ picked("Glu") / (low @ creatine),
        "mm_fraction": lambda _, high: high @ macromolecules / (high @ whole),
    }
    return {name: _separable(fit, draws, quantity) for name, quantity in quantities.items()}


def _separable(fit: LinearCombination, draws: Draws, quantity: Quantity) -> Estimate | None:
    error = draws.scatter(quantity)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(quantity(fit.off.fit.amplitudes, fit.difference.fit.amplitudes))
    if error is None or not np.isfinite(value) or not error <= LARGEST_ERROR * abs(value):
        return None
    return Estimate(value=value, standard_error=error)


def _plain(value: float) -> Estimate | None:
    """A value without error; none for spectra without noise."""
    return Estimate(value=value, standard_error=None) if np.isfinite(value) else None
