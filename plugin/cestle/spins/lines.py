"""Resonances of a spectrum: frequencies with complex amplitudes."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from cestle.physics import Complex, Real

MERGE_HZ: Final = 0.05
SMALLEST_SHARE: Final = 5.0e-5


@dataclass(frozen=True, kw_only=True, eq=False)
class Resonances:
    """Lines of one spectrum without decay.

    Parameters
    ----------
    shift_ppm
        Chemical shifts, shape (line,) [ppm].
    amplitude
        Complex amplitudes, shape (line,) [protons].
    """

    shift_ppm: Real
    amplitude: Complex

    @property
    def area(self) -> float:
        """Signed area of the absorption signal [protons]."""
        return float(self.amplitude.real.sum())

    def within(self, low_ppm: float, high_ppm: float) -> Self:
        """The lines in a range of chemical shifts, both ends included."""
        inside = (self.shift_ppm >= low_ppm) & (self.shift_ppm <= high_ppm)
        return type(self)(shift_ppm=self.shift_ppm[inside], amplitude=self.amplitude[inside])

    def simplified(self, *, frequency_mhz: float) -> Self:
        """Fewer lines that no spectrometer could tell from these.

        Lines within 0.05 Hz become one at their mean frequency, weighted by magnitude; what is
        then smaller than 5·10⁻⁵ of the sum of all magnitudes is given to the nearest line that
        stays, so that the area is kept.
        """
        order = np.argsort(self.shift_ppm, kind="stable")
        shift, amplitude = self.shift_ppm[order], self.amplitude[order]
        shift, amplitude = _merged(shift, amplitude, width=MERGE_HZ / frequency_mhz)
        magnitude = np.abs(amplitude)
        large = magnitude >= SMALLEST_SHARE * magnitude.sum()
        if not np.any(large):
            return type(self)(shift_ppm=shift[:0], amplitude=amplitude[:0])
        kept = shift[large]
        nearest = np.abs(shift[:, None] - kept[None, :]).argmin(axis=1)
        total = np.zeros(len(kept), dtype=np.complex128)
        np.add.at(total, nearest, amplitude)
        return type(self)(shift_ppm=kept, amplitude=total)


def joined(parts: list[Resonances]) -> Resonances:
    """All lines of several spectra."""
    return Resonances(
        shift_ppm=np.concatenate([part.shift_ppm for part in parts]),
        amplitude=np.concatenate([part.amplitude for part in parts]),
    )


def _merged(shift: Real, amplitude: Complex, *, width: float) -> tuple[Real, Complex]:
    """Merge ascending lines; a cluster ends where it would be wider than `width` [ppm]."""
    groups: list[list[int]] = []
    for index in range(len(shift)):
        if groups and shift[index] - shift[groups[-1][0]] <= width:
            groups[-1].append(index)
        else:
            groups.append([index])
    centre = np.empty(len(groups))
    total = np.empty(len(groups), dtype=np.complex128)
    for number, group in enumerate(groups):
        weight = np.abs(amplitude[group])
        even = not weight.sum() > 0.0
        centre[number] = np.average(shift[group], weights=None if even else weight)
        total[number] = amplitude[group].sum()
    return centre, total
