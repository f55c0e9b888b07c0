"""Run all benchmarks, or those named: `make bench`, `make bench ONLY=map_speed`."""

import importlib
import sys

from benchmarks.machine import describe

BENCHMARKS = (
    "map_speed",
    "analysis_speed",
    "encoding",
    "start_up",
    "accuracy",
    "fluid",
    "atlas",
    "atlas_table",
    "intracranial",
    "slab",
    "motion",
    "megapress",
    "coverage",
    "megapress_peers",
    "self_test",
    "receiving",
    "loop",
    "loop_atlas",
    "throughput",
    "installed_size",
)


def main(names):
    """Print each benchmark as it ends."""
    print("\n".join(describe()), flush=True)
    for name in names or BENCHMARKS:
        print(f"\n{name}", flush=True)
        for line in importlib.import_module(f"benchmarks.{name}").lines():
            print(f"  {line}", flush=True)


main(sys.argv[1:])
