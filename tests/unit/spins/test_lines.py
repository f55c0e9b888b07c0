"""Fewer lines, the same spectrum."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cestle.spins.lines import Resonances

FREQUENCY_MHZ = 210.8


def fid(lines, times):
    return np.exp(2j * np.pi * FREQUENCY_MHZ * np.outer(times, lines.shift_ppm)) @ lines.amplitude


@st.composite
def spectra(draw):
    count = draw(st.integers(1, 60))
    clusters = draw(arrays(float, count, elements=st.sampled_from([1.9, 2.0, 2.0001, 3.0])))
    spread = draw(arrays(float, count, elements=st.floats(-3e-4, 3e-4)))
    part = st.integers(-(10**6), 10**6).map(lambda value: 1e-6 * value)
    amplitude = draw(arrays(float, count, elements=part)) + 1j * draw(
        arrays(float, count, elements=part)
    )
    return Resonances(shift_ppm=clusters + spread, amplitude=amplitude)


@given(spectra())
def test_simplified_lines_give_the_same_signal(lines):
    """The signal of the first 0.3 s differs by what 0.05 Hz and 5·10⁻⁵ can do, no more."""
    simple = lines.simplified(frequency_mhz=FREQUENCY_MHZ)
    times = np.linspace(0.0, 0.3, 50)
    loudness = np.abs(lines.amplitude).sum()
    if not loudness:
        return
    # a line moves by 0.05 Hz at most, 0.09 rad after 0.3 s; at the start nothing changes
    assert np.abs(fid(simple, times) - fid(lines, times)).max() <= 0.11 * loudness
    assert abs(fid(simple, np.zeros(1)) - fid(lines, np.zeros(1)))[0] <= 1e-9 * (1 + loudness)


@given(spectra())
def test_simplified_lines_rise_and_stand_apart(lines):
    """Shifts are in order and no line is repeated."""
    shift = lines.simplified(frequency_mhz=FREQUENCY_MHZ).shift_ppm
    assert np.all(np.diff(shift) > 0)


def test_lines_far_apart_stay_as_they_are():
    """What is resolved is not merged."""
    lines = Resonances(shift_ppm=np.array([3.0, 1.0]), amplitude=np.array([2.0 + 0j, 1.0j]))
    simple = lines.simplified(frequency_mhz=FREQUENCY_MHZ)
    np.testing.assert_array_equal(simple.shift_ppm, [1.0, 3.0])
    np.testing.assert_array_equal(simple.amplitude, [1.0j, 2.0])
