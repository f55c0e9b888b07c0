"""Each gate against its definition in the design: value, limit, verdict."""

from dataclasses import replace

import pytest

from cestle.gates import Verdict, worst
from cestle.mrs.gates import FitQuality, GateSettings, assess_mega
from cestle.mrs.quality import Kept, Noise, PreparedQuality, WaterWidth
from cestle.mrs.subtraction import SubtractionResidual

NOISE = Noise(sd=1.0, low_ppm=8.0, high_ppm=9.2)
GOOD = PreparedQuality(
    water=WaterWidth(absorption_hz=9.0, magnitude_hz=15.0),
    creatine_fwhm_hz=7.0,
    naa_fwhm_hz=6.5,
    lipid_over_creatine=0.08,
    creatine_snr=200.0,
    naa_snr=300.0,
    off_noise=NOISE,
    difference_noise=NOISE,
    drift_hz=1.0,
    kept=Kept(on=98, off=99, percent=98.0, uneven_percent=1.0),
    subtraction=SubtractionResidual(creatine_percent=0.2, choline_percent=0.5),
    naa_in_difference=-0.98,
)
FIT = FitQuality(
    gaba_snr=9.0,
    gaba_crlb_percent=5.0,
    residual_over_noise=1.1,
    terms_at_bound=0,
    gaba_cr=0.18,
    glx_cr=0.24,
)


LIMITS = GateSettings()


def gates(quality=GOOD, fit=FIT, settings=LIMITS):
    """The gates by name."""
    return {gate.name: gate for gate in assess_mega(quality, fit, settings)}


def test_a_good_measurement_passes_all():
    """All fourteen gates of the design are there, and a good measurement passes each."""
    found = gates()
    assert set(found) == {
        "water_fwhm",
        "metabolite_fwhm",
        "snr",
        "drift",
        "transients_kept",
        "subtraction_cho",
        "subtraction_cr",
        "fit_crlb",
        "fit_residual",
        "lineshape",
        "plausible_gaba",
        "plausible_glx",
        "naa_sign",
        "lipid",
    }
    assert worst(found.values()) is Verdict.PASS
    assert {gate.scope for gate in found.values()} == {"mrs"}


def water(width):
    """Good, with water of this width."""
    return replace(GOOD, water=WaterWidth(absorption_hz=width, magnitude_hz=2.0 * width))


def left(**percent):
    """Good, with these residuals of the subtraction."""
    return replace(GOOD, subtraction=replace(GOOD.subtraction, **percent))


def transients(on, off, percent):
    """Good, with so many transients kept."""
    return replace(GOOD, kept=Kept(on=on, off=off, percent=percent, uneven_percent=0.0))


@pytest.mark.parametrize(
    ("name", "inside", "outside", "verdict"),
    [
        ("water_fwhm", (water(14.0), FIT), (water(14.1), FIT), Verdict.FAIL),
        (
            "metabolite_fwhm",
            (replace(GOOD, creatine_fwhm_hz=10.0), FIT),
            (replace(GOOD, creatine_fwhm_hz=10.1), FIT),
            Verdict.FAIL,
        ),
        (
            "snr",
            (GOOD, replace(FIT, gaba_snr=3.01)),
            (GOOD, replace(FIT, gaba_snr=2.99)),
            Verdict.FAIL,
        ),
        (
            "drift",
            (replace(GOOD, drift_hz=5.0), FIT),
            (replace(GOOD, drift_hz=5.1), FIT),
            Verdict.WARN,
        ),
        (
            "drift",
            (replace(GOOD, drift_hz=4.0), FIT),
            (replace(GOOD, drift_hz=10.1), FIT),
            Verdict.FAIL,
        ),
        (
            "transients_kept",
            (transients(75, 75, 75.0), FIT),
            (transients(74, 90, 74.0), FIT),
            Verdict.FAIL,
        ),
        (
            "transients_kept",
            (transients(60, 60, 100.0), FIT),
            (transients(59, 60, 98.0), FIT),
            Verdict.FAIL,
        ),
        (
            "subtraction_cho",
            (left(choline_percent=5.0), FIT),
            (left(choline_percent=5.1), FIT),
            Verdict.FAIL,
        ),
        (
            "lipid",
            (replace(GOOD, lipid_over_creatine=0.3), FIT),
            (replace(GOOD, lipid_over_creatine=0.31), FIT),
            Verdict.WARN,
        ),
        (
            "lipid",
            (replace(GOOD, lipid_over_creatine=0.2), FIT),
            (replace(GOOD, lipid_over_creatine=2.1), FIT),
            Verdict.FAIL,
        ),
        # 10 % of GABA+ of 0.18 is 1.8 % of creatine
        (
            "subtraction_cr",
            (left(creatine_percent=1.79), FIT),
            (left(creatine_percent=1.81), FIT),
            Verdict.FAIL,
        ),
        (
            "fit_crlb",
            (GOOD, replace(FIT, gaba_crlb_percent=20.0)),
            (GOOD, replace(FIT, gaba_crlb_percent=20.1)),
            Verdict.FAIL,
        ),
        (
            "fit_residual",
            (GOOD, replace(FIT, residual_over_noise=2.0)),
            (GOOD, replace(FIT, residual_over_noise=2.1)),
            Verdict.FAIL,
        ),
        ("lineshape", (GOOD, FIT), (GOOD, replace(FIT, terms_at_bound=1)), Verdict.FAIL),
        (
            "plausible_gaba",
            (GOOD, replace(FIT, gaba_cr=0.40)),
            (GOOD, replace(FIT, gaba_cr=0.41)),
            Verdict.WARN,
        ),
        (
            "plausible_gaba",
            (GOOD, replace(FIT, gaba_cr=0.05)),
            (GOOD, replace(FIT, gaba_cr=0.04)),
            Verdict.WARN,
        ),
        (
            "plausible_glx",
            (GOOD, replace(FIT, glx_cr=0.60)),
            (GOOD, replace(FIT, glx_cr=0.61)),
            Verdict.WARN,
        ),
        (
            "naa_sign",
            (replace(GOOD, naa_in_difference=-0.6), FIT),
            (replace(GOOD, naa_in_difference=0.9), FIT),
            Verdict.WARN,
        ),
    ],
)
def test_limits_are_those_of_the_design(name, inside, outside, verdict):
    """A value at its limit passes, one just beyond it gets the verdict of the design."""
    assert gates(*inside)[name].verdict is Verdict.PASS
    assert gates(*outside)[name].verdict is verdict


def test_missing_water_fails_unless_the_site_says_otherwise():
    """Without a water reference the 14 Hz rule fails; a setting turns that into a warning."""
    dry = replace(GOOD, water=None)
    gate = gates(dry)["water_fwhm"]
    assert (gate.value, gate.verdict) == (None, Verdict.FAIL)
    assert "could not be measured" in gate.sentence
    kind = GateSettings(missing_water=Verdict.WARN)
    assert gates(dry, settings=kind)["water_fwhm"].verdict is Verdict.WARN


def test_averages_pass_what_needs_transients():
    """Averages have no drift and no count: both gates pass without a value."""
    found = gates(replace(GOOD, drift_hz=None, kept=None))
    for name in ("drift", "transients_kept"):
        assert (found[name].value, found[name].verdict) == (None, Verdict.PASS)


def test_no_bound_fails():
    """Without GABA+ there is no relative bound, and the gate fails."""
    assert gates(fit=replace(FIT, gaba_crlb_percent=None))["fit_crlb"].verdict is Verdict.FAIL


def test_limits_can_be_moved():
    """A limit of the settings is the one that the gate holds against."""
    strict = GateSettings(water_fwhm_hz=8.0)
    assert gates(settings=strict)["water_fwhm"].verdict is Verdict.FAIL
