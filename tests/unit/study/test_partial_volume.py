"""What partial volume alone does to an index, from shares of known tissues."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.cest.images import GluCestMap
from cestle.cest.tissue import TissueFractions
from cestle.gates import Verdict
from cestle.study.partial_volume import partial_volume_gates, partial_volume_indices
from unit.builders import axial_grid, four_regions

GRID = axial_grid()
SIGNAL = {"grey": 100.0, "white": 80.0, "fluid": 350.0}
CONTRAST = {"grey": 9.0, "white": 6.0, "fluid": 1.0}
X = GRID.to_lps(np.argwhere(np.ones(GRID.shape, dtype=bool)).astype(float))[:, 0].reshape(
    GRID.shape
)


def shares(fluid_left, fluid_right, seed=0):
    """Random grey and white shares; fluid of a given share in each half of the patient."""
    generator = np.random.default_rng(seed)
    fluid = np.where(X > 0.0, fluid_left, fluid_right) * np.ones(GRID.shape)
    grey = generator.uniform(0.2, 1.0, GRID.shape) * (1.0 - fluid)
    # some voxels of other shares, so that the slice tells the tissues apart
    fluid[:, ::7, :] = generator.uniform(0.0, 1.0, fluid[:, ::7, :].shape)
    grey[:, ::7, :] = (1.0 - fluid[:, ::7, :]) * generator.uniform(0, 1, fluid[:, ::7, :].shape)
    return TissueFractions(grey=grey, white=1.0 - grey - fluid, fluid=fluid)


def mixed(tissue, left_extra=0.0):
    """Map and denominator of the mixture; the patient's left may have more contrast."""
    names = ("grey", "white", "fluid")
    signal = sum(getattr(tissue, name) * SIGNAL[name] for name in names)
    product = sum(getattr(tissue, name) * SIGNAL[name] * CONTRAST[name] for name in names)
    percent = product / signal + np.where(X > 0.0, left_extra, 0.0)
    return GluCestMap(
        percent=percent,
        standard_error=np.full(GRID.shape, np.nan),
        valid=np.ones(GRID.shape, dtype=bool),
        grid=GRID,
        reference=signal,
    )


def weights():
    return {region.name: region.fraction / region.fraction.sum() for region in four_regions(GRID)}


def index(percent, structure="hippocampus"):
    left, right = (np.sum(percent * weights()[f"{structure}_{side}"]) for side in ("left", "right"))
    return (left - right) / (left + right)


def test_a_mixture_of_equal_tissues_is_found_exactly():
    """Where every tissue has one contrast, what partial volume shows is the whole index."""
    tissue = shares(0.05, 0.25)
    glucest = mixed(tissue)
    found = partial_volume_indices(glucest, tissue, weights())
    assert found["dai_glu_h_epi"] == pytest.approx(index(glucest.percent), abs=1e-9)
    assert abs(found["dai_glu_h_epi"]) > 0.02
    gates = {gate.scope: gate.verdict for gate in partial_volume_gates(found)}
    assert gates["hippocampus"] is Verdict.WARN


def test_a_true_difference_is_not_taken_for_partial_volume():
    """With shares alike on both sides, more contrast on the left leaves the null at zero."""
    tissue = shares(0.1, 0.1)
    glucest = mixed(tissue, left_extra=1.0)
    found = partial_volume_indices(glucest, tissue, weights())
    assert abs(found["dai_glu_h_epi"]) < 0.01
    assert index(glucest.percent) > 0.05


def test_swapped_sides_flip_the_sign():
    """Exchanging the fluid of the two sides turns the sign of what partial volume shows."""
    one, other = (
        partial_volume_indices(mixed(tissue), tissue, weights())["dai_glu_h_epi"]
        for tissue in (shares(0.05, 0.25), shares(0.25, 0.05))
    )
    assert one > 0.0 > other


def test_nothing_is_said_where_the_tissues_are_not_told_apart():
    """Equal shares everywhere, or a map without its denominator, give no number."""
    same = TissueFractions(
        grey=np.full(GRID.shape, 0.5),
        white=np.full(GRID.shape, 0.4),
        fluid=np.full(GRID.shape, 0.1),
    )
    assert partial_volume_indices(mixed(same), same, weights()) == {}
    tissue = shares(0.05, 0.25)
    bare = replace(mixed(tissue), reference=None)
    assert partial_volume_indices(bare, tissue, weights()) == {}
