"""A T1 followed by the template as for the built-in regions, without drawing them."""

from typing import Final

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.affine import ALIGN_MM, align_head
from cestle.anatomy.atlas.head import COARSE_MM, checked_head, first_brain, shading_field
from cestle.anatomy.atlas.template import AtlasTemplate
from cestle.anatomy.atlas.warp import LobeWarp, warp_lobes
from cestle.geometry import Grid

_BRAIN_SHARE: Final = 0.25
"""As in `segmentation`: the share of brain that makes a coarse voxel brain."""


def follow_head(values: npt.NDArray[np.generic], grid: Grid, template: AtlasTemplate) -> LobeWarp:
    """Where the medial temporal lobes of a T1 lie in the template.

    Parameters
    ----------
    values, grid, template
        As of `segment_with_atlas`.

    Raises
    ------
    InputError, NumericalError
        As `segment_with_atlas`.
    """
    # with two threads the last digits differ from run to run
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    head = checked_head(values, grid)
    coarse = head.whole(COARSE_MM)
    brain = first_brain(coarse)
    shading = shading_field(coarse, brain)
    aligned = shading.removed_from(head.whole(ALIGN_MM))
    share = map_coordinates(brain.astype(np.float32), coarse.index(aligned.points_mm), order=1)
    alignment, kept = align_head(aligned, share > _BRAIN_SHARE, template)
    return warp_lobes(head, shading, alignment, kept, template)
