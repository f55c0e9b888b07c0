"""The images a GluCEST map is made from, and the map."""

from dataclasses import dataclass

import numpy as np

from cestle.errors import GeometryError, ProtocolError
from cestle.geometry import Grid
from cestle.physics import Bool, Real


def frozen(array: Real, shape: tuple[int, ...], name: str) -> Real:
    """Copy `array` as read-only float64 after checking that it has `shape`.

    A frozen dataclass alone does not protect the pixels of an array that it holds.
    """
    copied = np.array(array, dtype=np.float64)
    if copied.shape != shape:
        raise GeometryError(f"{name} has shape {copied.shape}, {shape} was expected.")
    copied.setflags(write=False)
    return copied


@dataclass(frozen=True, kw_only=True, eq=False)
class SaturationImages:
    """Water images after saturation at several offsets.

    Parameters
    ----------
    signal
        Shape (offsets, slices, rows, columns) [a.u., one scale for all].
    offsets_ppm
        Saturation offset of each image relative to the transmitter, + downfield, repeats kept
        apart, shape (offsets,) [ppm].
    grid
        Place of the voxels.
    f0_mhz
        Transmitter frequency from the header [MHz].
    clipped_share
        Share of the voxels with signal that stand at the largest number which the file can hold,
        of the image that has most of them; None where the file has no such number.
    """

    signal: Real
    offsets_ppm: Real
    grid: Grid
    f0_mhz: float
    clipped_share: float | None = None

    def __post_init__(self) -> None:
        count = len(self.offsets_ppm)
        if count < 2:
            raise ProtocolError(
                f"{count} saturation image(s) found, at least one at each side of water was "
                "expected; send the whole CEST series."
            )
        object.__setattr__(self, "offsets_ppm", frozen(self.offsets_ppm, (count,), "offsets_ppm"))
        object.__setattr__(self, "signal", frozen(self.signal, (count, *self.grid.shape), "signal"))


@dataclass(frozen=True, kw_only=True, eq=False)
class FieldMaps:
    """B0 and B1 on the grid of the saturation images.

    Parameters
    ----------
    b0_shift_ppm
        Frequency of the voxel's own water minus the transmitter's, NaN where unknown, shape
        (slices, rows, columns) [ppm].
    relative_b1
        Actual over nominal B1, 1 = nominal, NaN where unknown, same shape; None when no B1 map
        was sent.
    grid
        Place of the voxels.
    """

    b0_shift_ppm: Real
    relative_b1: Real | None
    grid: Grid

    def __post_init__(self) -> None:
        shape = self.grid.shape
        object.__setattr__(self, "b0_shift_ppm", frozen(self.b0_shift_ppm, shape, "b0_shift_ppm"))
        if self.relative_b1 is not None:
            object.__setattr__(self, "relative_b1", frozen(self.relative_b1, shape, "relative_b1"))


@dataclass(frozen=True, kw_only=True, eq=False)
class GluCestMap:
    """GluCEST contrast with what is known about each voxel.

    Parameters
    ----------
    percent
        Contrast, NaN where not `valid`, shape (slices, rows, columns) [%].
    standard_error
        Standard error from image noise, same shape, NaN where unknown [percentage points].
    valid
        Voxels that passed all masks, same shape.
    grid
        Place of the voxels.
    reference
        S(−3 ppm) from the voxel's own water, the denominator of the contrast, same shape [a.u.];
        None for a map that others made.
    """

    percent: Real
    standard_error: Real
    valid: Bool
    grid: Grid
    reference: Real | None = None

    def __post_init__(self) -> None:
        shape = self.grid.shape
        object.__setattr__(self, "percent", frozen(self.percent, shape, "percent"))
        error = frozen(self.standard_error, shape, "standard_error")
        object.__setattr__(self, "standard_error", error)
        if self.reference is not None:
            reference = frozen(self.reference, shape, "reference")
            object.__setattr__(self, "reference", reference)
        valid = np.array(self.valid, dtype=np.bool_)
        if valid.shape != shape:
            raise GeometryError(f"valid has shape {valid.shape}, {shape} was expected.")
        valid.setflags(write=False)
        object.__setattr__(self, "valid", valid)
