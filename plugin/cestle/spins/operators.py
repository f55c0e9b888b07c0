"""Spin operators and the Hamiltonian of coupled protons in liquid.

States are products of up (0) and down (1), the first spin being the slowest index. A spin that
resonates above the reference turns so that its signal is exp(+i 2π f t).
"""

from itertools import product
from math import sqrt

import numpy as np
import numpy.typing as npt

from cestle.physics import Real
from cestle.spins.systems import OtherNucleus, SpinGroup

Order = npt.NDArray[np.int64]


def magnetic_numbers(spins: int) -> Real:
    """The z component of each spin in each product state, shape (state, spin): ±1/2."""
    states = np.array(list(product((0.5, -0.5), repeat=spins)), dtype=np.float64)
    return states.reshape(-1, spins)


def coherence_order(spins: int) -> Order:
    """Order of each element of a density matrix, shape (state, state)."""
    total = magnetic_numbers(spins).sum(axis=1)
    order: Order = np.rint(total[:, None] - total[None, :]).astype(np.int64)
    return order


def lowering(spins: int) -> Real:
    """The sum of I− over all spins, shape (state, state)."""
    size = 2**spins
    operator = np.zeros((size, size))
    for spin in range(spins):
        flip = 1 << (spins - 1 - spin)
        for state in range(size):
            if not state & flip:
                operator[state | flip, state] = 1.0
    return operator


def hadamard(spins: int) -> Real:
    """Orthogonal matrix that turns the sum of Iz into the sum of Ix, shape (state, state)."""
    one = np.array([[1.0, 1.0], [1.0, -1.0]]) / sqrt(2.0)
    matrix: Real = np.ones((1, 1))
    for _ in range(spins):
        matrix = np.asarray(np.kron(matrix, one), dtype=np.float64)
    return matrix


def hamiltonian(frequency_hz: Real, coupling_hz: Real) -> Real:
    """Zeeman terms and full (strong) scalar couplings, real and symmetric.

    Parameters
    ----------
    frequency_hz
        Resonance of each spin relative to the reference, shape (spin,) [Hz].
    coupling_hz
        Symmetric couplings, shape (spin, spin) [Hz].

    Returns
    -------
        Shape (state, state) [rad/s].
    """
    spins = len(frequency_hz)
    numbers = magnetic_numbers(spins)
    matrix = np.diag(numbers @ frequency_hz)
    for one in range(spins):
        for other in range(one + 1, spins):
            coupling = float(coupling_hz[one, other])
            matrix += np.diag(coupling * numbers[:, one] * numbers[:, other])
            flips = (1 << (spins - 1 - one)) | (1 << (spins - 1 - other))
            # I+S- and I-S+ exchange the two spins where they differ
            for state in np.flatnonzero(numbers[:, one] != numbers[:, other]):
                matrix[state ^ flips, state] += 0.5 * coupling
    return 2.0 * np.pi * matrix


def ensembles(group: SpinGroup) -> list[tuple[float, Real]]:
    """Share and extra frequencies of the protons for each state of the other nuclei.

    Nothing flips these nuclei, so that each of their states is an ensemble of its own, in which
    their coupling J is a frequency of J times their magnetic number [Hz].
    """
    levels = [_levels(nucleus) for nucleus in group.others]
    found: list[tuple[float, Real]] = []
    for numbers in product(*levels):
        extra = np.zeros(len(group.shift_ppm))
        for number, nucleus in zip(numbers, group.others, strict=True):
            extra += number * np.array(nucleus.coupling_hz)
        found.append((1.0, extra))
    return [(1.0 / len(found), extra) for _, extra in found]


def _levels(nucleus: OtherNucleus) -> list[float]:
    return [nucleus.spin - step for step in range(round(2 * nucleus.spin) + 1)]
