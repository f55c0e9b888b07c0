"""A short run of the kills that `make chaos` repeats by the hundred."""

import pytest

from faults.chaos import kill_run

# The stand-in for the archive is the library's own server, which leaves the socket of a sender
# that was killed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SEED = 20260102


def judged(counts, kills, capsys):
    """Show what was counted and check it."""
    with capsys.disabled():
        print(f"\n{counts}")  # noqa: T201 - counts are shown
    assert counts.acknowledged > 0
    assert counts.results > 0
    assert counts.killed == kills
    assert counts.faults == 0, counts


def test_kills_of_one_node(capsys):
    """Receiver, worker and computation are killed at random: nothing is lost, nothing doubled."""
    judged(kill_run(SEED, 12), 12, capsys)


def test_kills_of_two_workers(postgres, capsys):
    """Two workers on PostgreSQL are killed at random, and the database is restarted."""
    judged(kill_run(SEED, 8, server=postgres, restarts=True), 8, capsys)


@pytest.fixture(autouse=True)
def _enough_time(request):
    request.node.add_marker(pytest.mark.timeout(280))
