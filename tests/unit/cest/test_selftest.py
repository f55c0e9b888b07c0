"""The self-test of the B0 map on the phantom, on a real brain and on laws."""

import numpy as np
import pytest

from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.selftest import Fit, check_b0_map
from cestle.geometry import Grid
from cestle.phantom.study import SimulationSettings, simulate
from cestle.protocol import JUPITER_5T_GLUCEST
from phantoms import brain_7t
from unit.builders import axial_grid, fields, images_from


@pytest.fixture(scope="module", params=[1, 2, 3, 4])
def scan(request):
    """Noisy images of the phantom with their true fields."""
    study = simulate(SimulationSettings(seed=request.param, snr=60.0, b1_spread=0.2, t1_mm=3.0))
    f0_mhz = study.settings.f0_mhz
    images = SaturationImages(
        signal=study.signal,
        offsets_ppm=study.offsets_ppm,
        grid=study.cest_grid,
        f0_mhz=f0_mhz,
    )
    return images, study.b0_hz / f0_mhz, study.b1_percent / 100.0


def outcome_with(scan, factor):
    """The self-test with the B0 map multiplied by `factor`."""
    images, shift, relative_b1 = scan
    maps = FieldMaps(b0_shift_ppm=shift * factor, relative_b1=relative_b1, grid=images.grid)
    return check_b0_map(images, maps, GluCestSettings())


def test_the_true_map_passes(scan):
    """With the true B0 map the factor is 1 within 0.1."""
    result = outcome_with(scan, 1.0)
    assert result.fit is Fit.RIGHT
    assert result.factor == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("factor", [-1.0, -0.5, 0.5])
def test_a_wrong_sign_or_scale_is_found_with_its_size(scan, factor):
    """A flipped sign and half the scale are called wrong, and the missing factor is found."""
    result = outcome_with(scan, factor)
    assert result.fit is Fit.WRONG
    assert result.factor == pytest.approx(1.0 / factor, rel=0.25)


def test_a_uniform_field_is_not_testable():
    """Where the field hardly varies the test says so instead of passing."""
    grid = axial_grid()
    images = images_from(lambda offset: np.full(np.shape(offset), -1.0), grid)
    result = check_b0_map(images, fields(grid, 0.01), GluCestSettings())
    assert result.fit is Fit.NOT_TESTABLE
    assert result.factor is None


def test_the_sign_is_told_on_a_real_brain(shared_data):
    """On a brain measured at 7T the delivered sign passes and the flipped one is wrong."""
    brain = brain_7t.load(shared_data / "cest-7t-brain" / "Example_data.mat")
    grid = Grid(
        shape=(1, *brain.brain.shape),
        affine=np.diag([11.0, 1.72, 1.72, 1.0]),
        frame_of_reference_uid="",
        slice_thickness_mm=11.0,
    )
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    images = SaturationImages(
        signal=np.stack([brain.signal_at(offset) for offset in offsets])[:, None],
        offsets_ppm=offsets,
        grid=grid,
        f0_mhz=brain_7t.F0_MHZ,
    )
    right, flipped = (
        check_b0_map(
            images,
            FieldMaps(
                b0_shift_ppm=sign * brain.b0_shift_ppm[None],
                relative_b1=brain.relative_b1[None],
                grid=grid,
            ),
            GluCestSettings(),
        )
        for sign in (1.0, -1.0)
    )
    assert right.fit is Fit.RIGHT
    assert flipped.fit is Fit.WRONG
