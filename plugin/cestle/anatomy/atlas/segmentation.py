"""From a T1 to the four regions of the built-in atlas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.affine import (
    ALIGN_MM,
    Alignment,
    align_head,
    brain_of_template,
    template_volume,
)
from cestle.anatomy.atlas.confidence import AtlasConfidence, confidence_of
from cestle.anatomy.atlas.head import (
    COARSE_MM,
    Head,
    ShadingField,
    checked_head,
    first_brain,
    shading_field,
)
from cestle.anatomy.atlas.refinement import expected, refined
from cestle.anatomy.atlas.template import AtlasTemplate
from cestle.anatomy.atlas.volume import Volume
from cestle.anatomy.atlas.warp import LobeWarp, warp_lobes
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.errors import InputError, NumericalError
from cestle.geometry import Grid
from cestle.physics import Bool

_BRAIN_SHARE: Final = 0.25
"""Share of brain that makes a coarse voxel brain: the fluid around it belongs to the template."""
_LEAST_COVERED: Final = 0.99
"""Share of the brain in the field of view; what may be missing changes the volume by 2.4 %."""
_LEAST_OVERLAP: Final = 0.85
"""Dice of what looks like brain with the template; heads have 0.92 and more, a head whose muscles
were taken for brain 0.71 and less."""
_LEAST_LIKENESS: Final = 0.5
"""Correlation with the template; heads have 0.66 and more, heads of exchanged axes and ellipsoids
0.38 and less."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AtlasSegmentation:
    """What the built-in atlas says about a T1.

    The regions are unverified. Their volumes tend to those of the template, on both sides: they
    are good for averages of a map, not for an asymmetry of volumes.

    Parameters
    ----------
    regions
        Hippocampus and amygdala, left and right, in steps of 1 mm along LPS.
    confidence
        How well the atlas seems to fit, by name of the region.
    intracranial_volume_mm3
        Volume inside the skull, by the scale of the affine map ("atlas scaling").
    """

    regions: tuple[Region, ...]
    confidence: Mapping[str, AtlasConfidence]
    intracranial_volume_mm3: float


def segment_with_atlas(
    values: npt.NDArray[np.generic],
    grid: Grid,
    template: AtlasTemplate,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> AtlasSegmentation:
    """Find hippocampi and amygdalae in a T1.

    Sides are those of `grid`: a T1 that is stored mirrored without its affine saying so looks like
    any other, and nothing in the image can tell.

    Parameters
    ----------
    values
        3D T1-weighted head with or without skull, shape of `grid` [a.u.].
    grid
        Its place; any order and direction of the axes gives the same result, bit for bit.
    template
        The atlas.
    progress
        Called with the name of each step as it begins.

    Raises
    ------
    InputError
        When the T1 is no finite 3D volume of voxels of up to 2 mm that shows the temporal lobes.
    NumericalError
        When no brain is found or the template does not fit it.
    """
    aligned = _aligned(values, grid, template, progress)
    progress("shape")
    warp = _warped(aligned, template)
    progress("refinement")
    found = refined(expected(template.model, warp.template_mm), warp)
    place = warp.t1.grid(grid.frame_of_reference_uid)
    source = RegionSource(
        form=RegionForm.ATLAS,
        creation="automatic",
        identifier=f"built-in atlas {template.model.version}",
    )
    regions = tuple(
        Region(structure=structure, side=side, fraction=fraction, grid=place, source=source)
        for (structure, side), fraction in found.items()
    )
    return AtlasSegmentation(
        regions=regions,
        confidence={region.name: confidence_of(region.fraction, warp) for region in regions},
        intracranial_volume_mm3=aligned.intracranial_mm3(template),
    )


def intracranial_volume(
    values: npt.NDArray[np.generic],
    grid: Grid,
    template: AtlasTemplate,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> float:
    """Volume inside the skull of a T1, by the scale of the affine map ("atlas scaling").

    An affine map always has a scale. Three things tell that it is the one of this head: the brain
    lies in the field of view, the image shows brain where the template has it, and it is bright
    where the template is.

    Parameters
    ----------
    values, grid, template, progress
        As for `segment_with_atlas`.

    Returns
    -------
        Volume [mm³].

    Raises
    ------
    InputError
        As `segment_with_atlas` does, and when the field of view ends within the brain.
    NumericalError
        As `segment_with_atlas` does, and when the image does not show the brain of the template
        where the map says.
    """
    aligned = _aligned(values, grid, template, progress)
    covered = aligned.covered_share(template)
    if covered < _LEAST_COVERED:
        raise InputError(
            f"the T1 shows {100.0 * covered:.1f} % of the brain, at least "
            f"{100.0 * _LEAST_COVERED:g} % were expected; send a T1 of the whole head."
        )
    overlap = aligned.overlap(template)
    if overlap < _LEAST_OVERLAP:
        raise NumericalError(
            f"what looks like brain in the T1 overlaps with the template by {overlap:.2f} (Dice), "
            f"at least {_LEAST_OVERLAP:g} were expected; send a T1 of the whole head"
        )
    likeness = aligned.likeness(template)
    if likeness < _LEAST_LIKENESS:
        raise NumericalError(
            f"the brightness of the T1 correlates with the template by {likeness:.2f}, at least "
            f"{_LEAST_LIKENESS:g} was expected; check contrast and orientation of the T1"
        )
    return aligned.intracranial_mm3(template)


def follow_head(values: npt.NDArray[np.generic], grid: Grid, template: AtlasTemplate) -> LobeWarp:
    """Where the medial temporal lobes of a T1 lie in the template, without regions.

    Parameters
    ----------
    values, grid, template
        As for `segment_with_atlas`.

    Raises
    ------
    InputError, NumericalError
        As `segment_with_atlas`.
    """
    return _warped(_aligned(values, grid, template, lambda _: None), template)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Aligned:
    """A head with its place in the template.

    Parameters
    ----------
    head
        The T1 in the patient's order.
    shading
        Of its coils.
    even
        The T1 without it, in steps of `ALIGN_MM`.
    brain
        A first guess where its brain is, on the voxels of `even`.
    alignment
        The affine map to the template.
    kept
        1 where the head shows brain, after the template has corrected the first guess.
    """

    head: Head
    shading: ShadingField
    even: Volume
    brain: Bool
    alignment: Alignment
    kept: Volume

    def intracranial_mm3(self, template: AtlasTemplate) -> float:
        """The template's volume at the size of this head [mm³]."""
        return template.brain_mm3 / self.alignment.volume_ratio

    def covered_share(self, template: AtlasTemplate) -> float:
        """Share of the template's brain that lies in the field of view."""
        places = template.grid.to_lps(np.argwhere(template.brain).astype(np.float64))
        return float(np.mean(self.head.covers(self.alignment.to_patient(places))))

    def overlap(self, template: AtlasTemplate) -> float:
        """Dice of the first guess where brain is with the template's brain."""
        inside = brain_of_template(self.even, self.alignment, template)
        both = 2.0 * np.count_nonzero(inside & self.brain)
        return float(both / (np.count_nonzero(inside) + np.count_nonzero(self.brain)))

    def likeness(self, template: AtlasTemplate) -> float:
        """Correlation of the brightness with the template's in its brain; 0 for an even one."""
        inside = brain_of_template(self.even, self.alignment, template)
        there = template_volume(template).on_step(ALIGN_MM)
        index = there.index(self.alignment.to_template(self.even.points_mm[inside]))
        shown = map_coordinates(there.values, index, order=1)
        return float(np.nan_to_num(np.corrcoef(shown, self.even.values[inside])[0, 1]))


def _aligned(
    values: npt.NDArray[np.generic],
    grid: Grid,
    template: AtlasTemplate,
    progress: Callable[[str], None],
) -> _Aligned:
    """The affine part, of which the size of the head and the place of its lobes follow."""
    # parts of N4 and of the metric take this number and not their filter's; with two threads the
    # last digits differ from run to run
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    progress("brain")
    head = checked_head(values, grid)
    coarse = head.whole(COARSE_MM)
    first = first_brain(coarse)
    progress("shading")
    shading = shading_field(coarse, first)
    progress("alignment")
    even = shading.removed_from(head.whole(ALIGN_MM))
    share = map_coordinates(first.astype(np.float32), coarse.index(even.points_mm), order=1)
    brain: Bool = share > _BRAIN_SHARE
    alignment, kept = align_head(even, brain, template)
    return _Aligned(
        head=head, shading=shading, even=even, brain=brain, alignment=alignment, kept=kept
    )


def _warped(aligned: _Aligned, template: AtlasTemplate) -> LobeWarp:
    return warp_lobes(aligned.head, aligned.shading, aligned.alignment, aligned.kept, template)
