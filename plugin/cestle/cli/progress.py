"""Progress of long work, on stderr, quiet where nobody watches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A function that announces each step; it prints how long the step before took."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    started = time.monotonic()
    current = ""

    def finish() -> None:
        if current:
            console.print(f"  {current}: {time.monotonic() - started:.1f} s", style="dim")

    with console.status("…") as status:

        def announce(step: str) -> None:
            nonlocal current, started
            finish()
            current, started = step, time.monotonic()
            status.update(step)

        yield announce
        finish()
