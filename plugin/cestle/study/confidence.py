"""How sure we are: error budgets of means and indices, and how well the scan repeats itself."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import numpy as np

from cestle.cest.b1 import B1Method, correction_error
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
from cestle.physics import Real
from cestle.study.scan import GluCestScan

INDEX_LETTER: Final = {Structure.HIPPOCAMPUS: "h", Structure.AMYGDALA: "a"}
"""Letter of a structure in the names of its indices."""

LEFT_OF_MOTION: Final = 0.1
"""Share of a corrected displacement that acts on like one that was not corrected: interpolation
blurs the edges of each image in another way. On the phantom at 0.25 mm; see deploy/adr/0012."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Error budgets by the names of regions and indices, and the indices of each repeat."""

    budgets: dict[str, ErrorBudget] = field(default_factory=dict)
    repeatability: dict[str, Repeatability] = field(default_factory=dict)

    def standard_error(self, name: str) -> float | None:
        """Standard error of a mean or an index from the measurement.

        The place of the region is a separate matter, which more scanning would not settle; its
        term stands in the budget and not in the standard error. The error of outlines that
        nobody verified stands in both, since nobody else has seen it.
        """
        budget = self.budgets.get(name)
        if budget is None or budget.noise is None:
            return None
        terms = (budget.noise, budget.b0_map, budget.b1, budget.motion, budget.region)
        return math.sqrt(sum(term**2 for term in terms if term is not None))


class Weighted(Protocol):
    """A region as the weight of each voxel in its value."""

    @property
    def name(self) -> str:
        """Name in results."""
        ...

    @property
    def fraction(self) -> Real:
        """Weights in any unit, shape of the map."""
        ...


def assess_confidence(
    scan: GluCestScan,
    regions: Iterable[Weighted],
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
        settings=_with_b1(with_motion(sizes, scan.registration), settings, scan),
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


def with_region_error(confidence: Confidence, errors: Mapping[Structure, float]) -> Confidence:
    """Add the error of unverified outlines to the budgets of the indices.

    Parameters
    ----------
    confidence
        The budgets.
    errors
        Standard error of the index of each structure that nobody verified the outlines of.
    """
    names = {f"dai_glu_{INDEX_LETTER[structure]}_epi": error for structure, error in errors.items()}
    budgets = {
        name: replace(budget, region=names.get(name)) for name, budget in confidence.budgets.items()
    }
    return replace(confidence, budgets=budgets)


def _with_b1(
    sizes: UncertaintySettings, settings: GluCestSettings, scan: GluCestScan
) -> UncertaintySettings:
    """How far the B1 correction can be trusted, by where it comes from, unless that is stated."""
    if sizes.b1_calibration_error is not None:
        return sizes
    calibration = settings.b1_calibration if settings.b1_method.needs_calibration else None
    known = scan.tissue.fractions is not None
    return replace(sizes, b1_calibration_error=correction_error(calibration, tissue_known=known))


def with_motion(
    sizes: UncertaintySettings, registration: Registration | None
) -> UncertaintySettings:
    """What registration leaves: its precision, or what it found and left as it was.

    Images at rest are used as acquired. What the search finds of them is their motion and its own
    error together, so it is the larger of the two and serves as the size of what is left. Of
    images that were moved back the precision of their place is left, and what interpolation
    makes of the rest.

    Parameters
    ----------
    sizes
        Sizes that the images do not tell.
    registration
        What became of the images; None when they were not registered.
    """
    if registration is None:
        return sizes
    found = registration.displacement
    if registration.verdict is RegistrationVerdict.FAILED:
        largest = float(found.foreground_mm.max())
        return replace(sizes, motion_row_mm=largest, motion_column_mm=largest)
    if registration.verdict is RegistrationVerdict.AT_REST:
        return replace(
            sizes,
            motion_row_mm=_size(found.row_mm),
            motion_column_mm=_size(found.column_mm),
            motion_deg=_size(found.rotation_deg),
        )
    precision = registration.precision_mm
    return replace(
        sizes,
        motion_row_mm=math.hypot(precision, LEFT_OF_MOTION * _size(found.row_mm)),
        motion_column_mm=math.hypot(precision, LEFT_OF_MOTION * _size(found.column_mm)),
    )


def _size(values: Real) -> float:
    """Root mean square."""
    return math.sqrt(float(np.mean(np.square(values))))
