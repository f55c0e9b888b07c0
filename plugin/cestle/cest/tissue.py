"""Which tissue fills a voxel: shares when a segmentation is known, classes from the images else."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from cestle.cest.zspectrum import ZSpectrumSide
from cestle.errors import GeometryError
from cestle.physics import Bool, Real


class TissueClass(StrEnum):
    """The tissues that differ in saturation."""

    GREY = "grey"
    WHITE = "white"
    FLUID = "fluid"


@dataclass(frozen=True, kw_only=True, eq=False)
class TissueFractions:
    """Share of each tissue in each voxel of the CEST grid.

    Parameters
    ----------
    grey, white, fluid
        0…1, all of shape (slices, rows, columns); what is missing to 1 is none of them.
    """

    grey: Real
    white: Real
    fluid: Real

    def __post_init__(self) -> None:
        for tissue in TissueClass:
            share = np.array(self.of(tissue), dtype=np.float64)
            if share.shape != np.shape(self.grey):
                raise GeometryError(
                    f"the {tissue} share has shape {share.shape}, {np.shape(self.grey)} was "
                    "expected; give all tissues on the CEST grid."
                )
            if not (np.all(share >= 0.0) and np.all(share <= 1.0 + 1e-6)):
                raise GeometryError(
                    f"the {tissue} share leaves the range 0 to 1; give shares of voxels."
                )
            share.setflags(write=False)
            object.__setattr__(self, tissue.value, share)

    def of(self, tissue: TissueClass) -> Real:
        """Share of one tissue."""
        share: Real = getattr(self, tissue.value)
        return share


Classes = npt.NDArray[np.int8]
"""A class number for each voxel, −1 for none."""

BACKGROUND: int = -1

FLUID_SLOPE = 0.5
"""Share of the median relative slope below which a voxel is fluid: its spectrum is flat there."""

FOREGROUND_FRACTION = 0.05
"""Share of the brightest signal above which a voxel holds tissue."""


def classes_from_fractions(fractions: TissueFractions) -> Classes:
    """The tissue that fills most of each voxel, as its place in `TissueClass`.

    Parameters
    ----------
    fractions
        Shares of the tissues.

    Returns
    -------
        Shape of the shares; −1 where less than half of a voxel is any of them.
    """
    shares = np.stack([fractions.of(tissue) for tissue in TissueClass])
    classes: Classes = np.argmax(shares, axis=0).astype(np.int8)
    classes[shares.sum(axis=0) < 0.5] = BACKGROUND
    return classes


def classes_from_images(negative: ZSpectrumSide, positive: ZSpectrumSide) -> Classes:
    """Solid tissue (0) and fluid (1), told apart by the slope of the spectrum.

    Without macromolecules the water line is so narrow that the spectrum of fluid is nearly flat
    at 3 ppm. The slope relative to the signal is free of coil sensitivity, and the mean of both
    sides is free of B0 to first order. Grey and white matter are not told apart: their
    curvatures differ less than those of the two sides of water.

    Parameters
    ----------
    negative, positive
        The two sides of water.

    Returns
    -------
        Shape (slices, rows, columns); −1 in the background.
    """
    bright = negative.signal.mean(axis=0)
    lit = bright > FOREGROUND_FRACTION * np.percentile(bright, 99.0)
    classes: Classes = np.full(bright.shape, BACKGROUND, dtype=np.int8)
    if not lit.any():
        return classes
    slope = 0.5 * (_relative_slope(negative, lit) + _relative_slope(positive, lit))
    classes[lit] = slope < FLUID_SLOPE * np.median(slope)
    return classes


def _relative_slope(side: ZSpectrumSide, lit: Bool) -> Real:
    """(S_outer − S_inner)/mean of the voxels in `lit`, shape (n,)."""
    chosen = side.signal[:, lit]
    level = np.maximum(chosen.mean(axis=0), np.finfo(np.float64).tiny)
    slope: Real = (chosen[-1] - chosen[0]) / level
    return slope
