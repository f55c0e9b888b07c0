"""Head to template: an affine map, found in passes that each know better where the brain is.

The template has no skull. The first pass aligns it with what looks like brain; it says where the
template's brain lies in the head, and the next passes align within that region, widened to the dark
skull around it. The brain that the first guess has cut or kept too much of thus does not decide.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import map_coordinates

from cestle.anatomy.atlas.template import AtlasTemplate
from cestle.anatomy.atlas.volume import Volume, widened
from cestle.errors import NumericalError
from cestle.physics import Bool, Real

ALIGN_MM: Final = 3.0
_BINS: Final = 32
_SHARE: Final = 0.5
"""Share of the voxels that are compared."""
_SEED: Final = 20
_PASSES: Final = 2
"""After the first one."""
_MARGIN_MM: Final = 5.0
"""How far the first guess may be from the border of the template's brain."""
_BORDER_MM: Final = 12.0
"""Air around the brain that is compared, so that its border counts."""
_AIR_MM: Final = 60.0
_UNIT_MM: Final = 60.0
_STEPS: Final = (0.03, 1e-4, 100, 0.6)
"""First and last step [units], their largest number, factor where the direction turns."""
_SCALE_RANGE: Final = (0.85, 1.8)
"""Volume of the template over that of a head: heads of 2.2 to 1.05 litres."""
_LEAST_COSINE: Final = 0.7
"""Of each axis of the template with that of the patient; a head that is turned over has −1."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment:
    """An affine map of LPS positions of the patient to those of the template.

    Parameters
    ----------
    matrix
        Shape (4, 4).
    """

    matrix: Real

    def to_template(self, lps_mm: Real) -> Real:
        """Positions in the template, both of shape (..., 3) [mm]."""
        moved: Real = lps_mm @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved

    def to_patient(self, template_mm: Real) -> Real:
        """Positions in the patient, both of shape (..., 3) [mm]."""
        back = np.linalg.inv(self.matrix)
        moved: Real = template_mm @ back[:3, :3].T + back[:3, 3]
        return moved

    @property
    def volume_ratio(self) -> float:
        """Volume in the template over volume in the patient."""
        return float(np.linalg.det(self.matrix[:3, :3]))


def align_head(head: Volume, brain: Bool, template: AtlasTemplate) -> tuple[Alignment, Volume]:
    """The affine map from a head to the template, and 1 where the head shows brain.

    Parameters
    ----------
    head
        T1 without shading, in steps of `ALIGN_MM`.
    brain
        A first guess where its brain is, same shape.
    template
        What to align with.

    Raises
    ------
    NumericalError
        When no map of plausible size is found.
    """
    moving = _image(_with_air(template_volume(template).on_step(head.step_mm)))
    kept = brain
    fixed, region = _stripped(head, kept), _around(head, kept)
    rigid = sitk.Euler3DTransform(_centred(fixed, moving))
    rigid.SetRotation(0.0, 0.0, 0.0)
    _optimise(fixed, moving, rigid, region)
    similarity = sitk.Similarity3DTransform()
    similarity.SetCenter(rigid.GetCenter())
    similarity.SetMatrix(rigid.GetMatrix())
    similarity.SetTranslation(rigid.GetTranslation())
    _optimise(fixed, moving, similarity, region)
    affine = sitk.AffineTransform(3)
    affine.SetCenter(similarity.GetCenter())
    affine.SetMatrix(similarity.GetMatrix())
    affine.SetTranslation(similarity.GetTranslation())
    _optimise(fixed, moving, affine, region)
    for _ in range(_PASSES):
        require_plausible(_alignment(affine))
        kept = _kept(head, brain, _alignment(affine), template)
        _optimise(_stripped(head, kept), moving, affine, _around(head, kept))
    found = _alignment(affine)
    require_plausible(found)
    return found, head.with_values(_kept(head, brain, found, template))


def _kept(head: Volume, brain: Bool, found: Alignment, template: AtlasTemplate) -> Bool:
    """The first guess, as far as the template does not contradict it by more than a margin."""
    inside = brain_of_template(head, found, template)
    sure = ~widened(head, ~inside, _MARGIN_MM)
    return (brain | sure) & widened(head, inside, _MARGIN_MM)


def _image(volume: Volume) -> sitk.Image:
    """In units of `_UNIT_MM`, in which a turn, a stretch and a shift of 1 move a brain alike."""
    image = volume.image()
    image.SetOrigin([float(mm) / _UNIT_MM for mm in volume.origin_mm])
    image.SetSpacing([volume.step_mm / _UNIT_MM] * 3)
    return image


def _with_air(volume: Volume) -> Volume:
    """A volume with empty voxels around, so that what lies beside the template counts as air."""
    count = int(_AIR_MM / volume.step_mm)
    return Volume(
        values=np.pad(volume.values, count),
        origin_mm=volume.origin_mm - count * volume.step_mm,
        step_mm=volume.step_mm,
    )


def _stripped(head: Volume, kept: Bool) -> sitk.Image:
    return _image(head.with_values(head.values * kept))


def _around(head: Volume, kept: Bool) -> sitk.Image:
    """Where the two are compared: what is kept and as much air that its border counts."""
    return _image(head.with_values(widened(head, kept, _BORDER_MM)))


def _centred(fixed: sitk.Image, moving: sitk.Image) -> sitk.Transform:
    """Centre of mass on centre of mass; principal axes might turn a head over."""
    return sitk.CenteredTransformInitializer(
        fixed,
        moving,
        sitk.Euler3DTransform(),
        sitk.CenteredTransformInitializerFilter.MOMENTS,
    )


def template_volume(template: AtlasTemplate) -> Volume:
    """The template's brightness as a volume."""
    return Volume(
        values=template.values.astype(np.float32),
        origin_mm=template.grid.affine[:3, 3],
        step_mm=template.grid.spacing_mm[0],
    )


def brain_of_template(head: Volume, alignment: Alignment, template: AtlasTemplate) -> Bool:
    """Voxels of `head` that lie in the template's brain."""
    place = template_volume(template)
    index = place.index(alignment.to_template(head.points_mm))
    share = map_coordinates(template.brain.astype(np.float32), index, order=1)
    inside: Bool = share > 0.5
    return inside


def _optimise(
    fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform, region: sitk.Image
) -> None:
    """Move `transform` to the largest mutual information; repeats are bit-identical."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(_SHARE, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(*_STEPS)
    method.SetOptimizerScales([1.0] * transform.GetNumberOfParameters())
    method.SetMetricFixedMask(sitk.Cast(region, sitk.sitkUInt8))
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as fault:
        raise NumericalError("the T1 could not be aligned with the template of a head") from fault


def _alignment(affine: sitk.AffineTransform) -> Alignment:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(affine.GetMatrix()).reshape(3, 3)
    matrix[:3, 3] = _UNIT_MM * np.array(affine.TransformPoint((0.0, 0.0, 0.0)))
    return Alignment(matrix=matrix)


def require_plausible(found: Alignment) -> None:
    """Refuse a map that no head needs.

    Raises
    ------
    NumericalError
        When it changes the size too much or turns an axis over.
    """
    low, high = _SCALE_RANGE
    if not low < found.volume_ratio < high:
        raise NumericalError(
            f"the T1 would have to be scaled {found.volume_ratio:.2f} times in volume to fit the "
            f"template, {low:g} to {high:g} was expected; send a T1 of the whole head"
        )
    linear = found.matrix[:3, :3]
    cosines = np.diag(linear) / np.linalg.norm(linear, axis=1)
    # an axis that is turned over would exchange the sides
    if float(cosines.min()) < _LEAST_COSINE:
        raise NumericalError(
            "the T1 would have to be turned by more than 45° to fit the template; check the "
            "patient orientation in its headers, and send a T1 of the whole head"
        )
