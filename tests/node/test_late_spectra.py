"""Spectra that arrive after the images: a revision of their own, and what causes none."""

import pydicom
import pytest

from cestle.engine.jobs import Pauses
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.node import Node
from cestle.service.status import list_studies
from node.rig import ROOT, FakeCompute, mr_instance, node_config, store, wait_until
from phantoms.spectroscopy_builder import instances, noise, spectrum, uih_mega

pytestmark = pytest.mark.peer
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
QUICK = Pauses(first_s=0.1, longest_s=0.1, total_s=0.25)
# Images without spectra lack much of a GluCEST study, so they are processed after 0.6 s.
TIMES = "[study]\nquiet_seconds = 0.3\npartial_quiet_seconds = 0.6\n"


@pytest.fixture
def rig(tmp_path):
    """A node with the shipped rules, its PACS and its computation."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        compute = FakeCompute(tmp_path / "compute")
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)], extra=TIMES)
        with Node(config, compute_command=compute.command, compute_pauses=QUICK) as node:
            yield node, config, compute, tmp_path


def of_the_study(dataset, number):
    """The data set as instance `number` of the patient and study of the images."""
    model = mr_instance()
    for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate"):
        setattr(dataset, keyword, model[keyword].value)
    dataset.SOPInstanceUID = f"{ROOT}.1.60.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def send(rig, *datasets):
    """Send data sets with the storescu of dcmtk, as the scanner does."""
    node, _, _, folder = rig
    paths = []
    for dataset in datasets:
        paths.append(folder / f"{dataset.SOPInstanceUID}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    sent = store(node.port, paths, options=["-R"])
    assert sent.returncode == 0, sent.stderr


def settled(rig, *, instances, revisions):
    """The study, once that many instances and revisions are there and nothing is under way."""

    def ask():
        found = list_studies(rig[1])
        done = found and found[0].state == "done" and found[0].instances == instances
        return found[0] if done and len(found[0].revisions) == revisions else None

    return wait_until(ask, what=f"{instances} instances and {revisions} revisions")


def uid_of(path):
    """SOP Instance UID of a file that a computation was given."""
    return pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID


def image(number):
    """An image that the rules take for a B0 map."""
    made = mr_instance(number)
    made.SeriesDescription = "B0Map"
    return made


def regions(number):
    """A segmentation of the study, as far as its header."""
    made = mr_instance(number, series=f"{ROOT}.1.{number}")
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SEGMENTATION
    made.Modality = "SEG"
    return made


def test_newer_regions_make_a_revision(rig):
    """Regions after the images are revision 2, newer ones revision 3, the same again none."""
    compute = rig[2]
    send(rig, image(1), image(2))
    settled(rig, instances=2, revisions=1)
    send(rig, regions(71))
    settled(rig, instances=3, revisions=2)
    send(rig, regions(72))
    found = settled(rig, instances=4, revisions=3)
    assert found.revisions[2].cause.startswith("late or changed instances")
    assert [one.predecessor for one in found.revisions] == [None, 1, 2]
    send(rig, regions(72))
    settled(rig, instances=4, revisions=3)
    assert len(compute.calls) == 3
    assert f"{ROOT}.1.9.72" in {uid_of(file) for file in compute.calls[2]["files"]}


def test_late_spectra_make_a_revision_and_their_picture_makes_none(rig):
    """Revision 1 without spectra; a picture of a spectrum changes nothing; spectra make 2."""
    compute = rig[2]
    send(rig, image(1), image(2))
    settled(rig, instances=2, revisions=1)

    drawn = spectrum(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.7", ImageType=["DERIVED", "SECONDARY", "SPECTRUM"]
    )
    picture = of_the_study(drawn, 1)
    send(rig, picture)
    settled(rig, instances=3, revisions=1)

    spectra = of_the_study(uih_mega(), 2)
    send(rig, spectra)
    study = settled(rig, instances=4, revisions=2)
    assert study.revisions[1].cause.startswith("late or changed instances")
    assert study.revisions[1].predecessor == 1
    assert len(compute.calls) == 2
    given = [{uid_of(name) for name in call["files"]} for call in compute.calls]
    assert given[1] - given[0] == {picture.SOPInstanceUID, spectra.SOPInstanceUID}


def test_the_rest_of_a_series_of_transients_is_waited_for(tmp_path):
    """With a transient left out the node waits for the longer time, and says for what."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        compute = FakeCompute(tmp_path / "compute")
        times = "[study]\nquiet_seconds = 0.3\npartial_quiet_seconds = 3600.0\n"
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)], extra=times)
        with Node(config, compute_command=compute.command, compute_pauses=QUICK) as node:
            rig = (node, config, compute, tmp_path)
            transients = [
                of_the_study(one, number)
                for number, one in enumerate(instances([noise(n) for n in range(4)]))
            ]
            send(rig, *transients[:2], transients[3])
            waiting = wait_until(
                lambda: next(
                    (one for one in list_studies(config) if "mrs_mega (3 of 4" in one.reason), None
                ),
                what="the reason",
            )
            assert waiting.revisions == ()
            send(rig, transients[2])
            wait_until(
                lambda: "mrs_mega" not in list_studies(config)[0].reason, what="the last transient"
            )
            assert compute.calls == []
