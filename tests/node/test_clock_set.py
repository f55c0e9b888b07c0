"""A clock that is set makes no study wait for hours, none complete early, none run twice."""

import threading

import pytest

from cestle.engine.durable import DurableEngine
from cestle.engine.jobs import Ending, JobKind, Pauses
from cestle.service.assembly import Assembly
from cestle.service.clock import ClockWatch
from cestle.service.destinations import DestinationCare
from cestle.spool.breaker import BreakerState, DestinationRecord
from cestle.spool.database import Database
from cestle.spool.journal import Journal
from cestle.spool.retention import Retention
from cestle.spool.workers import Steps
from node.rig import node_config, wait_until, when_quiet
from node.test_identity import record

HOUR = 3600.0


class World:
    """A journal with a study that arrived at 1 s, and a clock and ticks of our own."""

    def __init__(self, place):
        self.database = Database(place)
        self.journal = Journal(self.database)
        record(self.database)
        self.ticks = 0.0
        self.offset = 1.0
        self.assembly = Assembly(
            journal=self.journal,
            assess=when_quiet(20.0),
            recipe=lambda: "recipe",
            plan=lambda _: None,
            steps=lambda _: (),
            retention=Retention(self.database),
            timeline=Steps(self.database),
            clock=ClockWatch(lambda: self.ticks),
        )

    def after(self, seconds):
        """Let time pass in steps of a second; revisions so far."""
        for _ in range(round(seconds)):
            self.ticks += 1.0
            self.assembly.step(self.ticks + self.offset)
        return len(self.journal.revisions("1.2.3"))


@pytest.fixture
def world(database_place):
    world = World(database_place)
    yield world
    world.database.close()


@pytest.mark.parametrize("jump", [-5 * HOUR, -30.0, 30.0, 5 * HOUR, 100 * HOUR])
def test_quiet_time_is_quiet_time_whatever_the_clock_says(world, jump):
    """20 s of silence begin a revision: not before, and at most 20 s late."""
    assert world.after(10) == 0
    world.offset += jump
    assert world.after(8) == 0
    assert world.after(14) == 1
    assert world.after(100) == 1


def test_a_clock_set_back_while_the_node_was_down(world):
    """An arrival from the future counts as an arrival now."""
    world.offset -= 5 * HOUR
    assert world.after(18) == 0
    assert world.after(5) == 1


def test_the_newest_content_stays_the_newest(world):
    """With the clock set back, what arrives later still counts as newer."""
    from dataclasses import replace

    [first] = world.journal.instances("1.2.3")
    world.journal.record_arrival(replace(first, sha256="1" * 64, received=-5 * HOUR))
    assert [one.sha256[0] for one in world.journal.instances("1.2.3")] == ["0", "1"]


def test_one_study_that_cannot_be_judged_stops_no_other(world):
    """A fault in the judgement of one study is its own, and is shown."""
    from dataclasses import replace

    [first] = world.journal.instances("1.2.3")
    world.journal.record_arrival(
        replace(first, study_instance_uid="1.2.4", sop_instance_uid="1.2.4.1", received=2.0)
    )

    def assess(gathered):
        if gathered.instances[0].study_instance_uid == "1.2.3":
            raise RecursionError("planted")
        return when_quiet(0.0)(gathered)

    object.__setattr__(world.assembly, "assess", assess)
    world.after(1)
    assert len(world.journal.revisions("1.2.4")) == 1
    assert "RecursionError" in world.journal.study("1.2.3").note


def test_pauses_end_when_the_clock_was_set_back(database_place):
    """A pause of an hour ends at once when it is hurried; nothing runs twice."""
    calls = []

    def attempt(payload):
        calls.append(dict(payload))
        return Ending.AGAIN if len(calls) == 1 else Ending.DONE

    engine = DurableEngine(database_place, polling_s=0.02)
    pauses = Pauses(first_s=HOUR, longest_s=HOUR, total_s=10 * HOUR)
    engine.start([JobKind(name="work", attempt=attempt, give_up=print, pauses=lambda _: pauses)])
    try:
        engine.submit("work", "k", {"n": 1})
        wait_until(lambda: len(calls) == 1 and engine.holds("k"))
        wait_until(lambda: engine.hurry() or len(calls) == 2, what="the second attempt")
        wait_until(lambda: not engine.holds("k"))
        assert len(calls) == 2
        assert engine.prune(4e9) == 2
        engine.submit("work", "other", {"n": 2})
        wait_until(lambda: len(calls) == 3, what="a job after pruning")
    finally:
        engine.stop()


@pytest.mark.parametrize(
    ("until", "due"), [(None, True), (99.0, True), (160.0, False), (100.0 + 5 * HOUR, True)]
)
def test_a_destination_is_looked_at_when_the_clock_was_set_back(tmp_path, until, due):
    """A look that lies further ahead than any pause is made at once."""
    config = node_config(tmp_path)
    care = DestinationCare(config=config, states=None, journal=None, stopping=threading.Event())
    record = DestinationRecord(name="pacs", state=BreakerState.OPEN, open_until=until)
    assert care._is_due(record, config.destinations[0], 100.0) is due


def test_a_job_of_a_destination_that_left_the_configuration_ends(database_place):
    """What was under way for it is no reason to fail; the journal says what is left."""
    calls = []

    def kind(name):
        return JobKind(
            name=name,
            attempt=lambda payload: calls.append(payload) or Ending.DONE,
            give_up=print,
            pauses=lambda _: Pauses(first_s=1, longest_s=1, total_s=1),
        )

    engine = DurableEngine(database_place, polling_s=0.02)
    engine.start([kind("deliver:here"), kind("deliver:gone")])
    engine._kinds.pop("deliver:gone")
    try:
        engine.submit("deliver:gone", "k", {"n": 1})
        engine.submit("deliver:here", "l", {"n": 2})
        wait_until(lambda: not engine.holds("k") and not engine.holds("l"))
    finally:
        engine.stop()
    assert calls == [{"n": 2}]
