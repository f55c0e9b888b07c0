"""The default fit: OFF and difference with the basis under which the data are most likely."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cestle.errors import ProtocolError
from cestle.mrs.basis import MegaBasis
from cestle.mrs.difference_fit import (
    GABA_PLUS,
    GLX,
    DifferenceFit,
    DifferenceModel,
    fit_difference,
)
from cestle.mrs.off_fit import OffFit, fit_off
from cestle.mrs.result import ModelSpread
from cestle.mrs.separable import SeparableFit
from cestle.mrs.series import EditedSpectra

CLEARLY_BETTER: Final = 3.0
"""Gain in log-likelihood from which on a basis is taken before a preferred one."""

_ANOTHER_BASIS_WITHIN: Final = 60.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearCombination:
    """Both fits with one basis.

    Parameters
    ----------
    basis
        The basis.
    off, difference
        The fits.
    """

    basis: MegaBasis
    off: OffFit
    difference: DifferenceFit

    @property
    def gaba_cr(self) -> float:
        """GABA+/Cr as `cestle.mrs.result.CONVENTION` defines it."""
        return self.difference.area(*GABA_PLUS) / self.off.creatine_area

    @property
    def glx_cr(self) -> float:
        """Glx/Cr as `cestle.mrs.result.CONVENTION` defines it."""
        return self.difference.area(*GLX) / self.off.creatine_area

    @property
    def log_likelihood(self) -> float:
        """Up to a constant, for normal residuals whose size is unknown."""
        return _log_likelihood(self.off.fit) + _log_likelihood(self.difference.fit)


def fit_linear_combination(
    spectra: EditedSpectra, bases: Sequence[MegaBasis], model: DifferenceModel
) -> tuple[LinearCombination, ...]:
    """Fit with every basis.

    Parameters
    ----------
    spectra
        Prepared spectra.
    bases
        Those that fit frequency and TE, the preferred one first.
    model
        What is chosen in the model of the difference.

    Returns
    -------
        One fit for each basis, the chosen one first and the others by falling likelihood. A basis
        is chosen before a preferred one only where the data are clearly more likely under it.

    Raises
    ------
    ProtocolError
        When there is no basis.
    NumericalError
        When no creatine is found.
    """
    if not bases:
        raise ProtocolError(
            "no basis was given; expected at least one for the frequency and TE of the series, "
            "make one with cestle simulate-basis."
        )
    fits: list[LinearCombination] = []
    for basis in bases:
        off = fit_off(spectra, basis, near=fits[0].off if fits else None)
        near = fits[0].difference if fits else None
        difference = fit_difference(spectra, basis, off, model, near=near)
        fits.append(LinearCombination(basis=basis, off=off, difference=difference))
    best = fits[0]
    for fit in fits[1:]:
        if fit.log_likelihood > best.log_likelihood + CLEARLY_BETTER:
            best = fit
    others = sorted(
        (fit for fit in fits if fit is not best), key=lambda fit: fit.log_likelihood, reverse=True
    )
    return (best, *others)


def alternatives(model: DifferenceModel) -> Mapping[str, DifferenceModel]:
    """Other choices that one could defend, by name."""
    low, high = model.range_ppm
    return {
        "stiffer baseline": replace(model, baseline_freedom=0.3),
        "freer baseline": replace(model, baseline_freedom=3.0),
        "narrower range": replace(model, range_ppm=(low, high - 0.1)),
        "macromolecules not tied": replace(model, mm_spread=np.inf),
        "more macromolecules": replace(model, mm_ratio=1.5 * model.mm_ratio),
        "one macromolecule line": replace(model, side_share=0.0, side_spread=1e-4),
    }


def model_spread(
    spectra: EditedSpectra,
    fits: Sequence[LinearCombination],
    model: DifferenceModel,
) -> dict[str, ModelSpread]:
    """Both ratios under other choices of model and basis.

    Parameters
    ----------
    spectra
        Prepared spectra.
    fits
        What `fit_linear_combination` returned.
    model
        What was chosen.

    Returns
    -------
        By ``gaba_cr`` and ``glx_cr``.
    """
    best, *others = fits
    found = {"as reported": best}
    for name, other in alternatives(model).items():
        difference = fit_difference(spectra, best.basis, best.off, other, near=best.difference)
        found[name] = replace(best, difference=difference)
    for fit in others[:1]:
        found[f"basis {fit.basis.settings.name}"] = fit
    return {
        "gaba_cr": ModelSpread(values={name: fit.gaba_cr for name, fit in found.items()}),
        "glx_cr": ModelSpread(values={name: fit.glx_cr for name, fit in found.items()}),
    }


def _log_likelihood(fit: SeparableFit) -> float:
    rms = float(np.sqrt(np.mean(fit.residual**2)))
    return -len(fit.residual) * float(np.log(max(rms, 1e-300)))
