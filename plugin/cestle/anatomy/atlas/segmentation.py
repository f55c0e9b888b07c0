"""From a T1 to the four regions of the built-in atlas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.affine import ALIGN_MM, align_head
from cestle.anatomy.atlas.confidence import AtlasConfidence, confidence_of
from cestle.anatomy.atlas.head import COARSE_MM, checked_head, first_brain, shading_field
from cestle.anatomy.atlas.refinement import expected, refined
from cestle.anatomy.atlas.template import AtlasTemplate
from cestle.anatomy.atlas.warp import warp_lobes
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.geometry import Grid

_BRAIN_SHARE: Final = 0.25
"""Share of brain that makes a coarse voxel brain: the fluid around it belongs to the template."""


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
    # parts of N4 and of the metric take this number and not their filter's; with two threads the
    # last digits differ from run to run
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    progress("brain")
    head = checked_head(values, grid)
    coarse = head.whole(COARSE_MM)
    brain = first_brain(coarse)
    progress("shading")
    shading = shading_field(coarse, brain)
    progress("alignment")
    aligned = shading.removed_from(head.whole(ALIGN_MM))
    share = map_coordinates(brain.astype(np.float32), coarse.index(aligned.points_mm), order=1)
    alignment, kept = align_head(aligned, share > _BRAIN_SHARE, template)
    progress("shape")
    warp = warp_lobes(head, shading, alignment, kept, template)
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
        intracranial_volume_mm3=template.brain_mm3 / alignment.volume_ratio,
    )
