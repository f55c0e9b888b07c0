"""`cestle process` from the outside: results, exit codes, and one line for each bad input."""

import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest

from cestle.cli.app import run
from cestle.dicom.simulated import EncodingOptions, RegionObject, write_study
from phantoms.spectroscopy_builder import uih_mega

PLANTED = "Planted^Person"
PLANTED_ID = "PID-77-PLANTED"


@pytest.fixture(autouse=True)
def _no_skull(monkeypatch):
    """What is measured inside the skull of the phantom is looked at elsewhere, and takes long."""
    monkeypatch.setattr(
        "cestle.service.processing.with_intracranial_volume", lambda inputs, **_: inputs
    )


def process(capsys, folder, out, *options):
    """Run the command and return exit code, stdout and stderr."""
    code = run(["process", str(folder), "--out", str(out), *options])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def results(out):
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def series_files(folder, description):
    """Files of the series with that description."""
    return sorted(
        path
        for path in folder.rglob("*.dcm")
        if pydicom.dcmread(path, stop_before_pixels=True).get("SeriesDescription") == description
    )


def messages(stderr):
    """The lines that are messages and not progress."""
    return [line for line in stderr.splitlines() if line.startswith("cestle: ")]


def test_a_whole_study_is_complete_and_right(capsys, written_study, quiet_phantom, tmp_path):
    """Noise-free at nominal B1 both indices are within 0.002 of the truth, and exit code is 0."""
    code, text, _ = process(capsys, written_study, tmp_path / "out")
    found = results(tmp_path / "out")
    truth = quiet_phantom.truth["asymmetry"]["slice"]
    assert code == 0
    assert found["status"] == "complete"
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        assert found["asymmetry"][name]["value"] == pytest.approx(truth[name], abs=0.002)
    assert found["lateralization"]["call"] == "left"
    assert "call left" in text
    for record in found["outputs"]:
        assert (tmp_path / "out" / record["path"]).is_file()
    assert (tmp_path / "out" / "pictures" / "page.png").is_file()


def test_the_map_lies_on_the_grid_of_the_cest_series(
    capsys, written_study, quiet_phantom, tmp_path
):
    """The map has geometry and patient of the source; its grey matter is within 0.2 pp."""
    process(capsys, written_study, tmp_path / "out")
    image = pydicom.dcmread(tmp_path / "out" / "dicom" / "01_glucest_map.dcm")
    source = pydicom.dcmread(series_files(written_study, "GluCEST")[0])
    for element in (
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "FrameOfReferenceUID", "Rows", "Columns", "StudyInstanceUID", "PatientID", "PatientName",
    ):  # fmt: skip
        assert image[element].value == source[element].value
    percent = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    grey = sum(quiet_phantom.fractions.values())[0] > 0.9
    error = percent[grey] - quiet_phantom.true_percent[0][grey]
    assert np.max(np.abs(error)) <= 0.2


def test_json_on_stdout_is_the_results_file(capsys, written_study, tmp_path):
    """With --json stdout holds exactly the content of results.json."""
    _, text, _ = process(capsys, written_study, tmp_path / "out", "--json")
    assert json.loads(text) == results(tmp_path / "out")


def test_known_onset_side_gives_the_ipsilateral_index(capsys, written_study, tmp_path):
    """With --onset-side right the index is the negative of the left-right one."""
    process(capsys, written_study, tmp_path / "out", "--onset-side", "right")
    asymmetry = results(tmp_path / "out")["asymmetry"]
    assert asymmetry["dai_glu_h"]["value"] == -asymmetry["dai_glu_h_epi"]["value"]


def test_label_map_serves_as_region(capsys, quiet_phantom, written_study, tmp_path):
    """A label map needs its scheme named, and then gives the indices of the SEG within 1e-3."""
    plain = tmp_path / "study"
    write_study(quiet_phantom, plain, encoding=EncodingOptions(regions=(RegionObject.LABEL_MAP,)))
    labels = tmp_path / "aseg.nii.gz"
    shutil.move(plain / "labels.nii.gz", labels)
    out, options = tmp_path / "a", ("--roi", str(labels))
    code, _, err = process(capsys, plain, out, *options)
    assert code == 3
    assert any("does not say which numbers it uses" in line for line in messages(err))
    code, _, err = process(capsys, plain, out, *options, "--label-scheme", "freesurfer")
    assert code == 0, err
    process(capsys, written_study, tmp_path / "b")
    one, other = (results(tmp_path / name)["asymmetry"] for name in "ab")
    assert one["dai_glu_h_epi"]["value"] == pytest.approx(other["dai_glu_h_epi"]["value"], abs=1e-3)


def test_tissue_map_wins_over_the_t1(capsys, quiet_phantom, written_study, tmp_path):
    """Tissue shares come from the T1, from a file that is named, and never from a wrong file."""
    process(capsys, written_study, tmp_path / "a")
    assert results(tmp_path / "a")["glucest"]["method"]["tissue"] == "t1"
    numbers = np.array([0, 0, 0, 1, 2, 3, 2, 2, 2, 2], dtype=np.int16)  # of each label of the head
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ quiet_phantom.t1_grid.affine
    file = tmp_path / "tissue.nii.gz"
    nib.save(nib.Nifti1Image(numbers[quiet_phantom.t1_labels], affine), file)
    options = ("--tissue-map", str(file), "--tissue-scheme")
    code, _, err = process(capsys, written_study, tmp_path / "b", *options, "fluid-grey-white")
    assert code == 0, err
    assert results(tmp_path / "b")["glucest"]["method"]["tissue"] == "given"
    code, _, err = process(capsys, written_study, tmp_path / "c", *options, "unheard-of")
    assert code == 2
    assert "label scheme 'unheard-of'" in messages(err)[0]


def test_without_b0_map_the_result_is_partial(capsys, own_study, tmp_path):
    """Without B0 map: exit 3, no map, indeterminate, the reason on stderr, page and report made."""
    for path in series_files(own_study, "B0Map"):
        path.unlink()
    code, _, err = process(capsys, own_study, tmp_path / "out")
    found = results(tmp_path / "out")
    assert code == 3
    assert found["lateralization"]["call"] == "indeterminate"
    assert any("B0 map" in line for line in messages(err))
    assert {record["product"] for record in found["outputs"]} == {"secondary_capture", "report"}


def test_seven_of_eight_images_are_not_enough(capsys, own_study, tmp_path):
    """With one image missing no map is made and the line names 7 and 8."""
    series_files(own_study, "GluCEST")[3].unlink()
    code, _, err = process(capsys, own_study, tmp_path / "out")
    assert code == 3
    assert any("7" in line and "8" in line for line in messages(err))
    assert results(tmp_path / "out")["glucest"]["status"] == "not_computed"


def test_unknown_offsets_are_never_assumed(capsys, own_study, tmp_path):
    """Without labels and with another protocol the line says that the offsets are unknown."""
    for path in series_files(own_study, "GluCEST"):
        image = pydicom.dcmread(path)
        image.private_block(0x0065, "Image Private Header").__delitem__(0x2D)
        image.RepetitionTime = 5000
        image.save_as(path)
    code, _, err = process(capsys, own_study, tmp_path / "out")
    assert code == 3
    assert any("offsets unknown" in line for line in messages(err))


def test_field_map_of_another_matrix_is_refused(capsys, own_study, tmp_path):
    """A B0 map of 64×64 is refused with both sizes in the line, and no map is made."""
    path = series_files(own_study, "B0Map")[0]
    image = pydicom.dcmread(path)
    image.PixelData = np.ascontiguousarray(image.pixel_array[::2, ::2]).tobytes()
    image.Rows = image.Columns = 64
    image.PixelSpacing = [2 * float(x) for x in image.PixelSpacing]
    image.save_as(path)
    code, _, err = process(capsys, own_study, tmp_path / "out")
    assert code == 3
    assert any("64" in line and "128" in line for line in messages(err))


def change(path, **elements):
    image = pydicom.dcmread(path)
    for name, value in elements.items():
        setattr(image, name, value)
    image.save_as(path)


def two_patients(folder):
    change(series_files(folder, "B0Map")[0], PatientID=PLANTED_ID, PatientName=PLANTED)


def two_studies(folder):
    change(series_files(folder, "B0Map")[0], StudyInstanceUID="1.2.3.4.5")


def truncated_pixels(folder):
    path = series_files(folder, "GluCEST")[0]
    path.write_bytes(path.read_bytes()[:-5000])


def no_dicom(folder):
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "notes.txt").write_text("not a DICOM file", encoding="utf-8")


def nothing(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def only_anatomy(folder):
    for name in ("GluCEST", "B0Map", "B1Map"):
        for path in series_files(folder, name):
            path.unlink()


@pytest.mark.parametrize(
    "spoil", [two_patients, two_studies, truncated_pixels, only_anatomy, no_dicom, nothing]
)
def test_bad_input_is_one_clear_line(capsys, own_study, tmp_path, spoil):
    """Bad input: exit 2, exactly one line, no traceback, no planted name or ID, no results."""
    spoil(own_study)
    code, text, err = process(capsys, own_study, tmp_path / "out")
    assert code == 2
    assert text == ""
    assert len(messages(err)) == 1
    assert "Traceback" not in err
    assert PLANTED not in err
    assert PLANTED_ID not in err
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["process"],
        ["process", "no-such-folder", "--out", "x"],
        ["process", ".", "--out", "x", "--onset-side", "middle"],
        ["nonsense"],
        ["simulate", "--out", "x", "--dai-hippocampus", "3"],
        ["check", "--config", "no-such.toml"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(capsys, tmp_path, monkeypatch, arguments):
    """Wrong usage gives one line on stderr and exit code 2."""
    monkeypatch.chdir(tmp_path)
    code = run(arguments)
    captured = capsys.readouterr()
    assert code == 2
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1


def test_output_folder_around_the_study_is_refused(capsys, own_study):
    """Writing the results around the study is refused before anything is touched."""
    before = sorted(own_study.rglob("*"))
    code, _, err = process(capsys, own_study, own_study.parent)
    assert code == 2
    assert "inside the output folder" in err
    assert sorted(own_study.rglob("*")) == before


def test_simulate_refuses_a_folder_that_is_not_empty(capsys, written_study):
    """Simulating into a folder with files is refused."""
    assert run(["simulate", "--out", str(written_study)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_a_study_of_spectra_alone_is_partial(capsys, tmp_path):
    """Without any image the result is partial: what is missing is named, and a report is made."""
    study = tmp_path / "study"
    study.mkdir()
    spectra = uih_mega(StudyDate="20260102", StudyTime="101112", AccessionNumber="")
    spectra.save_as(study / "mega.dcm", enforce_file_format=True)
    code, _, err = process(capsys, study, tmp_path / "out")
    assert code == 3
    found = results(tmp_path / "out")
    assert found["status"] == "partial"
    assert any(reason.startswith("cest_source: ") for reason in found["reasons"])
    assert not any(reason.startswith("mrs_mega: ") for reason in found["reasons"])
    report = next(one for one in found["outputs"] if one["product"] == "report")
    read = pydicom.dcmread(tmp_path / "out" / report["path"])
    assert read.PatientID == spectra.PatientID
    assert str(spectra.SOPInstanceUID) in str(read)
    assert spectra.PatientID not in err


def test_damaged_spectra_leave_the_images_as_they_are(capsys, own_study, tmp_path):
    """Spectra of 31P beside a whole GluCEST study: all indices, exit 3, and one line says why."""
    image = pydicom.dcmread(series_files(own_study, "GluCEST")[0], stop_before_pixels=True)
    spectra = uih_mega(ResonantNucleus="31P")
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(spectra, keyword, image[keyword].value)
    spectra.save_as(own_study / "mega.dcm", enforce_file_format=True)
    code, _, err = process(capsys, own_study, tmp_path / "out")
    assert code == 3
    (line,) = [line for line in messages(err) if line.startswith("cestle: mrs: ")]
    assert "spectrum of 31P" in line
    assert results(tmp_path / "out")["asymmetry"]["dai_glu_h_epi"]["value"] is not None
