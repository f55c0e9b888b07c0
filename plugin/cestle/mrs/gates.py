"""Quality gates of MEGA-PRESS: what is measured, on which line, against which limit.

Water at most 14 Hz wide, metabolites at most 10 Hz and an SNR above 3 are the published limits of
this protocol at 5T; the paper does not name the peak of its SNR, here it is GABA+. The others were
proposed for it and are not confirmed on 5T data. Widths and SNR are defined as in Kreis et al.,
doi:10.1002/nbm.4347.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cestle.gates import Gate, Limits, Verdict
from cestle.mrs.quality import PreparedQuality

SCOPE: Final = "mrs"

_SMALLEST_GABA: Final = 0.05
_TRY_AGAIN: Final = "look for motion and drift between ON and OFF"


LIPID_SEEN: Final = 0.3
"""From here on lipid shifted GABA+/Cr of simulated measurements by up to a fifth."""
LIPID_SWAMPED: Final = 2.0


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
        Of each state, what is left after rejection [%], [1].
    choline_percent, creatine_percent
        What subtraction may leave: of choline in choline, of creatine in GABA+ [%].
    crlb_percent
        Largest Cramér-Rao bound of GABA+/Cr [%].
    residual_over_noise
        Largest residual of the fit about 3.0 ppm over the noise [1].
    gaba_cr, glx_cr
        Range of plausible ratios, lowest and highest [1].
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
    choline_percent: float = 5.0
    creatine_percent: float = 10.0
    crlb_percent: float = 20.0
    residual_over_noise: float = 2.0
    gaba_cr: tuple[float, float] = (0.05, 0.40)
    glx_cr: tuple[float, float] = (0.05, 0.60)
    missing_water: Verdict = Verdict.FAIL


@dataclass(frozen=True, kw_only=True)
class FitQuality:
    """What the gates need to know of the fit.

    Parameters
    ----------
    gaba_snr
        Height of fitted GABA+ over one standard deviation of the noise of the difference.
    gaba_crlb_percent
        Cramér-Rao bound of GABA+/Cr; None without GABA+ [%].
    residual_over_noise
        Root mean square of the residual at 2.8 to 3.2 ppm over the noise.
    terms_at_bound
        How many parameters of the line shape the fit left at a bound.
    gaba_cr, glx_cr
        The ratios.
    """

    gaba_snr: float
    gaba_crlb_percent: float | None
    residual_over_noise: float
    terms_at_bound: int
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

    Returns
    -------
        All gates. One that cannot be measured has no value: a missing water width says what the
        settings say, what needs transients passes, and notes say that it was not checked.
    """
    return (
        *_of_lines(quality, settings),
        *_of_transients(quality, settings),
        *_of_subtraction(quality, fit, settings),
        *_of_fit(fit, settings),
        _plausible("plausible_gaba", "GABA+/Cr", fit.gaba_cr, settings.gaba_cr),
        _plausible("plausible_glx", "Glx/Cr", fit.glx_cr, settings.glx_cr),
    )


def _of_lines(quality: PreparedQuality, settings: GateSettings) -> Iterator[Gate]:
    water = _most(
        "FWHM of unsuppressed water, absorption, before eddy-current correction, unfiltered",
        "Hz",
        settings.water_fwhm_hz,
        "shim on the voxel and acquire unsuppressed water with it",
    )
    width = None if quality.water is None else quality.water.absorption_hz
    yield _held("water_fwhm", width, water, unmeasured=settings.missing_water)
    metabolite = _most(
        "FWHM of the creatine methyl of mean OFF, aligned, unfiltered",
        "Hz",
        settings.metabolite_fwhm_hz,
        "shim on the voxel, look for motion, repeat the series",
    )
    yield _held("metabolite_fwhm", quality.creatine_fwhm_hz, metabolite)
    lipid = _most(
        "magnitude of OFF at 1.0 to 1.6 ppm over the height of creatine",
        "1",
        LIPID_SWAMPED,
        "keep the voxel off fat and skull, use outer-volume suppression",
        warn=LIPID_SEEN,
    )
    yield _held("lipid", quality.lipid_over_creatine, lipid)


def _of_transients(quality: PreparedQuality, settings: GateSettings) -> Iterator[Gate]:
    drift = _most(
        "range of the registered frequency, ON and OFF",
        "Hz",
        settings.drift_fail_hz,
        "let the gradients cool before the series, use the scanner's frequency lock",
        warn=settings.drift_warn_hz,
    )
    yield _held("drift", quality.drift_hz, drift, unmeasured=Verdict.PASS)
    # both limits in one: that many transients are the least share of a shortest acquisition
    shortest = 100.0 * settings.least_kept_transients / settings.least_kept_percent
    share = _least(
        f"transients kept of a state, of those acquired or of {shortest:.0f} where fewer were",
        "%",
        settings.least_kept_percent,
        "look for motion, repeat the series",
    )
    kept = quality.kept
    percent = None
    if kept is not None:
        percent = min(kept.percent, 100.0 * min(kept.on, kept.off) / shortest)
    yield _held("transients_kept", percent, share, unmeasured=Verdict.PASS)


def _of_subtraction(
    quality: PreparedQuality, fit: FitQuality, settings: GateSettings
) -> Iterator[Gate]:
    left = quality.subtraction
    choline = _most(
        "choline left by the subtraction, of choline in OFF",
        "%",
        settings.choline_percent,
        _TRY_AGAIN,
    )
    yield _held("subtraction_cho", left.choline_percent, choline)
    creatine = _most(
        f"turned or displaced creatine left by the subtraction, of GABA+ or of "
        f"{_SMALLEST_GABA:g} creatine where there is less",
        "%",
        settings.creatine_percent,
        _TRY_AGAIN,
    )
    yield _held(
        "subtraction_cr", left.creatine_percent / max(fit.gaba_cr, _SMALLEST_GABA), creatine
    )
    naa = _warning(
        "NAA of ON minus OFF over that of OFF",
        -0.5,
        "check where the editing pulse was, and the labels of ON and OFF",
    )
    yield _held("naa_sign", quality.naa_in_difference, naa)


def _of_fit(fit: FitQuality, settings: GateSettings) -> Iterator[Gate]:
    snr = _least(
        "height of fitted GABA+ over 1 SD of the noise of the difference, unfiltered",
        "1",
        settings.least_snr,
        "acquire more transients or a larger voxel",
    )
    yield _held("snr", fit.gaba_snr, snr)
    crlb = _most(
        "Cramér-Rao bound of GABA+/Cr", "%", settings.crlb_percent, "acquire more transients"
    )
    yield _held("fit_crlb", fit.gaba_crlb_percent, crlb, unmeasured=Verdict.FAIL)
    residual = _most(
        "RMS of the residual at 2.8 to 3.2 ppm over the noise",
        "1",
        settings.residual_over_noise,
        "look at the fit: lipid, water or motion may lie under GABA+",
    )
    yield _held("fit_residual", fit.residual_over_noise, residual)
    shape = _most(
        "parameters of the line shape at a bound",
        "1",
        0.0,
        "look at the fit: the lines have a shape that the model does not know",
    )
    yield _held("lineshape", float(fit.terms_at_bound), shape)


def _plausible(name: str, quantity: str, value: float, usual: tuple[float, float]) -> Gate:
    """The side of the range that the value is nearer to; warns only."""
    low, high = usual
    words = f"{quantity}, usual {low:g} to {high:g}"
    action = "look at the fit before the number is used"
    if value < low:
        return _held(name, value, _warning(words, low, action, higher_is_better=True))
    return _held(name, value, _warning(words, high, action))


def _held(
    name: str, value: float | None, limits: Limits, *, unmeasured: Verdict = Verdict.FAIL
) -> Gate:
    if value is None:
        return Gate(name=name, scope=SCOPE, value=None, verdict=unmeasured, limits=limits)
    return Gate.held(name, SCOPE, value, limits)


def _most(
    quantity: str, unit: str, fail: float, action: str, *, warn: float | None = None
) -> Limits:
    return Limits(
        quantity=quantity,
        unit=unit,
        warn=fail if warn is None else warn,
        fail=fail,
        higher_is_better=False,
        action=action,
    )


def _least(quantity: str, unit: str, fail: float, action: str) -> Limits:
    return Limits(
        quantity=quantity, unit=unit, warn=fail, fail=fail, higher_is_better=True, action=action
    )


def _warning(quantity: str, warn: float, action: str, *, higher_is_better: bool = False) -> Limits:
    return Limits(
        quantity=quantity,
        unit="1",
        warn=warn,
        fail=None,
        higher_is_better=higher_is_better,
        action=action,
    )
