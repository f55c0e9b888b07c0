"""Basis of the linear-combination fit: what each metabolite looks like at this field and timing."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from cestle.errors import ProtocolError
from cestle.mrs.series import MegaProtocol
from cestle.physics import Complex, Real

FREQUENCY_TOLERANCE: Final = 0.02
"""Largest deviation of a basis from the header, relative."""
ECHO_TOLERANCE_MS: Final = 2.0


@dataclass(frozen=True, kw_only=True, eq=False)
class LineList:
    """Resonances of one metabolite in one editing state, without relaxation.

    Parameters
    ----------
    shift_ppm
        Chemical shifts, shape (line,) [ppm].
    amplitude
        Complex amplitudes at the start of the acquisition, shape (line,), in protons: a methyl
        singlet that is excited and refocused fully has 3.
    """

    shift_ppm: Real
    amplitude: Complex

    def fid(self, points: int, protocol: MegaProtocol) -> Complex:
        """FID without decay, shape (point,) [protons]."""
        frequency = (self.shift_ppm - protocol.transmitter_ppm) * protocol.frequency_mhz
        turn = 2j * np.pi * frequency * protocol.dwell_s
        # exp(turn · (block · n + m)) as a product of two small tables
        block = math.isqrt(points) + 1
        coarse = np.exp(np.outer(np.arange(-(-points // block)) * block, turn))
        fine = np.exp(np.outer(turn, np.arange(block)))
        fid: Complex = ((coarse * self.amplitude) @ fine).ravel()[:points]
        return fid

    def within(self, low_ppm: float, high_ppm: float) -> "LineList":
        """The lines in a range of chemical shifts, both ends included."""
        inside = (self.shift_ppm >= low_ppm) & (self.shift_ppm <= high_ppm)
        return LineList(shift_ppm=self.shift_ppm[inside], amplitude=self.amplitude[inside])

    @property
    def area(self) -> float:
        """Signed area of the absorption signal [protons]."""
        return float(self.amplitude.real.sum())


@dataclass(frozen=True, kw_only=True)
class BasisSettings:
    """What a basis was simulated for.

    Parameters
    ----------
    name
        Name by which configuration and reports call it.
    version
        Version of the file.
    frequency_mhz
        Proton frequency [MHz].
    echo_time_ms
        TE [ms].
    edit_on_ppm, edit_off_ppm
        Centres of the editing pulse [ppm].
    edit_pulse, edit_pulse_ms
        Shape by name, and duration [ms].
    localisation
        How slice selection was modelled, in words.
    source
        Where chemical shifts, couplings and pulses are from, and the command that made the file.
    """

    name: str
    version: str
    frequency_mhz: float
    echo_time_ms: float
    edit_on_ppm: float
    edit_off_ppm: float
    edit_pulse: str
    edit_pulse_ms: float
    localisation: str
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class MegaBasis:
    """Line lists of all metabolites for edit ON and edit OFF.

    Parameters
    ----------
    settings
        What it was simulated for.
    on, off
        Line lists by name: GABA, Glu, Gln, GSH, NAA, NAAG, Cr, PCr, GPC, PCh, mIns, Tau, Asp, Lac.
    """

    settings: BasisSettings
    on: Mapping[str, LineList]
    off: Mapping[str, LineList]

    def __post_init__(self) -> None:
        object.__setattr__(self, "on", MappingProxyType(dict(self.on)))
        object.__setattr__(self, "off", MappingProxyType(dict(self.off)))


def select_bases(
    bases: Iterable[MegaBasis], *, frequency_mhz: float, echo_time_ms: float
) -> tuple[MegaBasis, ...]:
    """The bases that fit a measurement, in their order.

    Parameters
    ----------
    bases
        All bases.
    frequency_mhz
        Transmitter frequency of the header [MHz].
    echo_time_ms
        TE of the header [ms].

    Raises
    ------
    ProtocolError
        When none is within 2 % of the frequency and 2 ms of TE.
    """
    every = tuple(bases)
    found = tuple(basis for basis in every if _fits(basis, frequency_mhz, echo_time_ms))
    if found:
        return found
    settings = sorted(
        {(basis.settings.frequency_mhz, basis.settings.echo_time_ms) for basis in every}
    )
    have = ", ".join(f"{frequency:g} MHz at TE {echo:g} ms" for frequency, echo in settings)
    raise ProtocolError(
        f"no basis fits {frequency_mhz:g} MHz at TE {echo_time_ms:g} ms (there is: "
        f"{have or 'none'}); run cestle simulate-basis --frequency-mhz {frequency_mhz:g} "
        f"--echo-time-ms {echo_time_ms:g} --out FILE and put the file into the folder "
        "basis/ of the site's templates."
    )


def _fits(basis: MegaBasis, frequency_mhz: float, echo_time_ms: float) -> bool:
    settings = basis.settings
    return (
        abs(settings.frequency_mhz - frequency_mhz) <= FREQUENCY_TOLERANCE * settings.frequency_mhz
        and abs(settings.echo_time_ms - echo_time_ms) <= ECHO_TOLERANCE_MS
    )
