"""MEGA-PRESS from FIDs to ratios with their errors, quality and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from cestle.errors import NumericalError, ProtocolError
from cestle.measurement import Estimate
from cestle.mrs.basis import MegaBasis, select_bases
from cestle.mrs.curves import difference_curves, off_curves
from cestle.mrs.difference_fit import GABA_PLUS, GLX, DifferenceModel
from cestle.mrs.gates import FitQuality, GateSettings, assess_mega
from cestle.mrs.linear_combination import LinearCombination, fit_linear_combination, model_spread
from cestle.mrs.paper_chain import quantify_as_published
from cestle.mrs.peaks import PeakRatios, fit_peaks
from cestle.mrs.preparation import PreparationSettings, prepare
from cestle.mrs.quality import PreparedQuality, measure
from cestle.mrs.research import halved, research_values
from cestle.mrs.result import MegaAnalysis, MegaResult, ModelSpread
from cestle.mrs.series import EditedSpectra, MegaSeries, PreparedMega
from cestle.mrs.uncertainty import Bounds, Draws, bootstrap, bounds, combined
from cestle.physics import Real

MODEL: Final = "linear combination, variable projection, cestle-lcm/1"
PAPER_MODEL: Final = (
    "as published: HSVD, Hanning, 4096 points, NAA reference, polynomial baseline, peaks"
)
DISAGREEMENT: Final = 0.35
"""Relative difference to the peak model from which on it is said."""

_GABA_PPM: Final = (2.8, 3.2)


class FitMethod(StrEnum):
    """Which model the reported ratios come from."""

    LINEAR_COMBINATION = "linear_combination"
    """The shipped basis with soft constraints, the default."""
    PAPER = "paper"
    """The published chain with peaks, so that its numbers can be reproduced."""


@dataclass(frozen=True, kw_only=True)
class MegaSettings:
    """How the ratios are made.

    Parameters
    ----------
    method
        Which model they come from; the others stand beside them.
    preparation, model, gates
        Settings of the steps.
    bootstrap_draws
        Number of draws of the bootstrap.
    gaba_cr_factor, glx_cr_factor
        Calibration factors of the site, 1 for none.
    """

    method: FitMethod = FitMethod.LINEAR_COMBINATION
    preparation: PreparationSettings = field(default_factory=PreparationSettings)
    model: DifferenceModel = field(default_factory=DifferenceModel)
    gates: GateSettings = field(default_factory=GateSettings)
    bootstrap_draws: int = 200
    gaba_cr_factor: float = 1.0
    glx_cr_factor: float = 1.0


def quantify_mega_press(
    series: MegaSeries, bases: Sequence[MegaBasis], settings: MegaSettings = MegaSettings()
) -> MegaAnalysis:
    """Prepare, fit and judge one measurement.

    Parameters
    ----------
    series
        As read.
    bases
        All bases, the preferred one first.
    settings
        How the ratios are made.

    Raises
    ------
    InputError
        When the series cannot be used or no basis fits it.
    NumericalError
        When there is no number to be trusted; poor quality is a failed gate instead.
    """
    return quantify_prepared(prepare(series, settings.preparation), bases, settings)


def quantify_prepared(
    prepared: PreparedMega, bases: Sequence[MegaBasis], settings: MegaSettings = MegaSettings()
) -> MegaAnalysis:
    """Fit and judge prepared spectra.

    Parameters
    ----------
    prepared, bases, settings
        As in `quantify_mega_press`.

    Raises
    ------
    InputError
        When no basis fits.
    NumericalError
        When there is no number to be trusted.
    """
    spectra = prepared.spectra
    fits = fit_linear_combination(spectra, _fitting(spectra, bases), settings.model)
    best = fits[0]
    spread = model_spread(spectra, fits, settings.model)
    limits = bounds(best, spectra)
    draws = bootstrap(best, spectra, draws=settings.bootstrap_draws)
    quality = measure(prepared)
    peaks, paper = _attempt(fit_peaks, spectra), _attempt(quantify_as_published, spectra)
    ratios = _ratios(best, spread, limits, draws)
    if settings.method is FitMethod.PAPER:
        ratios = _published(paper, spread)
    gaba_cr = _scaled(ratios.gaba_cr, settings.gaba_cr_factor)
    glx_cr = _scaled(ratios.glx_cr, settings.glx_cr_factor)
    result = MegaResult(
        gaba_cr=gaba_cr,
        glx_cr=glx_cr,
        glx_gaba=_quotient(glx_cr, gaba_cr, ratios.log_error),
        crlb_percent={
            "gaba_cr": _percent(limits.gaba_cr, best.gaba_cr),
            "glx_cr": _percent(limits.glx_cr, best.glx_cr),
        },
        model_spread=spread,
        research=research_values(best, draws, quality, peaks, paper)
        | halved({"gaba_cr": gaba_cr, "glx_cr": glx_cr}),
        model=MODEL if settings.method is FitMethod.LINEAR_COMBINATION else PAPER_MODEL,
        basis=f"{best.basis.settings.name} {best.basis.settings.version}",
        gates=assess_mega(quality, _fit_quality(best, limits, gaba_cr, glx_cr), settings.gates),
        transients_used=_count(prepared, kept=True),
        transients_rejected=_count(prepared, kept=False),
        notes=(
            *prepared.decisions,
            *prepared.notes,
            *_notes(quality, gaba_cr, peaks, settings),
        ),
    )
    return MegaAnalysis(
        result=result,
        prepared=prepared,
        off=off_curves(best.off),
        difference=difference_curves(best.difference),
    )


@dataclass(frozen=True, kw_only=True)
class _Ratios:
    """Both ratios with errors, and the standard error of the logarithm of their quotient."""

    gaba_cr: Estimate
    glx_cr: Estimate
    log_error: float | None


def _fitting(spectra: EditedSpectra, bases: Sequence[MegaBasis]) -> tuple[MegaBasis, ...]:
    protocol = spectra.protocol
    if protocol.echo_time_ms is None:
        raise ProtocolError(
            "the spectra state no echo time, so no basis can be chosen; export them with EchoTime."
        )
    return select_bases(
        bases, frequency_mhz=protocol.frequency_mhz, echo_time_ms=protocol.echo_time_ms
    )


def _ratios(
    fit: LinearCombination, spread: dict[str, ModelSpread], limits: Bounds, draws: Draws
) -> _Ratios:
    """Values of the fit; the error is the larger of bound and scatter, with that of the model."""
    creatine = _creatine_weights(fit)
    gaba = fit.difference.weights(*GABA_PLUS)
    glx = fit.difference.weights(*GLX)
    scatter_gaba = draws.scatter(lambda low, high: high @ gaba / (low @ creatine))
    scatter_glx = draws.scatter(lambda low, high: high @ glx / (low @ creatine))
    noise = {
        "gaba_cr": _larger(limits.gaba_cr, scatter_gaba),
        "glx_cr": _larger(limits.glx_cr, scatter_glx),
    }
    values = {"gaba_cr": fit.gaba_cr, "glx_cr": fit.glx_cr}
    found = {
        name: Estimate(value=values[name], standard_error=combined(noise[name], spread[name]))
        for name in values
    }
    return _Ratios(**found, log_error=_log_error(found, limits))


def _log_error(found: dict[str, Estimate], limits: Bounds) -> float | None:
    """Of Glx over GABA+: noise of both together, choice of the model of each."""
    if limits.glx_gaba is None:
        return None
    relative = [
        estimate.standard_error / estimate.value
        for estimate in found.values()
        if estimate.standard_error is not None and estimate.value > 0.0
    ]
    return float(np.hypot(limits.glx_gaba, max(relative, default=0.0)))


def _creatine_weights(fit: LinearCombination) -> Real:
    weights = np.zeros(len(fit.off.fit.amplitudes))
    place = [part.name for part in fit.off.components].index("tCr")
    weights[place] = fit.off.creatine_area / fit.off.amplitude("tCr")
    return weights


def _published(paper: PeakRatios | None, spread: dict[str, ModelSpread]) -> _Ratios:
    if paper is None:
        raise NumericalError(
            "the published chain gives no peaks on these spectra; configure the method "
            "linear_combination or look at the spectra."
        )
    found = {}
    for name, one in (("gaba_cr", paper.gaba_cr), ("glx_cr", paper.glx_cr)):
        error = combined(one.standard_error or 0.0, spread[name])
        found[name] = Estimate(value=one.value, standard_error=error)
    return _Ratios(**found, log_error=None)


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    error = estimate.standard_error
    return Estimate(
        value=factor * estimate.value, standard_error=None if error is None else factor * error
    )


def _quotient(above: Estimate, below: Estimate, log_error: float | None) -> Estimate:
    """Glx over GABA+.

    Raises
    ------
    NumericalError
        When there is no GABA+ to divide by.
    """
    if not below.value > 0.0:
        raise NumericalError(
            "no GABA+ was found in the difference spectrum, so Glx over GABA+ has no value; look "
            "at the editing pulse and the quality of the series."
        )
    value = above.value / below.value
    if log_error is None:
        relative = [
            (one.standard_error or 0.0) / abs(one.value) for one in (above, below) if one.value
        ]
        log_error = float(np.linalg.norm(relative))
    return Estimate(value=value, standard_error=abs(value) * log_error)


def _fit_quality(
    fit: LinearCombination, limits: Bounds, gaba_cr: Estimate, glx_cr: Estimate
) -> FitQuality:
    difference = fit.difference
    noise = max(difference.noise, float(np.finfo(np.float64).tiny))
    ppm = difference.fit.problem.window.ppm
    under = (ppm >= _GABA_PPM[0]) & (ppm <= _GABA_PPM[1])
    height = float(np.max(difference.signal(*GABA_PLUS)[under]))
    residual = difference.fit.residual[under]
    return FitQuality(
        gaba_snr=height / noise,
        gaba_crlb_percent=_percent(limits.gaba_cr, fit.gaba_cr),
        residual_over_noise=float(np.sqrt(np.mean(residual**2))) / noise,
        lines_at_bound=int(np.sum(~fit.off.fit.loose)),
        gaba_cr=gaba_cr.value,
        glx_cr=glx_cr.value,
    )


def _attempt(
    quantify: Callable[[EditedSpectra], PeakRatios], spectra: EditedSpectra
) -> PeakRatios | None:
    """Ratios by a model that stands beside; None where it finds nothing."""
    try:
        return quantify(spectra)
    except (NumericalError, ProtocolError):
        return None


def _larger(bound: float, scatter: float | None) -> float:
    return bound if scatter is None else max(bound, scatter)


def _percent(error: float, value: float) -> float:
    return 100.0 * error / abs(value) if value else float("inf")


def _count(prepared: PreparedMega, *, kept: bool) -> int | None:
    if not prepared.transients:
        return None
    return sum((one.rejected is None) is kept for one in prepared.transients)


def _notes(
    quality: PreparedQuality,
    gaba_cr: Estimate,
    peaks: PeakRatios | None,
    settings: MegaSettings,
) -> tuple[str, ...]:
    notes = []
    if quality.water is None:
        notes.append("no unsuppressed water was sent: its width cannot be checked")
    factors = (settings.gaba_cr_factor, settings.glx_cr_factor)
    if factors != (1.0, 1.0):
        notes.append(
            f"calibration factors of the site: {factors[0]:g} GABA+/Cr, {factors[1]:g} Glx/Cr"
        )
    if peaks is None:
        notes.append("the peak model found no peaks, so nothing stands beside the fit")
    elif abs(peaks.gaba_cr.value * settings.gaba_cr_factor - gaba_cr.value) > DISAGREEMENT * abs(
        gaba_cr.value
    ):
        notes.append(
            f"the peak model reads {peaks.gaba_cr.value:.3f} for GABA+/Cr, more than "
            f"{DISAGREEMENT:.0%} apart; look at the fit before the number is used"
        )
    return tuple(notes)
