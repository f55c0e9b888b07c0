"""Several receiving processes: one spool, one port, one limit, and one of them killed."""

import os
import signal
import threading

import pytest

from cestle.errors import SpoolError
from cestle.net.admitted import Admitted, Tally
from cestle.service.layout import DataFolder
from cestle.service.receivers import Receivers
from cestle.service.status import list_studies
from cestle.spool.files import SpoolFiles
from cestle.spool.journal import Journal
from faults.strangers import plain_data_set, stores
from net.raw_client import RELEASE_REQUEST, RawClient, association_request
from node.rig import ROOT, node_config, wait_until


@pytest.fixture
def config(tmp_path):
    return node_config(tmp_path, receivers=2, maximum_associations=3)


@pytest.fixture
def receivers(config):
    receivers = Receivers(config)
    receivers.start()
    yield receivers
    receivers.stop()


def test_the_limit_is_that_of_the_node(receivers):
    """Three associations are admitted, whichever process has them, and a fourth when one ends."""
    clients = [RawClient(receivers.port) for _ in range(4)]
    try:
        kinds = []
        for client in clients:
            client.send(association_request())
            kinds.append(client.answer()[0])
        assert sorted(kinds) == [2, 2, 2, 3]
        clients[kinds.index(2)].send(RELEASE_REQUEST)
        assert clients[kinds.index(2)].answer()[0] == 6

        def admitted():
            with RawClient(receivers.port) as client:
                client.send(association_request())
                return client.answer()[0] == 2

        wait_until(admitted, what="a free place")
    finally:
        for client in clients:
            client.socket.close()


def test_both_work_and_one_that_is_killed_takes_nothing_with_it(receivers, config):
    """What was acknowledged is there, and the other process goes on, while one is killed."""
    acknowledged = set()

    def send(group):
        for number in range(40):
            uid = f"{ROOT}.{group}.{number}"
            try:
                if stores(receivers.port, [(uid, plain_data_set(uid, study=f"{ROOT}.9"))]) == [0]:
                    acknowledged.add(uid)
            except (OSError, AssertionError, TypeError):
                continue

    threads = [threading.Thread(target=send, args=(group,)) for group in (1, 2)]
    for thread in threads:
        thread.start()
    first, second = receivers.pids
    wait_until(lambda: len(acknowledged) > 15, what="some instances")
    os.kill(first, signal.SIGKILL)
    for thread in threads:
        thread.join()
    wait_until(lambda: receivers.pids[0] not in (0, first), what="a new receiver")
    assert receivers.pids[1] == second
    with DataFolder.of(config).open_database() as database:
        found = Journal(database).instances(f"{ROOT}.9")
    stored = {one.sop_instance_uid: one for one in found}
    assert acknowledged <= set(stored)
    spool = config.node.data_dir / "spool"
    assert all((spool / "instances" / one.path).is_file() for one in stored.values())
    assert not list((spool / "quarantine").iterdir())
    assert list_studies(config)[0].instances == len(stored)


def test_a_receiver_that_starts_again_sweeps_only_its_own(tmp_path):
    """Unfinished files of a living neighbour stay; all go while nobody works."""
    first, second = (SpoolFiles(root=tmp_path, reserve_bytes=0, writer=one) for one in (1, 2))
    for files in (first, second):
        files.prepare()
        (tmp_path / "tmp" / str(files.writer) / "x.part").write_bytes(b"half")
    first.prepare()
    assert [one.parent.name for one in tmp_path.glob("tmp/*/*")] == ["2"]
    assert second.sweep() == 1


def test_a_successor_waits_for_the_last_receiver(receivers, config, monkeypatch):
    """While a receiver lives, nobody else reconciles the spool."""
    monkeypatch.setattr("cestle.service.receiver._TAKE_OVER_SECONDS", 0.1)
    assert receivers.pids
    with pytest.raises(SpoolError, match="role 'receive'"):
        Receivers(config).start()


def test_a_tally_counts_all_processes():
    """Two processes with a limit of two have two places together."""
    counts = bytearray(2)
    one, other = (Admitted(2, Tally(counts=counts, place=place)) for place in (0, 1))
    first, second, third = object(), object(), object()
    assert one.add(first)
    assert other.add(second)
    assert not one.add(third)
    other.remove(second)
    other.remove(third)
    assert one.add(third)
    assert (one.count(), other.count()) == (2, 0)
    assert first in one
    assert first not in other
