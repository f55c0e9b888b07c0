"""MEGA-PRESS from FIDs to ratios with their errors, quality and pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from cestle.errors import ConfigError, NumericalError, ProtocolError
from cestle.mrs.basis import MegaBasis, select_bases
from cestle.mrs.components import GABA_PPM
from cestle.mrs.curves import difference_curves, off_curves
from cestle.mrs.difference_fit import GABA_PLUS, DifferenceModel
from cestle.mrs.gates import FitQuality, GateSettings, assess_mega
from cestle.mrs.linear_combination import LinearCombination, fit_linear_combination, model_spread
from cestle.mrs.paper_chain import fit_as_published
from cestle.mrs.peaks import PeakModel, PeakRatios, fit_peaks
from cestle.mrs.preparation import PreparationSettings, prepare
from cestle.mrs.quality import PreparedQuality, measure
from cestle.mrs.ratios import Ratios, fitted_ratios, published_ratios
from cestle.mrs.research import research_values
from cestle.mrs.result import MegaAnalysis, MegaResult, ModelSpread
from cestle.mrs.selection import LEFT_OUT
from cestle.mrs.separable import SeparableFit
from cestle.mrs.series import EditedSpectra, MegaSeries, PreparedMega
from cestle.mrs.uncertainty import bootstrap, bounds

MODEL: Final = "linear combination by variable projection, cestle-lcm/1"
PAPER_MODEL: Final = (
    "as published: HSVD, Hanning, 4096 points, NAA reference, polynomial baseline, peaks"
)
DISAGREEMENT: Final = 0.35
"""Relative difference to the peak model from which on it is said."""

_LINE_TERMS: Final = ("lorentz", "gauss2", "shift", "phase", "tCr width", "tCho width")
_NATURAL_ZERO: Final = ("lorentz", "gauss2")


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
        Number of draws of the bootstrap, 0 for none.
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

    def __post_init__(self) -> None:
        """Refuse what makes no number.

        Raises
        ------
        ConfigError
            When a factor is not a positive number, or the draws are negative.
        """
        for factor in (self.gaba_cr_factor, self.glx_cr_factor):
            if not 0.0 < factor < np.inf:
                raise ConfigError(
                    f"a calibration factor is {factor:g}; give a positive number, 1 for none."
                )
        if self.bootstrap_draws < 0:
            raise ConfigError(f"{self.bootstrap_draws} bootstrap draws; give 0 or more.")


def quantify_mega_press(
    series: MegaSeries, bases: Sequence[MegaBasis], settings: MegaSettings = MegaSettings()
) -> MegaAnalysis:
    """Prepare, fit and judge one measurement.

    Parameters
    ----------
    series
        As read.
    bases
        All bases, the preferred one first; those that fit frequency and TE are used.
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
    spectra, quality = prepared.spectra, measure(prepared)
    fits = fit_linear_combination(spectra, _fitting(spectra, bases), settings.model)
    best, spread = fits[0], model_spread(spectra, fits, settings.model)
    draws = bootstrap(best, spectra, draws=settings.bootstrap_draws)
    peaks, paper = _beside(fit_peaks, spectra), _beside(fit_as_published, spectra)
    ratios = fitted_ratios(best, spread, bounds(best, spectra), draws)
    if settings.method is FitMethod.PAPER:
        ratios = _published(paper, spread)
    disagreement = _disagreement(ratios, peaks)
    ratios = ratios.calibrated(settings.gaba_cr_factor, settings.glx_cr_factor)
    result = MegaResult(
        gaba_cr=ratios.gaba_cr,
        glx_cr=ratios.glx_cr,
        glx_gaba=ratios.glx_gaba,
        crlb_percent=ratios.crlb_percent,
        model_spread=_calibrated(spread, settings),
        research=research_values(ratios, best, draws, quality, peaks, paper),
        model=MODEL if settings.method is FitMethod.LINEAR_COMBINATION else PAPER_MODEL,
        basis=f"{best.basis.settings.name} {best.basis.settings.version}",
        gates=assess_mega(quality, _fit_quality(best, ratios), settings.gates),
        transients_used=_count(prepared, kept=True),
        transients_rejected=_count(prepared, kept=False),
        transients_left_out=tuple(
            number
            for number, one in enumerate(prepared.transients, start=1)
            if one.rejected == LEFT_OUT
        ),
        notes=(
            *prepared.decisions,
            *prepared.notes,
            *_unchecked(quality),
            *disagreement,
            *_factors(settings),
        ),
    )
    return MegaAnalysis(
        result=result,
        prepared=prepared,
        off=off_curves(best.off),
        difference=difference_curves(best.difference),
    )


def _fitting(spectra: EditedSpectra, bases: Sequence[MegaBasis]) -> tuple[MegaBasis, ...]:
    protocol = spectra.protocol
    if protocol.echo_time_ms is None:
        raise ProtocolError(
            "the spectra state no echo time, so no basis can be chosen; send them with TE, or "
            "configure it."
        )
    return select_bases(
        bases, frequency_mhz=protocol.frequency_mhz, echo_time_ms=protocol.echo_time_ms
    )


def _beside(
    model: Callable[[EditedSpectra], PeakModel], spectra: EditedSpectra
) -> PeakRatios | None:
    """Ratios by a model that stands beside; None where it finds nothing."""
    try:
        return model(spectra).ratios()
    except NumericalError:
        return None


def _published(paper: PeakRatios | None, spread: dict[str, ModelSpread]) -> Ratios:
    if paper is None:
        raise NumericalError(
            "the published chain finds no peaks in these spectra; configure the method "
            f"{FitMethod.LINEAR_COMBINATION} or look at the spectra."
        )
    return published_ratios(paper, spread)


def _calibrated(spread: dict[str, ModelSpread], settings: MegaSettings) -> dict[str, ModelSpread]:
    factors = {"gaba_cr": settings.gaba_cr_factor, "glx_cr": settings.glx_cr_factor}
    return {
        ratio: ModelSpread(
            values={name: factors[ratio] * value for name, value in one.values.items()}
        )
        for ratio, one in spread.items()
    }


def _fit_quality(fit: LinearCombination, ratios: Ratios) -> FitQuality:
    difference = fit.difference
    noise = max(difference.noise, float(np.finfo(np.float64).tiny))
    ppm = difference.fit.problem.window.ppm
    under = (ppm >= GABA_PPM[0]) & (ppm <= GABA_PPM[1])
    residual = difference.fit.residual[under]
    return FitQuality(
        gaba_snr=float(np.max(difference.signal(*GABA_PLUS)[under])) / noise,
        gaba_crlb_percent=ratios.crlb_percent.get("gaba_cr"),
        residual_over_noise=float(np.sqrt(np.mean(residual**2))) / noise,
        terms_at_bound=_at_bound(fit.off.fit) + _at_bound(difference.fit),
        gaba_cr=ratios.gaba_cr.value,
        glx_cr=ratios.glx_cr.value,
    )


def _at_bound(fit: SeparableFit) -> int:
    """Terms of the common line at a bound; a width may be zero."""
    return sum(
        not loose and not (term.name in _NATURAL_ZERO and value <= term.low)
        for term, value, loose in zip(fit.problem.terms, fit.parameters, fit.loose, strict=True)
        if term.name in _LINE_TERMS
    )


def _count(prepared: PreparedMega, *, kept: bool) -> int | None:
    if not prepared.transients:
        return None
    return sum((one.rejected is None) is kept for one in prepared.transients)


def _unchecked(quality: PreparedQuality) -> tuple[str, ...]:
    """What could not be checked."""
    notes = []
    if quality.water is None:
        notes.append("the width of unsuppressed water could not be checked")
    if quality.kept is None:
        notes.append(
            "averages made by the scanner: drift, motion and corrupted transients could not be "
            "checked, and the error holds noise and the choice of the model only"
        )
    return tuple(notes)


def _disagreement(ratios: Ratios, peaks: PeakRatios | None) -> tuple[str, ...]:
    """What the peak model says of GABA+/Cr, before any factor of the site."""
    if peaks is None:
        return ("the peak model found nothing, so nothing stands beside the fit",)
    value, beside = ratios.gaba_cr.value, peaks.gaba_cr.value
    if abs(beside - value) <= DISAGREEMENT * abs(value):
        return ()
    return (
        f"the peak model reads {beside:.3f} for GABA+/Cr against {value:.3f}, more than "
        f"{DISAGREEMENT:.0%} apart; look at the fit before the number is used",
    )


def _factors(settings: MegaSettings) -> tuple[str, ...]:
    factors = (settings.gaba_cr_factor, settings.glx_cr_factor)
    if factors == (1.0, 1.0):
        return ()
    return (f"calibration factors of the site: {factors[0]:g} GABA+/Cr, {factors[1]:g} Glx/Cr",)
