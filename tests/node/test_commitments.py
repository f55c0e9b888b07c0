"""What follows from reports of storage commitment, and from their absence."""

import pytest

from cestle.errors import DeliveryError
from cestle.net.commitment import CommitmentReport
from cestle.service.commitment import recorder
from cestle.spool.records import Retry
from node.rig import MR_IMAGE, node_config
from node.world import World

HOUR = 3600.0


@pytest.fixture
def world(tmp_path, monkeypatch, database_place):
    """One destination that is asked for commitment, another that is not, in either database."""
    config = node_config(tmp_path, destinations=[("pacs", "PACS", 104), ("web", "WEB", 105)])
    usual = {"retry_seconds": 5.0, "longest_retry_minutes": 30.0, "echo_minutes": 0.0}
    asked = {"storage_commitment": True, "commitment_wait_minutes": 60.0}
    first, second = (one.model_copy(update=usual) for one in config.destinations)
    config = config.model_copy(update={"destinations": (first.model_copy(update=asked), second)})
    made = World(config, database_place, monkeypatch)
    yield made
    made.database.close()


def committing(world, uid):
    return lambda: world.delivery(uid).state.value == "committing"


def test_done_means_committed(world):
    """A revision is done when the report says so, and not when everything was acknowledged."""
    uid = world.plan(1)
    assert world.run(60, until=committing(world, uid))
    assert world.delivery(uid, "web").state.value == "delivered"
    assert world.requests[0][1] == ((MR_IMAGE, f"{uid}.9.1"), (MR_IMAGE, f"{uid}.9.2"))
    world.run(HOUR / 2)
    assert world.state(uid) == "delivering"
    assert (world.commitments.open_count(), world.delivery(uid).sent) == (1, 2)
    assert world.commitments.oldest_open() <= world.now - HOUR / 4
    assert world.report(world.requests[0]) == 0x0000
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert world.delivery(uid).committed == 2
    assert (world.commitments.open_count(), world.commitments.oldest_open()) == (0, None)
    assert world.report(world.requests[0]) == 0x0000, "a repeated report is answered and ignored"
    assert len(world.arrivals) == 4


def test_what_is_not_kept_is_sent_again_alone(world):
    """A failed instance is sent again, that one only, and asked for in a new transaction."""
    uid = world.plan(1, objects=3)
    assert world.run(60, until=committing(world, uid))
    lost = f"{uid}.9.2"
    world.arrivals.clear()
    assert world.report(world.requests[0], failed=[lost]) == 0x0000
    assert world.run(60, until=lambda: len(world.requests) == 2)
    assert world.arrivals == [lost]
    assert world.requests[1][1] == ((MR_IMAGE, lost),)
    assert world.requests[1][0] != world.requests[0][0]
    world.report(world.requests[1])
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert world.delivery(uid).resends == 1


def test_an_archive_that_never_keeps_it_ends_it(world):
    """After three repeats the delivery is set aside with the reason of the archive."""
    uid = world.plan(1)
    for count in range(1, 5):
        assert world.run(60, until=lambda n=count: len(world.requests) == n)
        world.report(world.requests[-1], failed=[f"{uid}.9.1"])
    assert world.run(60, until=lambda: world.state(uid) == "undelivered")
    reason = world.delivery(uid).reason
    assert reason.startswith("accepted but not committed: ")
    assert "0x0112" in reason
    assert world.arrivals.count(f"{uid}.9.1") == 1 + 1 + 3, "once for each destination, 3 repeats"
    world.retries.ask(Retry(study_instance_uid=uid))
    assert world.run(60, until=lambda: len(world.requests) == 5)
    world.report(world.requests[-1])
    assert world.run(60, until=lambda: world.state(uid) == "done")


def test_silence_is_asked_again_and_ends(world):
    """Without reports it is asked again after 1, 2, 4 … hours; after 72 h it is set aside."""
    uid = world.plan(1)
    assert world.run(80 * HOUR, until=lambda: world.state(uid) == "undelivered")
    assert [len(one[1]) for one in world.requests] == [2] * 7
    assert len({one[0] for one in world.requests}) == 7
    assert "accepted but not committed: no report for 7 requests in 72 h" in (
        world.delivery(uid).reason
    )
    assert len(world.arrivals) == 4, "nothing is sent again for want of a report"


def test_a_late_report_of_an_older_request_counts(world):
    """The answer to the first request, after the second was made, commits what it covers."""
    uid = world.plan(1)
    assert world.run(2 * HOUR, until=lambda: len(world.requests) == 2)
    world.report(world.requests[0])
    assert world.run(60, until=lambda: world.state(uid) == "done")


def test_an_older_failure_does_not_undo_a_later_success(world):
    """A late failure for what a later request committed is ignored."""
    uid = world.plan(1)
    assert world.run(2 * HOUR, until=lambda: len(world.requests) == 2)
    world.report(world.requests[1])
    world.report(world.requests[0], failed=[f"{uid}.9.1"])
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert len(world.arrivals) == 4


def test_a_report_that_covers_a_part_leaves_the_rest_open(world):
    """What a report does not name stays uncommitted and is asked for again alone."""
    uid = world.plan(1)
    assert world.run(60, until=committing(world, uid))
    transaction, instances, name = world.requests[0]
    world.report((transaction, instances[:1], name))
    assert world.run(2 * HOUR, until=lambda: len(world.requests) == 2)
    assert world.requests[1][1] == instances[1:]


def test_reports_of_strangers_and_of_nothing_are_refused(world):
    """An unknown transaction is 0x0115, one of another destination 0x0124; neither counts."""
    uid = world.plan(1)
    assert world.run(60, until=committing(world, uid))
    record = recorder(world.commitments, lambda: world.now)
    transaction = world.requests[0][0]

    def report(transaction, *destinations):
        return CommitmentReport(
            transaction_uid=transaction,
            committed=frozenset({f"{uid}.9.1", f"{uid}.9.2"}),
            failed={},
            destinations=frozenset(destinations),
        )

    assert record(report("1.2.3.4", "pacs")) == 0x0115
    assert record(report(transaction, "web")) == 0x0124
    world.run(60)
    assert world.state(uid) == "delivering"
    assert record(report(transaction, "web", "pacs")) == 0x0000
    assert world.run(60, until=lambda: world.state(uid) == "done")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_restart_between_request_and_report(world, moment):
    """The process dies around the report; a new one finds request and report in the record."""
    uid = world.plan(1)
    assert world.run(60, until=committing(world, uid))
    if moment == "before":
        world.start()
    world.report(world.requests[0])
    if moment == "after":
        world.start()
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert len(world.requests) == 1
    assert len(world.arrivals) == 4


def test_an_archive_that_refuses_the_request(world, monkeypatch):
    """Commitment that is not offered sets the delivery aside, saying that it has arrived."""

    def refuse(*_, **__):
        raise DeliveryError("destination 'pacs' accepts none", permanent=True)

    monkeypatch.setattr("cestle.service.commitment.ask_commitment", refuse)
    uid = world.plan(1)
    assert world.run(60, until=lambda: world.state(uid) == "undelivered")
    assert world.delivery(uid).reason.startswith("accepted but not committed: ")
    assert world.delivery(uid).sent == 2


def test_an_outage_before_the_request(world):
    """Down after the last object: nothing is sent again, the request is made when it is back."""
    uid = world.plan(1)
    world.up = lambda name, _: name != "pacs" or not world.arrivals[1:]
    world.run(2 * HOUR)
    assert world.delivery(uid).sent == 2
    world.up = lambda *_: True
    assert world.run(HOUR, until=lambda: len(world.requests) == 1)
    world.report(world.requests[0])
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert len(world.arrivals) == 4


def test_commitment_that_is_no_longer_wanted(world):
    """Switched off while a report is awaited, the delivery is done with what was acknowledged."""
    uid = world.plan(1)
    assert world.run(60, until=committing(world, uid))
    first, second = world.config.destinations
    first = first.model_copy(update={"storage_commitment": False})
    world.config = world.config.model_copy(update={"destinations": (first, second)})
    world.start()
    assert world.run(60, until=lambda: world.state(uid) == "done")
    assert len(world.arrivals) == 4
