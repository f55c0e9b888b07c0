"""The peak model: GABA+ and Glx as Gaussians on a smooth baseline, creatine as a singlet.

It needs no basis and stands beside the linear combination always: where both disagree the number
leans on the model. It is the kind of model that scanners and other programs fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import least_squares

from cestle.errors import NumericalError
from cestle.measurement import Estimate
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.referencing import creatine_fit
from cestle.mrs.series import EditedSpectra, MegaProtocol
from cestle.mrs.singlet_fit import SingletFit
from cestle.physics import Complex, Real

FIT_PPM: Final = (2.65, 4.10)
BASELINE_DEGREE: Final = 3

_CHOLINE_PPM: Final = (3.15, 3.29)
_CHOLINE_WEIGHT: Final = 0.02
"""What subtraction leaves of choline is no part of the model."""
_STEP_PPM: Final = 1e-5
_FWHM_TO_SD: Final = 1.0 / 2.3548200450309493


@dataclass(frozen=True, kw_only=True)
class Peak:
    """A Gaussian whose place and width are sought.

    Parameters
    ----------
    shift_ppm, reach_ppm
        Where the search begins and how far it goes [ppm].
    fwhm_ppm
        Narrowest, first and widest full width at half maximum [ppm].
    """

    shift_ppm: float
    reach_ppm: float
    fwhm_ppm: tuple[float, float, float]


GABA_PEAK: Final = Peak(shift_ppm=3.01, reach_ppm=0.06, fwhm_ppm=(0.06, 0.12, 0.22))
GLX_PEAKS: Final = (
    Peak(shift_ppm=3.71, reach_ppm=0.05, fwhm_ppm=(0.03, 0.07, 0.16)),
    Peak(shift_ppm=3.79, reach_ppm=0.05, fwhm_ppm=(0.03, 0.07, 0.16)),
)


@dataclass(frozen=True, kw_only=True)
class PeakRatios:
    """Ratios by peaks, full difference, as `cestle.mrs.result.CONVENTION` defines them."""

    gaba_cr: Estimate
    glx_cr: Estimate


def fit_peaks(spectra: EditedSpectra) -> PeakRatios:
    """Fit GABA+, Glx and creatine as peaks.

    Parameters
    ----------
    spectra
        Prepared spectra.

    Raises
    ------
    NumericalError
        When the spectrum does not reach over the range, or there is no creatine.
    """
    creatine = creatine_fit(spectra.off, spectra.protocol)
    return peak_ratios(
        spectra.difference, creatine, spectra.protocol, baseline_degree=BASELINE_DEGREE
    )


def peak_ratios(
    difference: Complex,
    creatine: SingletFit,
    protocol: MegaProtocol,
    *,
    baseline_degree: int,
    oversampling: float = 1.0,
) -> PeakRatios:
    """Areas of the peaks of a difference over that of creatine.

    Parameters
    ----------
    difference
        ON minus OFF, shape (point,) [a.u.].
    creatine
        Creatine of OFF, first of its singlets.
    protocol
        How it was acquired.
    baseline_degree
        Of the polynomial below the peaks; −1 for none.
    oversampling
        Points of the spectrum for each that has noise of its own, after zero filling beyond twice
        the length.
    """
    area_below = float(np.abs(creatine.amplitudes[0]))
    if not area_below > 0.0:
        raise NumericalError(
            "no creatine was found in the OFF spectrum; a ratio to creatine cannot be formed."
        )
    window = FitWindow.of(len(difference), protocol, FIT_PPM)
    peaks = (GABA_PEAK, *GLX_PEAKS)
    areas, covariance = _areas(
        window, window.spectrum(difference), peaks, baseline_degree, oversampling
    )
    below_error = float(creatine.errors[0]) / area_below
    gaba = np.array([1.0, 0.0, 0.0])
    glx = np.array([0.0, 1.0, 1.0])
    return PeakRatios(
        gaba_cr=_ratio(gaba, areas, covariance, area_below, below_error),
        glx_cr=_ratio(glx, areas, covariance, area_below, below_error),
    )


def _ratio(pick: Real, areas: Real, covariance: Real, below: float, below_error: float) -> Estimate:
    value = float(pick @ areas) / below
    above_error = float(np.sqrt(max(float(pick @ covariance @ pick), 0.0))) / below
    return Estimate(value=value, standard_error=float(np.hypot(above_error, value * below_error)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _PeakModel:
    """Gaussians of any place and width over a polynomial, both linear in their amplitudes."""

    window: FitWindow
    weight: Real
    smooth: Real
    peaks: int

    def shapes(self, values: Real) -> Real:
        """Gaussians of height 1, shape (row, peak); `values` are all places, then all widths."""
        shift, fwhm = values[: self.peaks], values[self.peaks :]
        distance = (self.window.ppm[:, None] - shift) / (fwhm * _FWHM_TO_SD)
        shapes: Real = np.exp(-0.5 * distance**2)
        return shapes

    def design(self, values: Real) -> Real:
        """Weighted columns of the linear problem, shape (row, peak + function)."""
        design: Real = np.hstack([self.shapes(values), self.smooth]) * self.weight[:, None]
        return design

    def linear(self, values: Real, data: Real) -> Real:
        """Best heights and baseline."""
        found = np.linalg.lstsq(self.design(values), data * self.weight, rcond=None)[0]
        return np.asarray(found, dtype=np.float64)

    def residual(self, values: Real, data: Real) -> Real:
        """Weighted model minus data, shape (row,)."""
        rest: Real = self.design(values) @ self.linear(values, data) - self.weight * data
        return rest

    def slopes(self, values: Real, heights: Real) -> Real:
        """Weighted change of the peaks with each place and width, shape (row, parameter)."""
        steps = np.eye(len(values)) * _STEP_PPM
        before = self.shapes(values)
        changes = [(self.shapes(values + step) - before) @ heights / _STEP_PPM for step in steps]
        slopes: Real = np.stack(changes, axis=1) * self.weight[:, None]
        return slopes


def _areas(
    window: FitWindow, data: Real, peaks: Sequence[Peak], degree: int, oversampling: float
) -> tuple[Real, Real]:
    """Areas of the peaks and their covariance [unit of the FID's amplitude]."""
    low, high = _CHOLINE_PPM
    choline = (window.ppm > low) & (window.ppm < high)
    place = np.linspace(-1.0, 1.0, len(window.ppm))
    smooth = np.asarray(np.polynomial.legendre.legvander(place, max(degree, 0)), dtype=np.float64)
    model = _PeakModel(
        window=window,
        weight=np.where(choline, _CHOLINE_WEIGHT, 1.0),
        smooth=smooth if degree >= 0 else smooth[:, :0],
        peaks=len(peaks),
    )
    scale = max(float(np.abs(data).max()), float(np.finfo(np.float64).tiny))
    begin, lowest, highest = _start(peaks)
    found = least_squares(
        lambda values: model.residual(values, data / scale),
        begin,
        bounds=(lowest, highest),
        x_scale=highest - lowest,
    )
    heights = model.linear(found.x, data / scale)[: len(peaks)]
    # the sum of a spectrum over its axis is half of the FID's first amplitude times its length
    per_height = scale * 2.0 * _sums(window, found.x[len(peaks) :]) / window.length
    everything = np.hstack([model.design(found.x), model.slopes(found.x, heights)])
    freedom = max(1.0, len(data) / oversampling - everything.shape[1])
    variance = 2.0 * found.cost / freedom
    inverse = np.linalg.pinv(everything.T @ everything, hermitian=True)
    covariance = variance * inverse[: len(peaks), : len(peaks)]
    return heights * per_height, covariance * np.outer(per_height, per_height)


def _sums(window: FitWindow, fwhm_ppm: Real) -> Real:
    """Sum of Gaussians of height 1 over the points of the whole axis, shape of `fwhm_ppm`."""
    step_ppm = float(window.ppm[1] - window.ppm[0])
    total: Real = fwhm_ppm * _FWHM_TO_SD * np.sqrt(2.0 * np.pi) / step_ppm
    return total


def _start(peaks: Sequence[Peak]) -> tuple[Real, Real, Real]:
    shifts = np.array([peak.shift_ppm for peak in peaks])
    reach = np.array([peak.reach_ppm for peak in peaks])
    narrow, first, wide = np.array([peak.fwhm_ppm for peak in peaks]).T
    return (
        np.concatenate([shifts, first]),
        np.concatenate([shifts - reach, narrow]),
        np.concatenate([shifts + reach, wide]),
    )
