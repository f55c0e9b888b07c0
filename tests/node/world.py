"""The delivering half of a node on a clock of its own: days pass in a moment."""

import heapq
import itertools
import json
import threading

from cestle.engine.jobs import Ending
from cestle.errors import DeliveryError
from cestle.net.commitment import CommitmentReport
from cestle.service.commitment import CommitmentCare, CommitmentRequests, recorder
from cestle.service.destinations import DestinationCare
from cestle.service.dispatcher import Dispatcher
from cestle.service.layout import DataFolder
from cestle.service.workflow import Workflow
from cestle.spool.breaker import BreakerState
from cestle.spool.commitments import Commitments
from cestle.spool.database import Database
from cestle.spool.destinations import DestinationStates
from cestle.spool.journal import Journal
from cestle.spool.lifecycle import Event
from cestle.spool.records import DeliveryItem, StoredInstance
from cestle.spool.retries import Retries
from cestle.spool.workers import Steps, Workers
from node.rig import MR_IMAGE, write_instance

START = 1_000_000.0


class SimulatedEngine:
    """A `JobEngine` whose pauses are entries in a list."""

    def __init__(self, world):
        self.world = world
        self.kinds = {}
        self.known = set()
        self.queue = []
        self.order = itertools.count()
        self.attempts = 0

    def start(self, kinds):
        """Keep the kinds."""
        self.kinds = {kind.name: kind for kind in kinds}

    def submit(self, kind, key, payload):
        """Queue a job."""
        if key not in self.known:
            self.known.add(key)
            self._put(self.world.now, kind, key, payload, 0)

    def holds(self, key):
        """Whether a job is queued."""
        return any(entry[3] == key for entry in self.queue)

    def stop(self):
        """Forget all."""
        self.queue.clear()

    def run_due(self):
        """Run what is due, each once, in order."""
        due = []
        while self.queue and self.queue[0][0] <= self.world.now:
            due.append(heapq.heappop(self.queue))
        for _, _, kind, key, payload, failures in due:
            self.attempts += 1
            ending = self.kinds[kind].attempt(payload)
            if ending is Ending.AGAIN:
                pause = self.kinds[kind].pauses(payload).after(failures + 1)
                if pause is None:
                    self.kinds[kind].give_up(payload)
                else:
                    self._put(self.world.now + pause, kind, key, payload, failures + 1)
            elif ending is Ending.INTERRUPTED:
                self._put(self.world.now, kind, key, payload, failures)

    def _put(self, when, *entry):
        heapq.heappush(self.queue, (when, next(self.order), *entry))


class World:
    """Deliveries, destinations that are up or not, and the time.

    `up(name, now)` says whether a destination answers, `refusal(name, uid)` gives an error to
    raise for an instance. `sends`, `looks` and `requests` are the connections that were made.
    """

    def __init__(self, config, place, monkeypatch):
        self.now = START
        self.config = config
        self.up = lambda *_: True
        self.refusal = lambda *_: None
        self.sends, self.looks, self.requests, self.arrivals = [], [], [], []
        self.place = place
        monkeypatch.setattr("cestle.service.workflow.deliver", self._deliver)
        monkeypatch.setattr("cestle.service.destinations.look", self._look)
        monkeypatch.setattr("cestle.service.commitment.ask_commitment", self._ask)
        self.database = None
        self.start()

    def start(self):
        """Begin as a new process does, with what the database holds."""
        if self.database is not None:
            self.database.close()
        self.database = Database(self.place)
        self.journal = Journal(self.database)
        self.retries = Retries(self.database)
        self.states = DestinationStates(self.database)
        self.commitments = Commitments(self.database)
        self.folder = DataFolder.existing(self.config)
        stopping = threading.Event()
        workflow = Workflow(
            config=self.config,
            folder=self.folder,
            journal=self.journal,
            states=self.states,
            requests=CommitmentRequests(
                config=self.config, commitments=self.commitments, clock=lambda: self.now
            ),
            computation=None,
            workers=Workers(self.database),
            steps=Steps(self.database),
            stopping=stopping,
            clock=lambda: self.now,
        )
        self.engine = SimulatedEngine(self)
        self.engine.start(workflow.kinds())
        named = {one.name: one for one in self.config.destinations}
        self.dispatcher = Dispatcher(
            journal=self.journal,
            engine=self.engine,
            retries=self.retries,
            destinations=frozenset(named),
            ticks=lambda: self.now,
        )
        self.care = DestinationCare(
            config=self.config,
            states=self.states,
            journal=self.journal,
            stopping=stopping,
            clock=lambda: self.now,
            start=lambda work: work(),
        )
        self.commitment_care = CommitmentCare(
            journal=self.journal, commitments=self.commitments, destinations=named
        )

    def plan(self, number, *, objects=2):
        """A computed study whose results wait to be delivered; its UID."""
        uid = f"1.2.{number}"
        self.journal.record_arrival(
            StoredInstance(
                sop_instance_uid=f"{uid}.1",
                sha256="0",
                study_instance_uid=uid,
                series_instance_uid=f"{uid}.0",
                sop_class_uid=MR_IMAGE,
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                calling_ae_title="SCANNER",
                called_ae_title="CESTLE",
                path="x",
                size=1,
                received=self.now,
            )
        )
        revision = self.journal.open_revision(
            self.journal.study(uid), inputs=[], used=frozenset(), cause="test", now=self.now
        )
        revision = self.journal.advance(revision, Event.START, now=self.now)
        place = self.folder.revision(uid, 1)
        outputs, items = [], []
        for k in range(1, objects + 1):
            path = write_instance(place / "dicom", k, study=uid)
            outputs.append({"product": f"p{k}", "path": f"dicom/{path.name}"})
            items.append(DeliveryItem(sop_instance_uid=f"{uid}.9.{k}", path=f"dicom/{path.name}"))
        (place / "results.json").write_text(json.dumps({"outputs": outputs}))
        plan = {one.name: items for one in self.config.destinations}
        self.journal.plan_deliveries(revision, plan, reason="", now=self.now)
        return uid

    def run(self, seconds, *, until=None):
        """Let the time pass from one thing due to the next; True when `until` came true."""
        end = self.now + seconds
        while self.now < end:
            self.care.step(self.now)
            self.commitment_care.step(self.now)
            self.dispatcher.step(self.now)
            self.engine.run_due()
            if until is not None and until():
                return True
            self.now = max(self.now + 0.25, min(self._next_due(), end))
        return False

    def _next_due(self):
        due = [self.now + 3600.0, *(entry[0] for entry in self.engine.queue[:1])]
        due += [one.open_until for one in self.states.all() if one.open_until]
        states = {one.name: one for one in self.states.all()}
        for name, backlog in self.states.backlogs().items():
            if backlog.held and (name not in states or states[name].open_until is None):
                due.append(self.now)
        due += [self.now for one in states.values() if one.state is BreakerState.HALF_OPEN]
        if any(one.echo_minutes for one in self.config.destinations):
            due.append(self.now + 300.0)
        due += [self.now] if self.journal.to_deliver() or self.commitments.reported() else []
        for delivery in self.journal.committing():
            due += [one.deadline for one in self.commitments.asked(delivery)[-1:]]
        return min(due)

    def state(self, uid):
        """State of the one revision of a study."""
        return self.journal.revision(uid, 1).state.value

    def delivery(self, uid, name="pacs"):
        """The delivery of a study to a destination."""
        return {one.destination: one for one in self.journal.deliveries(uid, 1)}[name]

    def report(self, request, failed=()):
        """Have a request for commitment answered."""
        transaction, instances, name = request
        uids = {uid for _, uid in instances}
        return recorder(self.commitments, lambda: self.now)(
            CommitmentReport(
                transaction_uid=transaction,
                committed=frozenset(uids - set(failed)),
                failed=dict.fromkeys(failed, 0x0112),
                destinations=frozenset({name}),
            )
        )

    def _deliver(self, instances, destination, config, *, acknowledged, sent_as, keep_going):
        del config, keep_going
        if not instances:
            return
        self.sends.append((self.now, destination.name))
        self._require_up(destination)
        for one in instances:
            fault = self.refusal(destination.name, one.sop_instance_uid)
            if fault is not None:
                raise fault
            self.arrivals.append(one.sop_instance_uid)
            sent_as(one, one)
            acknowledged(one)

    def _look(self, destination, config, *, seconds=None):
        del config, seconds
        self.looks.append((self.now, destination.name))
        self._require_up(destination)
        return 0.01

    def _ask(self, transaction, instances, destination, config, **_):
        del config
        self._require_up(destination)
        self.requests.append((transaction, tuple(instances), destination.name))

    def _require_up(self, destination):
        if not self.up(destination.name, self.now):
            raise DeliveryError(f"'{destination.name}' does not answer", permanent=False)
