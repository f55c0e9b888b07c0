"""Constants of proton MR and the array aliases used everywhere."""

from typing import Final

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
Bool = npt.NDArray[np.bool_]

GAMMA_BAR_MHZ_PER_T: Final = 42.577478461
"""Proton gyromagnetic ratio over 2π (CODATA 2022) [MHz/T]."""


def hz_to_ppm(frequency_hz: Real, *, f0_mhz: float) -> Real:
    """Convert a frequency shift to parts per million of the transmitter frequency.

    Parameters
    ----------
    frequency_hz
        Frequency shift, any shape [Hz].
    f0_mhz
        Transmitter frequency from the header, never computed from "5 T" [MHz].

    Returns
    -------
        Shift of the same shape [ppm].
    """
    return frequency_hz / f0_mhz
