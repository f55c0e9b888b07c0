"""Directional asymmetry indices.

``(L - R)/(L + R)`` is antisymmetric, free of scale and within ±1 only where both values are
positive. Regional GluCEST can be zero or negative (cerebrospinal fluid, poor B0), so such input
is refused instead of giving an index that looks like one.
"""

import math

from cestle.errors import NumericalError
from cestle.measurement import Estimate, Side


def directional_asymmetry_epi(left: Estimate, right: Estimate) -> Estimate:
    """DAI(epi) = (L − R)/(L + R), patient's left.

    Parameters
    ----------
    left, right
        Regional values of one positive quantity in one unit.

    Returns
    -------
        The index [1] with the standard error to first order, sides independent.

    Raises
    ------
    NumericalError
        When a value is not positive.
    """
    return _contrast(left, right, names=("left", "right"))


def directional_asymmetry(left: Estimate, right: Estimate, *, onset: Side) -> Estimate:
    """DAI = (ipsilateral − contralateral)/(ipsilateral + contralateral).

    Parameters
    ----------
    left, right
        As in `directional_asymmetry_epi`.
    onset
        Side of seizure onset as stated by an order or a person; never the side of the call.

    Raises
    ------
    NumericalError
        When a value is not positive.
    """
    pair = (left, right) if onset is Side.LEFT else (right, left)
    return _contrast(*pair, names=("ipsilateral", "contralateral"))


def _contrast(a: Estimate, b: Estimate, *, names: tuple[str, str]) -> Estimate:
    for value, name in zip((a.value, b.value), names, strict=True):
        if not (math.isfinite(value) and value > 0.0):
            raise NumericalError(
                f"the {name} mean is {value:.3g}, a positive value was expected; "
                "no asymmetry can be given"
            )
    total = a.value + b.value
    error = None
    if a.standard_error is not None and b.standard_error is not None:
        error = 2.0 * math.hypot(b.value * a.standard_error, a.value * b.standard_error) / total**2
    return Estimate(value=(a.value - b.value) / total, standard_error=error)
