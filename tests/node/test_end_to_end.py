"""The main job with real peers: storescu sends, the node computes, Orthanc is the PACS."""

import json
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from cestle.config.templates import shipped_templates_dir
from cestle.dicom.simulated import EncodingOptions, write_study
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service.node import Node
from cestle.service.status import list_studies
from node import orthanc
from node.rig import need_program, node_config, store, wait_until
from phantoms import brain_7t

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]

PRODUCTS = ["glucest_map", "segmentation", "segmentation_t1", "secondary_capture", "report"]
PERSON = "Wáng^Xiǎo Dōng=王^小東"
IDENTITY = ("Wáng", "王", "PID-4711-PLANTED")


@pytest.fixture(scope="module")
def loop(quiet_phantom, tmp_path_factory):
    """One study sent by storescu, and all that is known after its results were delivered."""
    folder = tmp_path_factory.mktemp("loop")
    encoding = EncodingOptions(patient_name=PERSON, patient_id=IDENTITY[2])
    files = write_study(quiet_phantom, folder / "study", encoding=encoding)
    with orthanc.running(folder) as pacs:
        config = node_config(folder, destinations=[("pacs", "PACS", pacs.dicom_port)])
        with Node(config) as node:
            # -R proposes what the files need; the default contexts of storescu lack SEG
            sent = store(node.port, files, options=["-R"])
            assert sent.returncode == 0, sent.stderr
            study = wait_until(lambda: delivered(config), seconds=120.0, what="the delivery")
        yield folder, pacs, study


def delivered(config):
    """The only study once its results are delivered; a study that failed fails the test."""
    for study in list_studies(config):
        assert study.state not in ("failed", "parked", "undelivered"), study
        if study.state == "done":
            return study
    return None


def outputs(study):
    """Product, file and data set of each result object."""
    folder = Path(study.revisions[0].folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return [
        (record["product"], folder / record["path"], pydicom.dcmread(folder / record["path"]))
        for record in results["outputs"]
    ]


def test_every_object_is_in_the_pacs(loop):
    """Orthanc acknowledged all objects and holds each under its UID."""
    _, pacs, study = loop
    assert [product for product, _, _ in outputs(study)] == PRODUCTS
    delivery = study.revisions[0].deliveries[0]
    assert (delivery.sent, delivery.planned) == (5, 5)
    for _, _, dataset in outputs(study):
        answer = pacs.found(
            "IMAGE",
            StudyInstanceUID=dataset.StudyInstanceUID,
            SeriesInstanceUID=dataset.SeriesInstanceUID,
            SOPInstanceUID="",
        )
        assert dataset.SOPInstanceUID in answer


def test_the_study_is_found_under_its_patient(loop):
    """C-FIND by Patient ID finds the study with five instances and its name byte for byte."""
    _, pacs, study = loop
    answer = pacs.found(
        "STUDY", PatientID=IDENTITY[2], StudyInstanceUID="", NumberOfStudyRelatedInstances=""
    )
    assert study.study_instance_uid in answer
    assert "[5" in answer
    for _, _, dataset in outputs(study):
        assert str(dataset.PatientName) == PERSON


def test_orthanc_renders_page_and_map(loop):
    """Orthanc draws the page with our very pixels, and the map bright where the contrast is."""
    _, pacs, study = loop
    objects = {product: dataset for product, _, dataset in outputs(study)}
    page = np.asarray(
        Image.open(BytesIO(pacs.rendered(objects["secondary_capture"].SOPInstanceUID)))
    )
    stored = objects["secondary_capture"].pixel_array
    assert page.shape[:2] == stored.shape[:2]
    assert np.mean(np.abs(page[..., :3].astype(int) - stored.astype(int))) < 1.0
    drawn = np.asarray(
        Image.open(BytesIO(pacs.rendered(objects["glucest_map"].SOPInstanceUID))).convert("L"),
        dtype=float,
    )
    percent = objects["glucest_map"].pixel_array.astype(float)
    inside = (percent > 0) & (percent < 1200)
    assert np.corrcoef(drawn[inside], percent[inside])[0, 1] > 0.9


def test_dciodvfy_finds_no_error(loop):
    """The validator dciodvfy reports no error in any object as sent."""
    program = need_program("dciodvfy")
    _, _, study = loop
    for product, path, _ in outputs(study):
        checked = subprocess.run([program, "-new", str(path)], capture_output=True, check=False)
        text = (checked.stdout + checked.stderr).decode(errors="replace")
        errors = [line for line in text.splitlines() if line.startswith("Error")]
        assert errors == [], product
        assert checked.returncode == 0


def test_numbers_in_the_report_are_those_put_in(loop, quiet_phantom):
    """The hippocampal index that came back is within 0.002 of the truth, and the call is left."""
    _, _, study = loop
    folder = Path(study.revisions[0].folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    truth = quiet_phantom.truth["asymmetry"]["slice"]["dai_glu_h_epi"]
    assert results["asymmetry"]["dai_glu_h_epi"]["value"] == pytest.approx(truth, abs=0.002)
    assert results["lateralization"]["call"] == "left"


def test_no_name_or_id_in_any_file_name(loop):
    """No file or folder of the node is named after the patient."""
    folder, _, _ = loop
    names = [str(path.relative_to(folder)) for path in (folder / "data").rglob("*")]
    assert not [name for name in names if any(part in name for part in IDENTITY)]


def test_real_brain_comes_back_as_a_map(tmp_path, shared_data):
    """A brain measured at 7T goes in by storescu and comes back as a map of its z-spectrum.

    Expected is the contrast read directly off the full z-spectrum of 57 offsets at each voxel's
    own water; the map has only six offsets between which to interpolate.
    """
    brain = brain_7t.load(shared_data / "cest-7t-brain" / "Example_data.mat")
    brain_7t.write_study(brain, tmp_path / "study")
    overlay = tmp_path / "overlay" / "classify"
    overlay.mkdir(parents=True)
    rules = (shipped_templates_dir() / "classify" / "uih_jupiter.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("f0_range_mhz: [205.0, 216.0]", "f0_range_mhz: [290.0, 300.0]"),
        ("signal_rises_with_offset: true", "signal_rises_with_offset: false"),
    ):
        assert old in rules
        rules = rules.replace(old, new)
    (overlay / "uih_jupiter.yaml").write_text(rules, encoding="utf-8")
    # the shipped B1 calibration is for 5T and would refuse these images
    extra = f'[templates]\noverlay_dir = "{tmp_path / "overlay"}"\n[analysis]\nb1_method = "none"\n'
    with orthanc.running(tmp_path) as pacs:
        destinations = [("pacs", "PACS", pacs.dicom_port)]
        config = node_config(tmp_path, destinations=destinations, extra=extra)
        with Node(config) as node:
            sent = store(node.port, sorted((tmp_path / "study").glob("*.dcm")))
            assert sent.returncode == 0, sent.stderr
            study = wait_until(lambda: delivered(config), seconds=120.0, what="the delivery")
    [image] = [data for product, _, data in outputs(study) if product == "glucest_map"]
    source = pydicom.dcmread(tmp_path / "study" / "cest1.dcm")
    assert list(image.ImagePositionPatient) == list(source.ImagePositionPatient)
    assert list(image.ImageOrientationPatient) == list(source.ImageOrientationPatient)
    mapping = image.RealWorldValueMappingSequence[0]
    stored = image.pixel_array.astype(float)
    valid = stored != image.PixelPaddingValue
    percent = stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    expected = brain.direct_glucest()
    inside = valid & brain.brain & (np.abs(brain.b0_shift_ppm) <= 0.4)
    assert inside.sum() > 7000
    error = np.abs(percent - expected)[inside]
    assert np.median(error) < 0.4
    assert np.corrcoef(percent[inside], expected[inside])[0, 1] > 0.99
    # the same images without B0 correction are further away where the field is off
    off = inside & (np.abs(brain.b0_shift_ppm) > 0.15)
    plain = 100.0 * (1.0 - brain.signal_at(3.0)[off] / brain.signal_at(-3.0)[off])
    assert np.median(np.abs(plain - expected[off])) > 2.0 * np.median(
        np.abs(percent - expected)[off]
    )


def test_a_spoilt_study_is_parked_and_the_next_one_is_done(tmp_path, quiet_phantom):
    """Two patients in one study: parked with one line that names neither; the node goes on."""
    spoilt = write_study(quiet_phantom, tmp_path / "spoilt")
    [field_map] = [path for path in spoilt if path.parent.name == "b0"]
    image = pydicom.dcmread(field_map)
    image.PatientID, image.PatientName = IDENTITY[2], PERSON
    image.save_as(field_map)
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        with Node(config) as node:
            assert store(node.port, spoilt, options=["-R"]).returncode == 0
            parked = wait_until(
                lambda: next((one for one in list_studies(config) if one.state == "parked"), None),
                seconds=60.0,
                what="the parking",
            )
            assert "2 patients" in parked.reason
            assert not any(part in parked.reason for part in IDENTITY)
            brain = SimulationSettings(seed=3, snr=None, t1_mm=3.0, study_key="next")
            good = write_study(simulate(brain), tmp_path / "good")
            assert store(node.port, good, options=["-R"]).returncode == 0
            done = wait_until(
                lambda: next((one for one in list_studies(config) if one.state == "done"), None),
                seconds=60.0,
                what="the second study",
            )
    assert done.study_instance_uid != parked.study_instance_uid
    assert len(pacs.files()) == 5


def test_real_uih_images_are_received_and_parked(tmp_path, shared_data):
    """Real uMR 770 images, odd dates and tiles included, are stored; nothing is sent."""
    files = sorted((shared_data / "uih-umr770").rglob("*.dcm"))
    assert len(files) == 37
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        with Node(config) as node:
            sent = store(node.port, files, options=["-R"])
            assert sent.returncode == 0, sent.stderr
            study = wait_until(
                lambda: next((one for one in list_studies(config) if one.state == "parked"), None),
                seconds=60.0,
                what="the answer",
            )
    assert study.instances == len(files)
    assert "no GluCEST image" in study.reason
    assert pacs.files() == ()
