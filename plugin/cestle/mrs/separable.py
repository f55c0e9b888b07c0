"""Least squares for spectra that are linear in amplitudes and log-linear in everything else.

Each component is a FID times exp(Σ θ_k g_k(t)): linewidths, shifts, phase and the finer shape of
the line are all terms of that kind, so that one rule gives every derivative. Amplitudes are
eliminated by non-negative linear least squares at every step (variable projection), the rest is
found by the Levenberg-Marquardt method. Soft constraints are further rows of the problem.

References
----------
Golub G, Pereyra V. Inverse Problems 2003;19:R1. doi:10.1088/0266-5611/19/2/201
Kaufman L. BIT 1975;15:49-57. doi:10.1007/BF01932995
Lawson CL, Hanson RJ. Solving least squares problems, chapter 23. doi:10.1137/1.9781611971217
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from cestle.errors import NumericalError
from cestle.mrs.fit_window import FitWindow
from cestle.physics import Bool, Complex, Real

_RIDGE: Final = 1e-11
_MOST_STEPS: Final = 40
_SMALL_GAIN: Final = 1e-6
_DAMPING: Final = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class EnvelopeTerm:
    """One term of the exponent that multiplies FIDs.

    Parameters
    ----------
    name
        What it is, with its unit.
    profile
        g(t), the exponent per unit of the parameter, shape (point,).
    members
        Which components it acts on, shape (component,).
    start
        Where the search begins.
    expected, spread
        Mean and standard deviation of the soft constraint; infinite spread for none.
    low, high
        Bounds.
    """

    name: str
    profile: Complex
    members: Bool
    start: float
    expected: float = 0.0
    spread: float = np.inf
    low: float = -np.inf
    high: float = np.inf


@dataclass(frozen=True, kw_only=True, eq=False)
class SeparableProblem:
    """What is fitted to what.

    Parameters
    ----------
    data
        Real part of the spectrum in the window, shape (row,) [a.u.].
    sigma
        Standard deviation of its noise [a.u.].
    window
        Where in the spectrum.
    fids
        FIDs of the components without the envelope, shape (component, point).
    signed
        Which components may be negative, shape (component,).
    terms
        Terms of the envelope.
    smooth
        Baseline functions, of either sign, shape (row, function).
    ties
        Soft constraints: rows · amplitudes ≈ targets, in standard deviations, shape
        (tie, component + function) and (tie,).
    """

    data: Real
    sigma: float
    window: FitWindow
    fids: Complex
    signed: Bool
    terms: tuple[EnvelopeTerm, ...]
    smooth: Real
    ties: Real
    targets: Real
    free: Bool = field(init=False)

    def __post_init__(self) -> None:
        free = np.concatenate([self.signed, np.ones(self.smooth.shape[1], dtype=bool)])
        object.__setattr__(self, "free", free)

    def cost(self, parameters: Real) -> float:
        """Half the sum of squares at the best amplitudes [squared standard deviations]."""
        return _evaluate(self, parameters, None).cost

    def decayed(self, parameters: Real) -> Complex:
        """FIDs of the components with the envelope, shape (component, point)."""
        common = np.zeros(self.fids.shape[1], dtype=np.complex128)
        special = np.zeros(len(self.fids), dtype=bool)
        exponent = np.zeros_like(self.fids)
        for term, value in zip(self.terms, parameters, strict=True):
            if term.members.all():
                common += value * term.profile
            else:
                special |= term.members
                exponent[term.members] += value * term.profile
        fids: Complex = self.fids.copy()
        fids[~special] *= np.exp(common)
        fids[special] *= np.exp(exponent[special] + common)
        return fids


@dataclass(frozen=True, kw_only=True, eq=False)
class SeparableFit:
    """The best fit with its linearisation.

    Parameters
    ----------
    problem
        What was fitted.
    parameters
        Of the envelope, shape (term,).
    amplitudes
        Of the components and baseline functions, shape (component + function,) [a.u.].
    active
        Which of the amplitudes are not held at zero.
    loose
        Which of the envelope's parameters are not held at a bound.
    columns
        Component spectra and baseline functions, shape (row, component + function).
    slopes
        Change of the model per unit of each envelope parameter, shape (row, term).
    cost
        Half the sum of squares in standard deviations, with the soft constraints.
    """

    problem: SeparableProblem
    parameters: Real
    amplitudes: Real
    active: Bool
    loose: Bool
    columns: Real
    slopes: Real
    cost: float

    @property
    def model(self) -> Real:
        """The whole fit at the fitted places, shape (row,) [a.u.]."""
        model: Real = self.columns @ self.amplitudes
        return model

    @property
    def residual(self) -> Real:
        """Data minus fit, shape (row,) [a.u.]."""
        residual: Real = self.problem.data - self.model
        return residual

    def parameter(self, name: str) -> float:
        """The parameter of that name."""
        names = [term.name for term in self.problem.terms]
        return float(self.parameters[names.index(name)])

    def linearised(self) -> tuple[Real, Real, Bool]:
        """Design of the problem about the solution, divided by its standard deviations.

        Returns
        -------
            Rows of the data, shape (row, unknown), rows of all soft constraints, shape (tie,
            unknown), and which of the amplitudes come first among the unknowns; the loose
            parameters of the envelope follow.
        """
        problem, loose = self.problem, self.loose
        data = np.hstack([self.columns[:, self.active], self.slopes[:, loose]]) / problem.sigma
        weights = np.array([1.0 / term.spread for term in problem.terms])[loose]
        count = int(self.active.sum())
        ties = np.zeros((len(problem.ties) + len(weights), data.shape[1]))
        ties[: len(problem.ties), :count] = problem.ties[:, self.active]
        ties[len(problem.ties) :, count:] = np.diag(weights)
        return data, ties, self.active


@dataclass(eq=False)
class _State:
    parameters: Real
    columns: Real
    decayed: Complex
    amplitudes: Real
    active: Bool
    gram: Real
    cost: float


def solve(problem: SeparableProblem, start: Real | None = None) -> SeparableFit:
    """Fit by variable projection.

    Parameters
    ----------
    problem
        What is fitted to what.
    start
        Envelope parameters to start from; those of the terms when None.

    Raises
    ------
    NumericalError
        When data or model are not finite.
    """
    if not np.all(np.isfinite(problem.data)):
        raise NumericalError("the spectrum has values that are no numbers; it cannot be fitted.")
    low = np.array([term.low for term in problem.terms])
    high = np.array([term.high for term in problem.terms])
    first = np.array([term.start for term in problem.terms] if start is None else start)
    state = _evaluate(problem, np.clip(first, low, high), None)
    damping = _DAMPING
    for _ in range(_MOST_STEPS):
        gradient, curvature = _reduced(problem, state)
        held = ((state.parameters <= low) & (gradient > 0.0)) | (
            (state.parameters >= high) & (gradient < 0.0)
        )
        better = None
        while better is None and damping < 1e8:
            step = _step(gradient, curvature, ~held, damping)
            trial = _evaluate(problem, np.clip(state.parameters + step, low, high), state.active)
            better = trial if trial.cost < state.cost else None
            damping *= 0.2 if better else 8.0
        if better is None:
            break
        gain, state = state.cost - better.cost, better
        if gain < _SMALL_GAIN * max(1.0, state.cost):
            break
    return _finished(problem, state, low, high)


def one_step(fit: SeparableFit, data: Real) -> Real:
    """Amplitudes that fit other data near those of a fit, by one step of the linearised problem.

    Parameters
    ----------
    fit
        A solved problem.
    data
        Other data of the same window, shape (draw, row) [a.u.].

    Returns
    -------
        Amplitudes with their signs kept, shape (draw, amplitude) [a.u.].
    """
    problem, loose = fit.problem, fit.loose
    design = np.hstack([fit.columns, fit.slopes[:, loose]]) / problem.sigma
    spread = np.array([term.spread for term in problem.terms])[loose]
    count, steps = len(fit.amplitudes), int(loose.sum())
    ties = np.zeros((len(problem.ties) + steps, count + steps))
    ties[: len(problem.ties), :count] = problem.ties
    ties[len(problem.ties) :, count:] = np.diag(1.0 / spread)
    targets = np.concatenate([problem.targets, -_pulls(problem, fit.parameters)[loose]])
    gram = design.T @ design + ties.T @ ties
    right = data @ design / problem.sigma + ties.T @ targets
    free = np.concatenate([problem.free, np.ones(steps, dtype=bool)])
    start = np.concatenate([fit.active, np.ones(steps, dtype=bool)])
    solutions = [_non_negative(gram, one, free, start)[0] for one in right]
    return np.array(solutions).reshape(len(right), len(gram))[:, :count]


def log_evidence(problem: SeparableProblem, near: SeparableFit) -> float:
    """Logarithm of the marginal likelihood for noise of unknown size, up to a constant.

    The linear problem at the envelope of a fit is integrated over the amplitudes that are not
    held at zero. To compare soft constraints, add the logarithms of their own normalisation.
    """
    state = _evaluate(problem, near.parameters, near.active)
    gram = state.gram[np.ix_(state.active, state.active)]
    scale = 1.0 / np.sqrt(np.diag(gram))
    logdet = np.linalg.slogdet(gram * scale[:, None] * scale[None, :])[1]
    volume = float(logdet - 2.0 * np.sum(np.log(scale)))
    return -0.5 * (len(problem.data) * math.log(2.0 * state.cost) + volume)


def _evaluate(problem: SeparableProblem, parameters: Real, active: Bool | None) -> _State:
    decayed = problem.decayed(parameters)
    columns = np.hstack([problem.window.spectrum(decayed).T, problem.smooth])
    scaled = columns / problem.sigma
    gram = scaled.T @ scaled + problem.ties.T @ problem.ties
    right = scaled.T @ problem.data / problem.sigma + problem.ties.T @ problem.targets
    amplitudes, found = _non_negative(gram, right, problem.free, active)
    residual = (problem.data - columns @ amplitudes) / problem.sigma
    misses = problem.ties @ amplitudes - problem.targets
    pulls = _pulls(problem, parameters)
    cost = 0.5 * float(residual @ residual + misses @ misses + pulls @ pulls)
    return _State(parameters, columns, decayed, amplitudes, found, gram, cost)


def _pulls(problem: SeparableProblem, parameters: Real) -> Real:
    """Distance of each envelope parameter from what is expected, in standard deviations."""
    return np.array(
        [
            (value - term.expected) / term.spread
            for term, value in zip(problem.terms, parameters, strict=True)
        ]
    )


def _slopes(problem: SeparableProblem, state: _State) -> Real:
    """Change of the model per unit of each envelope parameter, shape (row, term)."""
    count = len(problem.fids)
    signals = state.amplitudes[:count, None] * state.decayed
    total = signals.sum(axis=0)
    changes = np.stack(
        [
            term.profile * (total if term.members.all() else signals[term.members].sum(axis=0))
            for term in problem.terms
        ]
    )
    return problem.window.spectrum(changes).T


def _reduced(problem: SeparableProblem, state: _State) -> tuple[Real, Real]:
    """Gradient and Gauss-Newton curvature in the envelope parameters, amplitudes eliminated."""
    slopes = _slopes(problem, state) / problem.sigma
    residual = (problem.data - state.columns @ state.amplitudes) / problem.sigma
    active = state.active
    cross = state.columns[:, active].T @ slopes / problem.sigma
    factor = cho_factor(_ridged(state.gram[np.ix_(active, active)]), check_finite=False)
    spread = np.array([term.spread for term in problem.terms])
    gradient = -slopes.T @ residual + _pulls(problem, state.parameters) / spread
    curvature = slopes.T @ slopes - cross.T @ cho_solve(factor, cross, check_finite=False)
    return gradient, curvature + np.diag(1.0 / spread**2)


def _step(gradient: Real, curvature: Real, loose: Bool, damping: float) -> Real:
    step = np.zeros_like(gradient)
    if loose.any():
        part = curvature[np.ix_(loose, loose)]
        scale = np.maximum(np.diag(part), 1e-12)
        step[loose] = -np.linalg.solve(part + damping * np.diag(scale), gradient[loose])
    return step


def _finished(problem: SeparableProblem, state: _State, low: Real, high: Real) -> SeparableFit:
    return SeparableFit(
        problem=problem,
        parameters=state.parameters,
        amplitudes=state.amplitudes,
        active=state.active,
        loose=(state.parameters > low) & (state.parameters < high),
        columns=state.columns,
        slopes=_slopes(problem, state),
        cost=state.cost,
    )


def _ridged(gram: Real) -> Real:
    return gram + np.diag(_RIDGE * np.diag(gram) + 1e-300)


def _non_negative(gram: Real, right: Real, free: Bool, active: Bool | None) -> tuple[Real, Bool]:
    """Least squares with non-negative amplitudes from the normal equations.

    Parameters
    ----------
    gram, right
        Normal equations, shape (n, n) and (n,).
    free
        Which unknowns may be negative.
    active
        Which were not zero in a neighbouring problem; all when None.

    Returns
    -------
        The solution, and which unknowns are not held at zero.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    gram, right = gram * scale[:, None] * scale[None, :], right * scale
    passive = free | (np.ones_like(free) if active is None else active)
    solution = _solved(gram, right, passive)
    while np.any(solution[~free] < 0.0):
        passive &= free | (solution > 0.0)
        solution = _solved(gram, right, passive)
    limit = 1e-9 * max(1.0, float(np.abs(right).max()))
    for _ in range(3 * len(free)):
        slope = np.where(passive, -np.inf, right - gram @ solution)
        candidate = int(np.argmax(slope))
        if slope[candidate] <= limit:
            break
        passive[candidate] = True
        solution, passive = _feasible(gram, right, free, passive, solution)
    return solution * scale, passive


def _feasible(
    gram: Real, right: Real, free: Bool, passive: Bool, solution: Real
) -> tuple[Real, Bool]:
    """Go towards the solution on the passive set as far as signs allow, until it is one."""
    trial = _solved(gram, right, passive)
    while np.any(trial[passive & ~free] <= 0.0):
        bad = passive & ~free & (trial <= 0.0)
        share = float(np.min(solution[bad] / (solution[bad] - trial[bad])))
        solution = solution + share * (trial - solution)
        passive = passive & (free | (solution > 1e-12 * np.abs(solution).max()))
        solution = np.where(passive, solution, 0.0)
        trial = _solved(gram, right, passive)
    return trial, passive


def _solved(gram: Real, right: Real, passive: Bool) -> Real:
    solution = np.zeros_like(right)
    if passive.any():
        factor = cho_factor(_ridged(gram[np.ix_(passive, passive)]), check_finite=False)
        solution[passive] = cho_solve(factor, right[passive], check_finite=False)
    return solution
