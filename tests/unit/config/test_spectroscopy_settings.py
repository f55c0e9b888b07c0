"""From the configuration of spectroscopy to the settings of its analysis."""

import pytest
from pydantic import ValidationError

from cestle.config.basis import shipped_bases
from cestle.config.node import AnalysisSection, MrsSection
from cestle.config.templates import TemplateFolder
from cestle.gates import Verdict
from cestle.mrs.megapress import FitMethod, MegaSettings
from cestle.service.processing import analysis_settings

FOLDER = TemplateFolder.default()


def settings_of(**values):
    """Settings of the spectroscopy arm for a configuration that states `values`."""
    section = AnalysisSection(mrs=MrsSection(**values))
    return analysis_settings(section, FOLDER).spectroscopy


def test_the_defaults_of_the_configuration_are_those_of_the_analysis():
    """A file that says nothing of spectroscopy gives the settings that the analysis has itself."""
    assert settings_of().mega == MegaSettings()
    assert settings_of().enabled


def test_all_bases_in_force_are_handed_in():
    """The fit gets every shipped basis, the preferred one first."""
    names = [basis.settings.name for basis in settings_of().bases]
    assert names == [basis.settings.name for basis in shipped_bases(FOLDER)]
    assert names


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [
        ("max_water_fwhm_hz", 12.5, "water_fwhm_hz"),
        ("max_metabolite_fwhm_hz", 9.5, "metabolite_fwhm_hz"),
        ("min_snr", 4.5, "least_snr"),
        ("warn_drift_hz", 3.5, "drift_warn_hz"),
        ("max_drift_hz", 8.5, "drift_fail_hz"),
        ("min_kept_percent", 80.5, "least_kept_percent"),
        ("min_kept_transients", 42, "least_kept_transients"),
        ("max_choline_percent", 4.5, "choline_percent"),
        ("max_creatine_percent", 9.25, "creatine_percent"),
        ("max_crlb_percent", 18.5, "crlb_percent"),
        ("max_residual_over_noise", 1.75, "residual_over_noise"),
    ],
)
def test_each_limit_reaches_its_gate(key, value, name):
    """A limit of the file changes the gate of its name and no other."""
    gates, default = settings_of(**{key: value}).mega.gates, MegaSettings().gates
    changed = {one for one in vars(default) if getattr(gates, one) != getattr(default, one)}
    assert changed == {name}
    assert getattr(gates, name) == value


def test_method_factors_and_draws_reach_the_fit():
    """The published chain, the factors of a site and the draws are what the file says."""
    mega = settings_of(
        method="paper", gaba_cr_factor=1.1, glx_cr_factor=0.9, bootstrap_draws=20
    ).mega
    assert mega.method is FitMethod.PAPER
    assert (mega.gaba_cr_factor, mega.glx_cr_factor, mega.bootstrap_draws) == (1.1, 0.9, 20)


def test_missing_water_fails_unless_the_site_says_otherwise():
    """Without unsuppressed water the published limit is unmet; a site may turn it to a warning."""
    assert settings_of().mega.gates.missing_water is Verdict.FAIL
    assert settings_of(missing_water="warn").mega.gates.missing_water is Verdict.WARN


def test_switched_off_is_switched_off():
    """``enabled = false`` reaches the analysis."""
    assert not settings_of(enabled=False).enabled


@pytest.mark.parametrize(
    "wrong",
    [
        {"warn_drift_hz": 12.0},
        {"gaba_cr_factor": 0.0},
        {"method": "gannet"},
        {"min_kept_percent": 101.0},
        {"max_water_fwhm_hz": "14"},
        {"missing_water": "pass"},
        {"max_water_width_hz": 14.0},
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    """A warning beyond the failure, a factor of zero, unknown words and keys are faults."""
    with pytest.raises(ValidationError):
        MrsSection(**wrong)
