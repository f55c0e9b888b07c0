"""What the pictures show of the spectra, from the analysis and the texts of one language. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cestle.gates import Gate, Verdict, worst
from cestle.measurement import Estimate, Side, Structure
from cestle.mrs.result import FitCurves, MegaResult
from cestle.mrs.series import Voxel
from cestle.physics import Bool, Real
from cestle.render.blocks import Light
from cestle.render.mrs_content import (
    Legend,
    RatioRow,
    ShownOutline,
    Signal,
    SpectraPanel,
    SpectrumContent,
    VoxelContent,
)
from cestle.study.analysis import StudyAnalysis
from cestle.study.mrs_protocol import PROTOCOL_KEYS
from cestle.study.mrs_result import MrsResult
from cestle.study.spectroscopy import in_one_frame

RATIO_NAMES: Final = ("gaba_cr", "glx_cr", "glx_gaba")
"""The reported ratios, in order."""

VARIANTS: Final = ("half", "peaks", "paper")
"""Other definitions of both ratios, such as ``gaba_cr_half``, in order."""
RESEARCH_NAMES: Final = (
    *("gaba_tcr", "glx_tcr_off", "glu_tcr_off", "mm_fraction", "naa_snr", "tcr_snr"),
)
"""Other values for comparison and research, in order."""

GATE_NAMES: Final = (
    *("water_fwhm", "metabolite_fwhm", "snr", "drift", "transients_kept", "subtraction_cho"),
    *("subtraction_cr", "fit_crlb", "fit_residual", "lineshape", "plausible_gaba"),
    *("plausible_glx", "naa_sign", "lipid", "voxel_fluid", "voxel_hippocampus"),
)
"""Quality gates of spectroscopy, in order."""

MRS_TEXT_KEYS: Final = frozenset(
    {
        *("mrs_title", "mrs_page_title", "mrs_side_left", "mrs_side_right", "mrs_side_none"),
        *("mrs_off", "mrs_edited", "mrs_difference", "mrs_data", "mrs_fit", "mrs_baseline"),
        *(
            "mrs_residual",
            "mrs_voxel",
            "mrs_no_place",
            "mrs_no_t1",
            "mrs_other_frame",
            "mrs_quality",
        ),
        *("mrs_convention_short", "mrs_stamp", "mrs_value", "mrs_value_only"),
        *("mrs_poor", "mrs_voxel_tissue", "mrs_voxel_hippocampus"),
        *("mrs_composite", "mrs_none", "mrs_axial", "mrs_coronal", "mrs_sagittal"),
        *("mrs_drift", "mrs_drift_axis", "mrs_no_transients", "mrs_edit_on", "mrs_edit_off"),
        *("mrs_rejected", "mrs_ranges_note", "mrs_gates", "mrs_column_value"),
        *("mrs_column_limit", "mrs_column_verdict", "mrs_at_most", "mrs_at_least"),
        *("mrs_not_measured", "mrs_protocol", "mrs_not_stated", "mrs_research", "mrs_notes"),
        *("mrs_not_separable", "mrs_method", "mrs_convention", "mrs_model", "mrs_basis"),
        *("mrs_crlb", "mrs_models", "name_mrs", "name_mrs_mega"),
        *(f"mrs_{name}" for name in (*RATIO_NAMES, *VARIANTS, *RESEARCH_NAMES)),
        *(f"gate_{name}" for name in GATE_NAMES),
        *(f"protocol_{name}" for name in PROTOCOL_KEYS),
    }
)
"""Keys of the texts of spectroscopy; every file in ``i18n/`` has them."""

DIFFERENCE_AREAS: Final = {"GABA+": (2.8, 3.2), "Glx": (3.6, 3.9)}
"""Where the areas of the numerators lie in ON − OFF, by group [ppm]."""
NAMED: Final = ("NAA", "tCr", "tCho", "mIns", "Glu", "MM", "lipid")
"""Other groups that are named on the pictures, the most telling first."""
OFF_AREAS: Final = {"tCr": (2.9, 3.15)}
"""Where the area of the denominator lies in OFF, by group [ppm]."""

_LIKELY: Final = 1e-9
"""Volume below which a box is no voxel [mL]."""


def spectra_panel(
    analysis: StudyAnalysis, text: Mapping[str, str], edited_ppm: tuple[float, float]
) -> SpectraPanel | None:
    """The spectra for the colour page; None where the study has no numbers of them.

    Parameters
    ----------
    analysis
        The study.
    text
        Texts of one language.
    edited_ppm
        Range of chemical shifts in which the edited signals are shown [ppm].
    """
    mega, mrs = analysis.mega, analysis.results.mrs
    if mega is None or mrs.numbers is None:
        return None
    voxel = voxel_content(analysis)
    place = voxel_caption(analysis, text) if voxel is not None else _no_voxel(analysis, text)
    notes = [*_poor(mrs.gates, text), *_content(mrs, text), text["mrs_convention_short"]]
    return SpectraPanel(
        title=text["mrs_title"].format(side=side_name(mrs.side, text)),
        off=spectrum_content(mega.off, text["mrs_off"], OFF_AREAS),
        edited=spectrum_content(mega.difference, text["mrs_edited"], DIFFERENCE_AREAS, edited_ppm),
        legend=Legend(
            data=text["mrs_data"],
            fit=text["mrs_fit"],
            baseline=text["mrs_baseline"],
            residual=text["mrs_residual"],
        ),
        voxel=voxel,
        voxel_text=place,
        ratios=(*_ratios(mrs.numbers, text), _composite(analysis, text)),
        light=Light(worst(mrs.gates).value),
        quality_title=text["mrs_quality"],
        quality_word=text[f"verdict_{worst(mrs.gates)}"],
        notes=tuple(notes if voxel is not None else [*notes, place]),
        stamp="" if mrs.usable else text["mrs_stamp"],
    )


def spectrum_content(
    curves: FitCurves,
    title: str,
    areas: Mapping[str, tuple[float, float]],
    limits_ppm: tuple[float, float] | None = None,
) -> SpectrumContent:
    """A spectrum, or the part of it between two chemical shifts.

    Parameters
    ----------
    curves
        Spectrum and fit.
    title
        Which spectrum.
    areas
        Groups whose area is filled, and where [ppm].
    limits_ppm
        Lowest and highest chemical shift to show; all that was fitted when None, or when nothing
        was fitted between them [ppm].
    """
    shown = np.ones(curves.ppm.shape, dtype=np.bool_)
    if limits_ppm is not None:
        inside = _between(curves.ppm, limits_ppm)
        shown = inside if np.count_nonzero(inside) > 1 else shown
    return SpectrumContent(
        title=title,
        ppm=curves.ppm[shown],
        data=curves.data[shown],
        fit=curves.fit[shown],
        baseline=curves.baseline[shown],
        signals=tuple(
            Signal(
                label=name,
                values=_area(curves, name, areas)[shown],
                filled=name in areas,
            )
            for name in dict.fromkeys((*areas, *NAMED))
            if name in curves.parts
        ),
    )


def _area(curves: FitCurves, name: str, areas: Mapping[str, tuple[float, float]]) -> Real:
    """A group's signal; only within its area where it has one."""
    values = curves.parts[name]
    if name not in areas:
        return values
    area: Real = np.where(_between(curves.ppm, areas[name]), values, 0.0)
    return area


def _between(ppm: Real, limits: tuple[float, float]) -> Bool:
    inside: Bool = (ppm >= limits[0]) & (ppm <= limits[1])
    return inside


def voxel_content(analysis: StudyAnalysis) -> VoxelContent | None:
    """The voxel on the T1; None without T1, without a box in space, or in another frame."""
    anatomy, voxel = analysis.inputs.anatomy, _voxel(analysis)
    if anatomy is None or voxel is None or not in_one_frame(voxel, anatomy.grid):
        return None
    return VoxelContent(
        values=anatomy.values,
        grid=anatomy.grid,
        centre_mm=voxel.centre_mm,
        edges_mm=voxel.edges_mm,
        side=analysis.results.mrs.side,
        # A region on a single thick slice has no shape at right angles to it.
        outlines=tuple(
            ShownOutline(
                structure=region.structure,
                side=region.side,
                fraction=region.fraction,
                grid=region.grid,
            )
            for region in analysis.inputs.regions
            if region.structure is Structure.HIPPOCAMPUS
            and region.grid.shape[0] > 1
            and in_one_frame(voxel, region.grid)
        ),
    )


def voxel_caption(analysis: StudyAnalysis, text: Mapping[str, str]) -> str:
    """Side and size of the voxel; empty without a voxel in space."""
    voxel = _voxel(analysis)
    if voxel is None:
        return ""
    letter = {Side.LEFT: "L", Side.RIGHT: "R", None: "?"}[analysis.results.mrs.side]
    size = "×".join(f"{edge:.0f}" for edge in np.linalg.norm(voxel.edges_mm, axis=1))
    return text["mrs_voxel"].format(side=letter, size=size)


def hippocampal_share(mrs: MrsResult, text: Mapping[str, str]) -> str:
    """What the voxel holds of the hippocampus, in words; empty where that is not known."""
    share = mrs.place.hippocampus
    if share is None:
        return ""
    return text["mrs_voxel_hippocampus"].format(share=f"{100.0 * share:.0f}")


def _content(mrs: MrsResult, text: Mapping[str, str]) -> list[str]:
    """One line of what the voxel holds; none where nothing is known."""
    words = [hippocampal_share(mrs, text)]
    tissue = mrs.place.tissue
    if tissue is not None:
        shares = {"grey": tissue.grey, "white": tissue.white, "fluid": tissue.fluid}
        shown = {name: f"{100.0 * share:.0f}" for name, share in shares.items()}
        words.append(text["mrs_voxel_tissue"].format(**shown))
    line = "; ".join(word for word in words if word)
    return [line] if line else []


def number(estimate: Estimate, text: Mapping[str, str], decimals: int = 3) -> str:
    """A value with its standard error, where that is known."""
    value = f"{estimate.value:.{decimals}f}".replace("-", "−")
    if estimate.standard_error is None:
        return text["mrs_value_only"].format(value=value)
    error = f"{estimate.standard_error:.{decimals}f}"
    return text["mrs_value"].format(value=value, error=error)


def decimals_of(name: str) -> int:
    """Decimals that a value is written with."""
    if name.endswith("_snr"):
        return 0
    return 2 if name == "glx_gaba" or "tcr" in name else 3


def _voxel(analysis: StudyAnalysis) -> Voxel | None:
    series = analysis.inputs.mega
    if series is None or series.voxel is None:
        return None
    edges = series.voxel.edges_mm
    finite = np.all(np.isfinite(edges)) and np.all(np.isfinite(series.voxel.centre_mm))
    solid = finite and abs(float(np.linalg.det(edges))) > 1000.0 * _LIKELY
    return series.voxel if solid else None


def _no_voxel(analysis: StudyAnalysis, text: Mapping[str, str]) -> str:
    if _voxel(analysis) is None:
        return text["mrs_no_place"]
    return text["mrs_no_t1" if analysis.inputs.anatomy is None else "mrs_other_frame"]


def _ratios(numbers: MegaResult, text: Mapping[str, str]) -> list[RatioRow]:
    values = {"gaba_cr": numbers.gaba_cr, "glx_cr": numbers.glx_cr, "glx_gaba": numbers.glx_gaba}
    return [
        RatioRow(name=text[f"mrs_{name}"], value=number(values[name], text, decimals_of(name)))
        for name in RATIO_NAMES
    ]


def _composite(analysis: StudyAnalysis, text: Mapping[str, str]) -> RatioRow:
    composite = analysis.results.composite.dai_glu_gaba
    value = text["mrs_none"] if composite is None else number(composite, text, 2)
    return RatioRow(name=text["mrs_composite"], value=value)


def gate_name(gate: Gate, text: Mapping[str, str]) -> str:
    """What a gate is called on the pictures."""
    return text[f"gate_{gate.name}"] if gate.name in GATE_NAMES else gate.name


def _poor(gates: Sequence[Gate], text: Mapping[str, str]) -> list[str]:
    """Which gates failed and which warned, by name."""
    lines = []
    for verdict in (Verdict.FAIL, Verdict.WARN):
        names = [gate_name(gate, text) for gate in gates if gate.verdict is verdict]
        if names:
            line = text["mrs_poor"].format(
                verdict=text[f"verdict_{verdict}"], names=", ".join(names)
            )
            lines.append(line)
    return lines


def side_name(side: Side | None, text: Mapping[str, str]) -> str:
    """The side of the voxel in words."""
    return text[f"mrs_side_{side or 'none'}"]
