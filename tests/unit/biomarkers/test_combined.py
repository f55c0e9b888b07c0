"""The combined score with given coefficients."""

import pytest

from cestle.biomarkers.combined import CombinedScore
from cestle.measurement import Estimate

SCORE = CombinedScore(intercept=0.5, hippocampus=20.0, amygdala=-4.0, source="test")


def estimate(value, error):
    return Estimate(value=value, standard_error=error)


def test_logit_by_hand():
    """0.5 + 20·0.05 − 4·0.1 is 1.1, with error √((20·0.01)² + (4·0.02)²)."""
    result = SCORE.evaluate(estimate(0.05, 0.01), estimate(0.1, 0.02))
    assert result.value == pytest.approx(1.1)
    assert result.standard_error == pytest.approx((0.2**2 + 0.08**2) ** 0.5)


def test_unknown_error_of_one_index_leaves_the_score_without_one():
    """When one index has no standard error, neither has the score."""
    assert SCORE.evaluate(estimate(0.05, None), estimate(0.1, 0.02)).standard_error is None
