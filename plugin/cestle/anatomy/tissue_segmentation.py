"""Fluid, grey and white matter in the voxels of a thick slice, from the T1 of the same session.

All grids lie along the axes of the target, so that its voxels are whole numbers of fine ones and
the result does not depend on how the T1 is stored. What cannot be told with confidence is refused
with the reason: wrong shares would bend the B1 correction without showing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.ndimage import affine_transform, distance_transform_edt

from cestle.anatomy.brain_mask import brain_mask
from cestle.anatomy.shading import Single
from cestle.anatomy.slab import require_same_frame
from cestle.anatomy.tissue_mixture import (
    FLUID,
    FLUID_RANGE,
    GREY,
    GREY_RANGE,
    WHITE,
    TissueMixture,
    tissue_shares,
)
from cestle.errors import NumericalError
from cestle.geometry import Grid, in_patient_order
from cestle.physics import Bool, Real

_FINE_MM: Final = 1.0
_FINE_MARGIN_MM: Final = 4.0
_COARSE_MM: Final = 2.0
_COARSE_MARGIN_MM: Final = 20.0
_COVERED: Final = 0.99
"""Share of a target voxel that the T1 must cover."""

LEAST_SEPARATION: Final = 2.2
"""Least distance of neighbouring tissues over their spread; below, shares err by more than 0.1."""
LEAST_BRAIN_CM2: Final = 30.0
"""Least mean cross-section of the brain in the slices."""
_RIM_MM: Final = 6.0
_AMOUNTS: Final = {
    "fluid": (FLUID, 0.01, 0.5),
    "grey matter": (GREY, 0.2, 0.85),
    "white matter": (WHITE, 0.1, 0.7),
}
"""Least and largest share of the brain in the slices."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TissueSegmentation:
    """Shares of the voxels of the target.

    Parameters
    ----------
    grey, white, fluid
        0…1, shape of the target; what is missing to 1 lies outside the brain or is a vessel.
        All 0 where the T1 does not reach.
    separation
        Distance over spread of fluid and grey matter, and of grey and white matter.
    """

    grey: Real
    white: Real
    fluid: Real
    separation: tuple[float, float]


def segment_tissues(values: Real, source: Grid, target: Grid) -> TissueSegmentation:
    """Shares of fluid, grey and white matter in each voxel of the target.

    Parameters
    ----------
    values
        T1-weighted volume with the skull on, shape of `source` [a.u.]; it need not hold more of
        the head than 2 cm on either side of the slices.
    source, target
        The grids; the box of a target voxel is its in-plane cell times the slice thickness.

    Raises
    ------
    GeometryError
        When the grids state different frames of reference.
    NumericalError
        When no brain is found in the slices or its tissues cannot be told apart.
    """
    require_same_frame(source, target, name="the T1")
    target, order = in_patient_order(target)
    fine = _aligned(target, _fine_steps(target), _FINE_MARGIN_MM)
    brightness, covered = _sampled(values, source, fine)
    brain = _brain(values, source, target, fine) & covered
    slabs = _slab_shares(fine, target)
    _require_brain(brain, slabs, fine)
    mixture, shares = tissue_shares(brightness, brain, fine.spacing_mm)
    _require_separation(mixture)
    _require_anatomy(shares, brain, slabs, fine)
    known = _averages(covered.astype(np.float32), slabs, target) > _COVERED
    found = [
        order.stored(np.clip(_averages(share, slabs, target) * known, 0.0, 1.0)) for share in shares
    ]
    return TissueSegmentation(
        grey=found[GREY],
        white=found[WHITE],
        fluid=found[FLUID],
        separation=(mixture.separation(FLUID, GREY), mixture.separation(GREY, WHITE)),
    )


def _fine_steps(target: Grid) -> Real:
    """Steps of about a millimetre that divide the thickness and the cell of a target voxel."""
    extent = np.array([target.slice_thickness_mm, *target.spacing_mm[1:]])
    steps: Real = extent / np.maximum(1.0, np.ceil(extent / _FINE_MM - 0.1))
    return steps


def _aligned(target: Grid, steps_mm: Real, margin_mm: float) -> Grid:
    """A grid along the axes of `target` that holds all its voxels and a margin above and below."""
    distance, row_mm, column_mm = target.spacing_mm
    thickness = distance * (target.shape[0] - 1) + target.slice_thickness_mm
    margins = 2 * np.ceil(margin_mm / steps_mm[0]) * steps_mm[0]
    extent = np.array([thickness + margins, row_mm * target.shape[1], column_mm * target.shape[2]])
    counts = np.ceil(extent / steps_mm - 1e-6).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = target.affine[:3, :3] / np.array(target.spacing_mm) * steps_mm
    centre = target.to_lps((np.array(target.shape) - 1.0) / 2.0)
    affine[:3, 3] = centre - affine[:3, :3] @ ((counts - 1) / 2.0)
    return Grid(
        shape=(int(counts[0]), int(counts[1]), int(counts[2])),
        affine=affine,
        frame_of_reference_uid=target.frame_of_reference_uid,
        slice_thickness_mm=float(steps_mm[0]),
    )


def _sampled(values: Real, source: Grid, fine: Grid) -> tuple[Single, Bool]:
    """A volume on another grid, linear between its voxels, and which of them it covers."""
    to_source = np.linalg.inv(source.affine) @ fine.affine
    sampled = affine_transform(
        values,
        to_source[:3, :3],
        to_source[:3, 3],
        output_shape=fine.shape,
        output=np.float32,
        order=1,
        cval=np.nan,
    )
    covered: Bool = np.isfinite(sampled)
    return np.where(covered, sampled, np.float32(0.0)), covered


def _brain(values: Real, source: Grid, target: Grid, fine: Grid) -> Bool:
    """The brain on the fine grid, found on a coarse and thicker one."""
    coarse = _aligned(target, np.full(3, _COARSE_MM), _COARSE_MARGIN_MM)
    brightness, _ = _sampled(values, source, coarse)
    mask = brain_mask(brightness.astype(np.float64), coarse.spacing_mm)
    share, _ = _sampled(mask.astype(np.float32), coarse, fine)
    brain: Bool = share > 0.5
    return brain


def _slab_shares(fine: Grid, target: Grid) -> Real:
    """Share of each target slice that lies in each fine plane, shape (slices, planes)."""
    step, distance = fine.spacing_mm[0], target.spacing_mm[0]
    planes = step * (np.arange(fine.shape[0]) - 0.5 * (fine.shape[0] - 1))
    slices = distance * (np.arange(target.shape[0]) - 0.5 * (target.shape[0] - 1))
    half, reach = 0.5 * target.slice_thickness_mm, 0.5 * step
    top = np.minimum(planes + reach, slices[:, None] + half)
    bottom = np.maximum(planes - reach, slices[:, None] - half)
    shares: Real = np.maximum(top - bottom, 0.0) / target.slice_thickness_mm
    return shares


def _averages(values: Single, slabs: Real, target: Grid) -> Real:
    """Mean over the box of each target voxel."""
    _, rows, columns = target.shape
    _, fine_rows, fine_columns = values.shape
    cells = values.reshape(
        len(values), rows, fine_rows // rows, columns, fine_columns // columns
    ).mean(axis=(2, 4))
    averages: Real = np.einsum("sp,prc->src", slabs, cells.astype(np.float64))
    return averages


def _require_brain(brain: Bool, slabs: Real, fine: Grid) -> None:
    _, row_mm, column_mm = fine.spacing_mm
    sections = np.count_nonzero(brain, axis=(1, 2)) * (row_mm * column_mm / 100.0)
    largest = float((slabs @ sections).max())
    if largest < LEAST_BRAIN_CM2:
        raise NumericalError(
            f"the T1 shows {largest:.0f} cm² of brain in the CEST slices, at least "
            f"{LEAST_BRAIN_CM2:g} were expected; send a T1 of the whole head"
        )


def _require_separation(mixture: TissueMixture) -> None:
    pairs = (("fluid and grey matter", FLUID, GREY), ("grey and white matter", GREY, WHITE))
    for words, dark, bright in pairs:
        found = mixture.separation(dark, bright)
        if found < LEAST_SEPARATION:
            raise NumericalError(
                f"{words} differ by {found:.1f} times their spread in the T1, at least "
                f"{LEAST_SEPARATION:g} were expected; look at its noise, motion and contrast"
            )
    fluid, grey, white = mixture.level
    for words, ratio, (low, high) in (
        ("grey over white matter", grey / white, GREY_RANGE),
        ("fluid over grey matter", fluid / grey, FLUID_RANGE),
    ):
        if not low * 1.001 < ratio < high / 1.001:
            raise NumericalError(
                f"the brightness of {words} is {ratio:.2f} in the T1, between {low:g} and "
                f"{high:g} was expected; check that the series is T1-weighted"
            )


def _require_anatomy(shares: Single, brain: Bool, slabs: Real, fine: Grid) -> None:
    """Refuse amounts that no brain has, and a middle that looks like a rim."""
    weight = slabs.sum(axis=0)[:, None, None] * brain
    for words, (tissue, low, high) in _AMOUNTS.items():
        amount = float(np.sum(weight * shares[tissue]) / weight.sum())
        if not low <= amount <= high:
            raise NumericalError(
                f"the brain in the CEST slices would hold {amount:.0%} of {words}, {low:.0%} to "
                f"{high:.0%} was expected; check that the T1 is T1-weighted and shows the brain"
            )
    # in plane only, since the grid ends above and below where the brain does not
    depth = np.stack([distance_transform_edt(p, sampling=fine.spacing_mm[1:]) for p in brain])
    rim = weight * (depth <= _RIM_MM)
    outside, inside = (
        np.sum(part * shares[WHITE]) / max(float(part.sum()), 1e-9) for part in (rim, weight - rim)
    )
    if outside > 0.8 * inside:
        raise NumericalError(
            f"the bright tissue of the T1 fills {outside:.0%} of the surface of the brain and "
            f"{inside:.0%} of its middle, so it is no white matter; check that the series is "
            "T1-weighted"
        )
