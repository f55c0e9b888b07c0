"""What archives do to a node: refuse, hang, abort, forget, fill up, vanish; nothing is lost.

Each test prints what it counted, and each ends without a hand on the node.
"""

import signal
import socket
import sys
import threading

import pytest
from pynetdicom import AE, evt

from cestle.config.node import load_node_config
from cestle.errors import DeliveryError
from cestle.net.pacs_stand_in import Commits, PacsStandIn
from cestle.service.node import Node
from cestle.service.operate import echo
from cestle.service.status import list_destinations, list_studies
from faults.test_kill import ServedNode
from node.rig import (
    MR_IMAGE,
    ROOT,
    free_port,
    node_config,
    store,
    wait_until,
    when_quiet,
    write_instance,
)

pytestmark = pytest.mark.peer


def say(counts):
    """Print what was counted; shown with ``pytest -rP``."""
    sys.stdout.write(f"{counts}\n")


def configured(folder, ports, *, more="", **node):
    """A configuration with a destination for each name; the first gets `more`."""
    names = [(name, name.upper(), port) for name, port in ports.items()]
    node_config(folder, destinations=names, **node)
    path = folder / "node.toml"
    text = path.read_text().replace("timeout_seconds = 5.0", "timeout_seconds = 1.0")
    path.write_text(text.replace("timeout_seconds", f"{more}\ntimeout_seconds", 1))
    return load_node_config(path)


def send(node, folder, *studies):
    for number in studies:
        file = write_instance(folder / f"in{number}", 1, study=f"{ROOT}.{number}")
        assert store(node.port, [file]).returncode == 0


def all_done(config, count):
    def ask():
        found = list_studies(config)
        return len(found) == count and all(one.state == "done" for one in found) and found

    return ask


def state_of(config, name="pacs"):
    return next(one for one in list_destinations(config) if one.name == name)


def running(config, compute):
    return Node(config, compute_command=compute.command, assess=when_quiet())


def test_an_archive_that_hangs_delays_no_other_and_is_found_back(tmp_path, compute):
    """It accepts the connection and says nothing: shown as down; the other is served meanwhile."""
    connections = []
    silent = socket.create_server(("127.0.0.1", 0))
    silent.settimeout(0.1)
    ended = threading.Event()

    def accept():
        while not ended.is_set():
            try:
                connections.append(silent.accept()[0])
            except TimeoutError:
                continue

    thread = threading.Thread(target=accept)
    thread.start()
    port = silent.getsockname()[1]
    with PacsStandIn(tmp_path / "other", ae_title="OTHER") as other:
        config = configured(tmp_path, {"pacs": port, "other": other.port})
        with running(config, compute) as node:
            send(node, tmp_path, 1, 2)
            wait_until(lambda: len(other.arrivals) == 4, what="the other destination")
            wait_until(lambda: state_of(config).state == "open", what="the breaker")
            wait_until(
                lambda: "down since" in list_studies(config)[0].revisions[0].deliveries[1].reason,
                what="the reason",
            )
            ended.set()
            thread.join()
            silent.close()
            for one in connections:
                one.close()
            with PacsStandIn(tmp_path / "pacs", port=port) as pacs:
                wait_until(all_done(config, 2), what="both studies")
                assert len(pacs.arrivals) == len(set(pacs.arrivals)) == 4
    say(f"hanging archive: {len(connections)} connections, 4 of 4 objects delivered, 0 repeated")


def test_an_archive_that_aborts_after_each_instance(tmp_path, compute):
    """Each association is aborted after one instance: all arrive, none is sent twice."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context(MR_IMAGE)
    entity.add_supported_context("1.2.840.10008.1.1")
    taken, aborts = [], []

    def keep(event):
        if event.assoc in aborts:
            event.assoc.abort()
        else:
            aborts.append(event.assoc)
            taken.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
    )
    try:
        config = configured(tmp_path, {"pacs": server.server_address[1]})
        with running(config, compute) as node:
            send(node, tmp_path, 1, 2)
            wait_until(all_done(config, 2), what="both studies")
    finally:
        server.shutdown()
    assert len(taken) == len(set(taken)) == 4
    say(f"aborting archive: {len(aborts)} associations, 4 of 4 objects delivered, 0 repeated")


@pytest.mark.parametrize("status", [0xA700, 0x0110])
def test_an_archive_that_is_full_or_stumbles(tmp_path, compute, status):
    """No room, or a processing failure, for a while: delivered when it is over."""
    answers = []

    def answer(uid):
        del uid
        answers.append(status if len(answers) < 3 else 0x0000)
        return answers[-1]

    with PacsStandIn(tmp_path / "pacs", status=answer) as pacs:
        config = configured(tmp_path, {"pacs": pacs.port})
        with running(config, compute) as node:
            send(node, tmp_path, 1)
            wait_until(all_done(config, 1), what="the study")
        assert len(pacs.files()) == 2
    say(f"status 0x{status:04X}: {answers.count(status)} refusals, 2 of 2 objects delivered")


def test_the_network_is_cut_for_longer_than_the_pauses(tmp_path, compute):
    """Cut and mended: held without connections, then everything arrives once."""
    pacs = PacsStandIn(tmp_path / "pacs")
    pacs.start()
    config = configured(tmp_path, {"pacs": pacs.port})
    try:
        with running(config, compute) as node:
            send(node, tmp_path, 1)
            wait_until(all_done(config, 1), what="the first study")
            pacs.stop()
            send(node, tmp_path, 2, 3)
            wait_until(lambda: state_of(config).state == "open", what="the breaker")
            wait_until(lambda: _held(config) == 2, what="two held deliveries")
            # What is held makes no attempts: their number stays while looks go on.
            tried, before = _attempts(config), state_of(config).last_attempt
            wait_until(lambda: state_of(config).last_attempt > before, what="a look")
            assert _attempts(config) == tried
            pacs.start()
            wait_until(all_done(config, 3), what="the studies")
            assert state_of(config).state == "closed"
        assert len(pacs.arrivals) == len(set(pacs.arrivals)) == 6
    finally:
        pacs.stop()
    say("network cut: 6 of 6 objects delivered, 0 repeated")


def _held(config):
    return sum(
        "down since" in delivery.reason
        for study in list_studies(config)
        for revision in study.revisions
        for delivery in revision.deliveries
    )


def _attempts(config):
    return sum(
        delivery.attempts
        for study in list_studies(config)
        for revision in study.revisions
        for delivery in revision.deliveries
    )


COMMITMENT = "storage_commitment = true\ncommitment_wait_minutes = 0.02"


@pytest.mark.parametrize("manner", [Commits.SAME_ASSOCIATION, Commits.NEW_ASSOCIATION])
def test_an_archive_that_forgets_what_it_accepted(tmp_path, compute, manner):
    """One object is gone when commitment is asked for: it alone is sent again, then all is kept."""
    forgotten = []

    def keeps(uid):
        if not forgotten:
            forgotten.append(uid)
            return 0x0112
        return 0

    port = free_port()
    with PacsStandIn(
        tmp_path / "pacs", commits=manner, keeps=keeps, reports_to=("CESTLE", port)
    ) as pacs:
        config = configured(tmp_path, {"pacs": pacs.port}, more=COMMITMENT, port=port)
        with running(config, compute) as node:
            send(node, tmp_path, 1)
            (found,) = wait_until(all_done(config, 1), what="the study")
        delivery = found.revisions[0].deliveries[0]
        assert (delivery.sent, delivery.committed, delivery.planned) == (2, 2, 2)
        assert pacs.arrivals.count(forgotten[0]) == 2
        assert len(pacs.arrivals) == 3
        assert set(pacs.answers) == {0x0000}
    say(f"forgetful archive ({manner}): 1 sent again, 2 of 2 committed")


def test_an_archive_that_accepts_without_committing(tmp_path, compute):
    """Silence after the request: not done, asked again; done when it answers at last."""
    port = free_port()
    with PacsStandIn(tmp_path / "pacs", commits=Commits.NEVER, reports_to=("CESTLE", port)) as pacs:
        config = configured(tmp_path, {"pacs": pacs.port}, more=COMMITMENT, port=port)
        with running(config, compute) as node:
            send(node, tmp_path, 1)
            wait_until(lambda: len(pacs.requests) == 2, what="a second request")
            (found,) = list_studies(config)
            assert (found.state, found.revisions[0].deliveries[0].sent) == ("delivering", 2)
            pacs.report(pacs.requests[0])
            wait_until(all_done(config, 1), what="the study")
            # A report of nothing that was asked for is answered, and changes nothing.
            stranger = pacs.requests[0]
            stranger.TransactionUID = "1.2.3"
            pacs.report(stranger)
        assert pacs.answers == [0x0000, 0x0115]
        assert len(pacs.arrivals) == 2
    say(f"silent archive: {len(pacs.requests)} requests, 2 of 2 committed by the late report")


def test_a_node_killed_between_request_and_report(tmp_path, compute):
    """SIGKILL while a report is awaited: after the restart it is accepted and ends the study."""
    port = free_port()
    with PacsStandIn(tmp_path / "pacs", commits=Commits.NEVER, reports_to=("CESTLE", port)) as pacs:
        config = configured(
            tmp_path, {"pacs": pacs.port}, more="storage_commitment = true", port=port
        )
        node = ServedNode(tmp_path)
        send(node, tmp_path, 1)
        wait_until(lambda: pacs.requests, what="the request")
        node.end(signal.SIGKILL)
        node = ServedNode(tmp_path)
        pacs.report(pacs.requests[0])
        wait_until(all_done(config, 1), what="the study")
        assert node.end(signal.SIGTERM) == 0
        assert pacs.answers == [0x0000]
        assert len(pacs.arrivals) == 2
        assert len(pacs.requests) <= 2
    assert compute.folder.is_dir()
    say(f"killed while committing: {len(pacs.requests)} requests, 2 of 2 committed, 0 sent again")


def test_an_echo_of_a_person_brings_it_back_at_once(tmp_path, compute):
    """`cestle echo` of a destination that is down writes what it found for the node to see."""
    port = free_port()
    config = configured(tmp_path, {"pacs": port}, more="echo_minutes = 0")
    path = tmp_path / "node.toml"
    path.write_text(path.read_text().replace("retry_seconds = 0.5", "retry_seconds = 60.0", 1))
    path.write_text(path.read_text().replace("minutes = 0.02", "minutes = 5.0", 1))
    config = load_node_config(path)
    with running(config, compute) as node:
        send(node, tmp_path, 1, 2, 3)
        wait_until(lambda: state_of(config).state == "open", what="the breaker")
        with pytest.raises(DeliveryError):
            echo(config, "pacs")
        assert state_of(config).state == "open"
        with PacsStandIn(tmp_path / "pacs", port=port) as pacs:
            assert echo(config, "pacs") > 0
            wait_until(all_done(config, 3), seconds=20, what="the studies")
            assert len(pacs.arrivals) == 6
