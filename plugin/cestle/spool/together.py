"""Several threads that each want a commit share one: the disk is waited for once."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cestle.errors import SpoolError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@dataclass(kw_only=True)
class _Entry(Generic[Item, Answer]):
    item: Item
    done: bool = False
    answer: Answer | None = None
    fault: SpoolError | None = None


class Together(Generic[Item, Answer]):
    """Hands what is asked for while one commit is under way to the next one, all at once.

    Parameters
    ----------
    do
        Does it for several items in one commit and gives one answer for each, in their order.
    """

    def __init__(self, do: Callable[[Sequence[Item]], Sequence[Answer]]) -> None:
        self._do = do
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Entry[Item, Answer]] = []

    def __call__(self, item: Item) -> Answer:
        """The answer for one item, once it is committed.

        Raises
        ------
        SpoolError
            When the commit that it was part of failed.
        """
        entry: _Entry[Item, Answer] = _Entry(item=item)
        with self._lock:
            self._waiting.append(entry)
        with self._turn:
            # Whoever has the turn takes along all that wait; they find it done.
            if not entry.done:
                self._take_along()
        if entry.fault is not None:
            raise SpoolError(str(entry.fault)) from entry.fault
        if entry.answer is None:
            raise SpoolError("a commit gave no answer; report this fault")
        return entry.answer

    def _take_along(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        fault: SpoolError | None = SpoolError("a commit was cut short; report this fault")
        answers: Sequence[Answer] = ()
        try:
            answers = self._do([entry.item for entry in batch])
            fault = None
        except SpoolError as found:
            fault = found
        finally:
            for place, entry in enumerate(batch):
                entry.done, entry.fault = True, fault
                entry.answer = answers[place] if place < len(answers) else None
