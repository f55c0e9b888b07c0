"""The same voxels stored in another order, with their own place, give the same numbers."""

from copy import deepcopy
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from cestle.dicom.files import files_below
from cestle.dicom.study_reader import read_study
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, StudyAnalysis, analyse_study
from reading import edited, missing_images, shipped_rules, written

FLIPS = list(product((False, True), repeat=3))


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """A noisy study, so that no symmetry hides a mistake."""
    folder = tmp_path_factory.mktemp("order") / "study"
    written(simulate(SimulationSettings(seed=3, snr=60.0, t1_mm=4.0)), folder)
    return folder


def analysed(folder: Path) -> StudyAnalysis:
    """Read and analyse a study."""
    inputs = read_study(files_below(folder), shipped_rules()).inputs
    provenance = Provenance(software_version="0", templates_version="0", revision=1)
    return analyse_study(inputs, AnalysisSettings(), provenance)


@pytest.fixture(scope="module")
def expected(study) -> StudyAnalysis:
    """The study as simulated."""
    return analysed(study)


def placed(dataset: Dataset, position, across, down) -> None:
    """Write place and orientation; `across` and `down` are steps of columns and rows [mm]."""
    lengths = [float(np.linalg.norm(step)) for step in (down, across)]
    directions = np.concatenate([across / lengths[1], down / lengths[0]])
    dataset.PixelSpacing = [float(f"{length:.10g}") for length in lengths]
    dataset.ImageOrientationPatient = [float(f"{x:.10g}") for x in directions]
    dataset.ImagePositionPatient = [float(f"{x:.10g}") for x in position]


def geometry(dataset: Dataset):
    """Position, and steps of columns and of rows, LPS [mm]."""
    orientation = np.array(dataset.ImageOrientationPatient, float)
    row_mm, column_mm = (float(x) for x in dataset.PixelSpacing)
    position = np.array(dataset.ImagePositionPatient, float)
    return position, orientation[:3] * column_mm, orientation[3:] * row_mm


def turned(flips: tuple[bool, bool, bool], patient_position: str):
    """A change that transposes and mirrors the plane, and moves position and axes with it."""

    def change(dataset: Dataset) -> None:
        pixels = dataset.pixel_array
        position, across, down = geometry(dataset)
        if flips[0]:
            pixels, across, down = pixels.T, down, across
        if flips[1]:
            position = position + down * (pixels.shape[0] - 1)
            pixels, down = pixels[::-1], -down
        if flips[2]:
            position = position + across * (pixels.shape[1] - 1)
            pixels, across = pixels[:, ::-1], -across
        dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.PatientPosition = patient_position
        placed(dataset, position, across, down)

    return change


def require_equal(found: StudyAnalysis, expected: StudyAnalysis) -> None:
    """Indices within 1e-6, the same call, nothing missing."""
    assert missing_images(found) == []
    assert found.results.lateralization.call == expected.results.lateralization.call
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        one, other = found.results.asymmetry.indices[name], expected.results.asymmetry.indices[name]
        assert one is not None
        assert other is not None
        assert one.value == pytest.approx(other.value, abs=1e-6)


@pytest.mark.parametrize("series", [("cest", "b0", "b1"), ("b0",)])
@pytest.mark.parametrize("flips", FLIPS)
def test_a_plane_stored_in_any_of_eight_ways_gives_the_same_indices(
    study, expected, tmp_path, flips, series
):
    """Transposed and mirrored images with matching IPP and IOP change no index by 1e-6.

    The patient position (feet first, prone) is a word beside the geometry and decides nothing.
    """
    folder = copied(study, tmp_path)
    position = ("HFS", "FFS", "HFP", "FFP")[2 * flips[1] + flips[2]]
    for name in series:
        for path in (folder / name).glob("*.dcm"):
            edited(path, turned(flips, position))
    require_equal(analysed(folder), expected)


def copied(study: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    for path in files_below(study):
        target = tmp_path / path.relative_to(study)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(("number", "order"), list(enumerate(permutations(range(3)))))
def test_a_t1_stacked_along_any_axis_gives_the_same_indices(
    study, expected, tmp_path, number, order
):
    """A T1 stacked along another axis or in reverse shows and measures the same.

    Each of the six orders of axes is tried with two of the eight mirrorings, to be quick; the
    segmentation keeps its own place.
    """
    folder = copied(study, tmp_path)
    slices = [pydicom.dcmread(path) for path in sorted((folder / "t1").glob("*.dcm"))]
    for flips in FLIPS[number % 4 :: 4]:
        restack(slices, folder / "t1", order, flips)
        found = analysed(folder)
        require_equal(found, expected)
        assert found.underlay is not None
        np.testing.assert_allclose(found.underlay, expected.underlay, rtol=1e-4, atol=0.5)


def restack(slices, folder: Path, order, flips) -> None:
    """Write the T1 with its axes in another order and direction."""
    position, across, down = geometry(slices[0])
    last, _, _ = geometry(slices[-1])
    axes = [(last - position) / (len(slices) - 1), down, across]
    voxels = np.stack([one.pixel_array for one in slices]).transpose(order)
    axes = [axes[one] for one in order]
    for axis, flip in enumerate(flips):
        if flip:
            position = position + axes[axis] * (voxels.shape[axis] - 1)
            axes[axis], voxels = -axes[axis], np.flip(voxels, axis)
    for path in folder.glob("*.dcm"):
        path.unlink()
    for number, plane in enumerate(voxels):
        dataset = deepcopy(slices[0])
        dataset.PixelData = np.ascontiguousarray(plane).tobytes()
        dataset.Rows, dataset.Columns = plane.shape
        dataset.SliceThickness = float(f"{np.linalg.norm(axes[0]):.10g}")
        dataset.NumberOfSlices = len(voxels)
        dataset.SOPInstanceUID = f"2.25.{7000 + number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        placed(dataset, position + number * axes[0], axes[2], axes[1])
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
