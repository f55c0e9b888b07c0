"""Spectra in a study: which are analysed, why none is, and that they never stop the images."""

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.inspection import inspect_files, learn_rules
from cestle.dicom.study_reader import ReadStudy, read_study
from cestle.errors import InputError, LateralityError
from cestle.mrs.series import EditState
from cestle.study.roles import Role
from phantoms.spectroscopy_builder import (
    LEFT_BOX,
    frames,
    instances,
    noise,
    packed,
    philips,
    slabs,
    spectrum,
    uih_mega,
)
from reading import coarse_study, edited, missing_images, shared, shipped_rules, written

RIGHT_BOX = ((-40.0, -15.0, -25.0), LEFT_BOX[1])
FIDS = [noise(n) for n in range(4)]
MEGA = Role.MRS_MEGA.value
WATER = Role.MRS_WATER.value
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A study of images on disk."""
    folder = tmp_path_factory.mktemp("images")
    written(coarse_study(), folder)
    return folder


@pytest.fixture
def folder(images, tmp_path) -> Path:
    """A copy of the study that a test may add spectra to."""
    return Path(shutil.copytree(images, tmp_path / "study"))


def add(folder, *datasets, series=None):
    """Put spectra into a study, as its scanner would have sent them."""
    first = pydicom.dcmread(next((folder / "cest").glob("*.dcm")), stop_before_pixels=True)
    place = folder / "spectra"
    place.mkdir(exist_ok=True)
    for dataset in datasets:
        number = len(list(place.iterdir())) + 1
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "FrameOfReferenceUID"):
            setattr(dataset, keyword, first[keyword].value)
        dataset.SOPInstanceUID = f"2.25.77{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesInstanceUID = f"2.25.88{number if series is None else series}"
        dataset.save_as(place / f"{number:03d}.dcm", enforce_file_format=True)


def read(folder, rules=None) -> ReadStudy:
    """Read the study with the shipped rules or others."""
    return read_study(files_below(folder), rules or shipped_rules())


def why(study) -> str:
    """The one line that says why no spectra are there."""
    (line,) = [text for name, text in study.inputs.missing if name == MEGA]
    assert study.inputs.mega is None
    assert "\n" not in line
    return line


def mega(study):
    """The spectra, which must be there."""
    assert study.inputs.mega is not None, study.inputs.missing
    assert MEGA not in dict(study.inputs.missing)
    return study.inputs.mega


def roles(study):
    """Role by SOP Instance UID."""
    return {one.facts.sop_instance_uid: one.role for one in study.classified}


def test_spectra_and_images_are_read_side_by_side(images, folder):
    """The images are bit-identical with and without spectra, and nothing is missing with them."""
    before = read(images).inputs
    add(folder, uih_mega())
    study = read(folder)
    np.testing.assert_array_equal(mega(study).fids[:, 0], np.stack([noise(10), noise(11)]))
    assert mega(study).labels == (EditState.ON, EditState.OFF)
    assert study.inputs.missing == ()
    np.testing.assert_array_equal(study.inputs.saturation.signal, before.saturation.signal)
    assert [str(one.SOPInstanceUID) for one in study.sources[MEGA]] == ["2.25.771"]
    assert any("xx08" in note for note in study.notes)


def test_the_rule_of_the_scanner_adds_its_editing_pulses(folder):
    """No header states 1.9 and 7.5 ppm; the rule for the Jupiter does."""
    add(folder, uih_mega())
    protocol = mega(read(folder)).protocol
    assert (protocol.edit_on_ppm, protocol.edit_off_ppm) == (1.9, 7.5)


def test_a_study_without_spectra_says_so_and_lacks_nothing_else(images):
    """The absent spectra have a line of their own; the images have none."""
    study = read(images)
    assert "no MEGA-PRESS series was found" in why(study)
    assert missing_images(study) == []
    assert MEGA not in study.sources


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: uih_mega(private={0x10: ("OF", packed(noise(1) * np.nan))}), "finite numbers"),
        (lambda: uih_mega(private={0x11: None}, SequenceName="svs_mega"), "without edit-OFF"),
        (lambda: uih_mega(SpectralWidth=0.0), "SpectralWidth"),
        (lambda: uih_mega(TransmitterFrequency=127.8), "127.800 MHz; 205 to 216 MHz"),
        (lambda: frames(FIDS, TransmitterFrequency=127.8), "CEST series at 210.800 MHz"),
        (lambda: frames(FIDS, ResonantNucleus="31P"), "31P"),
        (lambda: frames(FIDS, Rows=8, Columns=8), "single voxel"),
    ],
)
def test_unusable_spectra_never_stop_the_images(folder, made, words):
    """A fault of the spectra is one line; images, fields and regions are all there."""
    add(folder, made())
    study = read(folder)
    assert words in why(study)
    assert missing_images(study) == []
    assert study.inputs.saturation is not None
    assert study.inputs.fields is not None
    assert len(study.inputs.regions) == 4
    assert len(study.sources[MEGA]) == 1  # the report can still name what it could not use


def test_one_voxel_on_each_side_is_a_question(folder):
    """Two acquisitions are named with their sides, none is chosen, and the images are read."""
    add(folder, uih_mega(1), uih_mega(2, box=RIGHT_BOX))
    study = read(folder)
    line = why(study)
    assert "2 MEGA-PRESS acquisitions" in line
    assert "30, 0, -17.5 mm, to the left" in line
    assert "-30, 0, -17.5 mm, to the right" in line
    assert study.inputs.saturation is not None


def test_a_rule_of_the_site_answers_the_question(folder, tmp_path):
    """A series that a rule ignores is no candidate, so the other one is analysed."""
    add(
        folder,
        uih_mega(1, SeriesDescription="MEGA left"),
        uih_mega(2, box=RIGHT_BOX, SeriesDescription="MEGA right"),
    )
    (tmp_path / "classify").mkdir()
    (tmp_path / "classify" / "site.yaml").write_text(
        "order: 1\nrules:\n  - name: not_the_left_voxel\n    role: ignored\n"
        "    when: [{element: SeriesDescription, equals: MEGA left}]\n",
        encoding="utf-8",
    )
    study = read(folder, load_rules(TemplateFolder.default(tmp_path)))
    assert mega(study).voxel.centre_mm[0] == -30.0
    assert [one.SeriesDescription for one in study.sources[MEGA]] == ["MEGA right"]


def test_a_repeat_of_one_voxel_is_a_question_too(folder):
    """The newest of two equal acquisitions is not better than the other."""
    add(folder, uih_mega(1), uih_mega(2))
    assert "which one is to be analysed" in why(read(folder))


def test_an_unusable_run_beside_a_good_one_is_left_aside(folder):
    """An aborted run is named in the notes, and the complete one is analysed."""
    add(folder, *instances([noise(1), noise(2), 0 * noise(3)]), series=50)
    add(folder, *instances(FIDS), series=51)
    study = read(folder)
    assert mega(study).fids.shape[0] == 4
    assert any("left aside" in note and "zeros" in note for note in study.notes)
    assert len(study.sources[MEGA]) == 4


def test_a_difference_beside_both_states_is_not_needed(folder):
    """The acquisition with both states is analysed, not the difference alone."""
    add(folder, uih_mega(1), uih_mega(2, private={0x10: None, 0x11: None}))
    assert mega(read(folder)).fids.shape[0] == 2


def test_transients_of_one_series_are_one_acquisition(folder):
    """Objects are joined by their series, whatever their files are called."""
    objects = instances(FIDS)
    add(folder, *objects[::-1], series=50)
    found = mega(read(folder))
    np.testing.assert_array_equal(found.fids[:, 0], np.stack(FIDS))


def test_a_series_with_a_gap_is_not_analysed(folder):
    """A transient that did not arrive is named; the rest is no acquisition."""
    objects = instances(FIDS)
    add(folder, *objects[:2], objects[3], series=50)
    assert "1 between them did not arrive" in why(read(folder))


def test_frames_of_philips_are_recognised_by_their_mark(folder):
    """(2005,1597) Y makes MEGA-PRESS of a series whose name says nothing."""
    marks = ["ON", "OFF", "ON", "water"]
    add(folder, philips(FIDS, marks, SeriesDescription="HYP"))
    found = mega(read(folder))
    assert found.labels == (EditState.ON, EditState.OFF, EditState.ON)
    assert found.water.shape[0] == 1


@pytest.mark.parametrize(
    "named",
    [
        {"SeriesDescription": "mega water ref"},
        {"SeriesDescription": "svs_wref_mega"},
        {"WaterReferenceAcquisition": "WATER_REFERENCE"},
    ],
)
def test_a_water_series_is_recognised_and_joined(folder, named):
    """Water of its own is no second candidate, and its objects are sources of their own."""
    add(folder, frames(FIDS), frames([noise(7)], **named))
    study = read(folder)
    np.testing.assert_array_equal(mega(study).water[:, 0], noise(7)[np.newaxis])
    assert roles(study)["2.25.772"] is Role.MRS_WATER
    assert len(study.sources[WATER]) == 1


def test_two_waters_that_fit_are_none(folder):
    """Which of two water series belongs to the spectra is not guessed."""
    waters = [frames([noise(n)], SeriesDescription="water ref") for n in (7, 8)]
    add(folder, frames(FIDS), *waters)
    study = read(folder)
    assert mega(study).water is None
    assert any("2 water series fit" in note for note in study.notes)
    assert WATER not in study.sources


def test_water_of_the_other_side_is_not_used(folder):
    """Of two water series that of the same voxel is used."""
    far = slabs(centre=(-20.0, -10.0, 5.0))
    waters = [
        frames([noise(7)], SeriesDescription="water ref", VolumeLocalizationSequence=far),
        frames([noise(8)], SeriesDescription="water ref"),
    ]
    add(folder, frames(FIDS), *waters)
    np.testing.assert_array_equal(mega(read(folder)).water[0, 0], noise(8))


# --- what is no input ------------------------------------------------------------------------


@pytest.mark.parametrize("series_name", ["press", "svs_se_30", "omega"])
def test_spectra_that_are_not_edited_are_ignored(folder, series_name):
    """A plain PRESS spectrum is no candidate, and changes nothing."""
    add(folder, frames([noise(1)], SeriesDescription=series_name))
    study = read(folder)
    assert roles(study)["2.25.771"] is Role.IGNORED
    assert "no MEGA-PRESS series was found" in why(study)


def test_pictures_of_spectra_are_no_inputs(folder):
    """REFERENCEIMAGE and SPECTRUM objects are pictures, whatever class they are of."""
    picture = pydicom.dcmread(next((folder / "b0").glob("*.dcm")))
    picture.SeriesDescription = "svs_edit"
    picture.ImageType = ["DERIVED", "SECONDARY", "REFERENCEIMAGE"]
    drawn = spectrum(SOPClassUID=CAPTURE, ImageType=["DERIVED", "SECONDARY", "SPECTRUM"])
    add(folder, picture, drawn)
    study = read(folder)
    assert roles(study)["2.25.771"] is Role.VENDOR_PICTURE
    assert roles(study)["2.25.772"] is Role.VENDOR_PICTURE
    assert missing_images(study) == []


def test_own_spectra_are_never_read_again(folder):
    """An object that names cestle as its maker is an output."""
    add(folder, uih_mega(ManufacturerModelName="cestle"))
    study = read(folder)
    assert roles(study)["2.25.771"] is Role.OWN_OUTPUT
    assert study.inputs.mega is None


@pytest.mark.parametrize(
    ("sop_class", "maker"),
    [("1.3.46.670589.11.0.0.12.1", "Philips"), ("1.3.12.2.1107.5.9.1", "Siemens")],
)
def test_private_classes_are_named_as_not_supported(folder, sop_class, maker):
    """Spectra in a private class are kept and reported in one line."""
    dataset = spectrum(SOPClassUID=sop_class, SeriesDescription="press")
    block = dataset.private_block(0x0029, "SIEMENS CSA NON-IMAGE", create=True)
    block.add_new(0x08, "CS", "SPEC NUM 4")
    add(folder, dataset)
    line = why(read(folder))
    assert f"private class ({maker}, {sop_class})" in line
    assert "not supported" in line


def test_other_private_objects_of_siemens_are_no_spectra(folder):
    """A protocol report in the same private class is not taken for a spectrum."""
    add(folder, spectrum(SOPClassUID="1.3.12.2.1107.5.9.1", SeriesDescription="PhoenixZIPReport"))
    assert "no MEGA-PRESS series was found" in why(read(folder))


def test_a_real_private_spectrum_is_reported():
    """The VD13 file alone is a study without images whose spectrum is not supported."""
    path = shared("mrs-dicom-samples/siemens_vd13_svs30.IMA")
    study = read_study([path], shipped_rules())
    assert "Siemens, 1.3.12.2.1107.5.9.1" in why(study)
    (classified,) = study.classified
    assert "siemens_private_spectrum" in classified.reason


# --- one arm without the other ---------------------------------------------------------------


def test_a_study_of_spectra_alone_is_read(folder):
    """Without any image the spectra are there, and every image is named as missing."""
    add(folder, uih_mega())
    study = read_study(files_below(folder / "spectra"), shipped_rules())
    assert mega(study).fids.shape[0] == 2
    assert study.inputs.saturation is None
    assert {"cest_source", "b0_map", "b1_map", "t1_3d", "roi"} == set(dict(study.inputs.missing))


def test_an_open_question_of_the_images_leaves_the_spectra(folder):
    """Two CEST series stop a study; with usable spectra the question is a line beside them."""
    shutil.copytree(folder / "cest", folder / "cest_again")
    for number, path in enumerate(sorted((folder / "cest_again").iterdir())):

        def another(dataset, number=number):
            dataset.SeriesInstanceUID = "1.2.997"
            dataset.SOPInstanceUID = f"1.2.997.{number}"

        edited(path, another)
    with pytest.raises(InputError, match="2 complete CEST series"):
        read(folder)
    add(folder, uih_mega())
    study = read(folder)
    assert mega(study).fids.shape[0] == 2
    assert study.inputs.saturation is None
    assert "2 complete CEST series" in dict(study.inputs.missing)["cest_source"]
    assert set(study.sources) == {MEGA}


def test_swapped_sides_stop_the_study_even_with_spectra(folder):
    """A contradiction of left and right is no matter of one arm."""
    add(folder, uih_mega())

    def rename(dataset):
        for segment in dataset.SegmentSequence:
            segment.SegmentLabel = "Right hippocampus"

    for path in (folder / "seg_t1").iterdir():
        edited(path, rename)
    with pytest.raises(LateralityError):
        read(folder)


def test_spectra_of_another_patient_stop_the_study(folder):
    """Images of one patient and spectra of another are never one study."""
    add(folder, uih_mega())
    edited(folder / "spectra" / "001.dcm", lambda d: setattr(d, "PatientID", "PLANTED-OTHER"))
    with pytest.raises(InputError, match="2 patients") as fault:
        read(folder)
    assert "PLANTED" not in str(fault.value)


# --- inspection ------------------------------------------------------------------------------


def test_inspection_shows_the_role_of_spectra_with_the_reason(folder):
    """Each series of spectra has its role and the rule that gave it; no FID is listed."""
    add(folder, *instances(FIDS), series=50)
    add(folder, frames([noise(7)], SeriesDescription="water ref"), uih_mega())
    text = inspect_files(files_below(folder), shipped_rules()).to_text()
    assert "mrs_mega (4): rule mega_press_by_description" in text
    assert "mrs_mega (1): rule jupiter_mega_press (" in text
    assert "mrs_water (1): rule water_reference_by_name" in text
    assert "SpectroscopyData" not in text


def test_learned_rules_read_the_same_spectra(folder, tmp_path):
    """A draft keeps role, private marks and pulses of MEGA-PRESS, and loads as it stands."""
    add(folder, uih_mega())
    text = learn_rules(files_below(folder), shipped_rules())
    assert "editing: {f0_range_mhz: [205.0, 216.0], edit_on_ppm: 1.9, edit_off_ppm: 7.5}" in text
    (tmp_path / "classify").mkdir()
    (tmp_path / "classify" / "learned.yaml").write_text(text, encoding="utf-8")
    study = read(folder, load_rules(TemplateFolder.default(tmp_path)))
    assert mega(study).protocol.edit_on_ppm == 1.9
    rule = next(one.rule for one in study.classified if one.role is Role.MRS_MEGA)
    assert rule.name.startswith("draft_")
