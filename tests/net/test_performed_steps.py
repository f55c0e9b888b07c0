"""Performed procedure steps as a scanner sends them: the rules of PS3.4 annex F.

No tool of dcmtk sends them, so pynetdicom is the scanner.
"""

from contextlib import contextmanager

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.presentation import build_context

from cestle.errors import SpoolError
from cestle.net.listener import Listener
from cestle.net.performed_steps import PERFORMED_STEP
from cestle.spool.database import Database
from cestle.spool.performed_steps import PerformedSteps
from cestle.study.performed_steps import StepState
from node.rig import MR_IMAGE, PLANTED, ROOT, node_config

STUDY = f"{ROOT}.1"


@pytest.fixture
def database(database_place):
    database = Database(database_place)
    yield database
    database.close()


@pytest.fixture
def steps(database):
    return PerformedSteps(database)


@contextmanager
def listening(folder, steps):
    config = node_config(folder)
    listener = Listener(config, store=lambda _: None, quarantine=lambda _: None, steps=steps)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop(grace_seconds=0.5)


@pytest.fixture
def scanner(tmp_path, steps):
    """An association of a scanner for procedure steps."""
    with listening(tmp_path, steps) as listener, associated(listener) as association:
        yield association


@contextmanager
def associated(listener, calling="SCANNER"):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = 5
    association = entity.associate(
        "127.0.0.1",
        listener.port,
        contexts=[build_context(PERFORMED_STEP, ExplicitVRLittleEndian)],
        ae_title="CESTLE",
    )
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def begun(study=STUDY, state="IN PROGRESS"):
    """Attributes of a new step, with the patient."""
    order = Dataset()
    order.StudyInstanceUID = study
    order.AccessionNumber = PLANTED[3]
    content = Dataset()
    content.PatientName, content.PatientID, content.PatientBirthDate, _ = PLANTED
    content.PatientSex = "O"
    content.ScheduledStepAttributesSequence = Sequence([order] if study else [])
    content.PerformedProcedureStepID = "1"
    content.PerformedStationAETitle = "SCANNER"
    content.PerformedProcedureStepStartDate = "20260102"
    content.PerformedProcedureStepStartTime = "101112"
    content.Modality = "MR"
    content.PerformedSeriesSequence = Sequence([])
    if state:
        content.PerformedProcedureStepStatus = state
    return content


def ended(state="COMPLETED", images=(1, 2), spectra=(3,)):
    """A change of a step: its state, and a series of images and spectra."""

    def references(numbers):
        items = []
        for number in numbers:
            item = Dataset()
            item.ReferencedSOPClassUID = MR_IMAGE
            item.ReferencedSOPInstanceUID = f"{STUDY}.9.{number}"
            items.append(item)
        return Sequence(items)

    series = Dataset()
    series.SeriesInstanceUID = f"{STUDY}.5"
    series.ProtocolName = "GluCEST"
    series.PerformingPhysicianName = PLANTED[0]
    series.ReferencedImageSequence = references(images)
    series.ReferencedNonImageCompositeSOPInstanceSequence = references(spectra)
    content = Dataset()
    if state:
        content.PerformedProcedureStepStatus = state
    content.PerformedSeriesSequence = Sequence([series])
    return content


def test_a_step_from_its_begin_to_its_end(scanner, steps):
    """Created in progress, changed, completed: the list is that of the last change."""
    uid = generate_uid()
    status, _ = scanner.send_n_create(begun(), PERFORMED_STEP, uid)
    assert status.Status == 0x0000
    [step] = steps.of_study(STUDY)
    assert (step.step_uid, step.state, step.instances) == (uid, StepState.IN_PROGRESS, frozenset())
    status, _ = scanner.send_n_set(ended(None, images=(1, 7), spectra=()), PERFORMED_STEP, uid)
    assert status.Status == 0x0000
    assert steps.of_study(STUDY)[0].state is StepState.IN_PROGRESS
    status, _ = scanner.send_n_set(ended(), PERFORMED_STEP, uid)
    assert status.Status == 0x0000
    [step] = steps.of_study(STUDY)
    assert step.state is StepState.COMPLETED
    assert step.instances == {(f"{STUDY}.5", f"{STUDY}.9.{number}") for number in (1, 2, 3)}


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_has_ended_may_no_longer_be_updated(scanner, steps, state):
    """0x0110 with Error ID 0xA710 (PS3.4 F.7.2.2), and nothing changes."""
    uid = generate_uid()
    scanner.send_n_create(begun(), PERFORMED_STEP, uid)
    assert scanner.send_n_set(ended(state), PERFORMED_STEP, uid)[0].Status == 0x0000
    before = steps.of_study(STUDY)
    status, _ = scanner.send_n_set(ended("IN PROGRESS", images=()), PERFORMED_STEP, uid)
    assert (status.Status, status.ErrorID) == (0x0110, 0xA710)
    assert "no longer be updated" in status.ErrorComment
    assert steps.of_study(STUDY) == before


def test_faults_are_answered_as_the_standard_says(scanner, steps):
    """Duplicate, unknown, wrong state, missing study, wrong UID: each with its status."""
    uid = generate_uid()
    assert scanner.send_n_create(begun(), PERFORMED_STEP, uid)[0].Status == 0x0000
    assert scanner.send_n_create(begun(), PERFORMED_STEP, uid)[0].Status == 0x0111
    assert scanner.send_n_set(ended(), PERFORMED_STEP, "1.2.3")[0].Status == 0x0112
    for content, status in (
        (begun(state="COMPLETED"), 0x0106),
        (begun(state="PERHAPS"), 0x0106),
        (begun(state=None), 0x0120),
        (begun(study=""), 0x0120),
    ):
        answer, _ = scanner.send_n_create(content, PERFORMED_STEP, generate_uid())
        assert answer.Status == status
    assert scanner.send_n_set(ended("PAUSED"), PERFORMED_STEP, uid)[0].Status == 0x0106
    [step] = steps.of_study(STUDY)
    assert step.state is StepState.IN_PROGRESS


def test_a_step_without_a_uid_gets_one(scanner, steps):
    """The SCP chooses one where the SCU does not, and says which (PS3.7 10.1.5.1.4)."""
    status, _ = scanner.send_n_create(begun(), PERFORMED_STEP, None)
    assert status.Status == 0x0000
    [step] = steps.of_study(STUDY)
    assert step.step_uid.startswith("2.25.")


def test_nothing_of_the_patient_is_kept(scanner, steps, database):
    """No planted value is in any row of the record."""
    uid = generate_uid()
    scanner.send_n_create(begun(), PERFORMED_STEP, uid)
    scanner.send_n_set(ended(), PERFORMED_STEP, uid)
    assert steps.of_study(STUDY)[0].state is StepState.COMPLETED
    for statement in ("SELECT * FROM performed_steps", "SELECT * FROM performed_instances"):
        rows = " ".join(str(dict(row)) for row in database.read(statement))
        assert uid in rows
        assert not [value for value in PLANTED if value in rows]


def test_who_is_no_peer_makes_no_step(tmp_path, steps):
    """The association itself is refused."""
    with listening(tmp_path, steps) as listener, associated(listener, "ROGUE") as association:
        assert association.is_rejected
    assert steps.of_study(STUDY) == ()


def test_a_record_that_cannot_be_written_is_said(tmp_path):
    """0x0213 when the step is not safe, so that the scanner sends it again."""

    class Broken:
        def create(self, *_, **__):
            raise SpoolError("the journal cannot be written")

        def change(self, *_, **__):
            raise SpoolError("the journal cannot be written")

    with listening(tmp_path, Broken()) as listener, associated(listener) as association:
        assert association.send_n_create(begun(), PERFORMED_STEP, "1.2.3")[0].Status == 0x0213
        assert association.send_n_set(ended(), PERFORMED_STEP, "1.2.3")[0].Status == 0x0213
