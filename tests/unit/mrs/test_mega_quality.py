"""What gates are held against is measured as it is defined."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.errors import NumericalError
from cestle.mrs.preparation import prepare
from cestle.mrs.quality import drift_hz, kept, measure, noise_of, water_width
from cestle.mrs.series import TransientReport
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from phantoms.transients import OFF, ON, Scene, acquire, averages, line, protocol


def voigt(lorentz_hz, gauss_hz):
    """Full width at half maximum, Olivero and Longbothum."""
    return 0.5346 * lorentz_hz + np.sqrt(0.2166 * lorentz_hz**2 + gauss_hz**2)


@settings(deadline=None, max_examples=20)
@given(
    lorentz_hz=st.floats(1.5, 20.0),
    gauss_hz=st.floats(0.0, 20.0),
    phase=st.floats(-3.1, 3.1),
    ppm=st.floats(4.5, 4.8),
)
def test_water_has_the_width_of_its_line(lorentz_hz, gauss_hz, phase, ppm):
    """Absorption is that of a Voigt line to 1 %, whatever its phase and place."""
    scene = Scene(points=4096)
    water = np.exp(1j * phase) * line(scene, ppm, lorentz_hz, gauss_hz)
    found = water_width(water, protocol(scene))
    assert found.absorption_hz == pytest.approx(voigt(lorentz_hz, gauss_hz), rel=0.01)
    assert found.magnitude_hz > found.absorption_hz


def test_a_lorentzian_is_wider_by_the_root_of_three_in_magnitude():
    """Its magnitude at half height is √3 times as wide as its absorption."""
    scene = Scene(points=4096)
    found = water_width(line(scene, 4.68, 8.0), protocol(scene))
    assert found.magnitude_hz / found.absorption_hz == pytest.approx(np.sqrt(3.0), rel=0.01)


def test_water_without_a_half_has_no_width():
    """A line wider than the range it is sought in is said to have none."""
    scene = Scene()
    with pytest.raises(NumericalError, match="no value"):
        water_width(line(scene, 4.68, 900.0), protocol(scene))


@pytest.mark.parametrize(
    ("mhz", "place"), [(210.8, (8.0, 9.2)), (127.8, (8.0, 9.2)), (260.0, (5.6, 6.8))]
)
def test_noise_is_found_to_a_few_percent(mhz, place):
    """White noise has its deviation times √points, away from a trend, in the stated range."""
    scene = Scene(frequency_mhz=mhz, points=4096)
    rng = np.random.default_rng(6)
    fid = 0.3 * (rng.standard_normal(4096) + 1j * rng.standard_normal(4096))
    fid += 2000.0 * line(scene, 4.68, 9.0)
    found = noise_of(fid, protocol(scene))
    assert (found.low_ppm, found.high_ppm) == place
    assert found.sd == pytest.approx(0.3 * np.sqrt(4096), rel=0.1)


def test_a_spectrum_without_a_quiet_range_has_no_noise():
    """Where only metabolites are seen, noise has no value."""
    scene = Scene(frequency_mhz=900.0)
    with pytest.raises(NumericalError, match="no range without signal"):
        noise_of(line(scene, 3.0, 5.0), protocol(scene))


@pytest.mark.parametrize(("snr", "lorentz_hz"), [(150.0, 4.0), (80.0, 2.5), (100.0, 7.0)])
def test_widths_and_snr_are_those_of_the_scene(snr, lorentz_hz):
    """Width of creatine to 10 %, SNR of NAA to 15 %, with drift that would have doubled both."""
    scene = Scene(pairs=64, snr=snr, lorentz_hz=lorentz_hz, drift_hz=14.0, water=100.0)
    got = acquire(scene)
    found = measure(prepare(got.series))
    assert found.creatine_fwhm_hz == pytest.approx(voigt(lorentz_hz, 4.0), rel=0.1)
    assert found.naa_snr == pytest.approx(snr, rel=0.15)
    axis = ppm_axis(scene.points, protocol(scene))
    creatine = to_spectrum(got.off).real[(axis > 2.9) & (axis < 3.1)].max()
    assert found.creatine_snr == pytest.approx(creatine * 8.0 / got.noise_sd, rel=0.15)
    noise = got.noise_sd / 8.0
    assert found.off_noise.sd == pytest.approx(noise, rel=0.12)
    assert found.difference_noise.sd == pytest.approx(np.sqrt(2.0) * noise, rel=0.12)
    assert found.water.absorption_hz == pytest.approx(voigt(9.0, 9.0), rel=0.02)
    assert found.drift_hz == pytest.approx(14.0, abs=1.0)
    assert found.naa_in_difference == pytest.approx(-1.0, abs=0.1)
    assert found.subtraction.choline_percent < 5.0


def test_averages_have_no_drift_and_no_count():
    """What only transients show is None, the rest is measured as for transients."""
    scene = Scene(snr=120.0)
    single, many = measure(prepare(averages(scene).series)), measure(prepare(acquire(scene).series))
    assert single.drift_hz is single.kept is None
    assert single.creatine_fwhm_hz == pytest.approx(many.creatine_fwhm_hz, rel=0.03)
    assert single.naa_snr == pytest.approx(many.naa_snr, rel=0.03)


def test_without_water_there_is_no_width():
    """A missing water reference leaves its width None and the rest measured."""
    series = acquire(Scene()).series
    found = measure(prepare(replace(series, water=None)))
    assert found.water is None
    assert found.naa_snr > 50.0


def report(state, frequency_hz=0.0, rejected=None):
    return TransientReport(state=state, frequency_hz=frequency_hz, phase_deg=0.0, rejected=rejected)


@given(st.floats(-20.0, 20.0), st.integers(0, 99))
def test_drift_is_a_range_without_its_noise(slope_hz, seed):
    """0.5 Hz of noise on 200 transients changes the range of a straight drift by 2 Hz at most."""
    rng = np.random.default_rng(seed)
    values = np.linspace(0.0, slope_hz, 200) + 0.5 * rng.standard_normal(200)
    found = drift_hz([report(ON if n % 2 else OFF, value) for n, value in enumerate(values)])
    assert found == pytest.approx(abs(slope_hz), abs=2.0)


def test_rejected_transients_do_not_drift():
    """A transient that was left out does not count, a step of all that follow does."""
    values = [0.0] * 10 + [7.0] * 10
    reports = [report(ON, value) for value in values]
    reports[4] = report(ON, 50.0, "signal lost")
    assert drift_hz(reports) == pytest.approx(7.0)
    assert drift_hz(()) is None


def test_kept_counts_the_state_that_lost_more():
    """Of 10 and 10, 8 and 5 are left: 50 % kept and 37.5 % uneven."""
    reports = [report(ON, rejected="empty" if n < 2 else None) for n in range(10)]
    reports += [report(OFF, rejected="empty" if n < 5 else None) for n in range(10)]
    found = kept(reports)
    assert (found.on, found.off, found.percent) == (8, 5, 50.0)
    assert found.uneven_percent == pytest.approx(37.5)
    assert kept(()) is None


@settings(deadline=None, max_examples=10)
@given(phase=st.floats(-3.1, 3.1))
def test_lipid_is_seen_whatever_its_phase(phase):
    """A broad signal of half the height of creatine at 1.3 ppm is seen, of any phase."""
    scene = Scene(pairs=8)
    clean = prepare(acquire(scene).series)
    without = measure(clean).lipid_over_creatine
    creatine = measure(clean)
    height = creatine.creatine_snr * creatine.off_noise.sd
    lipid = np.exp(1j * phase) * line(scene, 1.3, 25.0)
    lipid *= 0.5 * height / np.abs(to_spectrum(lipid)).max()
    spectra = replace(clean.spectra, off=clean.spectra.off + lipid)
    found = measure(replace(clean, spectra=spectra)).lipid_over_creatine
    # 10 Hz of broadening lower a line of 25 Hz to 25/35 of its height
    assert found == pytest.approx(0.5 * 25.0 / 35.0, abs=without + 0.05)
