"""Where the asymmetry points: left, right or indeterminate. Never a diagnosis."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cestle.measurement import Estimate


class Call(StrEnum):
    """The lateralization call: where the asymmetry points, never a diagnosis."""

    LEFT = "left"
    RIGHT = "right"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, kw_only=True)
class DecisionRule:
    """A limit that an index is held against; above it the call is left.

    Parameters
    ----------
    name
        Name that results and reports state.
    index
        Name of the index in the results.
    cutoff
        The limit [1].
    source
        Where the limit is from.
    """

    name: str
    index: str
    cutoff: float
    source: str


PAPER_RULE: Final = DecisionRule(
    name="dai_glu_h_epi > 0.0026",
    index="dai_glu_h_epi",
    cutoff=0.0026,
    source=(
        "optimal cut-off of DAIglu_H(epi) for the side of onset in 19 people with unilateral "
        "temporal lobe epilepsy at 5T (sensitivity 80 %, specificity 100 %, AUC 0.856); "
        "not validated elsewhere"
    ),
)


@dataclass(frozen=True, kw_only=True)
class LateralizationResult:
    """The call and what it rests on.

    Parameters
    ----------
    call
        Left, right or indeterminate.
    rule
        Name of the rule.
    cutoff
        Limit that the score is held against.
    cutoff_source
        Where the limit is from.
    score
        The index that the rule uses; None when it could not be computed.
    margin
        Score minus cut-off; None as above.
    probability_left
        Probability that the true score lies above the cut-off, from image noise alone; None
        when the standard error is unknown.
    reasons
        Why the call is what it is, in words.
    """

    call: Call
    rule: str
    cutoff: float
    cutoff_source: str
    score: float | None
    margin: float | None
    probability_left: float | None
    reasons: tuple[str, ...]


def lateralize(
    score: Estimate | None, *, rule: DecisionRule, missing_reason: str | None
) -> LateralizationResult:
    """Hold an index against the limit of a rule.

    Parameters
    ----------
    score
        The index; None when it could not be computed.
    rule
        The rule.
    missing_reason
        Why `score` is None; ignored otherwise.

    Returns
    -------
        Left above the cut-off, right below it; indeterminate without a score or exactly on the
        cut-off.
    """
    if score is None:
        return LateralizationResult(
            call=Call.INDETERMINATE,
            rule=rule.name,
            cutoff=rule.cutoff,
            cutoff_source=rule.source,
            score=None,
            margin=None,
            probability_left=None,
            reasons=(missing_reason or f"{rule.index} could not be computed",),
        )
    margin = score.value - rule.cutoff
    call = Call.INDETERMINATE if margin == 0.0 else Call.LEFT if margin > 0.0 else Call.RIGHT
    return LateralizationResult(
        call=call,
        rule=rule.name,
        cutoff=rule.cutoff,
        cutoff_source=rule.source,
        score=score.value,
        margin=margin,
        probability_left=_probability_above(margin, score.standard_error),
        reasons=(_margin_sentence(score, margin, rule),),
    )


def _probability_above(margin: float, standard_error: float | None) -> float | None:
    if standard_error is None or standard_error <= 0.0:
        return None
    return 0.5 * math.erfc(-margin / (standard_error * math.sqrt(2.0)))


def _margin_sentence(score: Estimate, margin: float, rule: DecisionRule) -> str:
    side = "above" if margin > 0.0 else "below" if margin < 0.0 else "on"
    text = f"{rule.index} {score.value:+.4f} is {abs(margin):.4f} {side} the cut-off {rule.cutoff}"
    if score.ci95 is None:
        return f"{text}; its uncertainty is unknown"
    low, high = score.ci95
    if low < rule.cutoff < high:
        return f"{text}; image noise alone could reverse the call"
    return f"{text}; the 95 % interval from image noise excludes the cut-off"
