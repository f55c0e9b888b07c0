"""Frequency and phase of mean edit ON against mean edit OFF, on creatine and choline.

ON holds the edited GABA+ under creatine, which would pull a plain registration: left out of the
model it turned ON by 1.3° and shifted it by 0.09 Hz on simulated 5T spectra, and the creatine
that then remains in the difference is of the size of GABA. It is therefore fitted along, as a
doublet of the width of creatine and a broad line.
"""

from typing import Final

import numpy as np

from cestle.mrs.band import Band, moved
from cestle.mrs.referencing import Turn
from cestle.mrs.series import MegaProtocol
from cestle.mrs.singlet_fit import SingletFit
from cestle.mrs.spectrum import time_axis
from cestle.physics import Complex, Real

_LOW_PPM: Final = 2.85
_HIGH_PPM: Final = 3.40
_DEGREE: Final = 2
_SEEN_S: Final = 0.35
_ROUNDS: Final = 12
_TOLERANCE: Final = 1e-5

_GABA_PPM: Final = 3.005
_GABA_HALF_HZ: Final = 7.3
_BROAD_PPM: Final = 0.09


def pair(on: Complex, off: Complex, protocol: MegaProtocol, creatine: SingletFit) -> Turn:
    """What is to be taken from ON, so that creatine and choline are where OFF has them.

    Parameters
    ----------
    on, off
        Means without water, within a few Hz and about 30° of each other, creatine positive in
        `off`, shape (point,) [a.u.].
    protocol
        How they were acquired.
    creatine
        Line shape, as fitted to OFF.
    """
    points = min(len(off), int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, _LOW_PPM, _HIGH_PPM, degree=_DEGREE)
    time = time_axis(points, protocol.dwell_s)
    seen = off[:points]
    turned, slower = 1j * seen, 2j * np.pi * time * seen
    nuisance = gaba_under_creatine(protocol, creatine, time)
    columns = stacked(band.take(np.stack([seen, turned, slower, *nuisance])))
    solve = np.linalg.pinv(columns)
    frequency = phase = 0.0
    for _ in range(_ROUNDS):
        now = moved(on[None, :points], protocol.dwell_s, np.array([frequency]), np.array([phase]))
        same, aside, displaced = (stacked(band.take(now))[0] @ solve)[:3]
        if same <= 0.0:
            # more than a right angle apart
            phase += np.pi
            continue
        frequency, phase = frequency + displaced / same, phase + aside / same
        if abs(displaced) + abs(aside) < _TOLERANCE * same:
            break
    return Turn(frequency_hz=float(frequency), phase_rad=float(phase))


def gaba_under_creatine(
    protocol: MegaProtocol, creatine: SingletFit, time: Real
) -> tuple[Complex, Complex]:
    """FIDs of the edited doublet of GABA and of the broad signal with it, of no definite size.

    Parameters
    ----------
    protocol
        How it was acquired.
    creatine
        Line shape.
    time
        Shape (point,) [s].
    """
    centre = (_GABA_PPM - protocol.transmitter_ppm) * protocol.frequency_mhz
    carrier = np.exp(2j * np.pi * centre * time)
    doublet = np.cos(2.0 * np.pi * _GABA_HALF_HZ * time) * creatine.envelope(time)
    width = _BROAD_PPM * protocol.frequency_mhz
    return carrier * doublet, carrier * np.exp(-((np.pi * width * time) ** 2) / (4 * np.log(2)))


def stacked(spectra: Complex) -> Real:
    """Real parts beside imaginary parts, shape (…, 2 · bin)."""
    return np.concatenate([spectra.real, spectra.imag], axis=-1)
