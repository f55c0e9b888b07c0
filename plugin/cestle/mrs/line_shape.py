"""The common line shape as terms of the exponent of FIDs.

A Voigt line with shift and phase, and smooth corrections of its logarithm over time: their real
parts bend the decay, their imaginary parts make the line asymmetric, as an imperfect shim does.
All vanish at the start, where amplitudes are read.
"""

from typing import Final

import numpy as np
from scipy.interpolate import BSpline

from cestle.mrs.separable import EnvelopeTerm
from cestle.physics import Bool, Complex, Real

SHAPE_KNOTS_S: Final = (0.0, 0.02, 0.05, 0.09, 0.15, 0.25)
"""Knots of the corrections; constant after the last, where lines have decayed [s]."""
SHAPE_SPREAD: Final = 0.15
"""Standard deviation of their soft constraint to zero [1], [rad]."""
OWN_SHIFT_PPM: Final = 0.004
"""Standard deviation of the shift of one metabolite against its place in the basis (pH,
temperature), as usual since doi:10.1002/mrm.1910300604."""
WIDEST_HZ: Final = 30.0
FARTHEST_HZ: Final = 15.0
LARGEST_PHASE: Final = 1.0


def lorentz_profile(time: Real) -> Complex:
    """Exponent per Hz of Lorentzian full width at half maximum."""
    return (-np.pi * time).astype(np.complex128)


def gauss_profile(time: Real) -> Complex:
    """Exponent per Hz² of squared Gaussian full width at half maximum."""
    profile: Real = -((np.pi * time) ** 2) / (4.0 * np.log(2.0))
    return profile.astype(np.complex128)


def shift_profile(time: Real) -> Complex:
    """Exponent per Hz of shift."""
    return (2j * np.pi * time).astype(np.complex128)


def phase_profile(time: Real) -> Complex:
    """Exponent per radian of phase."""
    return np.full(len(time), 1j)


def common_terms(time: Real, everything: Bool) -> list[EnvelopeTerm]:
    """Terms that all components share.

    Parameters
    ----------
    time
        Time of each point, shape (point,) [s].
    everything
        True for each component, shape (component,).
    """
    terms = [
        EnvelopeTerm(
            name="lorentz",
            profile=lorentz_profile(time),
            members=everything,
            start=3.0,
            expected=3.0,
            spread=5.0,
            low=0.0,
            high=WIDEST_HZ,
        ),
        EnvelopeTerm(
            name="gauss2",
            profile=gauss_profile(time),
            members=everything,
            start=16.0,
            low=0.0,
            high=WIDEST_HZ**2,
        ),
        EnvelopeTerm(
            name="shift",
            profile=shift_profile(time),
            members=everything,
            start=0.0,
            low=-FARTHEST_HZ,
            high=FARTHEST_HZ,
        ),
        EnvelopeTerm(
            name="phase",
            profile=phase_profile(time),
            members=everything,
            start=0.0,
            low=-LARGEST_PHASE,
            high=LARGEST_PHASE,
        ),
    ]
    for number, bend in enumerate(_bends(time)):
        for part, factor in (("decay", 1.0), ("skew", 1j)):
            terms.append(
                EnvelopeTerm(
                    name=f"{part} {number}",
                    profile=(factor * bend).astype(np.complex128),
                    members=everything,
                    start=0.0,
                    spread=SHAPE_SPREAD,
                )
            )
    return terms


def extra_width(
    name: str, time: Real, members: Bool, *, expected: float, spread: float
) -> EnvelopeTerm:
    """A Lorentzian width that some components have more than the others [Hz]."""
    return EnvelopeTerm(
        name=name,
        profile=lorentz_profile(time),
        members=members,
        start=expected,
        expected=expected,
        spread=spread,
        low=-3.0,
        high=10.0,
    )


def own_shift(name: str, time: Real, members: Bool, frequency_mhz: float) -> EnvelopeTerm:
    """A small shift of some components against the common one [Hz]."""
    return EnvelopeTerm(
        name=f"{name} shift",
        profile=shift_profile(time),
        members=members,
        start=0.0,
        spread=OWN_SHIFT_PPM * frequency_mhz,
        low=-0.03 * frequency_mhz,
        high=0.03 * frequency_mhz,
    )


def _bends(time: Real) -> Real:
    """Cubic splines that are zero with zero slope at the start, shape (function, point)."""
    last = SHAPE_KNOTS_S[-1]
    knots = np.concatenate([[0.0] * 3, SHAPE_KNOTS_S, [last] * 3])
    functions = BSpline.design_matrix(np.clip(time, 0.0, last), knots, 3).toarray().T
    bends: Real = functions[2:]
    return bends
