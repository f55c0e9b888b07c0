"""Error of GABA+/Cr and Glx/Cr on simulated measurements of known truth, case by case.

The fit is given all shipped bases of the field, as in the node, and is not told which made the
data. In the rows ``… foreign`` the basis that made them is withheld, and in ``foreign`` it has
other pulses, timing and slices than any that is shipped.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import CestleError
from cestle.mrs.basis import select_bases
from cestle.mrs.megapress import quantify_mega_press
from cestle.mrs.result import MegaAnalysis
from cestle.phantom.mega_cases import CASES, mega_case
from cestle.phantom.mega_truth import MegaTruth
from cestle.phantom.megapress import simulate_mega
from cestle.service.basis_making import BasisRecipe, make_basis

SEEDS = range(1, 13)
FOREIGN = BasisRecipe(
    id="foreign",
    frequency_mhz=210.8,
    echo_time_ms=72.0,
    first_echo_ms=16.0,
    pulse_ms=15.5,
    slice_width_hz=950.0,
)
GOALS = {
    "typical": (10.0, 8.0),
    "drift": (12.0, 12.0),
    "motion": (12.0, 12.0),
    "broad": (15.0, 15.0),
    "patient": (15.0, 15.0),
    "lipid_roll": (25.0, 25.0),
    "ideal_slices": (25.0, 25.0),
    "ideal_slices foreign": (25.0, 25.0),
    "displacement": (15.0, 15.0),
    "displacement foreign": (15.0, 15.0),
    "foreign": (15.0, 15.0),
    "averaged": (13.0, 11.0),
}
"""Largest mean error of GABA+/Cr and of Glx/Cr [%]."""

NO_GABA_LIMIT = 0.03


@dataclass(frozen=True, kw_only=True)
class Run:
    """One measurement with what came out, or why nothing did."""

    truth: MegaTruth
    usable: bool
    found: MegaAnalysis | None
    refusal: str = ""


@cache
def bases():
    """All bases that fit 5 T, and the foreign one, by name."""
    shipped = shipped_bases(TemplateFolder.default())
    found = select_bases(shipped, frequency_mhz=210.8, echo_time_ms=72.0)
    return {basis.settings.name: basis for basis in found}


@cache
def foreign_basis():
    """A basis that is not shipped."""
    return make_basis(FOREIGN, lambda _: None).basis()


def runs(name, seeds=SEEDS) -> Iterator[Run]:
    """Simulate and quantify the individuals of a case."""
    for seed in seeds:
        kind = name.removesuffix(" foreign")
        case = mega_case("typical" if kind == "foreign" else kind, seed)
        given = dict(bases())
        if name == "foreign":
            origin = foreign_basis()
        else:
            origin = given[case.basis]
            if name != kind:
                del given[case.basis]
        simulated = simulate_mega(case.settings, origin)
        try:
            found = quantify_mega_press(simulated.series, tuple(given.values()))
        except CestleError as fault:
            yield Run(truth=simulated.truth, usable=case.usable, found=None, refusal=str(fault))
            continue
        yield Run(truth=simulated.truth, usable=case.usable, found=found)


def lines():
    """Two tables: the ratios, and what is said about the measurement."""
    yield from report((*CASES, "ideal_slices foreign", "displacement foreign", "foreign"))


def report(names, seeds=SEEDS):
    """The tables for some cases."""
    yield f"{len(seeds)} seeds a case; bias and spread in % of the truth, CRLB in %"
    yield (
        f"{'case':<21}{'GABA+/Cr: bias':>15}{'spread':>8}{'CRLB':>6}{'z rms':>7}"
        f"{'Glx/Cr: bias':>14}{'spread':>8}{'CRLB':>6}{'z rms':>7}  goals"
    )
    kept = []
    for name in names:
        found = list(runs(name, seeds))
        kept.append((name, found))
        yield _ratio_row(name, found)
    yield ""
    yield (
        f"{'case':<21}{'states':>8}{'drift SD':>10}{'tCr FWHM':>10}{'water':>9}{'SNR':>8}"
        f"{'verdict':>9}{'recall':>8}{'lost':>6}  refused or failed by"
    )
    for name, found in kept:
        yield _quality_row(name, found)


def _ratio_row(name, found):
    good = [run for run in found if run.found is not None]
    if not good:
        return f"{name:<21}nothing came out"
    if name == "no_gaba":
        values = [run.found.result.gaba_cr.value for run in good]
        largest = float(np.max(np.abs(values)))
        return f"{name:<21}{np.mean(values):>15.4f}{largest:>8.4f} largest; goal {NO_GABA_LIMIT}"
    cells = "".join(
        _ratio_cells(good, key, width) for key, width in (("gaba_cr", 15), ("glx_cr", 14))
    )
    goal = GOALS.get(name)
    words = "" if goal is None else f"  ≤ {goal[0]:g}, ≤ {goal[1]:g}"
    return f"{name:<21}{cells}{words}"


def _ratio_cells(good, key, width):
    truth = np.array([getattr(run.truth, key) for run in good])
    estimates = [getattr(run.found.result, key) for run in good]
    value = np.array([one.value for one in estimates])
    relative = 100.0 * (value / truth - 1.0)
    errors = np.array([one.standard_error or np.nan for one in estimates])
    crlb = np.mean([run.found.result.crlb_percent[key] for run in good])
    z_rms = np.sqrt(np.nanmean(((value - truth) / errors) ** 2))
    spread = relative.std(ddof=1) if len(relative) > 1 else np.nan
    return f"{relative.mean():>{width}.1f}{spread:>8.1f}{crlb:>6.1f}{z_rms:>7.2f}"


def _quality_row(name, found):
    good = [run for run in found if run.found is not None]
    right = sum(
        run.found is not None and run.found.result.usable == run.usable for run in found
    ) + sum(run.found is None and not run.usable for run in found)
    states = [share for share in map(_states_right, good) if share is not None]
    drift = [error for error in map(_drift_error, good) if error is not None]
    caught, bad, lost, fine = np.sum([_rejection(run) for run in good], axis=0) if good else [0] * 4
    recall = f"{100.0 * caught / bad:.0f} %" if bad else "—"
    wasted = f"{100.0 * lost / fine:.0f} %" if fine else "—"
    return (
        f"{name:<21}{_percent(states):>8}{_mean(drift, ' Hz'):>10}"
        f"{_gate_error(good, 'metabolite_fwhm', lambda truth: truth.fwhm_hz):>10}"
        f"{_gate_error(good, 'water_fwhm', lambda truth: truth.water_fwhm_hz):>9}"
        f"{_gate_error(good, 'snr', lambda truth: truth.snr['gaba']):>8}"
        f"{f'{right}/{len(found)}':>9}{recall:>8}{wasted:>6}  {_reasons(found)}"
    )


def _states_right(run):
    """Share of the transients whose state was found; None for averages."""
    transients = run.found.prepared.transients
    if not transients:
        return None
    return np.mean(
        [one.state is state for one, state in zip(transients, run.truth.states, strict=True)]
    )


def _drift_error(run):
    """Standard deviation of found minus true frequency over the good transients [Hz]."""
    transients = run.found.prepared.transients
    good = [number for number in range(len(transients)) if number not in run.truth.bad]
    if not good:
        return None
    found = np.array([transients[number].frequency_hz for number in good])
    return float(np.std(found - run.truth.history.frequency_hz[good]))


def _rejection(run):
    """Spoilt transients that were rejected, all spoilt ones, good ones lost, all good ones."""
    transients = run.found.prepared.transients
    rejected = {number for number, one in enumerate(transients) if one.rejected}
    bad = set(run.truth.bad) if transients else set()
    return np.array(
        [len(rejected & bad), len(bad), len(rejected - bad), len(transients) - len(bad)]
    )


def _gate_error(good, name, true):
    """Mean relative error of what a gate measured."""
    errors = []
    for run in good:
        gate, truth = run.found.result.gate(name), true(run.truth)
        if gate is not None and gate.value is not None and truth:
            errors.append(100.0 * (gate.value / truth - 1.0))
    return _mean(errors, " %", sign="+")


def _reasons(found):
    """Gates that failed and refusals, with how often."""
    counted = {}
    for run in found:
        words = (
            [run.refusal.split(";")[0][:60]]
            if run.found is None
            else [gate.name for gate in run.found.result.gates if gate.verdict.value == "fail"]
        )
        for word in words:
            counted[word] = counted.get(word, 0) + 1
    return ", ".join(f"{word} ×{count}" for word, count in sorted(counted.items()))


def _percent(shares):
    return f"{100.0 * np.mean(shares):.0f} %" if shares else "—"


def _mean(values, unit, sign=""):
    return f"{np.mean(values):{sign}.2g}{unit}" if values else "—"
