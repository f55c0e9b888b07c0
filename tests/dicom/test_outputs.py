"""The objects that go to the PACS, read back independently of the code that wrote them."""

from dataclasses import replace
from datetime import datetime

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.coding import ascii_text
from cestle.dicom.gate import check_sides, object_faults, segment_centroid
from cestle.dicom.identity import OutputIdentity, derive_uid
from cestle.dicom.outputs import build_outputs, build_pictures, write_outputs
from cestle.errors import HeaderError, LateralityError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.study.inputs import ScalarImage
from phantoms import analysis_builder as build
from phantoms.source_builder import source_image, sources

CREATED = datetime(2026, 11, 23, 8, 30, 5)  # noqa: DTZ001  wall clock of the site
TEMPLATES = load_template_set(TemplateFolder.default())
SIDE_CODE = {"7771000": Side.LEFT, "24028007": Side.RIGHT}
STRUCTURE_CODE = {"5366008": Structure.HIPPOCAMPUS, "4958002": Structure.AMYGDALA}


def identity(revision=1, **changes):
    """Identity of a test result set."""
    return OutputIdentity(
        **({"origin": "test", "revision": revision, "created": CREATED} | changes)
    )


def written(folder, analysis, received, **identity_changes):
    """Write the objects of an analysis and read them from disk, by product."""
    made = build_outputs(analysis, received, TEMPLATES, identity(**identity_changes))
    records = write_outputs(made.objects, folder / "dicom")
    found = {}
    for record in records:
        found.setdefault(record.product, []).append(pydicom.dcmread(folder / record.path))
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A whole study with four regions: analysis, objects by product, and folder."""
    folder = tmp_path_factory.mktemp("study")
    analysis = build.usual_analysis()
    return analysis, written(folder, analysis, sources()), folder


def groups_of(report):
    """Measurement groups of a report, as plain containers."""
    container = next(
        item
        for item in report.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "126010"
    )
    return list(container.ContentSequence)


def children(item, code):
    """Direct content items of `item` whose concept name is `code`."""
    return [
        child
        for child in item.ContentSequence
        if child.ConceptNameCodeSequence[0].CodeValue == code
    ]


def number(item):
    """Value of a NUM item at full precision."""
    measured = item.MeasuredValueSequence[0]
    return float(measured.get("FloatingPointValue", measured.NumericValue))


def walk(items):
    """All content items below a sequence."""
    for item in items:
        yield item
        yield from walk(item.get("ContentSequence", []))


def nested_elements(dataset):
    """All elements inside the sequences of a data set."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from item
                yield from nested_elements(item)


def test_objects_come_in_sending_order(study):
    """Map, segmentation, colour page and report are made, and file names sort in that order."""
    _, objects, folder = study
    assert list(objects) == ["glucest_map", "segmentation", "secondary_capture", "report"]
    names = sorted(path.name for path in (folder / "dicom").glob("*.dcm"))
    assert names == [
        "01_glucest_map.dcm",
        "02_segmentation.dcm",
        "03_secondary_capture.dcm",
        "04_report.dcm",
    ]


def test_rescale_and_real_world_values_are_the_map(study):
    """The map in percent comes back alike through the rescale and through the mapping."""
    analysis, objects, _ = study
    image = objects["glucest_map"][0]
    stored = image.pixel_array
    mapping = image.RealWorldValueMappingSequence[0]
    by_mapping = stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    by_rescale = apply_modality_lut(stored, image)
    known = stored != image.PixelPaddingValue
    np.testing.assert_allclose(by_mapping, by_rescale, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(known, analysis.glucest.valid[0])
    error = np.abs(by_mapping - analysis.glucest.percent[0])[known]
    assert error.max() <= 0.005 + 1e-9
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "%"


def test_the_window_spans_the_colour_scale(study):
    """With the stored window, grey rises from black at 5 % to white at 12 %, as the colours do."""
    image = study[1]["glucest_map"][0]
    shown = apply_voi_lut(np.array([5.0, 8.5, 12.0]), image)
    black, middle, white = shown - apply_voi_lut(np.array([-50.0]), image)
    assert black == pytest.approx(0.0, abs=1e-6)
    assert middle / white == pytest.approx(0.5, abs=1e-6)
    assert white == apply_voi_lut(np.array([50.0]), image) - apply_voi_lut(np.array([-50.0]), image)


def test_highdicom_reads_the_map_in_percent(study):
    """Highdicom's own reading of the Real World Value Mapping gives the map."""
    analysis, objects, _ = study
    image = hd.imread(study[2] / "dicom" / "01_glucest_map.dcm")
    values = image.get_frame(1, apply_real_world_transform=True, dtype=np.float64)
    known = analysis.glucest.valid[0]
    np.testing.assert_allclose(values[known], analysis.glucest.percent[0][known], atol=0.0051)
    assert objects["glucest_map"][0].FrameOfReferenceUID == build.FRAME_UID


def test_absurd_contrast_is_padding_and_not_clipped():
    """A contrast beyond what the encoding holds becomes padding, never a plausible number."""
    from dataclasses import replace

    from cestle.dicom.map_image import PADDING, stored_values

    glucest = build.usual_analysis().glucest
    percent = np.where(glucest.valid, 8.0, np.nan)
    percent[0, 64, 64] = -900.0
    stored = stored_values(replace(glucest, percent=percent))
    assert stored[0, 64, 64] == PADDING
    assert stored[0, 64, 65] == 800


def test_geometry_is_copied_to_the_letter(study):
    """Position, orientation and spacing of the map are the very texts of the CEST series."""
    image, source = study[1]["glucest_map"][0], sources()["cest_source"][0]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        assert [str(v) for v in image[keyword].value] == [str(v) for v in source[keyword].value]
    assert float(image.SliceThickness) == 11.0


def test_imaging_frequency_is_in_megahertz(study):
    """A source that states Hz, as UIH does, gives a map that states MHz."""
    assert float(study[1]["glucest_map"][0].ImagingFrequency) == pytest.approx(210.8)


def test_each_slice_is_an_image(tmp_path):
    """A study of three slices gives three map images at the positions of the sources."""
    grid = build.coronal_grid((3, 128, 128))
    objects = written(tmp_path, build.analysis(grid), sources(grid))
    positions = [[float(v) for v in image.ImagePositionPatient] for image in objects["glucest_map"]]
    for index, position in enumerate(positions):
        expected = grid.to_lps(np.array([float(index), 0.0, 0.0]))
        np.testing.assert_allclose(position, expected, atol=1e-5)
    used = [len(image.SourceImageSequence) for image in objects["glucest_map"]]
    assert used == [10, 10, 10]


def test_segments_are_the_regions(study):
    """Each segment holds the region that its structure and side name, to 1/255."""
    analysis, _, folder = study
    segmentation = hd.seg.segread(folder / "dicom" / "02_segmentation.dcm")
    assert segmentation.SegmentationType == "FRACTIONAL"
    assert segmentation.SegmentationFractionalType == "OCCUPANCY"
    by_name = {region.name: region for region in analysis.regions}
    for segment in segmentation.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        modifier = kind.SegmentedPropertyTypeModifierCodeSequence[0]
        structure, side = STRUCTURE_CODE[kind.CodeValue], SIDE_CODE[modifier.CodeValue]
        region = by_name.pop(f"{structure}_{side}")
        volume = segmentation.get_volume(
            segment_numbers=[segment.SegmentNumber], rescale_fractional=True
        )
        # The frames that hold nothing are left out, so the arrays are compared through LPS.
        found = np.argwhere(volume.array[..., 0] > 0)
        lps = volume.map_indices_to_reference(found)
        index = np.rint(region.grid.to_index(lps)).astype(int)
        expected = region.fraction[tuple(index.T)]
        np.testing.assert_allclose(
            volume.array[..., 0][tuple(found.T)], expected, atol=0.5 / 255 + 1e-6
        )
        assert len(found) == np.count_nonzero(np.rint(region.fraction * 255))
    assert by_name == {}


def test_left_segments_lie_at_the_patients_left(study):
    """The centroid of each left segment has positive x in LPS, of each right one negative."""
    segmentation = study[1]["segmentation"][0]
    for segment in segmentation.SegmentSequence:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        side = SIDE_CODE[kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue]
        x = segment_centroid(segmentation, int(segment.SegmentNumber))[0]
        assert (x > 15.0) if side is Side.LEFT else (x < -15.0)


def test_swapped_sides_do_not_leave(study):
    """A segmentation whose side codes are exchanged is refused by the gate."""
    segmentation = pydicom.dcmread(study[2] / "dicom" / "02_segmentation.dcm")
    for segment in segmentation.SegmentSequence:
        modifier = segment.SegmentedPropertyTypeCodeSequence[
            0
        ].SegmentedPropertyTypeModifierCodeSequence[0]
        modifier.CodeValue = "24028007" if modifier.CodeValue == "7771000" else "7771000"
    with pytest.raises(LateralityError, match="left was expected at greater x"):
        check_sides(segmentation)


def test_report_numbers_are_the_results(study):
    """Mean, median, spread, error, voxels and volume of each region stand in the report."""
    analysis, objects, _ = study
    results = analysis.results.glucest.rois
    seen = set()
    for group in groups_of(objects["report"][0]):
        finding = children(group, "121071")[0].ConceptCodeSequence[0].CodeValue
        if finding not in STRUCTURE_CODE:
            continue
        site = children(group, "363698007")[0]
        side = SIDE_CODE[site.ContentSequence[0].ConceptCodeSequence[0].CodeValue]
        name = f"{STRUCTURE_CODE[finding]}_{side}"
        expected = results[name]
        by_derivation = {
            children(item, "121401")[0].ConceptCodeSequence[0].CodeValue: number(item)
            for item in children(group, "GLUCEST")
        }
        assert by_derivation == {
            "373098007": expected.mean,
            "373099004": expected.median,
            "386136009": expected.sd,
        }
        assert number(children(group, "GLUCESTSE")[0]) == expected.standard_error
        assert number(children(group, "NEFFVOXELS")[0]) == expected.voxels
        assert number(children(group, "118565006")[0]) == expected.volume_in_slab_mm3
        seen.add(name)
    assert seen == set(results)


def test_highdicom_reads_the_region_groups(study):
    """Highdicom's reader finds four volume groups, each tied to the segment of its structure."""
    report = hd.sr.srread(study[2] / "dicom" / "04_report.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == 4
    segments = {
        segment.SegmentNumber: segment for segment in study[1]["segmentation"][0].SegmentSequence
    }
    for group in groups:
        (referenced,) = group.referenced_segment.referenced_segment_numbers
        segment = segments[referenced]
        assert segment.TrackingUID == group.tracking_uid
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue == group.finding_type.value
        side = kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue
        assert side == group.finding_sites[0].laterality.value


def test_report_has_index_interval_and_call(study):
    """The asymmetry index stands with error and interval, and the call as a code."""
    analysis, objects, _ = study
    index = analysis.results.asymmetry.indices["dai_glu_h_epi"]
    items = list(walk(objects["report"][0].ContentSequence))

    def first(code):
        return next(i for i in items if i.ConceptNameCodeSequence[0].CodeValue == code)

    assert number(first("DAIGLUHEPI")) == index.value
    assert number(first("DAISE")) == index.standard_error
    comparison = analysis.results.comparison
    assert number(first("DAICOMPARE")) == comparison.indices["dai_glu_h_epi"]
    assert (number(first("DAICILOW")), number(first("DAICIHIGH"))) == index.ci95
    assert number(first("LATSTRENGTH")) == analysis.results.lateralization.margin
    call = first("LATCALL").ConceptCodeSequence[0].CodeValue
    assert SIDE_CODE[call] == analysis.results.lateralization.call == Side.LEFT
    texts = [item.TextValue for item in items if item.ValueType == "TEXT"]
    assert "rule: dai_glu_h_epi > 0.0026" in texts
    assert any("not for diagnosis" in text for text in texts)


def test_no_number_without_a_value(study, tmp_path):
    """Every NUM of a report has exactly one value, also when nothing could be computed."""
    empty = written(tmp_path, build.analysis_without_map(), sources())
    for report in (study[1]["report"][0], empty["report"][0]):
        for item in walk(report.ContentSequence):
            if item.ValueType == "NUM":
                assert len(item.MeasuredValueSequence) == 1
                assert np.isfinite(number(item))


def reason_codes(report):
    """Reason codes of what was not computed."""
    return [
        item.ConceptCodeSequence[0].CodeValue
        for item in walk(report.ContentSequence)
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == "NOTCOMPUTED"
    ]


def test_a_study_without_map_still_reports(tmp_path):
    """Without a map there are a page and a report which give the reason for each region."""
    objects = written(tmp_path, build.analysis_without_map(), sources())
    assert list(objects) == ["secondary_capture", "report"]
    report = objects["report"][0]
    # Four regions, four indices and two of volume, spectroscopy and the composite.
    assert reason_codes(report).count("NODATA") == 12
    texts = [i.TextValue for i in walk(report.ContentSequence) if i.ValueType == "TEXT"]
    assert any("7 of 8 CEST images" in text for text in texts)
    calls = [
        i.ConceptCodeSequence[0].CodeValue
        for i in walk(report.ContentSequence)
        if i.ConceptNameCodeSequence[0].CodeValue == "LATCALL"
    ]
    assert calls == ["82334004"]


def with_hippocampi(volume_mm3, **changes):
    """A study whose hippocampi were drawn as cubes of 1 mm voxels on a T1."""
    side = round(volume_mm3 ** (1 / 3))
    affine = np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    affine[1, 3] = 60.0  # off the plane of the slice
    usual = build.regions(build.coronal_grid())
    fine = Grid(
        shape=(side, side, side),
        affine=affine,
        frame_of_reference_uid=usual[0].grid.frame_of_reference_uid,
        slice_thickness_mm=1.0,
    )
    drawn = tuple(
        replace(one, grid=fine, fraction=np.ones(fine.shape))
        if one.structure is Structure.HIPPOCAMPUS
        else one
        for one in usual
    )
    return build.analysis(regions=drawn, **changes)


def volume_group(report):
    """Codes and values of the group of the volumes, and its comments."""
    for group in groups_of(report):
        numbers = {
            item.ConceptNameCodeSequence[0].CodeValue: item
            for item in group.get("ContentSequence", ())
            if item.ValueType == "NUM"
        }
        if "DAIVOLHEPI" in numbers:
            comments = [i.TextValue for i in group.ContentSequence if i.ValueType == "TEXT"]
            return numbers, comments
    raise AssertionError("no group of the volumes")


def test_the_share_of_the_head_stands_beside_the_volumes(tmp_path):
    """2.744 ml of 1.4 l are 0.196 %; the code of the volume inside says how it was found."""
    analysis = with_hippocampi(2744, intracranial_volume_mm3=1.4e6)
    numbers, comments = volume_group(written(tmp_path, analysis, sources())["report"][0])
    assert number(numbers["ICVATLAS"]) == 1.4e6
    unit = numbers["ICVATLAS"].MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    assert unit.CodeValue == "mm3"
    name = numbers["ICVATLAS"].ConceptNameCodeSequence[0]
    assert name.CodeMeaning == "Intracranial volume by atlas scaling"
    assert number(numbers["VOLH"]) == pytest.approx(0.196)
    assert not any("not computed" in line for line in comments)
    form = analysis.results.to_json()["volumes"]
    assert form["vol_h"] == pytest.approx(0.196)
    assert form["icv_method"] == "atlas scaling"


def test_a_share_that_is_absent_says_why(tmp_path):
    """Volumes and their index stand; the share is named with its reason, without a number."""
    analysis = with_hippocampi(2744, intracranial_reason="the built-in atlas is turned off")
    numbers, comments = volume_group(written(tmp_path, analysis, sources())["report"][0])
    assert not {"ICVATLAS", "VOLH"} & set(numbers)
    assert any(
        "over intracranial volume: not computed, the built-in atlas is turned off" in line
        for line in comments
    )


def test_a_missing_region_has_its_reason_code(tmp_path):
    """A region that was not sent is ROIMISSING, and the index that needs it as well."""
    absent = ((Structure.AMYGDALA, Side.LEFT),)
    report = written(tmp_path, build.analysis(absent=absent), sources())["report"][0]
    # The region, DAI(epi) of the amygdala and the ipsilateral form of it.
    assert reason_codes(report).count("ROIMISSING") == 3


def test_ipsilateral_indices_need_a_stated_side(study, tmp_path):
    """Without a stated onset the index is absent with its code; with one it has the sign of it."""
    assert reason_codes(study[1]["report"][0]).count("SIDEUNKNOWN") == 2
    stated = build.analysis(onset_side=Side.RIGHT)
    report = written(tmp_path, stated, sources())["report"][0]
    items = list(walk(report.ContentSequence))
    values = {
        code: number(next(i for i in items if i.ConceptNameCodeSequence[0].CodeValue == code))
        for code in ("DAIGLUHEPI", "DAIGLUH")
    }
    assert values["DAIGLUH"] == -values["DAIGLUHEPI"]


def test_the_report_is_partial_preliminary_and_unverified(study):
    """Spectroscopy is absent, so the document is PARTIAL, and it says that nothing was sent."""
    report = study[1]["report"][0]
    flags = (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag)
    assert flags == ("PARTIAL", "PRELIMINARY", "UNVERIFIED")
    # Spectroscopy and the composite that needs it.
    assert reason_codes(report) == ["SIDEUNKNOWN"] * 2 + ["NODATA"] * 4


def test_all_reasons_stand_in_the_report(tmp_path):
    """Every reason of the results, also why the scanner's map was used, is a text of the report."""
    analysis = build.vendor_analysis(absent=((Structure.AMYGDALA, Side.LEFT),))
    report = written(tmp_path, analysis, {"cest_map_vendor": sources()["b0_map"]})["report"][0]
    texts = " ".join(i.TextValue for i in walk(report.ContentSequence) if i.ValueType == "TEXT")
    results = analysis.results
    for reason in (*results.reasons, *results.glucest.reasons.values(), *results.mrs.reasons):
        assert ascii_text(reason) in texts


def test_every_referenced_object_is_evidence(study):
    """Each SOP instance that the content names stands in the evidence, and all sources do."""
    report = study[1]["report"][0]
    evidence = {
        item.ReferencedSOPInstanceUID
        for studies in report.CurrentRequestedProcedureEvidenceSequence
        for series in studies.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    named = {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in walk(report.ContentSequence)
        if item.ValueType == "IMAGE"
    }
    received = {d.SOPInstanceUID for datasets in sources().values() for d in datasets}
    assert named | received <= evidence


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", "GBK", "ISO_IR 100", None])
def test_patient_and_study_are_copied_byte_for_byte(tmp_path, charset):
    """Each patient and study attribute has in every object the bytes of the source.

    Trailing spaces are padding in all these value representations (PS3.5 6.2).
    """
    keywords = (
        *("SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID"),
        *("PatientBirthDate", "PatientSex", "PatientAge", "StudyInstanceUID", "StudyDate"),
        *("StudyTime", "AccessionNumber", "StudyID", "StudyDescription"),
        "ReferringPhysicianName",
    )
    source = source_image(build.coronal_grid(), 5, 1, charset=charset)
    expected = {k: _stored(source, k) for k in keywords if k in source}
    objects = written(tmp_path, build.usual_analysis(), sources(charset=charset))
    for path in (tmp_path / "dicom").rglob("*.dcm"):
        found = pydicom.dcmread(path)
        assert {k: _stored(found, k) for k in keywords if k in found} == expected
    assert len(objects) == 4


def _stored(dataset, keyword):
    """Bytes of an element as they stand in the file; pydicom decodes the character set at once."""
    value = dataset.get_item(keyword).value
    if keyword == "SpecificCharacterSet":
        return value
    assert isinstance(value, bytes)
    return value.rstrip(b" \0")


def test_unreadable_dates_are_left_empty(tmp_path):
    """De-identified ``***`` dates do not stop the node, and no object carries them."""
    received = {
        role: tuple(_with_stars(d) for d in datasets) for role, datasets in sources().items()
    }
    for datasets in written(tmp_path, build.usual_analysis(), received).values():
        for dataset in datasets:
            assert dataset.StudyDate == ""
            assert dataset.PatientBirthDate == ""
            assert "PatientAge" not in dataset


@pytest.mark.filterwarnings("ignore:Failed to decode")
def test_a_name_that_cannot_be_copied_is_refused():
    """GBK bytes under a header that declares UTF-8 are refused, not sent as other characters."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    source = source_image(build.coronal_grid(), 5, 1)
    tag, name = Tag("PatientName"), "张^三".encode("gbk")
    source._dict[tag] = RawDataElement(tag, "PN", len(name), name, 0, False, True)
    with pytest.raises(HeaderError, match="does not fit the character set ISO_IR 192"):
        build_outputs(build.usual_analysis(), {"cest_source": (source,)}, TEMPLATES, identity())


def _with_stars(dataset):
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    for keyword, vr in (("StudyDate", "DA"), ("PatientBirthDate", "DA"), ("PatientAge", "AS")):
        tag = Tag(keyword)
        dataset._dict[tag] = RawDataElement(tag, vr, 4, b"*** ", 0, False, True)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "other"),
    [
        ("PatientID", "TLE-0043"),
        ("PatientName", "Wang^Wu"),
        ("PatientBirthDate", "19910101"),
        ("PatientSex", "M"),
        ("StudyInstanceUID", "1.2.3.4"),
        ("AccessionNumber", "B18"),
        ("IssuerOfPatientID", "HUASHAN"),
    ],
)
def test_two_patients_are_refused_without_naming_them(keyword, other):
    """Sources that differ in an identifying attribute give one line without any value of it."""
    received = sources()
    received["b0_map"] = (source_image(build.coronal_grid(), 6, 1, **{keyword: other}),)
    with pytest.raises(HeaderError) as fault:
        build_outputs(build.usual_analysis(), received, TEMPLATES, identity())
    message = str(fault.value)
    assert keyword in message
    for secret in ("TLE-004", "Zhang", "Wang", "1990", "1991", "A17", "B18", "RUIJIN"):
        assert secret not in message


def test_a_missing_patient_id_contradicts_a_filled_one():
    """A source without patient ID does not join those of a patient who has one."""
    received = sources()
    received["roi"] = (source_image(build.coronal_grid(), 8, 1, PatientID=""),)
    with pytest.raises(HeaderError, match="PatientID differs"):
        build_outputs(build.usual_analysis(), received, TEMPLATES, identity())


def test_an_analysis_of_another_study_is_refused():
    """Sources of one study never lend their patient to the results of another."""
    analysis = build.analysis(study_instance_uid="1.2.3.999")
    with pytest.raises(HeaderError, match=r"1\.2\.3\.999"):
        build_outputs(analysis, sources(), TEMPLATES, identity())


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    """Building twice with the same identity gives byte-identical files."""
    for name in ("a", "b"):
        made = build_outputs(build.usual_analysis(), sources(), TEMPLATES, identity())
        write_outputs(made.objects, tmp_path / name)
    for path in (tmp_path / "a").rglob("*.dcm"):
        other = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == other.read_bytes()


def test_a_revision_has_new_uids_and_names_its_predecessor(study, tmp_path):
    """A second revision shares no UID with the first, follows it, and has its own series block."""
    previous = study[2] / "dicom" / "04_report.dcm"
    second = written(
        tmp_path, build.analysis(revision=2), sources(), revision=2, predecessor=previous
    )
    uids = [
        {
            d[k].value
            for ds in objects.values()
            for d in ds
            for k in ("SOPInstanceUID", "SeriesInstanceUID")
        }
        for objects in (study[1], second)
    ]
    assert not uids[0] & uids[1]
    named = second["report"][0].PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    first = study[1]["report"][0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    numbers = [objects["report"][0].SeriesNumber for objects in (study[1], second)]
    assert numbers == [9004, 9014]


def test_a_predecessor_of_another_study_is_refused(study, tmp_path):
    """The report of another study is never named as predecessor."""
    other = pydicom.dcmread(study[2] / "dicom" / "04_report.dcm")
    other.StudyInstanceUID = "1.2.3.4"
    other.save_as(tmp_path / "other.dcm")
    with pytest.raises(HeaderError, match="belongs to study"):
        build_outputs(
            build.analysis(revision=2),
            sources(),
            TEMPLATES,
            identity(2, predecessor=tmp_path / "other.dcm"),
        )


def test_uids_tell_origin_study_revision_and_product_apart():
    """Changing any part gives another UID, at most 64 characters long."""
    parts = ("node", "1.2.3", 1, "report")
    uids = {derive_uid(*parts)}
    for k, other in enumerate(("process", "1.2.4", 2, "page")):
        uids.add(derive_uid(*(other if i == k else part for i, part in enumerate(parts))))
    assert len(uids) == 5
    assert all(pydicom.uid.UID(uid).is_valid and len(uid) <= 64 for uid in uids)


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030"])
def test_text_inside_sequences_is_ascii(tmp_path, charset):
    """No element inside a sequence holds a character beyond ASCII, whatever the reasons say."""
    missing = (("roi", "文件 ROI−左.nii: 2 × 3 voxels ± 1 µT…"),)
    analysis = build.analysis(missing=missing)
    for datasets in written(tmp_path, analysis, sources(charset=charset)).values():
        for dataset in datasets:
            for element in nested_elements(dataset):
                if element.VR not in ("SQ", "OB", "OW"):
                    assert str(element.value).isascii(), element.keyword


def test_the_gate_refuses_nested_text_beyond_ascii(study):
    """An object with Chinese inside a sequence does not pass the gate."""
    image = pydicom.dcmread(study[2] / "dicom" / "01_glucest_map.dcm")
    assert object_faults(image, image) == ()
    image.ContributingEquipmentSequence[0].Manufacturer = "联影"
    assert object_faults(image, image) == ("the nested text of Manufacturer is not ASCII",)


def test_every_object_is_marked_as_research(study):
    """Description, content qualification and comment mark each object."""
    for product, datasets in study[1].items():
        for dataset in datasets:
            assert dataset.ContentQualification == "RESEARCH"
            assert dataset.SeriesDescription.endswith("[RUO]")
            if product in ("glucest_map", "secondary_capture"):
                assert "RESEARCH USE ONLY" in dataset.ImageComments
    assert study[1]["secondary_capture"][0].BurnedInAnnotation == "YES"


def test_the_page_in_the_capture_is_the_png(study):
    """The PNG of the page holds the pixels of the Secondary Capture."""
    from io import BytesIO

    from PIL import Image

    analysis = study[0]
    objects = build_outputs(analysis, sources(), TEMPLATES, identity()).objects
    pictures = dict(build_pictures(analysis, objects, TEMPLATES))
    assert list(pictures) == ["page.png", "glucest_map.png", "b0.png", "b1.png"]
    png = np.asarray(Image.open(BytesIO(pictures["page.png"])))
    np.testing.assert_array_equal(png, study[1]["secondary_capture"][0].pixel_array)


def test_a_study_without_map_has_only_the_page_as_picture():
    """Without a map and fields there is one picture, the page that says why."""
    analysis = build.analysis_without_map()
    objects = build_outputs(analysis, sources(), TEMPLATES, identity()).objects
    assert [name for name, _ in build_pictures(analysis, objects, TEMPLATES)] == ["page.png"]


def test_own_equipment_is_named(study):
    """File meta and contributing equipment name cestle, its templates and the scanner."""
    for datasets in study[1].values():
        for dataset in datasets:
            meta = dataset.file_meta
            assert meta.ImplementationVersionName.startswith("CESTLE_")
            assert meta.ImplementationClassUID.startswith("2.25.")
            scanner, own = dataset.ContributingEquipmentSequence
            assert (scanner.Manufacturer, own.Manufacturer) == ("UIH", "cestle")
            assert TEMPLATES.version in own.ContributionDescription


def test_a_map_in_unknown_units_gives_indices_only(tmp_path):
    """A scanner's map without stated unit gives the indices, but no object that reads percent."""
    grid = build.coronal_grid()
    vendor = ScalarImage(values=build.true_percent(grid) * 100.0, grid=grid, unit_known=False)
    analysis = build.vendor_analysis(vendor_map=vendor)
    objects = written(tmp_path, analysis, {"cest_map_vendor": sources()["b0_map"]})
    assert list(objects) == ["secondary_capture", "report"]
    names = [
        item.ConceptNameCodeSequence[0].CodeValue
        for item in walk(objects["report"][0].ContentSequence)
    ]
    assert "DAIGLUHEPI" in names
    assert "GLUCEST" not in names
