"""Standard errors of the ratios: Cramér-Rao bound, bootstrap over pairs, choice of model.

The bound is that of the linearised fit with all its parameters and soft constraints, where the
residual counts as noise when it exceeds it. The bootstrap draws neighbouring pairs of ON and OFF,
so that it sees what drifts and jumps; each draw is fitted anew with one step of the linearised
fit, signs kept. Averages made by the scanner have no pairs: noise is drawn instead.

References
----------
Cavassila S et al. NMR Biomed 2001;14:278-283. doi:10.1002/nbm.701
Kreis R et al. NMR Biomed 2021;34:e4347. doi:10.1002/nbm.4347
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.mrs.difference_fit import GABA_PLUS, GLX
from cestle.mrs.linear_combination import LinearCombination
from cestle.mrs.quality import noise_of
from cestle.mrs.separable import SeparableFit, one_step
from cestle.mrs.series import EditedSpectra
from cestle.physics import Real

_FEWEST_DRAWS: Final = 20

Quantity = Callable[[Real, Real], Real]
"""A number from amplitudes of OFF and of the difference, each of shape (draw, amplitude)."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Cramér-Rao lower bounds as standard errors.

    Parameters
    ----------
    gaba_cr, glx_cr
        Of the ratios.
    glx_gaba
        Of the logarithm of Glx over GABA+; None where one of them is not above zero.
    """

    gaba_cr: float
    glx_cr: float
    glx_gaba: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Draws:
    """Amplitudes of all draws of the bootstrap.

    Parameters
    ----------
    off, difference
        Shape (draw, amplitude) [a.u.].
    """

    off: Real
    difference: Real

    def scatter(self, quantity: Quantity) -> float | None:
        """Standard deviation of a quantity over the draws; None where it is not known."""
        if len(self.off) < _FEWEST_DRAWS:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            values = quantity(self.off, self.difference)
        return float(np.std(values, ddof=1)) if np.all(np.isfinite(values)) else None


def bounds(fit: LinearCombination, spectra: EditedSpectra) -> Bounds:
    """Cramér-Rao bounds of the ratios, numerator and denominator together.

    Parameters
    ----------
    fit
        Both fits.
    spectra
        What was fitted.
    """
    off, difference = fit.off, fit.difference
    creatine = off.creatine_area
    below = off.weights("tCr")
    below_error = _Linear(off.fit)
    above_error = _Linear(difference.fit)
    noise = noise_of(spectra.off, spectra.protocol).sd

    def ratio_bound(*names: str) -> float:
        weights = difference.weights(*names)
        ratio = difference.area(*names) / creatine
        # the noise of OFF enters the difference with the other sign
        shared = -(noise**2) * _overlap(
            difference.fit, above_error.influence(weights), off.fit, below_error.influence(below)
        )
        variance = above_error.variance(weights) + ratio**2 * below_error.variance(below)
        return float(np.sqrt(max(variance - 2.0 * ratio * shared, 0.0))) / creatine

    gaba, glx = difference.area(*GABA_PLUS), difference.area(*GLX)
    quotient = None
    if gaba > 0.0 and glx > 0.0:
        weights = difference.weights(*GLX) / glx - difference.weights(*GABA_PLUS) / gaba
        quotient = float(np.sqrt(above_error.variance(weights)))
    return Bounds(gaba_cr=ratio_bound(*GABA_PLUS), glx_cr=ratio_bound(*GLX), glx_gaba=quotient)


def bootstrap(
    fit: LinearCombination, spectra: EditedSpectra, *, draws: int, seed: int = 0
) -> Draws:
    """Amplitudes of OFF and difference from resampled data.

    Parameters
    ----------
    fit
        Both fits.
    spectra
        What was fitted.
    draws
        How many; with fewer than 20 no scatter is told.
    seed
        Of the random numbers: equal data give equal errors.
    """
    rng = np.random.default_rng(seed)
    resampled = _drawn_pairs(fit, spectra, draws, rng)
    if resampled is None:
        resampled = _drawn_noise(fit, spectra, draws, rng)
    off, difference = resampled
    return Draws(
        off=one_step(fit.off.fit, off), difference=one_step(fit.difference.fit, difference)
    )


def choice_error(values: Iterable[float]) -> float:
    """Standard error by the choice of the model: the scatter of a ratio over the choices."""
    return float(np.std(list(values)))


class _Linear:
    """The linearised fit: what a change of the data makes of amplitudes."""

    def __init__(self, fit: SeparableFit) -> None:
        data, ties, self._active = fit.linearised()
        self._inverse = np.linalg.pinv(data.T @ data + ties.T @ ties, hermitian=True)
        self._response = self._inverse @ data.T / fit.problem.sigma

    def variance(self, weights: Real) -> float:
        """Variance of a weighted sum of amplitudes, shape (amplitude,)."""
        full = self._among_unknowns(weights)
        return float(full @ self._inverse @ full)

    def influence(self, weights: Real) -> Real:
        """Change of a weighted sum of amplitudes per change of each datum, shape (row,)."""
        influence: Real = self._among_unknowns(weights) @ self._response
        return influence

    def _among_unknowns(self, weights: Real) -> Real:
        full = np.zeros(len(self._inverse))
        full[: int(self._active.sum())] = weights[self._active]
        return full


def _overlap(one: SeparableFit, first: Real, other: SeparableFit, second: Real) -> float:
    """Product of two influences over the places that both fits share."""
    _, mine, yours = np.intersect1d(
        one.problem.window.rows, other.problem.window.rows, return_indices=True
    )
    return float(first[mine] @ second[yours])


def _drawn_pairs(
    fit: LinearCombination, spectra: EditedSpectra, draws: int, rng: np.random.Generator
) -> tuple[Real, Real] | None:
    """Spectra of means over pairs drawn with replacement; None without transients."""
    ons, offs, pairs = spectra.transients_on, spectra.transients_off, spectra.pairs
    weights_on, weights_off = spectra.weights_on, spectra.weights_off
    if ons is None or offs is None or weights_on is None or weights_off is None or pairs is None:
        return None
    if len(pairs) < 2:
        return None
    times = rng.multinomial(len(pairs), np.full(len(pairs), 1.0 / len(pairs)), size=draws)
    on = _shares(times, weights_on[pairs[:, 0]])
    off = _shares(times, weights_off[pairs[:, 1]])
    off_window, window = fit.off.fit.problem.window, fit.difference.fit.problem.window
    paired_off = offs[pairs[:, 1]]
    below = off @ off_window.spectrum(paired_off)
    above = on @ window.spectrum(fit.difference.turn * ons[pairs[:, 0]])
    return below, above - off @ window.spectrum(paired_off)


def _shares(times: npt.NDArray[np.int64], weights: Real) -> Real:
    """Weight of each pair in each draw, shape (draw, pair)."""
    shares = times * weights
    normalised: Real = shares / shares.sum(axis=1, keepdims=True)
    return normalised


def _drawn_noise(
    fit: LinearCombination, spectra: EditedSpectra, draws: int, rng: np.random.Generator
) -> tuple[Real, Real]:
    """The fitted spectra with fresh noise; OFF has the same in both."""
    length = fit.off.fit.problem.window.length
    sd_on = noise_of(spectra.on, spectra.protocol).sd
    sd_off = noise_of(spectra.off, spectra.protocol).sd
    off_rows, rows = fit.off.fit.problem.window.rows, fit.difference.fit.problem.window.rows
    on = rng.normal(scale=sd_on, size=(draws, len(rows)))
    off = rng.normal(scale=sd_off, size=(draws, length))
    below = fit.off.fit.model + off[:, off_rows]
    return below, fit.difference.fit.model + on - off[:, rows]
