import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.errors import ConfigError
from cestle.phantom.bloch_mcconnell import signal
from cestle.phantom.calibration import b1_curves
from cestle.phantom.head import REGION_LABELS, Label
from cestle.phantom.spectra import SignalTable, mixed_signals
from cestle.phantom.study import (
    SimulationSettings,
    cest_grid,
    saturation_sequence,
    simulate,
)
from cestle.phantom.tissues import CEREBROSPINAL_FLUID, GREY_MATTER, WHITE_MATTER
from phantoms.synthetic import COARSE_T1_MM, noise_free

SEQUENCE = saturation_sequence(SimulationSettings())


@pytest.mark.parametrize("tissue", [GREY_MATTER, WHITE_MATTER, CEREBROSPINAL_FLUID])
def test_the_table_reproduces_the_model(tissue):
    """Interpolated signals differ from the equations by less than 1e-4 of their value."""
    generator = np.random.default_rng(5)
    offsets, b1 = generator.uniform(2.0, 4.0, 60), generator.uniform(0.6, 1.3, 60)
    table = SignalTable(tissue, offsets_ppm=(2.0, 4.0), relative_b1=(0.6, 1.3), sequence=SEQUENCE)
    exact = signal(tissue, offsets, b1, sequence=SEQUENCE)
    np.testing.assert_allclose(table.at(offsets, b1), exact, rtol=1e-4)


@given(shift=st.floats(-0.5, 0.5), offset=st.sampled_from([-3.4, -3.0, -2.6, 2.6, 3.0, 3.4]))
@settings(max_examples=10, deadline=None)
def test_a_b0_shift_moves_the_spectrum(shift, offset):
    """A voxel with shift δ at offset Δ has the signal of one without shift at Δ − δ."""
    one = np.ones(1)
    shifted = mixed_signals(
        [(GREY_MATTER, one)],
        offsets_ppm=np.array([offset]),
        b0_shift_ppm=np.array([shift]),
        relative_b1=one,
        sequence=SEQUENCE,
    )
    moved = signal(GREY_MATTER, np.array([offset - shift]), one, sequence=SEQUENCE)
    np.testing.assert_allclose(shifted[0], moved, rtol=1e-4)


def test_voxels_mix_signals_not_contrasts():
    """A voxel of 30 % fluid has 30 % of the fluid's and 70 % of the grey matter's signal."""
    share, one = np.array([0.3]), np.ones(1)
    mixed = mixed_signals(
        [(CEREBROSPINAL_FLUID, share), (GREY_MATTER, 1.0 - share)],
        offsets_ppm=np.array([3.0]),
        b0_shift_ppm=np.zeros(1),
        relative_b1=one,
        sequence=SEQUENCE,
    )
    at = np.array([3.0])
    expected = 0.3 * signal(CEREBROSPINAL_FLUID, at, one, sequence=SEQUENCE)
    expected += 0.7 * signal(GREY_MATTER, at, one, sequence=SEQUENCE)
    np.testing.assert_allclose(mixed[0], expected, rtol=1e-4)


def test_the_tissue_has_the_asymmetry_asked_for():
    """The truth names the indices that were asked for, to a millionth."""
    truth = noise_free(dai_hippocampus=-0.11, dai_amygdala=0.08).truth
    assert truth["asymmetry"]["tissue"]["dai_glu_h_epi"] == pytest.approx(-0.11, abs=1e-6)
    assert truth["asymmetry"]["tissue"]["dai_glu_a_epi"] == pytest.approx(0.08, abs=1e-6)
    assert truth["asymmetry"]["slice"]["dai_glu_h_epi"] < -0.05


def test_without_fields_the_images_hold_the_true_map():
    """With B0 and B1 ideal, 100 (S₋ − S₊)/S₋ of the images at ±3 ppm is the true map."""
    study = noise_free(b0_range_ppm=0.0, b1_spread=0.0)
    negative, positive = study.signal[0], study.signal[1]
    assert (study.offsets_ppm[0], study.offsets_ppm[1]) == (-3.0, 3.0)
    inside = np.isfinite(study.true_percent)
    found = 100.0 * (negative[inside] - positive[inside]) / negative[inside]
    np.testing.assert_allclose(found, study.true_percent[inside], atol=0.01)


def test_repeats_differ_only_by_noise():
    """The two images at −3 ppm are equal without noise and differ with it."""
    study = noise_free()
    np.testing.assert_array_equal(study.signal[0], study.signal[6])
    noisy = simulate(SimulationSettings(snr=40.0, t1_mm=COARSE_T1_MM))
    assert np.any(noisy.signal[0] != noisy.signal[6])


def test_noise_is_rician_with_the_snr_asked_for():
    """Air shows a Rayleigh mean of σ √(π/2), and S(−3) over σ in the regions is the SNR."""
    study = simulate(SimulationSettings(snr=40.0, t1_mm=COARSE_T1_MM))
    sigma = study.truth["noise_sigma"]
    air = study.signal[:, 0, :8, :].mean()
    assert air == pytest.approx(sigma * np.sqrt(np.pi / 2.0), rel=0.02)
    weight = sum(study.fractions.values())
    assert np.average(study.signal[0], weights=weight) / sigma == pytest.approx(40.0, rel=0.02)


def test_without_obliquity_swapping_the_asymmetry_mirrors_the_study():
    """A study with the opposite asymmetry is the mirror image, when nothing else has a side."""
    plain = {"roll_deg": 0.0, "yaw_deg": 0.0, "b0_range_ppm": 0.0, "b1_spread": 0.0}
    left = noise_free(dai_hippocampus=0.1, dai_amygdala=0.1, **plain)
    right = noise_free(dai_hippocampus=-0.1, dai_amygdala=-0.1, **plain)
    np.testing.assert_allclose(left.signal, right.signal[..., ::-1], rtol=1e-6, atol=1e-9)
    brighter = left.fractions["hippocampus_left"] > 0.9
    assert np.nanmean(left.true_percent[brighter]) > np.nanmean(right.true_percent[brighter])


def test_regions_lie_on_the_side_of_their_name():
    """In LPS the centre of each region named left has x > 0, on the slice and on the T1."""
    study = noise_free()
    for (structure, side), label in REGION_LABELS.items():
        sign = 1.0 if side == "left" else -1.0
        weight = study.fractions[f"{structure}_{side}"]
        centre = np.average(np.argwhere(weight > 0), axis=0, weights=weight[weight > 0])
        assert sign * study.cest_grid.to_lps(centre)[0] > 20.0
        voxels = np.argwhere(study.t1_labels == label)
        assert sign * study.t1_grid.to_lps(voxels.astype(float)).mean(axis=0)[0] > 20.0


def test_the_default_slice_runs_along_the_hippocampi():
    """The default slab holds most of each structure, at least 30 voxels half full."""
    study = noise_free()
    for name, region in study.truth["rois"].items():
        assert region["volume_in_slab_mm3"] > 0.6 * region["volume_mm3"], name
        assert np.count_nonzero(study.fractions[name] >= 0.5) >= 30, name


def test_slices_rise_to_the_back_by_the_tilt():
    """A tilt of −25° raises the back edge: a column direction of (0, cos 25°, sin 25°)."""
    grid = cest_grid(SimulationSettings(tilt_deg=-25.0, roll_deg=0.0, yaw_deg=0.0))
    down = grid.affine[:3, 1] / np.linalg.norm(grid.affine[:3, 1])
    angle = np.radians(25.0)
    np.testing.assert_allclose(down, [0.0, np.cos(angle), np.sin(angle)], atol=1e-12)
    assert np.linalg.det(grid.affine[:3, [2, 1, 0]]) > 0.0


def test_equal_settings_give_equal_studies():
    """Two runs with one seed agree in every array and in the truth; another seed differs."""
    chosen = SimulationSettings(seed=9, snr=50.0, t1_mm=COARSE_T1_MM)
    first, second = simulate(chosen), simulate(chosen)
    other = simulate(SimulationSettings(seed=10, snr=50.0, t1_mm=COARSE_T1_MM))
    np.testing.assert_array_equal(first.signal, second.signal)
    np.testing.assert_array_equal(first.t1, second.t1)
    assert json.dumps(first.truth) == json.dumps(second.truth)
    assert np.any(first.b0_hz != other.b0_hz)


def test_labels_on_the_t1_hold_the_true_volume():
    """On a 1.2 mm T1 each structure has its true volume within 3 %."""
    study = simulate(SimulationSettings(snr=None))
    voxel = study.t1_grid.voxel_volume_mm3
    for (structure, side), label in REGION_LABELS.items():
        volume = np.count_nonzero(study.t1_labels == label) * voxel
        true = study.truth["rois"][f"{structure}_{side}"]["volume_mm3"]
        assert volume == pytest.approx(true, rel=0.03)
    assert np.median(study.t1[study.t1_labels == Label.WHITE]) > np.median(
        study.t1[study.t1_labels == Label.GREY]
    )


def test_several_slices_cover_more_of_the_head():
    """Five slices of 4 mm give images of five slices with all offsets."""
    study = noise_free(slices=5, slice_mm=4.0, matrix=64, pixel_mm=3.4375)
    assert study.signal.shape == (8, 5, 64, 64)
    assert study.cest_grid.spacing_mm == pytest.approx((4.0, 3.4375, 3.4375))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"snr": 0.0}, "snr is 0, 1 to 1e\\+06 was expected"),
        ({"b1_spread": 0.6}, "b1_spread is 0.6, 0 to 0.45 was expected"),
        ({"seed": -1}, "seed is -1, 0 to"),
        ({"b0_range_ppm": float("nan")}, "b0_range_ppm is nan"),
        ({"slices": 0}, "slices is 0, 1 to 80 was expected"),
    ],
)
def test_settings_out_of_range_are_refused(change, said):
    """A value outside its limits is refused with the limits."""
    with pytest.raises(ConfigError, match=said):
        SimulationSettings(**change)


def test_an_asymmetry_beyond_glutamate_is_refused():
    """An asymmetry that no amount of glutamate can make is refused with the possible range."""
    with pytest.raises(ConfigError, match="glutamate can give"):
        simulate(SimulationSettings(dai_hippocampus=0.8, t1_mm=COARSE_T1_MM))


def test_b1_curves_are_relative_to_nominal():
    """At b = 1 the curves are 1, and more B1 leaves less signal at both offsets."""
    b = np.array([0.6, 0.8, 1.0, 1.2])
    grey, white = b1_curves((GREY_MATTER, WHITE_MATTER), b, target_ppm=3.0, sequence=SEQUENCE)
    assert (grey.tissue, white.tissue) == ("grey matter", "white matter")
    for curve in (grey, white):
        assert curve.negative[2] == pytest.approx(1.0)
        assert curve.positive[2] == pytest.approx(1.0)
        assert np.all(np.diff(curve.negative) < 0.0)
        assert np.all(np.diff(curve.positive) < 0.0)


def test_the_package_itself_does_not_load_scipy():
    """Importing `cestle.phantom` leaves scipy unloaded, so that the command line starts fast."""
    code = "import sys, cestle.phantom; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
