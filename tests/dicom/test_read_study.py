"""From files to inputs: every variant of the encoding, and what happens to bad input."""

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEGLSLossless, RLELossless

from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.inspection import inspect_files, learn_rules
from cestle.dicom.simulated import B0Unit, B1Unit, CestForm, RegionObject
from cestle.dicom.study_reader import read_study
from cestle.errors import HeaderError, InputError, LateralityError
from cestle.geometry import grid_difference_mm
from cestle.measurement import Side
from cestle.study.roles import Role
from reading import coarse_study, edited, missing_images, shipped_rules, written

RULES_FILE = "classify/uih_jupiter.yaml"


@pytest.fixture(scope="module")
def phantom():
    """One noise-free slice."""
    return coarse_study()


@pytest.fixture(scope="module")
def reference(phantom, tmp_path_factory):
    """The reference encoding on disk."""
    folder = tmp_path_factory.mktemp("reference")
    written(phantom, folder, vendor_map=True)
    return folder


@pytest.fixture
def folder(reference, tmp_path):
    """A copy of the reference study that a test may spoil."""
    shutil.copytree(reference, tmp_path / "study")
    return tmp_path / "study"


def files(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in files_below(folder) if path.suffix == ".dcm")


def read(folder: Path, **options):
    return read_study(files(folder), shipped_rules(), **options)


def missing(study, role: Role) -> str:
    """The one line that says why a role is missing."""
    lines = [text for name, text in study.inputs.missing if name == role.value]
    assert len(lines) == 1, study.inputs.missing
    return lines[0]


def site_rules(tmp_path, *changes: tuple[str, str]):
    """The shipped rules with words replaced, as a site's overlay."""
    folder = TemplateFolder.default()
    text = folder.path(RULES_FILE).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "overlay" / "classify").mkdir(parents=True, exist_ok=True)
    (tmp_path / "overlay" / RULES_FILE).write_text(text, encoding="utf-8")
    return load_rules(TemplateFolder.default(tmp_path / "overlay"))


def expected_signal(phantom):
    """Stored signal by offset, repeats averaged, up to one common scale."""
    offsets = np.round(np.array(phantom.offsets_ppm), 2)
    return {float(o): phantom.signal[offsets == o].mean(axis=0) for o in np.unique(offsets)}


def assert_same_images(study, phantom):
    """Each offset shows its own image: equal to the phantom's up to one scale and rounding."""
    saturation = study.inputs.saturation
    assert saturation is not None, study.inputs.missing
    assert grid_difference_mm(saturation.grid, phantom.cest_grid) < 1e-3
    expected = expected_signal(phantom)
    found = {}
    for offset, image in zip(saturation.offsets_ppm, saturation.signal, strict=True):
        found.setdefault(round(float(offset), 2), []).append(image)
    assert {offset: len(images) for offset, images in found.items()} == {
        -3.4: 1,
        -3.0: 2,
        -2.6: 1,
        2.6: 1,
        3.0: 2,
        3.4: 1,
    }
    scale = np.mean(found[-3.0]) / expected[-3.0].mean()
    for offset, images in found.items():
        error = np.abs(np.mean(images, axis=0) - scale * expected[offset])
        assert error.max() < 1.0 + 1e-3 * scale * expected[offset].max()


@pytest.mark.parametrize("form", list(CestForm))
def test_each_form_of_the_cest_series_gives_the_same_images(phantom, tmp_path, form):
    """Labels, series names, a protocol table and frames lead to the same offsets and images."""
    written(phantom, tmp_path, cest=form, regions=())
    study = read(tmp_path)
    assert_same_images(study, phantom)
    assert study.inputs.saturation.f0_mhz == pytest.approx(210.8, abs=1e-4)


@pytest.mark.parametrize("form", [CestForm.ONE_SERIES, CestForm.UNLABELLED, CestForm.ENHANCED])
def test_several_slices_are_sorted_by_place_not_by_number(tmp_path, form):
    """Slices follow their position along the normal, in the signal and in the field maps."""
    phantom = coarse_study(slices=2, t1_mm=4.0)
    written(phantom, tmp_path, cest=form, regions=())
    study = read(tmp_path)
    assert_same_images(study, phantom)
    error = study.inputs.fields.b0_shift_ppm - phantom.b0_hz / 210.8
    assert np.abs(error).max() < 0.51 / 210.8


def test_the_order_of_files_and_their_numbers_play_no_part(folder):
    """Shuffled files with shuffled instance numbers give bit-identical inputs."""
    before = read(folder).inputs
    generator = np.random.default_rng(3)
    paths = list(files(folder))
    for path in paths:
        edited(path, lambda ds: setattr(ds, "InstanceNumber", str(generator.integers(1, 5))))
    generator.shuffle(paths)
    after = read_study(paths, shipped_rules()).inputs
    np.testing.assert_array_equal(before.saturation.signal, after.saturation.signal)
    np.testing.assert_array_equal(before.anatomy.values, after.anatomy.values)
    for a, b in zip(before.regions, after.regions, strict=True):
        np.testing.assert_array_equal(a.fraction, b.fraction)


def test_field_maps_arrive_in_the_units_of_the_core(reference, phantom):
    """B0 in Hz becomes ppm of the transmitter, B1 in percent becomes 1 = nominal."""
    fields = read(reference).inputs.fields
    assert np.abs(fields.b0_shift_ppm - phantom.b0_hz / 210.8).max() < 0.51 / 210.8
    known = phantom.b1_percent > 1.0
    error = np.abs(fields.relative_b1 - phantom.b1_percent / 100.0)
    assert error[known].max() < 0.0051


@pytest.mark.parametrize(
    ("unit", "configured", "tolerance"),
    [
        (B0Unit.PPM, "ppm", 5.1e-4),
        (B0Unit.PPM_1000, "ppm*1000", 5.1e-4),
        (B0Unit.PPM, "declared", 5.1e-4),
        (B0Unit.HZ, "declared", 0.51 / 210.8),
    ],
)
def test_another_unit_of_b0_is_a_matter_of_the_rule(phantom, tmp_path, unit, configured, tolerance):
    """A map in ppm or ppm times 1000 is read right once the rule says so."""
    written(phantom, tmp_path / "study", b0_unit=unit, regions=())
    rules = site_rules(tmp_path, ("unit: Hz ", f"unit: {configured} "))
    fields = read_study(files(tmp_path / "study"), rules).inputs.fields
    assert np.abs(fields.b0_shift_ppm - phantom.b0_hz / 210.8).max() < tolerance


def test_a_sign_of_the_rule_turns_the_map(reference, tmp_path):
    """With sign −1 every B0 shift changes sign and nothing else."""
    rules = site_rules(tmp_path, ("sign: 1 ", "sign: -1 "))
    turned = read_study(files(reference), rules).inputs.fields.b0_shift_ppm
    np.testing.assert_array_equal(turned, -read(reference).inputs.fields.b0_shift_ppm)


@pytest.mark.parametrize(
    ("unit", "configured"), [(B1Unit.RELATIVE, "relative"), (B1Unit.DEGREE, "degree")]
)
def test_another_unit_of_b1_is_a_matter_of_the_rule(phantom, tmp_path, unit, configured):
    """A relative map and a map of flip angles are read right once the rule says so."""
    written(phantom, tmp_path / "study", b1_unit=unit, regions=())
    nominal = "\n      nominal_flip_deg: 90" if configured == "degree" else ""
    rules = site_rules(tmp_path, ("unit: percent   # percent,", f"unit: {configured}{nominal}  #"))
    fields = read_study(files(tmp_path / "study"), rules).inputs.fields
    known = phantom.b1_percent > 1.0
    error = np.abs(fields.relative_b1 - phantom.b1_percent / 100.0)
    assert error[known].max() < 0.0012


@pytest.mark.parametrize(
    ("encoding", "role", "words"),
    [
        ({"b0_unit": B0Unit.PPM}, Role.B0_MAP, "declares the unit ppm but rule jupiter_b0_map"),
        ({"b0_unit": B0Unit.PPM_1000}, Role.B0_MAP, "The unit of rule jupiter_b0_map is Hz"),
        ({"b1_unit": B1Unit.RELATIVE}, Role.B1_MAP, "The unit of rule jupiter_b1_map is percent"),
    ],
)
def test_a_wrong_unit_is_noticed(phantom, tmp_path, encoding, role, words):
    """A map whose numbers or declaration do not fit the configured unit is not used."""
    written(phantom, tmp_path, regions=(), **encoding)
    assert words in missing(read(tmp_path), role)


def test_ppm_without_a_declared_unit_taken_for_hertz_is_noticed(folder):
    """A map of ±0.3 read as Hz is flatter than any head and is refused."""

    def to_bare_ppm(dataset):
        dataset.RescaleSlope, dataset.RescaleType = "0.001", "US"
        del dataset.RealWorldValueMappingSequence

    for path in (folder / "b0").iterdir():
        edited(path, to_bare_ppm)
    study = read(folder)
    assert "flatter than any head" in missing(study, Role.B0_MAP)
    assert study.inputs.fields is None


def test_the_vendor_map_is_read_in_percent(reference, phantom):
    """The scanner's percent times 100 becomes percent."""
    vendor = read(reference).inputs.vendor_map
    assert vendor.unit_known
    expected = np.clip(phantom.vendor_percent, 0.0, None)
    assert np.abs(vendor.values - expected).max() < 0.0051


def test_the_t1_keeps_its_place_and_its_values(reference, phantom):
    """The T1 volume is the phantom's, at the same points of the patient."""
    anatomy = read(reference).inputs.anatomy
    middle = np.array(anatomy.grid.shape) // 2
    point = anatomy.grid.to_lps(middle.astype(float))
    index = np.rint(phantom.t1_grid.to_index(point)).astype(int)
    assert anatomy.grid.spacing_mm == pytest.approx((4.0, 4.0, 4.0), abs=1e-3)
    scale = anatomy.values.max() / phantom.t1.max()
    truth = scale * phantom.t1[tuple(index)]
    assert anatomy.values[tuple(middle)] == pytest.approx(truth, abs=1.0)


def test_sources_are_the_headers_of_what_was_used(reference):
    """Writers get each object once, by role, without pixels."""
    sources = read(reference).sources
    counts = {role: len(headers) for role, headers in sources.items()}
    assert counts["cest_source"] == 8
    assert counts["b0_map"] == counts["b1_map"] == counts["cest_map_vendor"] == counts["roi"] == 1
    assert all("PixelData" not in header for headers in sources.values() for header in headers)


def test_dicom_beside_other_files_is_read_and_the_others_are_counted(folder):
    """A text file in the folder is left aside with a note, never silently."""
    (folder / "notes.txt").write_text("hello")
    study = read_study(files_below(folder), shipped_rules())
    assert missing_images(study) == []
    assert any("no DICOM objects" in note for note in study.notes)


# --- bad input -----------------------------------------------------------------------------


def test_seven_of_eight_images_are_named(folder):
    """The missing offset stands in the message, and the other inputs are still read."""
    for path in (folder / "cest").iterdir():
        label = pydicom.dcmread(path)[0x0065, 0x102D].value
        if "+3.4" in str(label):
            path.unlink()
        else:
            edited(path, lambda dataset: setattr(dataset, "NumberOfSlices", 7))
    study = read(folder)
    assert study.inputs.saturation is None
    line = missing(study, Role.CEST_SOURCE)
    assert "7 of 8 saturation images" in line
    assert "+3.40 ppm is missing" in line
    assert study.inputs.anatomy is not None


def test_a_declared_count_that_was_not_reached_is_named(folder):
    """(0054,0081) says 8 images, 7 arrived: nothing is computed from them."""
    sorted((folder / "cest").iterdir())[0].unlink()
    assert "7 of 8 images" in missing(read(folder), Role.CEST_SOURCE)


def test_unlabelled_images_of_another_protocol_are_refused(phantom, tmp_path):
    """Without labels the order counts only where the fingerprint fits: TR 5000 does not."""
    written(phantom, tmp_path, cest=CestForm.UNLABELLED, regions=())
    for path in (tmp_path / "cest").iterdir():
        edited(path, lambda dataset: setattr(dataset, "RepetitionTime", "5000"))
    assert "offsets unknown" in missing(read(tmp_path), Role.CEST_SOURCE)


def test_unlabelled_images_that_nothing_orders_are_refused(phantom, tmp_path):
    """Equal times and numbers leave the offsets unknown."""

    def without_order(dataset):
        for name in ("AcquisitionTime", "InstanceNumber", "AcquisitionNumber"):
            if name in dataset:
                delattr(dataset, name)
        if (0x0065, 0x102C) in dataset:
            del dataset[0x0065, 0x102C]

    written(phantom, tmp_path, cest=CestForm.UNLABELLED, regions=())
    for path in (tmp_path / "cest").iterdir():
        edited(path, without_order)
    assert "nothing orders them" in missing(read(tmp_path), Role.CEST_SOURCE)


def test_a_wrong_order_in_the_protocol_table_is_caught_by_the_pixels(phantom, tmp_path):
    """An order that exchanges 2.6 and 3.4 ppm makes the signal fall away from water."""
    written(phantom, tmp_path / "study", cest=CestForm.UNLABELLED, regions=())
    rules = site_rules(
        tmp_path,
        (
            "[-3.0, 3.0, -3.4, 3.4, -2.6, 2.6, -3.0, 3.0]",
            "[-3.0, 3.0, -2.6, 2.6, -3.4, 3.4, -3.0, 3.0]",
        ),
    )
    study = read_study(files(tmp_path / "study"), rules)
    assert "signal falls" in missing(study, Role.CEST_SOURCE)


def test_an_unknown_offset_is_refused(folder):
    """A label of 5 ppm belongs to no accepted acquisition."""
    path = sorted((folder / "cest").iterdir())[0]
    edited(path, lambda ds: setattr(ds[0x0065, 0x102D], "value", "fse_glucest_+5.0ppm"))
    line = missing(read(folder), Role.CEST_SOURCE)
    assert "+5.00" in line
    assert "jupiter_5t_glucest" in line


def test_another_field_strength_is_refused(folder):
    """A frequency of 298 MHz is not a 5T scanner's; the accepted range is named."""
    for path in (folder / "cest").iterdir():
        edited(path, lambda dataset: setattr(dataset, "ImagingFrequency", "298000000"))
    line = missing(read(folder), Role.CEST_SOURCE)
    assert "298.000 MHz" in line
    assert "205 to 216" in line


def test_images_of_different_scale_are_refused(folder):
    """One image with another private scale factor breaks the common scale."""
    path = sorted((folder / "cest").iterdir())[0]

    def rescaled(dataset):
        block = dataset.private_block(0x0065, "Image Private Header", create=True)
        if 0x2F in block:
            block[0x2F].value = 7.0
        else:
            block.add_new(0x2F, "FL", 7.0)

    edited(path, rescaled)
    assert "private scale factor" in missing(read(folder), Role.CEST_SOURCE)


def test_a_map_on_another_matrix_is_refused(folder):
    """A 64×64 B0 map beside 128×128 images is named with both sizes."""

    def shrink(dataset):
        pixels = dataset.pixel_array[::2, ::2]
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PixelSpacing = [2 * float(value) for value in dataset.PixelSpacing]
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()

    for path in (folder / "b0").iterdir():
        edited(path, shrink)
    line = missing(read(folder), Role.B0_MAP)
    assert "64×64" in line
    assert "128×128" in line


def test_a_study_without_a_b0_map_says_so(folder):
    """The missing map is a line, the images are still there."""
    shutil.rmtree(folder / "b0")
    study = read(folder)
    assert study.inputs.fields is None
    assert "no B0 map was found" in missing(study, Role.B0_MAP)
    assert study.inputs.saturation is not None


def test_two_b0_maps_on_one_grid_are_a_question(folder):
    """Two series that could both be the B0 map stop the reading with their UIDs."""
    shutil.copytree(folder / "b0", folder / "b0_again")

    def another(dataset):
        dataset.SeriesInstanceUID = "1.2.999.1"
        dataset.SOPInstanceUID = "1.2.999.1.1"

    for path in (folder / "b0_again").iterdir():
        edited(path, another)
    with pytest.raises(InputError, match=r"2 series could be the B0 map .*1\.2\.999\.1.*which one"):
        read(folder)


def test_two_patients_are_refused_without_their_names(folder):
    """Files of two patients stop the reading; the message names neither."""
    path = sorted((folder / "b1").iterdir())[0]
    edited(path, lambda dataset: setattr(dataset, "PatientID", "PLANTED-ID"))
    with pytest.raises(InputError, match="2 patients") as fault:
        read(folder)
    assert "PLANTED" not in str(fault.value)
    assert "SYNTHETIC" not in str(fault.value)


def test_two_studies_are_refused(folder):
    """Files of two studies stop the reading."""
    path = sorted((folder / "b1").iterdir())[0]
    edited(path, lambda dataset: setattr(dataset, "StudyInstanceUID", "1.2.998"))
    with pytest.raises(InputError, match="2 studies"):
        read(folder)


def test_truncated_pixels_are_refused_with_both_sizes(folder):
    """Half the pixels of one image: bytes found and bytes expected are named."""
    path = sorted((folder / "cest").iterdir())[2]

    def halve(dataset):
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]

    edited(path, halve)
    with pytest.raises(HeaderError, match="truncated: 16384 bytes found, 32768 expected"):
        read(folder)


def test_a_file_cut_short_is_refused(folder):
    """A file that ends inside its pixels is not read as if it were whole."""
    path = sorted((folder / "cest").iterdir())[2]
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(HeaderError, match=r"(truncated|read to its end)"):
        read(folder)


def test_only_a_text_file_is_refused(tmp_path):
    """Without any DICOM object there is one line."""
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match="none of the 1 file"):
        read_study(files_below(tmp_path), shipped_rules())


def test_an_empty_folder_and_no_folder_are_refused(tmp_path):
    """An empty folder, a missing one and a file in its place are told apart from a study."""
    with pytest.raises(InputError, match="the folder is empty"):
        files_below(tmp_path)
    with pytest.raises(InputError, match="nothing was found"):
        files_below(tmp_path / "absent")
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="a file was found"):
        files_below(tmp_path / "file")


def test_a_slice_missing_from_the_t1_is_noticed(folder):
    """A gap in the T1 is a missing line even when no count is declared."""
    paths = sorted((folder / "t1").iterdir())
    paths[len(paths) // 2].unlink()
    for path in paths:
        if path.exists():
            edited(path, lambda dataset: delattr(dataset, "NumberOfSlices"))
    assert "Send the missing slices" in missing(read(folder), Role.T1_3D)


def test_a_repeated_instance_is_read_once(folder, phantom):
    """The same file twice changes nothing but a note."""
    path = sorted((folder / "cest").iterdir())[0]
    shutil.copy(path, folder / "again.dcm")
    study = read(folder)
    assert_same_images(study, phantom)
    assert any("repeat an instance" in note for note in study.notes)


def test_another_object_with_a_used_uid_is_refused(folder):
    """Two different objects under one SOP Instance UID cannot both be right."""
    path = sorted((folder / "cest").iterdir())[0]
    shutil.copy(path, folder / "again.dcm")
    edited(folder / "again.dcm", lambda dataset: setattr(dataset, "ImageComments", "changed"))
    with pytest.raises(InputError, match="two different objects"):
        read(folder)


def test_a_complete_repeat_of_the_scan_is_a_question(folder):
    """Two complete CEST series cannot be told apart by a program."""
    shutil.copytree(folder / "cest", folder / "cest_again")
    for number, path in enumerate(sorted((folder / "cest_again").iterdir())):

        def another(dataset, number=number):
            dataset.SeriesInstanceUID = "1.2.997"
            dataset.SOPInstanceUID = f"1.2.997.{number}"

        edited(path, another)
    with pytest.raises(InputError, match="2 complete CEST series"):
        read(folder)


def test_an_aborted_scan_beside_a_complete_one_is_left_aside(phantom, folder):
    """Three images of an aborted run do not spoil the complete run."""
    (folder / "cest_again").mkdir()
    for number, path in enumerate(sorted((folder / "cest").iterdir())[:3]):
        target = folder / "cest_again" / path.name
        shutil.copy(path, target)

        def another(dataset, number=number):
            dataset.SeriesInstanceUID = "1.2.997"
            dataset.SOPInstanceUID = f"1.2.997.{number}"

        edited(target, another)
    study = read(folder)
    assert_same_images(study, phantom)
    assert any("incomplete CEST series left aside" in note for note in study.notes)


# --- regions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(RegionObject))
def test_every_kind_of_region_object_gives_four_regions_on_their_sides(tmp_path, kind):
    """SEG on T1 or CEST, RTSTRUCT and label map: left at larger x, volumes as drawn."""
    phantom = coarse_study(t1_mm=2.0, matrix=64)
    written(phantom, tmp_path, regions=(kind,))
    label_map = tmp_path / "labels.nii.gz"
    roi_files = (label_map,) if label_map.exists() else ()
    study = read(tmp_path, roi_files=roi_files, label_scheme="freesurfer")
    assert missing_images(study) == []
    regions = {region.name: region for region in study.inputs.regions}
    assert list(regions) == [
        "hippocampus_left",
        "hippocampus_right",
        "amygdala_left",
        "amygdala_right",
    ]
    for structure in ("hippocampus", "amygdala"):
        left = regions[f"{structure}_left"].centroid_lps_mm
        right = regions[f"{structure}_right"].centroid_lps_mm
        assert left[0] > 10.0
        assert right[0] < -10.0
    on_cest = kind is RegionObject.SEG_ON_CEST
    assert (regions["amygdala_left"].grid.shape == phantom.cest_grid.shape) == on_cest


def test_a_bright_left_region_is_measured_as_left(tmp_path):
    """The side of the phantom with the larger regions is the side of the larger volumes."""
    phantom = coarse_study(t1_mm=2.0, matrix=64, left_radius_factor=1.2)
    written(phantom, tmp_path)
    regions = {region.name: region for region in read(tmp_path).inputs.regions}
    ratio = regions["hippocampus_left"].volume_mm3 / regions["hippocampus_right"].volume_mm3
    assert ratio == pytest.approx(1.44, rel=0.1)


def test_swapped_sides_stop_the_study(folder):
    """A segmentation whose left is right of its right is refused, never swapped."""

    def swap(dataset):
        for item in dataset.SegmentSequence:
            for holder in (
                item,
                *item.SegmentedPropertyTypeCodeSequence,
                *(item.get("AnatomicRegionSequence") or []),
            ):
                for name in (
                    "SegmentedPropertyTypeModifierCodeSequence",
                    "AnatomicRegionModifierSequence",
                ):
                    for code in holder.get(name) or []:
                        left = code.CodeValue == "7771000"
                        code.CodeValue = "24028007" if left else "7771000"
                        code.CodeMeaning = "Right" if left else "Left"
            for name in ("SegmentLabel", "SegmentDescription"):
                if name in item:
                    text = str(item[name].value)
                    text = text.replace("eft", "#").replace("ight", "eft").replace("#", "ight")
                    text = text.replace("Light", "Right").replace("Reft", "Left")
                    item[name].value = text.replace("light", "right").replace("reft", "left")

    for path in (folder / "seg_t1").iterdir():
        edited(path, swap)
    with pytest.raises(LateralityError, match="left and right may be swapped"):
        read(folder)


def test_a_code_that_contradicts_the_name_stops_the_study(folder):
    """A segment coded left and named right is refused."""

    def rename(dataset):
        for item in dataset.SegmentSequence:
            item.SegmentLabel = "Right hippocampus"

    for path in (folder / "seg_t1").iterdir():
        edited(path, rename)
    with pytest.raises(LateralityError, match="different sides"):
        read(folder)


def test_a_region_file_of_another_patient_is_refused(folder, tmp_path):
    """A segmentation with another patient ID is not laid over this patient."""
    (source,) = (folder / "seg_t1").iterdir()
    other = tmp_path / "other.dcm"
    shutil.move(source, other)
    edited(other, lambda dataset: setattr(dataset, "PatientID", "PLANTED-ID"))
    with pytest.raises(InputError, match="another patient") as fault:
        read(folder, roi_files=(other,))
    assert "PLANTED" not in str(fault.value)


def test_a_label_map_without_a_scheme_is_refused(phantom, tmp_path):
    """Numbers alone do not say what a label means."""
    written(phantom, tmp_path, regions=(RegionObject.LABEL_MAP,))
    study = read(tmp_path, roi_files=(tmp_path / "labels.nii.gz",))
    assert "does not say which numbers" in missing(study, Role.ROI)


def test_a_json_file_beside_a_label_map_names_its_scheme(tmp_path):
    """The scheme in the JSON file is used without an option."""
    phantom = coarse_study(t1_mm=2.0, matrix=64)
    written(phantom, tmp_path, regions=(RegionObject.LABEL_MAP,))
    (tmp_path / "labels.json").write_text('{"label_scheme": "freesurfer"}')
    study = read(tmp_path, roi_files=(tmp_path / "labels.nii.gz",))
    assert len(study.inputs.regions) == 4


def test_the_known_side_of_onset_is_passed_on_untouched(reference):
    """The reader neither invents nor changes the side of onset."""
    assert read(reference).inputs.onset_side is None
    assert read(reference, onset_side=Side.LEFT).inputs.onset_side is Side.LEFT


# --- inspection ------------------------------------------------------------------------------


def test_rules_learned_from_a_study_read_that_study(reference, phantom, tmp_path):
    """A draft that replaces the shipped Jupiter rules gives the same images and offsets."""
    text = learn_rules(files(reference), shipped_rules())
    (tmp_path / "classify").mkdir()
    (tmp_path / RULES_FILE).write_text(text, encoding="utf-8")
    learned = load_rules(TemplateFolder.default(tmp_path))
    assert all(not rule.name.startswith("jupiter") for rule in learned.rules)
    study = read_study(files(reference), learned)
    assert missing_images(study) == []
    assert_same_images(study, phantom)
    (acquisition,) = next(rule for rule in learned.rules if rule.acquisitions).acquisitions
    assert acquisition.offsets_ppm == (-3.0, 3.0, -3.4, 3.4, -2.6, 2.6, -3.0, 3.0)


def test_inspection_names_the_label_and_never_the_patient(phantom, tmp_path):
    """The element that varies with the offset is listed; the planted name and ID are not."""
    written(phantom, tmp_path, patient_name="Planted^Person", patient_id="PLANTED-4711")
    report = inspect_files(files(tmp_path), shipped_rules())
    text = (
        report.to_text()
        + json.dumps(report.to_json())
        + learn_rules(files(tmp_path), shipped_rules())
    )
    assert "lanted" not in text
    assert "PLANTED" not in text
    cest = next(one for one in report.series if one.description == "GluCEST")
    varying = {one.element: one.distinct for one in cest.varying}
    assert varying["(0065,2D)|Image Private Header"] == 8


def test_voxels_at_the_ceiling_of_the_file_are_counted(folder):
    """With twelve stored bits the voxels that stand at 4095 are clipped; with sixteen none is."""
    assert read(folder).inputs.saturation.clipped_share == 0.0

    def cut(dataset):
        pixels = dataset.pixel_array.astype(float)
        cut_off = np.minimum(pixels * 4095.0 / np.percentile(pixels, 99.0), 4095.0)
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = cut_off.astype("<u2").tobytes()

    for path in (folder / "cest").iterdir():
        edited(path, cut)
    # of all voxels 1 % are cut; those with signal are a part of them
    share = read(folder).inputs.saturation.clipped_share
    assert 0.01 < share < 0.06


# --- damaged and compressed files --------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_losslessly_compressed_images_are_the_same_images(folder, phantom, syntax):
    """Images that a PACS stored as RLE or lossless JPEG-LS give the same signal."""
    for path in (folder / "cest").iterdir():
        edited(path, lambda dataset: dataset.compress(syntax))
    assert_same_images(read(folder), phantom)


def test_damaged_headers_end_in_one_line_or_are_survived(folder):
    """Random bytes in a header never raise anything but an error with a message."""
    generator = np.random.default_rng(11)
    used = [path for path in files(folder) if path.parent.name != "t1"]
    refusals = []
    for _ in range(40):
        victim = used[generator.integers(len(used))]
        content = bytearray(victim.read_bytes())
        for place in generator.integers(132, 2600, size=3):
            content[place] = generator.integers(256)
        damaged = folder / "damaged.dcm"
        damaged.write_bytes(bytes(content))
        try:
            read_study([damaged if path == victim else path for path in used], shipped_rules())
        except InputError as fault:
            refusals.append(str(fault))
    assert 0 < len(refusals) < 40
    assert all(text and "\n" not in text for text in refusals)
