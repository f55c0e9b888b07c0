"""Registration of the saturation images against motion that was put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import fourier_shift

from cestle.cest.images import SaturationImages
from cestle.cest.registration import RegistrationSettings, Verdict, _weighted_fit, register
from cestle.phantom.motion import HeadMotion, moved_grid
from cestle.phantom.study import SimulationSettings, simulate
from cestle.protocol import JUPITER_5T_GLUCEST
from phantoms import brain_7t
from phantoms.synthetic import COARSE_T1_MM, noise_free
from unit.builders import F0_MHZ, axial_grid

OFFSETS = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
REST = HeadMotion(row_mm=np.zeros(8), column_mm=np.zeros(8), rotation_deg=np.zeros(8))


def images_of(study, *, signal=None, snr=None, seed=0):
    """Saturation images of a phantom, with normal noise of S(−3) of the structures over `snr`."""
    signal = np.array(study.signal if signal is None else signal)
    if snr is not None:
        weight = np.sum(list(study.fractions.values()), axis=0)
        sigma = np.average(study.signal[0], weights=weight) / snr
        signal = signal + np.random.default_rng(seed).normal(0.0, sigma, signal.shape)
    return SaturationImages(
        signal=signal, offsets_ppm=study.offsets_ppm, grid=study.cest_grid, f0_mhz=F0_MHZ
    )


def relative(values):
    """What can be known of a motion: positions relative to each other."""
    return values - np.mean(values)


@pytest.fixture(scope="module")
def moved_head():
    """A head with known motion in every image."""
    motion = HeadMotion(
        row_mm=np.array([0.3, -0.2, 0.1, -0.4, 0.25, 0.0, -0.1, 0.05]),
        column_mm=np.array([-0.1, 0.2, 0.3, -0.25, 0.0, 0.15, -0.3, 0.0]),
        rotation_deg=np.array([0.2, -0.3, 0.1, 0.25, -0.2, 0.0, 0.1, -0.15]),
    )
    asked = SimulationSettings(seed=4, snr=None, b1_spread=0.0, t1_mm=COARSE_T1_MM)
    return simulate(asked, motion=motion), motion


def test_known_motion_of_the_phantom_is_found(moved_head):
    """Shifts come out within 0.05 mm and rotations within 0.05° at SNR 60."""
    study, motion = moved_head
    found = register(images_of(study, snr=60.0))
    assert found.verdict is Verdict.REGISTERED
    for name in ("row_mm", "column_mm", "rotation_deg"):
        error = relative(getattr(found.displacement, name)) - relative(getattr(motion, name))
        assert np.max(np.abs(error)) < 0.05, name


def test_registered_images_are_those_of_a_head_at_rest(moved_head):
    """Over the brain, registering takes away more than half of what motion changed."""
    study, _ = moved_head
    rest = noise_free(seed=4, b1_spread=0.0)
    inside = np.isfinite(rest.true_percent)
    before = (study.signal - rest.signal)[:, inside]
    after = (register(images_of(study)).images.signal - rest.signal)[:, inside]
    assert np.mean(after**2) < 0.5**2 * np.mean(before**2)


@pytest.mark.parametrize("seed", [1, 2, 7])
def test_a_head_at_rest_is_left_as_acquired(seed):
    """Without motion no image is interpolated, at SNR 60 as without noise."""
    study = noise_free(seed=seed, b1_spread=0.0)
    for snr in (None, 60.0):
        images = images_of(study, snr=snr, seed=seed)
        found = register(images)
        assert found.verdict is Verdict.AT_REST
        assert not found.moved.any()
        assert found.images is images


def test_drift_of_the_signal_is_not_motion():
    """A drift of 3 % per minute moves no image."""
    study = simulate(
        SimulationSettings(
            seed=1, snr=60.0, b1_spread=0.0, drift_percent_per_min=3.0, t1_mm=COARSE_T1_MM
        )
    )
    assert register(images_of(study)).verdict is Verdict.AT_REST


def test_one_jump_leaves_the_other_images_alone():
    """When one image jumps by 2 mm, only that one is interpolated, and by 2 mm."""
    study = noise_free(seed=1, b1_spread=0.0)
    signal = np.array(study.signal)
    shift = np.array([2.0, 0.0]) / study.cest_grid.spacing_mm[1:]
    signal[5, 0] = np.abs(np.fft.ifft2(fourier_shift(np.fft.fft2(signal[5, 0]), shift)))
    found = register(images_of(study, signal=signal))
    np.testing.assert_array_equal(found.moved, np.arange(8) == 5)
    assert found.displacement.row_mm[5] == pytest.approx(2.0, abs=0.05)
    np.testing.assert_array_equal(found.images.signal[0], signal[0])


@given(order=st.permutations(range(8)))
@settings(max_examples=2, deadline=None)
def test_order_of_images_does_not_matter(moved_head, order):
    """Any order of the images gives each the same displacement."""
    study, _ = moved_head
    images = images_of(study)
    shuffled = SaturationImages(
        signal=images.signal[order], offsets_ppm=OFFSETS[order], grid=images.grid, f0_mhz=F0_MHZ
    )
    one, other = register(images), register(shuffled)
    np.testing.assert_allclose(one.displacement.row_mm[order], other.displacement.row_mm, atol=1e-6)


def test_scale_does_not_matter(moved_head):
    """Images of another scale have the same displacement."""
    study, _ = moved_head
    one = register(images_of(study))
    other = register(images_of(study, signal=study.signal * 4096.0))
    np.testing.assert_allclose(one.displacement.column_mm, other.displacement.column_mm, atol=1e-6)


def test_motion_beyond_the_limit_is_not_believed(moved_head):
    """Beyond the limit all images stay as acquired and the reason names the distance."""
    study, _ = moved_head
    images = images_of(study)
    found = register(images, RegistrationSettings(limit_mm=0.2))
    assert found.verdict is Verdict.FAILED
    assert found.images is images
    assert "at most 0.2 mm" in found.reason


@pytest.mark.parametrize(
    ("signal", "why"),
    [
        (np.zeros((8, 1, 40, 40)), "0 voxels with signal"),
        (np.full((8, 1, 40, 40), np.nan), "not finite"),
        (np.ones((8, 1, 40, 40)), "no edges"),
    ],
)
def test_images_without_content_fail_with_a_reason(signal, why):
    """Empty, non-finite and flat images are returned as they are, with the reason."""
    grid = axial_grid(shape=(1, 40, 40))
    images = SaturationImages(signal=signal, offsets_ppm=OFFSETS, grid=grid, f0_mhz=F0_MHZ)
    found = register(images)
    assert found.verdict is Verdict.FAILED
    assert found.images is images
    assert why in found.reason


def test_an_empty_image_among_others_is_named(moved_head):
    """One image without signal: the reason says which, and nothing is divided by its brightness."""
    signal = np.array(moved_head[0].signal)
    signal[3] = 0.0
    found = register(images_of(moved_head[0], signal=signal))
    assert found.verdict is Verdict.FAILED
    assert "saturation image 4 of" in found.reason


@given(
    seed=st.integers(0, 10_000),
    rows=st.integers(30, 400),
    columns=st.integers(2, 20),
    rank=st.integers(1, 6),
    level=st.sampled_from([1e-8, 1.0, 1e8]),
)
@settings(max_examples=60, deadline=None)
def test_columns_that_say_the_same_have_a_fit_and_no_negative_variance(
    seed, rows, columns, rank, level
):
    """Flat images make columns alike: what is fitted is that of least squares all the same."""
    generator = np.random.default_rng(seed)
    base = generator.normal(size=(rows, min(rank, columns)))
    design = level * base @ generator.normal(size=(base.shape[1], columns))
    wanted = generator.normal(size=rows)
    weight = generator.uniform(0.2, 1.0, size=rows)
    found, variance = _weighted_fit(design, wanted, weight)
    assert np.all(variance >= 0.0)
    root = np.sqrt(weight)
    best = np.linalg.lstsq(root[:, None] * design, root * wanted, rcond=1e-9)[0]
    assert design @ found == pytest.approx(design @ best, abs=1e-5)


def test_noise_alone_gives_no_motion_that_is_believed():
    """Images of pure noise are either left alone or refused, never moved."""
    grid = axial_grid(shape=(1, 64, 64))
    signal = np.abs(np.random.default_rng(0).normal(100.0, 10.0, (8, 1, 64, 64)))
    images = SaturationImages(signal=signal, offsets_ppm=OFFSETS, grid=grid, f0_mhz=F0_MHZ)
    assert not register(images).moved.any()


def test_a_stack_of_slices_shares_one_motion():
    """All slices of an image move together, and the estimate of a stack is as good."""
    motion = HeadMotion(
        row_mm=np.array([0.0, 0.5, 0.0, 0.0, -0.5, 0.0, 0.0, 0.0]),
        column_mm=np.zeros(8),
        rotation_deg=np.zeros(8),
    )
    study = simulate(
        SimulationSettings(
            snr=None, b1_spread=0.0, slices=3, slice_mm=4.0, matrix=96, pixel_mm=2.3, t1_mm=4.0
        ),
        motion=motion,
    )
    found = register(images_of(study, snr=60.0))
    error = relative(found.displacement.row_mm) - relative(motion.row_mm)
    assert np.max(np.abs(error)) < 0.06


def test_the_moved_grid_turns_about_the_centre_of_the_image():
    """A rotation of the head leaves the centre in place and a shift moves it by the shift."""
    grid = axial_grid(shape=(1, 33, 33))
    middle = np.array([0.0, 16.0, 16.0])
    turned = moved_grid(grid, row_mm=0.0, column_mm=0.0, rotation_deg=10.0)
    np.testing.assert_allclose(turned.to_lps(middle), grid.to_lps(middle), atol=1e-9)
    shifted = moved_grid(grid, row_mm=2.0, column_mm=0.0, rotation_deg=0.0)
    np.testing.assert_allclose(
        grid.to_lps(middle) - shifted.to_lps(middle), 2.0 * grid.affine[:3, 1] / 4.0, atol=1e-9
    )


@pytest.fixture(scope="module")
def real_brain(shared_data):
    """Eight images of a real head at 7T, sampled from its z-spectrum."""
    brain = brain_7t.load(shared_data / "cest-7t-brain" / "Example_data.mat")
    signal = np.stack([brain.signal_at(offset) for offset in OFFSETS])[:, None]
    spacing = brain_7t.SPACING_MM
    grid = axial_grid(shape=signal.shape[1:], spacing=(11.0, spacing, spacing))
    return SaturationImages(signal=signal, offsets_ppm=OFFSETS, grid=grid, f0_mhz=brain_7t.F0_MHZ)


def test_a_real_brain_fits_no_worse_after_registration(real_brain):
    """On the 7T images the misfit does not grow and nothing moves by more than 0.3 mm."""
    found = register(real_brain)
    assert found.verdict is not Verdict.FAILED
    assert found.residual_after <= found.residual_before
    assert np.max(found.displacement.foreground_mm) < 0.3


def test_shifts_given_to_a_real_brain_are_found(real_brain):
    """Shifts added to the 7T images in Fourier space come back within 0.05 mm."""
    given_mm = np.random.default_rng(8).normal(0.0, 0.4, (8, 2))
    moved = np.array(real_brain.signal)
    for image, shift in zip(moved, given_mm / brain_7t.SPACING_MM, strict=True):
        image[0] = np.fft.ifft2(fourier_shift(np.fft.fft2(image[0]), shift)).real
    images = SaturationImages(
        signal=moved,
        offsets_ppm=OFFSETS,
        grid=real_brain.grid,
        f0_mhz=real_brain.f0_mhz,
    )
    still, found = register(real_brain).displacement, register(images).displacement
    for axis, name in enumerate(("row_mm", "column_mm")):
        added = relative(getattr(found, name)) - relative(getattr(still, name))
        np.testing.assert_allclose(added, relative(given_mm[:, axis]), atol=0.05)
