"""Runs every scenario at length and writes the table of deploy/reliability.md: `make chaos`.

`python -m faults.reliability [SEED [NUMBER]]` in tests/, NUMBER for one scenario, whose counts are
then only printed. A scenario is a name, what it shows, and a function
that gives counts; others are added to `SCENARIOS`.
"""

import importlib.metadata
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import describe
from cestle.dicom.simulated import write_study
from cestle.phantom.study import SimulationSettings, simulate
from faults.chaos import kill_run
from node.postgres import PostgresServer

PAGE = Path(__file__).parents[2] / "deploy" / "reliability.md"
BEGIN, END = "<!-- measured -->", "<!-- end of measured -->"
SEED = 20260102


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A way to break things; `run` takes a seed and a log and gives counts."""

    name: str
    run: Callable


def one_node(seed, log):
    """One node on SQLite."""
    return kill_run(seed, 200, log=log)


def two_workers(seed, log):
    """A receiver and two workers on PostgreSQL, which is restarted too."""
    server = PostgresServer()
    server.start()
    try:
        return kill_run(seed, 200, server=server, restarts=True, log=log)
    finally:
        server.remove()


def real_computation(seed, log):
    """One node on SQLite with the computation as it is, on simulated studies."""
    with tempfile.TemporaryDirectory(prefix="cestle-studies-") as name:
        studies = [
            write_study(
                simulate(SimulationSettings(seed=number, t1_mm=1.6)), Path(name) / str(number)
            )
            for number in range(1, 9)
        ]
        return kill_run(seed, 20, studies=studies, log=log)


SCENARIOS = (
    Scenario(name="one node, SQLite, stand-in for the computation", run=one_node),
    Scenario(
        name="receiver and two workers, PostgreSQL, stand-in for the computation", run=two_workers
    ),
    Scenario(name="one node, SQLite, real computation", run=real_computation),
)


def main(seed, number=None):
    """Run all, write the page, and say whether all is well."""
    rows, well = [], True
    for scenario in SCENARIOS if number is None else SCENARIOS[number : number + 1]:
        print(scenario.name, flush=True)
        counts = scenario.run(seed, lambda line: print(f"  {line}", flush=True))
        print(f"  {counts}", flush=True)
        rows.append((scenario.name, counts))
        well = well and counts.faults == 0
    if number is not None:
        print(_table(rows, seed))
        return 0 if well else 1
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{_table(rows, seed)}\n{END}{after}", encoding="utf-8")
    return 0 if well else 1


def _table(rows, seed):
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("SQLAlchemy", "psycopg")
    )
    machine = "; ".join(" ".join(line.split()) for line in describe())
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d}, seed {seed}, load average "
        f"{os.getloadavg()[2]:.1f} at the end; {machine}, SQLite {sqlite3.sqlite_version}, "
        f"{versions}.",
        "",
        "| scenario | kills | studies | instances acknowledged | lost | altered | studies stuck "
        "| results | UIDs with two contents, or none planned | objects sent twice | takeovers "
        "| minutes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {one.killed} | {one.studies} | {one.acknowledged} | **{one.lost}** "
        f"| **{one.altered}** | **{one.stuck}** | {one.results} | **{one.conflicting}** "
        f"| {one.repeats} | {one.takeovers} | {one.seconds / 60:.1f} |"
        for name, one in rows
    ]
    lines += ["", "Where the kills fell:", ""]
    for name, one in rows:
        kills = ", ".join(f"{what} {count}" for what, count in sorted(one.kills.items()))
        lines.append(f"- {name}: {kills}.")
    return "\n".join(lines)


if __name__ == "__main__":
    begin = time.monotonic()
    code = main(*map(int, sys.argv[1:])) if len(sys.argv) > 1 else main(SEED)
    print(f"{(time.monotonic() - begin) / 60:.1f} min")
    sys.exit(code)
