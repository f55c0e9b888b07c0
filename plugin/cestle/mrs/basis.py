"""Basis of the linear-combination fit: what each metabolite looks like at this field and timing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cestle.mrs.series import MegaProtocol
from cestle.physics import Complex, Real


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
