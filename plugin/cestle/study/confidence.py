"""How sure we are: error budgets of means and indices, and how well the scan repeats itself."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from cestle.anatomy.regions import Region
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.registration import Registration
from cestle.cest.registration import Verdict as RegistrationVerdict
from cestle.cest.uncertainty import (
    ErrorBudget,
    Repeatability,
    UncertaintySettings,
    error_budget,
    within_scan_repeatability,
)
from cestle.measurement import Side, Structure
from cestle.study.scan import GluCestScan

INDEX_LETTER: Final = {Structure.HIPPOCAMPUS: "h", Structure.AMYGDALA: "a"}
"""Letter of a structure in the names of its indices."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Error budgets by the names of regions and indices, and the indices of each repeat."""

    budgets: dict[str, ErrorBudget] = field(default_factory=dict)
    repeatability: dict[str, Repeatability] = field(default_factory=dict)

    def standard_error(self, name: str) -> float | None:
        """Standard error of a mean or an index from the measurement.

        The place of the region is a separate matter, which more scanning would not settle; its
        term stands in the budget and not in the standard error.
        """
        budget = self.budgets.get(name)
        if budget is None or budget.noise is None:
            return None
        terms = (budget.noise, budget.b0_map, budget.b1, budget.motion)
        return math.sqrt(sum(term**2 for term in terms if term is not None))


def assess_confidence(
    scan: GluCestScan,
    regions: Iterable[Region],
    settings: GluCestSettings,
    sizes: UncertaintySettings,
) -> Confidence:
    """Follow every error through the map to means and indices.

    Parameters
    ----------
    scan
        The measurement.
    regions
        Regions on the grid of the map, each with at least one valid voxel.
    settings
        How the map is made.
    sizes
        Sizes of the errors that the images do not tell.
    """
    shares = {region.name: region.fraction for region in regions}
    if not shares:
        return Confidence()
    pairs = {
        f"dai_glu_{INDEX_LETTER[structure]}_epi": (
            f"{structure}_{Side.LEFT}",
            f"{structure}_{Side.RIGHT}",
        )
        for structure in Structure
        if all(f"{structure}_{side}" in shares for side in Side)
    }
    evaluate = partial(compute_glucest, settings=settings)
    found = error_budget(
        scan.images,
        scan.fields,
        evaluate=evaluate,
        regions=shares,
        indices=pairs,
        settings=_with_motion(sizes, scan.registration),
        tissue=scan.tissue.fractions,
    )
    repeats = within_scan_repeatability(
        scan.images,
        scan.fields,
        evaluate=evaluate,
        regions=shares,
        indices=pairs,
        tissue=scan.tissue.fractions,
    )
    budgets = found.regions | found.indices
    if settings.b1_method is B1Method.NONE:
        budgets = {name: replace(budget, b1=None) for name, budget in budgets.items()}
    return Confidence(budgets=budgets, repeatability=repeats or {})


def _with_motion(
    sizes: UncertaintySettings, registration: Registration | None
) -> UncertaintySettings:
    """What registration leaves: its own precision, or the whole motion where it failed."""
    if registration is None:
        return sizes
    if registration.verdict is RegistrationVerdict.FAILED:
        return replace(sizes, motion_mm=float(registration.displacement.foreground_mm.max()))
    return replace(sizes, motion_mm=registration.precision_mm)
