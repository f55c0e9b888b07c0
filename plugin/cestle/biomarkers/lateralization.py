"""Where the asymmetry points: left, right or indeterminate. Never a diagnosis."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cestle.measurement import Estimate


class Call(StrEnum):
    """The lateralization call: where the asymmetry points, never a diagnosis."""

    LEFT = "left"
    RIGHT = "right"
    INDETERMINATE = "indeterminate"


class CallPolicy(StrEnum):
    """What an uncertain score is called."""

    INTERVAL = "interval"
    """Indeterminate when the 95 % interval holds the cut-off, or is not known; the default."""
    PAPER = "paper"
    """The bare rule, as published, whatever the uncertainty."""


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
        Left, right or indeterminate, by rule and policy.
    bare_call
        What the rule alone says, as published, whatever the uncertainty.
    policy
        What an uncertain score is called.
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
        Probability that the true score lies above the cut-off, errors normal; None
        when the standard error is unknown.
    reasons
        Why the call is what it is, in words.
    preliminary
        Whether it rests on regions that nobody verified.
    """

    call: Call
    bare_call: Call
    policy: CallPolicy
    rule: str
    cutoff: float
    cutoff_source: str
    score: float | None
    margin: float | None
    probability_left: float | None
    reasons: tuple[str, ...]
    preliminary: bool = False


def lateralize(
    score: Estimate | None,
    *,
    rule: DecisionRule,
    policy: CallPolicy,
    missing_reason: str | None,
) -> LateralizationResult:
    """Hold an index against the limit of a rule.

    Parameters
    ----------
    score
        The index; None when it could not be computed.
    rule
        The rule.
    policy
        What an uncertain score is called.
    missing_reason
        Why `score` is None; ignored otherwise.

    Returns
    -------
        Left above the cut-off, right below it; indeterminate without a score, exactly on the
        cut-off, and under `CallPolicy.INTERVAL` where the interval does not exclude the cut-off.
    """
    if score is None:
        return LateralizationResult(
            call=Call.INDETERMINATE,
            bare_call=Call.INDETERMINATE,
            policy=policy,
            rule=rule.name,
            cutoff=rule.cutoff,
            cutoff_source=rule.source,
            score=None,
            margin=None,
            probability_left=None,
            reasons=(missing_reason or f"{rule.index} could not be computed",),
        )
    margin = score.value - rule.cutoff
    bare = Call.INDETERMINATE if margin == 0.0 else Call.LEFT if margin > 0.0 else Call.RIGHT
    held_back = policy is CallPolicy.INTERVAL and not _excludes(score, rule.cutoff)
    return LateralizationResult(
        call=Call.INDETERMINATE if held_back else bare,
        bare_call=bare,
        policy=policy,
        rule=rule.name,
        cutoff=rule.cutoff,
        cutoff_source=rule.source,
        score=score.value,
        margin=margin,
        probability_left=_probability_above(margin, score.standard_error),
        reasons=_sentences(score, margin, rule, bare, held_back=held_back),
    )


def withhold(result: LateralizationResult, reasons: tuple[str, ...]) -> LateralizationResult:
    """Call no side because the measurement is not good enough; `reasons` empty changes nothing."""
    if not reasons:
        return result
    return replace(result, call=Call.INDETERMINATE, reasons=(*reasons, *result.reasons))


def as_preliminary(
    result: LateralizationResult, score: Estimate | None, *, least_margin: float
) -> LateralizationResult:
    """Mark a call as preliminary; none is left close to the cut-off, whatever the policy.

    Parameters
    ----------
    result
        The call.
    score
        The index that it rests on; None when it could not be computed.
    least_margin
        Smallest distance from the cut-off that a call needs, where the interval is narrower [1].
    """
    said = "the regions are automatic and unverified, so this is preliminary"
    if score is None or result.margin is None:
        return replace(result, preliminary=True, reasons=(*result.reasons, said))
    interval = score.ci95
    # Without an interval nothing is known about the noise, so that no distance is far enough.
    half_width = float("inf") if interval is None else (interval[1] - interval[0]) / 2.0
    if abs(result.margin) >= max(half_width, least_margin):
        return replace(result, preliminary=True, reasons=(*result.reasons, said))
    needed = f"{max(half_width, least_margin):.4f}" if interval else "more than the unknown noise"
    return replace(
        result,
        call=Call.INDETERMINATE,
        preliminary=True,
        reasons=(
            *result.reasons,
            f"{said}; no side is called; a distance of {needed} from the cut-off was needed",
        ),
    )


def _excludes(score: Estimate, cutoff: float) -> bool:
    return score.ci95 is not None and not score.ci95[0] <= cutoff <= score.ci95[1]


def _probability_above(margin: float, standard_error: float | None) -> float | None:
    if standard_error is None or standard_error <= 0.0:
        return None
    return 0.5 * math.erfc(-margin / (standard_error * math.sqrt(2.0)))


def _sentences(
    score: Estimate, margin: float, rule: DecisionRule, bare: Call, *, held_back: bool
) -> tuple[str, ...]:
    side = "above" if margin > 0.0 else "below" if margin < 0.0 else "on"
    where = f"{rule.index} {score.value:+.4f} is {abs(margin):.4f} {side} the cut-off {rule.cutoff}"
    if score.ci95 is None:
        sentences = [f"{where}; its uncertainty is unknown"]
    elif _excludes(score, rule.cutoff):
        sentences = [f"{where}; the 95 % interval excludes the cut-off"]
    else:
        sentences = [f"{where}; the 95 % interval includes the cut-off"]
    if held_back:
        sentences.append(f"no side is called; the bare rule as published would say {bare}")
    return tuple(sentences)
