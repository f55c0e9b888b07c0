"""Fluid in the regions: what is left out and what is said about it."""

import numpy as np
import pytest

from cestle.cest.tissue import TissueFractions
from cestle.gates import Verdict
from cestle.study.fluid import MOST_FLUID, fluid_gates, without_fluid
from unit.builders import axial_grid, four_regions

GRID = axial_grid()
REGIONS = four_regions(GRID)


def shares(fluid):
    """Grey matter with some fluid."""
    fluid = np.broadcast_to(fluid, GRID.shape)
    return TissueFractions(grey=1.0 - fluid, white=np.zeros(GRID.shape), fluid=fluid)


def left_half():
    index = np.argwhere(np.ones(GRID.shape, dtype=bool)).astype(float)
    return GRID.to_lps(index)[:, 0].reshape(GRID.shape) > 0.0


def test_without_shares_the_regions_stay():
    """Where tissue is not known, no voxel is left out and no gate is made."""
    regions, fluid, reasons = without_fluid(REGIONS, None)
    assert regions == REGIONS
    assert (fluid, reasons) == ({}, {})
    assert fluid_gates(fluid) == ()


def test_a_voxel_with_a_tenth_of_fluid_is_left_out():
    """Voxels at the limit go, voxels below stay with their share, and the loss is stated."""
    row = np.indices(GRID.shape)[1]
    fluid = np.where(row % 2 == 0, MOST_FLUID, 0.5 * MOST_FLUID)
    regions, found, _ = without_fluid(REGIONS, shares(fluid))
    for before, after in zip(REGIONS, regions, strict=True):
        assert np.array_equal(after.fraction, np.where(row % 2 == 1, before.fraction, 0.0))
        assert found[after.name].left_out == pytest.approx(0.5, abs=0.1)
        assert found[after.name].share == pytest.approx(0.075, abs=0.01)


def test_a_region_full_of_fluid_has_a_reason():
    """A region of which nothing is left is given up with the reason, the others stay."""
    regions, _, reasons = without_fluid(REGIONS, shares(np.where(left_half(), 0.5, 0.0)))
    assert {region.name for region in regions} == {"hippocampus_right", "amygdala_right"}
    assert set(reasons) == {"hippocampus_left", "amygdala_left"}
    assert "fluid" in reasons["hippocampus_left"]


def test_more_fluid_on_one_side_is_flagged():
    """12 % against 4 % of fluid warns of the region and of the difference of the sides."""
    fluid = shares(np.where(left_half(), 0.12, 0.04))
    _, found, _ = without_fluid(REGIONS, fluid)
    verdicts = {(gate.name, gate.scope): gate.verdict for gate in fluid_gates(found)}
    assert verdicts["csf_share", "hippocampus_left"] is Verdict.WARN
    assert verdicts["csf_share", "hippocampus_right"] is Verdict.PASS
    assert verdicts["csf_left_right", "amygdala"] is Verdict.WARN
