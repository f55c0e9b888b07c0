"""Residual water and eddy currents are taken away and nothing else."""

import numpy as np
import pytest

from cestle.mrs.eddy import eddy_phase, without_eddies
from cestle.mrs.referencing import creatine_fit
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from cestle.mrs.water import WaterModes, WaterSettings, hankel_poles
from phantoms.transients import Scene, acquire, line, protocol, times


def metabolite_range(fid, acquisition, low=0.4, high=4.1):
    axis = ppm_axis(len(fid), acquisition)
    return to_spectrum(fid)[(axis >= low) & (axis <= high)]


def test_poles_of_damped_modes_are_found():
    """Frequencies and dampings of four modes come out to eight digits without noise."""
    poles = np.exp(np.array([-0.01 + 0.5j, -0.02 - 1.1j, -0.005 + 0.52j, -0.1 + 2.0j]))
    fid = (np.array([1.0, 2.0, 0.5j, -3.0]) @ poles[:, None] ** np.arange(600)).astype(complex)
    found = hankel_poles(fid, modes=4, rows=200)
    for pole in poles:
        assert np.abs(found - pole).min() < 1e-8


@pytest.mark.parametrize("water", [1.0, 30.0, 1.0e3, 1.0e4])
def test_water_of_any_size_is_removed(water):
    """With 1 % noise on NAA, what is left between 0.4 and 4.1 ppm is noise to 10 %."""
    scene = Scene(pairs=1, snr=100.0, water=water, water_jitter=0.0, water_hz=12.0)
    got = acquire(scene)
    acquisition, fid = got.series.protocol, got.series.fids[1, 0]
    clean = WaterModes.of(fid, acquisition, WaterSettings()).taken_from(fid)
    rest = metabolite_range(clean - got.off, acquisition)
    assert np.std(rest) < 1.1 * np.sqrt(2.0) * got.noise_sd
    near = to_spectrum(clean)[np.abs(ppm_axis(scene.points, acquisition) - 4.68) < 0.3]
    assert np.abs(near).max() < 8.0 * got.noise_sd


def test_without_water_the_metabolites_stay():
    """Where there is no water, no more than 0.5 % of NAA is changed below 4.1 ppm."""
    scene = Scene(pairs=1, snr=200.0, water=0.0)
    got = acquire(scene)
    acquisition, fid = got.series.protocol, got.series.fids[1, 0]
    clean = WaterModes.of(fid, acquisition, WaterSettings()).taken_from(fid)
    change = np.abs(metabolite_range(clean - fid, acquisition))
    assert change.max() < 0.005 * np.abs(metabolite_range(got.off, acquisition)).max()


def test_taking_water_away_is_linear():
    """The mean of corrected transients is the corrected mean, and scale and phase pass through."""
    got = acquire(Scene(pairs=4))
    fids, acquisition = got.series.fids[:, 0], got.series.protocol
    modes = WaterModes.of(fids.mean(axis=0), acquisition, WaterSettings())
    together = modes.taken_from(fids.mean(axis=0))
    size = np.abs(fids).max()
    np.testing.assert_allclose(modes.taken_from(fids).mean(axis=0), together, atol=1e-9 * size)
    np.testing.assert_allclose(
        modes.taken_from(3j * fids[0]), 3j * modes.taken_from(fids[0]), atol=1e-9 * size
    )


@pytest.mark.parametrize("eddy_deg", [0.0, 40.0, -150.0])
@pytest.mark.parametrize("shift_hz", [0.0, 15.0])
def test_the_phase_of_water_is_that_of_the_currents(eddy_deg, shift_hz):
    """Up to a straight line, the phase is 𝜑·exp(−t/25 ms), to 1.5° over the first 80 ms."""
    scene = Scene(pairs=1, eddy_deg=eddy_deg, shift_hz=shift_hz)
    found = eddy_phase(acquire(scene).series.water[0, 0], protocol(scene))
    time = times(scene)
    first = time < 0.08
    error = np.degrees(found) - eddy_deg * np.exp(-time / 0.025)
    straight = np.polynomial.Polynomial.fit(time[first], error[first], 1)
    assert np.abs(error - straight(time))[first].max() < 1.5


def test_lipid_in_the_water_reference_is_not_followed():
    """Ten percent of lipid in it leave the phase smooth, where its own would swing by 6°."""
    scene = Scene(pairs=1, eddy_deg=30.0)
    water = acquire(scene).series.water[0, 0]
    fat = 0.1 * np.abs(water[0]) * line(scene, 1.3, 15.0)
    with_fat, without = (np.degrees(eddy_phase(w, protocol(scene))) for w in (water + fat, water))
    swing = np.degrees(np.abs(np.diff(np.unwrap(np.angle(water + fat))[:60], n=2)).max())
    assert swing > 3.0
    assert np.abs(np.diff(with_fat[:60], n=2)).max() < 0.3
    assert np.abs((with_fat - without)[:120] - np.mean((with_fat - without)[:120])).max() < 2.0


def test_lines_become_lines_again():
    """Currents distort creatine, and without their phase it is fitted as well as without them."""
    still, moving = (acquire(Scene(pairs=1, snr=None, water=0.0, eddy_deg=e)) for e in (0.0, 90.0))
    acquisition = still.series.protocol
    phase = eddy_phase(moving.series.water[0, 0], acquisition)
    fid = moving.series.fids[1, 0]
    best = creatine_fit(still.off, acquisition).misfit
    assert creatine_fit(fid, acquisition).misfit > 1.5 * best
    assert creatine_fit(without_eddies(fid, phase), acquisition).misfit < 1.05 * best
