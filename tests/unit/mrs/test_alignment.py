"""Transients are brought together, their noise is known, and odd ones are named."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.mrs.alignment import AlignmentSettings, align
from cestle.mrs.averaging import neighbours, weights_of
from cestle.mrs.band import moved
from cestle.mrs.rejection import RejectionSettings, reasons_to_reject
from cestle.mrs.singlets import SearchSettings, in_phase, locate
from cestle.mrs.steadying import quarters, steadied
from phantoms.transients import OFF, ON, Scene, acquire


def of_state(scene, state):
    """Transients of one state, located and in phase, with their true frequencies."""
    got = acquire(scene)
    chosen = np.array([one is state for one in got.states])
    protocol = got.series.protocol
    where = locate(got.series.fids[:, 0], protocol, SearchSettings())
    near = in_phase(got.series.fids[:, 0], protocol, where)[chosen]
    return near, where.frequency_hz[chosen], got.frequency_hz[chosen], protocol


@pytest.mark.parametrize("mhz", [127.8, 210.8])
def test_singlets_are_located_within_the_line(mhz):
    """Without a reference, creatine and NAA are found within 1 Hz, phases within 10°."""
    scene = Scene(pairs=16, frequency_mhz=mhz, drift_hz=15.0, phase_cycle=(0.0, 90.0, 180.0, 270.0))
    got = acquire(scene)
    where = locate(got.series.fids[:, 0], got.series.protocol, SearchSettings())
    assert np.std(where.frequency_hz - got.frequency_hz) < 1.0
    expected = np.array([scene.phase_cycle[n % 4] for n in range(32)])
    apart = np.degrees(np.angle(where.creatine * np.exp(-1j * np.radians(expected))))
    assert np.std(apart) < 10.0
    off = np.array([one is OFF for one in got.states])
    assert np.abs(where.naa[off]).min() > 3.0 * np.abs(where.naa[~off]).max()


def test_a_far_transient_is_followed_and_a_farther_one_is_not():
    """A jump of 20 Hz is found; beyond 25 Hz the transient is not placed anywhere near."""
    got = acquire(Scene(pairs=16, jumps=((10, 20.0), (11, -20.0), (20, 60.0), (21, -60.0))))
    where = locate(got.series.fids[:, 0], got.series.protocol, SearchSettings())
    error = np.abs(where.frequency_hz - got.frequency_hz)
    assert error[10] < 1.0
    assert error[20] > 30.0


@pytest.mark.parametrize("state", [ON, OFF])
def test_without_noise_alignment_is_exact(state):
    """Transients that differ by frequency and phase alone become the same."""
    scene = Scene(snr=None, water=0.0, jitter_hz=3.0, jitter_deg=30.0)
    near, located, true, protocol = of_state(scene, state)
    found = align(near, protocol, AlignmentSettings())
    assert np.std(located + found.frequency_hz - true) < 0.005
    together = moved(near, protocol.dwell_s, found.frequency_hz, found.phase_rad)
    assert np.abs(together - together[0]).max() < 2e-3 * np.abs(together).max()
    np.testing.assert_allclose(found.gain, 1.0, atol=5e-3)


@pytest.mark.parametrize("state", [ON, OFF])
def test_the_stated_noise_is_the_noise(state):
    """Errors of frequency are those of the covariance, to 35 %, for clear transients."""
    scene = Scene(pairs=100, snr=150.0)
    near, located, true, protocol = of_state(scene, state)
    found = align(near, protocol, AlignmentSettings())
    error = np.std(located + found.frequency_hz - true)
    assert error == pytest.approx(np.sqrt(np.median(found.covariance[:, 0, 0])), rel=0.35)


def test_broadening_and_loss_are_measured():
    """A line 4 Hz wider and one of half the size are found as such."""
    near, _, _, protocol = of_state(Scene(snr=None, water=0.0), OFF)
    time = np.arange(near.shape[1]) * protocol.dwell_s
    near[3] *= np.exp(-np.pi * 2.0 * time)
    near[5] *= 0.5
    found = align(near, protocol, AlignmentSettings())
    assert found.broadening_hz[3] == pytest.approx(2.0, abs=0.7)
    assert np.abs(np.delete(found.broadening_hz, 3)).max() < 0.2
    assert found.gain[5] == pytest.approx(0.5, abs=0.02)


def test_what_is_not_kept_does_not_move_the_rest():
    """A giant artefact in a transient that is not kept leaves the others where they were."""
    near, _, _, protocol = of_state(Scene(pairs=8), OFF)
    kept = np.ones(8, dtype=bool)
    kept[2] = False
    spoiled = near.copy()
    spoiled[2] = 1e6
    one, other = (align(fids, protocol, AlignmentSettings(), kept=kept) for fids in (near, spoiled))
    for name in ("frequency_hz", "phase_rad", "gain"):
        np.testing.assert_allclose(getattr(one, name)[kept], getattr(other, name)[kept], atol=1e-9)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("quiet", "signal lost"),
        ("broad", "broadened"),
        ("lipid", "lipid or another artefact"),
        ("spike", "artefact|unlike|too much"),
        ("moved", "unlike the others|signal lost|broadened"),
    ],
)
def test_each_fault_has_its_reason(fault, reason):
    """A single corrupted transient among clear ones is rejected for what is wrong with it."""
    scene = Scene(pairs=32, snr=200.0, bad=((21, fault),))
    near, _, _, protocol = of_state(scene, OFF)
    found = align(near, protocol, AlignmentSettings())
    aligned = moved(near, protocol.dwell_s, found.frequency_hz, found.phase_rad)
    reasons = reasons_to_reject(aligned, found, protocol, RejectionSettings())
    assert reasons[10] is not None
    assert any(word in reasons[10] for word in reason.split("|"))
    assert sum(one is not None for one in reasons) <= 2


@pytest.mark.parametrize("snr", [None, 300.0, 40.0])
def test_good_transients_are_kept(snr):
    """Of transients without a fault no more than 3 % are rejected, with noise or without."""
    lost = 0
    for seed in range(3):
        near, _, _, protocol = of_state(Scene(pairs=48, snr=snr, seed=seed), OFF)
        found = align(near, protocol, AlignmentSettings())
        aligned = moved(near, protocol.dwell_s, found.frequency_hz, found.phase_rad)
        reasons = reasons_to_reject(aligned, found, protocol, RejectionSettings())
        lost += sum(one is not None for one in reasons)
    assert lost <= 0.03 * 144


def test_few_transients_are_never_outliers_of_each_other():
    """Three transients have no majority; only an empty one is left out."""
    near, _, _, protocol = of_state(Scene(pairs=3), OFF)
    near[0] *= 5.0
    near[1] = 0.0
    found = align(near, protocol, AlignmentSettings(), kept=np.any(near, axis=1))
    reasons = reasons_to_reject(near, found, protocol, RejectionSettings())
    assert reasons == (None, "empty", None)


def test_weights_are_even_up_to_the_median_misfit():
    """A transient of twice the median misfit counts a quarter."""
    weights = weights_of(np.array([0.5, 1.0, 2.0]))
    np.testing.assert_allclose(weights, np.array([4.0, 4.0, 1.0]) / 9.0)


def test_neighbours_do_not_cross():
    """Pairs are closest in time, each transient is used once, and the odd one out is left."""
    pairs = neighbours(np.array([0, 2, 6, 8]), np.array([1, 7, 9]))
    assert pairs.tolist() == [[0, 0], [2, 1], [3, 2]] or pairs.tolist() == [[1, 0], [2, 1], [3, 2]]
    blocks = neighbours(np.arange(4), np.arange(4, 8))
    assert blocks.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3]]


def correlated(rng, count, noise):
    """Noise of frequency and phase as alignment has it, correlated by −0.8."""
    factor = np.linalg.cholesky(noise)
    return rng.standard_normal((count, 2)) @ factor.T


NOISE = np.array([[0.5**2, -0.8 * 0.5 * 0.2], [-0.8 * 0.5 * 0.2, 0.2**2]])


def test_noise_is_taken_out_where_the_scanner_is_steady():
    """About a slow drift, the error of frequency and phase falls to less than 60 %."""
    rng = np.random.default_rng(8)
    true = np.stack([np.linspace(0.0, 10.0, 100), np.full(100, 0.3)], axis=1)
    noise = correlated(rng, 100, NOISE)
    found = steadied(true + noise, np.repeat(NOISE[None], 100, axis=0))
    assert np.all(np.std(found - true, axis=0) < 0.6 * np.std(noise, axis=0))


def test_a_real_scatter_is_left():
    """Where transients scatter by far more than their noise, nearly all of it stays."""
    rng = np.random.default_rng(9)
    values = correlated(rng, 100, 25.0 * NOISE)
    found = steadied(values, np.repeat(NOISE[None], 100, axis=0))
    assert np.std(found - values, axis=0)[0] < 0.1 * np.std(values, axis=0)[0]


def test_jumps_and_steps_are_left():
    """One transient far off, and a step of all that follow, are not smoothed."""
    rng = np.random.default_rng(10)
    true = np.zeros((60, 2))
    true[20, 0], true[35:, 0] = 12.0, -9.0
    found = steadied(true + correlated(rng, 60, NOISE), np.repeat(NOISE[None], 60, axis=0))
    assert np.abs(found - true)[:, 0].max() < 1.5


def test_few_values_are_not_steadied():
    """Below twelve transients there is nothing to know neighbours by."""
    values = np.arange(22.0).reshape(11, 2)
    assert steadied(values, np.repeat(NOISE[None], 11, axis=0)) is values


def test_quarter_turns_are_those_of_a_phase_cycle():
    """Cycled phases are told from one odd transient."""
    rng = np.random.default_rng(11)
    cycle = np.tile([0.0, 0.5 * np.pi, np.pi, -0.5 * np.pi], 8)
    np.testing.assert_allclose(quarters(cycle + 0.1 * rng.standard_normal(32)), cycle)
    odd = np.zeros(32)
    odd[5] = 2.0
    assert not quarters(odd).any()


def test_a_transient_of_zeros_is_not_divided_by():
    """Zeros among the transients leave finite numbers everywhere."""
    scene = replace(Scene(pairs=8), snr=None)
    near, _, _, protocol = of_state(scene, OFF)
    near[4] = 0.0
    found = align(near, protocol, AlignmentSettings(), kept=np.any(near, axis=1))
    for name in ("frequency_hz", "phase_rad", "gain", "broadening_hz", "misfit", "covariance"):
        assert np.all(np.isfinite(getattr(found, name)))
