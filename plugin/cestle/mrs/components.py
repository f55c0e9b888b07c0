"""What OFF and difference are made of: metabolites cut into parts, macromolecules, lipids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.mrs.basis import LineList, MegaBasis
from cestle.mrs.line_shape import gauss_profile, lorentz_profile, phase_profile, shift_profile
from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import time_axis
from cestle.physics import Bool, Complex, Real

GABA_PPM: Final = (2.80, 3.20)
"""Where the area of GABA+ is counted (see `cestle.mrs.result.CONVENTION`)."""
GLX_PPM: Final = (3.60, 3.90)
"""Where the area of Glx is counted."""

TURNED: Final = "at 90°"
"""What the name of a component in quadrature ends in."""
BROAD_T2_S: Final = 0.050
"""T2 of macromolecules and lipids; most have 20 to 40 ms (doi:10.1002/nbm.4393), what is left at
TE 70 ms decays slowest [s]."""
NARROWED: Final = 0.6
"""Share of its expected Gaussian width that the FID of an edited macromolecule has; the fit adds
the rest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Component:
    """One signal of unknown amplitude.

    Parameters
    ----------
    name
        Unique name.
    group
        Under which name pictures show it.
    fid
        FID at amplitude 1 without the common decay, shape (point,).
    area
        Area of its absorption signal at amplitude 1.
    signed
        Whether the amplitude may be negative.
    """

    name: str
    group: str
    fid: Complex
    area: float
    signed: bool = False


@dataclass(frozen=True, kw_only=True)
class Broad:
    """A macromolecule or lipid signal as a Voigt line with the decay of `BROAD_T2_S`.

    Parameters
    ----------
    name, group
        As those of the component.
    shift_ppm, width_ppm
        Centre, and full width at half maximum of the Gaussian part [ppm].
    sign
        +1 or −1 for a signal of that sign, 0 for one of any phase, as lipid from outside has.
    """

    name: str
    group: str = "MM"
    shift_ppm: float
    width_ppm: float
    sign: int = 1


LIPIDS: Final = (
    Broad(name="Lip13", group="lipid", shift_ppm=1.29, width_ppm=0.11, sign=0),
    Broad(name="Lip09", group="lipid", shift_ppm=0.89, width_ppm=0.08, sign=0),
)

OFF_BROAD: Final = (
    Broad(name="MM09", shift_ppm=0.91, width_ppm=0.08),
    Broad(name="MM12", shift_ppm=1.21, width_ppm=0.10),
    Broad(name="MM14", shift_ppm=1.39, width_ppm=0.08),
    Broad(name="MM17", shift_ppm=1.67, width_ppm=0.10),
    Broad(name="MM20", shift_ppm=2.04, width_ppm=0.12),
    Broad(name="MM23", shift_ppm=2.26, width_ppm=0.11),
    Broad(name="MM30", shift_ppm=2.99, width_ppm=0.09),
    Broad(name="MM38", shift_ppm=3.77, width_ppm=0.16),
    *LIPIDS,
)
"""Signals of the OFF spectrum; shifts as in Cudalbu 2021, doi:10.1002/nbm.4393."""

DIFFERENCE_BROAD: Final = (
    Broad(name="MM09", shift_ppm=0.92, width_ppm=0.07),
    Broad(name="MM17", shift_ppm=1.67, width_ppm=0.11, sign=-1),
    Broad(name="MM20", shift_ppm=2.04, width_ppm=0.12, sign=-1),
    Broad(name="MM23", shift_ppm=2.26, width_ppm=0.11, sign=-1),
    *LIPIDS,
)
"""Signals of the difference that are not reported."""

EDITED_BROAD: Final = (
    Broad(name="MM3co", group="GABA+", shift_ppm=3.00, width_ppm=0.07),
    Broad(name="MM3co low", group="GABA+", shift_ppm=2.92, width_ppm=0.07),
    Broad(name="MM3co high", group="GABA+", shift_ppm=3.09, width_ppm=0.07),
)
"""Co-edited macromolecules at 3.0 ppm, with T2 about the 14 Hz at 3T of doi:10.1002/nbm.4618;
the two at the sides let the shape be wide and asymmetric, as it was measured in
doi:10.1002/mrm.30158."""

FITTED_WIDTHS: Final = ("MM09", *(broad.name for broad in EDITED_BROAD))
"""Macromolecules whose Gaussian width is fitted."""

_SINGLETS: Final = {"tCr": (2.90, 3.15), "NAA": (1.95, 2.10), "tCho": (3.15, 3.26)}
_OFF_WHOLE: Final = ("NAAG", "Glu", "Gln", "GSH", "GABA", "mIns", "Tau", "Asp", "Lac")
_DIFFERENCE_CUT: Final = {"GABA": GABA_PPM, "Glu": GLX_PPM, "Gln": GLX_PPM}
_DIFFERENCE_WHOLE: Final = ("NAA", "NAAG", "GSH")


def off_components(basis: MegaBasis, protocol: MegaProtocol, points: int) -> tuple[Component, ...]:
    """Components of the OFF spectrum; metabolites at amplitude 1 have the area of one molecule.

    Methyl singlets have amplitudes of their own: what else creatine and NAA show is displaced
    with its slice, or suppressed with the water, to another degree.
    """
    lines = _with_sums(basis.off)
    found = []
    for name, (low, high) in _SINGLETS.items():
        singlet, rest = _cut(lines[name], low, high)
        found += [
            _metabolite(name, name, singlet, protocol, points),
            _metabolite(f"{name} rest", name, rest, protocol, points),
        ]
    found += [_metabolite(name, name, lines[name], protocol, points) for name in _OFF_WHOLE]
    for broad in OFF_BROAD:
        found += _broad(broad, broad.width_ppm, protocol, points)
    return tuple(found)


def difference_components(
    basis: MegaBasis, protocol: MegaProtocol, points: int
) -> tuple[Component, ...]:
    """Components of ON minus OFF.

    GABA, Glu and Gln are cut: slice displacement and editing pulse scale their parts in different
    ways, and the signal that is reported must not lean on the others.
    """
    lines = {name: _joined(basis.on[name], _negative(basis.off[name])) for name in basis.on}
    found = []
    for name, (low, high) in _DIFFERENCE_CUT.items():
        counted, rest = _cut(lines[name], low, high)
        group = "GABA+" if name == "GABA" else "Glx"
        found += [
            _metabolite(name, group, counted, protocol, points),
            _metabolite(f"{name} rest", "Glx and GABA at 2.3 ppm", rest, protocol, points),
        ]
    found += [_metabolite(name, name, lines[name], protocol, points) for name in _DIFFERENCE_WHOLE]
    for broad in (*DIFFERENCE_BROAD, *EDITED_BROAD):
        found += _broad(broad, _known_width(broad) * broad.width_ppm, protocol, points)
    return tuple(found)


def pair_components(unedited: Complex, dwell_s: float) -> tuple[Component, ...]:
    """What a mismatch of ON and OFF leaves of signals that are not edited, to first order.

    Parameters
    ----------
    unedited
        FID of these signals in OFF, shape (point,) [a.u.].
    dwell_s
        Time between two points [s].

    Returns
    -------
        Changes by gain [1], phase [rad], shift [Hz] and width [Hz] of ON, of either sign.
    """
    time = time_axis(len(unedited), dwell_s)
    changes = {
        "pair gain": np.ones(len(time), dtype=np.complex128),
        "pair phase": phase_profile(time),
        "pair shift": shift_profile(time),
        "pair width": lorentz_profile(time),
    }
    return tuple(
        Component(
            name=name,
            group="subtraction",
            fid=unedited * change,
            area=float((unedited[0] * change[0]).real),
            signed=True,
        )
        for name, change in changes.items()
    )


def chosen(components: Sequence[Component], names: Sequence[str]) -> Bool:
    """Which components have one of these names, shape (component,)."""
    return np.array([component.name in names for component in components])


def area_weights(components: Sequence[Component], names: Sequence[str], amplitudes: int) -> Real:
    """What sums amplitudes to the signed area of some components, shape (amplitude,)."""
    weights = np.zeros(amplitudes)
    for place, component in enumerate(components):
        if component.name in names:
            weights[place] = component.area
    return weights


def _joined(*lists: LineList) -> LineList:
    return LineList(
        shift_ppm=np.concatenate([lines.shift_ppm for lines in lists]),
        amplitude=np.concatenate([lines.amplitude for lines in lists]),
    )


def _negative(lines: LineList) -> LineList:
    return LineList(shift_ppm=lines.shift_ppm, amplitude=-lines.amplitude)


def _with_sums(lines: Mapping[str, LineList]) -> dict[str, LineList]:
    """Creatine with phosphocreatine and the cholines as one: no line tells them apart."""
    summed = dict(lines)
    for name, parts in (("tCr", ("Cr", "PCr")), ("tCho", ("GPC", "PCh"))):
        both = _joined(*(lines[part] for part in parts))
        summed[name] = LineList(shift_ppm=both.shift_ppm, amplitude=0.5 * both.amplitude)
    return summed


def _cut(lines: LineList, low: float, high: float) -> tuple[LineList, LineList]:
    inside = (lines.shift_ppm >= low) & (lines.shift_ppm <= high)
    outside = LineList(shift_ppm=lines.shift_ppm[~inside], amplitude=lines.amplitude[~inside])
    return lines.within(low, high), outside


def _metabolite(
    name: str, group: str, lines: LineList, protocol: MegaProtocol, points: int
) -> Component:
    return Component(name=name, group=group, fid=lines.fid(points, protocol), area=lines.area)


def _known_width(broad: Broad) -> float:
    """Share of the Gaussian width that is given; that of fitted widths is narrower."""
    return NARROWED if broad.name in FITTED_WIDTHS else 1.0


def _broad(broad: Broad, width_ppm: float, protocol: MegaProtocol, points: int) -> list[Component]:
    """The signal; where its phase is free, also the one turned by 90°."""
    time = time_axis(points, protocol.dwell_s)
    width_hz = width_ppm * protocol.frequency_mhz
    decay = np.exp(width_hz**2 * gauss_profile(time) - time / BROAD_T2_S)
    sign = -1.0 if broad.sign < 0 else 1.0
    phases = {broad.name: sign + 0j}
    if broad.sign == 0:
        phases[f"{broad.name} {TURNED}"] = 1j
    found = []
    for name, phase in phases.items():
        line = LineList(shift_ppm=np.array([broad.shift_ppm]), amplitude=np.array([phase]))
        found.append(
            Component(
                name=name,
                group=broad.group,
                fid=line.fid(points, protocol) * decay,
                area=phase.real,
                signed=broad.sign == 0,
            )
        )
    return found
