"""What the results say of spectroscopy and of the composite, and the JSON form of both."""

from dataclasses import dataclass, field
from typing import Any, Final

from cestle.gates import Gate, Verdict, worst
from cestle.measurement import Estimate, Side
from cestle.mrs.result import MegaResult, ModelSpread
from cestle.study.json_form import estimate_form, finite, gate_form
from cestle.study.voxel_place import MRS_SCOPE as MRS_SCOPE
from cestle.study.voxel_place import VoxelPlace, place_form

NOT_SEPARABLE: Final = "it cannot be told apart from other signals in this measurement"
NO_TRANSIENTS: Final = "transients: the scanner sent averages, single ones cannot be counted"

_QC_GATES: Final = {
    "water_fwhm_hz": "water_fwhm",
    "metabolite_fwhm_hz": "metabolite_fwhm",
    "snr": "snr",
    "frequency_drift_hz": "drift",
}
"""Numbers of the quality block by the name of the gate that measured them."""


@dataclass(frozen=True, kw_only=True)
class ProtocolItem:
    """A line of the MRSinMRS table (doi:10.1002/nbm.4484).

    Parameters
    ----------
    key
        What is stated, such as ``acquisition_timing``.
    value
        The statement; None where neither header nor configuration says it.
    """

    key: str
    value: str | None


@dataclass(frozen=True, kw_only=True)
class MrsResult:
    """MEGA-PRESS of one study.

    Parameters
    ----------
    computed
        Whether there are numbers.
    reasons
        Why there are none, or why they are not for use; empty when all is well.
    side
        The patient's side of the voxel, from its place; None where that does not tell.
    numbers
        The numbers; None when there are none.
    sent
        Whether the study held spectra that were to be analysed.
    notes
        How side, order and signs were decided, and what could not be checked.
    voxel_centre_mm
        Centre of the voxel in LPS [mm]; None without geometry.
    place
        What the voxel holds.
    protocol
        The MRSinMRS table; empty when there are no numbers.
    """

    computed: bool
    reasons: tuple[str, ...]
    side: Side | None
    numbers: MegaResult | None
    sent: bool = False
    notes: tuple[str, ...] = ()
    voxel_centre_mm: tuple[float, float, float] | None = None
    place: VoxelPlace = field(default_factory=VoxelPlace)
    protocol: tuple[ProtocolItem, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether there are numbers and quality allows their use."""
        return self.numbers is not None and self.numbers.usable

    @property
    def status(self) -> str:
        """``ok``, ``not_for_use`` or ``not_computed``."""
        if self.numbers is None:
            return "not_computed"
        return "ok" if self.usable else "not_for_use"

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The quality gates, with those of the voxel's place; none without numbers."""
        return () if self.numbers is None else (*self.numbers.gates, *self.place.gates)

    @property
    def shortfall(self) -> tuple[str, ...]:
        """Why a study that held spectra has no usable numbers of them; empty when it has."""
        if self.usable or not self.sent:
            return ()
        return tuple(f"{MRS_SCOPE}: {reason}" for reason in self.reasons)


@dataclass(frozen=True, kw_only=True)
class CompositeResult:
    """The composite DAIglu_GABA; None with a reason."""

    dai_glu_gaba: Estimate | None
    reason: str | None


def composite_form(composite: CompositeResult) -> dict[str, Any]:
    """The block ``composite`` of ``results.json``."""
    return {
        "dai_glu_gaba": estimate_form(composite.dai_glu_gaba),
        "reasons": {} if composite.reason is None else {"dai_glu_gaba": composite.reason},
    }


def mrs_form(mrs: MrsResult) -> dict[str, Any]:
    """The block ``mrs`` of ``results.json``; without numbers every one of them is null."""
    numbers = mrs.numbers
    head: dict[str, Any] = {
        "status": mrs.status,
        "reasons": list(mrs.reasons),
        "usable": mrs.usable,
        "side": None if mrs.side is None else mrs.side.value,
        "voxel_centre_mm": None if mrs.voxel_centre_mm is None else list(mrs.voxel_centre_mm),
        **place_form(mrs.place),
        "notes": list(mrs.notes),
    }
    if numbers is None:
        absent = ("convention", "gaba_cr", "glx_cr", "glx_gaba", "crlb_percent", "model_spread")
        more = ("research", "model", "basis", "protocol", "gates", "qc")
        return head | dict.fromkeys((*absent, *more))
    return (
        head
        | _numbers_form(numbers)
        | {
            "protocol": {item.key: item.value for item in mrs.protocol},
            "gates": [gate_form(gate) for gate in mrs.gates],
            "qc": _qc_form(numbers, mrs.gates),
        }
    )


def _numbers_form(numbers: MegaResult) -> dict[str, Any]:
    return {
        "convention": numbers.convention,
        "gaba_cr": estimate_form(numbers.gaba_cr),
        "glx_cr": estimate_form(numbers.glx_cr),
        "glx_gaba": estimate_form(numbers.glx_gaba),
        "crlb_percent": {name: finite(value) for name, value in numbers.crlb_percent.items()},
        "model_spread": {name: _spread_form(one) for name, one in numbers.model_spread.items()},
        "research": {name: estimate_form(value) for name, value in numbers.research.items()},
        "research_reasons": {
            name: NOT_SEPARABLE for name, value in numbers.research.items() if value is None
        },
        "model": numbers.model,
        "basis": numbers.basis,
    }


def _spread_form(spread: ModelSpread) -> dict[str, Any]:
    low, high = spread.range
    return {"low": low, "high": high, "values": dict(spread.values)}


def _qc_form(numbers: MegaResult, gates: tuple[Gate, ...]) -> dict[str, Any]:
    """Quality in few numbers; a warning passes, with its reason."""
    found = {name: numbers.gate(gate) for name, gate in _QC_GATES.items()}
    return {
        **{name: None if gate is None else finite(gate.value) for name, gate in found.items()},
        "transients_used": numbers.transients_used,
        "transients_rejected": numbers.transients_rejected,
        "transients_left_out": list(numbers.transients_left_out),
        "verdict": "pass" if numbers.usable else "fail",
        "worst": worst(gates).value,
        "reasons": quality_reasons(numbers, gates),
    }


def quality_reasons(numbers: MegaResult, gates: tuple[Gate, ...]) -> list[str]:
    """A sentence for each gate that did not pass or could not be measured, failures first."""
    poor = [gate for gate in gates if gate.verdict is not Verdict.PASS or gate.value is None]
    order = list(Verdict)
    poor.sort(key=lambda gate: -order.index(gate.verdict))
    lines = [gate.sentence for gate in poor]
    return lines if numbers.transients_used is not None else [*lines, NO_TRANSIENTS]
