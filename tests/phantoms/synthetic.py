"""Synthetic studies that several tests share, made once."""

from functools import cache

from cestle.phantom.study import SimulatedStudy, SimulationSettings, simulate

COARSE_T1_MM = 3.0
"""Voxel size that keeps the T1 small where a test does not look at it."""


@cache
def noise_free(**changes: float) -> SimulatedStudy:
    """A study without noise on a coarse T1; do not write to its arrays."""
    return simulate(SimulationSettings(**{"snr": None, "t1_mm": COARSE_T1_MM, **changes}))
