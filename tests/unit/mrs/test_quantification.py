"""The whole quantification: what is reported, in which words, and when it refuses."""

import math
from dataclasses import replace

import numpy as np
import pytest

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError, ProtocolError
from cestle.gates import Verdict
from cestle.mrs.megapress import FitMethod, MegaSettings, quantify_mega_press, quantify_prepared
from cestle.mrs.result import CONVENTION
from cestle.mrs.series import MegaProtocol, MegaSeries, PreparedMega
from cestle.phantom.mega_cases import mega_case
from cestle.phantom.megapress import simulate_mega
from reading import shared
from unit.mrs.tissue import Tissue, measured

ALL = shipped_bases(TemplateFolder.default())
BASES = {basis.settings.name: basis for basis in ALL}
USUAL = BASES["mega_press_5t_te72_gauss14_slices"]
RESEARCH = {
    "gaba_cr_half",
    "glx_cr_half",
    "gaba_cr_peaks",
    "glx_cr_peaks",
    "gaba_cr_paper",
    "glx_cr_paper",
    "gaba_tcr",
    "glx_tcr_off",
    "glu_tcr_off",
    "mm_fraction",
    "naa_snr",
    "tcr_snr",
}


def prepared(**settings):
    """Prepared averages of a synthetic tissue, with their truth."""
    spectra, truth = measured(USUAL, replace(Tissue(noise=0.011, baseline=0.3), **settings))
    return PreparedMega(
        spectra=spectra,
        water=None,
        transients=(),
        scanner_difference=None,
        decisions=("decided",),
        notes=("noted",),
    ), truth


@pytest.fixture(scope="module")
def typical():
    """Averages and their analysis."""
    one, truth = prepared()
    return one, truth, quantify_prepared(one, [USUAL])


def test_ratios_are_those_of_the_truth(typical):
    """Both ratios lie within 2.5 stated standard errors of the truth, which are below 15 %."""
    _, truth, analysis = typical
    for found, true in (
        (analysis.result.gaba_cr, truth.gaba_cr),
        (analysis.result.glx_cr, truth.glx_cr),
    ):
        assert abs(found.value - true) < 2.5 * found.standard_error
        assert found.standard_error < 0.15 * true


def test_result_is_complete(typical):
    """All names that reports print are there, the convention, and what was decided before."""
    result = typical[2].result
    assert set(result.research) == RESEARCH
    assert set(result.crlb_percent) == set(result.model_spread) == {"gaba_cr", "glx_cr"}
    assert result.convention == CONVENTION
    assert result.basis == "mega_press_5t_te72_gauss14_slices 1"
    assert {"decided", "noted"} <= set(result.notes)
    assert len(result.gates) == 14


def test_half_difference_is_one_half(typical):
    """The values for comparison with other programs are exactly one half, with their errors."""
    result = typical[2].result
    half = result.research["gaba_cr_half"]
    assert half.value == 0.5 * result.gaba_cr.value
    assert half.standard_error == 0.5 * result.gaba_cr.standard_error


def test_quotient_is_that_of_the_ratios(typical):
    """Glx/GABA+ is one ratio over the other."""
    result = typical[2].result
    assert result.glx_gaba.value == pytest.approx(result.glx_cr.value / result.gaba_cr.value)


def test_averages_say_what_cannot_be_checked(typical):
    """Averages pass drift and transients without value, with a note; missing water fails."""
    result = typical[2].result
    assert result.gate("drift").value is None
    assert result.gate("drift").verdict is Verdict.PASS
    assert result.gate("water_fwhm").verdict is Verdict.FAIL
    assert not result.usable
    assert any("could not be checked" in note and "drift" in note for note in result.notes)
    assert result.transients_used is None


def test_curves_add_up(typical):
    """In both pictures the parts and the baseline sum to the fit, and ppm ascends."""
    analysis = typical[2]
    for curves in (analysis.off, analysis.difference):
        total = sum(curves.parts.values()) + curves.baseline
        assert total == pytest.approx(curves.fit, abs=1e-9 * np.abs(curves.fit).max())
        assert np.all(np.diff(curves.ppm) > 0.0)
    assert {"GABA+", "Glx", "NAA", "MM"} <= set(analysis.difference.parts)
    assert {"tCr", "tCho", "NAA"} <= set(analysis.off.parts)


def test_site_factors_scale_and_are_said(typical):
    """Calibration factors scale ratios, errors and spread, and stand in the notes."""
    one, _, plain = typical
    settings = MegaSettings(gaba_cr_factor=1.2, glx_cr_factor=0.9)
    found, before = quantify_prepared(one, [USUAL], settings).result, plain.result
    assert found.gaba_cr.value == pytest.approx(1.2 * before.gaba_cr.value)
    assert found.gaba_cr.standard_error == pytest.approx(1.2 * before.gaba_cr.standard_error)
    assert found.glx_gaba.value == pytest.approx(0.75 * before.glx_gaba.value)
    assert found.model_spread["glx_cr"].range == pytest.approx(
        tuple(0.9 * value for value in before.model_spread["glx_cr"].range)
    )
    assert any("1.2" in note and "0.9" in note for note in found.notes)
    assert not any("calibration" in note for note in before.notes)


def test_published_method_reports_the_published_numbers(typical):
    """With the method `paper` the ratios are those that stand beside the default."""
    one, _, plain = typical
    found = quantify_prepared(one, [USUAL], MegaSettings(method=FitMethod("paper"))).result
    assert found.gaba_cr.value == plain.result.research["gaba_cr_paper"].value
    assert found.glx_cr.value == plain.result.research["glx_cr_paper"].value
    assert "as published" in found.model


def test_without_bootstrap_errors_come_from_the_bound(typical):
    """With no draws ratios keep an error, and values that need draws are not separable."""
    one, _, _ = typical
    found = quantify_prepared(one, [USUAL], MegaSettings(bootstrap_draws=0)).result
    assert found.gaba_cr.standard_error > 0.0
    assert found.research["mm_fraction"] is None


def test_only_fitting_bases_are_used(typical):
    """Among all shipped bases one of 5T is taken; without any that fits the series is refused."""
    one, _, _ = typical
    assert "5t_te72" in quantify_prepared(one, ALL).result.basis
    with pytest.raises(ProtocolError, match="no basis fits"):
        quantify_prepared(one, [basis for basis in ALL if "3t" in basis.settings.name])


def test_unknown_echo_time_is_refused(typical):
    """Without TE no basis is guessed."""
    one = typical[0]
    blind = replace(one.spectra, protocol=replace(one.spectra.protocol, echo_time_ms=None))
    with pytest.raises(ProtocolError, match="echo time"):
        quantify_prepared(replace(one, spectra=blind), ALL)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_impossible_factors_are_refused(factor):
    """A calibration factor that is no positive number is a fault of the configuration."""
    with pytest.raises(ConfigError, match="calibration factor"):
        MegaSettings(gaba_cr_factor=factor)


@pytest.mark.parametrize("name", ["typical", "patient", "averaged"])
def test_simulated_measurements_are_read_right(name):
    """From raw FIDs, ratios lie within 3 stated errors of the truth and quality passes."""
    case = mega_case(name, 2)
    simulated = simulate_mega(case.settings, BASES[case.basis])
    result = quantify_mega_press(simulated.series, ALL).result
    for found, true in (
        (result.gaba_cr, simulated.truth.gaba_cr),
        (result.glx_cr, simulated.truth.glx_cr),
    ):
        assert abs(found.value - true) < 3.0 * found.standard_error
    assert all(
        gate.verdict is not Verdict.FAIL for gate in result.gates if gate.name != "water_fwhm"
    )


@pytest.mark.parametrize(("name", "gate"), [("fail_snr", "snr"), ("fail_width", "metabolite_fwhm")])
def test_poor_measurements_are_not_for_use(name, gate):
    """What is too noisy or too broad fails its gate and is not usable."""
    case = mega_case(name, 1)
    simulated = simulate_mega(case.settings, BASES[case.basis])
    result = quantify_mega_press(simulated.series, ALL).result
    assert result.gate(gate).verdict is Verdict.FAIL
    assert not result.usable


def test_real_3t_set_is_in_range():
    """The real Philips set gives GABA+/Cr of 0.20 to 0.32 and Glx/Cr of 0.15 to 0.27."""
    data = np.load(shared("mega-press-philips-3t/mpress.npz"))
    protocol = MegaProtocol(
        frequency_mhz=127.793291,
        dwell_s=float(data["dwell_s"]),
        transmitter_ppm=4.65,
        echo_time_ms=68.0,
        repetition_time_ms=2000.0,
    )
    fids = data["fid"].astype(np.complex128)
    series = MegaSeries(
        fids=fids[:, None, :],
        labels=(None,) * len(fids),
        averaged=False,
        averages=None,
        water=None,
        difference=None,
        protocol=protocol,
        voxel=None,
        source="SDAT",
    )
    result = quantify_mega_press(series, ALL).result
    assert 0.20 <= result.gaba_cr.value <= 0.32
    assert 0.15 <= result.glx_cr.value <= 0.27
    assert result.gate("drift").value == pytest.approx(13.5, abs=1.0)
