"""Creatine fixes frequency and phase; ON is laid over OFF; the scanner's difference is compared."""

import numpy as np
import pytest

from cestle.errors import NumericalError
from cestle.mrs.band import moved
from cestle.mrs.comparison import compare
from cestle.mrs.pairing import pair
from cestle.mrs.referencing import creatine_fit, reference
from cestle.mrs.subtraction import subtraction_residual
from phantoms.transients import Scene, acquire, protocol, times


def turned(fid, scene, frequency_hz=0.0, phase_deg=0.0):
    return fid * np.exp(1j * np.radians(phase_deg) + 2j * np.pi * frequency_hz * times(scene))


def noisy(got, rng, share=1.0):
    """Means of 32 transients of each state with their noise."""
    sd = share * got.noise_sd / np.sqrt(32.0 * len(got.on))
    return tuple(
        fid + sd * (rng.standard_normal(len(fid)) + 1j * rng.standard_normal(len(fid)))
        for fid in (got.on, got.off)
    )


@pytest.mark.parametrize(
    ("lorentz_hz", "gauss_hz"), [(2.0, 2.0), (4.0, 4.0), (8.0, 3.0), (3.0, 8.0)]
)
@pytest.mark.parametrize("mhz", [127.8, 210.8])
def test_the_width_of_creatine_is_that_of_the_line(lorentz_hz, gauss_hz, mhz):
    """The Voigt width is found to 10 %, though GABA+ and other signals lie beside and beneath."""
    scene = Scene(lorentz_hz=lorentz_hz, gauss_hz=gauss_hz, frequency_mhz=mhz)
    got = acquire(scene)
    # the two lines of creatine and phosphocreatine are 0.002 ppm apart
    width = 0.5346 * lorentz_hz + np.sqrt(0.2166 * lorentz_hz**2 + gauss_hz**2)
    _, off = noisy(got, np.random.default_rng(1))
    assert creatine_fit(off, protocol(scene)).fwhm_hz == pytest.approx(width, rel=0.1)


@pytest.mark.parametrize("phase_deg", [-170.0, -40.0, 0.0, 90.0, 180.0])
@pytest.mark.parametrize("frequency_hz", [-3.0, 0.0, 2.5])
def test_creatine_comes_to_its_place(phase_deg, frequency_hz):
    """Frequency is right to 0.3 Hz and phase to 5°, with creatine positive."""
    scene = Scene()
    _, off = noisy(acquire(scene), np.random.default_rng(2))
    fit = creatine_fit(turned(off, scene, frequency_hz, phase_deg), protocol(scene))
    found = reference(fit)
    assert found.frequency_hz == pytest.approx(frequency_hz, abs=0.3)
    apart = np.angle(np.exp(1j * (found.phase_rad - np.radians(phase_deg))))
    assert abs(np.degrees(apart)) < 5.0


def test_creatine_in_noise_is_refused():
    """Where creatine is not seen, frequency and phase are not fixed on noise."""
    scene = Scene()
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(scene.points) + 1j * rng.standard_normal(scene.points)
    with pytest.raises(NumericalError, match=r"creatine of mean edit OFF is .* standard errors"):
        reference(creatine_fit(noise, protocol(scene)))


@pytest.mark.parametrize(
    ("frequency_hz", "phase_deg"), [(0.0, 0.0), (1.5, -12.0), (-3.0, 25.0), (0.4, 180.0)]
)
def test_on_is_laid_over_off(frequency_hz, phase_deg):
    """Without noise, GABA+ under creatine pulls ON by less than 0.05 Hz and 0.5°."""
    scene = Scene()
    got, acquisition = acquire(scene), protocol(scene)
    on = turned(got.on, scene, frequency_hz, phase_deg)
    found = pair(on, got.off, acquisition, creatine_fit(got.off, acquisition))
    assert found.frequency_hz == pytest.approx(frequency_hz, abs=0.05)
    apart = np.angle(np.exp(1j * (found.phase_rad - np.radians(phase_deg))))
    assert abs(np.degrees(apart)) < 0.5


def test_pairing_errs_by_what_noise_allows():
    """At an SNR of NAA of 100 ON is misplaced by 0.12 Hz and 1.8° at most, one SD."""
    scene = Scene()
    got, acquisition = acquire(scene), protocol(scene)
    rng = np.random.default_rng(4)
    found = []
    for _ in range(16):
        on, off = noisy(got, rng)
        turn = pair(on, off, acquisition, creatine_fit(off, acquisition))
        found.append((turn.frequency_hz, np.degrees(turn.phase_rad)))
    spread = np.sqrt(np.mean(np.square(found), axis=0))
    assert spread[0] < 0.12
    assert spread[1] < 1.8


@pytest.mark.parametrize(
    ("frequency_hz", "phase_deg", "gain", "creatine", "choline"),
    [
        (0.0, 0.0, 1.0, (0.0, 2.0), (0.0, 1.0)),
        (0.5, 0.0, 1.0, (10.0, 22.0), (8.0, 18.0)),
        (0.0, 5.0, 1.0, (6.0, 13.0), (7.0, 11.0)),
        (0.0, 0.0, 1.08, (0.0, 2.5), (7.0, 9.0)),
    ],
)
def test_what_subtraction_leaves_is_measured(frequency_hz, phase_deg, gain, creatine, choline):
    """A misplaced ON leaves creatine and choline, a scaled one choline, a right one neither."""
    scene = Scene()
    got, acquisition = acquire(scene), protocol(scene)
    on = gain * turned(got.on, scene, frequency_hz, phase_deg)
    left = subtraction_residual(on - got.off, acquisition, creatine_fit(got.off, acquisition))
    assert creatine[0] <= left.creatine_percent <= creatine[1]
    assert choline[0] <= left.choline_percent <= choline[1]


def test_noise_is_not_taken_for_a_residual():
    """The part that noise alone leaves is taken off: the median at SNR 60 is below 2 %."""
    scene = Scene(snr=60.0)
    got, acquisition = acquire(scene), protocol(scene)
    rng = np.random.default_rng(5)
    left = []
    for _ in range(15):
        on, off = noisy(got, rng)
        found = subtraction_residual(on - off, acquisition, creatine_fit(off, acquisition))
        left.append((found.creatine_percent, found.choline_percent))
    assert np.all(np.median(left, axis=0) < 2.0)


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.5, -0.5, 3.0])
@pytest.mark.parametrize("shift_hz", [0.0, 4.0])
def test_sign_and_scale_of_another_difference_are_found(factor, shift_hz):
    """Whatever the scanner multiplied its difference by, and however it moved it."""
    scene = Scene(snr=None)
    got, acquisition = acquire(scene), protocol(scene)
    ours = got.on - got.off
    theirs = moved(factor * ours[None], acquisition.dwell_s, np.array([shift_hz]), np.array([0.0]))[
        0
    ]
    found = compare(theirs, ours, acquisition)
    assert found.scale == pytest.approx(factor, rel=0.03)
    assert found.correlation == pytest.approx(np.sign(factor), abs=0.02)


def test_nothing_correlates_with_nothing():
    """A difference of zeros gives a correlation of zero, not a division by it."""
    scene = Scene(snr=None)
    got, acquisition = acquire(scene), protocol(scene)
    found = compare(0.0 * got.on, got.on - got.off, acquisition)
    assert (found.correlation, found.scale) == (0.0, 0.0)
