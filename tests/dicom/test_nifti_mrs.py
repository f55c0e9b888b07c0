"""NIfTI-MRS files, made with nibabel as the format describes them (doi:10.1002/mrm.29418)."""

import json
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
from nibabel.nifti1 import Nifti1Extension

from cestle.dicom.files import files_below
from cestle.dicom.nifti_mrs import is_nifti_mrs, read_nifti_mrs
from cestle.dicom.study_reader import read_study
from cestle.errors import HeaderError, InputError, ProtocolError
from cestle.mrs.series import EditState
from phantoms.spectroscopy_builder import noise, uih_mega
from reading import coarse_study, missing_images, shipped_rules, written

ON, OFF = EditState.ON, EditState.OFF
POINTS = 1024
META = {
    "SpectrometerFrequency": [210.8],
    "ResonantNucleus": ["1H"],
    "EchoTime": 0.072,
    "RepetitionTime": 3.0,
    "Manufacturer": "UIH",
    "ManufacturersModelName": "uMR Jupiter",
    "SequenceName": "svs_mega",
    "EditPulse": {"ON": {"PulseOffset": 1.9}, "OFF": {"PulseOffset": 7.5}},
}
EDITED = {"dim_5": "DIM_EDIT", "dim_5_header": {"EditCondition": ["ON", "OFF"]}}
AFFINE = np.array([[20.0, 0, 0, -30.0], [0, 30.0, 0, 12.0], [0, 0, 15.0, -7.0], [0, 0, 0, 1]])


def save(path, data, *, dwell=5e-4, unit="sec", affine=AFFINE, code=1, extension=None, **meta):
    """Write a NIfTI-MRS file; a meta value None removes a key."""
    image = nibabel.Nifti2Image(np.asarray(data), affine)
    image.header["intent_name"] = b"mrs_v0_9"
    image.header.set_xyzt_units("mm", unit)
    image.set_qform(affine, code)
    image.set_sform(affine, 0)
    image.header["pixdim"][4] = dwell
    content = {key: value for key, value in (META | meta).items() if value is not None}
    raw = json.dumps(content).encode() if extension is None else extension
    if raw:
        image.header.extensions.append(Nifti1Extension(44, raw))
    nibabel.save(image, path)
    return path


def edited(*fids):
    """Data of one FID for each state, shape (1, 1, 1, point, 2)."""
    return np.stack(fids, axis=-1)[None, None, None].astype(np.complex64)


PAIR = edited(noise(1), noise(2))


def test_a_pair_of_averages_is_conjugated_and_labelled(tmp_path):
    """NIfTI-MRS turns the other way than DICOM, so imaginary parts change sign, and no more."""
    spectra = read_nifti_mrs(save(tmp_path / "a.nii.gz", PAIR, **EDITED))
    series = spectra.reading.series
    np.testing.assert_array_equal(series.fids[:, 0], np.stack([noise(1).conj(), noise(2).conj()]))
    assert series.labels == (ON, OFF)
    assert series.averaged
    assert spectra.water_suppressed


def test_a_line_upfield_of_water_lies_upfield_after_reading(tmp_path):
    """At +567 Hz, where NIfTI-MRS has NAA at 5T, is 2.01 ppm on the axis 4.7 + f / f0."""
    hertz = (4.7 - 2.01) * 210.8
    line = np.exp(2j * np.pi * hertz * 5e-4 * np.arange(POINTS))
    path = save(tmp_path / "a.nii.gz", edited(line, line), **EDITED)
    series = read_nifti_mrs(path).reading.series
    spectrum = np.abs(np.fft.fft(series.fids[0, 0]))
    found = np.fft.fftfreq(POINTS, series.protocol.dwell_s)[spectrum.argmax()]
    ppm = series.protocol.transmitter_ppm + found / series.protocol.frequency_mhz
    assert ppm == pytest.approx(2.01, abs=0.005)


@pytest.mark.parametrize(
    "tags",
    [
        ("DIM_COIL", "DIM_DYN", "DIM_EDIT"),
        ("DIM_EDIT", "DIM_DYN", "DIM_COIL"),
        ("DIM_DYN", "DIM_EDIT", "DIM_COIL"),
    ],
)
def test_states_alternate_in_time_whatever_the_order_of_the_axes(tmp_path, tags):
    """Dynamic 0 ON, dynamic 0 OFF, dynamic 1 ON, …: three coils and two dynamics."""
    sizes = {"DIM_COIL": 3, "DIM_DYN": 2, "DIM_EDIT": 2}
    shape = tuple(sizes[tag] for tag in tags)
    data = np.empty((1, 1, 1, POINTS, *shape), dtype=np.complex64)
    for index in np.ndindex(shape):
        where = dict(zip(tags, index, strict=True))
        code = 100 * where["DIM_DYN"] + 10 * where["DIM_EDIT"] + where["DIM_COIL"]
        data[(0, 0, 0, slice(None), *index)] = noise(code)
    meta = {f"dim_{n}": tag for n, tag in enumerate(tags, start=5)}
    meta[f"dim_{5 + tags.index('DIM_EDIT')}_header"] = {"EditCondition": ["OFF", "ON"]}
    series = read_nifti_mrs(save(tmp_path / "a.nii", data, **meta)).reading.series
    assert series.fids.shape == (4, 3, POINTS)
    assert series.labels == (OFF, ON, OFF, ON)
    assert not series.averaged
    for transient, (dynamic, state) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        for coil in range(3):
            expected = noise(100 * dynamic + 10 * state + coil).conj()
            np.testing.assert_array_equal(series.fids[transient, coil], expected)


def test_the_default_axes_are_coils_then_transients(tmp_path):
    """Without tags the fifth axis holds coils and the sixth transients, unlabelled."""
    data = np.stack([noise(n) for n in range(6)], axis=-1).reshape(1, 1, 1, POINTS, 2, 3)
    series = read_nifti_mrs(save(tmp_path / "a.nii", data)).reading.series
    assert series.fids.shape == (3, 2, POINTS)
    assert series.labels == (None,) * 3
    np.testing.assert_array_equal(series.fids[1, 0], noise(1).conj())


def test_the_header_is_read_in_our_units(tmp_path):
    """Seconds become milliseconds; pulses, frequency and names are kept."""
    protocol = read_nifti_mrs(save(tmp_path / "a.nii", PAIR, **EDITED)).reading.series.protocol
    assert protocol.frequency_mhz == 210.8
    assert protocol.dwell_s == pytest.approx(5e-4)
    assert (protocol.echo_time_ms, protocol.repetition_time_ms) == (72.0, 3000.0)
    assert (protocol.edit_on_ppm, protocol.edit_off_ppm) == (1.9, 7.5)
    assert (protocol.manufacturer, protocol.sequence_name) == ("UIH", "svs_mega")


@pytest.mark.parametrize(("dwell", "unit"), [(0.5, "msec"), (500.0, "usec")])
def test_the_dwell_time_has_the_unit_of_the_file(tmp_path, dwell, unit):
    """Half a millisecond is half a millisecond in any of the three units."""
    path = save(tmp_path / "a.nii", PAIR, dwell=dwell, unit=unit, **EDITED)
    assert read_nifti_mrs(path).reading.series.protocol.dwell_s == pytest.approx(5e-4)


def test_the_voxel_is_turned_into_patient_coordinates(tmp_path):
    """RAS (−30, 12, −7), the centre of the only voxel, is LPS (30, −12, −7): the left side."""
    voxel = read_nifti_mrs(save(tmp_path / "a.nii", PAIR, **EDITED)).reading.series.voxel
    np.testing.assert_allclose(voxel.centre_mm, (30.0, -12.0, -7.0))
    np.testing.assert_allclose(voxel.edges_mm, np.diag([-20.0, -30.0, 15.0]))


@pytest.mark.parametrize(
    ("affine", "code"), [(AFFINE, 0), (np.diag([10000.0, 10000.0, 10000.0, 1.0]), 1)]
)
def test_a_file_without_a_place_has_no_voxel(tmp_path, affine, code):
    """No qform, and the 10 m of an unlocalised axis, are no place; the note says so."""
    path = save(tmp_path / "a.nii", PAIR, affine=affine, code=code, **EDITED)
    reading = read_nifti_mrs(path).reading
    assert reading.series.voxel is None
    assert len(reading.notes) == 1


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (PAIR, {"extension": b""}, "no header extension"),
        (PAIR, {"extension": b"{not json"}, "no JSON text"),
        (PAIR, {"extension": b"[1, 2]"}, "no header extension"),
        (PAIR, {"ResonantNucleus": ["31P"]}, "nucleus 31P"),
        (PAIR, {"ResonantNucleus": None}, "nucleus"),
        (PAIR, {"SpectrometerFrequency": None}, "SpectrometerFrequency of None"),
        (PAIR, {"SpectrometerFrequency": ["210.8"]}, "SpectrometerFrequency"),
        (PAIR, {"SpectrometerFrequency": [2.108e8]}, "SpectrometerFrequency"),
        (PAIR, {"dwell": 0.0}, "dwell time of 0 s"),
        (PAIR, {"dwell": np.nan}, "dwell time of nan"),
        (PAIR, {"dim_5": "DIM_MEAS"}, "DIM_MEAS"),
        (PAIR.real.astype(np.float32), {}, "complex FIDs"),
        (np.repeat(PAIR, 2, axis=0), {}, "single voxel"),
        (PAIR[:, :, :, :512], {}, "512 points"),
        (PAIR * np.nan, {}, "no finite numbers"),
        (PAIR * np.array([1, 0]), {}, "FID of zeros"),
        (np.stack([PAIR, PAIR], -1), {"dim_5": "DIM_EDIT", "dim_6": "DIM_EDIT"}, "at most once"),
    ],
)
def test_a_file_that_does_not_keep_to_the_format_ends_in_one_line(tmp_path, data, options, words):
    """What is missing or impossible is named; nothing is repaired."""
    with np.errstate(invalid="ignore"):
        path = save(tmp_path / "Planted_Person.nii", data, **(EDITED | options))
    with pytest.raises(InputError) as fault:
        read_nifti_mrs(path)
    assert words in str(fault.value)
    assert "\n" not in str(fault.value)
    assert "Planted" not in str(fault.value)


def test_a_truncated_file_is_refused(tmp_path):
    """Half a file is no file."""
    path = save(tmp_path / "a.nii", PAIR, **EDITED)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(HeaderError, match="cannot be read"):
        read_nifti_mrs(path)


def test_only_the_intent_makes_a_file_nifti_mrs(tmp_path):
    """A label map, a text file and a broken file are something else."""
    assert is_nifti_mrs(save(tmp_path / "a.nii.gz", PAIR, **EDITED))
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)), tmp_path / "b.nii")
    (tmp_path / "c.nii").write_text("hello")
    shutil.copy(tmp_path / "a.nii.gz", tmp_path / "d.txt")
    assert [is_nifti_mrs(tmp_path / name) for name in ("b.nii", "c.nii", "d.txt")] == [False] * 3


# --- in a study ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A study of images on disk."""
    folder = tmp_path_factory.mktemp("images")
    written(coarse_study(), folder)
    return folder


@pytest.fixture
def folder(images, tmp_path):
    """A copy that a test may add files to."""
    return shutil.copytree(images, tmp_path / "study")


def read(folder):
    return read_study(files_below(folder), shipped_rules())


def patient_id(folder):
    """The ID that the images state."""
    return pydicom.dcmread(next((folder / "cest").glob("*.dcm"))).PatientID


def test_a_file_beside_the_images_is_their_spectra(folder):
    """The file is used with its water, and the notes say where it is from."""
    save(folder / "mega.nii.gz", PAIR, PatientID=patient_id(folder), **EDITED)
    save(folder / "water.nii.gz", PAIR[..., :1], WaterSuppressed=False)
    study = read(folder)
    assert study.inputs.mega.labels == (ON, OFF)
    np.testing.assert_array_equal(study.inputs.mega.water[0, 0], noise(1).conj())
    assert any("from a NIfTI-MRS file" in note for note in study.notes)
    assert missing_images(study) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"PatientID": "PLANTED-OTHER"}, "another patient"),
        ({"SpectrometerFrequency": [127.8]}, "CEST series at 210.800 MHz"),
        ({"ResonantNucleus": ["31P"]}, "31P"),
    ],
)
def test_a_file_that_does_not_belong_is_a_line_and_no_more(folder, options, words):
    """Another patient, scanner or nucleus: no spectra, all images."""
    save(folder / "mega.nii.gz", PAIR, **(EDITED | options))
    study = read(folder)
    assert study.inputs.mega is None
    assert words in dict(study.inputs.missing)["mrs_mega"]
    assert "PLANTED" not in dict(study.inputs.missing)["mrs_mega"]
    assert missing_images(study) == []


def test_one_fid_in_a_file_is_no_mega_press(folder):
    """A plain spectrum has no second state."""
    save(folder / "press.nii.gz", PAIR[..., :1])
    assert "holds one FID" in dict(read(folder).inputs.missing)["mrs_mega"]


def test_a_file_beside_dicom_spectra_is_a_question(folder):
    """Which of two acquisitions is meant is not guessed."""
    dataset = uih_mega(PatientID=patient_id(folder))
    dataset.StudyInstanceUID = pydicom.dcmread(
        next((folder / "cest").glob("*.dcm"))
    ).StudyInstanceUID
    dataset.save_as(folder / "mega.dcm", enforce_file_format=True)
    assert read(folder).inputs.mega is not None
    save(folder / "mega.nii.gz", PAIR, **EDITED)
    line = dict(read(folder).inputs.missing)["mrs_mega"]
    assert "2 MEGA-PRESS acquisitions" in line
    assert "a NIfTI-MRS file, voxel at 30, -12, -7 mm, to the left" in line


def test_a_file_alone_is_no_study(tmp_path):
    """Without DICOM nothing names patient and study."""
    save(tmp_path / "mega.nii.gz", PAIR, **EDITED)
    with pytest.raises(InputError, match="no DICOM object"):
        read(tmp_path)


def test_an_unknown_axis_is_named_with_the_known_ones(tmp_path):
    """An axis that is not known is named with those that are."""
    with pytest.raises(ProtocolError, match="DIM_COIL, DIM_DYN, DIM_EDIT"):
        read_nifti_mrs(save(tmp_path / "a.nii", PAIR, dim_5="DIM_USER_0"))
