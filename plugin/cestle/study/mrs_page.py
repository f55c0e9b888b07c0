"""What the page of the spectra shows, from the analysis and the texts of one language. Pure."""

from collections.abc import Mapping

import numpy as np

from cestle.gates import Gate
from cestle.measurement import Estimate
from cestle.mrs.result import CONVENTION, MegaResult
from cestle.mrs.series import EditState, PreparedMega
from cestle.render.blocks import Light, TextBlock
from cestle.render.content import Reference
from cestle.render.mrs_content import DriftContent, GateRow, MrsPage, RangeRow
from cestle.study.analysis import StudyAnalysis
from cestle.study.mrs_presentation import (
    DIFFERENCE_AREAS,
    RESEARCH_NAMES,
    VARIANTS,
    decimals_of,
    gate_name,
    hippocampal_share,
    number,
    side_name,
    spectra_panel,
    spectrum_content,
    voxel_caption,
)
from cestle.study.mrs_result import MrsResult, quality_reasons
from cestle.study.presentation import PatientBanner, Presentation, banner_lines, readable


def build_mrs_page(
    analysis: StudyAnalysis, presentation: Presentation, patient: PatientBanner
) -> MrsPage | None:
    """Collect what the page of the spectra shows; None where a study has no numbers of them.

    Parameters
    ----------
    analysis
        The study.
    presentation
        Texts and policies.
    patient
        Who the study is of.
    """
    text, results, mega = presentation.texts, analysis.results, analysis.mega
    panel = spectra_panel(analysis, text, presentation.edited_ppm)
    numbers = results.mrs.numbers
    if panel is None or mega is None or numbers is None:
        return None
    return MrsPage(
        title=text["mrs_page_title"].format(side=side_name(results.mrs.side, text)),
        patient_lines=banner_lines(patient, presentation, results.revision),
        warning=text["research_use"],
        footer=text["footer"].format(
            version=results.software_version, templates=results.templates_version
        ),
        more_text=text["more_lines"],
        panel=panel,
        difference=spectrum_content(mega.difference, text["mrs_difference"], DIFFERENCE_AREAS),
        drift=_drift(mega.prepared, text),
        plane_titles=(
            _titled(text["mrs_axial"], voxel_caption(analysis, text)),
            text["mrs_coronal"],
            # The last of the three has room beside it.
            _titled(text["mrs_sagittal"], hippocampal_share(results.mrs, text)),
        ),
        ranges=_ranges(numbers, text, presentation.ratio_references),
        ranges_note=text["mrs_ranges_note"].format(
            count=max((len(one.values) for one in numbers.model_spread.values()), default=0)
        ),
        gates=tuple(_gate_row(gate, text) for gate in results.mrs.gates),
        gates_title=text["mrs_gates"],
        gates_columns=tuple(text[f"mrs_column_{name}"] for name in ("value", "limit", "verdict")),
        protocol=tuple(
            (text[f"protocol_{item.key}"], item.value or text["mrs_not_stated"])
            for item in results.mrs.protocol
        ),
        protocol_title=text["mrs_protocol"],
        research=_research(numbers, text),
        research_title=text["mrs_research"],
        method=_method(numbers, text),
        notes=_notes(results.mrs, numbers, text),
    )


def _titled(name: str, more: str) -> str:
    """A title with what else is to be said there."""
    return f"{name} · {more}" if more else name


def _drift(prepared: PreparedMega, text: Mapping[str, str]) -> DriftContent:
    transients = prepared.transients
    return DriftContent(
        title=text["mrs_drift"],
        axis=text["mrs_drift_axis"],
        absent=text["mrs_no_transients"],
        frequency_hz=np.array([one.frequency_hz for one in transients], dtype=np.float64),
        on=np.array([one.state is EditState.ON for one in transients], dtype=np.bool_),
        rejected=np.array([one.rejected is not None for one in transients], dtype=np.bool_),
        on_text=text["mrs_edit_on"],
        off_text=text["mrs_edit_off"],
        rejected_text=text["mrs_rejected"],
    )


def _ranges(
    numbers: MegaResult, text: Mapping[str, str], references: Mapping[str, Reference]
) -> tuple[RangeRow, ...]:
    return tuple(
        _range_row(name, estimate, numbers, text, references.get(name))
        for name, estimate in (("gaba_cr", numbers.gaba_cr), ("glx_cr", numbers.glx_cr))
    )


def _range_row(
    name: str,
    estimate: Estimate,
    numbers: MegaResult,
    text: Mapping[str, str],
    reference: Reference | None,
) -> RangeRow:
    words = [number(estimate, text)]
    bound = numbers.crlb_percent.get(name)
    if bound is not None and np.isfinite(bound):
        words.append(text["mrs_crlb"].format(value=f"{bound:.0f}"))
    return RangeRow(
        name=text[f"mrs_{name}"],
        text=", ".join(words),
        value=estimate.value,
        interval=estimate.ci95,
        models=_models(name, numbers),
        published=None if reference is None else (reference.centre, reference.low, reference.high),
    )


def _models(name: str, numbers: MegaResult) -> tuple[float, float] | None:
    """Smallest and largest value over the choices of model; None for a single choice."""
    spread = numbers.model_spread.get(name)
    return spread.range if spread is not None and len(spread.values) > 1 else None


def _gate_row(gate: Gate, text: Mapping[str, str]) -> GateRow:
    limits = gate.limits
    unit = "" if limits.unit == "1" else f" {limits.unit}"
    relation = text["mrs_at_least" if limits.higher_is_better else "mrs_at_most"]
    bounds = [limits.warn] if limits.fail == limits.warn else [limits.warn, limits.fail]
    shown = " / ".join("–" if bound is None else f"{bound:g}" for bound in bounds)
    measured = gate.value is not None and np.isfinite(gate.value)
    value = f"{gate.value:.3g}{unit}" if measured else text["mrs_not_measured"]
    return GateRow(
        name=gate_name(gate, text),
        value=value.replace("-", "−"),
        limit=f"{relation} {shown}".replace("-", "−"),
        light=Light(gate.verdict.value),
        word=text[f"verdict_{gate.verdict}"],
    )


def _research(numbers: MegaResult, text: Mapping[str, str]) -> tuple[tuple[str, ...], ...]:
    """Other definitions of both ratios beside each other, then the other values."""
    ratios = ("gaba_cr", "glx_cr")
    rows: list[tuple[str, ...]] = [("", *(text[f"mrs_{name}"] for name in ratios))]
    if numbers.model_spread:
        spreads = (_models(name, numbers) for name in ratios)
        rows.append((text["mrs_models"], *(_span(one, text) for one in spreads)))
    for variant in VARIANTS:
        names = [f"{name}_{variant}" for name in ratios]
        if any(name in numbers.research for name in names):
            rows.append((text[f"mrs_{variant}"], *(_other(one, numbers, text) for one in names)))
    rows += [
        (text[f"mrs_{name}"], _other(name, numbers, text))
        for name in RESEARCH_NAMES
        if name in numbers.research
    ]
    return tuple(rows)


def _span(limits: tuple[float, float] | None, text: Mapping[str, str]) -> str:
    if limits is None:
        return text["mrs_none"]
    return " – ".join(f"{value:.3f}".replace("-", "−") for value in limits)


def _other(name: str, numbers: MegaResult, text: Mapping[str, str]) -> str:
    """A value for comparison; what cannot be told apart says so."""
    value = numbers.research.get(name)
    return text["mrs_not_separable"] if value is None else number(value, text, decimals_of(name))


def _method(numbers: MegaResult, text: Mapping[str, str]) -> TextBlock:
    # A translation holds for the convention that it translates, and for no other.
    known = numbers.convention == CONVENTION
    lines = (
        text["mrs_convention"].format(convention=CONVENTION) if known else numbers.convention,
        text["mrs_model"].format(value=numbers.model),
        text["mrs_basis"].format(value=numbers.basis),
    )
    return TextBlock(title=text["mrs_method"], lines=lines)


def _notes(mrs: MrsResult, numbers: MegaResult, text: Mapping[str, str]) -> TextBlock:
    """What is poor first, then what was decided and could not be checked."""
    lines = (*quality_reasons(numbers, mrs.gates), *mrs.notes)
    return TextBlock(
        title=text["mrs_notes"], lines=tuple(f"• {readable(line, text)}" for line in lines)
    )
