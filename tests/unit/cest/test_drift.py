"""Drift of signal and B0 from the repeats."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cest.drift import b0_drift_hz, signal_change
from cestle.cest.images import SaturationImages
from unit.builders import axial_grid

GRID = axial_grid()
F0_MHZ = 210.8
OFFSETS = np.array([-3.0, 3.0, -3.4, 3.4, -2.6, 2.6, -3.0, 3.0])
EVERYWHERE = np.ones(GRID.shape, dtype=bool)


def scan(drift_hz=0.0, gain=1.0):
    """Signals exp(−1/|distance from the own water|), the last two images after the drift."""
    shift = np.where(np.arange(8) >= 6, drift_hz / F0_MHZ, 0.0)
    scale = np.where(np.arange(8) >= 6, gain, 1.0)
    level = 1000.0 * scale * np.exp(-3.0 / np.abs(OFFSETS - shift))
    signal = level[:, None, None, None] * np.ones((8, *GRID.shape))
    return SaturationImages(signal=signal, offsets_ppm=OFFSETS, grid=GRID, f0_mhz=F0_MHZ)


@given(drift_hz=st.floats(-40.0, 40.0), gain=st.floats(0.9, 1.1))
def test_b0_drift_is_found_whatever_the_signal_does(drift_hz, gain):
    """A drift of B0 is measured within 5 % with its sign, also when the signal drifts too."""
    assert b0_drift_hz(scan(drift_hz, gain), EVERYWHERE) == pytest.approx(
        drift_hz, rel=0.05, abs=0.05
    )


@given(gain=st.floats(0.8, 1.2))
def test_signal_change_is_that_of_the_repeats(gain):
    """Without drift of B0 the change of the signal is that of the scanner's gain."""
    assert signal_change(scan(gain=gain), EVERYWHERE) == pytest.approx(abs(gain - 1.0), abs=1e-9)


def test_no_repeats_tell_nothing():
    """Without repeats neither drift is known."""
    one = scan()
    single = SaturationImages(
        signal=one.signal[:6], offsets_ppm=OFFSETS[:6], grid=GRID, f0_mhz=F0_MHZ
    )
    assert b0_drift_hz(single, EVERYWHERE) is None
    assert signal_change(single, EVERYWHERE) is None
