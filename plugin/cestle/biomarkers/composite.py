"""The composite DAIglu_GABA: glutamate asymmetry of the hippocampus over its GABA+/Cr."""

import math
from typing import Final

from cestle.errors import NumericalError
from cestle.measurement import Estimate

LEAST_SIGNIFICANCE: Final = 3.0
"""Standard errors that a denominator must lie above zero; nearer to it a ratio has no error bar."""


def glutamate_gaba_composite(dai_glu_h: Estimate, gaba_cr: Estimate) -> Estimate:
    """DAIglu_GABA = DAIglu_H / (GABA+/Cr), both of the side of onset.

    Parameters
    ----------
    dai_glu_h
        (ipsilateral − contralateral)/(ipsilateral + contralateral) of hippocampal GluCEST.
    gaba_cr
        GABA+/Cr of the hippocampus at the side of onset, area ratio of the full difference.

    Returns
    -------
        The composite [1] with the standard error to first order, both measurements independent.

    Raises
    ------
    NumericalError
        When GABA+/Cr is not clearly positive.
    """
    _require_clearly_positive(gaba_cr)
    value = dai_glu_h.value / gaba_cr.value
    error = None
    if dai_glu_h.standard_error is not None and gaba_cr.standard_error is not None:
        error = math.hypot(dai_glu_h.standard_error, value * gaba_cr.standard_error) / gaba_cr.value
    return Estimate(value=value, standard_error=error)


def _require_clearly_positive(ratio: Estimate) -> None:
    error = ratio.standard_error or 0.0
    if not (math.isfinite(ratio.value) and ratio.value > LEAST_SIGNIFICANCE * error):
        raise NumericalError(
            f"GABA+/Cr is {ratio.value:.3g} with a standard error of {error:.2g}, a value at least "
            f"{LEAST_SIGNIFICANCE:g} standard errors above zero was expected; no composite can be "
            "given"
        )
