"""Computing children: started for each computation, and one made ready beforehand.

Importing the sciences takes seconds, so while a study still arrives one child is started that
imports them and then waits. Each child computes one revision and ends.
"""

import subprocess
import threading
from collections.abc import Sequence


class Children:
    """Starts the children.

    A child gets the name of its request file as one line on its standard input. The node keeps
    that pipe open: when it closes, because the node ended or let go, the child ends too.

    Parameters
    ----------
    command
        What is run.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._lock = threading.Lock()
        self._spare: subprocess.Popen[bytes] | None = None

    def make_ready(self) -> None:
        """Have a child waiting; nothing is done when one is."""
        with self._lock:
            if self._spare is not None and self._spare.poll() is not None:
                _discard(self._spare)
                self._spare = None
            if self._spare is None:
                self._spare = self._start()

    def dismiss(self) -> None:
        """End the waiting child, if there is one."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            _discard(spare)

    def compute(self, request: str) -> "subprocess.Popen[bytes]":
        """A child that works on a request file: the waiting one, or a new one."""
        with self._lock:
            spare, self._spare = self._spare, None
        if spare is not None:
            if spare.poll() is None and _tell(spare, request):
                return spare
            _discard(spare)
        child = self._start()
        _tell(child, request)  # a child that died at once is seen by its exit code
        return child

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=None,
            start_new_session=True,
        )


def _tell(child: "subprocess.Popen[bytes]", request: str) -> bool:
    if child.stdin is None:
        return False
    try:
        child.stdin.write(f"{request}\n".encode())
        child.stdin.flush()
    except BrokenPipeError:
        return False
    return True


def _discard(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    with child:
        pass
