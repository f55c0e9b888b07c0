"""Eddy currents: the phase that water picks up while it is read out, taken from the metabolites.

References
----------
Klose U. Magn Reson Med 1990;14:26-30. doi:10.1002/mrm.1910140104
"""

from typing import Final

import numpy as np

from cestle.mrs.series import MegaProtocol
from cestle.mrs.spectrum import time_axis
from cestle.mrs.water import WaterModes, WaterSettings
from cestle.physics import Complex, Real

_MODES: Final = WaterSettings(half_width_ppm=1.0)
_FAINT: Final = 3e-4


def eddy_phase(water: Complex, protocol: MegaProtocol) -> Real:
    """Phase of unsuppressed water over time without its straight part, shape (point,) [rad].

    The phase is that of a sum of damped modes near water, which holds neither noise nor lipid. Its
    straight part, from the later half, is offset and zero-order phase, which metabolites have of
    their own.
    """
    modes = WaterModes.of(water, protocol, _MODES)
    clean = water - modes.taken_from(water)
    loud = np.abs(clean) > _FAINT * np.abs(clean).max()
    last = len(loud) if loud.all() else max(2, int(np.argmin(loud)))
    # beyond the last loud point the phase means nothing, so that it is held there
    phase = np.unwrap(np.angle(clean[:last]))
    time = time_axis(last, protocol.dwell_s)
    later = slice(last // 2, None)
    weight = np.abs(clean[:last][later])
    straight = np.polynomial.Polynomial.fit(time[later], phase[later], 1, w=weight)
    bent = phase - straight(time)
    return np.concatenate([bent, np.full(len(water) - last, bent[-1])])


def without_eddies(fids: Complex, phase: Real) -> Complex:
    """FIDs with the phase taken away, shape (…, point)."""
    corrected: Complex = fids * np.exp(-1j * phase)
    return corrected
