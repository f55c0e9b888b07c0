"""The metabolites are the molecules that they are called."""

import numpy as np
import pytest

from cestle.spins.systems import METABOLITES

CARBON_BOUND_PROTONS = {
    "GABA": 6,
    "Glu": 5,
    "Gln": 5,
    "GSH": 10,
    "NAA": 6,
    "NAAG": 11,
    "Cr": 5,
    "PCr": 5,
    "GPC": 18,
    "PCh": 13,
    "mIns": 6,
    "Tau": 4,
    "Asp": 3,
    "Lac": 4,
}
"""From the structural formulas."""


def test_the_metabolites_of_a_basis_are_there():
    """Nothing is missing and nothing is added."""
    assert set(METABOLITES) == set(CARBON_BOUND_PROTONS)


@pytest.mark.parametrize("name", METABOLITES)
def test_protons_are_those_of_the_formula(name):
    """Each molecule has its protons on carbon; amides, which resonate above 6 ppm, are extra."""
    groups = METABOLITES[name].groups
    bound = sum(group.copies * sum(shift < 6.0 for shift in group.shift_ppm) for group in groups)
    assert bound == CARBON_BOUND_PROTONS[name]


@pytest.mark.parametrize("name", METABOLITES)
def test_couplings_are_between_protons_of_the_group(name):
    """No index is out of range or couples a proton to itself, and no size is unphysical."""
    for group in METABOLITES[name].groups:
        matrix = group.coupling_matrix()
        assert np.array_equal(matrix, matrix.T)
        assert not np.any(np.diag(matrix))
        assert np.count_nonzero(matrix) == 2 * len(group.coupling_hz)
        assert np.abs(matrix).max(initial=0.0) < 20.0
        for nucleus in group.others:
            assert len(nucleus.coupling_hz) == len(group.shift_ppm)


@pytest.mark.parametrize("name", METABOLITES)
def test_couplings_within_a_methylene_group_are_negative(name):
    """A coupling beyond 11 Hz is geminal, and geminal couplings at sp3 carbon are negative."""
    for group in METABOLITES[name].groups:
        for coupling in group.coupling_hz.values():
            assert coupling < 0.0 or coupling < 11.2
