"""A study with spectra from DICOM files to results, pictures and report, with known truth."""

import json

import pytest

from cestle.cli.app import run
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.report_reader import read_report

CODES = load_template_set(TemplateFolder.default()).codes
ERRORS_ALLOWED = 4.0
MODEL_ALLOWED = 0.10
"""Goal of the bias of GABA+/Cr, relative."""


@pytest.fixture(scope="module", params=[("left", "frames"), ("right", "uih")], ids="-".join)
def processed(request, tmp_path_factory):
    """A simulated study with the voxel on one side, processed: side, folder, exit code."""
    side, encoding = request.param
    folder = tmp_path_factory.mktemp(side)
    study, out = folder / "study", folder / "out"
    options = ["--snr", "100", "--mrs-side", side, "--mrs-encoding", encoding]
    assert run(["simulate", "--out", str(study), *options]) == 0
    code = run(["process", str(study), "--out", str(out), "--onset-side", side])
    truth = json.loads((study / "truth.json").read_text(encoding="utf-8"))
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return side, out, code, truth, results


def test_the_ratios_are_those_that_were_put_in(processed):
    """GABA+/Cr and Glx/Cr agree with the truth within their error and the goal of the model."""
    _, _, code, truth, results = processed
    assert code == 0
    for name in ("gaba_cr", "glx_cr"):
        found, true = results["mrs"][name], truth["mrs"][name]
        allowed = ERRORS_ALLOWED * found["standard_error"] + MODEL_ALLOWED * true
        assert abs(found["value"] - true) <= allowed


def test_the_side_is_that_of_the_simulated_voxel(processed):
    """The side in results and report is the patient's side that was put in."""
    side, out, _, _, results = processed
    assert results["mrs"]["side"] == side
    report = next((out / "dicom").glob("*_report.dcm"))
    assert read_report(report, CODES).spectroscopy.side == side


def test_the_composite_combines_both_arms(processed):
    """DAIglu_GABA is the index of the stated side over GABA+/Cr, also in the report."""
    _, out, _, _, results = processed
    index, ratio = results["asymmetry"]["dai_glu_h"]["value"], results["mrs"]["gaba_cr"]["value"]
    value = results["composite"]["dai_glu_gaba"]["value"]
    assert value == pytest.approx(index / ratio)
    report = read_report(next((out / "dicom").glob("*_report.dcm")), CODES)
    assert report.numbers["DAIGLUGABA"] == value


def test_pictures_and_objects_are_there(processed):
    """Both pages are written as pictures and as objects, and each object is listed."""
    _, out, _, _, results = processed
    assert {"page.png", "mrs.png"} <= {path.name for path in (out / "pictures").iterdir()}
    assert "mrs_page" in [one["product"] for one in results["outputs"]]
    assert all((out / one["path"]).is_file() for one in results["outputs"])
