"""What the tests of the network and of the node share: small instances, configurations, waits."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cestle.config.node import NodeConfig, load_node_config
from cestle.service.assembly import Assessment

MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
ROOT = "1.2.826.0.1.3680043.8.498.7"
PLANTED = ("PLANTED^NAME", "PLANTED-ID", "19470811", "PLANTEDACC")
"""Name, ID, birth date and accession number of every patient of these tests."""


def mr_instance(number=1, *, study=f"{ROOT}.1", series=None, pixels=b"\x00\x01" * 16):
    """A small MR image with a planted patient."""
    image = Dataset()
    image.SOPClassUID = MR_IMAGE
    image.SOPInstanceUID = f"{study}.9.{number}"
    image.StudyInstanceUID = study
    image.SeriesInstanceUID = series or f"{study}.5"
    image.PatientName, image.PatientID, image.PatientBirthDate, image.AccessionNumber = PLANTED
    image.PatientSex = "O"
    image.StudyID = "1"
    image.StudyDate = "20260102"
    image.StudyTime = "101112"
    image.ReferringPhysicianName = ""
    image.Manufacturer = "UIH"
    image.Modality = "MR"
    image.SeriesNumber = 1
    image.InstanceNumber = number
    image.ImageType = ["ORIGINAL", "PRIMARY"]
    image.Rows = image.Columns = 4
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = 0
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.PixelData = pixels
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


def write_instance(folder, number=1, **keywords):
    """Write a small MR image; its path."""
    path = Path(folder) / f"{number:04d}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    mr_instance(number, **keywords).save_as(path, enforce_file_format=True)
    return path


def free_port():
    """A port of 127.0.0.1 that nothing listens on.

    It is below those that the system gives to outgoing connections, which could take it before
    it is used.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def node_config(folder, *, destinations=(("pacs", "PACS", 1),), extra="", **node) -> NodeConfig:
    """A configuration on loopback with short times; `node` goes into [node]."""
    settings = {"port": 0, "data_dir": "data", "disk_reserve_gb": 0.0} | node
    lines = ["[node]"] + [
        f"{key} = {value}" if not isinstance(value, str) else f'{key} = "{value}"'
        for key, value in settings.items()
    ]
    lines += ["[[peers]]", 'ae_title = "SCANNER"', 'hosts = ["127.0.0.1"]']
    for name, title, port in destinations:
        lines += [
            "[[destinations]]",
            f'name = "{name}"',
            f'ae_title = "{title}"',
            'host = "127.0.0.1"',
            f"port = {port}",
            "timeout_seconds = 5.0",
            "retry_seconds = 0.5",
            "longest_retry_minutes = 0.02",
        ]
    if "[study]" not in extra:
        lines += ["[study]", "quiet_seconds = 0.3", "partial_quiet_seconds = 0.6"]
    if "[analysis.regions]" not in extra:
        # on every study of the phantom the atlas would look for the volume inside a skull
        lines += ["[analysis.regions]", "automatic_atlas = false"]
    path = Path(folder) / "node.toml"
    path.write_text("\n".join(lines) + "\n" + extra, encoding="utf-8")
    return load_node_config(path)


def wait_until(condition, *, seconds=30.0, what="the condition"):
    """Poll `condition` until it is true and return its value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"{what} did not become true within {seconds:g} s")


def need_program(name):
    """Path of a program, or skip."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run_dcmtk(name, *arguments, seconds=60):
    """Run a program of dcmtk without its Nagle delay."""
    return subprocess.run(
        [need_program(name), *map(str, arguments)],
        env=os.environ | {"TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def store(port, files, *, called="CESTLE", calling="SCANNER", options=()):
    """Send files with dcmtk's storescu."""
    return run_dcmtk(
        "storescu", "-aet", calling, "-aec", called, *options, "127.0.0.1", port, *files
    )


class FakeCompute:
    """The computation of tests: `mode` steers it, `calls` are the requests that it got."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(__file__).with_name("fake_compute.py"), self.folder)
        image = mr_instance()
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = "2.25.1" + "0" * 30
        image.save_as(self.folder / "template.dcm", enforce_file_format=True)
        self.mode()

    @property
    def command(self):
        """What the node runs."""
        return (sys.executable, "-S", "-E", str(self.folder / "fake_compute.py"))

    def mode(self, **settings):
        """Say what the next computations do."""
        part = self.folder / "mode.part"
        part.write_text(json.dumps(settings))
        part.replace(self.folder / "mode.json")

    @property
    def calls(self):
        """Requests so far."""
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def when_quiet(seconds=0.5):
    """An assessor that takes a study as complete after some silence."""

    def assess(gathered):
        quiet = gathered.now - gathered.last_arrival >= seconds
        used = frozenset(one.sop_instance_uid for one in gathered.instances)
        return Assessment(ready=quiet, reason="quiet" if quiet else "arriving", used=used)

    return assess
