"""Absolute frequency and phase, from creatine and choline of mean edit OFF."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import NumericalError
from cestle.mrs.band import Band
from cestle.mrs.series import MegaProtocol
from cestle.mrs.singlet_fit import SingletFit, fit_singlets
from cestle.mrs.singlets import CHOLINE_PPM, CREATINE_PPM
from cestle.physics import Complex

LEAST_CREATINE: Final = 5.0
"""Least amplitude of creatine in standard errors."""

_LOW_PPM: Final = 2.85
_HIGH_PPM: Final = 3.38
_DEGREE: Final = 2
_SEEN_S: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A frequency and a phase to be taken away.

    Parameters
    ----------
    frequency_hz
        Frequency [Hz].
    phase_rad
        Phase at the start of the FID [rad].
    """

    frequency_hz: float
    phase_rad: float


def creatine_fit(fid: Complex, protocol: MegaProtocol) -> SingletFit:
    """Creatine and choline of one spectrum, in that order, with a common line shape."""
    points = min(len(fid), int(np.ceil(_SEEN_S / protocol.dwell_s)))
    band = Band.of(protocol, points, _LOW_PPM, _HIGH_PPM, degree=_DEGREE)
    return fit_singlets(fid, protocol, (((CREATINE_PPM, 1.0),), ((CHOLINE_PPM, 1.0),)), band)


def reference(fit: SingletFit) -> Turn:
    """What brings creatine to 3.027 ppm with a positive absorption line.

    Raises
    ------
    NumericalError
        When creatine does not stand out of what the fit leaves.
    """
    if not fit.misfit * LEAST_CREATINE <= 1.0:
        raise NumericalError(
            f"creatine of mean edit OFF is {1.0 / fit.misfit:.1f} standard errors; expected at "
            f"least {LEAST_CREATINE:g}; frequency and phase cannot be fixed on it."
        )
    return Turn(frequency_hz=fit.shift_hz, phase_rad=float(np.angle(fit.amplitudes.sum())))
