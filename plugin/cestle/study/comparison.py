"""The indices by the method that is published most, always beside our own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cestle.anatomy.region_statistics import region_statistics
from cestle.anatomy.regions import Region
from cestle.anatomy.sampling import RegionEstimator
from cestle.biomarkers.asymmetry import directional_asymmetry_epi
from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.tissue import TissueClass
from cestle.errors import InputError, NumericalError
from cestle.gates import Gate, Limits
from cestle.measurement import Estimate, Side, Structure
from cestle.study.confidence import INDEX_LETTER
from cestle.study.scan import GluCestScan

AGREEMENT: Final = Limits(
    quantity="difference to the index by quadratic B0 and no B1 correction, in standard errors",
    unit="1",
    warn=2.0,
    fail=None,
    higher_is_better=False,
    action="the corrections decide here: look at the B0 and B1 maps before the index is used",
)


@dataclass(frozen=True, kw_only=True)
class MethodComparison:
    """Indices of the same images and regions by other corrections.

    Parameters
    ----------
    b0_method, b1_method
        The corrections.
    indices
        By name; None where the method gives no value.
    """

    b0_method: str
    b1_method: str
    indices: dict[str, float | None]


def compare_methods(
    scan: GluCestScan,
    regions: Iterable[Region],
    settings: GluCestSettings,
    estimator: RegionEstimator,
) -> MethodComparison | None:
    """The indices by a quadratic B0 correction without B1 correction.

    Parameters
    ----------
    scan
        The measurement.
    regions
        Regions on the grid of the map.
    settings
        How the map was made; its ranges hold here too.
    estimator
        What stands for a region, as in our own indices.

    Returns
    -------
        None when the map was made that way itself, or when the images do not allow it.
    """
    other = replace(settings, b0_method=B0Method.QUADRATIC, b1_method=B1Method.NONE)
    if scan.fields is None or other == replace(settings, b1_calibration=other.b1_calibration):
        return None
    try:
        glucest = compute_glucest(scan.images, scan.fields, other)
    except InputError:
        return None  # too few offsets for a parabola
    fractions, tissue = {one.name: one.fraction for one in regions}, scan.tissue.fractions
    # a region without a value has its reason in the results of our own method
    statistics, _ = region_statistics(
        glucest.percent,
        None,
        glucest.valid,
        fractions,
        estimator=estimator,
        reference=glucest.reference,
        tissue=None if tissue is None else np.stack([tissue.of(one) for one in TissueClass]),
    )
    means = {name: statistic.value for name, statistic in statistics.items()}
    return MethodComparison(
        b0_method=str(other.b0_method),
        b1_method=str(other.b1_method),
        indices={
            f"dai_glu_{letter}_epi": _index(means, structure)
            for structure, letter in INDEX_LETTER.items()
        },
    )


def agreement_gates(
    comparison: MethodComparison | None, indices: Mapping[str, Estimate | None]
) -> tuple[Gate, ...]:
    """Whether our indices and those of the comparison agree within their errors.

    Parameters
    ----------
    comparison
        The other method.
    indices
        Our own.
    """
    if comparison is None:
        return ()
    gates = []
    for structure, letter in INDEX_LETTER.items():
        name = f"dai_glu_{letter}_epi"
        own, other = indices.get(name), comparison.indices[name]
        if own is None or other is None or not own.standard_error:
            continue
        apart = abs(own.value - other) / own.standard_error
        gates.append(Gate.held("methods_agree", str(structure), apart, AGREEMENT))
    return tuple(gates)


def _index(means: Mapping[str, float], structure: Structure) -> float | None:
    pair = [means.get(f"{structure}_{side}") for side in Side]
    try:
        left, right = (
            Estimate(value=mean, standard_error=None) for mean in pair if mean is not None
        )
        return directional_asymmetry_epi(left, right).value
    except (ValueError, NumericalError):
        return None
