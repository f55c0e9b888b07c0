"""The spectroscopy arm: from the MEGA-PRESS series of a study to its numbers, or why not."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from cestle.anatomy.regions import Region
from cestle.biomarkers.composite import glutamate_gaba_composite
from cestle.errors import InputError, NumericalError
from cestle.gates import Verdict
from cestle.measurement import Estimate, Side, Structure
from cestle.mrs.basis import MegaBasis
from cestle.mrs.megapress import MegaSettings, quantify_mega_press
from cestle.mrs.result import MegaAnalysis, MegaResult
from cestle.mrs.series import MegaSeries, Voxel
from cestle.study.inputs import NO_SPECTRA, StudyInputs
from cestle.study.mrs_protocol import reporting_table
from cestle.study.mrs_result import CompositeResult, MrsResult
from cestle.study.voxel_place import VoxelPlace as VoxelPlace
from cestle.study.voxel_place import in_one_frame as in_one_frame
from cestle.study.voxel_place import place_of_voxel

MRS_ROLE: Final = "mrs_mega"
"""Name of the spectra in `StudyInputs.missing` and among the sources."""

LEAST_DISTANCE_MM: Final = 5.0
"""A voxel whose centre is nearer to the midline has no side [mm]."""

SWITCHED_OFF: Final = "spectroscopy is switched off in the configuration"
ONSET_UNKNOWN: Final = "it needs the side of seizure onset, which was not stated"
SIDE_UNKNOWN: Final = "it needs a voxel on the side of onset, but the side of the voxel is unknown"


@dataclass(frozen=True, kw_only=True)
class SpectroscopySettings:
    """How spectra are analysed.

    Parameters
    ----------
    enabled
        Whether they are.
    mega
        How the ratios are made.
    bases
        All bases of the fit, the preferred one first; without any there are no numbers.
    """

    enabled: bool = True
    mega: MegaSettings = field(default_factory=MegaSettings)
    bases: tuple[MegaBasis, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Spectroscopy:
    """What became of the spectra.

    Parameters
    ----------
    result
        Numbers or reasons.
    mega
        Spectra and fits; None without numbers.
    """

    result: MrsResult
    mega: MegaAnalysis | None


def analyse_spectroscopy(
    inputs: StudyInputs,
    settings: SpectroscopySettings,
    software_version: str,
    *,
    tissue_from_t1: bool = True,
) -> Spectroscopy:
    """Quantify the spectra of a study; poor or unreadable ones give a reason and never raise.

    Parameters
    ----------
    inputs
        What the study offers.
    settings
        How spectra are analysed.
    software_version
        Version of this software, for the MRSinMRS table.
    tissue_from_t1
        Whether the T1 may be segmented for the tissues in the voxel.
    """
    if not settings.enabled:
        return _nothing(SWITCHED_OFF, sent=False)
    if inputs.mega is None:
        why = dict(inputs.missing).get(MRS_ROLE, NO_SPECTRA)
        return _nothing(why, sent=why != NO_SPECTRA)
    try:
        mega = quantify_mega_press(inputs.mega, settings.bases, settings.mega)
        mega = replace(mega, result=_finite(mega.result))
    except (InputError, NumericalError) as fault:
        return _nothing(str(fault), sent=True)
    side, how = voxel_side(inputs.mega.voxel, inputs.regions)
    place = place_of_voxel(
        inputs.mega.voxel, inputs.anatomy, inputs.regions, side, from_t1=tissue_from_t1
    )
    return Spectroscopy(
        result=_result(mega, inputs.mega, side, how, place, software_version), mega=mega
    )


def combine(
    indices: Mapping[str, Estimate | None], mrs: MrsResult, onset: Side | None
) -> CompositeResult:
    """DAIglu_GABA, as published only of a voxel on the stated side of onset.

    Parameters
    ----------
    indices
        Asymmetry indices by name.
    mrs
        Spectroscopy.
    onset
        Side of seizure onset as stated; never that of the call.
    """
    glutamate = indices.get("dai_glu_h")
    if mrs.numbers is None or not mrs.usable:
        return CompositeResult(dai_glu_gaba=None, reason="; ".join(mrs.reasons))
    if onset is None:
        return CompositeResult(dai_glu_gaba=None, reason=ONSET_UNKNOWN)
    if glutamate is None:
        return CompositeResult(dai_glu_gaba=None, reason="it needs dai_glu_h, which has no value")
    if mrs.side is not onset:
        reason = SIDE_UNKNOWN
        if mrs.side is not None:
            reason = f"the voxel lies on the {mrs.side}, the stated side of onset is the {onset}"
        return CompositeResult(dai_glu_gaba=None, reason=reason)
    try:
        composite = glutamate_gaba_composite(glutamate, mrs.numbers.gaba_cr)
    except NumericalError as fault:
        return CompositeResult(dai_glu_gaba=None, reason=str(fault))
    return CompositeResult(dai_glu_gaba=composite, reason=None)


def voxel_side(voxel: Voxel | None, regions: Iterable[Region]) -> tuple[Side | None, str]:
    """The patient's side of a voxel, and how it is known or why not.

    Parameters
    ----------
    voxel
        Where the spectra are from.
    regions
        Regions of the study, sides verified; where both hippocampi are among them, the voxel
        must be nearer to the one of its side.
    """
    if voxel is None:
        return None, "side: the spectra state no place, so the side of the voxel is not known"
    x = float(voxel.centre_mm[0])
    if not abs(x) >= LEAST_DISTANCE_MM:
        return None, (
            f"side: the centre of the voxel lies {abs(x):.1f} mm from the midline, at least "
            f"{LEAST_DISTANCE_MM:g} mm was expected; its side is not known"
        )
    side = Side.LEFT if x > 0.0 else Side.RIGHT
    nearer = _nearer_hippocampus(voxel, regions)
    if nearer not in (None, side):
        return None, (
            f"side: the centre of the voxel lies at x = {x:+.1f} mm (LPS), the patient's {side}, "
            f"but nearer to the {nearer} hippocampus; its side is not known. Check the regions"
        )
    return (
        side,
        f"side: the centre of the voxel lies at x = {x:+.1f} mm (LPS), the patient's {side}",
    )


def _nearer_hippocampus(voxel: Voxel, regions: Iterable[Region]) -> Side | None:
    """Side of the hippocampus that lies nearer to a voxel; None without both in its frame."""
    distances: dict[Side, float] = {}
    for region in regions:
        weight = region.fraction
        if region.structure is not Structure.HIPPOCAMPUS or not weight.any():
            continue
        if not in_one_frame(voxel, region.grid):
            continue
        index = np.argwhere(weight > 0.0).astype(np.float64)
        centroid = np.average(region.grid.to_lps(index), axis=0, weights=weight[weight > 0.0])
        distances[region.side] = float(np.linalg.norm(centroid - voxel.centre_mm))
    return min(distances, key=lambda side: distances[side]) if len(distances) == 2 else None


def _nothing(reason: str, *, sent: bool) -> Spectroscopy:
    result = MrsResult(computed=False, reasons=(reason,), side=None, numbers=None, sent=sent)
    return Spectroscopy(result=result, mega=None)


def _result(
    mega: MegaAnalysis,
    series: MegaSeries,
    side: Side | None,
    how: str,
    place: VoxelPlace,
    software_version: str,
) -> MrsResult:
    failed = [gate.sentence for gate in mega.result.gates if gate.verdict is Verdict.FAIL]
    decided = (*mega.result.notes, *mega.prepared.decisions, *mega.prepared.notes)
    return MrsResult(
        computed=True,
        reasons=tuple(failed),
        side=side,
        numbers=mega.result,
        sent=True,
        notes=tuple(dict.fromkeys((how, *decided))),
        voxel_centre_mm=_centre(series),
        place=place,
        protocol=reporting_table(series, mega, place.content, software_version),
    )


def _centre(series: MegaSeries) -> tuple[float, float, float] | None:
    if series.voxel is None:
        return None
    x, y, z = (float(value) for value in series.voxel.centre_mm)
    return (x, y, z)


def _finite(result: MegaResult) -> MegaResult:
    """The result without numbers that are none.

    Raises
    ------
    NumericalError
        When a ratio is not finite.
    """
    ratios: Sequence[Estimate] = (result.gaba_cr, result.glx_cr, result.glx_gaba)
    if not all(math.isfinite(ratio.value) for ratio in ratios):
        raise NumericalError(
            "the fit of the spectra gave a ratio that is not finite; finite ones were expected. "
            "Look at the spectra on the console."
        )
    gaba_cr, glx_cr, glx_gaba = (_with_finite_error(ratio) for ratio in ratios)
    return replace(
        result,
        gaba_cr=gaba_cr,
        glx_cr=glx_cr,
        glx_gaba=glx_gaba,
        research={
            name: None
            if value is None or not math.isfinite(value.value)
            else _with_finite_error(value)
            for name, value in result.research.items()
        },
    )


def _with_finite_error(estimate: Estimate) -> Estimate:
    error = estimate.standard_error
    if error is None or math.isfinite(error):
        return estimate
    return replace(estimate, standard_error=None)
