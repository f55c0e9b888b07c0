"""From the affine map to one that follows the patient's own shape: demons in steps of 4, 2, 1 mm.

The coarse steps see the whole brain, the fine one a box around both medial temporal lobes, in which
brightness is matched anew. Every step must lower the difference that it works on; one that does
not is reported, since its result may look like any other.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.affine import Alignment, template_volume
from cestle.anatomy.atlas.head import Head, ShadingField
from cestle.anatomy.atlas.template import AtlasTemplate
from cestle.anatomy.atlas.volume import Volume
from cestle.errors import InputError
from cestle.measurement import Side, Structure
from cestle.physics import Real


@dataclass(frozen=True, kw_only=True)
class Step:
    """How one step of the demons works.

    Parameters
    ----------
    size_mm
        Distance of the voxels.
    iterations
        How many.
    field_smoothing, update_smoothing
        Standard deviations in voxels.
    next_margin_mm
        What the next step sees around the structures.
    """

    size_mm: float
    iterations: int
    field_smoothing: float
    update_smoothing: float
    next_margin_mm: float

    @property
    def name(self) -> str:
        """For reports."""
        return f"{self.size_mm:g} mm"


_COARSE: Final = (
    Step(
        size_mm=4.0,
        iterations=50,
        field_smoothing=1.5,
        update_smoothing=1.0,
        next_margin_mm=30.0,
    ),
    Step(
        size_mm=2.0,
        iterations=40,
        field_smoothing=1.5,
        update_smoothing=1.0,
        next_margin_mm=12.0,
    ),
)
_FINE: Final = Step(
    size_mm=1.0, iterations=30, field_smoothing=1.2, update_smoothing=0.7, next_margin_mm=0.0
)
_HEAD_MARGIN_MM: Final = 8.0
_LEVELS: Final = 256
_MATCHES: Final = 12
_COVERED: Final = 0.99
_MOST_REMAINING: Final = 0.999


@dataclass(frozen=True, kw_only=True, eq=False)
class Displacement:
    """A field of displacements.

    Parameters
    ----------
    components
        L, P and S component [mm], each on the same voxels.
    """

    components: tuple[Volume, Volume, Volume]

    def moved(self, lps_mm: Real) -> Real:
        """Positions after the displacement, both of shape (..., 3)."""
        index = self.components[0].index(lps_mm)
        shift = [
            map_coordinates(part.values, index, order=1, mode="nearest") for part in self.components
        ]
        moved: Real = lps_mm + np.stack(shift, axis=-1)
        return moved


@dataclass(frozen=True, kw_only=True, eq=False)
class LobeWarp:
    """The medial temporal lobes of a patient and where each of their voxels lies in the template.

    Parameters
    ----------
    t1
        The T1 without shading in the box around them.
    matched
        The same in the brightness of the template.
    template_mm
        Position of each voxel in the template, shape (z, y, x, 3).
    warped
        The template's brightness there.
    remaining
        Share of the squared difference that each step left of what it found, by step.
    """

    t1: Volume
    matched: Volume
    template_mm: Real
    warped: Volume
    remaining: dict[str, float]

    @property
    def failed_steps(self) -> tuple[str, ...]:
        """Steps that did not lower the difference."""
        return tuple(name for name, left in self.remaining.items() if left > _MOST_REMAINING)


def warp_lobes(
    head: Head, shading: ShadingField, alignment: Alignment, kept: Volume, template: AtlasTemplate
) -> LobeWarp:
    """Follow the shape of the brain, then that of the medial temporal lobes.

    Parameters
    ----------
    head, shading
        The T1 and what the coils did to it.
    alignment
        Where the template's brain lies in it.
    kept
        1 where the T1 shows brain, on a coarse grid.
    template
        What to follow.

    Raises
    ------
    InputError
        When the field of view cuts the temporal lobes.
    """
    remaining: dict[str, float] = {}
    box = _box_of(kept.points_mm[kept.values > 0.5], _HEAD_MARGIN_MM)
    found = _unmoved(kept)
    for step in _COARSE:
        fixed, _ = _brain_in(box, step.size_mm, head, shading, kept, order=1)
        place = template_volume(template).on_step(step.size_mm)
        moving = fixed.with_values(_at(place, alignment.to_template(fixed.points_mm)))
        found, left = _demons(_matched(fixed, moving), moving, found, step)
        remaining[step.name] = left
        box = _lobe_box(head, found, alignment, template, step.next_margin_mm)
    fixed, t1 = _brain_in(box, _FINE.size_mm, head, shading, kept, order=3)
    place = template_volume(template)
    moving = fixed.with_values(_at(place, alignment.to_template(found.moved(fixed.points_mm))))
    matched = _matched(fixed, moving)
    fine, left = _demons(matched, moving, _unmoved(fixed), _FINE)
    remaining[_FINE.name] = left
    template_mm = alignment.to_template(found.moved(fine.moved(fixed.points_mm)))
    return LobeWarp(
        t1=t1,
        matched=matched,
        template_mm=template_mm,
        warped=fixed.with_values(_at(place, template_mm)),
        remaining=remaining,
    )


def _brain_in(
    box: tuple[Real, Real],
    step_mm: float,
    head: Head,
    shading: ShadingField,
    kept: Volume,
    *,
    order: int,
) -> tuple[Volume, Volume]:
    """The brain alone, and the whole T1, without shading in a box."""
    t1 = shading.removed_from(head.box(box, step_mm, order=order))
    inside = _at(kept, t1.points_mm) > 0.5
    return t1.with_values(np.maximum(t1.values, 0.0) * inside), t1


def _demons(
    fixed: Volume,
    moving: Volume,
    start: Displacement,
    step: Step,
) -> tuple[Displacement, float]:
    """The displacement of each voxel of `fixed` to its place in `moving`, and what it left."""
    demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
    demons.SetNumberOfThreads(1)
    demons.SetNumberOfIterations(step.iterations)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(step.field_smoothing)
    demons.SetSmoothUpdateField(True)
    demons.SetUpdateFieldStandardDeviations(step.update_smoothing)
    points = fixed.points_mm
    shift = start.moved(points) - points
    image = sitk.GetImageFromArray(shift, isVector=True)
    image.CopyInformation(fixed.image())
    field = sitk.GetArrayFromImage(demons.Execute(fixed.image(), moving.image(), image))
    left, back, up = (fixed.with_values(field[..., axis]) for axis in range(3))
    found = Displacement(components=(left, back, up))
    before = _difference(fixed, moving, points + shift)
    after = _difference(fixed, moving, found.moved(points))
    return found, after / max(before, 1e-12)


def _unmoved(place: Volume) -> Displacement:
    nothing = place.with_values(np.zeros_like(place.values))
    return Displacement(components=(nothing, nothing, nothing))


def _difference(fixed: Volume, moving: Volume, places_mm: Real) -> float:
    there = map_coordinates(moving.values, moving.index(places_mm), order=1, mode="nearest")
    return float(np.mean((fixed.values - there) ** 2, dtype=np.float64))


def _matched(fixed: Volume, moving: Volume) -> Volume:
    """`fixed` in the brightness of `moving`, by the quantiles of what is brighter than average."""
    matching = sitk.HistogramMatchingImageFilter()
    matching.SetNumberOfThreads(1)
    matching.SetNumberOfHistogramLevels(_LEVELS)
    matching.SetNumberOfMatchPoints(_MATCHES)
    matching.SetThresholdAtMeanIntensity(True)
    image = matching.Execute(fixed.image(), moving.image())
    return fixed.with_values(sitk.GetArrayFromImage(image))


def _at(place: Volume, points_mm: Real) -> Real:
    found: Real = map_coordinates(place.values, place.index(points_mm), order=1)
    return found


def _box_of(points_mm: Real, margin_mm: float) -> tuple[Real, Real]:
    low: Real = np.floor(points_mm.min(axis=0) - margin_mm)
    high: Real = np.ceil(points_mm.max(axis=0) + margin_mm)
    return low, high


def _lobe_box(
    head: Head,
    found: Displacement,
    alignment: Alignment,
    template: AtlasTemplate,
    margin_mm: float,
) -> tuple[Real, Real]:
    """The box around all four structures, if the T1 shows them."""
    points = found.components[0].points_mm
    places = alignment.to_template(found.moved(points))
    inside = np.zeros(points.shape[:-1], dtype=np.bool_)
    for structure in Structure:
        for side in Side:
            there = template.model.log_odds(structure, side, places) > 0.0
            if not there.any() or np.mean(head.covers(points[there])) < _COVERED:
                raise InputError(
                    f"the T1 does not show the {side} {structure}; send a T1 of the whole head."
                )
            inside |= there
    return _box_of(points[inside], margin_mm)
