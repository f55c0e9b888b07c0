"""Quality gates of MEGA-PRESS: what is measured, on which line, against which limit.

Water at most 14 Hz wide, metabolites at most 10 Hz and an SNR above 3 are the published limits of
this protocol at 5T; the others were proposed for it and are not confirmed on 5T data. Widths and
SNR are defined as in Kreis et al., doi:10.1002/nbm.4347.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cestle.gates import Gate, Limits, Verdict
from cestle.mrs.quality import PreparedQuality

SCOPE: Final = "mrs"


@dataclass(frozen=True, kw_only=True)
class GateSettings:
    """Limits that a site may move.

    Parameters
    ----------
    water_fwhm_hz, metabolite_fwhm_hz, least_snr
        The published limits [Hz], [Hz], [1].
    drift_warn_hz, drift_fail_hz
        Range of the frequency over the acquisition [Hz].
    least_kept_percent, least_kept_transients
        Of the transients of a state, what is left after rejection [%], [1].
    crlb_percent
        Largest Cramér-Rao bound of GABA+/Cr [%].
    missing_water
        What the gate of the water width says where no unsuppressed water was sent.
    """

    water_fwhm_hz: float = 14.0
    metabolite_fwhm_hz: float = 10.0
    least_snr: float = 3.0
    drift_warn_hz: float = 5.0
    drift_fail_hz: float = 10.0
    least_kept_percent: float = 75.0
    least_kept_transients: int = 60
    crlb_percent: float = 20.0
    missing_water: Verdict = Verdict.FAIL


@dataclass(frozen=True, kw_only=True)
class FitQuality:
    """What the gates need to know of the fit.

    Parameters
    ----------
    gaba_snr
        Height of fitted GABA+ over one standard deviation of the noise of the difference.
    gaba_crlb_percent
        Cramér-Rao bound of GABA+/Cr [%].
    residual_over_noise
        Root mean square of the residual at 2.8 to 3.2 ppm over the noise.
    lines_at_bound
        How many parameters of the line shape the fit left at a bound.
    gaba_cr, glx_cr
        The ratios.
    """

    gaba_snr: float
    gaba_crlb_percent: float
    residual_over_noise: float
    lines_at_bound: int
    gaba_cr: float
    glx_cr: float


def assess_mega(
    quality: PreparedQuality, fit: FitQuality, settings: GateSettings
) -> tuple[Gate, ...]:
    """Hold one measurement against all gates.

    Parameters
    ----------
    quality
        Measured on the prepared spectra.
    fit
        Measured on the fit.
    settings
        The limits.
    """
    return (*_of_spectra(quality, settings), *_of_fit(fit, settings), *_of_plausibility(fit))


def _of_spectra(quality: PreparedQuality, settings: GateSettings) -> Iterator[Gate]:
    width = _most(
        "FWHM of unsuppressed water, absorption, before eddy-current correction, unfiltered",
        "Hz",
        settings.water_fwhm_hz,
        settings.water_fwhm_hz,
        "shim on the voxel and acquire unsuppressed water with it",
    )
    if quality.water is None:
        yield _unmeasured("water_fwhm", settings.missing_water, width)
    else:
        yield Gate.held("water_fwhm", SCOPE, quality.water.absorption_hz, width)
    metabolite = _most(
        "FWHM of the creatine methyl of mean OFF, aligned, unfiltered",
        "Hz",
        settings.metabolite_fwhm_hz,
        settings.metabolite_fwhm_hz,
        "shim on the voxel, look for motion, repeat",
    )
    yield Gate.held("metabolite_fwhm", SCOPE, quality.creatine_fwhm_hz, metabolite)
    drift = _most(
        "range of the registered frequency, ON and OFF",
        "Hz",
        settings.drift_warn_hz,
        settings.drift_fail_hz,
        "let the gradients cool before the series, use the scanner's frequency lock",
    )
    if quality.drift_hz is None:
        yield _unmeasured("drift", Verdict.PASS, drift)
    else:
        yield Gate.held("drift", SCOPE, quality.drift_hz, drift)
    yield _kept(quality, settings)
    residual = quality.subtraction
    choline = _most(
        "choline left by the subtraction, of choline in OFF",
        "%",
        5.0,
        10.0,
        "look for motion and drift between ON and OFF",
    )
    yield Gate.held("subtraction_cho", SCOPE, residual.choline_percent, choline)
    creatine = _most(
        "turned or displaced creatine left by the subtraction, of creatine in OFF",
        "%",
        2.0,
        5.0,
        "look for motion and drift between ON and OFF",
    )
    yield Gate.held("subtraction_cr", SCOPE, residual.creatine_percent, creatine)
    naa = _most(
        "NAA of ON minus OFF over that of OFF",
        "1",
        -0.5,
        None,
        "check where the editing pulse was, and the labels of ON and OFF",
    )
    yield Gate.held("naa_sign", SCOPE, quality.naa_in_difference, naa)


def _kept(quality: PreparedQuality, settings: GateSettings) -> Gate:
    limits = _least(
        f"kept transients of the state that lost more, at least {settings.least_kept_transients}",
        "%",
        settings.least_kept_percent,
        settings.least_kept_percent,
        "look for motion, repeat the series",
    )
    kept = quality.kept
    if kept is None:
        return _unmeasured("transients_kept", Verdict.PASS, limits)
    held = Gate.held("transients_kept", SCOPE, kept.percent, limits)
    few = min(kept.on, kept.off) < settings.least_kept_transients
    if few and held.verdict is Verdict.PASS:
        # the share may be good of an acquisition that was too short
        return Gate(
            name=held.name, scope=SCOPE, value=held.value, verdict=Verdict.WARN, limits=limits
        )
    return held


def _of_fit(fit: FitQuality, settings: GateSettings) -> Iterator[Gate]:
    yield Gate.held(
        "snr",
        SCOPE,
        fit.gaba_snr,
        _least(
            "height of fitted GABA+ over 1 SD of the noise of the difference, unfiltered",
            "1",
            settings.least_snr,
            settings.least_snr,
            "acquire more transients or a larger voxel",
        ),
    )
    crlb = settings.crlb_percent
    yield Gate.held(
        "fit_crlb",
        SCOPE,
        fit.gaba_crlb_percent,
        _most("Cramér-Rao bound of GABA+/Cr", "%", crlb, crlb, "acquire more transients"),
    )
    yield Gate.held(
        "fit_residual",
        SCOPE,
        fit.residual_over_noise,
        _most(
            "RMS of the residual at 2.8 to 3.2 ppm over the noise",
            "1",
            2.0,
            4.0,
            "look at the fit; lipids, water or motion may lie under GABA+",
        ),
    )
    yield Gate.held(
        "lineshape",
        SCOPE,
        float(fit.lines_at_bound),
        _most(
            "parameters of the line shape at a bound",
            "1",
            0.0,
            None,
            "look at the fit; the lines have a shape that the model does not know",
        ),
    )


def _of_plausibility(fit: FitQuality) -> Iterator[Gate]:
    for name, value, high in (
        ("plausible_gaba", fit.gaba_cr, 0.40),
        ("plausible_glx", fit.glx_cr, 0.60),
    ):
        quantity = "GABA+/Cr" if name == "plausible_gaba" else "Glx/Cr"
        action = "look at the fit before the number is used"
        low = _least(f"{quantity}, usual 0.05 to {high:g}", "1", 0.05, None, action)
        if value < low.warn:
            yield Gate.held(name, SCOPE, value, low)
        else:
            usual = _most(f"{quantity}, usual 0.05 to {high:g}", "1", high, None, action)
            yield Gate.held(name, SCOPE, value, usual)


def _unmeasured(name: str, verdict: Verdict, limits: Limits) -> Gate:
    return Gate(name=name, scope=SCOPE, value=None, verdict=verdict, limits=limits)


def _most(quantity: str, unit: str, warn: float, fail: float | None, action: str) -> Limits:
    return Limits(
        quantity=quantity, unit=unit, warn=warn, fail=fail, higher_is_better=False, action=action
    )


def _least(quantity: str, unit: str, warn: float, fail: float | None, action: str) -> Limits:
    return Limits(
        quantity=quantity, unit=unit, warn=warn, fail=fail, higher_is_better=True, action=action
    )
