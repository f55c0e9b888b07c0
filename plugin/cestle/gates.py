"""Quality gates: a number held against its limits, with what to do when it is out of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class Verdict(StrEnum):
    """What a gate says, from good to bad."""

    PASS = "pass"  # noqa: S105 the word of the verdict
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where a gate warns and where it fails.

    Parameters
    ----------
    quantity
        What is measured, in words, with its definition where there are several.
    unit
        Its unit (UCUM).
    warn
        Limit of the warning.
    fail
        Limit of the failure; None for a gate that cannot fail.
    higher_is_better
        Whether values below the limits are the bad ones.
    action
        What to do about it.
    """

    quantity: str
    unit: str
    warn: float
    fail: float | None
    higher_is_better: bool
    action: str

    def verdict(self, value: float) -> Verdict:
        """Hold a value against the limits."""
        sign = -1.0 if self.higher_is_better else 1.0
        if self.fail is not None and sign * value > sign * self.fail:
            return Verdict.FAIL
        return Verdict.WARN if sign * value > sign * self.warn else Verdict.PASS


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate with what it found.

    Parameters
    ----------
    name
        Short name, stable, for scripts.
    scope
        What it is about: "study", "mrs", the name of a region, or that of a structure.
    value
        What was measured, in the unit of the limits; None when it could not be measured.
    verdict
        Pass, warn or fail.
    limits
        What it was held against.
    """

    name: str
    scope: str
    value: float | None
    verdict: Verdict
    limits: Limits

    @classmethod
    def held(cls, name: str, scope: str, value: float, limits: Limits) -> Self:
        """A value held against its limits."""
        verdict = limits.verdict(value)
        return cls(name=name, scope=scope, value=value, verdict=verdict, limits=limits)

    @property
    def sentence(self) -> str:
        """What was found, what was expected and what to do, in one line."""
        limits = self.limits
        bound = (
            limits.fail if self.verdict is Verdict.FAIL and limits.fail is not None else limits.warn
        )
        relation = "at least" if limits.higher_is_better else "at most"
        unit = "" if limits.unit == "1" else f" {limits.unit}"
        found = "could not be measured" if self.value is None else f"is {self.value:.3g}{unit}"
        return (
            f"{self.scope}: {limits.quantity} {found}, {relation} {bound:g} was expected; "
            f"{limits.action}"
        )


def worst(gates: Iterable[Gate]) -> Verdict:
    """The worst verdict; pass when there is no gate."""
    order = list(Verdict)
    return max((gate.verdict for gate in gates), key=order.index, default=Verdict.PASS)
