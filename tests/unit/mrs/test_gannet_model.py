"""The Octave script of Gannet's model, on spectra whose areas are known."""

import numpy as np
import pytest

from benchmarks import gannet_model
from cestle.mrs.series import EditedSpectra, MegaProtocol

POINTS = 2048
DWELL_S = 0.0005
BROADENING_HZ = 3.0
CREATINE = 100.0
GABA, GLX = 18.0, (12.0, 10.0)
SHIFT_PPM = -gannet_model.CREATINE_SHIFT_PPM
TIME_S = np.arange(POINTS) * DWELL_S
FIELDS_MHZ = (127.8, 210.8)
LINE_WIDTHS_HZ = (4.0, 8.0)

pytestmark = pytest.mark.skipif(not gannet_model.available(), reason=gannet_model.MISSING)


def protocol(frequency_mhz):
    return MegaProtocol(
        frequency_mhz=frequency_mhz,
        dwell_s=DWELL_S,
        transmitter_ppm=4.7,
        echo_time_ms=72.0,
        repetition_time_ms=3000.0,
    )


def ringing(ppm, frequency_mhz):
    return np.exp(2j * np.pi * (ppm - 4.7) * frequency_mhz * TIME_S)


def lorentzian(ppm, *, fwhm_hz, mhz):
    return ringing(ppm, mhz) * np.exp(-np.pi * fwhm_hz * TIME_S)


def gaussian(ppm, *, fwhm_hz, mhz):
    """A line that is a Gaussian after the line broadening of the model."""
    fall = (np.pi * fwhm_hz * TIME_S) ** 2 / (4.0 * np.log(2.0))
    return ringing(ppm, mhz) * np.exp(-fall + np.pi * BROADENING_HZ * TIME_S)


def spectra(mhz, fwhm_hz, *, subtraction=0.0, gaba=GABA, glx=GLX):
    """Peaks at the places that the model expects, widths in proportion to the field."""
    places = (3.02, 3.71, 3.79)
    widths = (20.0 * mhz / 127.8, 8.0 * mhz / 127.8, 8.0 * mhz / 127.8)
    edited = sum(
        area * gaussian(ppm + SHIFT_PPM, fwhm_hz=width, mhz=mhz)
        for area, ppm, width in zip((gaba, *glx), places, widths, strict=True)
    )
    choline = lorentzian(3.207, fwhm_hz=fwhm_hz, mhz=mhz)
    off = CREATINE * lorentzian(3.027, fwhm_hz=fwhm_hz, mhz=mhz) + 80.0 * choline
    return EditedSpectra(
        on=off + edited + subtraction * choline,
        off=off,
        transients_on=None,
        transients_off=None,
        weights_on=None,
        weights_off=None,
        pairs=None,
        protocol=protocol(mhz),
    )


@pytest.fixture(scope="module")
def fits():
    """One run of Octave for all spectra, by name."""
    asked = {(mhz, width): spectra(mhz, width) for mhz in FIELDS_MHZ for width in LINE_WIDTHS_HZ}
    asked["choline"] = spectra(210.8, 8.0, subtraction=8.0)
    asked["twice"] = spectra(210.8, 8.0, gaba=2.0 * GABA)
    asked["none"] = spectra(210.8, 8.0, gaba=-GABA, glx=(-12.0, -10.0))
    return dict(zip(asked, gannet_model.fit_all(list(asked.values())), strict=True))


def summed_share(mhz, fwhm_hz):
    """Share of a Lorentzian at 3.02 ppm between 2.6 and 3.6 ppm, where the model sums it."""
    half = 0.5 * (fwhm_hz + BROADENING_HZ) / mhz
    return (np.arctan(0.58 / half) + np.arctan(0.42 / half)) / np.pi


@pytest.mark.parametrize("mhz", FIELDS_MHZ)
@pytest.mark.parametrize("width", LINE_WIDTHS_HZ)
def test_known_areas_come_back(fits, mhz, width):
    """Ratios are half of the areas that went in, over the creatine within the fit range."""
    fit = fits[mhz, width]
    creatine = CREATINE * summed_share(mhz, width)
    assert fit.gaba_cr_half == pytest.approx(0.5 * GABA / creatine, rel=1e-3)
    assert fit.glx_cr_half == pytest.approx(0.5 * sum(GLX) / creatine, rel=1e-3)


@pytest.mark.parametrize("mhz", FIELDS_MHZ)
@pytest.mark.parametrize("width", LINE_WIDTHS_HZ)
def test_width_of_creatine_includes_the_broadening(fits, mhz, width):
    """A Lorentzian comes back 3 Hz wider than it went in."""
    assert fits[mhz, width].creatine_fwhm_hz == pytest.approx(width + BROADENING_HZ, abs=0.01)


@pytest.mark.parametrize("mhz", FIELDS_MHZ)
def test_width_of_gaba_is_that_of_the_gaussian(fits, mhz):
    """A Gaussian of 20 Hz at 3 T, or as many ppm at 5 T, comes back as wide."""
    assert fits[mhz, 4.0].gaba_fwhm_hz == pytest.approx(20.0 * mhz / 127.8, rel=1e-3)


def test_twice_the_gaba_is_twice_the_ratio(fits):
    """Twice the area at 3.0 ppm doubles GABA+/Cr and leaves Glx/Cr as it is."""
    one, two = fits[210.8, 8.0], fits["twice"]
    assert two.gaba_cr_half == pytest.approx(2.0 * one.gaba_cr_half, rel=1e-3)
    assert two.glx_cr_half == pytest.approx(one.glx_cr_half, rel=1e-3)


def test_choline_of_the_subtraction_has_little_weight(fits):
    """A choline line in the difference, 45 % of GABA+, changes GABA+/Cr by less than 10 %."""
    clean, spoilt = fits[210.8, 8.0], fits["choline"]
    assert spoilt.gaba_cr_half == pytest.approx(clean.gaba_cr_half, rel=0.10)


def test_no_peak_is_no_number(fits):
    """A difference without anything above zero is NaN, while creatine is still found."""
    fit = fits["none"]
    assert np.isnan(fit.gaba)
    assert np.isnan(fit.glx)
    assert fit.creatine == pytest.approx(fits[210.8, 8.0].creatine)
