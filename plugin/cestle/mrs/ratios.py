"""Both ratios and their quotient with honest errors.

The standard error of a ratio holds three terms in quadrature: the larger of Cramér-Rao bound and
bootstrap scatter; the scatter of the ratio over other choices of model and basis; and what all
choices have wrong together, above all the shape of macromolecules, which no data tell. The last is
known from simulated measurements whose macromolecules, lines and baselines the fit does not know:
without it errors of GABA+/Cr were 1.4 times what was stated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.measurement import Estimate
from cestle.mrs.difference_fit import GABA_PLUS, GLX
from cestle.mrs.linear_combination import LinearCombination
from cestle.mrs.peaks import PeakRatios
from cestle.mrs.result import ModelSpread
from cestle.mrs.uncertainty import Bounds, Draws, choice_error

COMMON_ERROR: Final = {"gaba_cr": 0.05, "glx_cr": 0.01}
"""Relative standard error that all choices of the model share."""


@dataclass(frozen=True, kw_only=True)
class Ratios:
    """What is reported.

    Parameters
    ----------
    gaba_cr, glx_cr
        By the convention of the report.
    quotient_error
        Relative standard error of Glx over GABA+.
    crlb_percent
        Cramér-Rao bounds relative to the values, by ``gaba_cr`` and ``glx_cr``; only of those
        that are above zero [%].
    """

    gaba_cr: Estimate
    glx_cr: Estimate
    quotient_error: float
    crlb_percent: dict[str, float]

    def calibrated(self, gaba_factor: float, glx_factor: float) -> "Ratios":
        """With the factors of a site; relative errors stay."""
        return Ratios(
            gaba_cr=scaled(self.gaba_cr, gaba_factor),
            glx_cr=scaled(self.glx_cr, glx_factor),
            quotient_error=self.quotient_error,
            crlb_percent=self.crlb_percent,
        )

    @property
    def glx_gaba(self) -> Estimate:
        """Glx over GABA+.

        Raises
        ------
        NumericalError
            When there is no GABA+ to divide by.
        """
        if not self.gaba_cr.value > 0.0:
            raise NumericalError(
                "no GABA+ was found in the difference spectrum, so Glx over GABA+ has no value; "
                "look at the editing pulse and the quality of the series."
            )
        value = self.glx_cr.value / self.gaba_cr.value
        return Estimate(value=value, standard_error=value * self.quotient_error)


def fitted_ratios(
    fit: LinearCombination, spread: Mapping[str, ModelSpread], limits: Bounds, draws: Draws
) -> Ratios:
    """Ratios of the linear combination.

    Parameters
    ----------
    fit
        The chosen fit.
    spread
        Ratios under other choices.
    limits
        Cramér-Rao bounds.
    draws
        Of the bootstrap.
    """
    creatine = fit.off.weights("tCr")
    gaba, glx = fit.difference.weights(*GABA_PLUS), fit.difference.weights(*GLX)
    values = {"gaba_cr": fit.gaba_cr, "glx_cr": fit.glx_cr}
    bound = {"gaba_cr": limits.gaba_cr, "glx_cr": limits.glx_cr}
    scatter = {
        "gaba_cr": draws.scatter(lambda off, edited: edited @ gaba / (off @ creatine)),
        "glx_cr": draws.scatter(lambda off, edited: edited @ glx / (off @ creatine)),
    }
    found = {
        name: _estimate(name, value, max(bound[name], scatter[name] or 0.0), spread)
        for name, value in values.items()
    }
    quotient = draws.scatter(lambda _, edited: np.log((edited @ glx) / (edited @ gaba)))
    return Ratios(
        **found,
        quotient_error=float(
            np.hypot(max(limits.glx_gaba or 0.0, quotient or 0.0), _quotient_choice(spread))
        ),
        crlb_percent={
            name: 100.0 * bound[name] / value for name, value in values.items() if value > 0.0
        },
    )


def published_ratios(paper: PeakRatios, spread: Mapping[str, ModelSpread]) -> Ratios:
    """Ratios of the published chain; the choice of model is that of the linear combination.

    Parameters
    ----------
    paper
        Ratios of the chain.
    spread
        Ratios of the linear combination under other choices.
    """
    values = {"gaba_cr": paper.gaba_cr, "glx_cr": paper.glx_cr}
    found = {
        name: _estimate(name, one.value, one.standard_error or 0.0, spread)
        for name, one in values.items()
    }
    relative = [
        one.standard_error / one.value
        for one in values.values()
        if one.standard_error is not None and one.value > 0.0
    ]
    return Ratios(
        **found,
        quotient_error=float(np.hypot(np.linalg.norm(relative), _quotient_choice(spread))),
        crlb_percent={
            name: 100.0 * (one.standard_error or 0.0) / one.value
            for name, one in values.items()
            if one.value > 0.0
        },
    )


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """A value with its error, both times a factor."""
    error = estimate.standard_error
    return Estimate(
        value=factor * estimate.value, standard_error=None if error is None else factor * error
    )


def _estimate(name: str, value: float, noise: float, spread: Mapping[str, ModelSpread]) -> Estimate:
    choice = choice_error(spread[name].values.values())
    error = float(np.linalg.norm((noise, choice, COMMON_ERROR[name] * value)))
    return Estimate(value=value, standard_error=error)


def _quotient_choice(spread: Mapping[str, ModelSpread]) -> float:
    """Relative error of Glx over GABA+ by the model, chosen and common."""
    pairs = [
        (spread["glx_cr"].values[name], gaba) for name, gaba in spread["gaba_cr"].values.items()
    ]
    logarithms = [float(np.log(glx / gaba)) for glx, gaba in pairs if glx > 0.0 < gaba]
    choice = choice_error(logarithms) if logarithms else 0.0
    return float(np.linalg.norm((choice, *COMMON_ERROR.values())))
