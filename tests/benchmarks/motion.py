"""Registration on the phantom: error of the indices with and without motion, and of the shifts."""

import time

import numpy as np

from benchmarks.coverage import REGIONS, index_errors, rician
from cestle.cest.images import SaturationImages
from cestle.cest.registration import register
from cestle.geometry import Grid
from cestle.phantom.motion import random_motion
from cestle.phantom.study import SimulationSettings, simulate

SEEDS = range(1, 9)
DRAWS = 2
RMS_MM = RMS_DEG = 0.25
SNR = 60.0


def lines():
    """Mean absolute errors over field seeds, motions and noise draws."""
    errors, shifts = {}, []
    for seed in SEEDS:
        motion = random_motion(seed, images=8, rms_mm=RMS_MM, rms_deg=RMS_DEG)
        asked = SimulationSettings(
            seed=seed,
            snr=None,
            b1_spread=0.0,
            t1_mm=4.0,
            dai_hippocampus=0.02 * (seed % 5 - 2),
            dai_amygdala=0.02 * (seed % 3 - 1),
        )
        rest, moved = simulate(asked), simulate(asked, motion=motion)
        for draw in range(DRAWS):
            for name, study in (("at rest", rest), ("moved", moved)):
                images = rician(study, reference=rest, snr=SNR, draw=draw)
                found = register(images)
                errors.setdefault(f"{name}, as acquired", []).append(index_errors(images, rest))
                errors.setdefault(f"{name}, registered", []).append(
                    index_errors(found.images, rest)
                )
                if name == "moved":
                    shifts.append(_shift_errors(found.displacement, motion))
    yield (
        f"SNR {SNR:g}, motion {RMS_MM} mm and {RMS_DEG}° rms per axis, {len(SEEDS)} seeds × "
        f"{DRAWS} draws; default B0 method; goal moved and registered ≤ 0.020 / 0.015"
    )
    yield f"{'mean absolute DAI error':<28}{'hippocampus':>12}{'amygdala':>12}"
    for name, rows in errors.items():
        mean = np.abs(rows).mean(axis=0)
        yield f"{name:<28}{mean[0]:>12.4f}{mean[1]:>12.4f}"
    rms = np.sqrt(np.mean(np.square(shifts), axis=(0, 2)))
    yield f"rms error of rows {rms[0]:.3f} mm, columns {rms[1]:.3f} mm, rotation {rms[2]:.3f}°"
    one = rician(moved, reference=rest, snr=SNR, draw=0)
    yield f"one slice 128×128×8: {_seconds(one):.2f} s  goal ≤ 0.7 s"
    yield f"40 slices 128×128×8: {_seconds(_stack(one, 40)):.1f} s  goal ≤ 15 s"
    yield f"regions: {', '.join(REGIONS)}"


def _shift_errors(found, motion):
    names = ("row_mm", "column_mm", "rotation_deg")
    errors = [getattr(found, name) - getattr(motion, name) for name in names]
    return [error - error.mean() for error in errors]


def _stack(images, slices):
    grid = images.grid
    return SaturationImages(
        signal=np.repeat(images.signal, slices, axis=1),
        offsets_ppm=images.offsets_ppm,
        grid=Grid(
            shape=(slices, *grid.shape[1:]),
            affine=grid.affine,
            frame_of_reference_uid="",
            slice_thickness_mm=grid.slice_thickness_mm,
        ),
        f0_mhz=images.f0_mhz,
    )


def _seconds(images):
    begin = time.perf_counter()
    register(images)
    return time.perf_counter() - begin
