"""Limits of the quality gates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.gates import Gate, Verdict, worst
from cestle.study.quality import LIMITS


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_failing_is_worse_than_warning(name):
    """The limit of failing lies beyond that of warning, or on it."""
    limits = LIMITS[name]
    if limits.fail is not None:
        assert (limits.fail <= limits.warn) is limits.higher_is_better or limits.fail == limits.warn


@given(name=st.sampled_from(sorted(LIMITS)), a=st.floats(-1e3, 1e3), b=st.floats(-1e3, 1e3))
def test_a_better_value_never_gets_a_worse_verdict(name, a, b):
    """Of two values the better one has a verdict at least as good."""
    limits = LIMITS[name]
    better, poorer = (max(a, b), min(a, b)) if limits.higher_is_better else (min(a, b), max(a, b))
    order = list(Verdict)
    assert order.index(limits.verdict(better)) <= order.index(limits.verdict(poorer))


@pytest.mark.parametrize(
    ("name", "value", "verdict"),
    [
        ("b0_in_range", 96.0, Verdict.PASS),
        ("b0_in_range", 90.0, Verdict.WARN),
        ("b0_in_range", 79.0, Verdict.FAIL),
        ("snr", 41.0, Verdict.PASS),
        ("snr", 30.0, Verdict.WARN),
        ("snr", 19.0, Verdict.FAIL),
        ("b1_left_right", 0.06, Verdict.WARN),
        ("typical_contrast_low", -1.0, Verdict.FAIL),
    ],
)
def test_limits_of_the_protocol(name, value, verdict):
    """Values on either side of each proposed limit get its verdict."""
    assert LIMITS[name].verdict(value) is verdict


def test_worst_of_several():
    """The worst of pass, warn and pass is warn; of nothing, pass."""
    verdicts = (Verdict.PASS, Verdict.WARN, Verdict.PASS)
    gates = [
        Gate(name="snr", scope="study", value=1.0, verdict=one, limits=LIMITS["snr"])
        for one in verdicts
    ]
    assert worst(gates) is Verdict.WARN
    assert worst(()) is Verdict.PASS


def test_sentence_names_value_limit_and_action():
    """The line of a failed gate says what was found, what was expected and what to do."""
    gate = Gate(
        name="snr", scope="hippocampus_left", value=15.0, verdict=Verdict.FAIL, limits=LIMITS["snr"]
    )
    assert "is 15, at least 20 was expected; check coil" in gate.sentence
