"""Timing of a function: median and range over several runs."""

import statistics
import time


def milliseconds(function, *, runs):
    """Median, minimum and maximum of `runs` calls after one that warms up [ms]."""
    function()
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        function()
        taken.append(1000.0 * (time.perf_counter() - started))
    return statistics.median(taken), min(taken), max(taken)


def row(name, figures, goal):
    """One printed line: median, range and the goal."""
    median, low, high = figures
    return f"{name:<52}{median:>10.1f} ms  ({low:.1f} … {high:.1f})  goal {goal}"
