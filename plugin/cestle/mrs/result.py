"""The numbers of one MEGA-PRESS measurement, with the words that define them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from cestle.gates import Gate, Verdict, worst
from cestle.measurement import Estimate
from cestle.mrs.series import PreparedMega
from cestle.physics import Real

CONVENTION: Final = (
    "GABA+/Cr: area of the 3.0 ppm GABA+macromolecule signal in the full difference spectrum "
    "(mean ON minus mean OFF) divided by the area of the total creatine CH3 signal at 3.03 ppm in "
    "the mean OFF spectrum; Glx/Cr: the same with the 3.6-3.9 ppm signal of glutamate and "
    "glutamine. Uncorrected for relaxation, editing efficiency, macromolecules and tissue. The "
    "half-difference value of other programs is one half of it."
)
"""Stands beside every number; see also doi:10.1002/nbm.4484 on what to report."""


@dataclass(frozen=True, kw_only=True)
class ModelSpread:
    """One ratio under different choices of baseline, basis and model: the second error bar.

    Parameters
    ----------
    values
        Ratio by the name of the choice.
    """

    values: dict[str, float]

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest of the values."""
        return min(self.values.values()), max(self.values.values())


@dataclass(frozen=True, kw_only=True)
class MegaResult:
    """What is reported of one MEGA-PRESS measurement.

    Parameters
    ----------
    gaba_cr, glx_cr
        Area ratios of the full difference, calibration factor of the site applied.
    glx_gaba
        Their ratio.
    crlb_percent
        Cramér-Rao lower bound relative to the value, by ``gaba_cr`` and ``glx_cr`` [%].
    model_spread
        By ``gaba_cr`` and ``glx_cr``.
    research
        Values for comparison and research by name: ``gaba_cr_half``, ``gaba_cr_peaks``,
        ``glx_cr_peaks``, ``gaba_tcr``, ``glx_tcr_off``, ``glu_tcr_off``, ``mm_fraction`` …
    convention
        What the ratios are, in words.
    model, basis
        The fit and the basis, with versions.
    gates
        Quality gates, scope "mrs".
    transients_used, transients_rejected
        Numbers over both states; None for averages made by the scanner.
    transients_left_out
        Which of the rejected ones a person left out, numbered from 1 in the order of acquisition.
    notes
        What could not be checked, and what was decided on the data (sign, order, polarity).
    """

    gaba_cr: Estimate
    glx_cr: Estimate
    glx_gaba: Estimate
    crlb_percent: dict[str, float]
    model_spread: dict[str, ModelSpread]
    research: dict[str, Estimate | None]
    model: str
    basis: str
    gates: tuple[Gate, ...]
    transients_used: int | None
    transients_rejected: int | None
    transients_left_out: tuple[int, ...] = ()
    convention: str = CONVENTION
    notes: tuple[str, ...] = field(default=())

    @property
    def usable(self) -> bool:
        """Whether quality allows the numbers to be used."""
        return worst(self.gates) is not Verdict.FAIL

    def gate(self, name: str) -> Gate | None:
        """The gate of that name."""
        return next((gate for gate in self.gates if gate.name == name), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class FitCurves:
    """A spectrum with what was fitted to it, for pictures; all real parts, shape (point,).

    Parameters
    ----------
    ppm
        Chemical shifts within the fitted range, ascending [ppm].
    data, fit, baseline
        Spectrum, whole fit with its baseline, and the baseline alone [a.u.].
    parts
        Signal of each group by name (GABA+, Glx, NAA …), without baseline [a.u.].
    """

    ppm: Real
    data: Real
    fit: Real
    baseline: Real
    parts: Mapping[str, Real]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", MappingProxyType(dict(self.parts)))

    @property
    def residual(self) -> Real:
        """Data minus fit [a.u.]."""
        residual: Real = self.data - self.fit
        return residual


@dataclass(frozen=True, kw_only=True, eq=False)
class MegaAnalysis:
    """One measurement from preparation to numbers.

    Parameters
    ----------
    result
        The numbers.
    prepared
        The spectra and what was done to them.
    off, difference
        The fits of mean OFF and of ON minus OFF.
    """

    result: MegaResult
    prepared: PreparedMega
    off: FitCurves
    difference: FitCurves
