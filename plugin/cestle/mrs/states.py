"""Which transients are edit ON: those without NAA.

The editing pulse at 1.9 ppm saturates NAA at 2.0 ppm. Labels of the file are compared with that
and never believed alone, since swapped states turn GABA over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import ProtocolError
from cestle.measurement import MAD_TO_SD
from cestle.mrs.series import EditState
from cestle.physics import Bool, Real

IRREGULAR: Final = "irregular"
"""Name of an order that no pattern describes."""

SUPPRESSED: Final = 0.5
"""Most NAA that edit ON may have of that of edit OFF."""
VISIBLE: Final = 0.3
"""Least NAA over creatine that edit OFF must have, amplitudes of the lines."""
SEPARATED: Final = 3.0
"""Least distance of both states in standard deviations of a transient."""

_REGULAR: Final = 0.8
_EXCEPTIONS: Final = 0.05
_TYPICAL: Final = 4.0
_GAP: Final = 0.5
_LEAST_SHARE: Final = 0.25
_SHIFTED_RUNS: Final = 16
_TAILS: Final = (10.0, 90.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class States:
    """Edit state of each transient and how sure it is.

    Parameters
    ----------
    edit_on
        Shape (transient,).
    order
        The pattern, in words.
    naa_left
        NAA of edit ON over that of edit OFF, medians.
    separation
        Distance of both medians in standard deviations of a transient; None for two FIDs.
    agreeing
        Share of the transients that NAA alone puts into the same state.
    labelled
        Whether the file labels any of them; the labels then agree.
    """

    edit_on: Bool
    order: str
    naa_left: float
    separation: float | None
    agreeing: float
    labelled: bool

    @property
    def sentence(self) -> str:
        """What was decided and why, in words."""
        apart = "" if self.separation is None else f", {self.separation:.0f} SD apart"
        labels = ", and so do the labels of the file" if self.labelled else ""
        return (
            f"order: {self.order}; NAA of ON is {100.0 * self.naa_left:.0f} % of that of OFF"
            f"{apart}, {100.0 * self.agreeing:.0f} % of the FIDs agree{labels}"
        )


def decide_states(naa: Real, labels: Sequence[EditState | None]) -> States:
    """Tell edit ON from edit OFF.

    Parameters
    ----------
    naa
        Amplitude of NAA in phase with creatine, over that of creatine, in the order of
        acquisition, NaN for transients without signal, shape (transient,).
    labels
        What the file says of each.

    Raises
    ------
    ProtocolError
        When NAA does not fall into two groups, its order is no regular one and the groups are
        not clearly apart, or a label contradicts it.
    """
    heard = np.isfinite(naa)
    if heard.sum() < 2:
        raise ProtocolError(
            f"{int(heard.sum())} of {len(naa)} FIDs hold the signal of a brain; expected edit ON "
            "and edit OFF; check that both arrived."
        )
    low = np.zeros(len(naa), dtype=np.bool_)
    low[heard] = naa[heard] < _threshold(naa[heard])
    edit_on, order = _best_order(low, heard, labels)
    against = heard & (low != edit_on) & _typical(naa, low, heard)
    regular = np.mean((low == edit_on)[heard]) >= _REGULAR
    if not regular or against.sum() > max(1.0, _EXCEPTIONS * heard.sum()):
        edit_on, order = low, IRREGULAR
    known, known_on = naa[heard], edit_on[heard]
    _require_both(known, known_on)
    separation = _separation(known, known_on)
    if separation is not None:
        _require_apart(separation, known, known_on, order)
    _require_labels(edit_on, labels)
    return States(
        edit_on=edit_on,
        order=order,
        naa_left=float(np.median(known[known_on]) / np.median(known[~known_on])),
        separation=separation,
        agreeing=float(np.mean((low == edit_on)[heard])),
        labelled=any(label is not None for label in labels),
    )


def _threshold(naa: Real) -> float:
    """The limit between two groups that leaves the least absolute deviation from their medians."""
    low, high = np.percentile(naa, _TAILS)
    # so that no single odd transient is a group of its own
    values = np.sort(np.clip(naa, low - (high - low), high + (high - low)))
    splits = range(1, len(values))
    spread = [
        np.abs(values[:n] - np.median(values[:n])).sum()
        + np.abs(values[n:] - np.median(values[n:])).sum()
        for n in splits
    ]
    best = int(np.argmin(spread))
    return float(0.5 * (values[best] + values[best + 1]))


def _best_order(low: Bool, heard: Bool, labels: Sequence[EditState | None]) -> tuple[Bool, str]:
    """The order that agrees best with single transients: regular, or that of full labels."""
    best, name, most = low, IRREGULAR, -1
    if all(label is not None for label in labels):
        best, name = np.array([label is EditState.ON for label in labels]), "as labelled"
        most = int(np.sum((best == low) & heard))
    index = np.arange(len(low))
    for run in range(1, len(low) // 2 + 1):
        for start in range(run if run <= _SHIFTED_RUNS else 1):
            odd = ((index + start) // run) % 2 == 1
            for edit_on in (odd, ~odd):
                same = int(np.sum((edit_on == low) & heard))
                # an order that has a name is better than one that only agrees with the labels
                if same > most or (same == most and name == "as labelled"):
                    best, name, most = edit_on, _name(edit_on, run, start), same
    return best, name


def _name(edit_on: Bool, run: int, start: int) -> str:
    first = "ON first" if edit_on[0] else "OFF first"
    if len(edit_on) == 2:
        return first
    if run == 1:
        return f"interleaved, {first}"
    if 2 * run == len(edit_on) and not start:
        return f"one half after the other, {first}"
    broken = ", the first run cut short" if start else ""
    return f"runs of {run}, {first}{broken}"


def _typical(naa: Real, low: Bool, heard: Bool) -> Bool:
    """Transients near the middle of the group that their NAA puts them into, shape (transient,)."""
    typical = np.zeros(len(naa), dtype=np.bool_)
    for group in (low & heard, ~low & heard):
        if np.any(group):
            middle, spread = np.median(naa[group]), _deviation(naa[group])
            typical |= group & (np.abs(naa - middle) <= _TYPICAL * spread)
    return typical


def _require_both(naa: Real, edit_on: Bool) -> None:
    share = min(np.mean(edit_on), np.mean(~edit_on))
    on, off = (
        float(np.median(group)) if len(group) else 0.0 for group in (naa[edit_on], naa[~edit_on])
    )
    if share < _LEAST_SHARE or on > SUPPRESSED * off or off < VISIBLE:
        raise ProtocolError(
            f"edit ON and OFF cannot be told apart: NAA over creatine is {on:.2f} in one group "
            f"({int(edit_on.sum())} FIDs) and {off:.2f} in the other ({int((~edit_on).sum())}); "
            f"expected two groups of like size, one above {VISIBLE:g} and the other below half of "
            "it; check that the editing pulse at 1.9 ppm was played out and both states arrived."
        )


def _require_apart(separation: float, naa: Real, edit_on: Bool, order: str) -> None:
    # without an order that speaks for them, the two groups must leave a gap
    gap = float(naa[~edit_on].min() - naa[edit_on].max())
    open_gap = gap >= _GAP * float(np.median(naa[~edit_on]) - np.median(naa[edit_on]))
    if separation < SEPARATED or (order == IRREGULAR and not open_gap):
        raise ProtocolError(
            f"edit ON and OFF cannot be told apart: NAA of the two groups is {separation:.1f} "
            f"standard deviations apart, in {order} order; expected at least {SEPARATED:g} and a "
            "regular order or a clear gap; check that the series is MEGA-PRESS with editing at 1.9 "
            "ppm and of sufficient signal."
        )


def _separation(naa: Real, edit_on: Bool) -> float | None:
    if len(naa) <= 2:
        return None
    groups = naa[edit_on], naa[~edit_on]
    spread = np.sqrt(np.mean([_deviation(group) ** 2 for group in groups]))
    apart = float(np.median(groups[1]) - np.median(groups[0]))
    return apart / max(float(spread), 1e-3 * apart)


def _deviation(values: Real) -> float:
    return float(MAD_TO_SD * np.median(np.abs(values - np.median(values))))


def _require_labels(edit_on: Bool, labels: Sequence[EditState | None]) -> None:
    found = [EditState.ON if on else EditState.OFF for on in edit_on]
    wrong = [number for number, label in enumerate(labels) if label not in (None, found[number])]
    if wrong:
        raise ProtocolError(
            f"the labels of the file contradict NAA in {len(wrong)} of {len(labels)} FIDs (first: "
            f"number {wrong[0] + 1}, labelled {labels[wrong[0]]}); expected NAA in OFF only; check "
            "how the scanner labels its edit states."
        )
