"""DAIglu_GABA against its definition, its laws and a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.biomarkers.composite import glutamate_gaba_composite
from cestle.errors import NumericalError
from cestle.measurement import Estimate

INDICES = st.floats(-0.5, 0.5)
RATIOS = st.floats(0.03, 0.6)
ERRORS = st.floats(0.0, 0.05)


def estimate(value, error=None):
    return Estimate(value=value, standard_error=error)


def test_the_composite_is_the_index_over_the_ratio():
    """An index of 0.062 and a ratio of 0.138, means published for patients, give 0.449."""
    found = glutamate_gaba_composite(estimate(0.062, 0.01), estimate(0.138, 0.01))
    assert found.value == pytest.approx(0.062 / 0.138)


@given(index=INDICES, ratio=RATIOS, error=ERRORS, scale=st.floats(0.5, 2.0))
def test_scaling_gaba_scales_the_composite_inversely(index, ratio, error, scale):
    """A ratio in another convention changes value and error by one factor, and no sign."""
    one = glutamate_gaba_composite(estimate(index, error), estimate(ratio, ratio / 10))
    other = glutamate_gaba_composite(
        estimate(index, error), estimate(ratio * scale, ratio * scale / 10)
    )
    assert other.value == pytest.approx(one.value / scale)
    assert other.standard_error == pytest.approx(one.standard_error / scale)
    assert math.copysign(1.0, one.value) == math.copysign(1.0, index)


@pytest.mark.parametrize(
    ("index", "index_error", "ratio", "ratio_error"),
    [(0.062, 0.010, 0.138, 0.010), (-0.1, 0.02, 0.2, 0.02), (0.0, 0.015, 0.16, 0.03)],
)
def test_the_standard_error_is_that_of_repeated_measurements(
    index, index_error, ratio, ratio_error
):
    """The spread of 200 000 simulated repeats is the stated error to 10 %."""
    random = np.random.default_rng(7)
    repeats = random.normal(index, index_error, 200_000) / random.normal(
        ratio, ratio_error, 200_000
    )
    # Quantiles: the second moment of a ratio of normals does not exist.
    low, high = np.quantile(repeats, [0.158655, 0.841345])
    found = glutamate_gaba_composite(estimate(index, index_error), estimate(ratio, ratio_error))
    assert found.standard_error == pytest.approx((high - low) / 2.0, rel=0.1)


@pytest.mark.parametrize("unknown", ["index", "ratio"])
def test_an_unknown_error_makes_an_unknown_error(unknown):
    """Where one error is unknown the composite has a value and no error."""
    index = estimate(0.05, None if unknown == "index" else 0.01)
    ratio = estimate(0.16, None if unknown == "ratio" else 0.01)
    found = glutamate_gaba_composite(index, ratio)
    assert found.value == pytest.approx(0.3125)
    assert found.standard_error is None


@pytest.mark.parametrize(
    "ratio",
    [estimate(0.0), estimate(-0.1), estimate(0.05, 0.02), estimate(math.nan), estimate(math.inf)],
)
def test_a_ratio_that_may_be_zero_gives_no_composite(ratio):
    """A GABA+/Cr of zero, below it, within 3 standard errors of it or not finite is refused."""
    with pytest.raises(NumericalError, match="no composite can be given"):
        glutamate_gaba_composite(estimate(0.05, 0.01), ratio)
