"""Heads of known labels for the built-in atlas, and what its regions make of an index."""

from dataclasses import replace

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.anatomy.slab import region_on_grid, slab_average
from cestle.config.atlas import load_atlas_template
from cestle.measurement import Side, Structure
from cestle.phantom.study import simulate
from t1 import FLUID, GREY, WHITE, LabelledHead

LABELS = {
    "hippocampus_left": 17,
    "hippocampus_right": 53,
    "amygdala_left": 18,
    "amygdala_right": 54,
}
OUTSIDE_FROM = 500
"""Label numbers from here on are not brain."""
LEFT_TEMPORAL = (17, 18, 2, 3)
FLUID_LABEL = 24
VENTRICLES = (4, 5, 43, 44)
ASYMMETRY = 0.03
CONTRAST = {"hippocampus": 8.0, "amygdala": 7.5}
GREY_PERCENT, WHITE_PERCENT, FLUID_PERCENT = 7.0, 4.5, 1.5
LEAST_VOXELS = 10
VARIATION, VARIATION_MM = 0.05, 14.0


def phantom_with_a_brain(settings):
    """The phantom, its T1 replaced by the template; its regions lie where they were."""
    study = simulate(settings)
    template = load_atlas_template()
    index = np.indices(study.t1_grid.shape, dtype=np.float64).reshape(3, -1).T
    found = map_coordinates(
        template.values, template.grid.to_index(study.t1_grid.to_lps(index)).T, order=1
    )
    bright = found.reshape(study.t1_grid.shape) / np.percentile(template.values, 99.0)
    return replace(study, t1=bright)


def true_regions(head):
    """The labelled structures as regions."""
    source = RegionSource(form=RegionForm.LABEL_MAP, creation="manual", identifier="labels")
    return {
        name: Region(
            structure=Structure(name.split("_")[0]),
            side=Side(name.split("_")[1]),
            fraction=head.where([number]),
            grid=head.grid,
            source=source,
        )
        for name, number in LABELS.items()
    }


def dice(region, truth):
    """Overlap of what is mostly in a region with what is mostly in another, on its voxels."""
    index = np.argwhere(np.ones(region.grid.shape, dtype=bool)).astype(float)
    places = truth.grid.to_index(region.grid.to_lps(index))
    there = map_coordinates(truth.fraction.astype(np.float32), places.T, order=1)
    a, b = region.fraction > 0.5, there.reshape(region.grid.shape) > 0.5
    # what lies outside the voxels of the region counts as missed
    beyond = truth.volume_mm3 - float(there.sum()) * region.grid.voxel_volume_mm3
    missed = max(0.0, beyond) / region.grid.voxel_volume_mm3
    return 2.0 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b) + missed)


def stripped(head, t1):
    """The T1 without what is not brain."""
    return np.where((head.labels > 0) & (head.labels < OUTSIDE_FROM), t1, 0.0)


def resected(head, reach_mm=28.0):
    """The head after surgery: fluid instead of all tissue around the left hippocampus' front."""
    left = np.argwhere(np.isin(head.labels, (17, 18))).astype(float)
    place = head.grid.to_lps(left)
    index = np.argwhere(np.isin(head.labels, LEFT_TEMPORAL))
    near = np.linalg.norm(head.grid.to_lps(index.astype(float)) - place.mean(axis=0), axis=1)
    gone = index[near < reach_mm]
    labels = head.labels.copy()
    labels[tuple(gone.T)] = FLUID_LABEL
    return LabelledHead(labels=labels, grid=replace(head.grid))


def with_wide_ventricles(head, by_mm=5.0):
    """The head with fluid instead of white matter and cortex near the lateral ventricles."""
    spared = np.isin(head.labels, (*LABELS.values(), 0)) | (head.labels >= OUTSIDE_FROM)
    far = distance_transform_edt(~np.isin(head.labels, VENTRICLES), head.grid.spacing_mm)
    labels = np.where((far <= by_mm) & ~spared, FLUID_LABEL, head.labels)
    return LabelledHead(labels=labels, grid=head.grid)


def cest_slice(head, target):
    """A GluCEST slice [%], where it shows brain, and the share of fluid."""
    percent = np.zeros(int(head.labels.max()) + 1)
    tissue = np.zeros((2, len(percent)), dtype=np.float32)
    for numbers, value in (
        (GREY, GREY_PERCENT),
        (WHITE, WHITE_PERCENT),
        (FLUID, FLUID_PERCENT),
    ):
        used = [number for number in numbers if number < len(percent)]
        percent[used] = value
        tissue[0, used] = 1.0
        tissue[1, used] = float(numbers is FLUID)
    for name, number in LABELS.items():
        structure, side = name.split("_")
        sign = 1.0 if side == "left" else -1.0
        percent[number] = CONTRAST[structure] * (1.0 + sign * ASYMMETRY)
    values, brain, fluid = (
        slab_average(table[head.labels], head.grid, target) for table in (percent, *tissue)
    )
    lit = brain > 0.9
    return np.where(lit, values / np.where(lit, brain, 1.0), 0.0), lit, fluid


def variation(target, seed):
    """A factor that varies smoothly in the slice, as tissue does."""
    noise = np.random.default_rng(seed).standard_normal(target.shape)
    smooth = gaussian_filter(
        noise, [0.0, *(VARIATION_MM / 2.355 / np.array(target.spacing_mm[1:]))]
    )
    return 1.0 + VARIATION * smooth / smooth.std()


def index_of(percent, used, regions, structure, target):
    """(L−R)/(L+R) of the partial-volume-weighted means over the voxels in use.

    Not a number where the slice holds too few of them, as the product has no index there.
    """
    means = []
    for side in ("left", "right"):
        weight = region_on_grid(regions[f"{structure}_{side}"], target).fraction * used
        if weight.sum() ** 2 < LEAST_VOXELS * (weight**2).sum() or not weight.any():
            return float("nan")
        means.append(float(np.average(percent, weights=weight)))
    left, right = means
    return (left - right) / (left + right)
