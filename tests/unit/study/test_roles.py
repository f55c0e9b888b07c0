"""Rules: operators, first match, own outputs, offsets and order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.study.roles import (
    Condition,
    OffsetExtractor,
    Operator,
    Role,
    Rule,
    RuleSet,
    acquisition_order,
    classify,
    fulfils,
    offset_ppm,
    parse_number,
)
from reading import facts, shipped_rules


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Condition(element="A", operator=Operator.EQUALS, values=("mIxEd",)), True),
        (Condition(element="A", operator=Operator.EQUALS, values=("mix",)), False),
        (Condition(element="A", operator=Operator.REGEX, values=("^mix",)), True),
        (Condition(element="A", operator=Operator.IN, values=("x", "MIXED")), True),
        (Condition(element="N", operator=Operator.EQUALS, values=("6000",)), True),
        (Condition(element="N", operator=Operator.RANGE, low=5999.0, high=6000.0), True),
        (Condition(element="N", operator=Operator.RANGE, high=5999.9), False),
        (Condition(element="A", operator=Operator.RANGE, low=0.0), False),
        (Condition(element="M", operator=Operator.EQUALS, values=("FIELD_MAP",)), True),
        (Condition(element="B", operator=Operator.EXISTS), False),
        (Condition(element="B", operator=Operator.EXISTS, expected=False), True),
        (Condition(element="E", operator=Operator.EXISTS), False),
        (Condition(element="中", operator=Operator.REGEX, values=("海马",)), True),
    ],
)
def test_an_operator_decides_as_documented(condition, expected):
    """Each operator compares decoded text without regard to case, and numbers as numbers."""
    image = facts(A="Mixed", N="6000.0", M=("ORIGINAL", "FIELD_MAP"), E=(), 中="左侧海马")
    assert fulfils(image, condition) is expected


def test_the_first_rule_that_matches_decides():
    """A later rule cannot take an image from an earlier one."""
    condition = Condition(element="A", operator=Operator.EQUALS, values=("x",))
    rules = RuleSet(
        rules=(
            Rule(name="one", role=Role.ROI, conditions=(condition,), source="f"),
            Rule(name="two", role=Role.T1_3D, conditions=(condition,), source="f"),
        )
    )
    found = classify(facts(A="x"), rules)
    assert (found.role, found.rule.name) == (Role.ROI, "one")
    assert "rule one (f): A equals [x]" in found.reason


def test_an_image_without_a_rule_is_ignored_with_a_reason():
    """What no rule names is never guessed."""
    found = classify(facts(SeriesDescription="something"), shipped_rules())
    assert (found.role, found.rule) == (Role.IGNORED, None)
    assert "rules matched" in found.reason


@pytest.mark.parametrize("element", ["Manufacturer", "ManufacturerModelName", "SoftwareVersions"])
def test_our_own_products_are_never_inputs(element):
    """An object that names cestle as its maker is an output even if a rule would take it."""
    image = facts(**{"Manufacturer": "UIH", "SeriesDescription": "B0Map", element: "cestle 0.1"})
    assert classify(image, shipped_rules()).role is Role.OWN_OUTPUT


def test_a_contribution_of_ours_marks_a_map_but_not_a_corrected_segmentation():
    """A segmentation that a person corrected after us comes back as an input."""
    contributor = {"ContributingEquipmentSequence.Manufacturer": ("UIH", "cestle")}
    assert classify(facts(**contributor), shipped_rules()).role is Role.OWN_OUTPUT
    returned = facts(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", **contributor)
    assert classify(returned, shipped_rules()).role is Role.ROI


def test_the_vendor_map_is_no_source_image():
    """GluCEST_Map and GluCEST differ in role although one name begins with the other."""
    rules = shipped_rules()
    source = facts(Manufacturer="UIH", Modality="MR", SeriesDescription="GluCEST -3.0ppm")
    vendor = facts(Manufacturer="UIH", Modality="MR", SeriesDescription="GluCEST_Map")
    assert classify(source, rules).role is Role.CEST_SOURCE
    assert classify(vendor, rules).role is Role.CEST_MAP_VENDOR


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("-3.0", -3.0),
        ("−3.4", -3.4),
        ("+3p0", 3.0),
        ("neg3", -3.0),
        ("minus2.6", -2.6),
        ("pos3,4", 3.4),
        ("3", 3.0),
        ("three", None),
        ("x3", None),
        ("", None),
    ],
)
def test_offsets_are_read_as_technologists_write_them(text, number):
    """Minus signs of any kind, words, p and comma as decimal separators are understood."""
    assert parse_number(text) == number


@given(
    ppm=st.sampled_from([-3.4, -3.0, -2.6, 2.6, 3.0, 3.4]),
    f0_mhz=st.floats(100.0, 400.0),
)
def test_an_offset_in_hertz_is_the_same_offset(ppm, f0_mhz):
    """A label in Hz divided by the transmitter frequency gives the ppm it was made from."""
    extractor = OffsetExtractor(
        element="ImageComments", pattern=r"(?P<offset>[-+]?[\d.]+) ?(?P<unit>ppm|Hz)"
    )
    image = facts(ImageComments=f"sat {ppm * f0_mhz:.4f} Hz")
    found = offset_ppm(image, extractor, f0_mhz=f0_mhz)
    assert found == pytest.approx(ppm, abs=1e-5)
    assert offset_ppm(image, extractor, f0_mhz=None) is None


@given(st.permutations(range(6)))
def test_the_order_of_acquisition_does_not_depend_on_the_order_of_files(order):
    """Shuffled images come out in the order of their acquisition times."""
    images = [facts(AcquisitionTime=f"0930{n:02d}.0", InstanceNumber="1") for n in order]
    key, found = acquisition_order(images)
    assert key == "AcquisitionTime"
    assert [order[index] for index in found] == sorted(order)


def test_equal_times_leave_the_order_unknown():
    """A tie in the most trustworthy element is not settled by a weaker one."""
    images = [facts(AcquisitionTime=time, InstanceNumber=str(n)) for n, time in enumerate("112")]
    assert acquisition_order(images) is None


def test_a_constant_element_orders_nothing_and_is_passed_over():
    """AcquisitionNumber 1 in all images leaves the decision to the next element."""
    images = [facts(AcquisitionNumber="1", InstanceNumber=str(n)) for n in (2, 1)]
    assert acquisition_order(images) == ("InstanceNumber", (1, 0))
