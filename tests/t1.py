"""T1-weighted heads for tests: made from label maps, and read from files."""

from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter

from cestle.geometry import Grid

FRAME = "1.2.826.0.1.3680043.8.498.1"
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

GREY = (3, 42, 8, 47, 10, 11, 12, 13, 49, 50, 51, 52, 17, 53, 18, 54, 26, 58)
WHITE = (2, 41, 7, 46, 16, 28, 60, 77, 85)
FLUID = (4, 5, 14, 15, 24, 43, 44)
# Bone is dark, its marrow, skin and muscle are not; numbers of the label maps' own scheme.
OUTSIDE = {515: 0.08, 516: 0.6, 507: 0.55, 511: 0.8, 514: 0.5, 512: 0.5, 530: 0.5, 506: 0.2,
           508: 0.7, 502: 0.0, 509: 0.7}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class LabelledHead:
    """A head of known tissues."""

    labels: np.ndarray
    grid: Grid

    def near(self, centre_mm, reach_mm):
        """The part of the head within some height of a place."""
        affine = self.grid.affine
        axis = int(np.argmax(np.abs(affine[2, :3])))
        index = self.grid.to_index(np.array(centre_mm))[axis]
        reach = reach_mm / abs(affine[2, axis])
        first = max(0, int(index - reach))
        part = np.take(
            self.labels, np.arange(first, min(self.labels.shape[axis], int(index + reach))), axis
        )
        moved = affine.copy()
        moved[:3, 3] += first * affine[:3, axis]
        return LabelledHead(labels=part, grid=replace(self.grid, shape=part.shape, affine=moved))

    def where(self, numbers):
        """1 where a label is among `numbers`."""
        return np.isin(self.labels, numbers).astype(float)

    def centre_mm(self, numbers):
        """Mean place of some labels in LPS."""
        return self.grid.to_lps(np.argwhere(np.isin(self.labels, numbers)).astype(float)).mean(0)


def volume(path):
    """Values and LPS grid of a NIfTI file."""
    image = nib.load(path)
    values = np.asanyarray(image.dataobj)
    affine = RAS_TO_LPS @ image.affine
    return values, Grid(
        shape=values.shape,
        affine=affine,
        frame_of_reference_uid=FRAME,
        slice_thickness_mm=float(np.linalg.norm(affine[:3, 0])),
    )


def labelled_head(path):
    """A label map."""
    labels, grid = volume(path)
    return LabelledHead(labels=labels.astype(int), grid=grid)


def t1_of(head, seed, *, noise=0.03, shading=0.3, contrast=(0.3, 0.72)):
    """A T1 with fluid and grey at shares of white matter, shading, blur and Rician noise."""
    generator = np.random.default_rng(seed)
    brightness = np.zeros(int(head.labels.max()) + 1)
    for numbers, level in ((FLUID, contrast[0]), (GREY, contrast[1]), (WHITE, 1.0)):
        brightness[list(numbers)] = level
    for number, level in OUTSIDE.items():
        if number < len(brightness):
            brightness[number] = level
    image = gaussian_filter(brightness[head.labels], 0.6)
    axes = [np.linspace(-1.0, 1.0, size) for size in image.shape]
    waves = np.zeros(image.shape)
    for _ in range(3):
        a, b, c = generator.normal(scale=1.5, size=3)
        phase = generator.uniform(0.0, 2.0 * np.pi)
        waves += np.cos(a * axes[0][:, None, None] + b * axes[1][:, None] + c * axes[2] + phase)
    low, high = np.percentile(waves[head.where(GREY + WHITE) > 0.0], [1.0, 99.0])
    image = 800.0 * image * (1.0 - shading * (waves - low) / (high - low))
    first, second = 800.0 * noise * generator.standard_normal((2, *image.shape), dtype=np.float32)
    return np.hypot(image + first, second)


def temporal_slab(centre_mm, *, tilt_deg=25.0, frame=FRAME):
    """A CEST grid of 128 × 128 voxels of 1.72 mm, 11 mm thick, its back edge higher by the tilt."""
    tilt = np.radians(tilt_deg)
    column, row = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), np.sin(tilt)])
    affine = np.eye(4)
    affine[:3, 0] = 11.0 * np.cross(column, row)
    affine[:3, 1], affine[:3, 2] = 1.71875 * row, 1.71875 * column
    affine[:3, 3] = np.array(centre_mm) - 63.5 * (affine[:3, 1] + affine[:3, 2])
    return Grid(
        shape=(1, 128, 128), affine=affine, frame_of_reference_uid=frame, slice_thickness_mm=11.0
    )
