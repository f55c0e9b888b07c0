"""Parts of ``results.json`` that several blocks share."""

import math
from typing import Any

from cestle.gates import Gate
from cestle.measurement import Estimate


def finite(value: float | None) -> float | None:
    """The value, or None where it is no number: JSON has neither NaN nor infinity."""
    return value if value is not None and math.isfinite(value) else None


def estimate_form(value: Estimate | None) -> dict[str, Any] | None:
    """Value, standard error and 95 % interval of an estimate; None for None."""
    if value is None:
        return None
    return {
        "value": value.value,
        "standard_error": value.standard_error,
        "ci95": None if value.ci95 is None else list(value.ci95),
    }


def gate_form(gate: Gate) -> dict[str, Any]:
    """What a gate found, what it was held against, and what to do."""
    limits = gate.limits
    return {
        "name": gate.name,
        "scope": gate.scope,
        "quantity": limits.quantity,
        "value": finite(gate.value),
        "unit": limits.unit,
        "warn": limits.warn,
        "fail": limits.fail,
        "higher_is_better": limits.higher_is_better,
        "verdict": gate.verdict.value,
        "action": limits.action,
    }
