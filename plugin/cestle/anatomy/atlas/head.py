"""From a stored T1 to a head that can be aligned: checked, in the patient's order, unshaded."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import binary_fill_holes, map_coordinates

from cestle.anatomy.atlas.volume import (
    Single,
    Volume,
    bounds_mm,
    from_image,
    in_blocks,
    patient_ordered,
    sampled,
    widened,
)
from cestle.anatomy.brain_mask import brain_mask
from cestle.errors import InputError, NumericalError
from cestle.geometry import Grid
from cestle.physics import Bool, Real

MOST_SPACING_MM: Final = 2.0
"""Voxels above this size do not resolve an amygdala."""
LEAST_EXTENT_MM: Final = 80.0
"""Least size of the field of view along each axis."""
LEAST_BRAIN_ML: Final = 600.0
COARSE_MM: Final = 2.0
_LIT: Final = 0.1
_SKULL_MM: Final = 8.0
_STRIPPED: Final = 0.1
"""Share of the image farther than a skull from the brain, below which there is no skull."""
_FIELD_MM: Final = 5.0
_FIELD_STEPS: Final = (20, 20, 20)


@dataclass(frozen=True, kw_only=True, eq=False)
class ShadingField:
    """The smooth factor of the coils.

    Parameters
    ----------
    logarithm
        Of the factor, on a coarse grid.
    """

    logarithm: Volume

    def removed_from(self, volume: Volume) -> Volume:
        """The volume as an even coil would show it."""
        index = self.logarithm.index(volume.points_mm)
        field = map_coordinates(self.logarithm.values, index, order=1, mode="nearest")
        return volume.with_values(volume.values / np.exp(field))


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """A T1 of about 1 mm in the patient's order.

    Parameters
    ----------
    values, grid
        The volume; axes run to the head, to the back and to the left.
    """

    values: Single
    grid: Grid

    def box(self, box_mm: tuple[Real, Real], step_mm: float, *, order: int = 1) -> Volume:
        """The T1 on a grid along LPS."""
        return sampled(self.values, self.grid, box_mm, step_mm, order=order)

    def whole(self, step_mm: float) -> Volume:
        """All of it on a grid along LPS."""
        return self.box(bounds_mm(self.grid), step_mm)

    def covers(self, lps_mm: Real) -> Bool:
        """Which positions lie in the field of view, shape (...)."""
        index = self.grid.to_index(lps_mm)
        last = np.array(self.grid.shape) - 1.0
        inside: Bool = np.all((index >= -0.5) & (index <= last + 0.5), axis=-1)
        return inside


def checked_head(values: npt.NDArray[np.generic], grid: Grid) -> Head:
    """The T1 as the atlas works on it.

    Raises
    ------
    InputError
        When it is no finite 3D volume of fine voxels that is as large as a head.
    """
    if values.shape != grid.shape:
        raise InputError(
            f"the T1 has shape {values.shape} and its grid {grid.shape}; they must agree."
        )
    extent = np.array(grid.shape) * np.array(grid.spacing_mm)
    if min(grid.shape) == 1:
        raise InputError(
            "the T1 is a single slice, a 3D volume was expected; send the 3D T1 of the session."
        )
    if max(grid.spacing_mm) > MOST_SPACING_MM:
        raise InputError(
            f"the voxels of the T1 measure up to {max(grid.spacing_mm):.1f} mm, at most "
            f"{MOST_SPACING_MM:g} mm were expected; send the 3D T1 of the session."
        )
    if extent.min() < LEAST_EXTENT_MM:
        raise InputError(
            f"the T1 shows only {extent.min():.0f} mm of the head in one direction, at least "
            f"{LEAST_EXTENT_MM:g} mm were expected; send a T1 of the whole head."
        )
    bad = values.size - int(np.count_nonzero(np.isfinite(values)))
    if bad:
        raise InputError(
            f"{bad} voxels of the T1 are not finite numbers; export the T1 again from the scanner."
        )
    if float(values.max()) <= float(values.min()):
        raise InputError("the T1 has one brightness everywhere; send a T1 of the whole head.")
    turned, place = patient_ordered(values, grid)
    fine, place = in_blocks(turned, place)
    return Head(values=fine, grid=place)


def first_brain(coarse: Volume) -> Bool:
    """A first guess where the brain is, with or without a skull around it.

    Raises
    ------
    NumericalError
        When there is none, or less than a child has.
    """
    step = coarse.step_mm
    brain = brain_mask(coarse.values.astype(np.float64), (step, step, step))
    lit = coarse.values > _LIT * np.percentile(coarse.values[brain], 99.0)
    beyond = lit & ~widened(coarse, brain, _SKULL_MM)
    if np.count_nonzero(beyond) < _STRIPPED * np.count_nonzero(lit):
        # the skull is gone already, and what was taken for scalp is the surface of the brain
        brain = binary_fill_holes(lit | brain)
    millilitres = float(np.count_nonzero(brain)) * step**3 / 1000.0
    if millilitres < LEAST_BRAIN_ML:
        raise NumericalError(
            f"the T1 shows {millilitres:.0f} ml of brain, at least {LEAST_BRAIN_ML:g} ml were "
            "expected; send a T1 of the whole head"
        )
    return brain


def shading_field(coarse: Volume, brain: Bool) -> ShadingField:
    """The shading of the coils, found in the brain."""
    thin = coarse.on_step(_FIELD_MM)
    inside = coarse.with_values(brain).on_step(_FIELD_MM).values > 0.5
    correction = sitk.N4BiasFieldCorrectionImageFilter()
    correction.SetNumberOfThreads(1)
    correction.SetMaximumNumberOfIterations(_FIELD_STEPS)
    # N4 takes logarithms, so nothing may be dark to nothing
    floor = 1e-3 * float(np.percentile(thin.values, 99.0))
    image = thin.with_values(np.maximum(thin.values, floor)).image()
    mask = sitk.Cast(thin.with_values(inside).image(), sitk.sitkUInt8)
    correction.Execute(image, mask)
    field = from_image(correction.GetLogBiasFieldAsImage(image), thin)
    level = float(field.values[inside].mean())
    return ShadingField(logarithm=field.with_values(field.values - level))
