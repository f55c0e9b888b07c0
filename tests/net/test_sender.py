"""The sender against the PACS stand-in, dcmtk's storescp and addresses where nobody listens."""

import os
import subprocess
from dataclasses import replace

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from cestle.config.node import Destination
from cestle.errors import DeliveryError, InputError
from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import echo, send_instances
from node.rig import free_port, mr_instance, need_program, node_config, wait_until, write_instance

STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"
REPORTS = {
    "comprehensive_3d": "1.2.840.10008.5.1.4.1.1.88.34",
    "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
}


@pytest.fixture
def config(tmp_path):
    return node_config(tmp_path)


@pytest.fixture
def outgoing(tmp_path):
    return [describe_file(write_instance(tmp_path / "out", number)) for number in (1, 2, 3)]


def destination(port, *, title="PACS", seconds=3.0):
    return Destination(
        name="pacs", ae_title=title, host="127.0.0.1", port=port, timeout_seconds=seconds
    )


def send(outgoing, port, config, **keywords):
    taken = []
    send_instances(outgoing, destination(port, **keywords), config, acknowledged=taken.append)
    return taken


def test_all_arrive_in_order_as_they_are(tmp_path, outgoing, config):
    """Every instance is acknowledged in the given order, and held equal to its file."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        assert send(outgoing, pacs.port, config) == outgoing
        assert list(pacs.arrivals) == [one.sop_instance_uid for one in outgoing]
        held = {dcmread(file).SOPInstanceUID: dcmread(file) for file in pacs.files()}
    assert held == {one.sop_instance_uid: dcmread(one.path) for one in outgoing}


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_remarks_and_known_instances_count_as_taken(tmp_path, outgoing, config, status):
    """A warning, or 'duplicate SOP instance', is an acknowledgement."""
    with PacsStandIn(tmp_path / "pacs", status=lambda _: status) as pacs:
        assert send(outgoing, pacs.port, config) == outgoing


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_a_refusal_is_permanent_and_stops_no_other_instance(tmp_path, outgoing, config, status):
    """One refused instance is reported as permanent after all others were sent."""
    bad = outgoing[0].sop_instance_uid
    taken = []
    with (
        PacsStandIn(tmp_path / "pacs", status=lambda uid: status if uid == bad else 0) as pacs,
        pytest.raises(DeliveryError, match=f"1 of 3.*0x{status:04X}") as caught,
    ):
        send_instances(outgoing, destination(pacs.port), config, acknowledged=taken.append)
    assert caught.value.permanent
    assert taken == outgoing[1:]


def test_a_full_destination_is_asked_again(tmp_path, outgoing, config):
    """Out of resources is transient."""
    with (
        PacsStandIn(tmp_path / "pacs", status=lambda _: 0xA700) as pacs,
        pytest.raises(DeliveryError, match="out of resources") as caught,
    ):
        send(outgoing, pacs.port, config)
    assert not caught.value.permanent


def test_nobody_there_is_transient(outgoing, config):
    """A destination that does not listen is transient."""
    with pytest.raises(DeliveryError, match="does not answer") as caught:
        send(outgoing, free_port(), config)
    assert not caught.value.permanent


def test_a_wrong_title_is_permanent(tmp_path, outgoing, config):
    """A destination that knows another called title is a permanent fault."""
    with (
        PacsStandIn(tmp_path / "pacs") as pacs,
        pytest.raises(DeliveryError, match="rejected the association") as caught,
    ):
        send(outgoing, pacs.port, config, title="OTHER")
    assert caught.value.permanent


def test_a_destination_for_other_classes_is_permanent(outgoing, config):
    """A destination that accepts no context of ours is a permanent fault."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(DeliveryError, match="accepts none") as caught:
            send(outgoing, server.server_address[1], config)
    finally:
        server.shutdown()
    assert caught.value.permanent


def in_class(folder, number, sop_class):
    """A small instance that claims to be of a SOP class."""
    image = mr_instance(number)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_class
    path = folder / f"{number}.dcm"
    image.save_as(path, enforce_file_format=True)
    return describe_file(path)


@pytest.fixture
def report_and_pointer(tmp_path):
    """A report in three classes, and a key object for each of them."""
    reports = [
        replace(in_class(tmp_path, 10 + k, uid), needs=(uid,))
        for k, uid in enumerate(REPORTS.values())
    ]
    pointers = [
        replace(in_class(tmp_path, 20 + k, KEY_OBJECT), needs=(uid,))
        for k, uid in enumerate(REPORTS.values())
    ]
    return [replace(first, fallbacks=tuple(rest)) for first, *rest in (reports, pointers)]


@pytest.mark.parametrize(
    ("accepted", "arrived"),
    [
        (["comprehensive_3d", "comprehensive", "enhanced"], 0),
        (["comprehensive", "enhanced"], 1),
        (["enhanced"], 2),
    ],
)
def test_negotiation_decides_the_class_of_the_report(
    tmp_path, report_and_pointer, config, accepted, arrived
):
    """The destination gets the best report that it takes, the key object of that one, no other."""
    classes = [KEY_OBJECT, *(REPORTS[name] for name in accepted)]
    with PacsStandIn(tmp_path / "pacs", classes=classes) as pacs:
        assert send(report_and_pointer, pacs.port, config) == report_and_pointer
        expected = [(one, *one.fallbacks)[arrived] for one in report_and_pointer]
        assert list(pacs.arrivals) == [one.sop_instance_uid for one in expected]


def test_a_pointer_alone_still_follows_its_report(tmp_path, report_and_pointer, config):
    """After a crash behind the report, the key object sent alone is that of the same class."""
    pointer = report_and_pointer[1]
    with PacsStandIn(tmp_path / "pacs", classes=[KEY_OBJECT, REPORTS["enhanced"]]) as pacs:
        send([pointer], pacs.port, config)
        assert pacs.arrivals == (pointer.fallbacks[1].sop_instance_uid,)


def test_a_destination_without_any_report_class_refuses_both(tmp_path, report_and_pointer, config):
    """Without a class of report neither report nor key object is sent, and that is permanent."""
    with (
        PacsStandIn(tmp_path / "pacs", classes=[KEY_OBJECT]) as pacs,
        pytest.raises(DeliveryError, match=r"refused 2 of 2.*0x0122") as caught,
    ):
        send(report_and_pointer, pacs.port, config)
    assert caught.value.permanent
    assert pacs.arrivals == ()


def test_a_destination_with_implicit_vr_only_is_served(outgoing, config):
    """A destination without Explicit VR gets the instances in Implicit VR."""
    syntaxes = []
    entity = AE(ae_title="PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.4", ImplicitVRLittleEndian)

    def keep(event):
        syntaxes.append(event.context.transfer_syntax)
        return 0x0000 if event.dataset.Rows == 4 else 0xC000

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    try:
        assert send(outgoing, server.server_address[1], config) == outgoing
    finally:
        server.shutdown()
    assert set(syntaxes) == {ImplicitVRLittleEndian}


def test_an_abort_in_the_middle_keeps_what_was_acknowledged(outgoing, config):
    """When the destination aborts after the first instance, that one is acknowledged."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.4", ExplicitVRLittleEndian)
    seen = []

    def abort_second(event):
        seen.append(event.request.AffectedSOPInstanceUID)
        if len(seen) == 2:
            event.assoc.abort()
        return 0x0000

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, abort_second)]
    )
    taken = []
    try:
        with pytest.raises(DeliveryError, match="ended the association") as caught:
            send_instances(
                outgoing,
                destination(server.server_address[1]),
                config,
                acknowledged=taken.append,
            )
    finally:
        server.shutdown()
    assert taken == outgoing[:1]
    assert not caught.value.permanent


def test_a_stop_is_heeded_between_instances(tmp_path, outgoing, config):
    """When the node stops, the instance under way is finished and no other is begun."""
    taken = []
    with PacsStandIn(tmp_path / "pacs") as pacs:
        send_instances(
            outgoing,
            destination(pacs.port),
            config,
            acknowledged=taken.append,
            keep_going=lambda: not taken,
        )
    assert taken == outgoing[:1]


def test_nothing_to_send_opens_no_association(config):
    """An empty delivery succeeds without a destination."""
    send_instances([], destination(free_port()), config, acknowledged=pytest.fail)


def test_echo_measures_and_reports(tmp_path, config):
    """C-ECHO gives a time where somebody answers, one line where nobody does."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        assert echo(destination(pacs.port), config) > 0
    with pytest.raises(DeliveryError, match="does not answer"):
        echo(destination(free_port()), config)


def test_what_is_no_dicom_file_is_named(tmp_path):
    """A file without file meta information is refused by name."""
    path = tmp_path / "note.dcm"
    path.write_text("hello")
    with pytest.raises(InputError, match=r"note\.dcm"):
        describe_file(path)


def test_the_stand_in_finds_what_it_holds(tmp_path, outgoing, config):
    """C-FIND on series level answers the one series of the study, and none of another."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        send(outgoing, pacs.port, config)
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID = mr_instance().StudyInstanceUID
        query.SeriesInstanceUID = ""
        association = AE().associate(
            "127.0.0.1", pacs.port, contexts=[build_context(STUDY_FIND)], ae_title="PACS"
        )
        found = [answer for _, answer in association.send_c_find(query, STUDY_FIND) if answer]
        query.StudyInstanceUID = "1.2.3"
        none = [answer for _, answer in association.send_c_find(query, STUDY_FIND) if answer]
        association.release()
    assert [one.SeriesInstanceUID for one in found] == [mr_instance().SeriesInstanceUID]
    assert none == []


@pytest.mark.peer
def test_storescp_takes_a_delivery(tmp_path, outgoing, config):
    """Dcmtk's storescp takes all instances, pixels unchanged."""
    program = need_program("storescp")
    port = free_port()
    folder = tmp_path / "storescp"
    folder.mkdir()
    peer = subprocess.Popen(
        [program, "-aet", "PACS", "-od", str(folder), str(port)],
        env=os.environ | {"TCP_NODELAY": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:

        def ready():
            try:
                return echo(destination(port), config)
            except DeliveryError:
                return None

        wait_until(ready, what="storescp")
        assert send(outgoing, port, config) == outgoing
        assert len(list(folder.iterdir())) == 3
        assert {dcmread(file).PixelData for file in folder.iterdir()} == {mr_instance().PixelData}
    finally:
        peer.terminate()
        peer.wait(10)
