"""The gate before sending: what is wrong is found, and what is found is not sent."""

from dataclasses import replace

import numpy as np
import pydicom
import pytest

from cestle.config.products import PRODUCTS
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom import capture, map_image, report, segmentation
from cestle.dicom.gate import check_sides, object_faults
from cestle.dicom.outputs import build_outputs
from cestle.dicom.self_check import check_report
from cestle.dicom.standard import nested_elements, standard_faults
from cestle.errors import LateralityError, NumericalError
from cestle.measurement import Side, Structure
from cestle.study.results import Status
from phantoms import analysis_builder as build
from phantoms.output_sets import everything, identity
from phantoms.source_builder import sources

SHIPPED = load_template_set(TemplateFolder.default())


def test_every_object_fits_the_tables(whole_set):
    """No object, fallbacks included, lacks a required attribute or has a foreign one."""
    for path in whole_set.all_files():
        assert standard_faults(pydicom.dcmread(path)) == (), path.name


@pytest.mark.parametrize(
    ("product", "keyword", "words"),
    [
        ("glucest_map", "ScanningSequence", "(type 1) is absent"),
        ("glucest_map", "EchoTime", "(type 2) is absent"),
        ("parametric_map", "ContentLabel", "(type 1) is absent"),
        ("segmentation", "SegmentSequence", "(type 1) is absent"),
        ("secondary_capture", "ConversionType", "(type 1) is absent"),
        ("page_frames", "NumberOfFrames", "(type 1) is absent"),
        ("pdf", "MIMETypeOfEncapsulatedDocument", "(type 1) is absent"),
        ("report", "CompletionFlag", "(type 1) is absent"),
        ("key_object", "CurrentRequestedProcedureEvidenceSequence", "(type 1) is absent"),
    ],
)
def test_an_absent_attribute_is_found(whole_set, product, keyword, words):
    """Without an attribute that its module demands, each object has exactly that fault."""
    dataset = whole_set.read(product)
    delattr(dataset, keyword)
    assert standard_faults(dataset) == (f"{keyword} {words}",)


def test_an_empty_and_a_nested_and_a_foreign_attribute_are_found(whole_set):
    """An empty type 1, an absent nested type 1 and an attribute of another object are faults."""
    dataset = whole_set.read("segmentation")
    dataset.ContentLabel = ""
    del dataset.SegmentSequence[0].SegmentLabel
    dataset.EchoTime = "6.5"
    assert set(standard_faults(dataset)) == {
        "ContentLabel (type 1) is empty",
        "SegmentSequence > SegmentLabel (type 1) is absent",
        "EchoTime is no attribute of this object",
    }


def test_a_class_beyond_the_tables_is_a_fault(whole_set):
    """An object of a SOP class that the tables do not hold cannot be called sound."""
    dataset = whole_set.read("report")
    dataset.SOPClassUID = "1.2.3"
    assert "not in the tables" in standard_faults(dataset)[0]


def test_an_object_without_identity_is_a_fault(whole_set):
    """An object without its series number is refused before anything else is looked at."""
    dataset = whole_set.read("report")
    dataset.SeriesNumber = None
    assert object_faults(dataset, dataset) == ("SeriesNumber is absent",)


def test_text_that_a_character_set_cannot_hold_is_a_fault(whole_set):
    """An object read back with another text than it was given is refused."""
    built, written = whole_set.read("glucest_map"), whole_set.read("glucest_map")
    assert object_faults(built, written) == ()
    written.StudyDescription = "????"
    assert object_faults(built, written) == (
        "StudyDescription does not fit the character set of the object",
    )


def broken(monkeypatch, module, function, keyword):
    """Make a builder forget an attribute."""
    whole = getattr(module, function)

    def incomplete(*arguments, **options):
        built = whole(*arguments, **options)
        delattr(built[0] if isinstance(built, list) else built, keyword)
        return built

    monkeypatch.setattr(module, function, incomplete)


CASES = {
    "glucest_map": (map_image, "build_map", "ScanningSequence"),
    "segmentation": (segmentation, "build_segmentation", "ContentLabel"),
    "secondary_capture": (capture, "build_capture", "ConversionType"),
    "report": (report, "build_report", "CompletionFlag"),
}
GONE_WITH = {
    "glucest_map": {"glucest_map", "parametric_map", "segmentation"},
    "report": {"report", "key_object"},
}


@pytest.mark.parametrize("product", list(CASES))
def test_a_faulty_object_is_held_back_and_the_study_says_so(monkeypatch, product):
    """An object that fails the gate is not among those sent, and the results name the reason."""
    broken(monkeypatch, *CASES[product])
    made = build_outputs(build.usual_analysis(), sources(), everything(), identity())
    sent = [item.product for item in made.objects]
    gone = GONE_WITH.get(product, {product}) | {"mrs_page", "segmentation_t1"}
    assert sent == [name for name in PRODUCTS if name not in gone]
    reason = f"the object {product} was not sent: {CASES[product][2]} (type 1) is absent"
    assert any(line.startswith(reason) for line in made.results.reasons)
    assert made.results.status is Status.PARTIAL


def test_the_report_refers_to_nothing_that_was_held_back(monkeypatch):
    """Where the map is held back, the report gives the numbers, the reason and no reference."""
    broken(monkeypatch, *CASES["glucest_map"])
    made = build_outputs(build.usual_analysis(), sources(), everything(), identity())
    document = next(item.dataset for item in made.objects if item.product == "report")
    elements = list(nested_elements(document))
    texts = [element.value for element in elements if element.keyword == "TextValue"]
    assert any(text.startswith("the object glucest_map was not sent") for text in texts)
    assert "GLUCEST" in [one.value for one in elements if one.keyword == "CodeValue"]
    received = {d.SOPInstanceUID for datasets in sources().values() for d in datasets}
    named = {
        instance.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert named == received


def test_a_slice_that_fails_takes_the_map_along(monkeypatch):
    """Of a map of three slices with one faulty slice nothing is sent, not two slices."""
    broken(monkeypatch, *CASES["glucest_map"])
    grid = build.coronal_grid((3, 128, 128))
    made = build_outputs(build.analysis(grid), sources(grid), SHIPPED, identity())
    assert "glucest_map" not in [item.product for item in made.objects]


def swapped(dataset):
    """Exchange the sides that the segments state."""
    for segment in dataset.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        side = kind.SegmentedPropertyTypeModifierCodeSequence[0]
        side.CodeValue = "24028007" if side.CodeValue == "7771000" else "7771000"
    return dataset


def test_exchanged_sides_stop_the_study(monkeypatch):
    """A segmentation with exchanged sides stops the whole study, since no number has a side."""
    whole = segmentation.build_segmentation
    monkeypatch.setattr(segmentation, "build_segmentation", lambda *a: swapped(whole(*a)))
    with pytest.raises(LateralityError, match="left was expected at greater x"):
        build_outputs(build.usual_analysis(), sources(), everything(), identity())


def test_sides_are_held_against_other_structures():
    """A left hippocampus at the right of a right amygdala is found without its counterpart."""
    absent = ((Structure.HIPPOCAMPUS, Side.RIGHT), (Structure.AMYGDALA, Side.LEFT))
    analysis = build.analysis(absent=absent)
    made = build_outputs(analysis, sources(), SHIPPED, identity())
    found = next(item.dataset for item in made.objects if item.product == "segmentation")
    check_sides(found)
    with pytest.raises(LateralityError):
        check_sides(swapped(found))


def against(whole_set, report=None, segments=None, image=None):
    """Run the self-check on the objects of a set, some of them replaced."""
    check_report(
        report or whole_set.read("report"),
        segments or whole_set.read("segmentation"),
        [image or whole_set.read("glucest_map")],
        measured="GLUCEST",
    )


def test_a_sound_set_passes_the_self_check(whole_set):
    """Means of the report are found again in map and segmentation."""
    against(whole_set)


def test_a_report_with_another_side_is_found(whole_set):
    """A report whose groups name other sides than their segments stops the study."""
    with pytest.raises(LateralityError, match="its segment is"):
        against(whole_set, segments=swapped(whole_set.read("segmentation")))


def test_a_mirrored_map_is_found(whole_set):
    """A map that is mirrored against its segmentation gives other means than the report."""
    image = whole_set.read("glucest_map")
    image.PixelData = np.ascontiguousarray(image.pixel_array[:, ::-1]).tobytes()
    with pytest.raises(NumericalError, match="nothing was sent"):
        against(whole_set, image=image)


def test_a_factor_of_a_hundred_is_found(whole_set):
    """A mapping without its slope gives other means than the report."""
    image = whole_set.read("glucest_map")
    image.RealWorldValueMappingSequence[0].RealWorldValueSlope = 1.0
    with pytest.raises(NumericalError, match="the report states a mean of"):
        against(whole_set, image=image)


def test_a_map_of_another_place_is_found(whole_set):
    """A map whose slice is not where the frames of the segmentation are is no match."""
    image = whole_set.read("glucest_map")
    image.ImagePositionPatient = [0.0, 0.0, 500.0]
    with pytest.raises(NumericalError, match="lies in no slice"):
        against(whole_set, image=image)


def test_the_self_check_allows_for_rounding():
    """A noisy map with eroded regions passes, since the tolerance covers what is rounded."""
    analysis = build.analysis(noise=0.03, settings=build.AnalysisSettings(edge_erosion_voxels=1))
    made = build_outputs(analysis, sources(), SHIPPED, identity())
    assert made.results.reasons == analysis.results.reasons


def test_reasons_of_the_gate_do_not_change_the_analysis(monkeypatch):
    """The analysis that was handed in stays as it was; only the results handed back say more."""
    broken(monkeypatch, *CASES["segmentation"])
    analysis = replace(build.usual_analysis())
    before = analysis.results.to_json()
    build_outputs(analysis, sources(), SHIPPED, identity())
    assert analysis.results.to_json() == before
