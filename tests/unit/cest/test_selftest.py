"""The self-test of the B0 map on the phantom and on laws."""

import numpy as np
import pytest

from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.selftest import Fit, check_b0_map, robust_slope
from cestle.phantom.study import SimulationSettings, simulate
from unit.builders import axial_grid, fields, images_from


@pytest.fixture(scope="module", params=[1, 2, 3])
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
    return check_b0_map(compute_glucest(images, maps, GluCestSettings()), maps)


def test_the_true_map_passes(scan):
    """With the true B0 map the slope stays below the limit of a warning."""
    assert outcome_with(scan, 1.0).fit is Fit.RIGHT


@pytest.mark.parametrize("factor", [-1.0, 0.5, -0.5])
def test_a_wrong_sign_or_scale_is_found(scan, factor):
    """A flipped sign and half the scale are both called wrong."""
    assert outcome_with(scan, factor).fit is Fit.WRONG


def test_a_uniform_field_is_not_testable():
    """Where the field hardly varies the test says so instead of passing."""
    grid = axial_grid()
    images = images_from(lambda offset: np.full(np.shape(offset), -1.0), grid)
    maps = fields(grid, 0.01)
    result = check_b0_map(compute_glucest(images, maps, GluCestSettings()), maps)
    assert result.fit is Fit.NOT_TESTABLE
    assert result.slope is None


def test_slope_of_a_line_with_outliers():
    """A slope of 3 is found within 0.05 although a tenth of the points lie elsewhere."""
    rng = np.random.default_rng(4)
    x = rng.uniform(-1.0, 1.0, 2000)
    y = 3.0 * x + rng.normal(0.0, 0.2, 2000)
    y[:200] = 40.0
    assert robust_slope(x, y) == pytest.approx(3.0, abs=0.05)
