"""White matter as a yardstick: its GluCEST against the range that a site has found."""

from typing import Final

import numpy as np

from cestle.cest.images import GluCestMap
from cestle.cest.tissue import TissueFractions
from cestle.gates import Gate, Limits

_PURE: Final = 0.9
_LEAST_VOXELS: Final = 50
_QUANTITY: Final = "median GluCEST of white matter"
_ACTION: Final = (
    "compare with the last examinations of this site; 5 Hz of the B0 map move it by 1.4 percentage "
    "points"
)


def white_matter_gates(
    glucest: GluCestMap,
    tissue: TissueFractions | None,
    site_range: tuple[float, float] | None,
    scope: str,
) -> tuple[Gate, ...]:
    """Hold white matter against the range of the site.

    Parameters
    ----------
    glucest
        The map.
    tissue
        Shares on its grid; None where they are not known.
    site_range
        Lowest and highest median that the site expects [%]; None where it states none.
    scope
        What the gates are about.

    Returns
    -------
        One gate for each end; none without shares, range or enough nearly pure voxels.
    """
    if tissue is None or site_range is None:
        return ()
    pure = glucest.valid & (tissue.white >= _PURE)
    if pure.sum() < _LEAST_VOXELS:
        return ()
    median = float(np.median(glucest.percent[pure]))
    low, high = site_range
    return (
        Gate.held("white_matter_low", scope, median, _limits(low, higher_is_better=True)),
        Gate.held("white_matter_high", scope, median, _limits(high, higher_is_better=False)),
    )


def _limits(bound: float, *, higher_is_better: bool) -> Limits:
    return Limits(
        quantity=_QUANTITY,
        unit="%",
        warn=bound,
        fail=None,
        higher_is_better=higher_is_better,
        action=_ACTION,
    )
