"""`cestle simulate` as a user runs it."""

import json

import pydicom
import pytest

from cestle.cli.app import run
from cestle.cli.simulation import _ENCODINGS, _USUAL_BASIS
from cestle.dicom.simulated import SpectroscopyForm
from cestle.phantom.mega_cases import USUAL_BASIS

KEYS = {
    "schema", "settings", "offsets_ppm", "noise_sigma", "tissue_glucest_percent", "rois",
    "asymmetry",
}  # fmt: skip


def truth_of(folder):
    return json.loads((folder / "truth.json").read_text(encoding="utf-8"))


def test_a_study_has_spectra_of_the_side_and_ratios_asked_for(tmp_path):
    """Options reach truth and header: 12 frames, right side, ratios, drift, and no water."""
    out = tmp_path / "study"
    options = ["--mrs-encoding", "frames", "--mrs-side", "right", "--gaba-cr", "0.15"]
    options += ["--glx-cr", "0.3", "--mrs-transients", "12", "--mrs-drift", "5", "--mrs-moved", "2"]
    options += ["--mrs-linewidth", "8.5", "--mrs-snr", "90", "--no-mrs-water", "--seed", "4"]
    assert run(["simulate", "--out", str(out), "--no-regions", *options]) == 0
    truth = truth_of(out)
    assert set(truth) == {*KEYS, "mrs"}
    mrs = truth["mrs"]
    assert mrs["gaba_cr"] == pytest.approx(0.15)
    assert mrs["glx_cr"] == pytest.approx(0.3)
    assert mrs["side"] == "right"
    assert mrs["voxel"]["centre_lps_mm"][0] < -20.0
    assert mrs["fwhm_hz"] == pytest.approx(8.5, abs=1e-3)
    assert mrs["snr"]["tcr"] == pytest.approx(90.0)
    assert mrs["drift_hz"] == pytest.approx(5.0, abs=1.0)
    assert len(mrs["bad"]) == 2
    assert mrs["settings"]["seed"] == truth["settings"]["seed"] == 4
    (path,) = (out / "mrs").iterdir()
    assert int(pydicom.dcmread(path).NumberOfFrames) == 12
    assert not (out / "mrs_water").exists()
    assert not (out / "seg_t1").exists()


def test_without_spectra_the_study_is_as_before(tmp_path):
    """With --no-mrs there is no series of spectra, and the truth has no key for them."""
    out = tmp_path / "study"
    assert run(["simulate", "--out", str(out), "--no-mrs"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "b0", "b1", "cest", "seg_t1", "t1", "truth.json",
    ]  # fmt: skip
    assert set(truth_of(out)) == KEYS


def test_the_help_names_what_there_is():
    """Encodings and default basis of the command are those of the modules it does not load."""
    assert tuple(form.value for form in SpectroscopyForm) == _ENCODINGS
    assert _USUAL_BASIS == USUAL_BASIS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mrs-encoding", "raw"], "--mrs-encoding is raw; give one of uih, frames"),
        (["--mrs-basis", "mega_press_3t_te68_gauss20_slices"], "give one of mega_press_5t"),
        (["--mrs-transients", "7"], "leave one state with more"),
        (["--mrs-linewidth", "1.5"], "T2 alone makes it"),
        (["--mrs-side", "middle"], "--mrs-side"),
        (["--gaba-cr", "-1"], "--gaba-cr"),
    ],
)
def test_what_cannot_be_simulated_is_one_line(options, message, tmp_path, capsys):
    """A wrong option gives exit code 2, one line that names it, and no file."""
    out = tmp_path / "study"
    assert run(["simulate", "--out", str(out), *options]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("cestle: ")]) == 1
    assert not out.exists()
