"""From the T1 to the 11 mm slice: shares, registration, and what stands for a region.

Label maps of real adults give the anatomy. Shares are held against an ellipsoid that is known
exactly. For the registration the T1 and a slab of another contrast, with shading and noise, are
made of the labels, and the T1 states the place of the head before a known motion. The estimators
see a map in which each substance has one contrast, by the shares of the labels.
"""

import time
from pathlib import Path

import numpy as np

from cestle.anatomy.region_statistics import region_statistics
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.anatomy.rigid_motion import RigidMotion
from cestle.anatomy.sampling import RegionEstimator
from cestle.anatomy.slab import region_on_grid, slab_average
from cestle.anatomy.slab_registration import Placement, register_to_slices
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from ellipsoid import Ellipsoid
from t1 import FLUID, FRAME, GREY, OUTSIDE, WHITE, labelled_head, t1_of, temporal_slab

FOLDER = Path(__file__).parents[2] / ".." / "shared" / "data" / "synthseg-label-maps"
HEADS = ("02", "04", "09", "13")
TILTS_DEG = (25.0, -15.0)
REGIONS = {
    "hippocampus_left": 17,
    "hippocampus_right": 53,
    "amygdala_left": 18,
    "amygdala_right": 54,
}
SATURATED = ((FLUID, 1.4), (GREY, 0.5), (WHITE, 0.38))
CONTRAST = np.array([7.0, 4.5, 0.3])
SIGNAL = np.array([1.0, 0.8, 3.0])
STATES = (
    ("3 mm, 3 degrees", 3.0, 60.0, 0.25),
    ("the same, shading 40 %, SNR 30", 3.0, 30.0, 0.4),
    ("1 mm, 1 degree", 1.0, 60.0, 0.25),
    ("at rest", 0.0, 60.0, 0.25),
)
ESTIMATORS = (RegionEstimator.MEAN, RegionEstimator.THRESHOLD, RegionEstimator.REGRESSION)
DRAWS = 20


def lines():
    """Errors of each step."""
    yield from _share_lines()
    if not FOLDER.is_dir():
        yield "the label maps (shared/data beside the checkout) are not on this machine"
        return
    heads = [_head(number) for number in HEADS]
    yield from _registration_lines(heads)
    yield from _estimator_lines(heads)


def _head(number):
    """A head, its T1, and the middle between its hippocampi."""
    whole = labelled_head(FOLDER / f"training_seg_{number}.nii.gz")
    centre = whole.centre_mm((17, 53))
    part = whole.near(centre, 60.0)
    return part, t1_of(part, int(number)), centre


def _share_lines():
    """An ellipsoid of the size of a hippocampus, drawn on 1 mm, in tilted slabs."""
    source = Grid(
        shape=(40, 80, 50),
        affine=np.array(
            [[0, 0, 1, -24.5], [0, 1, 0, -39.5], [1, 0, 0, -19.5], [0, 0, 0, 1]], float
        ),
        frame_of_reference_uid=FRAME,
        slice_thickness_mm=1.0,
    )
    random = np.random.default_rng(7)
    worst, volumes = {}, {}
    for _ in range(24):
        body = Ellipsoid(centre_mm=random.uniform(-0.5, 0.5, 3))
        target = temporal_slab(random.uniform(-1.0, 1.0, 3), tilt_deg=random.uniform(-37.0, 37.0))
        true = body.share_of_slab(target)
        for kind, points in (("of parts of voxels", 4), ("of whole voxels", 1)):
            region = Region(
                structure=Structure.HIPPOCAMPUS,
                side=Side.LEFT,
                fraction=body.share_of_voxels(source, points),
                grid=source,
                source=RegionSource(
                    form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3"
                ),
            )
            found = region_on_grid(region, target).fraction
            worst.setdefault(kind, []).append(np.max(np.abs(found - true)))
            volumes.setdefault(kind, []).append(abs(found.sum() / true.sum() - 1.0))
    for kind in worst:
        yield (
            f"share of a voxel in an ellipsoid {kind}: largest error {max(worst[kind]):.4f}, "
            f"mean of the largest {np.mean(worst[kind]):.4f}; volume in the slab "
            f"{100 * max(volumes[kind]):.2f} %"
        )


def _registration_lines(heads):
    yield "registration, error at the hippocampi [mm]: headers, found mean / largest; moved; time"
    for name, size, snr, shading in STATES:
        rows = [
            _registered(head, tilt, seed, size, snr, shading)
            for seed, head in enumerate(heads)
            for tilt in TILTS_DEG
        ]
        stated, found, used, moved, seconds = np.array(rows, dtype=float).T
        yield (
            f"  {name:<32}{stated.mean():>6.2f}{found.mean():>7.2f}{found.max():>6.2f}"
            f"{moved.sum():>5.0f} of {len(rows)}{seconds.mean():>6.1f} s; worse than headers by "
            f"{max(0.0, (used - stated).max()):.2f}"
        )


def _registered(head, tilt, seed, size, snr, shading):
    part, t1, centre = head
    grid = temporal_slab(centre, tilt_deg=tilt)
    random = np.random.default_rng([seed, int(10 * size)])
    motion = RigidMotion.about(
        centre,
        shift_mm=random.uniform(-size, size, 3),
        rotation_deg=random.uniform(-size, size, 3),
    )
    places = part.grid.to_lps(np.argwhere(np.isin(part.labels, (17, 53)))[::20].astype(float))
    stated = motion.inverse().move(places)
    image = _saturated(part, grid, random, snr, shading)
    begin = time.perf_counter()
    found = register_to_slices(t1, motion.inverse().move_grid(part.grid), image, grid)
    seconds = time.perf_counter() - begin
    errors = (
        _rms(stated - places),
        _rms(found.motion.move(stated) - places),
        _rms(found.used.move(stated) - places),
    )
    return *errors, found.placement is Placement.CORRECTED, seconds


def _rms(vectors):
    return float(np.sqrt(np.mean(np.sum(vectors**2, axis=1))))


def _saturated(part, grid, random, snr, shading):
    brightness = np.zeros(int(part.labels.max()) + 1)
    for numbers, level in SATURATED:
        brightness[list(numbers)] = level
    for number, level in OUTSIDE.items():
        if number < len(brightness):
            brightness[number] = 0.45 * level
    image = slab_average(brightness[part.labels], part.grid, grid)
    y, x = np.indices(grid.shape[1:]) / 127.0 - 0.5
    a = random.normal(size=5)
    field = a[0] * x + a[1] * y + 2.0 * (a[2] * x * x + a[3] * y * y + a[4] * x * y)
    image = image * (1.0 - shading * (field - field.min()) / np.ptp(field))
    noise = random.normal(scale=0.5 / snr, size=(2, *image.shape))
    return np.hypot(image + noise[0], noise[1])


def _estimator_lines(heads):
    rows = {}
    for number, head in enumerate(heads):
        for tilt in TILTS_DEG:
            for key, values in _estimated(head, tilt, number):
                rows.setdefault(key, []).append(values)
    yield "estimators: SD of the index of equal sides, slope, SD by 0.8 pp of noise, slices"
    for (structure, estimator), values in rows.items():
        null, slope, noise = np.array(values).T
        yield (
            f"  {structure:<13}{estimator:<15}{np.sqrt(np.mean(null**2)):>8.4f}{slope.mean():>7.2f}"
            f"{np.sqrt(np.mean(noise**2)):>9.4f}{len(values):>4} of {len(heads) * len(TILTS_DEG)}"
        )


def _estimated(head, tilt, number):
    part, _, centre = head
    grid = temporal_slab(centre, tilt_deg=tilt)
    regions = {
        name: slab_average(part.where([label]), part.grid, grid) for name, label in REGIONS.items()
    }
    tissue = np.stack(
        [slab_average(part.where(kind), part.grid, grid) for kind in (GREY, WHITE, FLUID)]
    )
    # voxels full of fluid do not count in a region, as in the analysis
    kept = {name: np.where(tissue[2] < 0.1, share, 0.0) for name, share in regions.items()}
    random = np.random.default_rng(number)
    maps = {index: _map(regions, tissue, index) for index in (0.0, 0.1)}
    reference = maps[0.0][1]
    for structure in ("hippocampus", "amygdala"):
        for estimator in ESTIMATORS:
            null = _index(maps[0.0][0], kept, tissue, reference, structure, estimator)
            far = _index(maps[0.1][0], kept, tissue, reference, structure, estimator)
            if null is None or far is None:
                continue
            noisy = [
                _index(
                    maps[0.0][0] + random.normal(0.0, 0.8, grid.shape),
                    kept, tissue, reference, structure, estimator,
                )
                for _ in range(DRAWS)
            ]  # fmt: skip
            yield (structure, str(estimator)), (null, (far - null) / 0.1, np.std(noisy))


def _map(regions, tissue, index):
    """The map whose regions have 8 % with an index, and its denominator."""
    own = np.array([8.0 * (1.0 + index), 8.0 * (1.0 - index)] * 2)
    rest = tissue.copy()
    rest[0] = np.clip(rest[0] - sum(regions.values()), 0.0, None)
    parts = np.concatenate([np.stack(list(regions.values())), rest])
    signal = np.concatenate([np.ones(4), SIGNAL])
    reference = np.tensordot(signal, parts, 1)
    contrast = np.concatenate([own, CONTRAST])
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(np.tensordot(signal * contrast, parts, 1) / reference), reference


def _index(values, regions, tissue, reference, structure, estimator):
    found, _ = region_statistics(
        values,
        None,
        reference > 0.0,
        regions,
        estimator=estimator,
        reference=reference,
        tissue=tissue,
    )
    pair = [found.get(f"{structure}_{side}") for side in ("left", "right")]
    if None in pair:
        return None
    left, right = (one.value for one in pair)
    return (left - right) / (left + right)
