"""Kills processes of a working node at random moments and counts what is lost: nothing.

`make chaos` runs it at length (faults/reliability.py), the suite shortly. A seed gives the same
plan of kills; the moments differ a little.
"""

import random
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pydicom

from cestle.errors import DeliveryError
from cestle.net.instances import describe_file
from cestle.net.sender import send_instances
from cestle.service.demo import scanner_side
from cestle.service.layout import DataFolder
from cestle.spool.journal import Journal
from faults.machines import Machine, RecordingPacs, wait_for_port
from node.rig import ROOT, FakeCompute, free_port, node_config, wait_until, write_instance

SHARE = {
    ("receiver", "receive"): 3,
    ("worker", "receive"): 1,
    ("worker", "compute"): 3,
    ("worker", "encode"): 2,
    ("worker", "deliver"): 3,
    ("child", "compute"): 2,
    ("child", "encode"): 2,
}
"""How often each target is killed in each phase, relative to the others."""
INSTANCES = 8
UNDER_WAY = 4
MOST_HITS = 2
"""A third kill while it is computed sets a study aside, as it should; tested elsewhere."""


@dataclass(kw_only=True)
class Counts:
    """What a run gave; all but the kills and totals have to be 0."""

    kills: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    studies: int = 0
    results: int = 0
    repeats: int = 0
    takeovers: int = 0
    lost: int = 0
    altered: int = 0
    stuck: int = 0
    conflicting: int = 0
    seconds: float = 0.0

    @property
    def killed(self):
        """Kills in all."""
        return sum(self.kills.values())

    @property
    def faults(self):
        """Everything that must not be."""
        return self.lost + self.altered + self.stuck + self.conflicting


class Site:
    """A node of one process tree on SQLite, or of a receiver and two workers on PostgreSQL."""

    def __init__(self, folder, pacs, *, database="", studies=None):
        self.folder = folder
        self.database = database
        self.pacs = pacs
        self.files = studies
        self.compute = FakeCompute(folder / "compute")
        self.compute.mode(pause=0.15, encode=0.1, salted=True)
        command = "real" if studies else str(self.compute.folder / "fake_compute.py")
        grace = 2.0 if database else 0.0
        port = free_port()
        names = ["all"] if not database else ["receive", "first", "second"]
        self.machines = {}
        for name in names:
            place = folder / name
            place.mkdir()
            engine = f'[engine]\ndatabase_url = "{database}"\nworker_name = "{name}"\nworkers = 2\n'
            self.config = node_config(
                place,
                destinations=[("pacs", "PACS", pacs.port)],
                port=port,
                data_dir=str(folder / "data"),
                extra=engine if database else "[engine]\nworkers = 2\n",
            )
            role = name if name in ("all", "receive") else "work"
            self.machines[name] = Machine(
                place / "node.toml", role, compute=command, grace=grace, name=name
            )

    def wait(self):
        """Wait until all are ready."""
        for machine in self.machines.values():
            wait_for_port(machine)

    def stop(self):
        """End all processes in order."""
        for machine in self.machines.values():
            machine.stop()

    def workers(self):
        """Machines that compute."""
        return [one for name, one in self.machines.items() if name != "receive"]

    def receivers(self):
        """Processes that receive, and on their own machine the one that watches over them."""
        machine = self.machines["receive" if self.database else "all"]
        found = machine.children("cestle.service.receiver")
        return [*found, psutil.Process(machine.process.pid)] if self.database else found

    def children(self, phase):
        """(machine, process, study folder) of computations in a phase."""
        found = []
        for part in (self.folder / "data" / "results").glob("*/r*.part"):
            with suppress(OSError):
                text = (part / "steps.jsonl").read_text()
                encodes = '"encode"' in text or "DICOM objects" in text
                if encodes == (phase == "encode"):
                    found.append(str(part))
        return found


class Chaos:
    """One run: senders, a killer, and the counting."""

    def __init__(self, site, seed, *, kills, database_server=None, log=lambda _: None):
        self.site = site
        self.random = random.Random(seed)  # noqa: S311 - to be repeated
        self.kills = kills
        self.server = database_server
        self.log = log
        self.counts = Counts()
        self.acknowledged = {}
        self.sending = 0
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.number = 0
        self.hits = {}
        self.begun = 0

    def run(self):
        """Send and kill, let it settle, count."""
        begin = time.monotonic()
        senders = [threading.Thread(target=self._send, daemon=True) for _ in range(2)]
        for one in senders:
            one.start()
        self._kill_all()
        self.stop.set()
        for one in senders:
            one.join(120)
        self._settle()
        self._count()
        self.counts.seconds = time.monotonic() - begin
        return self.counts

    # Sending

    def _send(self):
        while not self.stop.is_set():
            if self._open() >= UNDER_WAY:
                time.sleep(0.05)
                continue
            with self.lock:
                self.number += 1
                number = self.number
            files = self._files(number)
            if files is None:
                return
            self._send_until_acknowledged([describe_file(file) for file in files])

    def _files(self, number):
        if self.site.files is not None:
            return self.site.files[number - 1] if number <= len(self.site.files) else None
        folder = self.site.folder / "sent" / str(number)
        return [
            write_instance(
                folder,
                index,
                study=f"{ROOT}.{number}",
                pixels=bytes([number % 256, index]) * 16,
            )
            for index in range(1, INSTANCES + 1)
        ]

    def _send_until_acknowledged(self, instances):
        node, scanner = scanner_side(self.site.config)
        left = {one.sop_instance_uid: one for one in instances}

        def acknowledged(one):
            self.acknowledged[one.sop_instance_uid] = one.path
            left.pop(one.sop_instance_uid, None)

        self.begun += 1
        with self.lock:
            self.sending += 1
        deadline = time.monotonic() + 180
        while left and time.monotonic() < deadline:
            try:
                send_instances(list(left.values()), node, scanner, acknowledged=acknowledged)
            except (DeliveryError, OSError):
                time.sleep(0.1)
        with self.lock:
            self.sending -= 1

    def _open(self):
        return sum(1 for _ in self._unfinished()) + self.sending

    def _unfinished(self):
        try:
            with DataFolder.existing(self.site.config).open_database() as database:
                journal = Journal(database)
                return [*journal.unfinished(), *journal.collecting()]
        except Exception:  # noqa: BLE001 - the database may be down just now
            return [None] * UNDER_WAY

    # Killing

    def _kill_all(self):
        weights = dict(SHARE)
        if self.server is not None:
            weights["database", "any"] = 1
        plan = self.random.choices(list(weights), weights=list(weights.values()), k=self.kills)
        for count, (target, phase) in enumerate(plan, start=1):
            for machine in self.site.machines.values():
                wait_for_port(machine)
            if self._is_over():
                return
            hit = self._kill(target, phase)
            self.counts.kills[hit] = self.counts.kills.get(hit, 0) + 1
            self.log(f"{count}/{self.kills} {hit}")
            time.sleep(self.random.uniform(0.0, 0.2))

    def _is_over(self):
        """Whether the studies that were given are all done, so that there is nothing to kill."""
        files = self.site.files
        used = files is not None and self.number > len(files)
        return used and not self.sending and not self._unfinished()

    def _kill(self, target, phase):
        """Kill a target in a phase; what was killed in which phase."""
        deadline = time.monotonic() + 15
        while True:
            late = time.monotonic() > deadline
            if late and (target, phase) == ("child", phase):
                target = "worker"
            if self._try(target, "any" if late else phase):
                return f"{target} in {'any' if late else phase}"
            time.sleep(0.005)

    def _try(self, target, phase):
        if target == "database":
            self.server.restart(3)
            return True
        if phase == "receive" and not self.sending:
            return False
        if phase == "deliver" and not self._delivering():
            return False
        parts = self.site.children(phase) if phase in ("compute", "encode") else []
        if phase in ("compute", "encode") and not parts:
            return False
        time.sleep(self.random.uniform(0.0, 0.03))
        if target == "receiver":
            found = self.site.receivers()
            return bool(found) and _kill_processes([self.random.choice(found)])
        exposed = self._computing()
        if any(self.hits.get(uid, 0) >= MOST_HITS for uid in exposed):
            return False
        hit = self._kill_child() if target == "child" else self._kill_worker()
        if hit:
            # Which of them it was is not known, so it counts for all.
            for uid in exposed | self._computing():
                self.hits[uid] = self.hits.get(uid, 0) + 1
        return hit

    def _kill_worker(self):
        machine = self.random.choice(self.site.workers())
        machine.kill()
        wait_until(lambda: not machine.ready.is_set(), what="the death of a worker")
        return True

    def _kill_child(self):
        pattern = "fake_compute.py" if self.site.files is None else "cestle.service.child"
        found = [one for machine in self.site.workers() for one in machine.children(pattern)]
        return bool(found) and _kill_processes([self.random.choice(found)])

    def _computing(self):
        return {
            one.study_instance_uid
            for one in self._unfinished()
            if getattr(getattr(one, "state", None), "value", "") == "computing"
        }

    def _delivering(self):
        return any(
            one is not None and getattr(getattr(one, "state", None), "value", "") == "delivering"
            for one in self._unfinished()
        )

    # Counting

    def _settle(self):
        with suppress(BaseException):
            wait_until(lambda: not self._unfinished() and not self.sending, seconds=150)

    def _count(self):
        counts, config = self.counts, self.site.config
        folder = DataFolder.existing(config)
        with folder.open_database() as database:
            journal = Journal(database)
            studies = journal.studies()
            kept = {
                one.sop_instance_uid: folder.spool(config).instances / one.path
                for study in studies
                for one in journal.instances(study.study_instance_uid)
            }
            revisions = {
                one.study_instance_uid: journal.revisions(one.study_instance_uid) for one in studies
            }
            unplanned = self._unplanned(database)
        counts.acknowledged, counts.studies = len(self.acknowledged), self.begun
        for uid, sent in self.acknowledged.items():
            if uid not in kept or not kept[uid].is_file():
                counts.lost += 1
            elif _content(sent) != _content(kept[uid]):
                counts.altered += 1
        done = [
            uid for uid, found in revisions.items() if found and found[-1].state.value == "done"
        ]
        counts.stuck = self.begun - len(done)
        versions = self.site.pacs.versions()
        counts.results = len(versions)
        counts.repeats = len(self.site.pacs.contents) - len(versions)
        counts.conflicting = sum(len(contents) > 1 for contents in versions.values())
        counts.conflicting += unplanned
        counts.takeovers = sum(
            b"taken over" in line
            for machine in self.site.machines.values()
            for line in machine.log.read_bytes().splitlines()
        )

    def _unplanned(self, database):
        """UIDs that the PACS holds and nobody planned, or the other way round."""
        planned = {
            row["uid"]
            for row in database.read("SELECT sop_instance_uid AS uid FROM delivery_items")
        }
        held = {
            str(pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID)
            for file in self.site.pacs.files()
        }
        return len(planned ^ held)


def _content(file):
    found = pydicom.dcmread(file)
    return str(found.SOPInstanceUID), str(found.SOPClassUID), found.PixelData


def _kill_processes(processes):
    killed = False
    for one in processes:
        with suppress(psutil.Error):
            one.kill()
            killed = True
    return killed


def kill_run(seed, kills, *, server=None, restarts=False, studies=None, log=lambda _: None):
    """A whole run in a folder of its own; its counts.

    With `server`, a PostgreSQL, one receiver and two workers; otherwise one node on SQLite.
    """
    with tempfile.TemporaryDirectory(prefix="cestle-chaos-") as name, ExitStack() as stack:
        pacs = stack.enter_context(RecordingPacs(Path(name) / "pacs", delay=0.05))
        site = Site(Path(name), pacs, database=server.fresh() if server else "", studies=studies)
        stack.callback(site.stop)
        site.wait()
        chaos = Chaos(
            site, seed, kills=kills, database_server=server if restarts else None, log=log
        )
        return chaos.run()
