"""How many instances a series should have, by the attributes of the standard."""

from hypothesis import given
from hypothesis import strategies as st

from cestle.study.counts import declared_count
from reading import facts


def series(count, **values):
    """Facts of `count` instances; a value that is callable is asked for each."""
    return [
        facts(
            "1.2.3",
            f"1.2.3.{n}",
            **{key: value(n) if callable(value) else value for key, value in values.items()},
        )
        for n in range(count)
    ]


def test_headers_that_say_nothing_declare_nothing():
    assert declared_count(series(5)) is None
    assert declared_count(series(5, ImagesInAcquisition="many")) is None
    assert declared_count(series(5, NumberOfTemporalPositions=1)) is None


def test_each_stated_count_is_believed():
    """A T1 of 160 images of which 120 arrived, stated in each of the ways."""
    for element in ("NumberOfSlices", "ImagesInAcquisition", "NumberOfSeriesRelatedInstances"):
        assert declared_count(series(120, **{element: 160})) == 160, element


def test_images_in_acquisition_counts_for_each_acquisition():
    """Eight saturations of four slices: three acquisitions whole, the fourth begun."""
    begun = series(13, ImagesInAcquisition=4, AcquisitionNumber=lambda n: n // 4 + 1)
    assert declared_count(begun) == 16


def test_a_count_that_the_whole_series_has_is_not_one_of_each_acquisition():
    """Some scanners write the images of the series; a whole series is not short then."""
    whole = series(32, ImagesInAcquisition=32, AcquisitionNumber=lambda n: n // 4 + 1)
    assert declared_count(whole) == 32


def test_every_temporal_position_has_as_many_images_as_the_fullest():
    """Six positions of three slices, of which seven images arrived."""
    arrived = series(7, NumberOfTemporalPositions=6, TemporalPositionIdentifier=lambda n: n // 3)
    assert declared_count(arrived) == 18


def test_a_concatenation_states_its_parts():
    """Two of four parts of one concatenation, and an instance that belongs to none."""
    parts = series(2, ConcatenationUID="1.9", InConcatenationTotalNumber=4)
    alone = facts("1.2.3", "1.2.3.99")
    assert declared_count([*parts, alone]) == 5


@given(order=st.permutations(range(13)), repeats=st.lists(st.integers(0, 12)))
def test_order_and_repeats_change_nothing(order, repeats):
    arrived = series(
        13,
        ImagesInAcquisition=4,
        AcquisitionNumber=lambda n: n // 4,
        NumberOfTemporalPositions=5,
        TemporalPositionIdentifier=lambda n: n % 5,
    )
    shuffled = [arrived[index] for index in [*order, *repeats]]
    assert declared_count(shuffled) == declared_count(arrived) == 16
