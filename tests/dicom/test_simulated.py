import dataclasses
import filecmp
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from cestle.dicom.simulated import (
    B0Unit,
    B1Unit,
    CestForm,
    EncodingOptions,
    RegionObject,
    write_study,
)
from cestle.errors import ConfigError
from cestle.phantom.head import REGION_LABELS
from phantoms.synthetic import noise_free

CHINESE = "王^小东"
ODD = EncodingOptions(
    cest=CestForm.SERIES_PER_IMAGE,
    b0_unit=B0Unit.PPM,
    b1_unit=B1Unit.DEGREE,
    vendor_map=True,
    regions=tuple(RegionObject),
    character_set="GB18030",
    patient_name=CHINESE,
)
DRAWN_ON_FRAMES = EncodingOptions(cest=CestForm.ENHANCED, regions=(RegionObject.SEG_ON_CEST,))
BARE = {"regions": (), "patient_name": "A^B"}


@pytest.fixture(scope="module")
def study():
    return noise_free()


@pytest.fixture(scope="module")
def reference(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    return folder, write_study(study, folder)


@pytest.fixture(scope="module")
def odd(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    return folder, write_study(study, folder, encoding=ODD)


def read(folder: Path, series: str):
    return [pydicom.dcmread(path) for path in sorted((folder / series).glob("*.dcm"))]


def written(study, folder, **options):
    write_study(study, folder, encoding=EncodingOptions(**{**BARE, **options}))
    return folder


def faults(path: Path) -> list[str]:
    """Error lines of dciodvfy."""
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False)
    lines = (run.stdout + run.stderr).decode("utf-8", errors="replace").splitlines()
    return [line for line in lines if line.startswith("Error")]


needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed"
)


@pytest.mark.peer
@needs_dciodvfy
def test_every_series_passes_dciodvfy(reference, odd, study, tmp_path):
    """Dciodvfy reports no error in the first object of any series, in all four CEST forms."""
    files = [*reference[1], *odd[1]]
    for form in (CestForm.ENHANCED, CestForm.UNLABELLED):
        files += write_study(
            study, tmp_path / form.name, encoding=EncodingOptions(**{**BARE, "cest": form})
        )
    files += write_study(study, tmp_path / "drawn", encoding=DRAWN_ON_FRAMES)
    firsts = {path.parent: path for path in reversed(files)}.values()
    assert {str(path): faults(path) for path in firsts} == {str(path): [] for path in firsts}


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dcentvfy") is None, reason="dcentvfy is not installed")
def test_entities_agree_between_files(reference, odd):
    """No attribute of patient, study or series differs between files, as dcentvfy sees them."""
    for _, files in (reference, odd):
        run = subprocess.run(["dcentvfy", *map(str, files)], capture_output=True, check=False)
        text = (run.stdout + run.stderr).decode("utf-8", errors="replace")
        assert "Error" not in text


@pytest.mark.peer
@needs_dciodvfy
def test_dciodvfy_would_complain(reference, tmp_path):
    """The same validator reports an error when Modality is taken away."""
    dataset = pydicom.dcmread(reference[1][0])
    del dataset.Modality
    dataset.save_as(tmp_path / "broken.dcm")
    assert faults(tmp_path / "broken.dcm")


def test_the_cest_series_is_the_reference_encoding(reference):
    """Eight unscaled 16-bit images of one series carry offset and repeat in (0065,102D)."""
    images = read(reference[0], "cest")
    labels = [image[0x0065, 0x102D].value for image in images]
    assert labels == [
        "fse_glucest_-3.0ppm#1",
        "fse_glucest_+3.0ppm#1",
        "fse_glucest_-3.4ppm",
        "fse_glucest_+3.4ppm",
        "fse_glucest_-2.6ppm",
        "fse_glucest_+2.6ppm",
        "fse_glucest_-3.0ppm#2",
        "fse_glucest_+3.0ppm#2",
    ]
    first = images[0]
    assert first[0x0065, 0x0010].value == "Image Private Header"
    assert first[0x0065, 0x102D].VR == "ST"
    assert "RescaleSlope" not in first
    assert (first.Manufacturer, first.ManufacturerModelName) == ("UIH", "uMR Jupiter")
    assert first.SeriesDescription == "GluCEST"
    assert (first.RepetitionTime, first.EchoTime, first.FlipAngle) == (6000, 6.5, 120)
    assert list(first.PixelSpacing) == [1.71875, 1.71875]
    assert (first.Rows, first.Columns, first.SliceThickness) == (128, 128, 11)
    assert float(first.ImagingFrequency) == 210_800_000.0
    assert len({image.SeriesInstanceUID for image in images}) == 1


def test_images_keep_the_signal(reference, study):
    """Stored pixels are the signal at one scale for all images, to 16-bit rounding."""
    pixels = np.stack([image.pixel_array for image in read(reference[0], "cest")])
    signal = study.signal[:, 0]
    scale = pixels.max() / signal.max()
    assert np.abs(pixels - signal * scale).max() < 1.0
    assert pixels.max() < 65535


def test_counts_frames_and_study_agree(reference):
    """(0054,0081) is the instance count of each series; one study, one frame of reference."""
    folder, files = reference
    datasets = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == 1
    assert len({dataset.FrameOfReferenceUID for dataset in datasets}) == 1
    assert len({dataset.SOPInstanceUID for dataset in datasets}) == len(files)
    for series in ("t1", "cest", "b0", "b1"):
        members = read(folder, series)
        assert {member.NumberOfSlices for member in members} == {len(members)}


@pytest.mark.parametrize("series", ["cest", "t1"])
def test_the_header_places_voxels_where_the_phantom_has_them(reference, study, series):
    """Position + row·Δr·(down) + column·Δc·(along), PS3.3 C.7.6.2.1.1, is the phantom's place."""
    grid = study.cest_grid if series == "cest" else study.t1_grid
    for number, image in enumerate(read(reference[0], series)[:: 8 if series == "cest" else 5]):
        along = np.array(image.ImageOrientationPatient[:3], dtype=float)
        down = np.array(image.ImageOrientationPatient[3:], dtype=float)
        between_rows, between_columns = map(float, image.PixelSpacing)
        corner = np.array(image.ImagePositionPatient, dtype=float)
        found = corner + 30 * between_rows * down + 7 * between_columns * along
        expected = grid.to_lps(np.array([number * (5 if series == "t1" else 8), 30.0, 7.0]))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_b0_map_is_signed_hertz(reference, study):
    """Stored values times the mapping's slope are the field in Hz, to half a hertz."""
    (image,) = read(reference[0], "b0")
    mapping = image.RealWorldValueMappingSequence[0]
    assert image.PixelRepresentation == 1
    assert (image.RescaleSlope, image.RescaleType) == (1, "HZ")
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "Hz"
    assert image.pixel_array.min() < 0 < image.pixel_array.max()
    np.testing.assert_allclose(
        image.pixel_array * mapping.RealWorldValueSlope, study.b0_hz[0], atol=0.5001
    )


@pytest.mark.parametrize(("unit", "ppm_per_step"), [(B0Unit.PPM, 0.001), (B0Unit.PPM_1000, 0.001)])
def test_b0_in_ppm(study, tmp_path, unit, ppm_per_step):
    """Both ppm forms store thousandths; only the first says so in a rescale."""
    (image,) = read(written(study, tmp_path, b0_unit=unit), "b0")
    found = image.pixel_array * ppm_per_step * study.settings.f0_mhz
    np.testing.assert_allclose(found, study.b0_hz[0], atol=0.11)
    assert ("RescaleSlope" in image) == (unit is B0Unit.PPM)


@pytest.mark.parametrize(
    ("unit", "nominal"), [(B1Unit.PERCENT, 100.0), (B1Unit.RELATIVE, 1.0), (B1Unit.DEGREE, 90.0)]
)
def test_b1_in_each_unit(study, tmp_path, unit, nominal):
    """The rescaled B1 map over the unit's nominal value is the relative B1, to 0.6 %."""
    (image,) = read(written(study, tmp_path, b1_unit=unit), "b1")
    found = image.pixel_array * float(image.get("RescaleSlope", 1)) / nominal
    np.testing.assert_allclose(found, study.b1_percent[0] / 100.0, atol=0.006)


def test_the_vendor_map_is_percent_times_100(odd, study):
    """The scanner's map stores 100 times the percent, unsigned."""
    (image,) = read(odd[0], "vendor")
    assert (image.SeriesDescription, image.PixelRepresentation) == ("GluCEST_Map", 0)
    np.testing.assert_allclose(image.pixel_array / 100.0, study.vendor_percent[0], atol=0.0051)


def test_each_image_can_be_a_series(odd):
    """Eight series are named by their offsets and hold no (0065,102D)."""
    images = [read(odd[0], f"cest_{number}")[0] for number in range(1, 9)]
    assert [image.SeriesDescription for image in images[:3]] == [
        "GluCEST -3.0ppm",
        "GluCEST +3.0ppm",
        "GluCEST -3.4ppm",
    ]
    assert len({image.SeriesInstanceUID for image in images}) == 8
    assert all((0x0065, 0x102D) not in image for image in images)


def test_unlabelled_images_say_no_offset(study, tmp_path):
    """Without labels no element of the eight images holds an offset."""
    images = read(written(study, tmp_path, cest=CestForm.UNLABELLED), "cest")
    assert len(images) == 8
    assert all("ppm" not in str(image) for image in images)


def test_several_slices_repeat_positions(tmp_path):
    """Three slices give 24 images at three positions, each with all eight contrasts."""
    study = noise_free(slices=3, slice_mm=4.0, matrix=64, pixel_mm=3.4375)
    images = read(written(study, tmp_path), "cest")
    positions = {tuple(image.ImagePositionPatient) for image in images}
    assert (len(images), len(positions)) == (24, 3)
    for place in positions:
        here = [image for image in images if tuple(image.ImagePositionPatient) == place]
        assert len({image[0x0065, 0x102D].value for image in here}) == 8


def test_the_multi_frame_object_holds_the_same_pixels(reference, study, tmp_path):
    """Frames equal the classic images and carry label and place in their own groups."""
    (image,) = read(written(study, tmp_path, cest=CestForm.ENHANCED), "cest")
    classic = read(reference[0], "cest")
    assert image.NumberOfFrames == 8
    for frame, group, single in zip(
        image.pixel_array, image.PerFrameFunctionalGroupsSequence, classic, strict=True
    ):
        np.testing.assert_array_equal(frame, single.pixel_array)
        assert group[0x0065, 0x102D].value == single[0x0065, 0x102D].value
        place = group.PlanePositionSequence[0].ImagePositionPatient
        assert list(place) == list(single.ImagePositionPatient)


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 192", CHINESE),
        ("GB18030", CHINESE),
        ("GBK", CHINESE),
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 192", "Robert'); DROP TABLE^../../etc"),
    ],
)
def test_names_survive_their_character_set(study, tmp_path, character_set, name):
    """The name comes back as given, and no file or folder is named after it."""
    folder = written(study, tmp_path, character_set=character_set, patient_name=name)
    (image,) = read(folder, "b0")
    assert image.SpecificCharacterSet == character_set
    assert str(image.PatientName) == name
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    assert not any(part in text for part in name.split("^") for text in names)


def test_a_name_that_does_not_fit_is_refused():
    """A Chinese name in ISO_IR 100 is refused without repeating the name."""
    with pytest.raises(ConfigError, match="ISO_IR 100 cannot hold") as caught:
        EncodingOptions(character_set="ISO_IR 100", patient_name=CHINESE)
    assert CHINESE not in str(caught.value)


def test_an_unknown_character_set_is_refused():
    """An unknown character set is refused with the known ones."""
    with pytest.raises(ConfigError, match="ISO_IR 192, GB18030, GBK, ISO_IR 100"):
        EncodingOptions(character_set="ISO_IR 6")


def test_equal_studies_are_equal_files(study, reference, tmp_path):
    """Writing the same study twice gives the same bytes in every file."""
    write_study(study, tmp_path)
    for path in reference[0].rglob("*.*"):
        assert filecmp.cmp(path, tmp_path / path.relative_to(reference[0]), shallow=False), path


def test_a_study_key_makes_a_fresh_study(reference, tmp_path):
    """Another key gives other study, series, instance and frame UIDs, and the same pixels."""
    fresh = written(noise_free(study_key="second"), tmp_path)
    (old,), (new,) = read(reference[0], "b0"), read(fresh, "b0")
    for keyword in (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "FrameOfReferenceUID",
    ):
        assert old[keyword].value != new[keyword].value
        assert len(new[keyword].value) <= 64
    assert old.PixelData == new.PixelData


@pytest.mark.parametrize(("series", "drawn_on"), [("seg_t1", "t1"), ("seg_cest", "cest")])
def test_segments_lie_on_the_coded_side(odd, series, drawn_on):
    """Each segment's laterality code agrees with the sign of its centre in LPS."""
    (seg,) = read(odd[0], series)
    from highdicom.seg import Segmentation

    volumes = Segmentation.from_dataset(seg).get_volume(combine_segments=False)
    sides = {"7771000": 1.0, "24028007": -1.0}
    assert len(seg.SegmentSequence) == 4
    for number, segment in enumerate(seg.SegmentSequence):
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        assert kind.CodeValue in {"5366008", "4958002"}
        side = kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeValue
        centre = np.argwhere(volumes.array[..., number]).mean(axis=0)
        assert sides[side] * (volumes.affine @ [*centre, 1.0])[0] > 20.0
    source = "cest_1" if drawn_on == "cest" else "t1"
    assert seg.FrameOfReferenceUID == read(odd[0], source)[0].FrameOfReferenceUID
    assert seg.StudyInstanceUID == read(odd[0], source)[0].StudyInstanceUID


def test_regions_can_be_drawn_on_a_multi_frame_object(odd, study, tmp_path):
    """A SEG drawn on frames has the pixels and places of one drawn on classic images."""
    write_study(study, tmp_path, encoding=DRAWN_ON_FRAMES)
    (framed,), (classic,) = read(tmp_path, "seg_cest"), read(odd[0], "seg_cest")
    np.testing.assert_array_equal(framed.pixel_array, classic.pixel_array)
    places = [
        [
            list(group.PlanePositionSequence[0].ImagePositionPatient)
            for group in seg.PerFrameFunctionalGroupsSequence
        ]
        for seg in (framed, classic)
    ]
    assert places[0] == places[1]


def test_regions_outside_the_slices_cannot_be_drawn(study, tmp_path):
    """Slices that miss the temporal lobes give a clear error, not an empty SEG."""
    nothing = {name: np.zeros_like(share) for name, share in study.fractions.items()}
    missed = dataclasses.replace(study, fractions=nothing)
    with pytest.raises(ConfigError, match="there is nothing to draw"):
        write_study(missed, tmp_path, encoding=DRAWN_ON_FRAMES)


def test_segments_hold_the_labelled_voxels(reference, study):
    """The SEG on the T1 has exactly as many voxels of each region as the label volume."""
    (seg,) = read(reference[0], "seg_t1")
    counts = np.zeros(5, dtype=int)
    for frame, group in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        counts[number] += np.count_nonzero(frame)
    expected = [np.count_nonzero(study.t1_labels == label) for label in REGION_LABELS.values()]
    assert counts[1:].tolist() == expected


def test_contours_enclose_the_labelled_voxels(odd, study):
    """The area of the contours times the slice distance is the region's volume within 5 %."""
    (structures,) = read(odd[0], "rtstruct")
    names = [roi.ROIName for roi in structures.StructureSetROISequence]
    assert names == ["L_Hippocampus", "R_Hippocampus", "L_Amygdala", "R_Amygdala"]
    for roi, label in zip(structures.ROIContourSequence, REGION_LABELS.values(), strict=True):
        area = 0.0
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert np.ptp(points[:, 0]) < 1e-6  # the T1 is sagittal
            y, z = points[:, 1], points[:, 2]
            area += 0.5 * abs(np.sum(y * np.roll(z, -1) - z * np.roll(y, -1)))
        volume = np.count_nonzero(study.t1_labels == label) * study.t1_grid.voxel_volume_mm3
        assert area * study.settings.t1_mm == pytest.approx(volume, rel=0.05)


def test_the_label_map_is_in_ras(odd):
    """FreeSurfer's 17 and 18 lie at negative x of NIfTI's RAS, 53 and 54 at positive x."""
    image = nibabel.load(odd[0] / "labels.nii.gz")
    values = np.asarray(image.dataobj)
    assert set(np.unique(values)) == {0, 17, 18, 53, 54}
    assert int(image.header["sform_code"]) == int(image.header["qform_code"]) == 1
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    for number, sign in ((17, -1.0), (18, -1.0), (53, 1.0), (54, 1.0)):
        centre = np.argwhere(values == number).mean(axis=0)
        assert sign * (image.affine @ [*centre, 1.0])[0] > 20.0
