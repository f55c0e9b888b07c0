"""The sign of the FID comes from the side of water that the metabolites are on."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.errors import ProtocolError
from cestle.mrs.fid_sign import decide_sign
from phantoms.transients import Scene, acquire


def fids(scene):
    series = acquire(scene).series
    return series.fids[:, 0], series.protocol


@pytest.mark.parametrize(
    "scene",
    [
        Scene(pairs=8),
        Scene(pairs=8, snr=30.0),
        Scene(pairs=8, water=1.0e4),
        Scene(pairs=8, water=1.0e4, water_jitter=0.5, eddy_deg=60.0),
        Scene(pairs=8, lipid=50.0),
        Scene(pairs=8, phase_cycle=(0.0, 90.0, 180.0, 270.0), on_polarity=-1.0),
        Scene(pairs=8, drift_hz=20.0, jumps=((8, -30.0),)),
        Scene(pairs=8, transmitter_ppm=3.0),
        Scene(pairs=8, points=1024, frequency_mhz=127.8),
    ],
)
@pytest.mark.parametrize("conjugated", [False, True])
def test_the_sign_is_found(scene, conjugated):
    """Neither water, lipid, drift, phases nor the transmitter's place lead it astray."""
    assert decide_sign(*fids(replace(scene, conjugated=conjugated))).conjugated is conjugated


@pytest.mark.parametrize("edited", [0, 1])
def test_one_fid_is_enough(edited):
    """A single average tells its sign, edit ON without NAA as well."""
    all_fids, protocol = fids(Scene(pairs=2, snr=60.0))
    assert not decide_sign(all_fids[[edited]], protocol).conjugated


@pytest.mark.parametrize("count", [1, 4, 64, 400])
@pytest.mark.parametrize("water", [0.0, 30.0, 1.0e5])
def test_noise_has_no_sign(count, water):
    """However many transients of water and noise are searched for metabolites, none is believed."""
    series = acquire(Scene(pairs=2, points=1024)).series
    rng = np.random.default_rng(count)
    shape = (count, 1024)
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    line = series.water[0] / np.abs(series.water).max()
    with pytest.raises(ProtocolError, match=r"no side of water shows more|signal on both sides"):
        decide_sign(noise + water * line, series.protocol)


def test_lipid_alone_is_named():
    """Where lipid hides everything that could tell, the message says so."""
    scene = Scene(pairs=4, snr=30.0)
    series = acquire(scene).series
    time = np.arange(scene.points) * scene.dwell_s
    rng = np.random.default_rng(2)
    shape = series.fids[:, 0].shape
    noise = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    # on both sides, as a saturated receiver shows it
    fat = sum(
        np.exp((sign * 2j * np.pi * 3.4 * scene.frequency_mhz - np.pi * 20.0) * time)
        for sign in (1.0, -1.0)
    )
    with pytest.raises(ProtocolError, match="lipid swamps the metabolites"):
        decide_sign(noise + 80.0 * fat, series.protocol)
