"""Linear-combination fit of mean OFF: area of creatine, and the line shape of everything."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.mrs.baseline import KNOTS_PPM, STIFF, WAVED, solve_with_baseline
from cestle.mrs.basis import MegaBasis
from cestle.mrs.components import Component, area_weights, chosen, off_components
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.line_shape import common_terms, extra_width, own_shift
from cestle.mrs.quality import noise_of
from cestle.mrs.separable import EnvelopeTerm, SeparableFit, SeparableProblem
from cestle.mrs.series import EditedSpectra
from cestle.mrs.spectrum import time_axis
from cestle.physics import Complex, Real

FIT_PPM: Final = (0.5, 4.15)
WAVES_EXPLAIN: Final = 0.75
"""Residual that a wavy baseline must leave of that of a stiff one to be taken."""
UNEDITED: Final = ("tCr", "tCr rest", "tCho", "tCho rest", "mIns")
"""Signals that ON and OFF have alike, which show how well the two match."""

CREATINE_PPM: Final = 3.027
_CREATINE_REACH_PPM: Final = 0.1
_SINGLETS: Final = ("NAA", "NAA rest", "NAAG", "tCr", "tCr rest", "tCho")
_STARTS_HZ: Final = (0.0, -4.0, 4.0, -8.0, 8.0)
_START_WIDTHS_HZ: Final = (3.0, 7.0, 12.0)
_NO_CREATINE: Final = (
    "no creatine was found in the OFF spectrum, so a ratio to creatine cannot be formed; check the "
    "voxel and the acquisition."
)
_SMALLEST_SNR: Final = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class OffFit:
    """The OFF spectrum taken apart.

    Parameters
    ----------
    components
        What was fitted.
    fit
        How.
    noise
        Standard deviation of the noise of the spectrum's real part [a.u.].
    """

    components: tuple[Component, ...]
    fit: SeparableFit
    noise: float

    def amplitude(self, name: str) -> float:
        """Amplitude of a component: for metabolites that of one proton [a.u.]."""
        names = [component.name for component in self.components]
        return float(self.fit.amplitudes[names.index(name)])

    def area(self, name: str) -> float:
        """Signed area of a component, in the unit of the FID's amplitude [a.u.]."""
        area = next(part.area for part in self.components if part.name == name)
        return self.amplitude(name) * area

    def weights(self, *wanted: str) -> Real:
        """What sums amplitudes to the area of some components, shape (amplitude,)."""
        return area_weights(self.components, wanted, len(self.fit.amplitudes))

    @property
    def creatine_area(self) -> float:
        """Area of the tCr methyl signal at 3.03 ppm [a.u.]."""
        return self.area("tCr")

    @property
    def creatine_height(self) -> float:
        """Height of that signal in the spectrum [a.u.]."""
        return float(self.fit.problem.window.spectrum(self.fids("tCr")).max())

    @property
    def envelope(self) -> Complex:
        """Decay, shift, phase and shape that all signals share, shape (point,)."""
        exponent = np.zeros(self.fit.problem.fids.shape[1], dtype=np.complex128)
        for term, value in zip(self.fit.problem.terms, self.fit.parameters, strict=True):
            if term.members.all():
                exponent += value * term.profile
        shape: Complex = np.exp(exponent)
        return shape

    def fids(self, *names: str) -> Complex:
        """Sum of some components as fitted, with their decay, shape (point,) [a.u.]."""
        decayed = self.fit.problem.decayed(self.fit.parameters)
        inside = chosen(self.components, names)
        total: Complex = self.fit.amplitudes[: len(inside)][inside] @ decayed[inside]
        return total


def fit_off(spectra: EditedSpectra, basis: MegaBasis, *, near: OffFit | None = None) -> OffFit:
    """Fit mean OFF.

    Parameters
    ----------
    spectra
        Prepared spectra.
    basis
        One that fits frequency and TE.
    near
        A fit with another basis to start from; a coarse search when None.

    Raises
    ------
    NumericalError
        When no creatine is found, or the spectrum does not reach over the range.
    """
    protocol, points = spectra.protocol, len(spectra.off)
    window = FitWindow.of(points, protocol, FIT_PPM)
    components = off_components(basis, protocol, points)
    smooth = window.splines(KNOTS_PPM)
    noise = noise_of(spectra.off, protocol).sd
    data = window.spectrum(spectra.off)
    if not np.any(data):
        raise NumericalError(_NO_CREATINE)
    problem = SeparableProblem(
        data=data,
        sigma=stated_sigma(noise, data),
        window=window,
        fids=np.stack([component.fid for component in components]),
        signed=np.array([component.signed for component in components]),
        terms=_terms(components, time_axis(points, protocol.dwell_s), protocol.frequency_mhz),
        smooth=smooth,
        ties=np.zeros((0, len(components) + smooth.shape[1])),
        targets=np.zeros(0),
    )
    inside = np.abs(window.ppm - CREATINE_PPM) < _CREATINE_REACH_PPM
    tallest = max(float(data[inside].max()), problem.sigma)
    start = best_start(problem) if near is None else near.fit.parameters
    fit = solve_with_baseline(problem, tallest, start, spreads=STIFF)
    waved = solve_with_baseline(problem, tallest, fit.parameters, spreads=WAVED)
    if _rms(waved) < WAVES_EXPLAIN * _rms(fit):
        fit = waved
    found = OffFit(components=components, fit=fit, noise=noise)
    if not found.creatine_height > _SMALLEST_SNR * noise or not found.creatine_area > 0.0:
        raise NumericalError(_NO_CREATINE)
    return found


def stated_sigma(noise: float, data: Real) -> float:
    """Noise that is not zero, so that noise-free spectra can be fitted [a.u.]."""
    return max(noise, 1e-6 * float(np.abs(data).max()))


def _rms(fit: SeparableFit) -> float:
    return float(np.sqrt(np.mean(fit.residual**2)))


def best_start(problem: SeparableProblem) -> Real:
    """The start of the search from a coarse grid of shifts and widths, shape (term,)."""
    names = [term.name for term in problem.terms]
    first = np.array([term.start for term in problem.terms])
    trials = []
    for shift in _STARTS_HZ:
        for width in _START_WIDTHS_HZ:
            trial = first.copy()
            trial[names.index("shift")] = shift
            trial[names.index("gauss2")] = width**2
            trials.append(trial)
    return min(trials, key=problem.cost)


def _terms(
    components: tuple[Component, ...], time: Real, frequency_mhz: float
) -> tuple[EnvelopeTerm, ...]:
    everything = np.ones(len(components), dtype=bool)
    broad = np.array([part.group in ("MM", "lipid") for part in components])
    coupled = ~chosen(components, _SINGLETS) & ~broad
    metabolites = dict.fromkeys(
        part.group for part in components if part.group not in ("NAA", "MM", "lipid")
    )
    return (
        *common_terms(time, everything),
        # NAA sets the width; creatine decays faster, coupled spins faster still
        extra_width("tCr width", time, chosen(components, ("tCr",)), expected=0.5, spread=1.0),
        extra_width("tCho width", time, chosen(components, ("tCho",)), expected=0.0, spread=1.0),
        extra_width("coupled width", time, coupled, expected=1.5, spread=1.5),
        *(
            own_shift(
                name, time, np.array([part.group == name for part in components]), frequency_mhz
            )
            for name in metabolites
        ),
    )
