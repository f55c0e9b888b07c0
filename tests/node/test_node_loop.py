"""The node as a whole: storescu sends, a PACS stand-in receives, the computation is a stand-in."""

import os
import signal

import pytest

from cestle.config.options import StudyOptions
from cestle.engine.jobs import Pauses
from cestle.errors import ConfigError, InputError, SpoolError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.node import Node
from cestle.service.operate import Wish, echo, reprocess, retry
from cestle.service.receivers import Receivers
from cestle.service.status import list_studies, study_status
from node.rig import (
    ROOT,
    free_port,
    node_config,
    store,
    wait_until,
    when_quiet,
    write_instance,
)

pytestmark = pytest.mark.peer
STUDY = f"{ROOT}.1"
QUICK = Pauses(first_s=0.1, longest_s=0.1, total_s=0.25)


@pytest.fixture
def node(config, compute):
    with make_node(config, compute) as node:
        yield node


def make_node(config, compute):
    return Node(config, compute_command=compute.command, assess=when_quiet(), compute_pauses=QUICK)


def state_is(config, state, revisions=1):
    def ask():
        found = list_studies(config)
        if found and found[0].state == state and len(found[0].revisions) == revisions:
            return found[0]
        return None

    return ask


def send(node, folder, *numbers, **keywords):
    files = [write_instance(folder / "in", number, **keywords) for number in numbers]
    sent = store(node.port, files)
    assert sent.returncode == 0, sent.stderr


def test_life_of_a_study(node, config, pacs, compute, tmp_path):
    """A study is computed once; repeats do nothing; late and redone input make revisions."""
    send(node, tmp_path, 1, 2, 3)
    first = wait_until(state_is(config, "done"), what="revision 1")
    assert len(pacs.arrivals) == 2
    assert first.revisions[0].deliveries[0].sent == 2
    assert len(compute.calls[0]["files"]) == 3

    # The same instances again, whoever sends them, are answered with Success and change nothing.
    send(node, tmp_path, 1, 2, 3)
    # A late instance is a new revision that names the report of the one before.
    send(node, tmp_path, 4)
    wait_until(state_is(config, "done", 2), what="revision 2")
    assert len(compute.calls) == 2
    assert compute.calls[1]["predecessor"].endswith("r1/dicom/02_report.dcm")
    assert len(set(pacs.arrivals)) == len(pacs.arrivals) == 4

    # Other content under a known UID: both are kept, the newest is used, and it is said.
    send(node, tmp_path, 4, pixels=b"\x07\x01" * 16)
    third = wait_until(state_is(config, "done", 3), what="revision 3")
    assert third.conflicts == 1
    assert third.instances == 5
    assert "two contents" in third.revisions[2].cause
    assert len(compute.calls[2]["files"]) == 4

    # Sent to the other title with an instance that is new: processed with it.
    late = write_instance(tmp_path / "in", 5)
    assert store(node.port, [late], called="CESTLE_REDO").returncode == 0
    fourth = wait_until(state_is(config, "done", 4), what="revision 4")
    assert fourth.revisions[3].cause.startswith("sent to CESTLE_REDO")

    # Asked for by a person in another way, with a reason.
    wish = Wish(reason="new\nside", options=StudyOptions(onset_side="left"))
    reprocess(config, STUDY, wish)
    fifth = wait_until(state_is(config, "done", 5), what="revision 5")
    assert fifth.revisions[4].cause.startswith("asked for: new side")
    assert fifth.revisions[4].predecessor == 4


def test_unusable_input_is_parked_and_the_node_goes_on(node, config, pacs, compute, tmp_path):
    """A study that cannot be used is parked with its reason; the next study is computed."""
    compute.mode(exit=2, reason="two patients were found, expected one; send one study")
    send(node, tmp_path, 1)
    parked = wait_until(state_is(config, "parked"), what="parked")
    assert parked.reason == "two patients were found, expected one; send one study"
    assert pacs.arrivals == ()
    compute.mode()
    other = write_instance(tmp_path / "other", 1, study=f"{ROOT}.2")
    assert store(node.port, [other]).returncode == 0
    wait_until(lambda: len(pacs.arrivals) == 2, what="the other study")
    assert retry(config) == (STUDY,)
    wait_until(lambda: study_status(config, STUDY).state == "done", what="the retry")
    assert len(study_status(config, STUDY).revisions) == 1


@pytest.mark.parametrize(
    ("mode", "limits", "reason"),
    [
        ({"signal": True}, {}, "SIGSEGV"),
        ({"late_signal": True}, {}, "SIGABRT"),
        ({"exit": 1, "reason": "a fault of cestle: KeyError in f line 3"}, {}, "KeyError"),
        ({"pause": 60}, {"compute_timeout_minutes": 0.01}, "stopped after 0.01 min"),
        ({"memory_mb": 300}, {"compute_memory_mb": 128}, "MiB of memory"),
    ],
)
def test_a_computation_that_fails_is_tried_again_then_set_aside(
    tmp_path, pacs, compute, mode, limits, reason
):
    """Crash, fault, time limit and memory limit end as a failed revision with the reason."""
    extra = "[engine]\n" + "\n".join(f"{key} = {value}" for key, value in limits.items())
    config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)], extra=extra)
    compute.mode(**mode)
    with make_node(config, compute) as node:
        send(node, tmp_path, 1)
        failed = wait_until(state_is(config, "failed"), what="failed")
        assert reason in failed.reason
        assert len(compute.calls) > 1
        compute.mode()
        retry(config, STUDY)
        wait_until(state_is(config, "done"), what="the retry")
    assert len(pacs.arrivals) == 2


def test_a_destination_that_is_down_delays_no_other(tmp_path, pacs, compute):
    """One destination down: the other is served at once, the first when it comes back."""
    port = free_port()
    config = node_config(
        tmp_path, destinations=[("pacs", "PACS", pacs.port), ("archive", "ARCHIVE", port)]
    )
    with make_node(config, compute) as node:
        send(node, tmp_path, 1)
        wait_until(lambda: len(pacs.arrivals) == 2, what="the first destination")

        def tried():
            found = study_status(config, STUDY).revisions[0].deliveries
            return found[0].attempts >= 2 and found

        archive, other = wait_until(tried, what="two attempts")
        assert (archive.state, other.state) == ("waiting", "delivered")
        assert "does not answer" in archive.reason
        with PacsStandIn(tmp_path / "archive", ae_title="ARCHIVE", port=port) as late:
            wait_until(state_is(config, "done"), what="the second destination")
            assert len(late.arrivals) == 2
    assert len(compute.calls) == 1


def test_a_refused_delivery_is_set_aside_and_tried_when_asked(tmp_path, compute):
    """A permanent refusal is not repeated until a person asks; what was taken is not resent."""
    answers = {"status": 0xA900}
    refused = []

    def status(uid):
        refused.append(uid)
        return answers["status"] if uid == refused[0] else 0x0000

    with PacsStandIn(tmp_path / "pacs", status=status) as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        with make_node(config, compute) as node:
            send(node, tmp_path, 1)
            stuck = wait_until(state_is(config, "undelivered"), what="undelivered")
            delivery = stuck.revisions[0].deliveries[0]
            assert (delivery.state, delivery.sent, delivery.planned) == ("set_aside", 1, 2)
            assert "0xA900" in delivery.reason
            answers["status"] = 0x0000
            assert retry(config) == (STUDY,)
            wait_until(state_is(config, "done"), what="the retry")
        assert len(pacs.arrivals) == 3
        assert len(set(pacs.arrivals)) == 2


def test_a_receiver_that_dies_is_started_again_on_its_port(node, config, pacs, tmp_path):
    """After SIGKILL of the receiving process the same port receives again."""
    port, (pid,) = node.port, node.receiver_pids
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: node.receiver_pids[0] not in (0, pid), what="a new receiver")
    file = write_instance(tmp_path / "in", 1)
    wait_until(lambda: store(port, [file]).returncode == 0, what="a store")
    wait_until(state_is(config, "done"), what="the study")
    assert len(pacs.arrivals) == 2


@pytest.mark.usefixtures("node")
def test_one_node_for_one_data_folder(config, compute):
    """A second node on the same data folder is refused."""
    with pytest.raises(SpoolError, match="another process already has the role 'work'"):
        make_node(config, compute).start()


def test_a_port_in_use_is_said(tmp_path, pacs, monkeypatch):
    """A node whose port is taken does not start, and says so in one line."""
    monkeypatch.setattr("cestle.service.receiver._TAKE_OVER_SECONDS", 0.1)
    config = node_config(tmp_path, port=pacs.port)
    receivers = Receivers(config)
    with pytest.raises(ConfigError, match="cannot be listened on"):
        receivers.start()
    receivers.stop()


def test_questions_about_what_is_not_there(tmp_path, pacs):
    """Unknown studies and destinations are answered in one line; a node that never ran is empty."""
    config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
    assert list_studies(config) == ()
    assert retry(config) == ()
    for ask in (
        lambda: study_status(config, "1.2.3"),
        lambda: retry(config, "1.2.3"),
        lambda: reprocess(config, "1.2.3", Wish(reason="x")),
    ):
        with pytest.raises(InputError, match=r"nothing of study 1\.2\.3"):
            ask()
    with pytest.raises(InputError, match="no reason"):
        reprocess(config, "1.2.3", Wish(reason=" "))
    with pytest.raises(ConfigError, match="expected one of: pacs"):
        echo(config, "elsewhere")
    assert echo(config, "pacs") > 0
