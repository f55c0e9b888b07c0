"""Storage commitment on the wire: against the stand-in, through the listener, and with Orthanc."""

import json
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.presentation import build_context

from cestle.config.node import load_node_config
from cestle.errors import DeliveryError, InputError
from cestle.net.commitment import (
    CommitmentReport,
    ask_commitment,
    new_transaction_uid,
    read_report,
)
from cestle.net.contexts import COMMITMENT, COMMITMENT_INSTANCE, UNCOMPRESSED
from cestle.net.instances import describe_file
from cestle.net.listener import Listener
from cestle.net.pacs_stand_in import Commits, PacsStandIn
from cestle.net.reporters import Reporters
from cestle.net.sender import send_instances
from node import orthanc
from node.rig import MR_IMAGE, free_port, mr_instance, node_config, wait_until, write_instance

BOGUS = "1.2.826.0.1.3680043.8.498.999"


def configured(folder, port, *, peer="SCANNER", extra=""):
    """A configuration whose one destination is asked for commitment and is no peer."""
    node_config(folder, destinations=[("pacs", "PACS", port)])
    path = folder / "node.toml"
    text = path.read_text().replace('"SCANNER"', f'"{peer}"')
    path.write_text(
        text.replace("timeout_seconds", f"storage_commitment = true\n{extra}\ntimeout_seconds")
    )
    return load_node_config(path)


class Kept:
    """Keeps reports and answers them with a status."""

    def __init__(self, status=0x0000):
        self.reports = []
        self.status = status
        self.came = threading.Event()

    def __call__(self, report):
        """Keep one."""
        self.reports.append(report)
        self.came.set()
        return self.status


@pytest.fixture
def outgoing(tmp_path):
    return [describe_file(write_instance(tmp_path / "out", number)) for number in (1, 2, 3)]


def pairs(instances):
    return [(one.sop_class_uid, one.sop_instance_uid) for one in instances]


def store_and_ask(outgoing, config, report, *, asked=None, wait_seconds=3.0):
    destination = config.destinations[0]
    send_instances(outgoing, destination, config, acknowledged=lambda _: None)
    transaction = new_transaction_uid()
    ask_commitment(
        transaction,
        pairs(outgoing) if asked is None else asked,
        destination,
        config,
        report=report,
        awaited=lambda: not report.reports,
        wait_seconds=wait_seconds,
    )
    return transaction


@pytest.fixture
def listening():
    """Starts listeners and stops them at the end."""
    running = []

    def start(config, report):
        listener = Listener(config, store=lambda _: None, quarantine=lambda _: None, report=report)
        listener.start()
        running.append(listener)
        return listener

    yield start
    for one in running:
        one.stop(grace_seconds=0.5)


def test_a_report_on_the_same_association(tmp_path, outgoing):
    """The archive reports on the association that asked, and its report is answered 0x0000."""
    kept = Kept()
    with PacsStandIn(tmp_path / "pacs", commits=Commits.SAME_ASSOCIATION) as pacs:
        config = configured(tmp_path, pacs.port)
        transaction = store_and_ask(outgoing, config, kept)
        wait_until(lambda: pacs.answers, what="the answer")
    assert kept.reports == [
        CommitmentReport(
            transaction_uid=transaction,
            committed=frozenset(one.sop_instance_uid for one in outgoing),
            failed={},
            destinations=frozenset({"pacs"}),
        )
    ]
    assert pacs.answers == [0x0000]
    assert pacs.requests[0].TransactionUID == transaction


def test_a_report_on_an_association_of_its_own(tmp_path, outgoing, listening):
    """An archive that is no peer opens an association, reports what it lacks, and is answered."""
    kept = Kept()
    with PacsStandIn(tmp_path / "pacs", commits=Commits.NEW_ASSOCIATION) as pacs:
        config = configured(tmp_path, pacs.port)
        pacs.reports_to = ("CESTLE", listening(config, kept).port)
        asked = [*pairs(outgoing), (MR_IMAGE, BOGUS)]
        store_and_ask(outgoing, config, kept, asked=asked)
        wait_until(lambda: pacs.answers, what="the answer")
    assert pacs.answers == [0x0000]
    assert kept.reports[0].failed == {BOGUS: 0x0112}
    assert kept.reports[0].committed == {one.sop_instance_uid for one in outgoing}
    assert kept.reports[0].destinations == {"pacs"}


def test_what_the_recorder_answers_reaches_the_archive(tmp_path, outgoing, listening):
    """The status of whoever keeps reports is the one that the archive hears."""
    kept = Kept(status=0x0115)
    with PacsStandIn(tmp_path / "pacs", commits=Commits.NEW_ASSOCIATION) as pacs:
        config = configured(tmp_path, pacs.port)
        pacs.reports_to = ("CESTLE", listening(config, kept).port)
        store_and_ask(outgoing, config, kept)
        wait_until(lambda: pacs.answers, what="the answer")
    assert pacs.answers == [0x0115]


def test_an_archive_without_the_service_is_a_permanent_fault(tmp_path, outgoing):
    """Where commitment is not offered the request fails for good, in words that say so."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = configured(tmp_path, pacs.port)
        with pytest.raises(DeliveryError, match="accepts none") as caught:
            store_and_ask(outgoing, config, Kept())
    assert caught.value.permanent


def test_no_answer_ends_the_wait_without_a_fault(tmp_path, outgoing):
    """An archive that takes the request and says nothing is left after the wait."""
    kept = Kept()
    with PacsStandIn(tmp_path / "pacs", commits=Commits.NEVER) as pacs:
        store_and_ask(outgoing, configured(tmp_path, pacs.port), kept, wait_seconds=0.2)
        assert len(pacs.requests) == 1
    assert kept.reports == []


# Who may report


def reporter(listener, *, calling="PACS", called="CESTLE", contexts=None, role=True):
    entity = AE(ae_title=calling)
    entity.acse_timeout = entity.dimse_timeout = 5
    return entity.associate(
        "127.0.0.1",
        listener.port,
        contexts=contexts or [build_context(COMMITMENT, list(UNCOMPRESSED))],
        ae_title=called,
        ext_neg=[build_role(COMMITMENT, scu_role=False, scp_role=True)] if role else None,
    )


def a_report(transaction="1.2.3", uid="1.2.3.4"):
    item = Dataset()
    item.ReferencedSOPClassUID = MR_IMAGE
    item.ReferencedSOPInstanceUID = uid
    report = Dataset()
    report.TransactionUID = transaction
    report.ReferencedSOPSequence = [item]
    return report


def tell(association, report, kind=1):
    answer, _ = association.send_n_event_report(report, kind, COMMITMENT, COMMITMENT_INSTANCE)
    return answer.get("Status")


def test_a_destination_may_report_and_do_nothing_else(tmp_path, listening):
    """A destination that is no peer gets the commitment context alone: no storage, no echo."""
    listener = listening(configured(tmp_path, 104), Kept())
    contexts = [
        build_context(uid, list(UNCOMPRESSED))
        for uid in (COMMITMENT, MR_IMAGE, "1.2.840.10008.1.1")
    ]
    association = reporter(listener, contexts=contexts)
    assert [str(cx.abstract_syntax) for cx in association.accepted_contexts] == [COMMITMENT]
    assert tell(association, a_report()) == 0x0000
    association.release()


@pytest.mark.parametrize(
    ("calling", "called"), [("ROGUE", "CESTLE"), ("PACS", "OTHER"), ("CESTLE", "CESTLE")]
)
def test_nobody_else_may_report(tmp_path, listening, calling, called):
    """Other titles are rejected."""
    listener = listening(configured(tmp_path, 104), Kept())
    assert reporter(listener, calling=calling, called=called).is_rejected


def test_a_destination_elsewhere_may_not_report(tmp_path, listening):
    """The right title from an address that is not that of the destination is rejected."""
    config = configured(tmp_path, 104)
    away = config.destinations[0].model_copy(update={"host": "192.0.2.7"})
    listener = listening(config.model_copy(update={"destinations": (away,)}), Kept())
    assert reporter(listener).is_rejected


def test_a_peer_that_is_no_destination_is_not_believed(tmp_path, listening):
    """A scanner that reports commitment is answered 'not authorised', and nothing is kept."""
    kept = Kept()
    association = reporter(listening(configured(tmp_path, 104), kept), calling="SCANNER")
    assert tell(association, a_report()) == 0x0124
    association.release()
    assert kept.reports == []


def test_without_commitment_a_destination_is_a_stranger(tmp_path, listening):
    """A destination that is not asked for commitment may not call."""
    config = node_config(tmp_path, destinations=[("pacs", "PACS", 104)])
    assert reporter(listening(config, Kept())).is_rejected


def test_a_destination_that_is_a_peer_too_keeps_its_rights(tmp_path, listening):
    """An archive that may send as well is not held down to reports."""
    listener = listening(configured(tmp_path, 104, peer="PACS"), Kept())
    contexts = [build_context(uid, list(UNCOMPRESSED)) for uid in (COMMITMENT, MR_IMAGE)]
    association = reporter(listener, contexts=contexts)
    assert len(association.accepted_contexts) == 2
    assert association.send_c_store(mr_instance()).Status == 0x0000
    assert tell(association, a_report()) == 0x0000
    association.release()


def test_a_report_without_role_selection_is_taken(tmp_path, listening):
    """Orthanc and others report without negotiating the role; they are heard."""
    association = reporter(listening(configured(tmp_path, 104), Kept()), role=False)
    assert tell(association, a_report()) == 0x0000
    association.release()


def test_malformed_reports_are_answered(tmp_path, listening):
    """A report of nothing is an invalid argument, so is said of an event of unknown type."""
    kept = Kept()
    association = reporter(listening(configured(tmp_path, 104), kept))
    nameless = a_report()
    del nameless.TransactionUID
    assert tell(association, nameless) == 0x0115
    lacking = a_report()
    del lacking.ReferencedSOPSequence
    assert tell(association, lacking, 2) == 0x0115
    assert tell(association, a_report(), 3) == 0x0113
    association.release()
    assert kept.reports == []


def test_names_of_hosts_are_looked_up(tmp_path, monkeypatch):
    """A destination named by its host may call from each address of it, and keeps what it had."""
    config = configured(tmp_path, 104, extra='commitment_ae_title = "COMMIT"')
    named = config.destinations[0].model_copy(update={"host": "pacs.example"})
    reporters = Reporters(config.model_copy(update={"destinations": (named,)}))
    ask = {"calling": "COMMIT", "called": "CESTLE", "address": "192.0.2.5"}
    assert not reporters.admits(**ask)
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.5", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    reporters.look_up()
    assert reporters.admits(**ask)
    assert reporters.admits(**(ask | {"calling": "PACS"}))
    assert not reporters.admits(**(ask | {"address": "192.0.2.6"}))

    def fail(*_, **__):
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    reporters.look_up()
    assert reporters.admits(**ask)


UIDS = st.sets(st.sampled_from([f"1.2.{k}" for k in range(6)]))


@given(UIDS, UIDS)
def test_what_is_named_as_failed_is_never_committed(committed, failed):
    """Committed and failed never overlap, and nothing that was named is dropped."""
    information = Dataset()
    information.TransactionUID = "1.2.3"
    for keyword, uids in (("ReferencedSOPSequence", committed), ("FailedSOPSequence", failed)):
        items = []
        for uid in sorted(uids):
            item = Dataset()
            item.ReferencedSOPInstanceUID = uid
            items.append(item)
        setattr(information, keyword, items)
    if not committed | failed:
        with pytest.raises(InputError):
            read_report(1, information, frozenset())
        return
    report = read_report(1, information, frozenset())
    assert report.committed.isdisjoint(report.failed)
    assert report.committed | report.failed.keys() == committed | failed
    assert failed == report.failed.keys()


# Row 11 of the conformance bar: a real archive


@pytest.mark.peer
def test_orthanc_commits_itself_and_names_what_it_lacks(tmp_path, outgoing, listening):
    """Orthanc reports all as committed; with a UID that it never got, that one fails 0x0112."""
    kept, port = Kept(), free_port()
    with orthanc.running(tmp_path, move_port=port) as pacs:
        config = configured(tmp_path, pacs.dicom_port)
        node = config.node.model_copy(update={"port": port})
        config = config.model_copy(update={"node": node})
        listening(config, kept)
        first = store_and_ask(outgoing, config, kept, wait_seconds=10)
        uids = {one.sop_instance_uid for one in outgoing}
        assert [(one.transaction_uid, one.committed, one.failed) for one in kept.reports] == [
            (first, uids, {})
        ]
        kept.reports.clear()
        asked = [*pairs(outgoing), (MR_IMAGE, BOGUS)]
        second = store_and_ask(outgoing, config, kept, asked=asked, wait_seconds=10)
        assert [(one.transaction_uid, one.committed, one.failed) for one in kept.reports] == [
            (second, uids, {BOGUS: 0x0112})
        ]
        assert json.loads(pacs.get("/instances")), "Orthanc holds what it committed itself to"
