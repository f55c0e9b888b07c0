"""Where a T1 lies against thick slices that were acquired after it.

The head moves between two series of one examination, and nothing in the headers says so. The T1
is averaged over the thickness of the slices and held against them by mutual information, so that
their contrasts need not agree. The image is averaged once along the normal of the slices and then
only looked up: a turn by a few degrees tilts the average by less than it is thick, symmetrically,
so it moves nothing; the last pass averages anew along the normal that was found.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.ndimage import (
    affine_transform,
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    map_coordinates,
    uniform_filter1d,
)
from scipy.optimize import minimize

from cestle.anatomy.mutual_information import NormalisedMutualInformation
from cestle.anatomy.rigid_motion import RigidMotion
from cestle.anatomy.shading import Single
from cestle.geometry import Grid, in_patient_order
from cestle.physics import Bool, Real

LEAST_GAIN: Final = 0.005
"""Gain of the measure over the header from which a motion is believed."""
LARGEST_SHIFT_MM: Final = 6.0
LARGEST_TURN_DEG: Final = 6.0
STARTS_AGREE_MM: Final = 0.5
STARTS_AGREE_DEG: Final = 0.7
LEAST_PEAK: Final = 0.005
"""Least fall of the measure from the place found to places `_AWAY_MM` from it."""
LEAST_COVERED: Final = 0.9
"""Share of the head in the slices that the T1 must hold."""

LARGEST_VOXEL_MM: Final = 1.6
"""On the phantom a T1 of 2 mm is placed to 1.1 mm, one of 3 mm to 4 mm."""

_STEP_MM: Final = 1.0
_REACH_MM: Final = 10.0
"""How far the image is averaged beyond the slices on all sides."""
_AWAY_MM: Final = 8.0
_COARSE_MM: Final = np.arange(-6.0, 6.5, 1.0)
_OTHER_START: Final = np.array([1.5, -1.5, 1.5, 2.0, -2.0, 2.0])
_HEAD_SHARE: Final = 0.1
_SKIN_MM: Final = 10.0
"""Depth to which the head is left out: fat is displaced by its chemical shift, skin slides."""
_SHADING_MM: Final = 20.0
_MOST_SLICES: Final = 6
_LEAST_POINTS: Final = 500


class Placement(StrEnum):
    """What became of the search for the T1's place."""

    CORRECTED = "corrected"
    """The T1 was moved."""
    AS_STATED = "as_stated"
    """The search found nothing that its headers do not say."""
    NOT_FOUND = "not_found"
    """No trustworthy place was found; the T1 stays where its headers say."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SlabRegistration:
    """Where the T1 lies against the slices.

    Parameters
    ----------
    placement
        What became of the search.
    reason
        Why no place was found; empty where one was.
    motion
        From the place that the headers state to the one that was found, used or not.
    centre_mm
        Middle of the head in the slices, where the shift is stated, shape (3,) in LPS [mm].
    measure_as_stated, measure_found
        Normalised mutual information there [1].
    starts_apart_mm, starts_apart_deg
        How far apart two searches from different places ended [mm], [degrees].
    """

    placement: Placement
    reason: str
    motion: RigidMotion
    centre_mm: Real
    measure_as_stated: float
    measure_found: float
    starts_apart_mm: float
    starts_apart_deg: float

    @property
    def used(self) -> RigidMotion:
        """The motion that the T1 is moved by: what was found, or none."""
        return self.motion if self.placement is Placement.CORRECTED else RigidMotion.none()

    @property
    def shift_mm(self) -> Real:
        """Shift that was found, at `centre_mm`, shape (3,) in LPS [mm]."""
        return self.motion.shift_at(self.centre_mm)

    @property
    def size_mm(self) -> float:
        """Size of that shift [mm]."""
        return float(np.linalg.norm(self.shift_mm))


def register_to_slices(
    values: Real, source: Grid, image: Real, target: Grid, *, one_frame: bool = True
) -> SlabRegistration:
    """Find the T1's place against the slices; the same input always gives the same answer.

    Parameters
    ----------
    values
        T1-weighted volume, shape of `source` [a.u.].
    source
        Its grid, as the headers state it.
    image
        Mean of the saturation images, shape of `target` [a.u.].
    target
        Their grid.
    one_frame
        Whether both state one frame of reference. If not, the place that the headers state means
        nothing, and a place is believed without a gain over it.

    Returns
    -------
        What was found. Images that cannot be registered give `Placement.NOT_FOUND`.
    """
    search = _Search(values, source, image, target)
    if search.trouble:
        return _not_found(search.trouble, search.centre_mm)
    first = search.from_header()
    second = search.from_elsewhere()
    ends = [one.shift_at(search.centre_mm) for one in (first, second)]
    apart_mm = float(np.linalg.norm(ends[0] - ends[1]))
    apart_deg = first.after(second.inverse()).angle_deg
    # the better of the two, averaged along its own slices
    found = search.refined(min((first, second), key=lambda one: -search.measure(one)))
    stated, reached = search.measure(RigidMotion.none()), search.measure(found)
    outcome = SlabRegistration(
        placement=Placement.CORRECTED,
        reason="",
        motion=found,
        centre_mm=search.centre_mm,
        measure_as_stated=stated,
        measure_found=reached,
        starts_apart_mm=apart_mm,
        starts_apart_deg=apart_deg,
    )
    return _judged(outcome, peak=reached - search.beside(found), one_frame=one_frame)


class _Search:
    """Places of the T1 against the slices, as turns and shifts along the axes of the slices."""

    def __init__(self, values: Real, source: Grid, image: Real, target: Grid) -> None:
        self._values, self._source = np.asarray(values, dtype=np.float32), source
        self._target, _ = in_patient_order(target)
        self._axes = self._target.affine[:3, :3] / np.array(self._target.spacing_mm)
        flat = _without_shading(image, target)
        head = _head(image, target)
        index = np.argwhere(head).astype(np.float64)
        self._points = target.to_lps(index)
        self.centre_mm: Real = (
            self._points.mean(axis=0) if len(index) else target.to_lps(0.5 * np.array(target.shape))
        )
        self.trouble = self._trouble(len(index))
        if self.trouble:
            return
        self._information = NormalisedMutualInformation(flat[head])
        self._base = RigidMotion.none()
        self._volume, self._grid = self._averaged(self._base)
        inside = self._looked_up(self._base)
        self._range = tuple(float(x) for x in np.percentile(inside, [1.0, 99.0]))

    def _trouble(self, points: int) -> str:
        """Why nothing can be found; empty where it can."""
        if points < _LEAST_POINTS:
            return (
                f"the CEST slices show {points} voxels inside the head, at least {_LEAST_POINTS} "
                "were expected"
            )
        coarsest = max(self._source.spacing_mm)
        if coarsest > LARGEST_VOXEL_MM:
            return (
                f"the T1 has voxels of {coarsest:.2f} mm, at most {LARGEST_VOXEL_MM:g} mm were "
                "expected to find its place against the CEST slices; send the 3D T1"
            )
        index = self._source.to_index(self._points)
        last = np.array(self._source.shape) - 1.0
        covered = float(np.mean(np.all((index >= 0.0) & (index <= last), axis=1)))
        if covered < LEAST_COVERED:
            return (
                f"the T1 holds {covered:.0%} of the head in the CEST slices, at least "
                f"{LEAST_COVERED:.0%} was expected; send a T1 of the whole head"
            )
        return ""

    def motion(self, steps: Real) -> RigidMotion:
        """Shift [mm] along and turn [degrees] about slice normal, rows and columns, shape (6,)."""
        return RigidMotion.about(
            self.centre_mm, shift_mm=self._axes @ steps[:3], rotation_deg=self._axes @ steps[3:]
        )

    def measure(self, motion: RigidMotion) -> float:
        """Mutual information with the T1 after a motion."""
        return self._information.of(self._looked_up(motion), *self._range)

    def beside(self, motion: RigidMotion) -> float:
        """The best measure at places well beside that of a motion."""
        away = (sign * _AWAY_MM * step for step in np.eye(6)[:3] for sign in (1.0, -1.0))
        return max(self.measure(self.motion(step).after(motion)) for step in away)

    def from_header(self) -> RigidMotion:
        """The best place that is found from where the headers say, first along the normal."""
        return self._climbed(self._along_normal(np.zeros(6)))

    def from_elsewhere(self) -> RigidMotion:
        """The best place that is found from a displaced and turned start."""
        return self._climbed(self._along_normal(_OTHER_START))

    def refined(self, motion: RigidMotion) -> RigidMotion:
        """The best place near one, with the T1 averaged along the normal that belongs to it."""
        self._base = motion
        self._volume, self._grid = self._averaged(motion)
        return self._climbed(np.zeros(6))

    def _along_normal(self, start: Real) -> Real:
        places = [start + np.array([x, 0.0, 0.0, 0.0, 0.0, 0.0]) for x in _COARSE_MM]
        return max(places, key=lambda steps: self.measure(self.motion(steps).after(self._base)))

    def _climbed(self, start: Real) -> RigidMotion:
        found = minimize(
            lambda steps: -self.measure(self.motion(steps).after(self._base)),
            start,
            method="Powell",
            options={"xtol": 0.02, "ftol": 1e-5, "maxiter": 6},
        )
        return self.motion(found.x).after(self._base)

    def _looked_up(self, motion: RigidMotion) -> Single:
        """The averaged T1 at the voxels of the slices, after a motion, shape (points,)."""
        # what lies at a point now was averaged where the base motion had taken it
        back = motion.after(self._base.inverse()).inverse()
        index = self._grid.to_index(back.move(self._points))
        looked_up: Single = map_coordinates(
            self._volume, index.T.astype(np.float32), order=1, output=np.float32, mode="constant"
        )
        return looked_up

    def _averaged(self, motion: RigidMotion) -> tuple[Single, Grid]:
        """The T1 after a motion on planes parallel to the slices, averaged over their thickness."""
        fine, planes = self._fine_grid()
        to_source = np.linalg.inv(motion.move_grid(self._source).affine) @ fine.affine
        sampled = affine_transform(
            self._values,
            to_source[:3, :3],
            to_source[:3, 3],
            output_shape=fine.shape,
            output=np.float32,
            order=1,
        )
        averaged = uniform_filter1d(sampled, planes, axis=0, mode="nearest")
        # a box of the width of a voxel has this spread
        width = np.array(self._target.spacing_mm[1:]) / np.sqrt(12.0) / _STEP_MM
        blurred = gaussian_filter(averaged, (0.0, *width), truncate=3.0)
        return _without_shading(blurred, fine).astype(np.float32), fine

    def _fine_grid(self) -> tuple[Grid, int]:
        """Voxels of a millimetre around the slices, and how many planes are one thickness."""
        thickness = self._target.slice_thickness_mm
        planes = 2 * round(0.5 * thickness / _STEP_MM - 0.5) + 1  # odd, so that it is centred
        steps = np.array([thickness / planes, _STEP_MM, _STEP_MM])
        along = (self._points - self.centre_mm) @ self._axes
        reach = _REACH_MM + np.array([0.5 * thickness, 0.0, 0.0])
        first = np.floor((along.min(axis=0) - reach) / steps)
        last = np.ceil((along.max(axis=0) + reach) / steps)
        affine = np.eye(4)
        affine[:3, :3] = self._axes * steps
        affine[:3, 3] = self.centre_mm + affine[:3, :3] @ first
        counts = (last - first + 1.0).astype(int)
        grid = Grid(
            shape=(int(counts[0]), int(counts[1]), int(counts[2])),
            affine=affine,
            frame_of_reference_uid=self._target.frame_of_reference_uid,
            slice_thickness_mm=float(steps[0]),
        )
        return grid, planes


def _not_found(reason: str, centre_mm: Real) -> SlabRegistration:
    return SlabRegistration(
        placement=Placement.NOT_FOUND,
        reason=reason,
        motion=RigidMotion.none(),
        centre_mm=centre_mm,
        measure_as_stated=1.0,
        measure_found=1.0,
        starts_apart_mm=0.0,
        starts_apart_deg=0.0,
    )


def _judged(found: SlabRegistration, *, peak: float, one_frame: bool) -> SlabRegistration:
    """Whether a place may be used."""
    angle = found.motion.angle_deg
    trouble = ""
    if peak < LEAST_PEAK:
        trouble = (
            f"the CEST slices fit the T1 hardly better than {_AWAY_MM:g} mm beside; check that "
            "both are of one examination"
        )
    elif found.starts_apart_mm > STARTS_AGREE_MM or found.starts_apart_deg > STARTS_AGREE_DEG:
        trouble = (
            f"two searches for the place of the T1 ended {found.starts_apart_mm:.1f} mm and "
            f"{found.starts_apart_deg:.1f} degrees apart, at most {STARTS_AGREE_MM:g} mm and "
            f"{STARTS_AGREE_DEG:g} degrees were expected"
        )
    elif found.size_mm > LARGEST_SHIFT_MM or angle > LARGEST_TURN_DEG:
        trouble = (
            f"the T1 seems to lie {found.size_mm:.1f} mm and {angle:.1f} degrees from the CEST "
            f"slices, at most {LARGEST_SHIFT_MM:g} mm and {LARGEST_TURN_DEG:g} degrees are "
            "corrected; acquire both without repositioning"
        )
    gain = found.measure_found - found.measure_as_stated
    if trouble:
        return replace(found, placement=Placement.NOT_FOUND, reason=trouble)
    if one_frame and gain <= LEAST_GAIN:
        return replace(found, placement=Placement.AS_STATED)
    return found


def _head(image: Real, grid: Grid) -> Bool:
    """Inside of the head in the slices that show most of it, without skin and fat below it."""
    bright = image > _HEAD_SHARE * float(np.percentile(image, 98.0))
    inside = np.zeros(image.shape, dtype=np.bool_)
    sizes = np.count_nonzero(bright, axis=(1, 2))
    for number in np.argsort(-sizes, kind="stable")[:_MOST_SLICES]:
        whole = np.pad(binary_fill_holes(bright[number]), 1)
        depth = distance_transform_edt(whole, sampling=grid.spacing_mm[1:])
        inside[number] = depth[1:-1, 1:-1] > _SKIN_MM
    return inside


def _without_shading(image: Real, grid: Grid) -> Real:
    """The image over its typical brightness around each voxel, slice by slice."""
    bright = image > _HEAD_SHARE * float(np.percentile(image, 98.0))
    width = (0.0, *(_SHADING_MM / np.array(grid.spacing_mm[1:])))
    weight = gaussian_filter(bright.astype(np.float64), width, truncate=2.5)
    around = gaussian_filter(np.where(bright, image, 0.0), width, truncate=2.5)
    flat: Real = image * weight / np.maximum(around, max(1e-6 * float(image.max()), 1e-12))
    return flat
