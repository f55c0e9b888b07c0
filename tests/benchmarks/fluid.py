"""What fluid in the voxels of a region does to the index of equal sides, on real anatomy.

The label maps of real adults are cut into slices of 11 mm, each tissue with one contrast on both
sides, without field errors and noise. Whatever is left of an index comes from partial volume. The
shares that decide which voxels count come from a T1 made of the labels, with noise and shading.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.slices import SEQUENCE, published
from cestle.anatomy.slab import slab_average
from cestle.anatomy.tissue_segmentation import segment_tissues
from cestle.phantom.spectra import mixed_signals
from cestle.phantom.tissues import with_contrast
from cestle.study.fluid import MOST_FLUID
from t1 import FLUID, GREY, WHITE, labelled_head, t1_of, temporal_slab

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "data" / "synthseg-label-maps"
HEADS = ("02", "04", "09", "13")
TILTS_DEG = (25.0, 0.0)
SIDES = {"hippocampus": (17, 53), "amygdala": (18, 54)}
TISSUES = (
    with_contrast(
        replace(published.GREY_MATTER, t1_s=1.45), 9.0, target_ppm=3.0, sequence=SEQUENCE
    ),
    published.WHITE_MATTER,
    published.CEREBROSPINAL_FLUID,
)


def lines():
    """Mean and largest size of the index, and what is kept of the regions."""
    if not FOLDER.is_dir():
        yield "the label maps (shared/data beside the checkout) are not on this machine"
        return
    rows = [row for number in HEADS for tilt in TILTS_DEG for row in _rows(number, tilt)]
    yield f"index of equal sides, {len(HEADS)} heads × {len(TILTS_DEG)} tilts: mean size, largest"
    yield f"{'':<14}{'all voxels':>18}{'fluid < ' + str(MOST_FLUID):>18}{'kept, mean / least':>22}"
    for structure in SIDES:
        plain, solid, kept = (
            np.array([row[key] for row in rows if row["structure"] == structure])
            for key in ("plain", "solid", "kept")
        )
        yield (
            f"{structure:<14}{np.mean(np.abs(plain)):>9.4f}{np.max(np.abs(plain)):>9.4f}"
            f"{np.mean(np.abs(solid)):>9.4f}{np.max(np.abs(solid)):>9.4f}"
            f"{np.mean(kept):>13.2f}{np.min(kept):>9.2f}"
        )


def _rows(number, tilt_deg):
    head = labelled_head(FOLDER / f"training_seg_{number}.nii.gz")
    centre = head.centre_mm(SIDES["hippocampus"])
    target, head = temporal_slab(centre, tilt_deg=tilt_deg), head.near(centre, 75.0)
    found = segment_tissues(t1_of(head, int(number)), head.grid, target)
    true = [slab_average(head.where(tissue), head.grid, target) for tissue in (GREY, WHITE, FLUID)]
    percent = _percent(true)
    inside = np.sum(true, axis=0) > 0.5
    for structure, numbers in SIDES.items():
        pair = [slab_average(head.where([one]), head.grid, target) * inside for one in numbers]
        solid = [weight * (found.fluid < MOST_FLUID) for weight in pair]
        yield {
            "structure": structure,
            "plain": _index(percent, pair),
            "solid": _index(percent, solid),
            "kept": min(part.sum() / whole.sum() for part, whole in zip(solid, pair, strict=True)),
        }


def _percent(shares):
    """Contrast of each voxel's mixture."""
    negative, positive = mixed_signals(
        list(zip(TISSUES, shares, strict=True)),
        offsets_ppm=np.array([-3.0, 3.0]),
        b0_shift_ppm=np.zeros(shares[0].shape),
        relative_b1=np.ones(shares[0].shape),
        sequence=SEQUENCE,
    )
    lit = negative > 0.0
    return np.where(lit, 100.0 * (negative - positive) / np.where(lit, negative, 1.0), 0.0)


def _index(percent, pair):
    left, right = (np.average(percent, weights=weight) for weight in pair)
    return (left - right) / (left + right)
