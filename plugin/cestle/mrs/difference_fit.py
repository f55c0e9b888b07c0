"""Linear-combination fit of ON minus OFF with the line shape that OFF has.

What is not known well enough to be fixed is tied softly: the macromolecule at 3.0 ppm to the one
at 0.9 ppm, glutathione to creatine, and the mismatch of ON and OFF to what alignment leaves. Each
constraint states its width and its source, as do those of doi:10.1002/mrm.1910300604.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.baseline import FREE, KNOTS_PPM, solve_with_baseline
from cestle.mrs.basis import MegaBasis
from cestle.mrs.components import (
    BROAD_T2_S,
    DIFFERENCE_BROAD,
    EDITED_BROAD,
    LIPIDS,
    NARROWED,
    TURNED,
    Component,
    area_weights,
    chosen,
    difference_components,
    pair_components,
)
from cestle.mrs.fit_window import FitWindow
from cestle.mrs.line_shape import (
    extra_width,
    gauss_profile,
    lorentz_profile,
    own_shift,
    phase_profile,
    shift_profile,
)
from cestle.mrs.off_fit import FIT_PPM, UNEDITED, OffFit, stated_sigma
from cestle.mrs.quality import noise_of
from cestle.mrs.separable import EnvelopeTerm, SeparableFit, SeparableProblem
from cestle.mrs.series import EditedSpectra
from cestle.mrs.spectrum import time_axis
from cestle.physics import Bool, Complex, Real

GABA_PLUS: Final = ("GABA", *(broad.name for broad in EDITED_BROAD))
"""Components whose areas make GABA+."""
GLX: Final = ("Glu", "Gln")
"""Components whose areas make Glx."""

PAIR_SPREAD: Final[Mapping[str, float]] = {
    "pair gain": 0.01,
    "pair phase": 0.05,
    "pair shift": 0.5,
    "pair width": 0.3,
}
"""What alignment of ON to OFF may leave: gain [1], phase [rad], shift [Hz], width [Hz]."""

GLUTATHIONE: Final = (0.14, 0.06)
"""Glutathione over total creatine, mean and standard deviation [mM/mM]; 1-1.5 mM against 8-10 mM
(doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V)."""


@dataclass(frozen=True, kw_only=True)
class DifferenceModel:
    """What can be chosen in the model of the difference.

    Parameters
    ----------
    range_ppm
        What is fitted [ppm].
    baseline_freedom
        Factor on the freedom of the baseline that the data choose.
    mm_ratio
        Expected area of the macromolecules at 3.0 ppm over those at 0.9 ppm: two protons to
        three, as in doi:10.1002/nbm.4618.
    mm_spread
        Standard deviation of the area at 3.0 ppm about it, relative to the area of creatine: a
        quarter of the 0.09 that is usual; infinite for no tie.
    side_share, side_spread
        Area of each of the outer macromolecule lines at 3.0 ppm over the middle one, and its
        standard deviation relative to creatine.
    """

    range_ppm: tuple[float, float] = FIT_PPM
    baseline_freedom: float = 1.0
    mm_ratio: float = 2.0 / 3.0
    mm_spread: float = 0.02
    side_share: float = 0.3
    side_spread: float = 0.01


@dataclass(frozen=True, kw_only=True, eq=False)
class DifferenceFit:
    """The difference taken apart.

    Parameters
    ----------
    components
        What was fitted.
    fit
        How.
    noise
        Standard deviation of the noise of the spectrum's real part [a.u.].
    turn
        What was taken from ON before the subtraction, shape (point,): a phase and a shift.
    """

    components: tuple[Component, ...]
    fit: SeparableFit
    noise: float
    turn: Complex

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the components."""
        return tuple(component.name for component in self.components)

    def amplitude(self, name: str) -> float:
        """Amplitude of a component [a.u.]; zero for one outside the range."""
        names = self.names
        return float(self.fit.amplitudes[names.index(name)]) if name in names else 0.0

    def area(self, *wanted: str) -> float:
        """Sum of the signed areas of some components [a.u.]."""
        return float(self.weights(*wanted) @ self.fit.amplitudes)

    def weights(self, *wanted: str) -> Real:
        """What sums amplitudes to the area of some components, shape (amplitude,)."""
        return area_weights(self.components, wanted, len(self.fit.amplitudes))

    def signal(self, *wanted: str) -> Real:
        """Spectrum of some components as fitted, shape (row,) [a.u.]."""
        inside = np.flatnonzero(chosen(self.components, wanted))
        signal: Real = self.fit.columns[:, inside] @ self.fit.amplitudes[inside]
        return signal


def fit_difference(
    spectra: EditedSpectra,
    basis: MegaBasis,
    off: OffFit,
    model: DifferenceModel,
    *,
    near: DifferenceFit | None = None,
) -> DifferenceFit:
    """Fit ON minus OFF twice: the second time with ON turned by the mismatch that was found.

    Parameters
    ----------
    spectra
        Prepared spectra.
    basis
        One that fits frequency and TE.
    off
        Fit of OFF with the same basis.
    model
        What is chosen.
    near
        A fit of the same spectra under another choice, whose mismatch is taken over.
    """
    if near is not None:
        return _fit(spectra, basis, off, model, near.turn, start=near.fit.parameters)
    turn = np.ones(len(spectra.on), dtype=np.complex128)
    first = _fit(spectra, basis, off, model, turn)
    time = time_axis(len(turn), spectra.protocol.dwell_s)
    mismatch = first.amplitude("pair phase") * phase_profile(time)
    mismatch += first.amplitude("pair shift") * shift_profile(time)
    return _fit(spectra, basis, off, model, np.exp(-mismatch), start=first.fit.parameters)


def _fit(
    spectra: EditedSpectra,
    basis: MegaBasis,
    off: OffFit,
    model: DifferenceModel,
    turn: Complex,
    start: Real | None = None,
) -> DifferenceFit:
    protocol, points = spectra.protocol, len(spectra.on)
    window = FitWindow.of(points, protocol, model.range_ppm)
    edited = _within(difference_components(basis, protocol, points), model.range_ppm)
    pair = pair_components(off.fids(*UNEDITED), protocol.dwell_s)
    components = (*edited, *pair)
    difference = turn * spectra.on - spectra.off
    data = window.spectrum(difference)
    noise = noise_of(difference, protocol).sd
    smooth = window.splines(KNOTS_PPM)
    ties, targets = _ties(components, smooth.shape[1], off, model)
    problem = SeparableProblem(
        data=data,
        sigma=stated_sigma(noise, data),
        window=window,
        fids=np.stack(
            [*(component.fid * off.envelope for component in edited), *(part.fid for part in pair)]
        ),
        signed=np.array([component.signed for component in components]),
        terms=_terms(components, time_axis(points, protocol.dwell_s), off, protocol.frequency_mhz),
        smooth=smooth,
        ties=ties,
        targets=targets,
    )
    fit = solve_with_baseline(
        problem, off.creatine_height, start, spreads=FREE, freedom=model.baseline_freedom
    )
    return DifferenceFit(components=components, fit=fit, noise=noise, turn=turn)


def _within(
    components: tuple[Component, ...], range_ppm: tuple[float, float]
) -> tuple[Component, ...]:
    """All but macromolecules and lipids whose centre is not fitted."""
    low, high = range_ppm
    left_out = tuple(
        broad.name for broad in DIFFERENCE_BROAD if not low + 0.1 <= broad.shift_ppm <= high
    )
    return tuple(part for part in components if not part.name.startswith(left_out))


def _terms(
    components: tuple[Component, ...], time: Real, off: OffFit, frequency_mhz: float
) -> tuple[EnvelopeTerm, ...]:
    pair = chosen(components, tuple(PAIR_SPREAD))
    coupled = chosen(components, ("GABA", "GABA rest", "Glu", "Glu rest", "Gln", "Gln rest", "GSH"))
    return (
        EnvelopeTerm(
            name="shift",
            profile=shift_profile(time),
            members=~pair,
            start=0.0,
            spread=0.5,
            low=-5.0,
            high=5.0,
        ),
        EnvelopeTerm(
            name="phase",
            profile=phase_profile(time),
            members=~pair,
            start=0.0,
            spread=0.03,
            low=-0.5,
            high=0.5,
        ),
        extra_width(
            "coupled width",
            time,
            coupled,
            expected=off.fit.parameter("coupled width"),
            spread=1.0,
        ),
        *(
            own_shift(name, time, chosen(components, (name, f"{name} rest")), frequency_mhz)
            for name in ("GABA", "Glu", "Gln", "NAAG", "GSH", "MM09")
        ),
        *_broad_terms(components, time, frequency_mhz),
    )


def _broad_terms(
    components: tuple[Component, ...], time: Real, frequency_mhz: float
) -> tuple[EnvelopeTerm, ...]:
    """Width of macromolecules: that by T2 is common, so that the free line at 0.9 ppm tells it."""
    macromolecules = np.array([part.name.startswith("MM") for part in components])
    given = 1.0 / (np.pi * BROAD_T2_S)
    edited = tuple(broad.name for broad in EDITED_BROAD)
    return (
        EnvelopeTerm(
            name="MM width",
            profile=lorentz_profile(time),
            members=macromolecules,
            start=0.0,
            spread=2.5,
            low=-given,
            high=2.0 * given,
        ),
        _gauss_width("MM09", time, chosen(components, ("MM09",)), frequency_mhz),
        _gauss_width("MM3co", time, chosen(components, edited), frequency_mhz),
    )


def _gauss_width(name: str, time: Real, members: Bool, frequency_mhz: float) -> EnvelopeTerm:
    """The part of the squared Gaussian width that FIDs of broad signals lack [Hz²]."""
    broad = next(one for one in (*DIFFERENCE_BROAD, *EDITED_BROAD) if one.name == name)
    whole = (broad.width_ppm * frequency_mhz) ** 2
    return EnvelopeTerm(
        name=f"{name} width2",
        profile=gauss_profile(time),
        members=members,
        start=(1.0 - NARROWED**2) * whole,
        expected=(1.0 - NARROWED**2) * whole,
        spread=0.5 * whole,
        low=0.0,
        high=3.0 * whole,
    )


def _ties(
    components: tuple[Component, ...], functions: int, off: OffFit, model: DifferenceModel
) -> tuple[Real, Real]:
    """Soft constraints: rows over all amplitudes and targets, in standard deviations."""
    names = [component.name for component in components]
    rows: list[Real] = []
    targets: list[float] = []

    def tie(factors: Mapping[str, float], target: float, spread: float) -> None:
        row = np.zeros(len(names) + functions)
        for name, factor in factors.items():
            row[names.index(name)] = factor / spread
        rows.append(row)
        targets.append(target / spread)

    creatine = off.creatine_area
    middle, *sides = (broad.name for broad in EDITED_BROAD)
    if "MM09" in names and np.isfinite(model.mm_spread):
        whole = dict.fromkeys((middle, *sides), 1.0)
        tie({**whole, "MM09": -model.mm_ratio}, 0.0, model.mm_spread * creatine)
    for side in sides:
        tie({side: 1.0, middle: -model.side_share}, 0.0, model.side_spread * creatine)
    mean, spread = GLUTATHIONE
    tie({"GSH": 1.0}, mean * off.amplitude("tCr"), spread * off.amplitude("tCr"))
    main, other = (broad.name for broad in LIPIDS)
    for phase in ("", f" {TURNED}"):
        if main + phase in names and other + phase in names:
            tie({other + phase: 1.0, main + phase: -0.4}, 0.0, 0.02 * creatine)
    for name, width in PAIR_SPREAD.items():
        tie({name: 1.0}, 0.0, width)
    return np.array(rows), np.array(targets)
