"""Lets one computation run alone in its process, and the others side by side."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Solitude:
    """Many at a time, or one that wants to be alone."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._together = 0
        self._alone = False

    @contextmanager
    def kept(self, *, alone: bool) -> Iterator[None]:
        """Wait until there is room, and take it."""
        with self._change:
            # One that waits to be alone lets no others pass it, or it would wait for ever.
            self._change.wait_for(lambda: not self._alone)
            if alone:
                self._alone = True
                self._change.wait_for(lambda: self._together == 0)
            else:
                self._together += 1
        try:
            yield
        finally:
            with self._change:
                if alone:
                    self._alone = False
                else:
                    self._together -= 1
                self._change.notify_all()
