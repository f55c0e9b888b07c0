"""The volume inside the skull, for hippocampi that were measured: by the affine of the atlas."""

from collections.abc import Callable
from dataclasses import replace

from cestle.anatomy.atlas import intracranial_volume
from cestle.config.atlas import load_atlas_template
from cestle.errors import CestleError
from cestle.study.inputs import ScalarImage, StudyInputs
from cestle.study.volumes import gives_both_volumes


def with_intracranial_volume(
    inputs: StudyInputs, *, allowed: bool, progress: Callable[[str], None]
) -> StudyInputs:
    """The inputs with the volume inside the skull, or with the reason why it is not known.

    It is looked for only where both hippocampi have a volume to hold against it. Nothing that
    happens here ends the study: it is one number of many.

    Parameters
    ----------
    inputs
        With all regions.
    allowed
        Whether the site uses the built-in atlas.
    progress
        Told of each step.
    """
    cest = None if inputs.saturation is None else inputs.saturation.grid
    if not gives_both_volumes(inputs.regions, cest):
        return inputs
    if not allowed:
        return replace(inputs, intracranial_reason="the built-in atlas is turned off")
    if inputs.anatomy is None:
        return replace(inputs, intracranial_reason="no usable T1 was sent")
    try:
        found = _measured(inputs.anatomy, progress)
    except CestleError as fault:
        return replace(inputs, intracranial_reason=f"no intracranial volume: {fault}")
    except (RuntimeError, MemoryError) as fault:
        # their own words are many lines of a library, or none
        kind = type(fault).__name__
        why = f"no intracranial volume: the alignment with the template ended with {kind}"
        return replace(inputs, intracranial_reason=why)
    return replace(inputs, intracranial_volume_mm3=found)


def _measured(anatomy: ScalarImage, progress: Callable[[str], None]) -> float:
    return intracranial_volume(
        anatomy.values,
        anatomy.grid,
        load_atlas_template(),
        progress=lambda step: progress(f"intracranial volume: {step}"),
    )
