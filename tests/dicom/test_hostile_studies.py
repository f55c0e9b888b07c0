"""Studies as an unlucky or hostile world would send them: right numbers, or a clear refusal."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from cestle.dicom.files import files_below
from cestle.dicom.study_reader import ReadStudy, read_study
from cestle.errors import HeaderError
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
