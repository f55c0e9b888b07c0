"""The numbers and the call as a Comprehensive 3D SR after TID 1500 (PS3.16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydicom
from highdicom import sr
from pydicom import Dataset

from cestle.config.reporting import IndexGroup, ReportRow, TemplateSet
from cestle.dicom import report_spectroscopy as spectroscopy
from cestle.dicom.coding import ascii_text, coded
from cestle.dicom.identity import MANUFACTURER, MODEL, OutputContext
from cestle.dicom.observer import device_observer
from cestle.dicom.references import reference
from cestle.dicom.segmentation import segment_label, tracking_uid
from cestle.errors import HeaderError
from cestle.gates import Gate, Verdict, worst
from cestle.measurement import Side, Structure
from cestle.study.analysis import StudyAnalysis
from cestle.study.region_origin import previous_sentence, sentence
from cestle.study.results import Status
from cestle.study.roles import Role
from cestle.study.spectroscopy import MRS_ROLE
from cestle.study.t1_place import place_comments
from cestle.study.volumes import VolumeResult

PRODUCT: Final = "report"
NOT_COMPUTED: Final = "not_computed"
QUALITY: Final = {
    Verdict.PASS: "quality_pass",
    Verdict.WARN: "quality_warn",
    Verdict.FAIL: "quality_poor",
}

_LIBRARY_KEYWORDS: Final = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("Modality", "FrameOfReferenceUID", "Rows", "Columns", "PixelSpacing"),
    *("ImageOrientationPatient", "ImagePositionPatient", "SliceThickness"),
)

_SPECTRA: Final = (Role.MRS_MEGA, Role.MRS_WATER)

Groups = list[
    sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportSources:
    """The objects that a report refers to.

    Parameters
    ----------
    maps
        The unfinished map images.
    segmentation
        The unfinished segmentation; None without one.
    segment_numbers
        Segment by name of the region.
    received
        Headers of all sources by role.
    """

    maps: Sequence[Dataset]
    segmentation: Dataset | None
    segment_numbers: Mapping[str, int]
    received: Mapping[str, Sequence[Dataset]]


def build_report(
    analysis: StudyAnalysis, sources: ReportSources, context: OutputContext
) -> Dataset:
    """Build the report, patient and study still to be written.

    Parameters
    ----------
    analysis
        The study; a report is also made of one that gave nothing, and says why.
    sources
        What the report refers to.
    context
        What all objects share.

    Raises
    ------
    HeaderError
        When the predecessor is a report of another study.
    """
    builder = _Builder(analysis, sources, context)
    templates = context.templates
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device_observer()),
        procedure_reported=coded(templates, "procedure_reported"),
        imaging_measurements=builder.groups(),
        title=coded(templates, "report_title"),
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            coded(templates, "english")
        ),
        referenced_images=_library(sources.received) or None,
    )
    return sr.Comprehensive3DSR(
        evidence=_evidence(sources),
        content=content[0],
        series_instance_uid=context.series_uid(PRODUCT),
        series_number=context.series_number(PRODUCT),
        sop_instance_uid=context.instance_uid(PRODUCT),
        instance_number=1,
        manufacturer=MANUFACTURER,
        # Spectroscopy is an arm of the examination: without it the report is a partial one.
        is_complete=analysis.results.status is Status.COMPLETE and analysis.results.mrs.usable,
        is_final=False,
        is_verified=False,
        previous_versions=_predecessors(context),
    )


class _Builder:
    """The measurement groups, in the order of the template."""

    def __init__(
        self, analysis: StudyAnalysis, sources: ReportSources, context: OutputContext
    ) -> None:
        self._analysis = analysis
        self._sources = sources
        self._context = context
        self._templates: TemplateSet = context.templates
        self._report = context.templates.report
        self._tree = analysis.results.to_json()

    def groups(self) -> Groups:
        """All groups."""
        groups: Groups = [self._region(name) for name in self._report.region_groups.regions]
        groups += [self._index(group) for group in self._report.index_groups]
        groups += [self._call(), self._mrs()]
        return groups

    def _code(self, name: str) -> sr.CodedConcept:
        return coded(self._templates, name)

    def _region(
        self, name: str
    ) -> (
        sr.VolumetricROIMeasurementsAndQualitativeEvaluations
        | sr.MeasurementsAndQualitativeEvaluations
    ):
        structure, side = name.rsplit("_", 1)
        measurements = self._numbers(self._report.region_groups.rows, name)
        site = sr.FindingSite(anatomic_location=self._code(structure), laterality=self._code(side))
        tracking = sr.TrackingIdentifier(
            uid=tracking_uid(name, self._context),
            identifier=segment_label(Structure(structure), Side(side)),
        )
        number = self._sources.segment_numbers.get(name)
        segmentation = self._sources.segmentation
        if not measurements or number is None or segmentation is None:
            return self._plain(
                tracking=tracking,
                finding=structure,
                site=site,
                measurements=measurements,
                evaluations=[] if measurements else [self._reason(self._region_code(name))],
                comments=() if measurements else (self._region_reason(name),),
            )
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            referenced_segment=self._referenced_segment(segmentation, number),
            finding_type=self._code(structure),
            finding_sites=[site],
            measurements=measurements,
        )

    def _referenced_segment(self, segmentation: Dataset, number: int) -> sr.ReferencedSegment:
        return sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=number,
            source_images=[
                sr.SourceImageForSegmentation(
                    referenced_sop_class_uid=image.SOPClassUID,
                    referenced_sop_instance_uid=image.SOPInstanceUID,
                )
                for image in self._sources.maps
            ],
        )

    def _index(self, group: IndexGroup) -> sr.MeasurementsAndQualitativeEvaluations:
        indices = self._tree[group.block]
        block = indices.get(group.index)
        numbers = [] if block is None else self._index_numbers(group, block)
        reason = indices["reasons"].get(group.index, "not computed")
        return self._plain(
            tracking=self._tracking(group.index, self._code(group.index).meaning),
            finding=group.finding,
            site=sr.FindingSite(anatomic_location=self._code(group.site)),
            measurements=[*numbers, *self._numbers(group.rows, None)],
            evaluations=[] if numbers else [self._reason(self._index_code(group))],
            comments=(*(() if numbers else (reason,)), *self._row_reasons(group)),
        )

    def _row_reasons(self, group: IndexGroup) -> list[str]:
        """Why a row beside known volumes has no value."""
        volumes = self._analysis.results.volumes
        if volumes is None or None in volumes.hippocampus_mm3.values():
            return []
        return [
            f"{self._code(row.name).meaning}: not computed, {volumes.reasons[row.name]}"
            for row in group.rows
            if row.name in volumes.reasons
        ]

    def _index_numbers(self, group: IndexGroup, block: Mapping[str, Any]) -> list[sr.Measurement]:
        low, high = block["ci95"] or (None, None)
        values = (
            (group.index, block["value"]),
            ("dai_standard_error", block["standard_error"]),
            ("dai_ci_low", low),
            ("dai_ci_high", high),
            ("dai_comparison", (self._tree["comparison"] or {}).get(group.index)),
            ("dai_partial_volume", self._tree["partial_volume_alone"].get(group.index)),
            *self._budget(group.index),
        )
        return [
            sr.Measurement(
                name=self._code(name),
                value=float(value),
                unit=self._code("ratio"),
                method=self._code(group.method) if name == group.index else None,
                algorithm_id=self._algorithm() if name == group.index else None,
            )
            for name, value in values
            if value is not None
        ]

    def _budget(self, index: str) -> list[tuple[str, float | None]]:
        """Where the error of an index comes from; a term that cannot be known is None."""
        budget = self._analysis.results.confidence.budgets.get(index)
        if budget is None:
            return []
        return [
            ("error_noise", budget.noise),
            ("error_b0_map", budget.b0_map),
            ("error_b1", budget.b1),
            ("error_motion", budget.motion),
            ("error_place", budget.partial_volume),
            ("error_region", budget.region),
        ]

    def _quality(self) -> list[sr.QualitativeEvaluation]:
        gates = self._analysis.results.glucest_quality
        return [self._assessment(gates)] if gates else []

    def _assessment(self, gates: Sequence[Gate]) -> sr.QualitativeEvaluation:
        value = self._code(QUALITY[worst(gates)])
        return sr.QualitativeEvaluation(name=self._code("quality_assessment"), value=value)

    def _call(self) -> sr.MeasurementsAndQualitativeEvaluations:
        group = self._report.call_group
        call = self._analysis.results.lateralization
        values = {str(name): value for name, value in group.values.items()}
        evaluations = [
            sr.QualitativeEvaluation(name=self._code(name), value=self._code(values[said]))
            for name, said in (
                ("lateralization_call", call.call),
                ("lateralization_bare_call", call.bare_call),
            )
        ]
        comments = (
            self._templates.series.research_comment,
            "An observation on GluCEST, no diagnosis.",
            f"rule: {call.rule}; policy: {call.policy}",
            self._estimator(),
            *place_comments(self._analysis.results.t1_place),
            *call.reasons,
            *(f"quality {gate.verdict}: {gate.sentence}" for gate in self._poor_gates()),
            *self._analysis.results.reasons,
            *self._analysis.results.glucest.reasons.values(),
        )
        return self._plain(
            tracking=self._tracking("call", "GluCEST lateralization"),
            finding=group.finding,
            site=sr.FindingSite(anatomic_location=self._code("brain")),
            measurements=self._numbers(group.rows, None),
            evaluations=[*evaluations, *self._quality()],
            comments=tuple(dict.fromkeys(comments)),
            texts=[("region_source", line) for line in self._region_lines()],
        )

    def _region_lines(self) -> list[str]:
        """Who drew the regions, what was left out, and what the result set before says."""
        regions = self._analysis.results.regions
        lines = [sentence(structure, origin) for structure, origin in regions.structures.items()]
        lines += regions.notes
        if regions.previous is not None:
            indices = self._analysis.results.asymmetry.indices
            lines.append(previous_sentence(regions.previous, indices))
        return lines

    def _estimator(self) -> str:
        glucest = self._analysis.results.glucest
        estimator = glucest.estimator.replace("_", " ")
        return (
            f"value of a region: {estimator}, {glucest.edge_erosion_voxels} layer(s) of voxels "
            "left out at its edge"
        )

    def _poor_gates(self) -> list[Gate]:
        gates = self._analysis.results.glucest_quality
        return [gate for gate in gates if gate.verdict is not Verdict.PASS]

    def _mrs(self) -> sr.MeasurementsAndQualitativeEvaluations:
        """The ratios with all that defines and qualifies them, or why there are none."""
        mrs, group = self._analysis.results.mrs, self._report.mrs_group
        side = None if mrs.side is None else self._code(mrs.side)
        # Viewers that show little else show this heading.
        mark = " - NOT FOR USE" if mrs.numbers is not None and not mrs.usable else ""
        return self._plain(
            tracking=self._tracking("mrs", f"Edited MRS{mark}"),
            finding=group.finding,
            site=sr.FindingSite(anatomic_location=self._code(group.site), laterality=side),
            measurements=[*self._ratios(), *self._numbers(group.quality_rows, None)],
            evaluations=self._mrs_evaluations(),
            comments=(),
            texts=spectroscopy.texts(mrs),
            sources=()
            if mrs.numbers is None
            else spectroscopy.source_references(
                self._sources.received.get(MRS_ROLE, ()), self._templates
            ),
            of_maps=False,
        )

    def _ratios(self) -> list[sr.Measurement]:
        """Ratios and their errors; those that are not for use carry it as a qualifier."""
        results = self._analysis.results
        return self._numbers(
            self._report.mrs_group.rows,
            None,
            qualifier=None if results.mrs.usable else self._code("measurement_failure"),
            algorithm=spectroscopy.algorithm(results.mrs, MODEL, results.software_version),
        )

    def _mrs_evaluations(self) -> list[sr.QualitativeEvaluation]:
        mrs = self._analysis.results.mrs
        if mrs.numbers is None:
            return [self._reason(spectroscopy.not_computed_code(mrs))]
        use = self._code("mrs_usable" if mrs.usable else "mrs_not_for_use")
        return [
            self._assessment(mrs.gates),
            sr.QualitativeEvaluation(name=self._code("mrs_usability"), value=use),
        ]

    def _plain(
        self,
        *,
        tracking: sr.TrackingIdentifier,
        finding: str,
        site: sr.FindingSite,
        measurements: list[sr.Measurement],
        evaluations: list[sr.QualitativeEvaluation],
        comments: tuple[str, ...],
        texts: Sequence[tuple[str, str]] = (),
        sources: Sequence[sr.ContentItem] = (),
        of_maps: bool = True,
    ) -> sr.MeasurementsAndQualitativeEvaluations:
        """A TID 1501 group with texts and sources, which highdicom has no parameter for."""
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking,
            finding_type=self._code(finding),
            finding_sites=[site],
            measurements=measurements or None,
            qualitative_evaluations=evaluations or None,
            source_images=[
                sr.SourceImageForMeasurementGroup(
                    referenced_sop_class_uid=image.SOPClassUID,
                    referenced_sop_instance_uid=image.SOPInstanceUID,
                )
                for image in (self._sources.maps if of_maps else ())
            ]
            or None,
        )
        for name, text in (*(("comment", comment) for comment in comments), *texts):
            group[0].ContentSequence.append(
                sr.TextContentItem(
                    name=self._code(name),
                    value=ascii_text(text),
                    relationship_type=sr.RelationshipTypeValues.CONTAINS,
                )
            )
        group[0].ContentSequence.extend(sources)
        return group

    def _numbers(
        self,
        rows: Sequence[ReportRow],
        region: str | None,
        *,
        qualifier: sr.CodedConcept | None = None,
        algorithm: sr.AlgorithmIdentification | None = None,
    ) -> list[sr.Measurement]:
        """The rows that have a value; none is ever written without one."""
        found = []
        for row in rows:
            value = value_at(self._tree, row.source.replace("{region}", region or ""))
            if value is None:
                continue
            found.append(
                sr.Measurement(
                    name=self._code(row.name),
                    value=float(value),
                    unit=self._code(row.unit),
                    qualifier=qualifier,
                    derivation=None if row.derivation is None else self._code(row.derivation),
                    method=None if row.method is None else self._code(row.method),
                    algorithm_id=self._algorithm()
                    if row.derivation == "mean"
                    else (algorithm if row.source.endswith(".value") else None),
                )
            )
        return found

    def _algorithm(self) -> sr.AlgorithmIdentification:
        """TID 4019: how the number was made, with the rule and its source."""
        results = self._analysis.results
        call, method = results.lateralization, results.glucest
        return sr.AlgorithmIdentification(
            name=MODEL,
            version=results.software_version,
            parameters=[
                ascii_text(line)
                for line in (
                    f"source: {method.source}",
                    f"b0: {method.b0_method}",
                    f"b1: {method.b1_method}",
                    f"tissue shares: {method.tissue}",
                    f"rule: {call.rule}",
                    f"cut-off: {call.cutoff:g}",
                    f"cut-off source: {call.cutoff_source}",
                    f"templates: {self._templates.label}",
                    *(f"asked for: {words}" for words in results.options.words),
                )
            ],
        )

    def _tracking(self, part: str, identifier: str) -> sr.TrackingIdentifier:
        return sr.TrackingIdentifier(
            uid=self._context.uid(f"tracking.{part}"), identifier=identifier
        )

    def _reason(self, code: str) -> sr.QualitativeEvaluation:
        return sr.QualitativeEvaluation(name=self._code(NOT_COMPUTED), value=self._code(code))

    def _region_reason(self, name: str) -> str:
        reasons = self._analysis.results.glucest.reasons
        return reasons.get(name) or reasons.get("glucest_map") or "not computed"

    def _region_code(self, name: str) -> str:
        """Why a region has no mean, as a code."""
        if self._analysis.glucest is None:
            return "no_data"
        supplied = {region.name for region in self._analysis.inputs.regions}
        return "quality_fail" if name in supplied else "roi_missing"

    def _volume_code(self, volumes: VolumeResult, group: IndexGroup) -> str:
        """Why an index of the volumes has no value, as a code."""
        if None in volumes.hippocampus_mm3.values():
            return "no_data"
        if volumes.indices["dai_vol_h_epi"] is None:
            return "quality_fail"
        return "side_unknown" if group.method != "method_lr" else "quality_fail"

    def _index_code(self, group: IndexGroup) -> str:
        """Why an index has no value, as a code."""
        mrs = self._analysis.results.mrs
        if group.block == "composite" and not mrs.usable:
            return "no_data" if mrs.numbers is None else "quality_fail"
        onset = self._analysis.inputs.onset_side
        volumes = self._analysis.results.volumes
        if volumes is not None and group.index in volumes.indices:
            return self._volume_code(volumes, group)
        rois = self._analysis.results.glucest.rois
        names = [f"{group.site}_{side}" for side in Side]
        absent = [self._region_code(name) for name in names if rois.get(name) is None]
        if absent:
            return absent[0]
        if onset is None and group.method != "method_lr":
            return "side_unknown"
        if group.block == "composite" and mrs.side is not onset:
            return "voxel_elsewhere"
        return "quality_fail"


def value_at(tree: Mapping[str, Any], path: str) -> float | None:
    """The number at a dotted path of the results; None where a part of it is null or absent."""
    node: Any = tree
    for part in path.split("."):
        if not isinstance(node, Mapping) or node.get(part) is None:
            return None
        node = node[part]
    return float(node)


def _evidence(sources: ReportSources) -> list[Dataset]:
    objects = [*sources.maps]
    objects += [] if sources.segmentation is None else [sources.segmentation]
    objects += [dataset for received in sources.received.values() for dataset in received]
    unique = {str(dataset.SOPInstanceUID): dataset for dataset in objects}
    return [reference(dataset) for dataset in unique.values()]


def _library(received: Mapping[str, Sequence[Dataset]]) -> list[Dataset]:
    """One plain image of each source series; objects without a plane of their own are left out.

    Spectra are no images, even where their header states a plane.
    """
    library: dict[str, Dataset] = {}
    images = [datasets for role, datasets in received.items() if role not in _SPECTRA]
    for datasets in images:
        for dataset in datasets:
            if all(dataset.get(keyword) not in (None, "") for keyword in _LIBRARY_KEYWORDS):
                library.setdefault(str(dataset.SeriesInstanceUID), _plain_image(dataset))
    return list(library.values())


def _plain_image(dataset: Dataset) -> Dataset:
    image = Dataset()
    for keyword in _LIBRARY_KEYWORDS:
        image.add(dataset[keyword])
    return image


def _predecessors(context: OutputContext) -> list[Dataset] | None:
    path = context.identity.predecessor
    if path is None:
        return None
    previous = pydicom.dcmread(path, stop_before_pixels=True)
    if previous.StudyInstanceUID != context.header.study_instance_uid:
        raise HeaderError(
            f"the report of the revision before belongs to study {previous.StudyInstanceUID}, "
            f"study {context.header.study_instance_uid} was expected; name the right one."
        )
    return [reference(previous)]
