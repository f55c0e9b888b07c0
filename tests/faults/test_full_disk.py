"""A spool without room, or that cannot be written, is a refusal that goes away by itself."""

import os
import subprocess
import time

import pytest

from cestle.net.listener import Listener
from cestle.service.intake import Intake
from cestle.service.layout import DataFolder
from cestle.spool.journal import Journal
from faults.strangers import plain_data_set, stores
from node.rig import ROOT, node_config

OUT_OF_RESOURCES = 0xA700


@pytest.fixture
def spool(tmp_path):
    """A spool on a file system of 1 MB of its own."""
    folder = tmp_path / "data" / "spool"
    folder.mkdir(parents=True)
    mounting = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    for _ in range(50):
        if not subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode:
            return
        time.sleep(0.1)


@pytest.fixture
def send(tmp_path, spool):
    """Sends one instance of 32 kB to a listener on that spool; its status."""
    del spool
    config = node_config(tmp_path)
    with DataFolder.of(config).open_database() as database:
        intake = Intake.of(config, Journal(database))
        intake.recover()
        listener = Listener(config, store=intake.store, quarantine=intake.quarantine)
        listener.start()

        def send(number):
            uid = f"{ROOT}.4.{number}"
            return stores(listener.port, [(uid, plain_data_set(uid, pixels=bytes(32_000)))])[0]

        yield send
        listener.stop(grace_seconds=0.5)


def test_a_full_disk_refuses_until_there_is_room(send, spool):
    """Every instance is whole or refused with 0xA700; after some are gone it goes on."""
    found = [send(number) for number in range(1, 41)]
    kept = found.count(0x0000)
    assert 0 < kept < 40
    assert set(found) == {0x0000, OUT_OF_RESOURCES}
    files = list(spool.glob("instances/*/*.dcm"))
    assert len(files) == kept
    assert not [one for one in (spool / "tmp").rglob("*") if one.is_file()]
    for file in files[:3]:
        file.unlink()
    assert send(99) == 0x0000


def test_a_disk_that_cannot_be_written_refuses_until_it_can(send, spool):
    """A file system that became read-only is answered with 0xA700, and forgotten afterwards."""
    assert send(1) == 0x0000
    for option, expected in (("ro", OUT_OF_RESOURCES), ("rw", 0x0000)):
        subprocess.run(["mount", "-o", f"remount,{option}", str(spool)], check=True)
        assert send(2) == expected
