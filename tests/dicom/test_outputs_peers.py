"""The objects before programs of other projects."""

import shutil
import subprocess
from datetime import datetime

import numpy as np
import pydicom
import pytest
from PIL import Image

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.identity import OutputIdentity
from cestle.dicom.outputs import build_outputs, write_outputs
from phantoms import analysis_builder as build
from phantoms import mega_builder as mega
from phantoms.source_builder import sources, spectra_sources

pytestmark = pytest.mark.peer

CREATED = datetime(2026, 11, 23, 8, 30, 5)  # noqa: DTZ001  wall clock of the site
TEMPLATES = load_template_set(TemplateFolder.default())

ACCEPTED_WARNINGS = (
    "Unrecognized defined term = <99CESTLE>",
    "DeviceUID(0018,1002)> - Attribute is not present",
    "RescaleIntercept(0028,1052)",
    "RescaleSlope(0028,1053)",
    "RescaleType(0028,1054)",
)
"""What the dictionary of dicom3tools 2022 does not know, or frowns at on purpose (MR rescale)."""


def run(*command):
    """Run a program; skip where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on this machine")
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", errors="replace")
    return done.returncode, text


def write(folder, analysis, received, **identity):
    """Write the objects of an analysis and its sources; paths by product."""
    made = OutputIdentity(**({"origin": "test", "revision": 1, "created": CREATED} | identity))
    objects = build_outputs(analysis, received, TEMPLATES, made).objects
    records = write_outputs(objects, folder / "dicom")
    for role, datasets in received.items():
        (folder / "sources").mkdir(exist_ok=True)
        for k, dataset in enumerate(datasets):
            dataset.save_as(folder / "sources" / f"{role}_{k}.dcm")
    return {record.product: folder / record.path for record in records}


STUDIES = {
    "utf8": lambda: (build.usual_analysis(), sources(charset="ISO_IR 192")),
    "gb18030": lambda: (build.usual_analysis(), sources(charset="GB18030")),
    "latin": lambda: (build.analysis(onset_side=build.Side.LEFT), sources(charset="ISO_IR 100")),
    "no_map": lambda: (build.analysis_without_map(), sources(charset="GB18030")),
    "vendor": lambda: (
        build.vendor_analysis(),
        {"cest_map_vendor": sources()["b0_map"]},
    ),
    "slices": lambda: (
        build.analysis(build.coronal_grid((3, 128, 128))),
        sources(build.coronal_grid((3, 128, 128))),
    ),
    "one_region_absent": lambda: (
        build.analysis(absent=((build.Structure.AMYGDALA, build.Side.LEFT),)),
        sources(),
    ),
    "spectra": lambda: (
        mega.analysis(anatomy=mega.anatomy(), onset_side=build.Side.LEFT),
        sources(charset="GB18030") | spectra_sources(charset="GB18030"),
    ),
    "poor_spectra_alone": lambda: (
        mega.analysis_of_spectra_only(mega.failed_analysis()),
        spectra_sources(),
    ),
}


@pytest.fixture(scope="module", params=list(STUDIES))
def case(request, tmp_path_factory):
    """The files of one kind of study."""
    folder = tmp_path_factory.mktemp(request.param)
    return folder, write(folder, *STUDIES[request.param]())


def test_dciodvfy_finds_no_error(case):
    """Dciodvfy ends with 0 for each object and warns of nothing but what is listed."""
    for path in sorted((case[0] / "dicom").rglob("*.dcm")):
        code, text = run("dciodvfy", "-new", path)
        unexpected = [
            line
            for line in text.splitlines()
            if line.startswith(("Error", "Warning"))
            and not any(accepted in line for accepted in ACCEPTED_WARNINGS)
        ]
        assert unexpected == [], path.name
        assert code == 0, path.name


def test_dcentvfy_finds_one_patient_and_one_study(case):
    """Dcentvfy sees the same patient and study in sources and results."""
    folder = case[0]
    files = [*sorted((folder / "dicom").rglob("*.dcm")), *sorted((folder / "sources").iterdir())]
    code, text = run("dcentvfy", *files)
    assert code == 0
    assert not [line for line in text.splitlines() if line.startswith("Error")]


def test_dcmtk_prints_the_report(case):
    """Dsrdump accepts the tree of each report and prints the call as unverified."""
    code, text = run("dsrdump", case[1]["report"])
    assert code == 0
    assert "UNVERIFIED" in text
    assert "GluCEST asymmetry lateralizes to" in text
    assert not [line for line in text.splitlines() if line.startswith("E:")]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The files of a whole study, to be broken."""
    folder = tmp_path_factory.mktemp("sound")
    return folder, write(folder, build.usual_analysis(), sources())


def test_dcmtk_reads_the_chinese_name(tmp_path):
    """Dcmdump decodes the patient's name of a GB18030 result to what the scanner wrote."""
    files = write(tmp_path, build.usual_analysis(), sources(charset="GB18030"))
    for path in files.values():
        code, text = run("dcmdump", "+U8", "+P", "0010,0010", path)
        assert code == 0
        assert "张^三" in text


def test_dcmtk_renders_the_page_unchanged(sound, tmp_path):
    """dcmj2pnm gives the pixels of the colour page exactly."""
    code, _ = run("dcmj2pnm", "+op", sound[1]["secondary_capture"], tmp_path / "page.ppm")
    assert code == 0
    rendered = np.asarray(Image.open(tmp_path / "page.ppm"))
    stored = pydicom.dcmread(sound[1]["secondary_capture"]).pixel_array
    np.testing.assert_array_equal(rendered, stored)


def test_dcmtk_renders_the_map_in_its_window(tmp_path):
    """Without the rescale, grey rises from 5 to 12 percent in dcmj2pnm as the colours do.

    With the rescale DCMTK rounds to whole percents, which is why a site can switch it off.
    """
    relative = "objects/series.yaml"
    shipped = TemplateFolder.default().path(relative).read_text(encoding="utf-8")
    (tmp_path / "objects").mkdir()
    (tmp_path / relative).write_text(shipped.replace("rescale: true", "rescale: false"), "utf-8")
    templates = load_template_set(TemplateFolder.default(tmp_path))
    made = OutputIdentity(origin="test", revision=1, created=CREATED)
    objects = build_outputs(build.usual_analysis(), sources(), templates, made).objects[:1]
    write_outputs(objects, tmp_path / "dicom")
    path = tmp_path / "dicom" / objects[0].file_name
    code, _ = run("dcmj2pnm", "+Wi", "1", "+op", path, tmp_path / "map.pgm")
    assert code == 0
    grey = np.asarray(Image.open(tmp_path / "map.pgm").convert("L")).astype(float)
    percent = pydicom.dcmread(path).pixel_array * 0.01
    inside = (percent > 5.1) & (percent < 11.9)
    expected = (percent[inside] - 5.0) / 7.0 * 255.0
    assert np.abs(grey[inside] - expected).max() < 1.5
