"""What the pictures show, from the analysis and the texts of one language. Pure."""

import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from typing import Final

import numpy as np

from cestle.anatomy.sampling import RegionEstimator
from cestle.anatomy.slab import centre_plane
from cestle.errors import GeometryError
from cestle.gates import Verdict, worst
from cestle.geometry import Grid
from cestle.measurement import Estimate, Side, Structure
from cestle.physics import Bool, Real
from cestle.render.colors import ColorScale
from cestle.render.content import (
    CallContent,
    IndexContent,
    IndexRow,
    Light,
    MapContent,
    PageContent,
    QualityBlock,
    Reference,
    RegionRow,
    ShownRegion,
    SlicePlace,
    TextBlock,
)
from cestle.render.panels import main_slice, slices_to_show
from cestle.study.analysis import StudyAnalysis
from cestle.study.mrs_presentation import MRS_TEXT_KEYS, spectra_panel
from cestle.study.region_presentation import (
    REGION_TEXT_KEYS,
    previous_line,
    source_lines,
    unverified_note,
)
from cestle.study.results import Call, RegionResult
from cestle.study.spectroscopy import MRS_ROLE
from cestle.study.t1_place import Placement, T1PlaceResult
from cestle.study.tissue import TissueOrigin
from cestle.study.volumes import NORMAL_ASYMMETRY, VolumeResult

TEXT_KEYS: Final = frozenset(
    {
        *("title", "research_use", "patient_name", "patient_id", "birth_date", "sex"),
        *("study_date", "revision", "map_caption", "montage_caption", "zoom_caption"),
        *(
            "anatomy_caption",
            "thin_caption",
            "bar_caption",
            "bar_note",
            "no_map_title",
            "no_map_reason",
        ),
        *(
            "column_region",
            "column_value",
            "column_voxels",
            "column_valid",
        ),
        *("column_b0", "column_b1"),
        *(f"estimator_{estimator.name.lower()}" for estimator in RegionEstimator),
        *("hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right"),
        *("label_hippocampus_left", "label_hippocampus_right"),
        *("label_amygdala_left", "label_amygdala_right"),
        *(
            "not_available",
            "not_available_because",
            "indices_title",
            "dai_glu_h_epi",
            "dai_glu_a_epi",
            "index_value",
        ),
        *("index_value_only", "cutoff_label", "reference_label", "lower_means", "upper_means"),
        *("call_left", "call_right", "call_indeterminate", "fact_rule", "fact_score"),
        *("fact_score_only", "fact_no_score", "not_a_diagnosis", "missing_title"),
        *("methods_title", "method_source_raw", "method_source_vendor_map", "method_fields"),
        *(f"tissue_{origin}" for origin in TissueOrigin),
        *(
            "method_regions",
            "method_error",
            "method_cutoff",
            "method_comparison",
            "method_volumes",
            "volumes_line",
            "vol_h",
            "method_vol_h_missing",
            "method_t1_corrected",
            "method_t1_change",
            "method_options",
            "mrs_not_assessed",
            "footer",
        ),
        *("more_lines", "map_title", "b0_title", "b1_title"),
        *("bare_left", "bare_right", "bare_indeterminate", "quality_title", "gate_line"),
        *("gates_passed", "budget_line"),
        *("verdict_pass", "verdict_warn", "verdict_fail", "verdict_none"),
        *("name_dai_glu_h_epi", "name_dai_glu_a_epi", "name_dai_glu_h", "name_dai_glu_a"),
        *("name_dai_vol_h_epi", "name_dai_vol_h", "name_dai_glu_ha", "name_glucest_map"),
        *("name_cest_source", "name_cest_map_vendor", "name_b0_map", "name_b1_map"),
        *("name_t1_3d", "name_roi", "name_hippocampus_left", "name_hippocampus_right"),
        *("name_amygdala_left", "name_amygdala_right"),
        *MRS_TEXT_KEYS,
        *REGION_TEXT_KEYS,
    }
)
"""Keys that every file in ``i18n/`` has, no more and no fewer."""

_REGION_ORDER: Final = (
    (Structure.HIPPOCAMPUS, Side.RIGHT),
    (Structure.HIPPOCAMPUS, Side.LEFT),
    (Structure.AMYGDALA, Side.RIGHT),
    (Structure.AMYGDALA, Side.LEFT),
)
_HEAD_SHARE: Final = 0.1
"""Share of the bright signal above which a voxel counts as inside the head in field pictures."""

_LEAST_VOXELS: Final = 8
"""A T1 of fewer along an axis shows no place."""

_THIN_SAMPLES: Final = 4
"""Samples of the thin T1 along each voxel."""
_MOST_OF_SLICE: Final = 0.5
"""Largest voxel of a T1 that is called thin, in thicknesses of the slice."""

_SHOWN_INDICES: Final = ("dai_glu_h_epi", "dai_glu_a_epi")


PHRASE_PREFIX: Final = "phrase:"
"""Begins the keys of texts that stand for a phrase of the results instead of a place."""
_NAME_PREFIX: Final = "name_"
_MACHINE_NAME: Final = re.compile(
    r"(?<![\w./-])("
    + "|".join(
        sorted(
            (key.removeprefix(_NAME_PREFIX) for key in TEXT_KEYS if key.startswith(_NAME_PREFIX)),
            key=len,
            reverse=True,
        )
    )
    + r")(?!\w|\.\w)"
)


def readable(sentence: str, text: Mapping[str, str]) -> str:
    """A sentence of the results in the words that people read.

    Parameters
    ----------
    sentence
        Such as ``dai_glu_h_epi: no region was sent``.
    text
        Texts of one language; its phrases are translated, names of ``results.json`` replaced.
    """
    for key, shown in text.items():
        if key.startswith(PHRASE_PREFIX):
            sentence = _phrase(key.removeprefix(PHRASE_PREFIX)).sub(_filling(shown), sentence)
    return _MACHINE_NAME.sub(lambda found: text[_NAME_PREFIX + found[1]], sentence)


@cache
def _phrase(english: str) -> re.Pattern[str]:
    """What a phrase with words in braces looks like when they are filled in."""
    parts = (
        re.escape(literal) + ("" if name is None else f"(?P<{name}>[^;]+?)")
        for literal, name, _, _ in string.Formatter().parse(english)
    )
    return re.compile("".join(parts) + r"(?=$|[^\w.]|\.(?:\s|$))")


def _filling(shown: str) -> Callable[[re.Match[str]], str]:
    return lambda found: shown.format(**found.groupdict())


class BannerPolicy(StrEnum):
    """How much of the patient stands in the pixels of the colour page."""

    FULL = "full"
    ID_ONLY = "id_only"
    INITIALS = "initials"
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class PatientBanner:
    """The patient and the study, as the header of the sources says; empty where it says nothing.

    Parameters
    ----------
    name
        Name as it can be drawn.
    patient_id, birth_date, sex
        As in the header.
    study_date
        Date of the study, readable.
    """

    name: str = ""
    patient_id: str = ""
    birth_date: str = ""
    sex: str = ""
    study_date: str = ""

    @property
    def initials(self) -> str:
        """First letters of the parts of the name."""
        parts = self.name.replace("^", " ").split()
        return "".join(f"{part[0].upper()}." for part in parts)


@dataclass(frozen=True, kw_only=True)
class Presentation:
    """How the pictures look and speak.

    Parameters
    ----------
    texts
        One text for each of `TEXT_KEYS`.
    scale, b0_scale, b1_scale
        Colours of GluCEST [%], B0 shift [ppm] and relative B1.
    index_half_width
        Half width of the asymmetry axis.
    references
        Published spread by name of the index.
    banner_policy
        What the page says of the patient.
    edited_ppm
        Chemical shifts between which the edited signals are shown [ppm].
    ratio_references
        Published spread of the ratios of spectroscopy by name.
    """

    texts: Mapping[str, str]
    scale: ColorScale
    b0_scale: ColorScale
    b1_scale: ColorScale
    index_half_width: float
    references: Mapping[str, Reference]
    banner_policy: BannerPolicy
    edited_ppm: tuple[float, float]
    ratio_references: Mapping[str, Reference]


def signed(value: float, decimals: int) -> str:
    """A number with sign, written with a true minus."""
    return f"{value:+.{decimals}f}".replace("-", "−")


def build_page(
    analysis: StudyAnalysis, presentation: Presentation, patient: PatientBanner
) -> PageContent:
    """Collect what the colour page shows.

    Parameters
    ----------
    analysis
        The study.
    presentation
        Texts, colours and policies.
    patient
        Who the study is of.

    Returns
    -------
        The page, also for a study without a map.
    """
    text, results = presentation.texts, analysis.results
    picture = map_content(analysis, presentation)
    return PageContent(
        title=text["title"],
        patient_lines=banner_lines(patient, presentation, results.revision),
        warning=text["research_use"],
        picture=picture,
        no_picture=TextBlock(title=text["no_map_title"], lines=_no_map_lines(analysis, text)),
        map_caption=_map_caption(analysis, picture, text),
        zoom_caption=text["zoom_caption"],
        anatomy_caption=text["anatomy_caption"].format(
            underlay=readable(analysis.underlay_name, text)
        ),
        pair_captions=(readable(analysis.underlay_name, text), text["thin_caption"]),
        bar_caption=(text["bar_caption"], text["bar_note"]),
        picture_note=unverified_note(results.regions, text),
        slice_place=_slice_place(analysis),
        columns=tuple(
            text[f"column_{key}"].format(estimator=_estimator(analysis, text))
            for key in ("region", "value", "voxels", "valid", "b0", "b1")
        ),
        rows=tuple(_region_row(analysis, *pair, text) for pair in _REGION_ORDER),
        volumes=_volumes(results.volumes, text),
        indices=_indices(analysis, presentation),
        call=_call(analysis, text),
        quality=_quality(analysis, text),
        missing=_missing(analysis, text),
        methods=_methods(analysis, text),
        footer=text["footer"].format(
            version=results.software_version, templates=results.templates_version
        ),
        more_text=text["more_lines"],
        spectra=spectra_panel(analysis, text, presentation.edited_ppm),
    )


def banner_lines(
    patient: PatientBanner, presentation: Presentation, revision: int
) -> tuple[str, ...]:
    """The patient as far as the policy allows, then the study.

    Parameters
    ----------
    patient
        Who the study is of.
    presentation
        Texts and policy.
    revision
        Number of the result set.
    """
    text, policy = presentation.texts, presentation.banner_policy
    number = text["patient_id"].format(value=patient.patient_id)
    parts: list[str] = []
    if policy is BannerPolicy.FULL:
        parts = [
            text["patient_name"].format(value=patient.name) if patient.name else "",
            number,
            text["birth_date"].format(value=patient.birth_date) if patient.birth_date else "",
            text["sex"].format(value=patient.sex) if patient.sex else "",
        ]
    elif policy is BannerPolicy.INITIALS:
        parts = [patient.initials, number]
    elif policy is BannerPolicy.ID_ONLY:
        parts = [number]
    study = [
        text["study_date"].format(value=patient.study_date or "–"),
        text["revision"].format(value=revision),
    ]
    return ("  ·  ".join(part for part in parts if part), "  ·  ".join(study))


def map_content(analysis: StudyAnalysis, presentation: Presentation) -> MapContent | None:
    """The GluCEST map with its regions; None without a map."""
    if analysis.glucest is None or analysis.underlay is None:
        return None
    content = MapContent(
        values=analysis.glucest.percent,
        valid=analysis.glucest.valid,
        underlay=analysis.underlay,
        grid=analysis.glucest.grid,
        regions=_shown_regions(analysis, presentation.texts),
        scale=presentation.scale,
    )
    return replace(content, thin=_thin(analysis, content.grid, main_slice(content)))


def _thin(analysis: StudyAnalysis, grid: Grid, index: int) -> Real | None:
    """The T1 in the middle plane of a slice; None where it is not much thinner than the slice."""
    anatomy = analysis.placed.anatomy
    if anatomy is None:
        return None
    if max(anatomy.grid.spacing_mm) > _MOST_OF_SLICE * grid.slice_thickness_mm:
        return None
    try:
        return centre_plane(anatomy.values, anatomy.grid, grid, index, _THIN_SAMPLES)
    except GeometryError:
        return None  # another frame of reference: no place in it is known


def field_contents(
    analysis: StudyAnalysis, presentation: Presentation
) -> dict[str, tuple[MapContent, str]]:
    """B0 and B1 maps with their titles, keyed ``b0`` and ``b1``; empty without field maps."""
    fields, text = analysis.inputs.fields, presentation.texts
    if fields is None:
        return {}
    regions = _shown_regions(analysis, text) if analysis.glucest is not None else ()
    head = _signal_mask(analysis)
    underlay = analysis.underlay
    if underlay is None or underlay.shape != fields.grid.shape:
        underlay = np.zeros(fields.grid.shape)

    def content(values: Real, scale: ColorScale) -> MapContent:
        return MapContent(
            values=values,
            valid=np.isfinite(values) & head,
            underlay=underlay,
            grid=fields.grid,
            regions=regions,
            scale=scale,
        )

    pictures = {"b0": (content(fields.b0_shift_ppm, presentation.b0_scale), text["b0_title"])}
    if fields.relative_b1 is not None:
        pictures["b1"] = (content(fields.relative_b1, presentation.b1_scale), text["b1_title"])
    return pictures


def _slice_place(analysis: StudyAnalysis) -> SlicePlace | None:
    """The T1 through the left hippocampus, or through what is there, with the slices.

    The T1 lies where it was used, so that the lines cross what the slices hold.
    """
    anatomy, glucest = analysis.placed.anatomy, analysis.glucest
    if anatomy is None or glucest is None or min(anatomy.grid.shape) < _LEAST_VOXELS:
        return None
    if anatomy.grid.frame_of_reference_uid != glucest.grid.frame_of_reference_uid:
        return None
    drawn = sorted(analysis.placed.regions, key=lambda one: one.name != "hippocampus_left")
    middle = anatomy.grid.to_lps((np.array(anatomy.grid.shape) - 1.0) / 2.0)
    x_mm = float(drawn[0].centroid_lps_mm[0] if drawn else middle[0])
    return SlicePlace(values=anatomy.values, grid=anatomy.grid, slices=glucest.grid, x_mm=x_mm)


def _signal_mask(analysis: StudyAnalysis) -> Bool:
    """Voxels with signal in the saturation images; outside the head field maps mean nothing."""
    saturation = analysis.inputs.saturation
    if saturation is None:
        return np.ones(1, dtype=np.bool_)
    mean = saturation.signal.mean(axis=0)
    mask: Bool = mean > _HEAD_SHARE * float(np.percentile(mean, 99.0))
    return mask


def _shown_regions(analysis: StudyAnalysis, text: Mapping[str, str]) -> tuple[ShownRegion, ...]:
    return tuple(
        ShownRegion(
            structure=region.structure,
            side=region.side,
            label=text[f"label_{region.name}"],
            fraction=region.fraction,
            verified=region.source.region_class.verified,
        )
        for region in analysis.regions
    )


def _map_caption(
    analysis: StudyAnalysis, picture: MapContent | None, text: Mapping[str, str]
) -> str:
    if picture is None:
        return ""
    thickness, shown = picture.grid.slice_thickness_mm, slices_to_show(picture)
    total = picture.grid.shape[0]
    if len(shown) == 1:
        return text["map_caption"].format(
            slice=main_slice(picture) + 1,
            total=total,
            thickness=f"{thickness:g}",
            underlay=readable(analysis.underlay_name, text),
        )
    return text["montage_caption"].format(
        shown=len(shown), total=total, thickness=f"{thickness:g}", zoom=main_slice(picture) + 1
    )


def _no_map_lines(analysis: StudyAnalysis, text: Mapping[str, str]) -> tuple[str, ...]:
    reasons = analysis.results.glucest.reasons
    own = [reasons[key] for key in ("glucest_map", "rois", "source") if key in reasons]
    other = [
        f"{name}: {why}"
        for name, why in analysis.inputs.missing
        if why not in own and name != MRS_ROLE
    ]
    return tuple(readable(line, text) for line in own + other) or (text["no_map_reason"],)


def _region_row(
    analysis: StudyAnalysis, structure: Structure, side: Side, text: Mapping[str, str]
) -> RegionRow:
    name = f"{structure}_{side}"
    glucest = analysis.results.glucest
    result = glucest.rois.get(name)
    if result is None:
        why = glucest.reasons.get(name)
        shown = text["not_available"]
        if why:
            shown = text["not_available_because"].format(reason=readable(why, text))
        cells: tuple[str, ...] = (shown,)
    else:
        cells = _region_cells(result)
    return RegionRow(side=side, name=text[name], cells=cells)


def _region_cells(result: RegionResult) -> tuple[str, ...]:
    error = "" if result.standard_error is None else f" ± {result.standard_error:.2f}"
    b0, b1 = result.b0_shift_ppm, result.relative_b1
    return (
        f"{result.value:.2f}{error}".replace("-", "−"),
        f"{result.voxels:.0f}",
        f"{100.0 * result.valid_fraction:.0f}",
        "–" if b0 is None else signed(b0.median, 2),
        "–" if b1 is None else f"{b1.median:.2f}",
    )


def _indices(analysis: StudyAnalysis, presentation: Presentation) -> IndexContent:
    text, results = presentation.texts, analysis.results
    rows = [
        _index_row(
            text,
            name,
            results.asymmetry.indices.get(name),
            presentation.references.get(name),
        )
        for name in _SHOWN_INDICES
    ]
    cutoff = results.lateralization.cutoff
    return IndexContent(
        title=text["indices_title"],
        rows=tuple(rows),
        cutoff=cutoff,
        cutoff_text=text["cutoff_label"].format(value=f"{cutoff:g}"),
        half_width=presentation.index_half_width,
        lower_text=text["lower_means"],
        upper_text=text["upper_means"],
        reference_text=text["reference_label"],
    )


def _index_row(
    text: Mapping[str, str],
    name: str,
    estimate: Estimate | None,
    reference: Reference | None,
) -> IndexRow:
    if estimate is None:
        shown = text["not_available"]
    elif estimate.ci95 is None:
        shown = text["index_value_only"].format(value=signed(estimate.value, 4))
    else:
        low, high = (signed(end, 3) for end in estimate.ci95)
        shown = text["index_value"].format(value=signed(estimate.value, 4), low=low, high=high)
    return IndexRow(
        name=text[name],
        value=None if estimate is None else estimate.value,
        interval=None if estimate is None else estimate.ci95,
        text=shown,
        reference=reference,
    )


def _call(analysis: StudyAnalysis, text: Mapping[str, str]) -> CallContent:
    call = analysis.results.lateralization
    side = {Call.LEFT: Side.LEFT, Call.RIGHT: Side.RIGHT}.get(call.call)
    # Without a score the bare rule says nothing, which is not "on the cut-off".
    bare = text["not_available" if call.score is None else f"bare_{call.bare_call}"]
    facts = [text["fact_rule"].format(rule=readable(call.rule, text), bare=bare)]
    if call.score is None or call.margin is None:
        facts.append(text["fact_no_score"])
    else:
        key = "fact_score_only" if call.probability_left is None else "fact_score"
        facts.append(
            text[key].format(
                score=signed(call.score, 4),
                margin=signed(call.margin, 4),
                probability=_probability(call.probability_left),
            )
        )
    headline = text[f"call_{call.call}"]
    if call.preliminary:
        headline = text["call_preliminary"].format(headline=headline)
    return CallContent(
        headline=headline,
        side=side,
        facts=tuple(facts),
        reasons=(*(readable(one, text) for one in call.reasons), text["not_a_diagnosis"]),
    )


def _probability(value: float | None) -> str:
    if value is None:
        return ""
    if 0.01 <= value <= 0.99:
        return f"= {value:.2f}"
    return "> 0.99" if value > 0.5 else "< 0.01"


def _quality(analysis: StudyAnalysis, text: Mapping[str, str]) -> QualityBlock:
    """The worst gates first, then where the uncertainty of the deciding index comes from."""
    gates = analysis.results.glucest_quality
    poor = [gate for gate in gates if gate.verdict is not Verdict.PASS]
    poor.sort(key=lambda gate: gate.verdict is not Verdict.FAIL)
    lines = [
        text["gate_line"].format(
            verdict=text[f"verdict_{gate.verdict}"], sentence=readable(gate.sentence, text)
        )
        for gate in poor
    ]
    if gates and not poor:
        lines.append(text["gates_passed"].format(count=len(gates)))
    index = analysis.results.lateralization.rule.split()[0]
    budget = analysis.results.confidence.budgets.get(index)
    if budget is not None:
        terms = (budget.noise, budget.b0_map, budget.b1, budget.motion, budget.partial_volume)
        shown = ["–" if term is None else f"{term:.3f}" for term in terms]
        names = ("noise", "b0_map", "b1", "motion", "place")
        values = dict(zip(names, shown, strict=True))
        line = text["budget_line"].format(index=readable(index, text), **values)
        if budget.region is not None:
            line += text["budget_region"].format(region=f"{budget.region:.3f}")
        lines.append(line)
    previous = analysis.results.regions.previous
    if previous is not None:
        lines.insert(0, previous_line(previous, analysis.results.asymmetry.indices, text))
    light = Light(worst(gates).value) if gates else Light.NONE
    return QualityBlock(
        title=text["quality_title"],
        light=light,
        word=text[f"verdict_{light}"],
        lines=tuple(lines),
    )


def _missing(analysis: StudyAnalysis, text: Mapping[str, str]) -> TextBlock:
    results = analysis.results
    # Why spectra are not for use stands beside them.
    beside = results.mrs.shortfall if results.mrs.numbers is not None else ()
    lines = [f"• {readable(reason, text)}" for reason in results.reasons if reason not in beside]
    if "source" in results.glucest.reasons:
        lines.append(f"• {readable(results.glucest.reasons['source'], text)}")
    lines += [f"• {readable(note, text)}" for note in results.regions.notes]
    if results.mrs.numbers is None and not results.mrs.sent:
        reasons = "; ".join(results.mrs.reasons)
        lines.append("• " + text["mrs_not_assessed"].format(reason=readable(reasons, text)))
    if results.mrs.usable and results.composite.reason is not None:
        lines.append(f"• {text['mrs_composite']}: {readable(results.composite.reason, text)}")
    return TextBlock(title=text["missing_title"], lines=tuple(lines))


def _methods(analysis: StudyAnalysis, text: Mapping[str, str]) -> TextBlock:
    results = analysis.results
    glucest = results.glucest
    origins = source_lines(results.regions, text)
    error = "method_error_unverified" if results.regions.unverified else "method_error"
    lines = [
        text[f"method_source_{glucest.source}"],
        text["method_fields"].format(
            b0=glucest.b0_method, b1=glucest.b1_method, tissue=text[f"tissue_{glucest.tissue}"]
        ),
        text["method_regions"].format(
            sources="; ".join(origins) or "–", estimator=_estimator(analysis, text)
        ),
        *_t1_place(results.t1_place, text),
        text[error],
        text["method_cutoff"].format(
            cutoff=f"{results.lateralization.cutoff:g}",
            source=readable(results.lateralization.cutoff_source, text),
        ),
    ]
    lines += _about_volumes(results.volumes, text)
    if results.comparison is not None:
        shown = ", ".join(
            f"{readable(name, text)} {text['not_available'] if value is None else signed(value, 4)}"
            for name, value in results.comparison.indices.items()
        )
        lines.append(text["method_comparison"].format(indices=shown))
    if results.options.words:
        words = "; ".join(readable(line, text) for line in results.options.words)
        lines.append(text["method_options"].format(options=words))
    return TextBlock(title=text["methods_title"], lines=(" ".join(lines),))


def _t1_place(place: T1PlaceResult | None, text: Mapping[str, str]) -> list[str]:
    """Where the T1 lies against the CEST slices, and the indices without a correction."""
    if place is None or place.placement is not Placement.CORRECTED:
        return []  # where no place was found, a gate says so
    lines = [
        text["method_t1_corrected"].format(
            size=f"{place.size_mm:.1f}", angle=f"{place.angle_deg:.1f}"
        )
    ]
    if place.indices_as_stated:
        shown = ", ".join(
            f"{readable(name, text)} {signed(value, 4)}"
            for name, value in place.indices_as_stated.items()
        )
        lines.append(text["method_t1_change"].format(indices=shown))
    return lines


def _volumes(volumes: VolumeResult | None, text: Mapping[str, str]) -> str:
    """Volumes of both hippocampi, their asymmetry and their share of the head, in one line."""
    if volumes is None or None in volumes.hippocampus_mm3.values():
        return ""
    left, right = (f"{(volumes.hippocampus_mm3[side] or 0.0) / 1000.0:.2f}" for side in Side)
    index = volumes.indices["dai_vol_h_epi"]
    share, whole = volumes.mean_vol_h, volumes.intracranial_mm3
    return text["volumes_line"].format(
        left=left,
        right=right,
        index="–" if index is None else signed(index.value, 3),
        share=text["not_available"]
        if share is None or whole is None
        else text["vol_h"].format(value=f"{share:.3f}", litres=f"{whole / 1e6:.2f}"),
    )


def _about_volumes(volumes: VolumeResult | None, text: Mapping[str, str]) -> list[str]:
    """The normal spread of the asymmetry of volumes, and why there is no share of the head."""
    if volumes is None or None in volumes.hippocampus_mm3.values():
        return []
    spread = sorted(NORMAL_ASYMMETRY.values())
    lines = [text["method_volumes"].format(low=f"{spread[0]:.3f}", high=f"{spread[-1]:.3f}")]
    if volumes.mean_vol_h is None:
        reason = readable(volumes.reasons["vol_h"], text).rstrip(".")
        lines.append(text["method_vol_h_missing"].format(reason=reason))
    return lines


def _estimator(analysis: StudyAnalysis, text: Mapping[str, str]) -> str:
    estimator = RegionEstimator(analysis.results.glucest.estimator)
    return text[f"estimator_{estimator.name.lower()}"]
