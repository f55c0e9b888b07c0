"""The peak model beside the linear combination: Gaussians, Lorentzians and a straight line.

GABA+ is one Gaussian, Glx two, in the difference; creatine and choline are two Lorentzians
in OFF. It knows no metabolite and no editing pulse, and is what many published values rest on
(Edden et al.).

References
----------
Edden RAE et al. J Magn Reson Imaging 2014;40:1445-1452. doi:10.1002/jmri.24478
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.measurement import Estimate
from cestle.mrs.basis import LineList
from cestle.mrs.components import Component, chosen
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.line_shape import gauss_profile, lorentz_profile, phase_profile, shift_profile
from cestle.mrs.separable import EnvelopeTerm, SeparableFit, SeparableProblem, solve
from cestle.mrs.series import EditedSpectra, MegaProtocol
from cestle.mrs.spectrum import time_axis
from cestle.physics import Complex, Real

DIFFERENCE_PPM: Final = (2.70, 4.10)
CHOLINE_PPM: Final = (3.15, 3.27)
"""Left out of the difference: what subtraction leaves of choline is no part of the model."""
OFF_PPM: Final = (2.70, 3.40)

_EDITED: Final = {"GABA+": 3.01, "Glx low": 3.71, "Glx high": 3.78}
_EDITED_WIDTH_PPM: Final = {"GABA+": 0.09, "Glx low": 0.05, "Glx high": 0.05}
_CREATINE: Final = {"Cr": 3.027, "Cho": 3.21}
_REACH_PPM: Final = 0.05
_NARROWEST_HZ: Final = 2.0
_WIDEST_PPM: Final = 0.25


@dataclass(frozen=True, kw_only=True, eq=False)
class PeakFit:
    """Peaks with their areas.

    Parameters
    ----------
    names
        Of the peaks.
    fit
        How they were fitted.
    """

    names: tuple[str, ...]
    fit: SeparableFit

    def area(self, start: str) -> float:
        """Sum of the areas of the peaks whose names start so [a.u.]."""
        return float(self._weights(start) @ self.fit.amplitudes)

    def error(self, start: str) -> float:
        """Standard error of that area from the linearised fit [a.u.]."""
        data, ties, active = self.fit.linearised()
        inverse = np.linalg.pinv(data.T @ data + ties.T @ ties, hermitian=True)
        weights = np.zeros(len(inverse))
        weights[: int(active.sum())] = self._weights(start)[active]
        return float(np.sqrt(weights @ inverse @ weights))

    def signal(self, start: str) -> Real:
        """Spectrum of these peaks, shape (row,) [a.u.]."""
        signal: Real = self.fit.columns @ (self.fit.amplitudes * (self._weights(start) > 0.0))
        return signal

    def _weights(self, start: str) -> Real:
        weights = np.zeros(len(self.fit.amplitudes))
        weights[: len(self.names)] = [float(name.startswith(start)) for name in self.names]
        return weights


@dataclass(frozen=True, kw_only=True)
class PeakRatios:
    """Ratios of peaks by the convention of the report, with errors of the linearised fits."""

    gaba_cr: Estimate
    glx_cr: Estimate


@dataclass(frozen=True, kw_only=True, eq=False)
class PeakModel:
    """Peaks of OFF and of the difference."""

    off: PeakFit
    difference: PeakFit

    def ratios(self) -> PeakRatios:
        """Area ratios.

        Raises
        ------
        NumericalError
            When there is no creatine to divide by.
        """
        creatine, error = self.off.area("Cr"), self.off.error("Cr")
        if not creatine > 0.0:
            raise NumericalError("the peak model found no creatine; its ratios have no value.")
        found = []
        for name in ("GABA+", "Glx"):
            ratio = self.difference.area(name) / creatine
            own = self.difference.error(name) / creatine
            standard_error = float(np.hypot(own, ratio * error / creatine))
            found.append(Estimate(value=ratio, standard_error=standard_error))
        return PeakRatios(gaba_cr=found[0], glx_cr=found[1])


def fit_peaks(spectra: EditedSpectra) -> PeakModel:
    """Fit the peaks of OFF and of the difference.

    Parameters
    ----------
    spectra
        Prepared spectra.
    """
    points, protocol = len(spectra.off), spectra.protocol
    off_window = FitWindow.of(points, protocol, OFF_PPM)
    window = FitWindow.of(points, protocol, DIFFERENCE_PPM)
    filter_ = np.ones(points)
    off = creatine_peaks(off_window.spectrum(spectra.off), off_window, protocol, filter_)
    data = window.spectrum(spectra.difference)
    return PeakModel(off=off, difference=edited_peaks(data, window, protocol, filter_))


def creatine_peaks(data: Real, window: FitWindow, protocol: MegaProtocol, filter_: Real) -> PeakFit:
    """Creatine and choline as Lorentzians of one width.

    Parameters
    ----------
    data
        Real part of OFF in the window, shape (row,) [a.u.].
    window
        Where.
    protocol
        How it was acquired.
    filter_
        What the FID was multiplied by, which the peaks are as well, shape (point,).
    """
    time = time_axis(len(filter_), protocol.dwell_s)
    peaks = _carriers(_CREATINE, protocol, filter_)
    everything = np.ones(len(peaks), dtype=bool)
    terms = (
        EnvelopeTerm(
            name="width",
            profile=lorentz_profile(time),
            members=everything,
            start=6.0,
            low=_NARROWEST_HZ,
            high=_WIDEST_PPM * protocol.frequency_mhz,
        ),
        EnvelopeTerm(
            name="phase",
            profile=phase_profile(time),
            members=everything,
            start=0.0,
            low=-0.5,
            high=0.5,
        ),
        *_shifts(peaks, time, protocol),
    )
    return _fitted(data, window, peaks, terms)


def edited_peaks(data: Real, window: FitWindow, protocol: MegaProtocol, filter_: Real) -> PeakFit:
    """GABA+ as one Gaussian and Glx as two.

    Parameters
    ----------
    data, window, protocol, filter_
        As in `creatine_peaks`, for the difference.
    """
    kept = (window.ppm < CHOLINE_PPM[0]) | (window.ppm > CHOLINE_PPM[1])
    window = replace(window, rows=window.rows[kept], ppm=window.ppm[kept])
    time = time_axis(len(filter_), protocol.dwell_s)
    peaks = _carriers(_EDITED, protocol, filter_)
    widths = tuple(
        EnvelopeTerm(
            name=f"{peak.name} width2",
            profile=gauss_profile(time),
            members=chosen(peaks, (peak.name,)),
            start=(_EDITED_WIDTH_PPM[peak.name] * protocol.frequency_mhz) ** 2,
            low=_NARROWEST_HZ**2,
            high=(_WIDEST_PPM * protocol.frequency_mhz) ** 2,
        )
        for peak in peaks
    )
    return _fitted(data[kept], window, peaks, (*widths, *_shifts(peaks, time, protocol)))


def _carriers(
    places_ppm: dict[str, float], protocol: MegaProtocol, filter_: Real
) -> tuple[Component, ...]:
    return tuple(
        Component(name=name, group=name, fid=_carrier(place, protocol, filter_), area=1.0)
        for name, place in places_ppm.items()
    )


def _carrier(place_ppm: float, protocol: MegaProtocol, filter_: Real) -> Complex:
    line = LineList(shift_ppm=np.array([place_ppm]), amplitude=np.array([1.0 + 0j]))
    return line.fid(len(filter_), protocol) * filter_


def _shifts(
    peaks: tuple[Component, ...], time: Real, protocol: MegaProtocol
) -> tuple[EnvelopeTerm, ...]:
    reach = _REACH_PPM * protocol.frequency_mhz
    return tuple(
        EnvelopeTerm(
            name=f"{peak.name} shift",
            profile=shift_profile(time),
            members=chosen(peaks, (peak.name,)),
            start=0.0,
            low=-reach,
            high=reach,
        )
        for peak in peaks
    )


def _fitted(
    data: Real,
    window: FitWindow,
    peaks: tuple[Component, ...],
    terms: tuple[EnvelopeTerm, ...],
) -> PeakFit:
    """Peaks on a straight line: a freer baseline takes what GABA+ has of macromolecules."""
    if not np.any(data):
        raise NumericalError("the spectrum is empty where peaks are fitted; they have no areas.")
    place: Real = window.ppm - window.ppm.mean()
    smooth = np.stack([np.ones_like(place), place], axis=1)
    problem = SeparableProblem(
        data=data,
        sigma=float(np.abs(data).max()),
        window=window,
        fids=np.stack([peak.fid for peak in peaks]),
        signed=np.zeros(len(peaks), dtype=bool),
        terms=terms,
        smooth=smooth,
        ties=np.zeros((0, len(peaks) + smooth.shape[1])),
        targets=np.zeros(0),
    )
    first = solve(problem)
    # the residual is all that is known of the noise; no constraint depends on it
    scaled = replace(problem, sigma=max(_rms(first), 1e-9 * problem.sigma))
    return PeakFit(names=tuple(peak.name for peak in peaks), fit=solve(scaled, first.parameters))


def _rms(fit: SeparableFit) -> float:
    return float(np.sqrt(np.mean(fit.residual**2)))
