"""What a person may ask for one study, and how it is written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.config.node import AnalysisSection
from cestle.config.options import StudyOptions
from cestle.errors import InputError
from cestle.mrs.selection import numbers_text, read_numbers


@given(st.sets(st.integers(1, 400)))
def test_a_list_of_transients_is_read_as_it_is_written(numbers):
    """Writing and reading a list of numbers gives the same numbers."""
    wanted = tuple(sorted(numbers))
    assert read_numbers(numbers_text(wanted) or "none") == wanted


def test_ranges_count_from_one_and_include_both_ends():
    assert read_numbers("1, 4-7") == (1, 4, 5, 6, 7)
    assert numbers_text((1, 4, 5, 6, 7)) == "1,4-7"


@pytest.mark.parametrize("text", ["", "0", "3-1", "a", "1;2", "1,,2", "-3", "1-2-3", "1 2"])
def test_what_is_no_list_is_refused(text):
    with pytest.raises(InputError, match="expected numbers from 1"):
        read_numbers(text)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"onset_side": "links"}, "onset_side"),
        ({"b0_method": "magic"}, "b0_method"),
        ({"b1_method": "calibrate"}, "b1_method"),
        ({"mrs_method": "lcm"}, "mrs_method"),
        ({"registration": "yes"}, "registration"),
        ({"drop_transients": (0,)}, "drop_transients"),
        ({"gain": 2.0}, "gain"),
        ({"roi": ({"sha256": "../../x", "suffix": ".dcm"},)}, "sha256"),
    ],
)
def test_options_are_checked_like_the_configuration(values, word):
    """A value that node.toml would refuse is refused here, and named."""
    with pytest.raises(InputError, match=word):
        StudyOptions.checked(values)


def test_a_later_wish_replaces_what_it_names_and_keeps_the_rest():
    earlier = StudyOptions(onset_side="left", b0_method="linear")
    later = StudyOptions(b0_method="none").over(earlier)
    assert (later.onset_side, later.b0_method) == ("left", "none")
    assert StudyOptions(b0_method="none", forget=True).over(earlier).onset_side is None


def test_options_stand_over_the_configuration():
    """Only what is named changes; the configuration itself does not."""
    section = AnalysisSection(b1_method="divide", min_signal_snr=7.0)
    options = StudyOptions(b0_method="linear", registration=False, mrs_method="paper")
    changed = options.applied_to(section)
    assert (changed.b0_method, changed.registration, changed.mrs.method) == (
        "linear",
        False,
        "paper",
    )
    assert (changed.b1_method, changed.min_signal_snr) == ("divide", 7.0)
    assert StudyOptions().applied_to(section) == section


def test_equal_options_have_equal_text():
    """Order and repeats of numbers play no part; no options are an empty text."""
    one, other = (
        StudyOptions.checked({"drop_transients": numbers, "onset_side": "left"})
        for numbers in ((4, 1, 4), (1, 4))
    )
    assert one.to_text() == other.to_text() != ""
    assert StudyOptions.from_text(one.to_text()) == one
    assert StudyOptions().to_text() == ""
    assert one.words() == ("onset_side: left", "drop_transients: 1,4")
