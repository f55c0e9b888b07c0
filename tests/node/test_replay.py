"""Steps that are shown, and doing again from one of them."""

import pytest

from cestle.errors import InputError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.node import Node
from cestle.service.operate import Step, Wish, reprocess, retry
from cestle.service.status import study_status
from faults.machines import RecordingPacs
from node.rig import node_config, store, wait_until, when_quiet, write_instance
from node.test_node_loop import QUICK, STUDY, state_is

pytestmark = pytest.mark.peer


def node_of(config, compute):
    return Node(config, compute_command=compute.command, assess=when_quiet(), compute_pauses=QUICK)


def send(node, folder, *numbers):
    files = [write_instance(folder / "in", number) for number in numbers]
    assert store(node.port, files).returncode == 0


def test_steps_are_shown_and_a_delivery_is_repeated_to_one_destination(tmp_path, compute):
    """A done study is sent again to the destination that lost it, with the same objects."""
    compute.mode(pause=0.2, encode=0.2, salted=True)
    with (
        RecordingPacs(tmp_path / "pacs") as pacs,
        RecordingPacs(tmp_path / "archive", ae_title="ARCHIVE") as archive,
    ):
        config = node_config(
            tmp_path,
            destinations=[("pacs", "PACS", pacs.port), ("archive", "ARCHIVE", archive.port)],
        )
        with node_of(config, compute) as node:
            send(node, tmp_path, 1)
            wait_until(state_is(config, "done"), what="done")
            done = wait_until(
                lambda: len((one := study_status(config, STUDY)).revisions[0].steps) == 5 and one,
                what="the record of the deliveries",
            )
            steps = {step.name: step for step in done.revisions[0].steps}
            assert list(steps)[:3] == ["collecting the images", "compute", "encode"]
            assert set(list(steps)[3:]) == {"deliver to archive", "deliver to pacs"}
            assert steps["collecting the images"].seconds >= 0.5
            assert steps["encode"].seconds >= 0.2
            assert all(step.attempts == 1 and not step.note for step in steps.values())

            assert retry(config, STUDY, step=Step.DELIVER, destination="archive") == (STUDY,)
            wait_until(lambda: len(archive.contents) == 4, what="the repeat")
            wait_until(state_is(config, "done"), what="done again")
            retry(config, STUDY, step=Step.DELIVER)
            wait_until(lambda: len(archive.contents) == 6, what="all again")
            wait_until(state_is(config, "done"), what="done again")
            wait_until(
                lambda: (
                    {
                        one.name: one.attempts
                        for one in study_status(config, STUDY).revisions[0].steps
                    }["deliver to archive"]
                    == 3
                ),
                what="the record of three deliveries",
            )
            with pytest.raises(InputError, match=r"was sent already.*reprocess"):
                retry(config, STUDY, step=Step.COMPUTE)
    assert len(pacs.contents) == 4
    assert len(compute.calls) == 1
    for taken in (pacs, archive):
        assert all(len(contents) == 1 for contents in taken.versions().values())


def test_what_nobody_was_offered_is_computed_again(tmp_path, compute):
    """Results without an object for a destination are computed anew under the same revision."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("gone", "PACS", pacs.port)])
        compute.mode(exit=2, reason="no rule for it")
        with node_of(config, compute) as node:
            send(node, tmp_path, 1)
            wait_until(state_is(config, "parked"), what="parked")
            with pytest.raises(InputError, match="is parked, so there is nothing to deliver"):
                retry(config, STUDY, step=Step.DELIVER)
        # Computed now, but its only destination is not in the configuration of the next start.
        (tmp_path / "one").mkdir()
        other = node_config(
            tmp_path / "one",
            destinations=[("pacs", "PACS", pacs.port)],
            data_dir=str(config.node.data_dir),
        )
        compute.mode()
        pacs.stop()
        with node_of(config, compute):
            retry(config, STUDY, step=Step.COMPUTE)
            wait_until(lambda: study_status(config, STUDY).state == "delivering", what="delivering")
            wait_until(
                lambda: study_status(config, STUDY).revisions[0].deliveries[0].attempts,
                what="an attempt",
            )
            # It was offered, even if nobody answered: nothing says that it did not arrive.
            with pytest.raises(InputError, match="was sent already"):
                retry(config, STUDY, step=Step.COMPUTE)
        pacs.start()
        with node_of(other, compute):
            wait_until(state_is(other, "undelivered"), what="undelivered")
            with pytest.raises(InputError, match="was sent already"):
                retry(other, STUDY, step=Step.COMPUTE)
            reprocess(other, STUDY, Wish(reason="to the new destination"))
            wait_until(lambda: len(pacs.arrivals) == 2, what="the new destination")


def test_a_revision_with_nothing_to_send_is_computed_again(tmp_path, compute):
    """Where no object was made for the destination, the same revision can be computed anew."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(tmp_path, destinations=[("pacs", "PACS", pacs.port)])
        text = (tmp_path / "node.toml").read_text()
        (tmp_path / "node.toml").write_text(
            text.replace("timeout_seconds = 5.0", 'objects = ["mrs_page"]\ntimeout_seconds = 5.0')
        )
        from cestle.config.node import load_node_config

        picky = load_node_config(tmp_path / "node.toml")
        with node_of(picky, compute) as node:
            send(node, tmp_path, 1)
            wait_until(state_is(picky, "undelivered"), what="undelivered")
        with node_of(config, compute):
            retry(config, STUDY, step=Step.COMPUTE)
            done = wait_until(state_is(config, "done"), what="done")
        assert len(done.revisions) == 1
        assert len(compute.calls) == 2
        assert len(pacs.arrivals) == 2
