"""The results of a study, and their JSON form ``cestle-results/1``.

A value is never missing silently: where a number is None, `reasons` of the same block says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from cestle.anatomy.regions import RegionClass
from cestle.biomarkers.lateralization import Call as Call
from cestle.biomarkers.lateralization import LateralizationResult as LateralizationResult
from cestle.cest.uncertainty import ErrorBudget
from cestle.gates import Gate, worst
from cestle.measurement import Estimate, Side
from cestle.study.comparison import MethodComparison
from cestle.study.confidence import Confidence
from cestle.study.json_form import estimate_form, gate_form
from cestle.study.mrs_result import (
    MRS_SCOPE,
    CompositeResult,
    MrsResult,
    composite_form,
    mrs_form,
)
from cestle.study.region_origin import RegionsResult, regions_form
from cestle.study.t1_place import T1PlaceResult, place_form
from cestle.study.volumes import VolumeResult, volumes_form

SCHEMA: Final = "cestle-results/1"


class Status(StrEnum):
    """How much of the study could be computed."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Median and 5th and 95th percentile of a quantity over a region."""

    median: float
    p5: float
    p95: float


@dataclass(frozen=True, kw_only=True)
class RegionResult:
    """GluCEST of one region.

    Parameters
    ----------
    value
        What stands for the region in the indices, by the estimator of the block [%].
    mean, median, sd
        Weighted by each voxel's share of the region, over valid voxels [%].
    standard_error
        Of `value`, from the measurement [percentage points]; None where it cannot be known.
    voxels
        Effective number of voxels, (Σw)² / Σw².
    valid_fraction
        Share of the region's weight in the slab that lies in valid voxels.
    volume_in_slab_mm3
        Volume of the region that the CEST slab contains [mm³].
    b0_shift_ppm, relative_b1
        Fields over the region; None where no map was used.
    roi_source
        Where the region came from, in words.
    threshold_mean
        Mean over the voxels that lie mostly in the region; None with fewer than twenty [%].
    region_class
        Step of the ladder of sources.
    csf_share, csf_left_out
        Mean share of fluid over the region, and share of the region in voxels that hold too much
        of it to count; None where tissue shares are not known.
    """

    value: float
    mean: float
    median: float
    sd: float
    standard_error: float | None
    voxels: float
    valid_fraction: float
    volume_in_slab_mm3: float
    b0_shift_ppm: Spread | None
    relative_b1: Spread | None
    roi_source: str
    region_class: RegionClass
    threshold_mean: float | None = None
    csf_share: float | None = None
    csf_left_out: float | None = None


@dataclass(frozen=True, kw_only=True)
class GluCestResult:
    """The GluCEST block: the method and the regions, keyed ``hippocampus_left`` and so on.

    `tissue` is where tissue shares came from: "none", "t1" or "given".
    """

    computed: bool
    b0_method: str
    b1_method: str
    source: str
    estimator: str
    edge_erosion_voxels: int
    tissue: str
    rois: dict[str, RegionResult | None]
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AsymmetryResult:
    """Directional asymmetry indices by their name in the JSON form; None with a reason."""

    indices: dict[str, Estimate | None]
    reasons: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class OutputRecord:
    """One object that was made.

    Parameters
    ----------
    product
        Name in the series rules.
    sop_class_uid, sop_instance_uid
        What it is.
    path
        Its file, relative to the folder of the results.
    fallbacks
        The same object for destinations that do not take that class, by name, best first.
    """

    product: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    fallbacks: Mapping[str, "OutputRecord"] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MotionResult:
    """Motion between the saturation images, in the order of their acquisition.

    Parameters
    ----------
    verdict, reason
        What became of the registration, and why where it failed.
    displacement_mm
        In-plane displacement of each image, root mean square over the head [mm].
    moved
        Images that were interpolated back into place.
    """

    verdict: str
    reason: str
    displacement_mm: tuple[float, ...]
    moved: tuple[bool, ...]


@dataclass(frozen=True, kw_only=True)
class RequestedOptions:
    """What a person asked for, beside the configuration, when the study was processed.

    Parameters
    ----------
    form
        The options that were set, as a JSON tree.
    words
        One line for each of them.
    """

    form: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """All numbers of one revision of one study.

    Parameters
    ----------
    study_instance_uid, revision, software_version, templates_version
        What the numbers are of, and what made them.
    status, reasons
        How much could be computed, and why not all.
    glucest, asymmetry, lateralization
        The blocks of numbers.
    mrs, composite
        Spectroscopy, and the index that combines it with GluCEST.
    quality
        The quality gates of GluCEST, none for the vendor's map, then those of spectroscopy.
    confidence
        Error budgets and repeatability; empty for the vendor's map.
    comparison
        The indices by the method that is published most; None when the map was made that way.
    partial_volume
        Indices that partial volume alone would show with equal sides; empty where the shares of
        the tissues are not known.
    motion
        Motion between the saturation images; None when they were not registered.
    t1_place
        Where the T1 lies against the CEST slices; None when it was not searched for.
    volumes
        Volumes of the hippocampi; None when they were not asked for.
    onset_side
        As stated by an order or a person; None when nobody did.
    regions
        Where the regions came from, and what the result set before says.
    options
        What a person asked for beside the configuration.
    notes
        How offsets became known, and what was left aside.
    outputs
        Objects made.
    """

    study_instance_uid: str
    revision: int
    software_version: str
    templates_version: str
    status: Status
    reasons: tuple[str, ...]
    glucest: GluCestResult
    asymmetry: AsymmetryResult
    mrs: MrsResult
    composite: CompositeResult
    lateralization: LateralizationResult
    onset_side: Side | None
    quality: tuple[Gate, ...] = ()
    confidence: Confidence = field(default_factory=Confidence)
    comparison: MethodComparison | None = None
    partial_volume: dict[str, float] = field(default_factory=dict)
    motion: MotionResult | None = None
    regions: RegionsResult = field(default_factory=RegionsResult)
    t1_place: T1PlaceResult | None = None
    volumes: VolumeResult | None = None
    options: RequestedOptions = field(default_factory=RequestedOptions)
    notes: tuple[str, ...] = ()
    outputs: tuple[OutputRecord, ...] = ()

    @property
    def glucest_quality(self) -> tuple[Gate, ...]:
        """The quality gates apart from those of spectroscopy."""
        return tuple(gate for gate in self.quality if gate.scope != MRS_SCOPE)

    def to_json(self) -> dict[str, Any]:
        """The stable JSON form; others script against it."""
        glucest = self.glucest
        indices = {name: estimate_form(value) for name, value in self.asymmetry.indices.items()}
        lateralization = self.lateralization
        return {
            "schema": SCHEMA,
            "study_instance_uid": self.study_instance_uid,
            "revision": self.revision,
            "software": {
                "name": "cestle",
                "version": self.software_version,
                "templates": self.templates_version,
            },
            "options": dict(self.options.form),
            "status": self.status.value,
            "reasons": list(self.reasons),
            "notes": list(self.notes),
            "glucest": {
                "status": "ok" if glucest.computed else "not_computed",
                "reasons": [f"{key}: {text}" for key, text in glucest.reasons.items()],
                "method": {
                    "b0": glucest.b0_method,
                    "b1": glucest.b1_method,
                    "source": glucest.source,
                    "estimator": glucest.estimator,
                    "edge_erosion_voxels": glucest.edge_erosion_voxels,
                    "tissue": glucest.tissue,
                },
                "rois": {name: _region(value) for name, value in glucest.rois.items()},
            },
            "asymmetry": {**indices, "reasons": dict(self.asymmetry.reasons)},
            "comparison": None
            if self.comparison is None
            else {
                "method": {"b0": self.comparison.b0_method, "b1": self.comparison.b1_method},
                **self.comparison.indices,
            },
            "mrs": mrs_form(self.mrs),
            "composite": composite_form(self.composite),
            "volumes": None if self.volumes is None else volumes_form(self.volumes),
            "partial_volume_alone": dict(self.partial_volume),
            "lateralization": {
                "call": lateralization.call.value,
                "bare_call": lateralization.bare_call.value,
                "policy": lateralization.policy.value,
                "rule": lateralization.rule,
                "cutoff": lateralization.cutoff,
                "cutoff_source": lateralization.cutoff_source,
                "score": lateralization.score,
                "margin": lateralization.margin,
                "probability_left": lateralization.probability_left,
                "preliminary": lateralization.preliminary,
                "reasons": list(lateralization.reasons),
            },
            "regions": regions_form(self.regions, self.asymmetry.indices),
            "quality": {
                "verdict": worst(self.quality).value if self.quality else None,
                "gates": [gate_form(gate) for gate in self.quality],
            },
            "error_budget": {
                name: _budget(budget) for name, budget in self.confidence.budgets.items()
            },
            "repeatability": {
                name: {"first": one.first, "second": one.second}
                for name, one in self.confidence.repeatability.items()
            },
            "motion": None
            if self.motion is None
            else {
                "verdict": self.motion.verdict,
                "reason": self.motion.reason,
                "displacement_mm": list(self.motion.displacement_mm),
                "moved": list(self.motion.moved),
            },
            "t1_registration": place_form(self.t1_place),
            "outputs": [_output(record) for record in self.outputs],
        }


def _budget(budget: ErrorBudget) -> dict[str, float | None]:
    return {
        "noise": budget.noise,
        "b0_map": budget.b0_map,
        "b1": budget.b1,
        "motion": budget.motion,
        "partial_volume": budget.partial_volume,
        "region": budget.region,
        "total": budget.total,
    }


def _output(record: OutputRecord) -> dict[str, Any]:
    return {
        "product": record.product,
        "sop_class_uid": record.sop_class_uid,
        "sop_instance_uid": record.sop_instance_uid,
        "path": record.path,
        "fallbacks": {name: _output(one) for name, one in record.fallbacks.items()},
    }


def _spread(value: Spread | None) -> dict[str, float] | None:
    if value is None:
        return None
    return {"median": value.median, "p5": value.p5, "p95": value.p95}


def _region(value: RegionResult | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {
        "value": value.value,
        "mean": value.mean,
        "median": value.median,
        "sd": value.sd,
        "standard_error": value.standard_error,
        "threshold_half": value.threshold_mean,
        "voxels": value.voxels,
        "valid_fraction": value.valid_fraction,
        "volume_in_slab_mm3": value.volume_in_slab_mm3,
        "b0_shift_ppm": _spread(value.b0_shift_ppm),
        "relative_b1": _spread(value.relative_b1),
        "roi_source": value.roi_source,
        "region_class": str(value.region_class),
        "csf_share": value.csf_share,
        "csf_left_out": value.csf_left_out,
    }
