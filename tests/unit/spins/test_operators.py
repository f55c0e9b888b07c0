"""Operators and Hamiltonian against Pauli matrices and the textbook."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.spins.operators import (
    coherence_order,
    ensembles,
    hadamard,
    hamiltonian,
    lowering,
    magnetic_numbers,
)
from cestle.spins.systems import METABOLITES, OtherNucleus, SpinGroup

PAULI = {
    "x": np.array([[0, 1], [1, 0]]) / 2,
    "y": np.array([[0, -1j], [1j, 0]]) / 2,
    "z": np.array([[1, 0], [0, -1]]) / 2,
}


def single(axis, spin, spins):
    """One component of one spin, by Kronecker products."""
    return reduce(np.kron, [PAULI[axis] if k == spin else np.eye(2) for k in range(spins)])


def total(axis, spins):
    return sum(single(axis, spin, spins) for spin in range(spins))


frequencies = st.lists(st.floats(-500, 500), min_size=3, max_size=3)
couplings = st.lists(st.floats(-20, 20), min_size=3, max_size=3)


@given(frequencies, couplings)
def test_hamiltonian_is_that_of_pauli_matrices(frequency, coupling):
    """Zeeman terms and 2π J I·S, written out with all three components."""
    pairs = ((0, 1), (0, 2), (1, 2))
    matrix = np.zeros((3, 3))
    expected = sum(f * single("z", k, 3) for k, f in enumerate(frequency))
    for (one, other), j in zip(pairs, coupling, strict=True):
        matrix[one, other] = matrix[other, one] = j
        expected = expected + sum(j * single(a, one, 3) @ single(a, other, 3) for a in "xyz")
    found = hamiltonian(np.array(frequency), matrix)
    np.testing.assert_allclose(found, 2 * np.pi * expected, atol=1e-9)


@given(st.floats(0.5, 300), st.floats(-20, 20))
def test_two_spins_have_the_energies_of_the_textbook(difference, coupling):
    """±(ν_A + ν_B)/2 + J/4 and ±½ √(Δ² + J²) − J/4."""
    matrix = np.array([[0, coupling], [coupling, 0]])
    energies = np.linalg.eigvalsh(hamiltonian(np.array([100.0, 100.0 + difference]), matrix))
    mean = 100.0 + difference / 2
    root = np.hypot(difference, coupling) / 2
    expected = [
        mean + coupling / 4,
        -mean + coupling / 4,
        root - coupling / 4,
        -root - coupling / 4,
    ]
    np.testing.assert_allclose(energies / (2 * np.pi), np.sort(expected), atol=1e-9)


@pytest.mark.parametrize("spins", [1, 2, 3, 4])
def test_operators_are_those_of_pauli_matrices(spins):
    """Lowering, magnetic numbers, coherence order, and the turn from z to x."""
    np.testing.assert_allclose(lowering(spins), total("x", spins) - 1j * total("y", spins))
    iz = total("z", spins).real
    np.testing.assert_allclose(np.diag(magnetic_numbers(spins).sum(axis=1)), iz)
    turn = hadamard(spins)
    np.testing.assert_allclose(turn @ turn, np.eye(2**spins), atol=1e-12)
    np.testing.assert_allclose(turn @ iz @ turn, total("x", spins).real, atol=1e-12)
    # the commutator with Iz is the order: [Iz, I-] = -I-
    random = np.random.default_rng(1).normal(size=(2**spins, 2**spins))
    np.testing.assert_allclose(
        iz @ random - random @ iz, coherence_order(spins) * random, atol=1e-12
    )
    assert np.all(coherence_order(spins)[lowering(spins) != 0] == -1)


@pytest.mark.parametrize("name", METABOLITES)
def test_couplings_keep_the_total_magnetic_number(name):
    """The Hamiltonian commutes with the sum of Iz, so that coherence orders do not mix."""
    for group in METABOLITES[name].groups:
        matrix = hamiltonian(210.8 * np.array(group.shift_ppm), group.coupling_matrix())
        order = coherence_order(len(group.shift_ppm))
        assert not np.any(matrix[order != 0])
        np.testing.assert_array_equal(matrix, matrix.T)


def test_other_nuclei_split_and_do_not_shift():
    """Spin ½ gives a doublet, spin 1 a triplet, of equal shares about the shift."""
    group = SpinGroup(
        shift_ppm=(4.0,),
        others=(
            OtherNucleus(name="31P", spin=0.5, coupling_hz=(6.0,)),
            OtherNucleus(name="14N", spin=1.0, coupling_hz=(2.5,)),
        ),
    )
    found = ensembles(group)
    assert sum(share for share, _ in found) == pytest.approx(1.0)
    assert sorted(round(float(extra[0]), 6) for _, extra in found) == [
        -5.5,
        -3.0,
        -0.5,
        0.5,
        3.0,
        5.5,
    ]
