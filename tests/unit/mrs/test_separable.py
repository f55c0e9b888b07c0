"""The solver against exact answers and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from cestle.errors import NumericalError
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.line_shape import lorentz_profile, shift_profile
from cestle.mrs.separable import EnvelopeTerm, SeparableProblem, _non_negative, one_step, solve
from unit.mrs.tissue import protocol

POINTS = 512
PROTOCOL = protocol(dwell_s=1e-3, frequency_mhz=120.0)
TIME = np.arange(POINTS) * PROTOCOL.dwell_s
WINDOW = FitWindow.of(POINTS, PROTOCOL, (2.0, 4.0))
TRUE = {"width": 7.0, "shift": 1.3}
AMPLITUDES = np.array([3.0, 0.0, 1.5])


def problem(noise=0.0, seed=0, amplitudes=AMPLITUDES, sigma=1.0, spread=np.inf):
    """Three singlets of one width and shift on a constant baseline of 2."""
    places = (np.array([2.6, 3.0, 3.3]) - PROTOCOL.transmitter_ppm) * PROTOCOL.frequency_mhz
    fids = np.exp(2j * np.pi * places[:, None] * TIME)
    everything = np.ones(3, dtype=bool)
    terms = (
        EnvelopeTerm(
            name="width",
            profile=lorentz_profile(TIME),
            members=everything,
            start=4.0,
            expected=4.0,
            spread=spread,
            low=0.5,
            high=30.0,
        ),
        EnvelopeTerm(
            name="shift",
            profile=shift_profile(TIME),
            members=everything,
            start=0.0,
            low=-5.0,
            high=5.0,
        ),
    )
    envelope = np.exp(TRUE["width"] * terms[0].profile + TRUE["shift"] * terms[1].profile)
    data = WINDOW.spectrum(amplitudes @ (fids * envelope)) + 2.0
    data = data + noise * np.random.default_rng(seed).normal(size=data.shape)
    return SeparableProblem(
        data=data,
        sigma=sigma,
        window=WINDOW,
        fids=fids,
        signed=np.zeros(3, dtype=bool),
        terms=terms,
        smooth=np.ones((len(data), 1)),
        ties=np.zeros((0, 4)),
        targets=np.zeros(0),
    )


def test_exact_data_give_exact_parameters():
    """Width, shift, amplitudes and baseline of noise-free data come back to 1e-5."""
    fit = solve(problem(sigma=1e-4))
    assert fit.parameter("width") == pytest.approx(TRUE["width"], rel=1e-5)
    assert fit.parameter("shift") == pytest.approx(TRUE["shift"], rel=1e-5)
    assert fit.amplitudes == pytest.approx([3.0, 0.0, 1.5, 2.0], abs=1e-4)


def test_slopes_are_derivatives_of_the_model():
    """The slopes of the model equal finite differences of it."""
    one = problem()
    fit = solve(one)
    for number, step in ((0, 1e-4), (1, 1e-4)):
        moved = fit.parameters.copy()
        moved[number] += step
        change = fit.amplitudes[:3] @ (one.decayed(moved) - one.decayed(fit.parameters))
        assert fit.slopes[:, number] == pytest.approx(
            WINDOW.spectrum(change) / step, abs=2e-3 * np.abs(fit.slopes[:, number]).max()
        )


def test_amplitudes_are_never_negative():
    """A line that is not there is held at zero, whatever the noise."""
    for seed in range(10):
        fit = solve(problem(noise=30.0, seed=seed, sigma=30.0))
        assert fit.amplitudes[:3].min() >= 0.0


def test_a_tight_constraint_holds_a_parameter():
    """A parameter with a narrow soft constraint stays at its mean, against the data."""
    fit = solve(problem(noise=1.0, sigma=1.0, spread=1e-6))
    assert fit.parameter("width") == pytest.approx(4.0, abs=1e-3)


def test_values_that_are_no_numbers_are_refused():
    """A spectrum with NaN raises instead of being fitted."""
    one = problem()
    one.data[3] = np.nan
    with pytest.raises(NumericalError, match="no numbers"):
        solve(one)


def test_one_step_finds_the_amplitudes_of_near_data():
    """One linearised step agrees with a whole new fit to a tenth of the noise's effect."""
    noise = 2.0
    fit = solve(problem(noise=0.0, sigma=noise))
    others = [problem(noise=noise, seed=seed, sigma=noise) for seed in range(1, 9)]
    steps = one_step(fit, np.stack([other.data for other in others]))
    whole = np.stack([solve(other).amplitudes for other in others])
    scatter = np.std(whole[:, 0])
    assert np.abs(steps[:, 0] - whole[:, 0]).max() < 0.1 * scatter


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_non_negative_solution_is_that_of_another_program(seed):
    """The active-set solution has the residual of SciPy's for random problems."""
    rng = np.random.default_rng(seed)
    design, data = rng.normal(size=(15, 8)), rng.normal(size=15)
    found, _ = _non_negative(design.T @ design, design.T @ data, np.zeros(8, dtype=bool), None)
    _, residual = nnls(design, data)
    assert found.min() >= 0.0
    assert np.linalg.norm(design @ found - data) == pytest.approx(residual, rel=1e-6)
