"""Destinations that are down, full or slow, for minutes or days, on a simulated clock."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.errors import DeliveryError
from cestle.service.status import list_destinations, study_status
from cestle.spool.breaker import FAILURES_TO_OPEN, BreakerState, DestinationRecord
from cestle.spool.records import Retry
from node.rig import node_config
from node.world import START, World

HOUR = 3600.0


@pytest.fixture
def world(tmp_path, monkeypatch, database_place):
    """Two destinations that are given up after three hours, in either database."""
    made = World(config_of(tmp_path), database_place, monkeypatch)
    yield made
    made.database.close()


@pytest.fixture
def one_world(tmp_path, monkeypatch):
    """The same with 72 hours, in SQLite, where `cestle status` looks for it."""
    config = config_of(tmp_path, patience_hours=72.0, echo_minutes=0.0)
    config.node.data_dir.mkdir()
    made = World(config, config.node.data_dir / "journal.sqlite3", monkeypatch)
    yield made
    made.database.close()


def config_of(folder, *, patience_hours=3.0, echo_minutes=5.0):
    config = node_config(folder, destinations=[("pacs", "PACS", 104), ("archive", "ARCHIVE", 105)])
    usual = {
        "retry_seconds": 5.0,
        "longest_retry_minutes": 30.0,
        "give_up_hours": patience_hours,
        "echo_minutes": echo_minutes,
    }
    return config.model_copy(
        update={"destinations": tuple(one.model_copy(update=usual) for one in config.destinations)}
    )


def test_an_outage_of_three_days_is_bridged(one_world):
    """71 h down: a handful of connections for it, looks at most 2 min apart, delivered at once."""
    world = one_world
    back = START + 71 * HOUR
    world.up = lambda name, now: name != "pacs" or now >= back
    uids = [world.plan(number) for number in range(5)]
    assert world.run(600, until=lambda: all(_delivered(world, uid, "archive") for uid in uids))
    world.run(70 * HOUR)
    tried = [when for when, name in world.sends if name == "pacs"]
    looks = [when for when, name in world.looks if name == "pacs"]
    assert len(tried) <= FAILURES_TO_OPEN, "no delivery connects while it is down"
    assert max(b - a for a, b in itertools.pairwise(looks)) <= 131
    assert len(looks) < 71 * HOUR / 110
    reason = study_status(world.config, uids[0]).revisions[0].deliveries[1].reason
    assert reason.startswith("waiting for 'pacs': down since 1970-01-12T")
    assert "next look at" in reason
    shown = {one.name: one for one in list_destinations(world.config)}
    assert (shown["pacs"].state, shown["pacs"].waiting) == ("open", 5)
    assert (shown["archive"].state, shown["archive"].waiting) == ("closed", 0)
    world.start()  # the process was restarted in the meantime
    assert world.run(2 * HOUR, until=lambda: all(world.state(uid) == "done" for uid in uids))
    assert world.now <= back + 180


def _delivered(world, uid, name):
    return world.delivery(uid, name).state.value == "delivered"


def test_patience_ends_and_a_person_may_renew_it(world):
    """Down for longer than give_up_hours: set aside with the reason, delivered after a retry."""
    world.up = lambda name, _: name != "pacs"
    uid = world.plan(1)
    assert world.run(4 * HOUR, until=lambda: world.state(uid) == "undelivered")
    assert 3 * HOUR <= world.now - START < 3.1 * HOUR
    assert "gave up after 3 h" in world.delivery(uid).reason
    world.up = lambda *_: True
    world.retries.ask(Retry(study_instance_uid=uid))
    assert world.run(HOUR, until=lambda: world.state(uid) == "done")
    assert len(world.arrivals) == len(set(world.arrivals)) + 2, "two destinations, no repeats"


def test_when_it_is_back_one_tries_it_and_the_others_follow(world):
    """A destination that answers echoes and refuses data gets one delivery for each look."""
    full = DeliveryError("out of resources", permanent=False)
    world.refusal = lambda name, _: full if name == "pacs" else None
    uids = [world.plan(number) for number in range(10)]
    world.run(2 * HOUR)
    tried = [when for when, name in world.sends if name == "pacs"]
    assert len(tried) <= 2 * HOUR / 120 + 8
    looks = [when for when, name in world.looks if name == "pacs"]
    assert len(tried) <= FAILURES_TO_OPEN + len(looks)
    assert world.states.get("pacs").state is not BreakerState.CLOSED
    world.refusal = lambda *_: None
    before = len(tried)
    assert world.run(300, until=lambda: all(world.state(uid) == "done" for uid in uids))
    after = [when for when, name in world.sends if name == "pacs"]
    assert len(after) - before == 10
    assert world.states.get("pacs").state is BreakerState.CLOSED
    assert world.states.get("pacs").reason == ""


def test_a_lasting_refusal_of_data_ends_after_the_patience(world):
    """Echo answered, data refused: set aside after give_up_hours, not tried for ever."""
    full = DeliveryError("out of resources", permanent=False)
    world.refusal = lambda name, _: full if name == "pacs" else None
    uid = world.plan(1)
    assert world.run(4 * HOUR, until=lambda: world.state(uid) == "undelivered")
    assert 3 * HOUR <= world.now - START < 3.2 * HOUR
    assert "out of resources" in world.delivery(uid).reason


def test_what_was_planned_while_it_was_down_is_delivered_too(world):
    """Deliveries that begin in the outage are held without a connection, then go in order."""
    world.up = lambda name, now: name != "pacs" or now > START + HOUR
    first = world.plan(1)
    world.run(HOUR / 2)
    tried = len(world.sends)
    late = [world.plan(number) for number in (2, 3)]
    world.run(60)
    assert len([one for one in world.sends[tried:] if one[1] == "pacs"]) == 0
    assert world.run(HOUR, until=lambda: all(world.state(uid) == "done" for uid in (first, *late)))
    arrived = [uid for uid in world.arrivals if uid.endswith(".9.1")]
    assert arrived[-3:] == ["1.2.1.9.1", "1.2.2.9.1", "1.2.3.9.1"]


def test_a_processing_failure_is_repeated_a_few_times(world):
    """0x0110 of one instance is tried five times, and the destination does not count as down."""
    fault = DeliveryError("status 0x0110", permanent=False, limited=True)
    world.refusal = lambda name, uid: fault if (name, uid) == ("pacs", "1.2.1.9.2") else None
    bad, good = world.plan(1), world.plan(2)
    assert world.run(HOUR, until=lambda: world.state(bad) == "undelivered")
    assert world.delivery(bad).reason.startswith("gave up after 5 refusals")
    assert world.delivery(bad).sent == 1
    assert world.state(good) == "done"
    assert world.states.get("pacs").state is BreakerState.CLOSED


def test_a_permanent_refusal_leaves_the_destination_in_use(world):
    """What is set aside at once does not make the destination count as down."""
    fault = DeliveryError("refused", permanent=True)
    world.refusal = lambda name, uid: fault if name == "pacs" and uid[4] in "123" else None
    uids = [world.plan(number) for number in (1, 2, 3, 4)]
    assert world.run(60, until=lambda: world.state(uids[3]) == "done")
    assert [world.state(uid) for uid in uids[:3]] == ["undelivered"] * 3
    assert len([one for one in world.sends if one[1] == "pacs"]) == 4


def test_a_destination_that_leaves_the_configuration_holds_nothing(world, tmp_path):
    """Held deliveries of a destination that is gone are set aside with that reason."""
    world.up = lambda name, _: name != "pacs"
    uid = world.plan(1)
    world.run(HOUR)
    assert world.delivery(uid).held
    world.config = world.config.model_copy(update={"destinations": world.config.destinations[1:]})
    world.start()
    assert world.run(60, until=lambda: world.state(uid) == "undelivered")
    assert "no longer in the configuration" in world.delivery(uid).reason
    assert tmp_path.is_dir()


def test_a_silent_destination_is_looked_at_now_and_then(world):
    """Without deliveries each destination is asked every five minutes, and what it says is kept."""
    world.run(HOUR)
    looks = [when for when, name in world.looks if name == "pacs"]
    assert len(looks) == 12
    assert world.states.get("pacs").last_echo == looks[-1]
    world.up = lambda *_: False
    world.run(HOUR)
    record = world.states.get("pacs")
    assert record.state is BreakerState.OPEN
    assert record.last_echo == looks[-1]
    world.up = lambda *_: True
    world.run(180)
    assert world.states.get("pacs").state is BreakerState.CLOSED


EVENTS = st.lists(st.sampled_from(["success", "failure", "refusal", "echo"]), max_size=40)


@given(EVENTS)
def test_laws_of_the_breaker(events):
    """It opens by failures in a row alone, an echo never closes it, pauses never shrink."""
    record, now, row, pauses = DestinationRecord(name="x"), 0.0, 0, []
    for event in events:
        now += 1.0
        before = record
        if event == "success":
            record, row = record.after_success(now), 0
        elif event == "refusal":
            record, row = record.after_refusal(now, "no"), 0
        elif event == "echo":
            record = record.after_echo(now)
            assert record.state is not BreakerState.OPEN
            assert (record.state is BreakerState.CLOSED) == (before.state is BreakerState.CLOSED)
        else:
            record, row = record.after_failure(now, "lost", lambda looks: 5.0 * 2**looks), row + 1
        assert record.failures == row
        if record.state is BreakerState.CLOSED:
            assert row < FAILURES_TO_OPEN
            assert record.down_since is record.open_until is None
            pauses = []
        elif record.state is BreakerState.OPEN and event == "failure":
            pauses.append(record.open_until - now)
            assert pauses == sorted(pauses)
            assert record.down_since <= now < record.open_until
            assert record.reason == "lost"
