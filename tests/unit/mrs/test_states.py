"""Edit ON is where NAA is not, or nothing is said at all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cestle.errors import ProtocolError
from cestle.mrs.series import EditState
from cestle.mrs.states import decide_states

ON, OFF = EditState.ON, EditState.OFF


def naa_of(pattern, noise=0.05, seed=3):
    """NAA over creatine for a word such as "+-+-", with + for edit ON."""
    rng = np.random.default_rng(seed)
    level = np.array([0.0 if letter == "+" else 1.4 for letter in pattern])
    return level + noise * rng.standard_normal(len(pattern))


def unlabelled(values):
    return (None,) * len(values)


@settings(deadline=None)
@given(
    run=st.integers(1, 12),
    start=st.integers(0, 11),
    repeats=st.integers(2, 6),
    first=st.sampled_from("+-"),
    noise=st.floats(0.0, 0.2),
    seed=st.integers(0, 99),
)
def test_regular_orders_are_found(run, start, repeats, first, noise, seed):
    """Runs of any length, ON or OFF first and the first run cut short, are told right."""
    second = "-" if first == "+" else "+"
    pattern = (first * run + second * run) * repeats
    pattern = pattern[start % run :]
    values = naa_of(pattern, noise, seed)
    found = decide_states(values, unlabelled(values))
    assert "".join("+" if on else "-" for on in found.edit_on) == pattern
    assert found.agreeing > 0.9


@settings(deadline=None, max_examples=40)
@given(st.permutations("+" * 10 + "-" * 10), st.floats(0.0, 0.05))
def test_any_clear_order_is_right(pattern, noise):
    """Without any pattern, too, each gets the state that its NAA says, all but one at most."""
    values = naa_of(pattern, noise)
    found = decide_states(values, unlabelled(values))
    assert np.sum(found.edit_on != np.array([letter == "+" for letter in pattern])) <= 1


@settings(deadline=None, max_examples=20)
@given(st.permutations("+" * 10 + "-" * 10))
def test_labels_settle_an_irregular_order(pattern):
    """Where labels and NAA agree, all transients get the state of their label."""
    labels = tuple(ON if letter == "+" else OFF for letter in pattern)
    found = decide_states(naa_of(pattern), labels)
    assert tuple(ON if on else OFF for on in found.edit_on) == labels


def test_the_pattern_corrects_single_transients():
    """A corrupted transient whose NAA says otherwise keeps the state of its place."""
    values = naa_of("+-" * 20)
    values[[4, 13, 30]] = 1.3, -40.0, 900.0
    found = decide_states(values, unlabelled(values))
    assert "".join("+" if on else "-" for on in found.edit_on) == "+-" * 20
    assert found.agreeing == pytest.approx(37 / 40)


def test_transients_without_signal_say_nothing():
    """Half of the transients unheard, the pattern of the others still gives each its state."""
    values = naa_of("+-" * 20)
    values[::3] = np.nan
    found = decide_states(values, unlabelled(values))
    assert "".join("+" if on else "-" for on in found.edit_on) == "+-" * 20
    with pytest.raises(ProtocolError, match="1 of 3 FIDs"):
        decide_states(np.array([np.nan, 1.4, np.nan]), (None,) * 3)


def test_two_averages_need_no_spread():
    """One FID of each state is enough, and no separation is claimed."""
    found = decide_states(np.array([1.3, 0.1]), (None, None))
    assert list(found.edit_on) == [False, True]
    assert found.separation is None
    assert found.naa_left == pytest.approx(1 / 13)
    assert "8 % of that of OFF" in found.sentence


@pytest.mark.parametrize(
    "values",
    [
        np.full(8, 1.4),
        naa_of("-" * 40),
        naa_of("+" * 40),
        naa_of("-" * 38 + "++"),
        np.array([1.4, 0.9]),
        np.array([0.2, 0.05]),
        np.array([1.4, 1.4]),
        np.linspace(1.0, 1.6, 40),
        naa_of("+-" * 20, noise=2.0),
        naa_of("+-+--+++-+--+-+--++-+-+-+--+", noise=0.4),
    ],
    ids=[
        "equal", "all OFF", "all ON", "two ON", "half suppressed", "no NAA", "two equal",
        "a trend", "noise", "irregular in noise",
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused(values):
    """Without two groups of NAA that are well apart and of like size, no order is named."""
    with pytest.raises(ProtocolError, match="cannot be told apart"):
        decide_states(values, unlabelled(values))


@given(st.data())
def test_a_contradicting_label_is_refused(data):
    """One wrong label among right or missing ones is enough, and its number is named."""
    pattern = data.draw(st.sampled_from(["+-" * 8, "++--" * 4, "+" * 8 + "-" * 8]))
    right = [ON if letter == "+" else OFF for letter in pattern]
    labels = [data.draw(st.sampled_from([label, None])) for label in right]
    assert list(decide_states(naa_of(pattern), tuple(labels)).edit_on) == [
        letter == "+" for letter in pattern
    ]
    place = data.draw(st.integers(0, 15))
    labels[place] = ON if right[place] is OFF else OFF
    with pytest.raises(ProtocolError, match=f"number {place + 1}, labelled"):
        decide_states(naa_of(pattern), tuple(labels))
