"""Threads that share a commit."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cestle.errors import SpoolError
from cestle.spool.together import Together


class Slow:
    """Answers each item with its double, slowly, and records the batches."""

    def __init__(self, refused=()):
        self.batches, self.refused = [], refused

    def __call__(self, batch):
        """One commit."""
        self.batches.append(tuple(batch))
        time.sleep(0.05)
        if set(self.refused) & set(batch):
            raise SpoolError("the disk is full")
        return [2 * item for item in batch]


def test_what_waits_is_done_in_one_go_and_each_gets_its_own_answer():
    """Forty threads need far fewer commits, and nothing is done twice or forgotten."""
    slow = Slow()
    together = Together(slow)
    with ThreadPoolExecutor(40) as pool:
        assert list(pool.map(together, range(1, 41))) == [2 * item for item in range(1, 41)]
    assert sorted(item for batch in slow.batches for item in batch) == list(range(1, 41))
    assert len(slow.batches) < 20


def test_a_commit_that_fails_is_an_error_for_all_that_were_part_of_it():
    """Those of other commits are answered; everybody gets either an answer or the reason."""
    slow = Slow(refused={7})
    together = Together(slow)
    begin = threading.Barrier(8)

    def ask(item):
        begin.wait(10)
        try:
            return together(item)
        except SpoolError as fault:
            return str(fault)

    with ThreadPoolExecutor(8) as pool:
        found = dict(zip(range(1, 9), pool.map(ask, range(1, 9)), strict=True))
    [failed] = [batch for batch in slow.batches if 7 in batch]
    for item, answer in found.items():
        assert answer == ("the disk is full" if item in failed else 2 * item)


def test_after_a_fault_of_ours_nobody_waits_for_ever():
    """The others are told, and the next commit goes on."""
    faults = iter([ValueError("a fault of ours")])

    def do(batch):
        time.sleep(0.05)
        for fault in faults:
            raise fault
        return batch

    together = Together(do)
    with pytest.raises(ValueError, match="of ours"):
        together(1)
    assert together(2) == 2
