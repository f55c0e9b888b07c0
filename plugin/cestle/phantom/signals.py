"""FIDs of lines, in both editing states: exp(+i 2π f t), ascending ppm (PS3.3 C.8.14.4.1)."""

from dataclasses import dataclass

import numpy as np

from cestle.physics import Complex, Real


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """A signal in both editing states.

    Parameters
    ----------
    on, off
        FIDs, shape (point,) [area of the creatine methyl].
    """

    on: Complex
    off: Complex

    @property
    def difference(self) -> Complex:
        """ON minus OFF."""
        return self.on - self.off

    def times(self, factor: complex | Complex) -> "Pair":
        """Both states times a number, or times a factor for each point."""
        return Pair(on=factor * self.on, off=factor * self.off)

    def __add__(self, other: "Pair") -> "Pair":
        return Pair(on=self.on + other.on, off=self.off + other.off)


@dataclass(frozen=True, kw_only=True, eq=False)
class Axis:
    """Where and when signals are made.

    Parameters
    ----------
    time_s
        Shape (point,) [s].
    frequency_mhz
        Transmitter frequency [MHz].
    transmitter_ppm
        Chemical shift at the transmitter frequency [ppm].
    """

    time_s: Real
    frequency_mhz: float
    transmitter_ppm: float

    @property
    def dwell_s(self) -> float:
        """Time between two points [s]."""
        return float(self.time_s[1] - self.time_s[0])

    def hertz(self, shift_ppm: Real) -> Real:
        """Frequencies of chemical shifts relative to the transmitter [Hz]."""
        frequency: Real = (shift_ppm - self.transmitter_ppm) * self.frequency_mhz
        return frequency

    def ringing(self, shift_ppm: Real, amplitude: Complex) -> Complex:
        """Sum of lines without decay, of amplitudes of shape (line,); shape (point,)."""
        phase = 2.0 * np.pi * np.outer(self.hertz(shift_ppm), self.time_s)
        signal: Complex = amplitude @ np.exp(1j * phase)
        return signal

    def decay(self, t2_s: float) -> Real:
        """Exponential decay, shape (point,)."""
        return np.exp(-self.time_s / t2_s)

    def turned(self, shift_hz: float) -> Complex:
        """Factor that moves a signal by a frequency, shape (point,)."""
        factor: Complex = np.exp(2j * np.pi * shift_hz * self.time_s)
        return factor

    def line(self, shift_ppm: float, *, area: complex, width_ppm: float, t2_s: float) -> Complex:
        """A line of Gaussian full width at half maximum that decays with T2, shape (point,)."""
        width_hz = width_ppm * self.frequency_mhz
        gauss = np.exp(-((np.pi * width_hz * self.time_s) ** 2) / (4.0 * np.log(2.0)))
        wave = self.ringing(np.array([shift_ppm]), np.array([complex(area)]))
        line: Complex = wave * gauss * self.decay(t2_s)
        return line
