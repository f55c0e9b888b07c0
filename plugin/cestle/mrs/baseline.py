"""A smooth baseline whose stiffness the data choose within limits.

Cubic splines with close knots are held straight by a soft constraint on their second differences;
its width is that under which the data are most likely once all amplitudes are integrated out. A
spectrum with a flat baseline thus gets a stiff one, which costs no precision, and a spectrum with
waves a freer one. The limit is needed with real data: what no model describes, as the region
about the inverted NAA, else makes the baseline so free that it goes below macromolecules and
doubles them, while the residual falls.

References
----------
Eilers PHC, Marx BD. Stat Sci 1996;11:89-121. doi:10.1214/ss/1038425655
MacKay DJC. Neural Comput 1992;4:415-447. doi:10.1162/neco.1992.4.3.415
"""

import math
from dataclasses import replace
from typing import Final

import numpy as np

from cestle.mrs.separable import SeparableFit, SeparableProblem, log_evidence, solve
from cestle.physics import Real

KNOTS_PPM: Final = 0.4
"""Spacing of the knots: half the width of the narrowest wave that is baseline."""
STIFF: Final = (0.001, 0.0025, 0.006)
"""Standard deviations of second differences that are tried, over the height of creatine in OFF;
for OFF itself, whose lines give their shape to all else: a freer baseline goes below their feet."""
WAVED: Final = (0.04,)
"""For an OFF spectrum that slow waves cross."""
FREE: Final = (*STIFF, 0.015, *WAVED)
"""Those for the difference, where waves are as high as signals."""
FIRST_SPREAD: Final = 0.0025
"""Where the search begins: stiff, so that broad signals find their widths before it is freed."""

_ROUNDS: Final = 2


def solve_with_baseline(
    problem: SeparableProblem,
    height: float,
    start: Real | None = None,
    *,
    spreads: tuple[float, ...],
    freedom: float = 1.0,
) -> SeparableFit:
    """Fit with the stiffness of the baseline that the data choose.

    Parameters
    ----------
    problem
        What is fitted, with all constraints but that on the baseline. Its noise is raised to the
        residual where that is larger: soft constraints are then weighed against what the model
        leaves in the data, and errors derived from the fit hold the misfit.
    height
        Height of creatine in OFF [a.u.].
    start
        Envelope parameters to start from.
    spreads
        Widths that are tried, over `height`.
    freedom
        Factor on the chosen width, to try a stiffer or freer baseline.
    """
    noise, spread = problem.sigma, FIRST_SPREAD * height
    fit = solve(_bent(problem, freedom * spread), start)
    for _ in range(_ROUNDS):
        rms = float(np.sqrt(np.mean(fit.residual**2)))
        problem = replace(problem, sigma=max(noise, rms))
        trials = [share * height for share in spreads]
        spread = trials[int(np.argmax([_evidence(fit, problem, trial) for trial in trials]))]
        fit = solve(_bent(problem, freedom * spread), fit.parameters)
    return fit


def _bent(problem: SeparableProblem, spread: float) -> SeparableProblem:
    """The problem with second differences of the baseline of this size [a.u.]."""
    count = problem.smooth.shape[1]
    rows = np.zeros((count - 2, problem.ties.shape[1]))
    rows[:, -count:] = np.diff(np.eye(count), 2, axis=0) / spread
    return replace(
        problem,
        ties=np.vstack([problem.ties, rows]),
        targets=np.concatenate([problem.targets, np.zeros(len(rows))]),
    )


def _evidence(fit: SeparableFit, problem: SeparableProblem, spread: float) -> float:
    """Log-evidence of a width, at the envelope of a fit."""
    ranks = float(problem.smooth.shape[1] - 2)
    return log_evidence(_bent(problem, spread), fit) - ranks * math.log(spread)
