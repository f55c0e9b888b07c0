"""Progress of long work, on stderr, quiet where nobody watches."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID


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


@contextmanager
def transfers(total: int) -> Iterator[Callable[[str, str, int, int], None]]:
    """A function that shows how far each of `total` series is: key, name, done, remaining."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def told(key: str, name: str, done: int, remaining: int) -> None:
            if key not in tasks:
                title = f"{name}, series {len(tasks) + 1} of {total}"
                tasks[key] = progress.add_task(title, total=None)
            progress.update(tasks[key], completed=done, total=done + remaining)

        yield told
