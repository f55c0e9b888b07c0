"""Spectra with their fits, as pictures show them."""

from collections.abc import Sequence

import numpy as np

from cestle.mrs.components import Component
from cestle.mrs.difference_fit import DifferenceFit
from cestle.mrs.off_fit import OffFit
from cestle.mrs.result import FitCurves
from cestle.mrs.separable import SeparableFit
from cestle.physics import Real


def off_curves(off: OffFit) -> FitCurves:
    """OFF taken apart, by the groups of its components."""
    return _curves(off.fit, off.components)


def difference_curves(difference: DifferenceFit) -> FitCurves:
    """ON minus OFF taken apart, by the groups of its components."""
    return _curves(difference.fit, difference.components)


def _curves(fit: SeparableFit, components: Sequence[Component]) -> FitCurves:
    """Real parts of data, fit, baseline and groups over the fitted range."""
    count = len(components)
    groups = dict.fromkeys(component.group for component in components)
    parts: dict[str, Real] = {}
    for group in groups:
        inside = np.array([component.group == group for component in components])
        parts[group] = fit.columns[:, :count][:, inside] @ fit.amplitudes[:count][inside]
    return FitCurves(
        ppm=fit.problem.window.ppm,
        data=fit.problem.data,
        fit=fit.model,
        baseline=fit.columns[:, count:] @ fit.amplitudes[count:],
        parts=parts,
    )
