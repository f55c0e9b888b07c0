"""A disk that is full or read-only: nothing is lost, and with space all goes on by itself."""

import os
import subprocess
import sys

import pytest

from cestle.service.status import list_studies
from faults.machines import Machine, RecordingPacs, wait_for_port
from node.rig import FakeCompute, free_port, node_config, store, wait_until, write_instance

pytestmark = [pytest.mark.peer, pytest.mark.timeout(240)]
SIZE = 6 << 20


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 6 MB; the test is skipped where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", str(folder)], check=True)


class Filled:
    """Takes all free space of a disk, and gives it back."""

    def __init__(self, disk, spare=0):
        self._file = disk / "filler"
        with self._file.open("wb") as filler:
            free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize - spare
            try:
                for _ in range(max(0, free) // 4096):
                    filler.write(b"\0" * 4096)
                filler.flush()
            except OSError:
                pass

    def free(self):
        """Give it back."""
        self._file.unlink()


class Place:
    """A node whose data folder is on the small disk."""

    def __init__(self, folder, disk, pacs):
        self.disk, self.folder, self.port = disk, folder, free_port()
        self.compute = FakeCompute(folder / "compute")
        self.config = node_config(
            folder,
            destinations=[("pacs", "PACS", pacs.port)],
            port=self.port,
            data_dir=str(disk / "data"),
        )
        self.machine = Machine(
            folder / "node.toml",
            "all",
            compute=str(self.compute.folder / "fake_compute.py"),
            grace=2.0,
        )
        wait_for_port(self.machine)

    def send(self, number, size=32):
        """Send one instance; its exit code."""
        file = write_instance(self.folder / "in", number, pixels=bytes([number, 1]) * (size // 2))
        return store(self.port, [file]).returncode

    def is_done(self):
        """The study, when it is done."""
        found = list_studies(self.config)
        return found[0] if found and found[0].state == "done" else None


@pytest.fixture
def pacs(tmp_path):
    with RecordingPacs(tmp_path / "pacs") as pacs:
        yield pacs


@pytest.fixture
def place(tmp_path, small_disk, pacs):
    place = Place(tmp_path, small_disk, pacs)
    yield place
    place.machine.stop()


def finished(place, pacs, instances):
    found = wait_until(place.is_done, seconds=90, what="the study")
    assert found.instances == instances
    assert len(pacs.files()) == 2
    assert all(len(contents) == 1 for contents in pacs.versions().values())
    return found


def test_full_while_receiving(place):
    """What does not fit is refused, what was taken is there, the rest comes when there is room."""
    filled = Filled(place.disk, spare=64 << 10)
    codes = [place.send(number, 30_000) for number in range(1, 6)]
    assert codes[0] == 0
    assert codes[-1] != 0
    taken = codes.count(0)
    assert len(list(place.disk.glob("data/spool/instances/*/*.dcm"))) == taken
    assert not list((place.disk / "data/spool/tmp").rglob("*.part"))
    filled.free()
    for number in range(1, 6):
        wait_until(lambda number=number: place.send(number, 30_000) == 0, what="a store")
    wait_until(place.is_done, seconds=90, what="the study")
    assert list_studies(place.config)[0].instances == 5


@pytest.mark.parametrize("phase", ["compute", "record"])
def test_full_while_computing(place, pacs, phase):
    """Full in the computation, or when its results are to be put in place and recorded."""
    modes = {"compute": {"pause": 1.5}, "record": {"end": 1.5}}
    place.compute.mode(**modes[phase])
    assert place.send(1) == 0
    wait_until(lambda: place.compute.calls, what="the computation")
    parts = place.disk.glob
    if phase != "compute":
        wait_until(lambda: list(parts("data/results/*/*.part/dicom")), what="the encoding")
    filled = Filled(place.disk)
    wait_until(
        lambda: (
            b"takes nothing" in place.machine.log.read_bytes()
            or b"waits for space" in place.machine.log.read_bytes()
            or b"cannot be written" in place.machine.log.read_bytes()
            or b"attempt failed" in place.machine.log.read_bytes()
        ),
        seconds=60,
        what="the fault",
    )
    place.compute.mode()
    filled.free()
    finished(place, pacs, 1)


def test_full_while_delivering_and_when_the_engine_records(place, pacs):
    """The PACS gets everything although neither acknowledgement nor end can be recorded."""
    pacs.delay = 1.0
    assert place.send(1) == 0
    wait_until(lambda: pacs.contents, what="the delivery")
    filled = Filled(place.disk)
    wait_until(lambda: b"attempt failed" in place.machine.log.read_bytes(), what="the fault")
    pacs.delay = 0.0
    filled.free()
    finished(place, pacs, 1)


def test_a_disk_that_turns_read_only(place, pacs):
    """Instances are refused meanwhile; writable again, everything goes on."""
    place.compute.mode(pause=1.0)
    assert place.send(1) == 0
    wait_until(lambda: place.compute.calls, what="the computation")
    # Open files keep the disk writable, so the folder of the received files stands for it.
    spool = place.disk / "data" / "spool"
    subprocess.run(["mount", "--bind", str(spool), str(spool)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(spool)], check=True)
        assert place.send(2) != 0
    finally:
        subprocess.run(["umount", "-l", str(spool)], check=True)
    wait_until(lambda: place.send(2) == 0, what="a store")
    wait_until(
        lambda: (found := place.is_done()) and found.instances == 2, seconds=60, what="the study"
    )
    assert all(len(contents) == 1 for contents in pacs.versions().values())


def test_the_child_tells_a_full_disk_from_a_fault_of_the_study(small_disk):
    """A computation that cannot write its results ends with 4, not with a fault of ours."""
    out = small_disk / "out"
    out.mkdir()
    request = small_disk.parent / "request.json"
    request.write_text(
        '{"study_instance_uid": "1.2", "revision": 1, "log_level": "error", "files": [], '
        f'"out_dir": "{out}"}}'
    )
    filled = Filled(small_disk)
    command = [sys.executable, "-m", "cestle.service.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        child.stdin.write(f"{request}\n".encode())
        child.stdin.flush()  # and left open: the child would end with its parent
        code = child.wait(120)
    filled.free()
    assert code == 4
