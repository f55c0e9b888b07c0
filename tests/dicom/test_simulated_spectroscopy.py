import json
import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.dicom.simulated import EncodingOptions, SpectroscopyForm, as_stored, write_study
from cestle.dicom.simulated.spectroscopy_uih import displayed_position
from cestle.errors import ConfigError
from cestle.measurement import Side
from cestle.mrs.series import EditState
from cestle.phantom.mega_settings import MegaSimulation
from cestle.phantom.megapress import simulate_mega
from phantoms.synthetic import noise_free

BASIS = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}[
    "mega_press_5t_te72_gauss14_slices"
]
SETTINGS = MegaSimulation(transients=6, points=1024, side=Side.RIGHT)


def simulated(form, **changes):
    return simulate_mega(as_stored(replace(SETTINGS, **changes), form), BASIS)


def written(folder, form, mega):
    """The objects of each series of spectra, by the name of its folder."""
    encoding = EncodingOptions(regions=(), spectroscopy=form)
    write_study(noise_free(), folder, encoding=encoding, mega=mega)
    return {
        name: [pydicom.dcmread(path) for path in sorted((folder / name).glob("*.dcm"))]
        for name in ("mrs", "mrs_water")
        if (folder / name).is_dir()
    }


@pytest.fixture(scope="module", params=list(SpectroscopyForm))
def stored(request, tmp_path_factory):
    """Encoding, measurement, and its objects."""
    form = request.param
    mega = simulated(form)
    folder = tmp_path_factory.mktemp(form.value)
    return form, mega, written(folder, form, mega), folder


def pairs(content):
    """FIDs from bytes, read one number at a time."""
    numbers = struct.unpack(f"<{len(content) // 4}f", content)
    return np.array(numbers[::2]) + 1j * np.array(numbers[1::2])


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_uih_holds_averages_in_private_elements(tmp_path):
    """The four FIDs of 8 bytes a point are (5600,0020), (0065,FF10), (0065,FF11), (0065,FF07)."""
    mega = simulated(SpectroscopyForm.UIH)
    (dataset,) = written(tmp_path, SpectroscopyForm.UIH, mega)["mrs"]
    assert dataset[0x0065, 0x00FF].value == "Spectroscopy Private Header"
    series = mega.series
    by_state = dict(zip(series.labels, series.fids[:, 0], strict=True))
    for tag, fid in (
        ((0x5600, 0x0020), series.difference),
        ((0x0065, 0xFF10), by_state[EditState.ON]),
        ((0x0065, 0xFF11), by_state[EditState.OFF]),
        ((0x0065, 0xFF07), series.water.mean(axis=0)[0]),
    ):
        element = dataset[tag]
        assert (element.VR, len(element.value)) == ("OF", 8 * 1024)
        close(pairs(element.value), fid)
    assert dataset.SequenceName == "svs_mega"
    assert (dataset.EchoTime, dataset.RepetitionTime, dataset.NumberOfAverages) == (72, 3000, 6)
    assert dataset.SpectralWidth == 2000.0
    assert dataset.TransmitterFrequency == 210.8
    assert dataset.ResonantNucleus == "1H"


def test_uih_turns_against_the_standard(tmp_path):
    """In the stored OFF average NAA lies at 4.7 ppm minus f/f0, mirrored about the transmitter."""
    mega = simulated(SpectroscopyForm.UIH, tcr_snr=None, residual_water=0.0)
    (dataset,) = written(tmp_path, SpectroscopyForm.UIH, mega)["mrs"]
    spectrum = np.abs(np.fft.fftshift(np.fft.fft(pairs(dataset[0x0065, 0xFF11].value))))
    frequency = np.fft.fftshift(np.fft.fftfreq(1024, 1.0 / dataset.SpectralWidth))
    at = frequency[spectrum.argmax()]
    assert 4.7 - at / dataset.TransmitterFrequency == pytest.approx(2.008, abs=0.02)
    close(pairs(dataset.SpectroscopyData), mega.series.difference)


def test_the_uih_voxel_is_a_corner_and_three_edges(tmp_path):
    """FF01 and FF02 describe the box, as in the one list of such elements that is public.

    Its rows are orthogonal with lengths FF04, the third lies along the normal FF06, and the centre
    along it is the displayed position.
    """
    mega = simulated(SpectroscopyForm.UIH)
    (dataset,) = written(tmp_path, SpectroscopyForm.UIH, mega)["mrs"]
    corner = np.array(dataset[0x0065, 0xFF01].value, dtype=float)
    edges = np.array(dataset[0x0065, 0xFF02].value, dtype=float).reshape(3, 3)
    sizes = np.array(dataset[0x0065, 0xFF04].value, dtype=float)
    *normal, empty = dataset[0x0065, 0xFF06].value
    normal = np.array(normal, dtype=float)
    assert empty in ("", None)
    np.testing.assert_allclose(edges @ edges.T, np.diag(sizes**2), atol=1e-5)
    np.testing.assert_allclose(np.cross(edges[2], normal), 0.0, atol=1e-6)
    centre = corner + 0.5 * edges.sum(axis=0)
    np.testing.assert_allclose(centre, mega.truth.voxel.centre_mm, atol=1e-6)
    assert centre[0] < -20.0  # the patient's right
    assert dataset[0x0065, 0x100F].value == f"R{abs(centre @ normal):.1f}"
    # plane position and orientation, which other programs use, give the same centre
    row, column = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
    down, along = map(float, dataset.PixelSpacing)
    position = np.array(dataset.ImagePositionPatient, dtype=float)
    np.testing.assert_allclose(position + 0.5 * (along * row + down * column), centre, atol=1e-6)


@pytest.mark.parametrize(
    ("normal", "mm", "text"),
    [
        ((-0.99999702, 0.001947, 0.001478), 28.08, "R28.1"),
        ((0.99, 0.1, 0.0), 28.08, "L28.1"),
        ((0.99, 0.1, 0.0), -28.08, "R28.1"),
        ((0.0, 0.1, -0.99), 5.0, "F5.0"),
        ((0.0, 0.99, 0.1), 5.0, "P5.0"),
    ],
)
def test_the_displayed_position_names_the_side(normal, mm, text):
    """The letter is where the normal points, turned when the distance is negative."""
    assert displayed_position(np.array(normal), mm) == text


def test_frames_are_the_transients(tmp_path):
    """One object has one frame for each transient in order, without any state, and no water."""
    mega = simulated(SpectroscopyForm.FRAMES)
    found = written(tmp_path, SpectroscopyForm.FRAMES, mega)
    (dataset,) = found["mrs"]
    frames = pairs(dataset.SpectroscopyData).reshape(6, 1024)
    close(frames, mega.series.fids[:, 0])
    assert int(dataset.NumberOfFrames) == 6
    assert (dataset.DataPointRows, dataset.DataPointColumns) == (1, 1024)
    assert (dataset.Rows, dataset.Columns) == (1, 1)
    assert dataset.SharedFunctionalGroupsSequence[0].MREchoSequence[0].EffectiveEchoTime == 72.0
    positions = [
        frame.FrameContentSequence[0].TemporalPositionIndex
        for frame in dataset.PerFrameFunctionalGroupsSequence
    ]
    assert positions == [1, 2, 3, 4, 5, 6]
    (water,) = found["mrs_water"]
    assert water.WaterReferenceAcquisition == "WATER_REFERENCE"
    close(pairs(water.SpectroscopyData).reshape(2, 1024), mega.series.water[:, 0])
    assert water.SeriesInstanceUID != dataset.SeriesInstanceUID


def test_only_instance_number_orders_instances(tmp_path):
    """Objects of single transients differ in nothing but their UID, number and FID."""
    mega = simulated(SpectroscopyForm.INSTANCES)
    objects = written(tmp_path, SpectroscopyForm.INSTANCES, mega)["mrs"]
    assert [int(dataset.InstanceNumber) for dataset in objects] == [1, 2, 3, 4, 5, 6]
    for dataset, fid in zip(objects, mega.series.fids[:, 0], strict=True):
        close(pairs(dataset.SpectroscopyData), fid)
    first, *others = objects
    for other in others:
        differing = {
            element.keyword
            for element in first
            if element.keyword not in other or other[element.keyword] != element
        }
        assert differing == {"SOPInstanceUID", "InstanceNumber", "SpectroscopyData"}
    assert first.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[
        0
    ].DimensionIndexValues == [1, 1, 1]


def test_philips_marks_its_frames(tmp_path):
    """(2005,1597) is Y; in the items of (2005,140F) water is 1, ON is '1' and OFF is '0'."""
    mega = simulated(SpectroscopyForm.PHILIPS)
    (dataset,) = written(tmp_path, SpectroscopyForm.PHILIPS, mega)["mrs"]
    assert dataset[0x2005, 0x1597].value == "Y"
    marks = dataset[0x2005, 0x140F].value
    assert [mark[0x2005, 0x1304].value for mark in marks] == [0] * 6 + [1] * 2
    assert [mark[0x2005, 0x1598].value for mark in marks[:6]] == ["1", "0"] * 3
    assert all((0x2005, 0x1598) not in mark for mark in marks[6:])
    frames = pairs(dataset.SpectroscopyData).reshape(8, 1024)
    close(frames[:6], mega.series.fids[:, 0])
    close(frames[6:], mega.series.water[:, 0])
    assert dataset.WaterReferencedPhaseCorrection == "YES"


def test_the_standard_voxel_is_three_slabs(stored):
    """Outside of UIH three unit vectors, thicknesses and one centre describe the voxel."""
    form, mega, series, _ = stored
    if form is SpectroscopyForm.UIH:
        pytest.skip("the voxel of United Imaging stands in private elements")
    slabs = series["mrs"][0].VolumeLocalizationSequence
    directions = np.array([slab.SlabOrientation for slab in slabs])
    np.testing.assert_allclose(directions @ directions.T, np.eye(3), atol=1e-9)
    edges = directions * np.array([[slab.SlabThickness] for slab in slabs])
    np.testing.assert_allclose(edges, mega.truth.voxel.edges_mm, atol=1e-9)
    for slab in slabs:
        np.testing.assert_allclose(slab.MidSlabPosition, mega.truth.voxel.centre_mm, atol=1e-9)


def test_spectra_belong_to_the_study(stored):
    """Patient, study and Frame of Reference are those of the images, UIDs are all different."""
    _, _, series, folder = stored
    image = pydicom.dcmread(folder / "cest" / "0001.dcm")
    spectra = [dataset for members in series.values() for dataset in members]
    for dataset in spectra:
        for keyword in (
            "PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "StudyDate",
            "FrameOfReferenceUID", "StudyID", "AccessionNumber", "MagneticFieldStrength",
        ):  # fmt: skip
            assert dataset[keyword].value == image[keyword].value
        assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.4.2"
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    uids = {dataset.SOPInstanceUID for dataset in (*spectra, image)}
    assert len(uids) == len(spectra) + 1
    assert len({dataset.SeriesInstanceUID for dataset in spectra}) == len(series)


def test_the_truth_of_the_study_gains_one_key(stored):
    """truth.json holds the truth of the spectra under mrs, and all else as without them."""
    _, mega, _, folder = stored
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    mrs = truth.pop("mrs")
    assert truth == json.loads(json.dumps(noise_free().truth))
    assert mrs["gaba_cr"] == mega.truth.gaba_cr
    assert mrs["side"] == "right"
    assert mrs["states"] == ["on", "off"] * 3


def test_equal_measurements_give_equal_files(stored, tmp_path):
    """A second run writes the same bytes, another seed other identifiers."""
    form, mega, _, folder = stored
    written(tmp_path / "again", form, mega)
    written(tmp_path / "other", form, simulated(form, seed=2))
    for path in sorted((folder / "mrs").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / "mrs" / path.name).read_bytes()
        other = pydicom.dcmread(tmp_path / "other" / "mrs" / path.name)
        assert other.StudyInstanceUID != pydicom.dcmread(path).StudyInstanceUID


def errors(path):
    """Error lines of dciodvfy."""
    run = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, check=False)
    text = (run.stdout + run.stderr).decode("utf-8", errors="replace")
    assert "MRSpectroscopy" in text
    return [line for line in text.splitlines() if line.startswith("Error")]


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy is not installed")
def test_objects_are_as_sound_as_real_ones(stored):
    """Dciodvfy finds no fault in standard objects, and elsewhere only those of real scanners.

    Philips' file that is public has AcquisitionContrast SPECTROSCOPY; United Imaging writes the
    attributes of classic images and no functional groups.
    """
    form, _, _, folder = stored
    for path in sorted(folder.glob("mrs*/*.dcm")):
        found = errors(path)
        if form is SpectroscopyForm.PHILIPS:
            found = [line for line in found if "AcquisitionContrast" not in line]
        if form is SpectroscopyForm.UIH:
            found = [line for line in found if "Missing attribute for Type" not in line]
        assert found == []


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("dcentvfy") is None, reason="dcentvfy is not installed")
def test_entities_agree_with_the_images(stored):
    """No attribute of patient, study or series differs between spectra and images."""
    _, _, _, folder = stored
    files = [str(path) for path in sorted(folder.glob("*/*.dcm"))]
    run = subprocess.run(["dcentvfy", *files], capture_output=True, check=False)
    assert "Error" not in (run.stdout + run.stderr).decode("utf-8", errors="replace")


@pytest.mark.parametrize("form", list(SpectroscopyForm))
def test_missing_water_leaves_no_trace(form, tmp_path):
    """Without water there is no water series, element or frame."""
    found = written(tmp_path, form, simulated(form, water_transients=0))
    assert list(found) == ["mrs"]
    dataset = found["mrs"][0]
    assert (0x0065, 0xFF07) not in dataset
    if form is SpectroscopyForm.PHILIPS:
        assert int(dataset.NumberOfFrames) == 6


@pytest.mark.parametrize(
    ("form", "changes", "said"),
    [
        (SpectroscopyForm.UIH, {"averaged": False}, "holds averages, and the measurement has none"),
        (SpectroscopyForm.FRAMES, {"averaged": True}, "holds transients, and the measurement has"),
        (SpectroscopyForm.FRAMES, {"coils": 2}, "has 2 coils, but DICOM holds one combined"),
    ],
)
def test_what_an_encoding_cannot_hold_is_refused(form, changes, said, tmp_path):
    """Coils, and averages where transients belong, are refused with what to do."""
    mega = simulate_mega(replace(as_stored(SETTINGS, form), **changes), BASIS)
    with pytest.raises(ConfigError, match=said):
        written(tmp_path, form, mega)


def test_a_philips_file_needs_states(tmp_path):
    """An encoding that marks states refuses a measurement that names none."""
    mega = simulated(SpectroscopyForm.FRAMES)
    with pytest.raises(ConfigError, match="names the state of each FID"):
        written(tmp_path, SpectroscopyForm.PHILIPS, mega)
