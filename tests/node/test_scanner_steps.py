"""A scanner that says what it sends: the node waits for that, and for nothing else."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.presentation import build_context

from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.performed_steps import PERFORMED_STEP
from cestle.service.node import Node
from cestle.service.status import list_studies
from node.rig import MR_IMAGE, ROOT, FakeCompute, mr_instance, node_config, store, wait_until

pytestmark = pytest.mark.peer
PATIENT_TIMES = "[study]\nquiet_seconds = 600\npartial_quiet_seconds = 600\n"


def send(node, folder, *numbers):
    """Send images that the rules take for a B0 map."""
    paths = []
    for number in numbers:
        image = mr_instance(number)
        image.SeriesDescription = "B0Map"
        paths.append(folder / f"{number}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    assert store(node.port, paths).returncode == 0


def tell(node, state, numbers):
    """Create a step, then end it with a list of images."""
    entity = AE(ae_title="SCANNER")
    contexts = [build_context(PERFORMED_STEP, ExplicitVRLittleEndian)]
    association = entity.associate("127.0.0.1", node.port, contexts=contexts, ae_title="CESTLE")
    begun, order = Dataset(), Dataset()
    order.StudyInstanceUID = f"{ROOT}.1"
    begun.ScheduledStepAttributesSequence = Sequence([order])
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    uid = f"{ROOT}.4"
    assert association.send_n_create(begun, PERFORMED_STEP, uid)[0].Status == 0
    ended, series = Dataset(), Dataset()
    ended.PerformedProcedureStepStatus = state
    series.SeriesInstanceUID = f"{ROOT}.1.5"
    series.ReferencedImageSequence = Sequence()
    for number in numbers:
        item = Dataset()
        item.ReferencedSOPClassUID = MR_IMAGE
        item.ReferencedSOPInstanceUID = f"{ROOT}.1.9.{number}"
        series.ReferencedImageSequence.append(item)
    ended.PerformedSeriesSequence = Sequence([series])
    assert association.send_n_set(ended, PERFORMED_STEP, uid)[0].Status == 0
    association.release()


def test_the_list_of_the_scanner_decides(tmp_path):
    """Waits for the third of three listed images though silent; then begins without more ado."""
    times = PATIENT_TIMES + "performed_quiet_seconds = 0.3\n"
    with PacsStandIn(tmp_path / "pacs") as pacs:
        compute = FakeCompute(tmp_path / "compute")
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)], extra=times)
        with Node(config, compute_command=compute.command) as node:
            send(node, tmp_path, 1, 2)
            tell(node, "COMPLETED", (1, 2, 3))
            wanted = "1 of 3 instances that the scanner listed"
            wait_until(lambda: wanted in list_studies(config)[0].reason, what="the note")
            send(node, tmp_path, 3)
            done = wait_until(
                lambda: next((one for one in list_studies(config) if one.state == "done"), None),
                what="the result",
            )
    assert "3 of 3 listed instances are here" in done.revisions[0].cause
    assert "missing: CEST images or map" in done.revisions[0].cause
