"""A child process that does not outlive its parent, whatever happens to the parent.

The parent holds the writing end of the child's standard input. When the parent ends, even by
SIGKILL, the child reads the end of the file.
"""

import os
import sys
import threading
from collections.abc import Callable


def read_line() -> str:
    """The first line that the parent writes; empty when it let go without one."""
    source, content = sys.stdin.fileno(), b""
    # Not through the buffered reader: its lock, held by a thread, aborts the interpreter's end.
    while not content.endswith(b"\n"):
        byte = os.read(source, 1)
        if not byte:
            return ""
        content += byte
    return content[:-1].decode()


def watch_parent(gone: Callable[[], None]) -> None:
    """Call `gone` from a thread of its own when the parent has ended or let go."""
    source = sys.stdin.fileno()

    def wait() -> None:
        while os.read(source, 4096):  # not through the buffered reader, as above
            pass
        gone()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
