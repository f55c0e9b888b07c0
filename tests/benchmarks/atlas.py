"""Regions of the built-in atlas against labelled heads and real ones: overlap, index, size, time.

The T1 of the labelled heads are made of their labels. The truth of the real heads is another
program's (HippoDeep), not a person's.
"""

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

from atlas_cases import (
    OUTSIDE_FROM,
    cest_slice,
    dice,
    index_of,
    resected,
    stripped,
    true_regions,
    variation,
    with_wide_ventricles,
)
from cestle.anatomy.atlas import segment_with_atlas
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.anatomy.slab import region_on_grid
from cestle.config.atlas import load_atlas_template
from cestle.errors import CestleError
from cestle.measurement import Side, Structure
from cestle.service.computation import largest_resident_mib
from cestle.study.fluid import MOST_FLUID
from t1 import FRAME, labelled_head, t1_of, temporal_slab, volume

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
FEW_FLUID = f"fluid < {MOST_FLUID}"
HEADS = ("02", "04", "09", "13")
OUTLIER = "07"
TILTS_DEG = (37.0, 25.0, 0.0)
SEEDS = (1, 2, 3)
SHADING = 0.4
REAL = {
    "uMR 770, 1 mm": (
        "uih-t1-3d/t1_1mm.nii.gz",
        "uih-t1-3d/hippodeep_mask_{}.nii.gz",
        "uih-t1-3d/hippodeep_brain_mask.nii.gz",
    ),
    "example, 1.75 mm": (
        "hippodeep-example-t1/example_brain_t1.nii.gz",
        "hippodeep-example-t1/example_brain_t1_mask_{}.nii.gz",
        "hippodeep-example-t1/example_brain_t1_brain_mask.nii.gz",
    ),
}
NAMES = ("hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right")


def lines():
    """One row for each head, then the index, the real heads, what is hard, time and memory."""
    if not DATA.is_dir():
        yield "the labelled heads (shared/data beside the checkout) are not on this machine"
        return
    template = load_atlas_template()
    yield f"{'labelled head, shading 0.4':<28}{'Dice HL / HR / AL / AR':>30}{'volume inside':>15}"
    errors = {"all voxels": [], FEW_FLUID: []}
    for number in HEADS:
        head = _head(number)
        found = segment_with_atlas(_t1(head, number), head.grid, template)
        yield _labelled_row(number, head, found)
        for key, rows in _index_errors(head, found).items():
            errors[key] += rows
    for key, rows in errors.items():
        yield f"error of the index by the regions, {key}: {_spread(np.array(rows))}"
    for name, paths in REAL.items():
        yield _real_row(name, paths, template)
    yield from _hard_rows(template)
    yield _time_and_memory()


def _spread(errors):
    """Mean and 95th percentile of the size, where both have an index."""
    words = []
    for name, column in zip(Structure, np.abs(errors).T, strict=True):
        known = column[np.isfinite(column)]
        words.append(
            f"{name} {known.mean():.4f} / {np.quantile(known, 0.95):.4f} "
            f"({len(known)} of {len(column)} slices)"
        )
    return f"{', '.join(words)}  goal ≤ 0.008 / 0.020"


def _head(number):
    return labelled_head(DATA / f"synthseg-label-maps/training_seg_{number}.nii.gz")


def _t1(head, number):
    return t1_of(head, int(number), shading=SHADING)


def _labelled_row(name, head, found):
    truth = true_regions(head)
    overlap = [dice(region, truth[region.name]) for region in _ordered(found)]
    inside = np.count_nonzero((head.labels > 0) & (head.labels < OUTSIDE_FROM))
    error = found.intracranial_volume_mm3 / (inside * head.grid.voxel_volume_mm3) - 1.0
    text = " / ".join(f"{value:.2f}" for value in overlap)
    return f"{name:<28}{text:>30}{100.0 * error:>+13.1f} %  {_doubts(found)}"


def _ordered(found):
    regions = {region.name: region for region in found.regions}
    return [regions[name] for name in NAMES]


def _doubts(found):
    low = [name for name in NAMES if found.confidence[name].low]
    return f"low: {', '.join(low)}" if low else "none low"


def _index_errors(head, found):
    """Index by the atlas minus index by the labels, hippocampus and amygdala, for each slice."""
    centre = head.centre_mm((17, 53))
    head = head.near(centre, 70.0)
    truth = true_regions(head)
    regions = {region.name: region for region in found.regions}
    errors = {"all voxels": [], FEW_FLUID: []}
    for tilt in TILTS_DEG:
        target = temporal_slab(centre, tilt_deg=tilt)
        plain, lit, fluid = cest_slice(head, target)
        for key, used in (("all voxels", lit), (FEW_FLUID, lit & (fluid < MOST_FLUID))):
            for seed in SEEDS:
                percent = plain * variation(target, seed)
                errors[key].append(
                    [
                        index_of(percent, used, regions, structure, target)
                        - index_of(percent, used, truth, structure, target)
                        for structure in Structure
                    ]
                )
    return errors


def _real_row(name, paths, template):
    t1, masks, brain = paths
    values, grid = volume(DATA / t1)
    found = segment_with_atlas(values, grid, template)
    overlap = []
    for side, letter in ((Side.LEFT, "L"), (Side.RIGHT, "R")):
        mask, place = volume(DATA / masks.format(letter))
        source = RegionSource(form=RegionForm.LABEL_MAP, creation="automatic", identifier="file")
        truth = Region(
            structure=Structure.HIPPOCAMPUS,
            side=side,
            fraction=mask / 255.0,
            grid=place,
            source=source,
        )
        region = next(r for r in found.regions if r.name == truth.name)
        overlap.append(dice(region, truth))
    mask, place = volume(DATA / brain)
    inside = np.count_nonzero(mask) * place.voxel_volume_mm3
    error = 100.0 * (found.intracranial_volume_mm3 / inside - 1.0)
    return (
        f"real head {name}: hippocampus left {overlap[0]:.3f}, right {overlap[1]:.3f}  goal ≥ 0.72;"
        f" volume inside {error:+.1f} %  goal ≤ 6; {_doubts(found)}"
    )


def _hard_rows(template):
    outlier, plain = _head(OUTLIER), _head("04")
    after, wide = resected(plain), with_wide_ventricles(plain)
    cases = (
        (f"{OUTLIER}, half a label on the left", outlier, _t1(outlier, OUTLIER)),
        ("04 without skull", plain, stripped(plain, _t1(plain, "04"))),
        ("04, ventricles 5 mm wider", wide, _t1(wide, "04")),
        ("04, left lobe resected", after, _t1(after, "04")),
    )
    for name, head, t1 in cases:
        try:
            found = segment_with_atlas(t1, head.grid, template)
        except CestleError as refusal:
            yield f"{name:<28}refused: {refusal}"
        else:
            yield _labelled_row(name, head if head is not after else plain, found)


def _time_and_memory():
    """In a process of its own, so that nothing else counts."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        seconds, cpu, mebibytes = pool.apply(_measured)
    return (
        f"T1 of 160 × 231 × 257 to regions in the slice: {seconds:.1f} s ({cpu:.1f} s of one "
        f"core)  goal ≤ 45; peak memory {mebibytes:.0f} MiB  goal ≤ 1536"
    )


def _measured():
    values, grid = volume(DATA / REAL["uMR 770, 1 mm"][0])
    wall, cpu = time.perf_counter(), time.process_time()
    found = segment_with_atlas(values, grid, load_atlas_template())
    target = temporal_slab(np.mean([r.centroid_lps_mm for r in found.regions], axis=0), frame=FRAME)
    for region in found.regions:
        region_on_grid(region, target)
    return (
        time.perf_counter() - wall,
        time.process_time() - cpu,
        # not by `getrusage`, which counts what the parent held before it started this process
        largest_resident_mib(os.getpid()),
    )
