"""`cestle calibrate-b1`: the shipped file, and a measured file from simulated sessions."""

import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import yaml

from cestle.cest.tissue import TissueClass
from cestle.cli.app import run
from cestle.config.calibration import load_calibration
from cestle.config.templates import shipped_templates_dir
from cestle.dicom.simulated import write_study
from cestle.phantom.calibration import b1_curves
from cestle.phantom.head import Label
from cestle.phantom.study import SimulationSettings, saturation_sequence, simulate
from cestle.phantom.tissues import CEREBROSPINAL_FLUID, GREY_MATTER, WHITE_MATTER
from cestle.protocol import JUPITER_5T_GLUCEST

SHIPPED = shipped_templates_dir() / "calibration" / "jupiter_5t_glucest_model.yaml"
LEVELS = (0.6, 0.8, 1.0, 1.2)
SETTINGS = SimulationSettings(
    seed=5, snr=None, b1_spread=0.15, t1_mm=1.6, dai_hippocampus=0.0, dai_amygdala=0.0
)
TISSUES = {
    TissueClass.GREY: GREY_MATTER,
    TissueClass.WHITE: WHITE_MATTER,
    TissueClass.FLUID: CEREBROSPINAL_FLUID,
}
FSL_LIKE = {
    Label.FLUID: 1,
    Label.GREY: 2,
    Label.HIPPOCAMPUS_LEFT: 2,
    Label.HIPPOCAMPUS_RIGHT: 2,
    Label.AMYGDALA_LEFT: 2,
    Label.AMYGDALA_RIGHT: 2,
    Label.WHITE: 3,
}


def numbers(content):
    """All numbers of a YAML tree in order, and the rest of it."""
    if isinstance(content, dict):
        return [one for value in content.values() for one in numbers(value)]
    if isinstance(content, list):
        return [one for value in content for one in numbers(value)]
    return [float(content)] if isinstance(content, int | float) else []


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Four studies of one head at four B1 levels, and its tissue map."""
    folder = tmp_path_factory.mktemp("session")
    for level in LEVELS:
        study = simulate(replace(SETTINGS, b1_scale=level))
        write_study(study, folder / f"{level:g}")
    tissue = np.zeros(study.t1_labels.shape, dtype=np.int16)
    for label, number in FSL_LIKE.items():
        tissue[study.t1_labels == label] = number
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ study.t1_grid.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(np.transpose(tissue, (2, 1, 0)), ras)
    nib.save(image, folder / "tissue.nii.gz")
    return folder


def folders(session, levels=LEVELS):
    return [str(session / f"{level:g}") for level in levels]


def test_the_command_reproduces_the_shipped_file(tmp_path):
    """`calibrate-b1 --model` gives the shipped file again: same words, numbers within 0.002 %."""
    out = tmp_path / "model.yaml"
    assert run(["calibrate-b1", "--model", "--out", str(out)]) == 0
    made, shipped = (yaml.safe_load(path.read_text()) for path in (out, SHIPPED))
    np.testing.assert_allclose(numbers(made), numbers(shipped), rtol=2e-5)
    words = [key for key, value in shipped.items() if isinstance(value, str)]
    assert {key: made[key] for key in words} == {key: shipped[key] for key in words}


def test_the_shipped_file_fits_the_protocol_and_says_that_it_is_a_model():
    """The shipped file holds for the published protocol and states no subjects."""
    shipped = load_calibration(SHIPPED)
    shipped.require_protocol(
        JUPITER_5T_GLUCEST, f0_mhz=212.9, offsets_ppm=np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    )
    assert (shipped.provenance, shipped.subjects) == ("model", 0)
    assert set(shipped.curves) == set(TissueClass)
    for curve in shipped.curves.values():
        assert np.all(np.diff(curve.negative) < 0.0)


def test_a_measured_file_gives_the_curves_of_the_phantom(session, tmp_path):
    """With a tissue map, curves lie within 1 % of the physics, fluid and white within 0.3 %."""
    out = tmp_path / "measured.yaml"
    code = run(
        [
            "calibrate-b1",
            *folders(session),
            "--out",
            str(out),
            "--tissue-map",
            str(session / "tissue.nii.gz"),
            "--label-scheme",
            "fluid-grey-white",
        ]
    )
    assert code == 0
    found = load_calibration(out)
    assert (found.provenance, found.subjects) == ("measured", 1)
    assert found.relative_b1[0] <= 0.75
    assert found.relative_b1[-1] >= 1.2
    nominal = int(np.argmin(np.abs(found.relative_b1 - 1.0)))
    truth = b1_curves(
        tuple(TISSUES.values()),
        found.relative_b1,
        target_ppm=3.0,
        sequence=saturation_sequence(SETTINGS),
    )
    for tissue, physics in zip(TISSUES, truth, strict=True):
        limit = 0.01 if tissue is TissueClass.GREY else 0.003
        curve = found.curves[tissue]
        for side, expected in (
            (curve.negative, physics.negative),
            (curve.positive, physics.positive),
        ):
            np.testing.assert_allclose(side / side[nominal], expected, rtol=limit)


def test_without_a_tissue_map_the_regions_are_grey_matter(session, tmp_path):
    """Without a tissue map the file holds grey matter only, from the regions of the studies."""
    out = tmp_path / "regions.yaml"
    assert run(["calibrate-b1", *folders(session), "--out", str(out)]) == 0
    assert set(load_calibration(out).curves) == {TissueClass.GREY}


@pytest.mark.parametrize(
    ("levels", "options", "named"),
    [
        ((0.6, 1.0), (), "2 B1 level(s) found in one session, at least 3"),
        ((0.6, 0.8, 1.0), ("--level", "1.0"), "1 levels were given for 3 folders"),
        ((0.6, 0.8, 0.6), (), "the relative B1 of the voxels runs from"),
    ],
)
def test_too_little_is_refused(session, tmp_path, capsys, levels, options, named):
    """Too few levels, factors that do not match the folders, or B1 below nominal only: exit 2."""
    out = tmp_path / "out.yaml"
    assert run(["calibrate-b1", *folders(session, levels), "--out", str(out), *options]) == 2
    assert named in capsys.readouterr().err
    assert not out.exists()


def test_folders_and_model_exclude_each_other(tmp_path, capsys):
    """Neither folders nor --model is bad usage, and an existing file is not overwritten."""
    out = tmp_path / "out.yaml"
    assert run(["calibrate-b1", "--out", str(out)]) == 2
    assert "--model" in capsys.readouterr().err
    out.write_text("precious")
    assert run(["calibrate-b1", "--model", "--out", str(out)]) == 2
    assert out.read_text() == "precious"


def test_a_level_without_field_maps_is_refused(session, tmp_path, capsys):
    """A folder without B1 map is refused with its path."""
    spoiled = tmp_path / "spoiled"
    shutil.copytree(session / "0.8", spoiled)
    shutil.rmtree(spoiled / "b1")
    out = tmp_path / "out.yaml"
    paths = [*folders(session, (0.6, 1.0)), str(spoiled)]
    assert run(["calibrate-b1", *paths, "--out", str(out)]) == 2
    assert "spoiled lacks CEST images, B0 map or B1 map" in capsys.readouterr().err
