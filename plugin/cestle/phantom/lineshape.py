"""Lines of a voxel: the distribution of the field inside it, and the width of what comes out.

The distribution is a sum of three Gaussians of unequal weight, centre and width. It has a tail to
one side, as the field beside the air of the skull base makes it, and is no Voigt line.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from cestle.errors import ConfigError
from cestle.physics import Complex, Real

_FILL: Final = 16
_WEIGHTS: Final = (0.55, 0.30, 0.15)
_CENTRES: Final = (-0.35, 0.35, 1.60)
_WIDTHS: Final = (0.70, 0.85, 1.10)


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldDistribution:
    """Frequencies inside the voxel; their mean is 0.

    Parameters
    ----------
    weights
        Share of each Gaussian, shape (part,), sum 1.
    centres_hz, sigmas_hz
        Centre and standard deviation of each, shape (part,) [Hz].
    """

    weights: Real
    centres_hz: Real
    sigmas_hz: Real

    def envelope(self, time_s: Real) -> Complex:
        """Factor on a FID, shape (point,); 1 at time 0."""
        turned = np.exp(2j * np.pi * np.outer(self.centres_hz, time_s))
        spread = np.exp(-2.0 * (np.pi * np.outer(self.sigmas_hz, time_s)) ** 2)
        envelope: Complex = self.weights @ (turned * spread)
        return envelope

    def scaled(self, factor: float) -> "FieldDistribution":
        """The same shape, `factor` times as wide."""
        return replace(self, centres_hz=factor * self.centres_hz, sigmas_hz=factor * self.sigmas_hz)


def drawn_distribution(generator: np.random.Generator, *, asymmetry: float) -> FieldDistribution:
    """A distribution of about 1 Hz, with a tail to either side.

    Parameters
    ----------
    generator
        Draws weights, centres, widths and the side of the tail.
    asymmetry
        Distance of the parts; 0 makes it symmetric, 1 gives it a long tail [1].
    """
    weights = np.array(_WEIGHTS) * generator.uniform(0.8, 1.2, size=3)
    weights /= weights.sum()
    side = generator.choice([-1.0, 1.0])
    centres = side * asymmetry * np.array(_CENTRES) * generator.uniform(0.8, 1.2, size=3)
    widths = np.array(_WIDTHS) * generator.uniform(0.9, 1.1, size=3)
    return FieldDistribution(
        weights=weights, centres_hz=centres - weights @ centres, sigmas_hz=widths
    )


def filled_spectrum(fid: Complex) -> Complex:
    """Spectrum with the first point halved, zero-filled 16 times, frequencies ascending."""
    halved = fid.copy()
    halved[0] *= 0.5
    return np.fft.fftshift(np.fft.fft(halved, n=_FILL * len(fid)))


def height(fid: Complex) -> float:
    """Largest absorption of a line that is in phase [a.u. of the FFT]."""
    return float(filled_spectrum(fid).real.max())


def full_width_hz(fid: Complex, dwell_s: float) -> float:
    """Full width at half maximum of the absorption, phased at the peak of the magnitude [Hz]."""
    spectrum = filled_spectrum(fid)
    top = int(np.abs(spectrum).argmax())
    line = (spectrum * np.exp(-1j * np.angle(spectrum[top]))).real
    top = int(line.argmax())
    half = 0.5 * line[top]
    above, below = line[top:], line[top::-1]
    return (_crossing(above, half) + _crossing(below, half)) / (len(line) * dwell_s)


def _crossing(line: Real, level: float) -> float:
    """Index at which a line that starts above `level` falls below it first."""
    under = np.flatnonzero(line < level)
    if not len(under):
        return float(len(line))
    after = int(under[0])
    return after - 1 + float((line[after - 1] - level) / (line[after - 1] - line[after]))


def fitted_width(
    shape: FieldDistribution, width_hz: Callable[[FieldDistribution], float], *, asked_hz: float
) -> FieldDistribution:
    """`shape`, made as wide as gives the line asked for.

    Parameters
    ----------
    shape
        Distribution of about 1 Hz.
    width_hz
        Width of the line in a distribution [Hz].
    asked_hz
        Width that the line shall have [Hz].

    Raises
    ------
    ConfigError
        When the line is wider than that without any field.
    """
    from scipy.optimize import brentq

    narrowest = width_hz(shape.scaled(0.0))
    if not asked_hz > narrowest:
        raise ConfigError(
            f"a creatine line of {asked_hz:g} Hz was asked for, but T2 alone makes it "
            f"{narrowest:.2f} Hz wide; ask for a wider one."
        )
    factor = brentq(lambda s: width_hz(shape.scaled(s)) - asked_hz, 0.0, asked_hz, xtol=1e-6)
    return shape.scaled(float(factor))
