"""Peak model and published chain against areas made for them."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.errors import NumericalError
from cestle.mrs.paper_chain import fit_as_published
from cestle.mrs.peaks import fit_peaks
from cestle.mrs.series import EditedSpectra
from unit.mrs.tissue import protocol

PROTOCOL = protocol()
POINTS = 2048
TIME = np.arange(POINTS) * PROTOCOL.dwell_s
BOTH = pytest.mark.parametrize("model", [fit_peaks, fit_as_published])


def line(ppm, area, lorentz_hz=0.0, gauss_hz=0.0):
    """FID of a Voigt line."""
    frequency = (ppm - PROTOCOL.transmitter_ppm) * PROTOCOL.frequency_mhz
    decay = np.pi * lorentz_hz * TIME + (np.pi * gauss_hz * TIME) ** 2 / (4.0 * np.log(2.0))
    return area * np.exp(2j * np.pi * frequency * TIME - decay)


def spectra(gaba=18.0, glx=24.0, noise=0.02, seed=0):
    """Singlets of area 100, 80 and 130, edited Gaussians, and NAA that is gone in ON."""
    common = line(3.027, 100.0, lorentz_hz=6.0) + line(3.21, 80.0, lorentz_hz=6.0)
    naa = line(2.008, 130.0, lorentz_hz=6.0)
    edited = line(3.0, gaba, gauss_hz=18.0)
    edited = edited + line(3.71, 0.5 * glx, gauss_hz=10.0) + line(3.78, 0.5 * glx, gauss_hz=10.0)
    rng = np.random.default_rng(seed)
    shape = (2, POINTS)
    on, off = noise * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    return EditedSpectra(
        on=on + common + edited,
        off=off + common + naa,
        transients_on=None,
        transients_off=None,
        weights_on=None,
        weights_off=None,
        pairs=None,
        protocol=PROTOCOL,
    )


@BOTH
def test_areas_of_its_own_shapes_come_back(model):
    """Peaks of the shapes that are fitted have the areas they were made with, to 5 %."""
    ratios = model(spectra()).ratios()
    assert ratios.gaba_cr.value == pytest.approx(0.18, rel=0.05)
    assert ratios.glx_cr.value == pytest.approx(0.24, rel=0.05)


@BOTH
def test_it_is_the_full_difference(model):
    """Twice the edited signal is twice the ratio: nothing is halved or saturates."""
    once, twice = (model(spectra(gaba=gaba)).ratios().gaba_cr.value for gaba in (12.0, 24.0))
    assert twice == pytest.approx(2.0 * once, rel=0.06)


@BOTH
def test_scale_changes_nothing(model):
    """Spectra 1000 times as large have the same ratios."""
    one = spectra()
    large = replace(one, on=1e3 * one.on, off=1e3 * one.off)
    assert model(large).ratios().gaba_cr.value == pytest.approx(
        model(one).ratios().gaba_cr.value, rel=1e-4
    )


def test_published_chain_finds_phase_and_frequency_itself():
    """A phase of 40° and a shift of 3 Hz of both states leave the published ratios, to 3 %."""
    one = spectra()
    turn = np.exp(1j * np.deg2rad(40.0) + 2j * np.pi * 3.0 * TIME)
    moved = replace(one, on=one.on * turn, off=one.off * turn)
    expected = fit_as_published(one).ratios()
    found = fit_as_published(moved).ratios()
    assert found.gaba_cr.value == pytest.approx(expected.gaba_cr.value, rel=0.03)
    assert found.glx_cr.value == pytest.approx(expected.glx_cr.value, rel=0.03)


def test_published_chain_takes_residual_water_away():
    """Water of ten times the area of creatine moves the published GABA+/Cr by less than 5 %."""
    one = spectra()
    water = line(4.68, 1000.0, lorentz_hz=12.0)
    wet = replace(one, on=one.on + water, off=one.off + water * np.exp(0.2j))
    assert fit_as_published(wet).ratios().gaba_cr.value == pytest.approx(
        fit_as_published(one).ratios().gaba_cr.value, rel=0.05
    )


def test_stated_error_is_the_scatter():
    """Repeated noise scatters GABA+/Cr of the peak model by its stated error, to two fifths."""
    found = [fit_peaks(spectra(noise=0.5, seed=seed)).ratios().gaba_cr for seed in range(40)]
    scatter = np.std([one.value for one in found], ddof=1)
    stated = np.mean([one.standard_error for one in found])
    assert scatter == pytest.approx(stated, rel=0.4)


def test_no_creatine_is_refused():
    """Without creatine there is no ratio but an error."""
    one = spectra()
    silent = replace(one, off=one.off * 0.0, on=one.on * 0.0)
    with pytest.raises(NumericalError):
        fit_peaks(silent).ratios()
