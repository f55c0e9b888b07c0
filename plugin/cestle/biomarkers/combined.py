"""The combined score DAIglu_HA of hippocampus and amygdala, with a site's own coefficients.

The published study combined both indices by logistic regression and printed no coefficients, so
none are shipped: without coefficients that a site has fitted there is no score.
"""

import math
from dataclasses import dataclass

from cestle.measurement import Estimate


@dataclass(frozen=True, kw_only=True)
class CombinedScore:
    """A fitted logistic model: logit = intercept + a · DAI(H) + b · DAI(A).

    Parameters
    ----------
    intercept, hippocampus, amygdala
        Coefficients of the logit [1].
    source
        Whose fit it is: cohort, size, date.
    """

    intercept: float
    hippocampus: float
    amygdala: float
    source: str

    def evaluate(self, hippocampus: Estimate, amygdala: Estimate) -> Estimate:
        """The logit of left-sided onset, with the standard error of independent indices.

        Parameters
        ----------
        hippocampus, amygdala
            DAI(epi) of the structures.
        """
        error = None
        if hippocampus.standard_error is not None and amygdala.standard_error is not None:
            error = math.hypot(
                self.hippocampus * hippocampus.standard_error,
                self.amygdala * amygdala.standard_error,
            )
        value = (
            self.intercept + self.hippocampus * hippocampus.value + self.amygdala * amygdala.value
        )
        return Estimate(value=value, standard_error=error)
