"""MEGA-PRESS on coupled spins: 90° - 180° - editing - 180° - editing - acquisition.

The 90° pulse is ideal. Crushers about a refocusing pulse keep what changes from order p to −p, the
gradients about an editing pulse what keeps its order; each acts in a direction of its own, so that
every pulse selects by itself. The echo is a sequence of linear steps: the mean over the positions
along one slice can therefore be taken before the next pulse, and two directions cost the sum of
their positions, not the product (Zhang et al.).

References
----------
Mescher M et al. NMR Biomed 1998;11:266-272.
doi:10.1002/(SICI)1099-1492(199810)11:6<266::AID-NBM530>3.0.CO;2-J
Zhang Y et al. Med Phys 2017;44:4169-4178. doi:10.1002/mp.12375
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import InputError
from cestle.physics import Complex, Real
from cestle.spins.lines import Resonances, joined
from cestle.spins.operators import Order, coherence_order, ensembles, hamiltonian, lowering
from cestle.spins.pulses import Pulse, free_propagator, inversion, shaped_propagators, slice_pulse
from cestle.spins.systems import SpinGroup, SpinSystem

REFERENCE_PPM: Final = 3.0
_POSITIONS_PER_WIDTH: Final = 16
_RANGE_WIDTHS: Final = 1.15
_RANGE_PPM: Final = 2.6
_FAINTEST: Final = 1.0e-9


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Slice selection of the two refocusing pulses.

    Parameters
    ----------
    width_hz
        Full width at half of the refocusing profile [Hz]. A spin 1 ppm off the carrier is
        displaced by its frequency over this width.
    """

    width_hz: float

    def __post_init__(self) -> None:
        if not self.width_hz > 0.0:
            raise InputError(f"slice bandwidth is {self.width_hz:g} Hz; give one above 0 Hz.")


@dataclass(frozen=True, kw_only=True)
class MegaPress:
    """Timing and pulses.

    Parameters
    ----------
    frequency_mhz
        Proton frequency [MHz].
    echo_time_s
        TE [s].
    first_echo_s
        Twice the time from the 90° to the first 180° pulse [s].
    editing
        Editing pulse; None for PRESS.
    slices
        Slice selection; None for ideal refocusing everywhere.
    """

    frequency_mhz: float
    echo_time_s: float
    first_echo_s: float
    editing: Pulse | None
    slices: Slices | None

    def __post_init__(self) -> None:
        """Refuse what cannot be played out.

        Raises
        ------
        InputError
            When the pulses do not fit between each other.
        """
        if not self.frequency_mhz > 0.0:
            raise InputError(
                f"frequency is {self.frequency_mhz:g} MHz; give that of the header, above 0."
            )
        gaps = self._gaps()
        if not all(gap >= 0.0 for gap in gaps):
            raise InputError(
                f"an echo time of {1e3 * self.echo_time_s:g} ms with a first echo of "
                f"{1e3 * self.first_echo_s:g} ms lacks {-1e3 * min(gaps):.2f} ms for its pulses; "
                "give a longer echo, a shorter first echo or a shorter editing pulse."
            )

    @property
    def refocusing(self) -> Pulse | None:
        """The slice-selective 180° pulse; None for an ideal one."""
        return None if self.slices is None else slice_pulse(self.slices.width_hz)

    def _gaps(self) -> tuple[float, float, float, float, float]:
        """Free precession between the pulses in order [s]."""
        refocusing, editing = self.refocusing, self.editing
        half_180 = 0.0 if refocusing is None else 0.5 * refocusing.duration_s
        half_edit = 0.0 if editing is None else 0.5 * editing.duration_s
        # the editing pulse stands in the middle of the last delay; two of them are TE/2 apart
        last = 0.5 * (self.echo_time_s - self.first_echo_s)
        centre = 0.5 * last
        return (
            0.5 * self.first_echo_s - half_180,
            centre - half_180 - half_edit,
            0.5 * self.echo_time_s - centre - half_edit - half_180,
            centre - half_180 - half_edit,
            last - centre - half_edit,
        )

    def resonances(self, system: SpinSystem, *, edit_ppm: float | None) -> Resonances:
        """Lines of a metabolite at the start of the acquisition, without relaxation.

        Parameters
        ----------
        system
            The metabolite.
        edit_ppm
            Centre of both editing pulses; None to leave them out [ppm].

        Returns
        -------
            Merged lines; an uncoupled proton that no editing pulse touches has 1. With slices
            this is relative to an uncoupled proton of the same slices.
        """
        parts = []
        for group in system.groups:
            for share, extra_hz in ensembles(group):
                lines = self._group(group, extra_hz, edit_ppm)
                parts.append(
                    Resonances(
                        shift_ppm=lines.shift_ppm, amplitude=group.copies * share * lines.amplitude
                    )
                )
        return joined(parts).simplified(frequency_mhz=self.frequency_mhz)

    def _group(self, group: SpinGroup, extra_hz: Real, edit_ppm: float | None) -> Resonances:
        offset = (np.array(group.shift_ppm) - REFERENCE_PPM) * self.frequency_mhz + extra_hz
        spins = len(offset)
        matrix = hamiltonian(offset, group.coupling_matrix())
        energies, states = np.linalg.eigh(matrix)
        order = coherence_order(spins)
        edit = self._editing(matrix, order, edit_ppm)
        refocus = self._refocusing(matrix, order)
        first, second, third, fourth, last = (
            free_propagator(energies, states, gap) for gap in self._gaps()
        )
        # from −1 over +1 back to −1, the order that is received
        density = lowering(spins).astype(np.complex128)
        density = refocus(_turned(first, density), 1)
        density = edit(_turned(second, density), 1)
        density = refocus(_turned(third, density), -1)
        density = edit(_turned(fourth, density), -1)
        density = _turned(last, density)
        return self._received(density, energies, states)

    def _received(self, density: Complex, energies: Real, states: Real) -> Resonances:
        spins = len(energies).bit_length() - 1
        inner = states.T @ density @ states
        receiver = states.T @ lowering(spins) @ states
        amplitude = (receiver * inner).ravel() / 2 ** (spins - 1)
        frequency = (energies[None, :] - energies[:, None]).ravel() / (2.0 * np.pi)
        audible = np.abs(amplitude) > _FAINTEST
        return Resonances(
            shift_ppm=REFERENCE_PPM + frequency[audible] / self.frequency_mhz,
            amplitude=amplitude[audible],
        )

    def _editing(
        self, matrix: Real, order: Order, edit_ppm: float | None
    ) -> Callable[[Complex, int], Complex]:
        editing = self.editing
        if editing is None:
            return lambda density, _: density
        if edit_ppm is None:
            energies, states = np.linalg.eigh(matrix)
            silent = free_propagator(energies, states, editing.duration_s)
            return lambda density, _: _turned(silent, density)
        centre_hz = (REFERENCE_PPM - edit_ppm) * self.frequency_mhz
        pulse = shaped_propagators(editing, matrix, np.array([centre_hz]))[0]
        return lambda density, kept: np.where(order == kept, _turned(pulse, density), 0.0)

    def _refocusing(self, matrix: Real, order: Order) -> Callable[[Complex, int], Complex]:
        refocusing = self.refocusing
        if refocusing is None or self.slices is None:
            # an ideal rotation about x turns every spin over
            return lambda density, _: density[::-1, ::-1]
        offsets = self._positions_hz(self.slices)
        pulses = shaped_propagators(refocusing, matrix, offsets)
        weight = 1.0 / inversion(refocusing, offsets).sum()

        def refocus(density: Complex, kept: int) -> Complex:
            total = (pulses @ density @ np.conj(np.swapaxes(pulses, 1, 2))).sum(axis=0)
            return np.where(order == kept, weight * total, 0.0)

        return refocus

    def _positions_hz(self, slices: Slices) -> Real:
        """Frequencies of the reference along the gradient that hold the slices of all shifts."""
        reach = _RANGE_WIDTHS * slices.width_hz + _RANGE_PPM * self.frequency_mhz
        half = int(np.ceil(reach * _POSITIONS_PER_WIDTH / slices.width_hz))
        steps = np.arange(-half, half + 1, dtype=np.float64)
        return steps * (slices.width_hz / _POSITIONS_PER_WIDTH)


def _turned(propagator: Complex, density: Complex) -> Complex:
    result: Complex = propagator @ density @ np.conj(propagator.T)
    return result
