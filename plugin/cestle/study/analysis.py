"""From `StudyInputs` to `StudyAnalysis`: the one place that knows the order of the steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from cestle.anatomy.regions import Region
from cestle.anatomy.sampling import RegionEstimator, RegionStatistic
from cestle.anatomy.slab import slab_average
from cestle.biomarkers.asymmetry import directional_asymmetry, directional_asymmetry_epi
from cestle.biomarkers.combined import CombinedScore
from cestle.biomarkers.lateralization import (
    PAPER_RULE,
    CallPolicy,
    DecisionRule,
    lateralize,
    withhold,
)
from cestle.cest.b1 import B1Method
from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import GluCestMap
from cestle.cest.uncertainty import UncertaintySettings
from cestle.errors import GeometryError, InputError, NumericalError
from cestle.gates import Gate, Verdict
from cestle.measurement import Estimate, Side, Structure
from cestle.mrs.result import MegaAnalysis
from cestle.physics import Real
from cestle.study.comparison import agreement_gates, compare_methods
from cestle.study.confidence import (
    INDEX_LETTER,
    Confidence,
    assess_confidence,
    with_region_error,
)
from cestle.study.fluid import fluid_gates, with_fluid, without_fluid
from cestle.study.inputs import ScalarImage, StudyInputs
from cestle.study.partial_volume import partial_volume_gates, partial_volume_indices
from cestle.study.quality import STUDY, assess_quality
from cestle.study.region_means import (
    REGION_NAMES,
    RegionMeans,
    place_regions,
    region_means,
    regions_as_weighted,
)
from cestle.study.region_origin import (
    REGION_ERROR,
    PreviousResult,
    regions_result,
    restrain,
)
from cestle.study.results import (
    AsymmetryResult,
    GluCestResult,
    MotionResult,
    RegionResult,
    RequestedOptions,
    Status,
    StudyResults,
)
from cestle.study.scan import GluCestScan, measure_scan
from cestle.study.spectroscopy import (
    MRS_ROLE,
    SpectroscopySettings,
    analyse_spectroscopy,
    combine,
)
from cestle.study.t1_place import T1Place, place_gates, place_result, t1_in_place
from cestle.study.tissue import NO_TISSUE, StudyTissue, tissue_of_study
from cestle.study.volumes import VolumeResult, hippocampal_volumes
from cestle.study.white_matter import white_matter_gates

SCORE_REASON: Final = "the combined score needs coefficients that the site has fitted"
ONSET_REASON: Final = "the side of seizure onset was not stated"

UNIT_REASON: Final = (
    "the unit of the scanner's GluCEST map is not declared, so only its indices are given; "
    "declare the unit in the classification rules"
)

RAW_SOURCE: Final = "raw"
VENDOR_SOURCE: Final = "vendor_map"


@dataclass(frozen=True, kw_only=True)
class AnalysisSettings:
    """How a study is analysed.

    Parameters
    ----------
    glucest
        How the map is made.
    registered
        Whether the saturation images are registered to each other first.
    estimator
        Which one number stands for a region.
    edge_erosion_voxels
        Layers of voxels that are left out at the edge of each region.
    slab_registration
        Whether the T1 is moved to where the CEST slices show the head.
    tissue_from_t1
        Whether tissue shares are taken from the T1 where none are given.
    white_matter_range
        Lowest and highest median GluCEST of white matter that the site expects [%]; None where
        it has found no range yet.
    uncertainty
        Sizes of the errors that the images do not tell.
    min_effective_voxels
        Regions with fewer give no index.
    min_largest_fraction
        Regions without a voxel of at least this share give no index.
    min_valid_fraction
        Regions of which less is valid give no index.
    rule, call_policy
        The rule of the lateralization call, and what an uncertain score is called.
    combined_score
        A site's own fit of the combined score; None for no score.
    spectroscopy
        How MEGA-PRESS spectra are analysed, with the bases of the fit.
    """

    glucest: GluCestSettings = field(default_factory=GluCestSettings)
    registered: bool = True
    estimator: RegionEstimator = RegionEstimator.MEAN
    edge_erosion_voxels: int = 0
    slab_registration: bool = True
    tissue_from_t1: bool = True
    white_matter_range: tuple[float, float] | None = None
    uncertainty: UncertaintySettings = field(default_factory=UncertaintySettings)
    min_effective_voxels: Mapping[Structure, float] = field(
        default_factory=lambda: {Structure.HIPPOCAMPUS: 10.0, Structure.AMYGDALA: 10.0}
    )
    min_largest_fraction: float = 0.4
    min_valid_fraction: float = 0.8
    rule: DecisionRule = PAPER_RULE
    call_policy: CallPolicy = CallPolicy.INTERVAL
    combined_score: CombinedScore | None = None
    spectroscopy: SpectroscopySettings = field(default_factory=SpectroscopySettings)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the results say of the software and of themselves.

    `previous` is the result set before; None for the first.
    """

    software_version: str
    templates_version: str
    revision: int
    previous: PreviousResult | None = None
    options: RequestedOptions = field(default_factory=RequestedOptions)


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyAnalysis:
    """Everything that pictures and DICOM objects are made from.

    Parameters
    ----------
    inputs
        What was analysed, everything where its headers say.
    placed
        The same with the T1, and the regions on it, where they were used: moved when their place
        in the CEST slices was found.
    glucest
        The map; None when it could not be computed.
    regions
        The regions on the grid of `glucest`, as used for the means: without their edge where that
        is asked for, and without voxels that hold much fluid where that is known.
    underlay
        Anatomy on the grid of `glucest`, averaged over the slab when it comes from the T1,
        otherwise the S(−3 ppm) image; None without a map. Shape of the grid [a.u.].
    underlay_name
        What `underlay` is, in words.
    results
        All numbers.
    mega
        Spectra and their fits; None without numbers of spectroscopy.
    """

    inputs: StudyInputs
    placed: StudyInputs
    glucest: GluCestMap | None
    regions: tuple[Region, ...]
    underlay: Real | None
    underlay_name: str
    results: StudyResults
    mega: MegaAnalysis | None = None


def analyse_study(
    inputs: StudyInputs, settings: AnalysisSettings, provenance: Provenance
) -> StudyAnalysis:
    """Analyse one study as far as its inputs allow.

    Parameters
    ----------
    inputs
        What the study offers.
    settings
        How it is analysed.
    provenance
        What the results say of the software.

    Returns
    -------
        The analysis. What could not be computed is None with a reason in the results; a poor
        measurement never raises.
    """
    place = t1_in_place(inputs, searched=settings.slab_registration)
    scan, reasons = _scan(place.inputs, settings)
    glucest, source = _map(inputs, scan, reasons)
    anatomy = None if inputs.anatomy is None else inputs.anatomy.grid
    origins = regions_result(
        inputs.regions, anatomy, notes=inputs.region_notes, previous=provenance.previous
    )
    regions, region_reasons = place_regions(
        place.inputs.regions,
        None if glucest is None else glucest.grid,
        settings.edge_erosion_voxels,
    )
    tissue = NO_TISSUE if scan is None else scan.tissue
    regions, fluid, fluid_reasons = without_fluid(regions, tissue.fractions)
    estimator = settings.estimator if source == RAW_SOURCE else _without_reference(settings)
    means = region_means(
        glucest,
        None if scan is None else scan.fields,
        regions,
        estimator=estimator,
        tissue=tissue.fractions,
    )
    statistics, rois = means.statistics, with_fluid(means.results, fluid)
    reasons |= means.reasons | region_reasons | fluid_reasons | dict(place.reasons)
    if scan is not None and tissue.reason:
        reasons["tissue"] = tissue.reason
    confidence = Confidence()
    gates: tuple[Gate, ...] = ()
    partial_volume: dict[str, float] = {}
    if scan is not None:
        measured = regions_as_weighted(regions, means, estimator)
        confidence = with_region_error(
            assess_confidence(scan, measured, settings.glucest, settings.uncertainty),
            {structure: REGION_ERROR[structure] for structure in origins.unverified},
        )
        partial_volume = _partial_volume(scan, means)
        gates = (
            *assess_quality(scan, regions, settings.glucest),
            *white_matter_gates(
                scan.glucest, scan.tissue.fractions, settings.white_matter_range, STUDY
            ),
            *fluid_gates(fluid),
            *partial_volume_gates(partial_volume),
        )
        rois = _with_errors(rois, confidence)
    if source == VENDOR_SOURCE and not _vendor_unit_known(inputs):
        # the indices are free of scale, every other number would look like percent
        glucest, regions, rois = None, (), dict.fromkeys(REGION_NAMES)
        reasons["rois"] = UNIT_REASON
    volumes = hippocampal_volumes(
        inputs.regions,
        None if inputs.saturation is None else inputs.saturation.grid,
        intracranial_mm3=inputs.intracranial_volume_mm3,
        intracranial_reason=inputs.intracranial_reason,
        onset=inputs.onset_side,
    )
    asymmetry = _asymmetry(statistics, confidence, volumes, inputs.onset_side, settings, reasons)
    t1_place = place_result(
        place,
        _indices_as_stated(place, inputs, scan, tissue, settings, estimator),
        {name: one.value for name, one in asymmetry.indices.items() if one is not None},
    )
    if t1_place is not None and t1_place.reason:
        reasons["t1_place"] = t1_place.reason
    gates += (*place_gates(t1_place, INDEX_LETTER), *volumes.gates)
    rule = settings.rule
    call = lateralize(
        asymmetry.indices[rule.index],
        rule=rule,
        policy=settings.call_policy,
        missing_reason=asymmetry.reasons.get(rule.index),
    )
    comparison = (
        None if scan is None else compare_methods(scan, regions, settings.glucest, estimator)
    )
    gates += agreement_gates(comparison, asymmetry.indices)
    call = restrain(
        call, asymmetry.indices[rule.index], origins.structures.get(_structure_of(rule))
    )
    call = withhold(call, _deciding(gates))
    spectroscopy = analyse_spectroscopy(
        inputs,
        settings.spectroscopy,
        provenance.software_version,
        tissue_from_t1=settings.tissue_from_t1,
    )
    mrs = spectroscopy.result
    computed = glucest is not None
    underlay, underlay_name = _underlay(place.inputs, glucest)
    results = StudyResults(
        study_instance_uid=inputs.study_instance_uid,
        revision=provenance.revision,
        software_version=provenance.software_version,
        templates_version=provenance.templates_version,
        status=Status.PARTIAL if mrs.shortfall else _status(asymmetry),
        reasons=(*_study_reasons(inputs, asymmetry, reasons), *mrs.shortfall),
        glucest=GluCestResult(
            computed=computed,
            b0_method=_b0_name(settings, source),
            b1_method=_b1_name(settings, source),
            source=source,
            estimator=str(estimator),
            edge_erosion_voxels=settings.edge_erosion_voxels,
            tissue=str(tissue.origin),
            rois=rois,
            reasons=reasons,
        ),
        asymmetry=asymmetry,
        mrs=mrs,
        composite=combine(asymmetry.indices, mrs, inputs.onset_side),
        lateralization=call,
        quality=(*gates, *mrs.gates),
        confidence=confidence,
        comparison=comparison,
        partial_volume=partial_volume,
        motion=_motion(scan),
        t1_place=t1_place,
        volumes=volumes,
        onset_side=inputs.onset_side,
        regions=origins,
        options=provenance.options,
    )
    return StudyAnalysis(
        inputs=inputs,
        placed=place.inputs,
        glucest=glucest,
        regions=regions,
        underlay=underlay,
        underlay_name=underlay_name,
        results=results,
        mega=spectroscopy.mega,
    )


def _structure_of(rule: DecisionRule) -> Structure:
    """Structure whose regions decide; the hippocampus where a rule uses both."""
    return next(
        (one for one, letter in INDEX_LETTER.items() if rule.index == f"dai_glu_{letter}_epi"),
        Structure.HIPPOCAMPUS,
    )


def _scan(
    inputs: StudyInputs, settings: AnalysisSettings
) -> tuple[GluCestScan | None, dict[str, str]]:
    """Our own map with all that belongs to it, or why there is none."""
    if inputs.saturation is None:
        why = dict(inputs.missing).get(
            "cest_source", "no CEST source images were found; send the CEST series"
        )
        return None, {"glucest_map": why}
    try:
        return measure_scan(
            inputs.saturation,
            inputs.fields,
            settings.glucest,
            registered=settings.registered,
            tissue=tissue_of_study(inputs, inputs.saturation.grid, from_t1=settings.tissue_from_t1),
        ), {}
    except InputError as fault:
        return None, {"glucest_map": str(fault)}


def _map(
    inputs: StudyInputs, scan: GluCestScan | None, reasons: dict[str, str]
) -> tuple[GluCestMap | None, str]:
    """The map and where it came from; our own map is preferred to the vendor's."""
    if scan is not None:
        return scan.glucest, RAW_SOURCE
    if inputs.vendor_map is None:
        return None, RAW_SOURCE
    reasons["source"] = (
        "the scanner's own GluCEST map was used, its algorithm is not known and its noise "
        f"cannot be estimated; no own map because {reasons.pop('glucest_map')}"
    )
    return _vendor(inputs.vendor_map), VENDOR_SOURCE


def _motion(scan: GluCestScan | None) -> MotionResult | None:
    if scan is None or scan.registration is None:
        return None
    registration = scan.registration
    return MotionResult(
        verdict=str(registration.verdict),
        reason=registration.reason,
        displacement_mm=tuple(float(x) for x in registration.displacement.foreground_mm),
        moved=tuple(bool(x) for x in registration.moved),
    )


def _with_errors(
    rois: Mapping[str, RegionResult | None], confidence: Confidence
) -> dict[str, RegionResult | None]:
    """The regional results with the standard error of the whole measurement."""
    return {
        name: None if roi is None else replace(roi, standard_error=confidence.standard_error(name))
        for name, roi in rois.items()
    }


def _deciding(gates: tuple[Gate, ...]) -> tuple[str, ...]:
    """What forbids a call: failed gates of the study and of the hippocampi."""
    scopes = (STUDY, Structure.HIPPOCAMPUS, *(f"{Structure.HIPPOCAMPUS}_{s}" for s in Side))
    return tuple(
        gate.sentence for gate in gates if gate.verdict is Verdict.FAIL and gate.scope in scopes
    )


def _partial_volume(scan: GluCestScan, means: RegionMeans) -> dict[str, float]:
    """What partial volume alone makes of the indices; empty without shares of the tissues."""
    if scan.tissue.fractions is None:
        return {}
    weights = {name: statistic.weight for name, statistic in means.statistics.items()}
    return partial_volume_indices(scan.glucest, scan.tissue.fractions, weights)


def _without_reference(settings: AnalysisSettings) -> RegionEstimator:
    """What stands for a region of a map that others made, without denominator and tissues."""
    if settings.estimator in (RegionEstimator.RATIO_OF_MEANS, RegionEstimator.REGRESSION):
        return RegionEstimator.MEAN
    return settings.estimator


def _vendor_unit_known(inputs: StudyInputs) -> bool:
    return inputs.vendor_map is not None and inputs.vendor_map.unit_known


def _vendor(image: ScalarImage) -> GluCestMap:
    valid = np.isfinite(image.values) & (image.values > 0.0)
    return GluCestMap(
        percent=np.where(valid, image.values, np.nan),
        standard_error=np.full(image.values.shape, np.nan),
        valid=valid,
        grid=image.grid,
    )


def _asymmetry(
    statistics: Mapping[str, RegionStatistic],
    confidence: Confidence,
    volumes: VolumeResult,
    onset: Side | None,
    settings: AnalysisSettings,
    region_reasons: Mapping[str, str],
) -> AsymmetryResult:
    indices: dict[str, Estimate | None] = {}
    reasons: dict[str, str] = {}
    for structure, letter in INDEX_LETTER.items():
        epi, plain = f"dai_glu_{letter}_epi", f"dai_glu_{letter}"
        indices[epi] = indices[plain] = None
        try:
            left, right = (
                _usable(statistics, structure, side, settings, region_reasons) for side in Side
            )
            error = confidence.standard_error(epi)
            indices[epi] = replace(directional_asymmetry_epi(left, right), standard_error=error)
            if onset is not None:
                plain_index = directional_asymmetry(left, right, onset=onset)
                indices[plain] = replace(plain_index, standard_error=error)
        except NumericalError as fault:
            reasons[epi] = f"{structure}: {fault}"
        if indices[plain] is None:
            reasons[plain] = reasons.get(epi, ONSET_REASON)
    indices |= volumes.indices | {"dai_glu_ha": None}
    reasons |= {name: volumes.reasons[name] for name in volumes.indices if name in volumes.reasons}
    hippocampus, amygdala = indices["dai_glu_h_epi"], indices["dai_glu_a_epi"]
    if settings.combined_score is None:
        reasons["dai_glu_ha"] = SCORE_REASON
    elif hippocampus is None or amygdala is None:
        reasons["dai_glu_ha"] = "it needs the indices of hippocampus and amygdala"
    else:
        indices["dai_glu_ha"] = settings.combined_score.evaluate(hippocampus, amygdala)
    return AsymmetryResult(indices=indices, reasons=reasons)


def _indices_as_stated(
    place: T1Place,
    inputs: StudyInputs,
    scan: GluCestScan | None,
    tissue: StudyTissue,
    settings: AnalysisSettings,
    estimator: RegionEstimator,
) -> dict[str, float]:
    """The indices of the same map with regions where the headers put them, if that is elsewhere."""
    if scan is None or not place.corrected:
        return {}
    regions, _ = place_regions(inputs.regions, scan.glucest.grid, settings.edge_erosion_voxels)
    regions, _, _ = without_fluid(regions, tissue.fractions)
    statistics = region_means(
        scan.glucest, scan.fields, regions, estimator=estimator, tissue=tissue.fractions
    ).statistics
    found = {}
    for structure, letter in INDEX_LETTER.items():
        try:
            left, right = (_usable(statistics, structure, side, settings, {}) for side in Side)
            found[f"dai_glu_{letter}_epi"] = directional_asymmetry_epi(left, right).value
        except NumericalError:
            continue  # no index there to compare with
    return found


def _usable(
    statistics: Mapping[str, RegionStatistic],
    structure: Structure,
    side: Side,
    settings: AnalysisSettings,
    region_reasons: Mapping[str, str],
) -> Estimate:
    """The mean of one region.

    Raises
    ------
    NumericalError
        When the region is absent or too poor for an index.
    """
    name = f"{structure}_{side}"
    statistic = statistics.get(name)
    if statistic is None:
        why = region_reasons.get(name) or region_reasons.get("glucest_map") or "no GluCEST map"
        raise NumericalError(f"{side}: {why}")
    least = settings.min_effective_voxels[structure]
    if statistic.effective_voxels < least:
        raise NumericalError(
            f"{side}: {statistic.effective_voxels:.1f} effective voxels, at least {least:g} needed"
        )
    if statistic.largest_fraction < settings.min_largest_fraction:
        raise NumericalError(
            f"{side}: no voxel holds more than {statistic.largest_fraction:.2f} of the structure, "
            f"at least {settings.min_largest_fraction:g} needed"
        )
    if statistic.valid_fraction < settings.min_valid_fraction:
        raise NumericalError(
            f"{side}: {statistic.valid_fraction:.0%} of the region is valid (B0, B1, signal), "
            f"at least {settings.min_valid_fraction:.0%} needed"
        )
    return Estimate(value=statistic.value, standard_error=statistic.standard_error)


def _status(asymmetry: AsymmetryResult) -> Status:
    """Complete when both published indices exist; otherwise partial, with the reasons."""
    published = (asymmetry.indices["dai_glu_h_epi"], asymmetry.indices["dai_glu_a_epi"])
    return Status.PARTIAL if None in published else Status.COMPLETE


def _study_reasons(
    inputs: StudyInputs, asymmetry: AsymmetryResult, reasons: Mapping[str, str]
) -> tuple[str, ...]:
    lines = [f"{name}: {why}" for name, why in inputs.missing if name != MRS_ROLE]
    if "glucest_map" in reasons:
        lines.append(f"glucest_map: {reasons['glucest_map']}")
    lines += [
        f"{name}: {asymmetry.reasons[name]}"
        for name in ("dai_glu_h_epi", "dai_glu_a_epi")
        if asymmetry.indices[name] is None
    ]
    return tuple(dict.fromkeys(lines))


def _b0_name(settings: AnalysisSettings, source: str) -> str:
    return str(settings.glucest.b0_method) if source == RAW_SOURCE else "vendor"


def _b1_name(settings: AnalysisSettings, source: str) -> str:
    if source != RAW_SOURCE:
        return "vendor"
    method = settings.glucest.b1_method
    calibration = settings.glucest.b1_calibration
    if method in (B1Method.CALIBRATION, B1Method.ADDITIVE) and calibration is not None:
        return f"{method}: {calibration.name} ({calibration.provenance})"
    return str(method)


def _underlay(inputs: StudyInputs, glucest: GluCestMap | None) -> tuple[Real | None, str]:
    if glucest is None:
        return None, ""
    if inputs.anatomy is not None:
        try:
            average = slab_average(inputs.anatomy.values, inputs.anatomy.grid, glucest.grid)
        except GeometryError:
            pass  # another frame of reference: the CEST images themselves are shown instead
        else:
            return average, f"T1, averaged over {glucest.grid.slice_thickness_mm:g} mm"
    if inputs.saturation is not None:
        nearest = int(np.argmin(np.abs(inputs.saturation.offsets_ppm + 3.0)))
        return inputs.saturation.signal[nearest], "S(−3 ppm)"
    return np.nan_to_num(glucest.percent), "GluCEST map"
