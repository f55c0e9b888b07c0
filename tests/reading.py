"""What tests of the reader share: rules, synthetic studies on disk, and edits of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.simulated import EncodingOptions, write_study
from cestle.dicom.study_reader import ReadStudy
from cestle.phantom.study import SimulatedStudy, SimulationSettings, simulate
from cestle.study.facts import InstanceFacts
from cestle.study.roles import Role, RuleSet

SHARED_DATA = Path(__file__).parents[1] / ".." / "shared" / "data"


def shared(relative: str) -> Path:
    """A folder or file of the shared data; skips the test when it is absent."""
    path = SHARED_DATA / relative
    if not path.exists():
        pytest.skip(f"shared data {relative} is not beside the checkout")
    return path


@cache
def shipped_rules() -> RuleSet:
    """The rules as shipped."""
    return load_rules(TemplateFolder.default())


def coarse_study(**settings: object) -> SimulatedStudy:
    """A quick synthetic study: 4 mm T1, noise-free unless said otherwise."""
    defaults: dict[str, object] = {"t1_mm": 4.0, "snr": None}
    return simulate(SimulationSettings(**(defaults | settings)))


def written(study: SimulatedStudy, folder: Path, **encoding: object) -> tuple[Path, ...]:
    """Write a study and return its DICOM files."""
    write_study(study, folder, encoding=EncodingOptions(**encoding))
    return tuple(path for path in files_below(folder) if path.suffix == ".dcm")


def missing_images(study: ReadStudy) -> list[str]:
    """Why images of a study are missing; that it has no spectra is another matter."""
    return [f"{name}: {why}" for name, why in study.inputs.missing if name != Role.MRS_MEGA]


def edited(path: Path, change: Callable[[Dataset], None]) -> None:
    """Change one file in place."""
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)


def facts(series: str = "1.2.3", sop: str = "1.2.3.1", **values: object) -> InstanceFacts:
    """Facts with the given element values; texts stand for single values."""
    sop_class = str(values.pop("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"))
    frame = values.pop("frame", None)
    return InstanceFacts(
        sop_instance_uid=sop,
        sop_class_uid=sop_class,
        series_instance_uid=series,
        study_instance_uid="1.2",
        frame=frame if isinstance(frame, int) else None,
        patient_key="key",
        number_of_frames=1,
        rows=4,
        columns=4,
        values={
            key: value if isinstance(value, tuple) else (str(value),)
            for key, value in values.items()
        },
    )
