"""Tissue shares from a T1 against phantoms, label maps and real heads."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from cestle.anatomy.slab import slab_average
from cestle.anatomy.tissue_segmentation import segment_tissues
from cestle.errors import GeometryError, NumericalError
from cestle.geometry import Grid
from cestle.phantom.head import REGION_LABELS, Head, Label, fractions_on
from reading import shared
from t1 import FLUID, GREY, WHITE, labelled_head, t1_of, temporal_slab, volume

NAMES = ("grey", "white", "fluid")


@cache
def true_shares():
    """Shares of grey, white, fluid and of the temporal structures in the slice of the phantom."""
    from cestle.phantom.study import SimulationSettings, cest_grid

    shares = fractions_on(cest_grid(SimulationSettings(seed=3)), Head())
    structures = shares[list(REGION_LABELS.values())].sum(axis=0)
    return {
        "grey": shares[Label.GREY] + structures,
        "white": shares[Label.WHITE],
        "fluid": shares[Label.FLUID],
        "structures": structures,
    }


@pytest.fixture(scope="module")
def noisy(quiet_phantom):
    """The phantom's T1 with noise of 2 % of white matter."""
    generator = np.random.default_rng(5)
    t1 = quiet_phantom.t1
    return np.hypot(t1 + 0.02 * generator.normal(size=t1.shape), 0.02 * generator.normal(size=1))


@pytest.fixture(scope="module")
def found(quiet_phantom, noisy):
    """Shares from that T1."""
    return segment_tissues(noisy, quiet_phantom.t1_grid, quiet_phantom.cest_grid)


def shaded(values, depth):
    """An image whose brightness falls by `depth` from front to back and from right to left."""
    slices, _, columns = values.shape
    ramp = np.linspace(0.0, 1.0, slices)[:, None, None] + np.linspace(0.0, 1.0, columns)
    return values * (1.0 - depth * 0.5 * ramp)


def difference(one, other):
    """Largest difference of any share."""
    return max(float(np.max(np.abs(getattr(one, n) - getattr(other, n)))) for n in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_shares_of_the_phantom(found, name):
    """Each share errs by less than 0.06 on average in the slice, and by 0.05 in the structures."""
    truth = true_shares()
    error = getattr(found, name) - truth[name]
    brain = truth["grey"] + truth["white"] + truth["fluid"]
    assert np.average(np.abs(error), weights=brain) < 0.06
    assert abs(np.average(error, weights=truth["structures"])) < 0.05


def test_shading_of_a_coil_hardly_matters(quiet_phantom, noisy, found):
    """A brightness that falls by 40 % over the head changes the structures by less than 0.05."""
    dimmed = segment_tissues(shaded(noisy, 0.4), quiet_phantom.t1_grid, quiet_phantom.cest_grid)
    weight = true_shares()["structures"]
    for name in NAMES:
        change = getattr(dimmed, name) - getattr(found, name)
        assert abs(np.average(change, weights=weight)) < 0.05


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_storing_the_t1_mirrored_changes_nothing(quiet_phantom, noisy, found, axis):
    """A T1 whose voxels run the other way, with its affine, gives the same shares."""
    grid = quiet_phantom.t1_grid
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, axis] * (grid.shape[axis] - 1)
    affine[:3, axis] *= -1.0
    mirrored = segment_tissues(
        np.flip(noisy, axis=axis), replace(grid, affine=affine), quiet_phantom.cest_grid
    )
    assert difference(mirrored, found) < 2e-3


@pytest.mark.parametrize("scale", [1e-3, 517.0])
def test_the_scale_of_the_t1_changes_nothing(quiet_phantom, noisy, found, scale):
    """Brightness in another unit gives the same shares."""
    scaled = segment_tissues(scale * noisy, quiet_phantom.t1_grid, quiet_phantom.cest_grid)
    assert difference(scaled, found) < 2e-3


def test_no_share_is_told_where_the_t1_ends(quiet_phantom, noisy):
    """Where the T1 covers less than the whole voxel, all shares are 0."""
    grid, half = quiet_phantom.t1_grid, quiet_phantom.t1_grid.shape[0] // 2
    front = replace(grid, shape=(half, *grid.shape[1:]))
    # slices run from left to right, so what is left of the T1 is the patient's left half
    found = segment_tissues(noisy[:half], front, quiet_phantom.cest_grid)
    cest = quiet_phantom.cest_grid
    index = np.argwhere(np.ones(cest.shape, dtype=bool)).astype(float)
    x = cest.to_lps(index)[:, 0].reshape(cest.shape)
    total = sum(getattr(found, name) for name in NAMES)
    assert total[x < -5.0].max() == 0.0
    assert total[(x > 10.0) & (true_shares()["structures"] > 0.9)].min() > 0.9


def inverted(t1):
    """Fluid bright and white matter dark, as a T2 shows it."""
    return np.where(t1 > 0.1, np.maximum(1.1 - t1, 0.0), t1)


def without_contrast(t1):
    """Grey and white matter of one brightness."""
    return np.where(t1 > 0.45, 0.7 + 0.05 * (t1 - 0.45), t1)


def very_noisy(t1):
    """Noise of a fifth of white matter."""
    return np.abs(t1 + 0.2 * np.random.default_rng(1).normal(size=t1.shape))


@pytest.mark.parametrize(
    "spoil",
    [inverted, without_contrast, very_noisy, np.zeros_like, np.ones_like],
)
def test_what_cannot_be_told_apart_is_refused(quiet_phantom, spoil):
    """A T2, a T1 without contrast, one of noise and an empty one give a reason and no shares."""
    with pytest.raises(NumericalError, match="T1"):
        segment_tissues(spoil(quiet_phantom.t1), quiet_phantom.t1_grid, quiet_phantom.cest_grid)


def test_slices_beside_the_head_are_refused(quiet_phantom):
    """A slice 20 cm above the head has no brain, and the reason says so."""
    cest = quiet_phantom.cest_grid
    affine = cest.affine.copy()
    affine[2, 3] += 200.0
    with pytest.raises(NumericalError, match="T1"):
        segment_tissues(quiet_phantom.t1, quiet_phantom.t1_grid, replace(cest, affine=affine))


def test_another_frame_of_reference_is_refused(quiet_phantom):
    """A T1 of another examination is never taken for this one."""
    other = replace(quiet_phantom.t1_grid, frame_of_reference_uid="1.2.3")
    with pytest.raises(GeometryError, match="Frame of Reference"):
        segment_tissues(quiet_phantom.t1, other, quiet_phantom.cest_grid)


@pytest.mark.parametrize(
    ("number", "noise", "shading", "contrast"),
    [
        ("02", 0.03, 0.4, (0.25, 0.7)),
        ("04", 0.05, 0.2, (0.4, 0.76)),
        ("13", 0.03, 0.3, (0.3, 0.66)),
    ],
)
def test_shares_of_heads_with_known_labels(number, noise, shading, contrast):
    """T1 made from labels: brain within 0.1, hippocampi within 0.1 and without bias of 0.07."""
    head = labelled_head(shared(f"synthseg-label-maps/training_seg_{number}.nii.gz"))
    hippocampi = (17, 53)
    centre = head.centre_mm(hippocampi)
    target, head = temporal_slab(centre), head.near(centre, 75.0)
    t1 = t1_of(head, int(number), noise=noise, shading=shading, contrast=contrast)
    found = segment_tissues(t1, head.grid, target)
    truth = {
        name: slab_average(head.where(numbers), head.grid, target)
        for name, numbers in zip(NAMES, (GREY, WHITE, FLUID), strict=True)
    }
    brain = (sum(truth.values()) > 0.9).astype(float)
    weight = slab_average(head.where(hippocampi), head.grid, target)
    for name in NAMES:
        error = getattr(found, name) - truth[name]
        assert np.average(np.abs(error), weights=brain) < 0.1
        assert np.average(np.abs(error), weights=weight) < 0.1
        assert abs(np.average(error, weights=weight)) < 0.07


@pytest.mark.parametrize(
    ("t1", "left", "right"),
    [
        (
            "uih-t1-3d/t1_1mm.nii.gz",
            "uih-t1-3d/hippodeep_mask_L.nii.gz",
            "uih-t1-3d/hippodeep_mask_R.nii.gz",
        ),
        (
            "hippodeep-example-t1/example_brain_t1.nii.gz",
            "hippodeep-example-t1/example_brain_t1_mask_L.nii.gz",
            "hippodeep-example-t1/example_brain_t1_mask_R.nii.gz",
        ),
    ],
)
def test_real_heads_look_like_heads(t1, left, right):
    """Hippocampi of two real heads, outlined by another program, are mostly grey, hardly fluid."""
    values, grid = volume(shared(t1))
    masks = [volume(shared(path)) for path in (left, right)]
    centre = np.mean([centre_of(mask, place) for mask, place in masks], axis=0)
    target = temporal_slab(centre)
    found = segment_tissues(values.astype(float), grid, target)
    total = {name: float(getattr(found, name).sum()) for name in NAMES}
    brain_ml = sum(total.values()) * target.voxel_volume_mm3 / 1000.0
    assert 100.0 < brain_ml < 190.0  # 11 mm of an adult brain at the temporal lobes
    assert 0.4 < total["grey"] / sum(total.values()) < 0.65
    assert 0.25 < total["white"] / sum(total.values()) < 0.5
    for mask, place in masks:
        weight = slab_average(mask / 255.0, place, target)
        assert np.average(found.grey, weights=weight) > 0.6
        assert np.average(found.fluid, weights=weight) < 0.1


def centre_of(mask: np.ndarray, grid: Grid):
    """Centre of a probability of 0 to 255 in LPS."""
    return grid.to_lps(np.argwhere(mask > 128).astype(float)).mean(axis=0)
