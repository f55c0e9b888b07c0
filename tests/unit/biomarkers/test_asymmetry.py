"""Laws of the asymmetry indices and the call."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.biomarkers.asymmetry import directional_asymmetry, directional_asymmetry_epi
from cestle.biomarkers.lateralization import PAPER_RULE, Call, CallPolicy, lateralize
from cestle.errors import NumericalError
from cestle.measurement import Estimate, Side

positive = st.floats(0.01, 100.0)
error = st.one_of(st.none(), st.floats(0.0, 5.0))
estimate = st.builds(lambda v, e: Estimate(value=v, standard_error=e), positive, error)


@given(left=estimate, right=estimate)
def test_swapping_the_sides_flips_the_sign(left, right):
    """DAI(epi) of swapped sides is the negative, with the same standard error."""
    one, other = directional_asymmetry_epi(left, right), directional_asymmetry_epi(right, left)
    assert one.value == -other.value
    assert one.standard_error == other.standard_error


@given(left=positive, right=positive, scale=st.floats(0.01, 100.0))
def test_index_is_free_of_scale_and_bounded(left, right, scale):
    """Scaling both sides changes nothing, and the index lies within ±1."""
    one = directional_asymmetry_epi(
        Estimate(value=left, standard_error=None), Estimate(value=right, standard_error=None)
    )
    other = directional_asymmetry_epi(
        Estimate(value=left * scale, standard_error=None),
        Estimate(value=right * scale, standard_error=None),
    )
    assert one.value == pytest.approx(other.value, abs=1e-12)
    assert -1.0 <= one.value <= 1.0


@given(left=estimate, right=estimate)
def test_known_onset_orders_the_sides(left, right):
    """With onset left DAI equals DAI(epi), with onset right its negative."""
    epi = directional_asymmetry_epi(left, right).value
    assert directional_asymmetry(left, right, onset=Side.LEFT).value == epi
    assert directional_asymmetry(left, right, onset=Side.RIGHT).value == -epi


def test_value_by_hand():
    """9 % left and 8 % right give 1/17."""
    index = directional_asymmetry_epi(
        Estimate(value=9.0, standard_error=None), Estimate(value=8.0, standard_error=None)
    )
    assert index.value == pytest.approx(1 / 17)
    assert index.standard_error is None


def test_standard_error_matches_simulation():
    """The first-order standard error equals the scatter of simulated pairs within 2 %."""
    rng = np.random.default_rng(5)
    left, right = rng.normal(9.0, 0.2, 200_000), rng.normal(8.0, 0.3, 200_000)
    scatter = np.std((left - right) / (left + right))
    index = directional_asymmetry_epi(
        Estimate(value=9.0, standard_error=0.2), Estimate(value=8.0, standard_error=0.3)
    )
    assert index.standard_error == pytest.approx(scatter, rel=0.02)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_values_that_are_not_positive_give_no_index(value):
    """A mean that is zero, negative or not finite is refused on either side."""
    good, bad = Estimate(value=8.0, standard_error=None), Estimate(value=value, standard_error=None)
    with pytest.raises(NumericalError, match="a positive value was expected"):
        directional_asymmetry_epi(bad, good)
    with pytest.raises(NumericalError, match="a positive value was expected"):
        directional_asymmetry_epi(good, bad)


def call_of(value, error, policy=CallPolicy.PAPER):
    """The call for a score under a policy."""
    score = Estimate(value=value, standard_error=error)
    return lateralize(score, rule=PAPER_RULE, policy=policy, missing_reason=None)


@pytest.mark.parametrize(
    ("score", "call"),
    [
        (0.05, Call.LEFT),
        (0.0027, Call.LEFT),
        (0.0026, Call.INDETERMINATE),
        (0.0025, Call.RIGHT),
        (0.0, Call.RIGHT),
        (-0.05, Call.RIGHT),
    ],
)
def test_published_rule(score, call):
    """Under the paper policy the call is left above 0.0026 and right below, as published."""
    result = call_of(score, 0.01)
    assert result.call is result.bare_call is call
    assert result.margin == pytest.approx(score - 0.0026)


@given(score=st.floats(-0.2, 0.2), error=st.floats(0.0, 0.1))
def test_interval_policy_never_contradicts_the_bare_rule(score, error):
    """Under the interval policy a call is the bare one, and made only beyond 1.96 errors."""
    result = call_of(score, error, CallPolicy.INTERVAL)
    if result.call is not Call.INDETERMINATE:
        assert result.call is result.bare_call
        assert abs(score - 0.0026) >= 1.95 * error
    else:
        assert abs(score - 0.0026) <= 1.97 * error + 1e-12


def test_held_back_call_still_says_what_the_bare_rule_says():
    """Within the interval no side is called, and the reason names the bare rule's side."""
    result = call_of(0.01, 0.01, CallPolicy.INTERVAL)
    assert result.call is Call.INDETERMINATE
    assert result.bare_call is Call.LEFT
    assert "would say left" in result.reasons[1]


def test_unknown_uncertainty_makes_no_call_under_the_interval_policy():
    """Without a standard error the interval policy calls no side."""
    result = call_of(0.1, None, CallPolicy.INTERVAL)
    assert result.call is Call.INDETERMINATE
    assert result.bare_call is Call.LEFT


def test_no_score_is_indeterminate_with_the_reason():
    """Without a score the call is indeterminate and repeats why."""
    why = "left: no region was sent"
    result = lateralize(None, rule=PAPER_RULE, policy=CallPolicy.PAPER, missing_reason=why)
    assert result.call is Call.INDETERMINATE
    assert result.score is None
    assert result.reasons == (why,)


def test_probability_is_that_of_the_normal_distribution():
    """One standard error above the cut-off is left with probability 0.8413."""
    result = call_of(0.0126, 0.01)
    assert result.probability_left == pytest.approx(0.841345, abs=1e-6)
    assert "includes the cut-off" in result.reasons[0]


def test_clear_margin_is_said():
    """Five standard errors away the reason says that the interval excludes the cut-off."""
    assert "excludes the cut-off" in call_of(-0.05, 0.01).reasons[0]
