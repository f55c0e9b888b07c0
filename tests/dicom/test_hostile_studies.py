"""Studies as an unlucky or hostile world would send them: right numbers, or a clear refusal."""

import re
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset

from cestle.dicom.files import files_below
from cestle.dicom.simulated import RegionObject
from cestle.dicom.study_reader import ReadStudy, read_study
from cestle.errors import HeaderError, InputError, LateralityError
from cestle.phantom.study import SimulatedStudy
from reading import coarse_study, edited, shipped_rules, written


@pytest.fixture(scope="module")
def phantom() -> SimulatedStudy:
    """One noise-free slice."""
    return coarse_study(seed=5)


@pytest.fixture
def folder(phantom, tmp_path) -> Path:
    """A study on disk that a test may spoil."""
    written(phantom, tmp_path / "study")
    return tmp_path / "study"


def objects(folder: Path, series: str) -> list[Path]:
    """The files of one series."""
    return sorted((folder / series).glob("*.dcm"))


def setting(**values: object):
    """A change that sets elements."""

    def change(dataset: Dataset) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # values that break the standard are the point here
            for keyword, value in values.items():
                setattr(dataset, keyword, value)

    return change


def read(folder: Path, **options: object) -> ReadStudy:
    """Read the study with the shipped rules."""
    return read_study(files_below(folder), shipped_rules(), **options)


def why_missing(study: ReadStudy, role: str) -> str:
    """The reason why a role is missing."""
    return dict(study.inputs.missing)[role]


def shifted_in_plane(dataset: Dataset) -> None:
    """Move an image 10 mm along its rows."""
    row = np.array(dataset.ImageOrientationPatient[:3], dtype=float)
    dataset.ImagePositionPatient = list(np.array(dataset.ImagePositionPatient, float) + 10.0 * row)


def test_an_image_with_a_shifted_field_of_view_is_refused(folder):
    """One of eight images 10 mm aside in its own plane is never averaged with the others."""
    edited(objects(folder, "cest")[3], shifted_in_plane)
    reason = why_missing(read(folder), "cest_source")
    assert "10.00 mm apart" in reason


def test_a_shifted_slice_inside_a_stack_is_refused(folder):
    """A T1 with one slice moved 10 mm in its plane is no upright stack."""
    slices = objects(folder, "t1")
    edited(slices[len(slices) // 2], shifted_in_plane)
    assert "shifted against each other" in why_missing(read(folder), "t1_3d")


@pytest.mark.parametrize("spacing", [(1.71875, -1.71875), (-1.71875, 1.71875)])
def test_a_negative_pixel_spacing_never_mirrors_the_patient(folder, spacing):
    """PixelSpacing must be positive (PS3.3 10.7.1.3): a negative one is refused."""
    for series in ("cest", "b0", "b1"):
        for path in objects(folder, series):
            edited(path, setting(PixelSpacing=list(spacing)))
    with pytest.raises(HeaderError, match="PixelSpacing"):
        read(folder)


@pytest.mark.parametrize(
    "rescale",
    [
        {"RescaleIntercept": -500},
        {"RescaleSlope": "nan", "RescaleIntercept": 0},
        {"RescaleSlope": "inf", "RescaleIntercept": 0},
        {"RescaleSlope": 1, "RescaleIntercept": "nan"},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
    ],
)
@pytest.mark.parametrize("series", ["cest", "b1", "t1"])
def test_a_rescale_that_is_no_number_is_never_left_out(folder, series, rescale):
    """A rescale of NaN, infinity or 0, or half a rescale, is refused and never taken as 1 and 0."""
    for path in objects(folder, series):
        edited(path, setting(**rescale))
    with pytest.raises(HeaderError, match="Rescale"):
        read(folder)


LABEL = (0x0065, 0x102D)


def labelled_offset(dataset: Dataset) -> float:
    """The offset in the private label [ppm]."""
    return float(dataset[LABEL].value.split("_")[2].split("ppm")[0])


def test_labels_that_contradict_the_series_name_are_refused(folder):
    """A private label of −3 ppm in a series named +3 ppm leaves the sign open: nothing is read."""
    for path in objects(folder, "cest"):
        edited(path, lambda d: setattr(d, "SeriesDescription", f"GluCEST {-labelled_offset(d)}ppm"))
    assert "one offset was expected" in why_missing(read(folder), "cest_source")


def test_a_protocol_name_with_a_number_contradicts_nothing(folder):
    """One number in all images is the name of the protocol."""
    for path in objects(folder, "cest"):
        edited(path, setting(ProtocolName="GluCEST 3.0ppm"))
    assert read(folder).inputs.saturation is not None


def test_labels_in_hertz_are_read_by_the_frequency_of_the_header(folder):
    """−632.4 Hz at 210.8 MHz is −3 ppm."""

    def in_hertz(dataset: Dataset) -> None:
        hertz = labelled_offset(dataset) * dataset.ImagingFrequency / 1e6
        dataset[LABEL].value = f"fse_glucest_{hertz:+.1f}Hz"

    for path in objects(folder, "cest"):
        edited(path, in_hertz)
    saturation = read(folder).inputs.saturation
    assert saturation is not None
    wanted = [-3.4, -3.0, -3.0, -2.6, 2.6, 3.0, 3.0, 3.4]
    np.testing.assert_allclose(saturation.offsets_ppm, wanted, atol=1e-3)


def test_halves_of_two_scans_are_never_one_acquisition(folder):
    """Five images of one series and three of another are together complete, and are refused."""
    for number, path in enumerate(objects(folder, "cest")):
        edited(path, lambda d: d.pop("NumberOfSlices"))
        if number >= 5:
            edited(path, setting(SeriesInstanceUID="1.2.826.0.1.3680043.8.498.7"))
    assert "never mixed" in why_missing(read(folder), "cest_source")


@pytest.mark.parametrize("series", ["cest", "b0"])
def test_a_new_frequency_adjustment_is_noticed(folder, series):
    """100 Hz between two images of the set, or between map and images, is 0.47 ppm of B0."""
    frequency = 1e6 * 210.8 + 100.0
    edited(objects(folder, series)[0], setting(ImagingFrequency=frequency))
    reason = why_missing(read(folder), {"cest": "cest_source", "b0": "b0_map"}[series])
    assert "210.800100" in reason


def test_a_drift_of_five_hertz_is_no_new_adjustment(folder):
    """5 Hz is 0.02 ppm, within what a scanner follows between series."""
    edited(objects(folder, "b0")[0], setting(ImagingFrequency=1e6 * 210.8 + 5.0))
    assert read(folder).inputs.fields is not None


def test_exchanged_field_maps_are_noticed(folder):
    """A B1 map sent as B0 map lies at 0.47 ppm everywhere, and both are refused."""
    for series, name in (("b0", "B1Map"), ("b1", "B0Map")):
        for path in objects(folder, series):
            edited(path, setting(SeriesDescription=name))
            edited(path, lambda d: d.pop("RealWorldValueMappingSequence", None))
            edited(path, lambda d: d.pop("RescaleType", None))
    study = read(folder)
    assert "no B1 map" in why_missing(study, "b0_map")
    assert "relative B1" in why_missing(study, "b1_map")


def test_images_of_two_photometric_interpretations_are_refused(folder):
    """One MONOCHROME1 image among MONOCHROME2 ones may be inverted: nothing is computed."""
    edited(objects(folder, "cest")[2], setting(PhotometricInterpretation="MONOCHROME1"))
    assert "MONOCHROME1" in why_missing(read(folder), "cest_source")


@pytest.mark.parametrize("series", ["cest", "b0", "b1"])
def test_quantities_that_were_compressed_with_loss_are_refused(folder, series):
    """LossyImageCompression 01 says that the values are no longer the scanner's."""
    edited(objects(folder, series)[0], setting(LossyImageCompression="01"))
    with pytest.raises(HeaderError, match="lossy"):
        read(folder)


def test_a_palette_picture_is_no_image(folder):
    """The indices of a colour table are no field."""
    edited(objects(folder, "b1")[0], setting(PhotometricInterpretation="PALETTE COLOR"))
    with pytest.raises(HeaderError, match="colour picture"):
        read(folder)


def test_values_beyond_the_stored_bits_are_never_cut_off(folder):
    """16-bit values under BitsStored 12 would lose their upper bits silently: refused."""
    for path in objects(folder, "cest"):
        edited(path, setting(BitsStored=12, HighBit=11))
    with pytest.raises(HeaderError, match="stored bits"):
        read(folder)


def test_twelve_stored_bits_are_read(folder):
    """Values that fit into 12 bits are read as they are."""

    def narrow(dataset: Dataset) -> None:
        values = (dataset.pixel_array // 16).astype("<u2")
        dataset.PixelData = values.tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11

    before = read(folder).inputs.saturation
    for path in objects(folder, "cest"):
        edited(path, narrow)
    after = read(folder).inputs.saturation
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.signal, before.signal // 16)


# --- regions ---------------------------------------------------------------------------------


def moved_to_the_left(dataset: Dataset) -> None:
    """Move a segmentation 30 mm to the patient's left."""
    for group in dataset.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        position[0] = float(position[0]) + 30.0


def test_a_pair_of_regions_beside_the_head_is_refused(folder):
    """Regions 30 mm off keep their left and right, yet both measure the wrong tissue."""
    edited(objects(folder, "seg_t1")[0], moved_to_the_left)
    study = read(folder)
    assert "to the left of the middle of the head" in why_missing(study, "roi")
    assert study.inputs.regions == ()


@pytest.mark.parametrize("kind", [RegionObject.SEG_ON_T1, RegionObject.STRUCTURE_SET])
def test_without_a_frame_of_reference_no_region_is_laid_over_the_map(phantom, tmp_path, kind):
    """Where no object says in whose coordinates it stands, nothing is matched by chance."""
    for path in written(phantom, tmp_path, regions=(kind,)):
        edited(path, without_frame_of_reference)
    study = read(tmp_path)
    assert "Frame of Reference" in why_missing(study, "roi")
    assert study.inputs.regions == ()


def test_regions_of_another_frame_of_reference_say_so(folder):
    """A segmentation of another examination is named as such, not as one that was never sent."""
    edited(objects(folder, "seg_t1")[0], setting(FrameOfReferenceUID="1.2.826.0.1.3680043.8.498.3"))
    assert "1.2.826.0.1.3680043.8.498.3" in why_missing(read(folder), "roi")


def without_frame_of_reference(dataset: Dataset) -> None:
    """Remove the Frame of Reference wherever it stands."""
    dataset.pop("FrameOfReferenceUID", None)
    dataset.pop("ReferencedFrameOfReferenceSequence", None)
    for item in dataset.get("StructureSetROISequence") or []:
        item.pop("ReferencedFrameOfReferenceUID", None)


def region_file(folder: Path) -> Path:
    """The segmentation, taken out of the study."""
    (inside,) = objects(folder, "seg_t1")
    return inside.rename(folder.parent / "regions.dcm")


def test_a_region_file_of_another_study_is_refused(folder):
    """A segmentation of the same patient's earlier examination is not laid over this one."""
    path = region_file(folder)
    edited(path, setting(StudyInstanceUID="1.2.826.0.1.3680043.8.498.9"))
    with pytest.raises(InputError, match="belongs to study"):
        read(folder, roi_files=(path,))


def test_an_unreadable_region_file_is_never_passed_over(folder):
    """A text file beside a good segmentation is named, not skipped."""
    path = region_file(folder)
    text = folder.parent / "notes.txt"
    text.write_text("left hippocampus", encoding="utf-8")
    with pytest.raises(InputError, match="1 of 2 region files"):
        read(folder, roi_files=(path, text))


def test_an_image_given_as_region_file_is_refused(folder):
    """A map of our own has no regions, whoever made it."""
    path = region_file(folder)
    image = folder.parent / "map.dcm"
    image.write_bytes(objects(folder, "b0")[0].read_bytes())
    edited(image, setting(Manufacturer="cestle"))
    with pytest.raises(InputError, match="SEG, an RTSTRUCT or a label map"):
        read(folder, roi_files=(path, image))


def exchanged(text: str) -> str:
    """A name with L and R, left and right exchanged."""
    words = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "L": "R", "R": "L"}
    pattern = re.compile(r"left|right|Left|Right|(?<![A-Za-z])[LR](?![a-z])")
    return pattern.sub(lambda found: words[found[0]], text)


def test_a_structure_set_with_exchanged_names_stops_the_study(phantom, tmp_path):
    """L_Hippocampus drawn around the right one is refused, never turned round."""
    written(phantom, tmp_path, regions=(RegionObject.STRUCTURE_SET,))

    def exchange(dataset: Dataset) -> None:
        for item in dataset.StructureSetROISequence:
            assert exchanged(item.ROIName) != item.ROIName
            item.ROIName = exchanged(item.ROIName)

    edited(objects(tmp_path, "rtstruct")[0], exchange)
    with pytest.raises(LateralityError, match="swapped"):
        read(tmp_path)


def test_a_mirrored_label_map_stops_the_study(phantom, tmp_path):
    """A label map whose columns run backwards has its left on the right: refused."""
    written(phantom, tmp_path, regions=(RegionObject.LABEL_MAP,))
    path = tmp_path / "labels.nii.gz"
    image = nibabel.load(path)
    mirrored = np.asanyarray(image.dataobj)[::-1]
    nibabel.save(nibabel.Nifti1Image(mirrored, image.affine), path)
    with pytest.raises(LateralityError, match="swapped"):
        read(tmp_path, roi_files=(path,), label_scheme="freesurfer")


def test_both_regions_called_left_are_a_question(folder):
    """Two left hippocampi and no right one: nothing is guessed."""

    def both_left(dataset: Dataset) -> None:
        for item in dataset.SegmentSequence:
            item.SegmentLabel = item.SegmentLabel.replace("Right", "Left")
            for holder in (item, *item.SegmentedPropertyTypeCodeSequence):
                for code in holder.get("SegmentedPropertyTypeModifierCodeSequence") or []:
                    code.CodeValue, code.CodeMeaning = "7771000", "Left"

    edited(objects(folder, "seg_t1")[0], both_left)
    with pytest.raises(InputError, match="two regions for hippocampus_left"):
        read(folder)


# --- what differs inside a set ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("element", "value"), [("RepetitionTime", 5000), ("EchoTime", 60), ("FlipAngle", 60)]
)
def test_images_of_another_protocol_are_never_mixed_in(folder, element, value):
    """One image with another TR, TE or flip angle has another contrast at the same offset."""
    edited(objects(folder, "cest")[1], setting(**{element: value}))
    assert f"differ in {element}" in why_missing(read(folder), "cest_source")


def test_a_ninth_image_is_a_question_of_the_protocol(folder):
    """A third image at −3 ppm fits no acquisition: nothing is averaged."""
    first = objects(folder, "cest")[0]
    ninth = first.with_name("0009.dcm")
    ninth.write_bytes(first.read_bytes())
    edited(ninth, setting(SOPInstanceUID="2.25.9009", InstanceNumber=9))
    assert "was expected" in why_missing(read(folder), "cest_source")


def test_a_picture_with_the_name_of_a_map_is_no_map(folder):
    """A Secondary Capture called B0Map is a picture and changes nothing."""
    path = objects(folder, "b0")[0].with_name("picture.dcm")
    path.write_bytes(objects(folder, "b0")[0].read_bytes())
    capture = "1.2.840.10008.5.1.4.1.1.7"
    edited(path, setting(SOPClassUID=capture, SOPInstanceUID="2.25.9010"))
    study = read(folder)
    assert study.inputs.fields is not None
    roles = {one.facts.sop_instance_uid: one.role for one in study.classified}
    assert roles["2.25.9010"] == "vendor_picture"


def test_private_elements_in_another_block_are_found_by_their_creator(folder):
    """Labels at (0065,112D) under a creator at (0065,0011) are the same labels (PS3.5 7.8.1)."""

    def moved(dataset: Dataset) -> None:
        for element in list(dataset.group_dataset(0x0065)):
            number = 0x11 if element.tag.element == 0x10 else 0x1100 | element.tag.element & 0xFF
            del dataset[element.tag]
            dataset.add_new((0x0065, number), element.VR, element.value)

    for path in objects(folder, "cest"):
        edited(path, moved)
    assert read(folder).inputs.saturation is not None


# --- the patient -----------------------------------------------------------------------------


def test_padding_of_the_patient_id_is_no_other_patient(folder):
    """Trailing spaces of a patient ID mean nothing (PS3.5 6.2, LO)."""
    for path in objects(folder, "b0"):
        edited(path, lambda d: setattr(d, "PatientID", f"{d.PatientID}  "))
    assert read(folder).inputs.fields is not None


def test_equal_ids_of_two_issuers_are_two_patients(folder):
    """The same number from two hospitals stops the reading."""
    for series, issuer in (("cest", "HOSPITAL A"), ("b0", "HOSPITAL B")):
        for path in objects(folder, series):
            edited(path, setting(IssuerOfPatientID=issuer))
    with pytest.raises(InputError, match="2 issuers"):
        read(folder)


def test_a_segmentation_without_issuer_is_this_patients(folder):
    """A workstation that drops the issuer has not changed the patient."""
    for series in ("t1", "cest", "b0", "b1"):
        for path in objects(folder, series):
            edited(path, setting(IssuerOfPatientID="HOSPITAL A"))
    assert len(read(folder).inputs.regions) == 4


def test_patients_without_an_id_are_told_apart_by_name(folder):
    """Without any ID another name is another patient, and the message names neither."""
    for path in (folder).rglob("*.dcm"):
        edited(path, setting(PatientID="", PatientName="Planted^One"))
    edited(objects(folder, "b1")[0], setting(PatientName="Planted^Two"))
    with pytest.raises(InputError, match="2 patients") as fault:
        read(folder)
    assert "Planted" not in str(fault.value)
