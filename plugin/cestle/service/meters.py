"""What a worker measures of its own work: durations and outcomes, for the metrics."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

# The time of creation of each series doubles their number and tells nobody anything.
disable_created_metrics()  # type: ignore[no-untyped-call]
_STEP_BUCKETS: Final = (0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 7200)
STEPS: Final = ("collecting", "queued", "computation", "reading", "computing", "making")
"""Arrival to inputs fixed, fixed to begun, the child as a whole; then the steps within it."""
RESULTS: Final = ("complete", "partial", "bad_input", "fault", "interrupted")
DELIVERED: Final = ("delivered", "committing", "later", "set_aside")


class Meters:
    """Counts and durations since the start of this process; nothing is labelled by study."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._steps = Histogram(
            "cestle_step_seconds",
            "Duration of the steps of a revision.",
            ["step"],
            buckets=_STEP_BUCKETS,
            registry=self.registry,
        )
        self._computations = Counter(
            "cestle_computations",
            "Computations by how they ended.",
            ["result"],
            registry=self.registry,
        )
        self._delivery_seconds = Histogram(
            "cestle_delivery_seconds",
            "Duration of attempts to deliver.",
            ["destination"],
            buckets=_STEP_BUCKETS,
            registry=self.registry,
        )
        self._attempts = Counter(
            "cestle_delivery_attempts",
            "Attempts to deliver by how they ended.",
            ["destination", "result"],
            registry=self.registry,
        )
        self._takeovers = Counter(
            "cestle_takeovers", "Jobs taken over from dead workers.", registry=self.registry
        )
        for step in STEPS:
            self._steps.labels(step)
        for result in RESULTS:
            self._computations.labels(result)

    def expect(self, destination: str) -> None:
        """Show a destination from the start, with zeros."""
        self._delivery_seconds.labels(destination)
        for result in DELIVERED:
            self._attempts.labels(destination, result)

    def step(self, step: str, seconds: float) -> None:
        """One step took so long [s]; a clock that was set back counts as no time."""
        self._steps.labels(step).observe(max(0.0, seconds))

    def computed(self, result: str, seconds: float, steps: Mapping[str, float]) -> None:
        """A computation ended; what its child says of its steps is taken for the known ones."""
        self._computations.labels(result).inc()
        self.step("computation", seconds)
        for name in STEPS:
            if name in steps:
                self.step(name, steps[name])

    def delivered(self, destination: str, result: str, seconds: float) -> None:
        """An attempt at a delivery ended."""
        self._attempts.labels(destination, result).inc()
        self._delivery_seconds.labels(destination).observe(seconds)

    def took_over(self, jobs: int) -> None:
        """Jobs of a dead worker were taken over."""
        self._takeovers.inc(jobs)
