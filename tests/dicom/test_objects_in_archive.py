"""Every object in Orthanc: stored, found, moved, fetched and drawn, by DIMSE and by DICOMweb."""

import struct
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image
from pynetdicom import AE, build_role, evt
from pynetdicom.presentation import build_context

from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import send_instances
from node import orthanc
from node.rig import node_config, run_dcmtk
from phantoms import analysis_builder as build
from phantoms.output_sets import WrittenSet
from phantoms.source_builder import CHINESE_NAME, sources

pytestmark = pytest.mark.peer

CHARSETS = ["ISO_IR 192", "GB18030", "GBK"]
GET = "1.2.840.10008.5.1.4.1.2.2.3"
DRAWN = ["glucest_map", "secondary_capture", "segmentation", "parametric_map", "page_frames"]


def study_uid(number):
    return f"{build.STUDY_UID}.{number}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Orthanc with every object of three studies, one for each character set, and a move target.

    The first study was sent by the node's sender, the others by dcmtk's storescu.
    """
    folder = tmp_path_factory.mktemp("archive")
    sets = {}
    for number, charset in enumerate(CHARSETS):
        uid = study_uid(number)
        received = sources(charset=charset, StudyInstanceUID=uid, PatientID=f"TLE-{number}")
        analysis = build.analysis(study_instance_uid=uid)
        sets[charset] = WrittenSet(folder / str(number), analysis, received)
    with (
        PacsStandIn(folder / "moved", ae_title="CESTLE") as target,
        orthanc.running(folder, move_port=target.port) as pacs,
    ):
        config = node_config(folder, destinations=[("pacs", "PACS", pacs.dicom_port)])
        first, *others = sets.values()
        taken = []
        send_instances(
            [describe_file(file) for file in primary(first)],
            config.destinations[0],
            config,
            acknowledged=taken.append,
        )
        assert len(taken) == len(primary(first))
        for made in others:
            sent = store(pacs, primary(made))
            assert sent.returncode == 0, sent.stderr
        yield pacs, sets, target


def primary(made):
    """Files of the objects in their first form."""
    return [path for paths in made.files.values() for path in paths]


def store(pacs, files, *, calling="CESTLE", called="PACS"):
    """Send with dcmtk's storescu, which proposes what the files need."""
    options = ["-R", "-aet", calling, "-aec", called]
    return run_dcmtk("storescu", *options, "127.0.0.1", pacs.dicom_port, *files)


def test_a_stranger_is_turned_away(archive):
    """The archive takes the objects from the node's title only, so its answer means something."""
    pacs, sets, _ = archive
    files = primary(sets["GBK"])[:1]
    assert store(pacs, files, calling="ROGUE").returncode != 0
    assert store(pacs, files, called="OTHER").returncode != 0


@pytest.mark.parametrize("number", range(3))
def test_every_instance_is_found(archive, number):
    """C-FIND at image level answers each instance of a study, and no other."""
    pacs, sets, _ = archive
    made = sets[CHARSETS[number]]
    answer = pacs.found("IMAGE", StudyInstanceUID=study_uid(number), SOPInstanceUID="")
    for file in primary(made):
        assert pydicom.dcmread(file).SOPInstanceUID in answer
    assert answer.count("SOPInstanceUID") >= len(primary(made))


def test_every_instance_is_moved_as_it_was(archive):
    """C-MOVE of a study brings each instance, equal to the file that was sent."""
    pacs, sets, target = archive
    options = ["-S", "-aet", "CESTLE", "-aec", "PACS", "-aem", "CESTLE"]
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid(1)}"]
    moved = run_dcmtk("movescu", *options, "127.0.0.1", pacs.dicom_port, *keys)
    assert moved.returncode == 0, moved.stderr
    held = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, target.files())}
    expected = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, primary(sets["GB18030"]))}
    assert held == expected


def test_every_instance_is_fetched_as_it_was(archive):
    """C-GET of a study brings each instance, equal to the file that was sent."""
    pacs, sets, _ = archive
    expected = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, primary(sets["GBK"]))}
    fetched = {}

    def keep(event):
        dataset = event.dataset
        fetched[str(dataset.SOPInstanceUID)] = dataset
        return 0x0000

    classes = {str(d.SOPClassUID) for d in expected.values()}
    entity = AE(ae_title="CESTLE")
    query = pydicom.Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_uid(2)
    association = entity.associate(
        "127.0.0.1",
        pacs.dicom_port,
        ae_title="PACS",
        contexts=[build_context(GET), *map(build_context, classes)],
        ext_neg=[build_role(uid, scp_role=True) for uid in classes],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    statuses = [status.Status for status, _ in association.send_c_get(query, GET)]
    association.release()
    assert statuses[-1] == 0x0000
    assert fetched == expected


@pytest.mark.parametrize("number", range(3))
def test_dicomweb_knows_the_patient(archive, number):
    """QIDO-RS and WADO-RS metadata tell the Chinese name, whatever set the study is encoded in."""
    import json

    pacs, sets, _ = archive
    query = f"/studies?StudyInstanceUID={study_uid(number)}&includefield=PatientName"
    status, _, body = pacs.web(query, accept="application/dicom+json")
    (study,) = json.loads(body)
    assert status == 200
    groups = study["00100010"]["Value"][0]
    assert f"{groups['Alphabetic']}={groups['Ideographic']}" == CHINESE_NAME
    path = f"/studies/{study_uid(number)}/metadata"
    _, _, body = pacs.web(path, accept="application/dicom+json")
    told = json.loads(body)
    assert len(told) == len(primary(sets[CHARSETS[number]]))
    for instance in told:
        groups = instance["00100010"]["Value"][0]
        assert groups["Ideographic"] == "张^三"


def web_path(dataset):
    return (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )


def test_wado_gives_each_instance_as_it_was(archive):
    """WADO-RS gives each object equal to the file that was sent."""
    pacs, sets, _ = archive
    for file in primary(sets["ISO_IR 192"]):
        dataset = pydicom.dcmread(file)
        status, kind, body = pacs.web(
            web_path(dataset), accept='multipart/related; type="application/dicom"'
        )
        assert status == 200, file.name
        boundary = kind.split("boundary=")[1].split(";")[0].strip('"').encode()
        content = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--" + boundary, 1)[0]
        assert pydicom.dcmread(BytesIO(content)) == dataset, file.name


def test_stow_takes_a_report_in_an_older_class(archive):
    """STOW-RS takes a fallback of the report, and WADO-RS gives it back."""
    pacs, sets, _ = archive
    file = sets["ISO_IR 192"].forms["report", "enhanced"]
    boundary = b"cestle-boundary"
    body = (
        b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes()
    ) + (b"\r\n--" + boundary + b"--\r\n")
    kind = f'multipart/related; type="application/dicom"; boundary={boundary.decode()}'
    status, _, _ = pacs.web(
        "/studies", accept="application/dicom+json", body=body, content_type=kind
    )
    assert status == 200
    status, _, _ = pacs.web(
        web_path(pydicom.dcmread(file)), accept='multipart/related; type="application/dicom"'
    )
    assert status == 200


@pytest.mark.parametrize("product", DRAWN)
def test_dicomweb_draws_the_images(archive, product):
    """Each image object is drawn by WADO-RS rendered as a picture of its own size."""
    pacs, sets, _ = archive
    dataset = sets["ISO_IR 192"].read(product)
    path = web_path(dataset)
    if "NumberOfFrames" in dataset:
        path += "/frames/1"
    status, kind, body = pacs.web(f"{path}/rendered", accept="image/png")
    assert (status, kind) == (200, "image/png")
    width, height = struct.unpack(">II", body[16:24])
    assert (height, width) == (dataset.Rows, dataset.Columns)


def test_what_is_no_image_is_not_drawn(archive):
    """The report has no picture: rendering it is refused, so that a picture means something."""
    pacs, sets, _ = archive
    path = web_path(sets["ISO_IR 192"].read("report"))
    status, _, _ = pacs.web(f"{path}/rendered", accept="image/png")
    assert status >= 400


def test_the_drawn_page_is_the_page(archive):
    """The page drawn by DICOMweb is ours pixel by pixel: legend, warning, letters and sides."""
    pacs, sets, _ = archive
    dataset = sets["ISO_IR 192"].read("secondary_capture")
    _, _, body = pacs.web(f"{web_path(dataset)}/rendered", accept="image/png")
    drawn = np.asarray(Image.open(BytesIO(body)).convert("RGB"))
    np.testing.assert_array_equal(drawn, dataset.pixel_array)
