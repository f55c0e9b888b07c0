"""A child process that does not outlive its parent, whatever happens to the parent.

The parent holds the writing end of the child's standard input. When the parent ends, even by
SIGKILL, the child reads the end of the file.
"""

import os
import sys
import threading
from collections.abc import Callable


def watch_parent(gone: Callable[[], None]) -> None:
    """Call `gone` from a thread of its own when the parent has ended or let go."""
    source = sys.stdin.fileno()

    def wait() -> None:
        # Not through the buffered reader: its lock, held here, aborts the interpreter's end.
        while os.read(source, 4096):
            pass
        gone()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
