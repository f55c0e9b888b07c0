"""Volumes of the hippocampi and their asymmetry, from regions that hold whole structures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from cestle.anatomy.regions import Region
from cestle.biomarkers.asymmetry import directional_asymmetry, directional_asymmetry_epi
from cestle.errors import NumericalError
from cestle.gates import Gate, Limits, Verdict
from cestle.geometry import Grid
from cestle.measurement import Estimate, Side, Structure
from cestle.study.json_form import estimate_form
from cestle.study.t1_place import drawn_on_slices

VOLUME_INDICES: Final = ("dai_vol_h_epi", "dai_vol_h")
ATLAS_SCALING: Final = "atlas scaling"
"""Method of the intracranial volume, which an affine to a template gives; it cancels in indices."""
ONSET_REASON: Final = "the side of seizure onset was not stated"

LEAST_MM3: Final = 1000.0
LARGEST_INDEX: Final = 0.35
NORMAL_ASYMMETRY: Final = {"FreeSurfer": 0.044, "FSL-FIRST": 0.098}
"""90th percentile of the size of (L − R)/(L + R) in normal adults by tool (PMC7964497)."""

ASYMMETRY: Final = Limits(
    quantity="size of the asymmetry of hippocampal volume",
    unit="1",
    warn=LARGEST_INDEX,
    fail=None,
    higher_is_better=False,
    action="check segmentation and surgery",
)
SIZE: Final = Limits(
    quantity="volume of the hippocampus",
    unit="mm3",
    warn=LEAST_MM3,
    fail=None,
    higher_is_better=True,
    action="check segmentation and surgery",
)
LENGTH: Final = Limits(
    quantity="length of the shorter hippocampus, front to back, over that of the longer one",
    unit="1",
    warn=0.75,
    fail=None,
    higher_is_better=True,
    action="check segmentation and surgery",
)
"""Labelled by person or program, seven heads had 0.95 to 1; with one side cut to half its volume,
in front or behind, at most 0.63, of which the asymmetry of volumes alone sees a third."""
SMALL_HEAD: Final = Limits(
    quantity="volume inside the skull",
    unit="L",
    warn=1.0,
    fail=None,
    higher_is_better=True,
    action="check the T1",
)
LARGE_HEAD: Final = replace(SMALL_HEAD, warn=2.0, higher_is_better=False)
"""Heads of adults hold 1.0 to 2.0 litres."""
SMALL_SHARE: Final = Limits(
    quantity="hippocampus over the volume inside the skull",
    unit="%",
    warn=0.07,
    fail=None,
    higher_is_better=True,
    action="check segmentation, surgery and the T1",
)
LARGE_SHARE: Final = replace(SMALL_SHARE, warn=0.40, higher_is_better=False)
"""Four standard deviations around 0.234 %, whose published quartiles are 0.212 and 0.269."""

ATLAS_REASON: Final = (
    "not available from the automatic atlas, which draws both sides after its own symmetric shape"
)

_FINE_MM: Final = 2.0
_SLICES_OF_3D: Final = 3
_ENDS: Final = (0.01, 0.99)
"""Share of the voxels before each end, so that a stray one does not make a structure long."""


@dataclass(frozen=True, kw_only=True)
class VolumeResult:
    """Volumes of the hippocampi.

    Parameters
    ----------
    hippocampus_mm3
        Volume by side; None where no region gives one [mm³].
    intracranial_mm3
        Volume inside the skull by atlas scaling; None where it is not known [mm³].
    indices
        Asymmetry of the volumes by name; None with a reason.
    reasons
        Why a number is absent, by ``hippocampus_left``, ``vol_h`` or the name of the index.
    gates
        Whether the volumes are those of a hippocampus.
    """

    hippocampus_mm3: dict[Side, float | None]
    intracranial_mm3: float | None
    indices: dict[str, Estimate | None]
    reasons: dict[str, str]
    gates: tuple[Gate, ...] = ()

    @property
    def vol_h(self) -> dict[Side, float | None]:
        """Hippocampus over intracranial volume by side [%]; None where a reason withholds it."""
        whole = None if "vol_h" in self.reasons else self.intracranial_mm3
        return {
            side: None if volume is None or whole is None else 100.0 * volume / whole
            for side, volume in self.hippocampus_mm3.items()
        }

    @property
    def mean_vol_h(self) -> float | None:
        """Mean of both sides [%]; None where one is absent."""
        values = [value for value in self.vol_h.values() if value is not None]
        return sum(values) / len(values) if len(values) == len(Side) else None


def gives_volume(region: Region, cest: Grid | None) -> bool:
    """Whether a region holds the whole structure in fine voxels, so that its volume is known.

    One that was drawn on the CEST slices holds only what they cover.

    Parameters
    ----------
    region
        As drawn, on its own grid.
    cest
        Grid of the CEST series; None without one.
    """
    if cest is not None and drawn_on_slices(region.grid, cest):
        return False
    filled = np.count_nonzero(region.fraction.any(axis=(1, 2)))
    return max(region.grid.spacing_mm) <= _FINE_MM and bool(filled >= _SLICES_OF_3D)


def gives_both_volumes(regions: Iterable[Region], cest: Grid | None) -> bool:
    """Whether both hippocampi have a volume that an intracranial one can be held against.

    Parameters
    ----------
    regions
        As drawn, each on its own grid.
    cest
        Grid of the CEST series; None without one.
    """
    sides = {
        one.side
        for one in regions
        if one.structure is Structure.HIPPOCAMPUS
        and one.source.region_class.verified
        and gives_volume(one, cest)
    }
    return sides == set(Side)


def hippocampal_volumes(
    regions: Iterable[Region],
    cest: Grid | None,
    *,
    intracranial_mm3: float | None,
    intracranial_reason: str = "",
    onset: Side | None,
) -> VolumeResult:
    """Volumes and their asymmetry; what cannot be told is None with a reason.

    Parameters
    ----------
    regions
        As drawn, each on its own grid.
    cest
        Grid of the CEST series; None without one.
    intracranial_mm3
        Volume inside the skull; None where it is not known [mm³].
    intracranial_reason
        Why it is not known.
    onset
        Side of seizure onset as stated.
    """
    volumes: dict[Side, float | None] = dict.fromkeys(Side)
    lengths: dict[Side, float] = {}
    reasons: dict[str, str] = {}
    for region in regions:
        if region.structure is not Structure.HIPPOCAMPUS:
            continue
        if not region.source.region_class.verified:
            reasons[region.name] = ATLAS_REASON
        elif gives_volume(region, cest):
            volumes[region.side] = region.volume_mm3
            lengths[region.side] = _length_mm(region)
        else:
            reasons[region.name] = (
                "the region holds no more of the hippocampus than thick slices cover; draw it on "
                "the 3D T1"
            )
    for side, volume in volumes.items():
        if volume is None:
            reasons.setdefault(
                f"{Structure.HIPPOCAMPUS}_{side}",
                "no region of the hippocampus on a 3D T1 was sent",
            )
    indices, gates = _indices(volumes, _length_gates(lengths), onset, reasons)
    gates += _share_gates(volumes, intracranial_mm3, intracranial_reason, gates, reasons)
    return VolumeResult(
        hippocampus_mm3=volumes,
        intracranial_mm3=intracranial_mm3,
        indices=indices,
        reasons=reasons,
        gates=gates,
    )


def volumes_form(result: VolumeResult) -> dict[str, Any] | None:
    """The block ``volumes`` of ``results.json``; None where there is no volume."""
    left, right = (result.hippocampus_mm3[side] for side in (Side.LEFT, Side.RIGHT))
    if left is None and right is None:
        return None
    share = result.vol_h
    return {
        "hippocampus_left_mm3": left,
        "hippocampus_right_mm3": right,
        "icv_mm3": result.intracranial_mm3,
        "icv_method": None if result.intracranial_mm3 is None else ATLAS_SCALING,
        "vol_h": result.mean_vol_h,
        "vol_h_left": share[Side.LEFT],
        "vol_h_right": share[Side.RIGHT],
        "dai_vol_h_epi": estimate_form(result.indices["dai_vol_h_epi"]),
        "normal_asymmetry_p90": dict(NORMAL_ASYMMETRY),
        "reasons": dict(result.reasons),
    }


def _length_mm(region: Region) -> float:
    """From the back of a region to its front [mm]."""
    inside = np.argwhere(region.fraction > 0.5).astype(np.float64)
    if len(inside) == 0:
        return 0.0
    back, front = np.quantile(region.grid.to_lps(inside)[:, 1], _ENDS)
    return float(front - back)


def _length_gates(lengths: Mapping[Side, float]) -> tuple[Gate, ...]:
    """A label that ends too early is shorter than that of the other side; a thin one is not."""
    if len(lengths) < len(Side) or max(lengths.values()) <= 0.0:
        return ()
    ratio = min(lengths.values()) / max(lengths.values())
    return (Gate.held("hippocampal_length", str(Structure.HIPPOCAMPUS), ratio, LENGTH),)


def _share_gates(
    volumes: Mapping[Side, float | None],
    intracranial_mm3: float | None,
    intracranial_reason: str,
    hippocampal: Iterable[Gate],
    reasons: dict[str, str],
) -> tuple[Gate, ...]:
    """Whether the share of the head is that of a hippocampus; the reason where there is none."""
    left, right = volumes[Side.LEFT], volumes[Side.RIGHT]
    if left is None or right is None:
        reasons["vol_h"] = "it needs the volumes of both hippocampi"
        return ()
    if intracranial_mm3 is None:
        reasons["vol_h"] = intracranial_reason or "the intracranial volume is not known"
        return ()
    share = 50.0 * (left + right) / intracranial_mm3
    structure, litres = str(Structure.HIPPOCAMPUS), intracranial_mm3 / 1.0e6
    gates = (
        Gate.held("intracranial_volume_low", "study", litres, SMALL_HEAD),
        Gate.held("intracranial_volume_high", "study", litres, LARGE_HEAD),
        Gate.held("hippocampal_share_low", structure, share, SMALL_SHARE),
        Gate.held("hippocampal_share_high", structure, share, LARGE_SHARE),
    )
    implausible = [
        gate.sentence for gate in (*hippocampal, *gates) if gate.verdict is not Verdict.PASS
    ]
    if implausible:
        reasons["vol_h"] = "; ".join(implausible)
    return gates


def _indices(
    volumes: Mapping[Side, float | None],
    lengths: tuple[Gate, ...],
    onset: Side | None,
    reasons: dict[str, str],
) -> tuple[dict[str, Estimate | None], tuple[Gate, ...]]:
    """The indices of plausible volumes, the gates, and reasons added to those there are."""
    none: dict[str, Estimate | None] = dict.fromkeys(VOLUME_INDICES)
    gates = [
        Gate.held("hippocampal_volume", f"{Structure.HIPPOCAMPUS}_{side}", volume, SIZE)
        for side, volume in volumes.items()
        if volume is not None
    ]
    gates += lengths
    left, right = volumes[Side.LEFT], volumes[Side.RIGHT]
    if left is None or right is None:
        why = "; ".join(
            f"{side}: {reasons[f'{Structure.HIPPOCAMPUS}_{side}']}"
            for side in Side
            if volumes[side] is None
        )
        reasons |= dict.fromkeys(VOLUME_INDICES, why)
        return none, tuple(gates)
    pair = [Estimate(value=volume, standard_error=None) for volume in (left, right)]
    try:
        epi = directional_asymmetry_epi(*pair)
    except NumericalError as fault:
        reasons |= dict.fromkeys(VOLUME_INDICES, str(fault))
        return none, tuple(gates)
    gates.append(
        Gate.held("volume_asymmetry", str(Structure.HIPPOCAMPUS), abs(epi.value), ASYMMETRY)
    )
    implausible = [gate.sentence for gate in gates if gate.verdict is not Verdict.PASS]
    if implausible:
        reasons |= dict.fromkeys(VOLUME_INDICES, "; ".join(implausible))
        return none, tuple(gates)
    found = none | {"dai_vol_h_epi": epi}
    if onset is None:
        reasons["dai_vol_h"] = ONSET_REASON
    else:
        found["dai_vol_h"] = directional_asymmetry(*pair, onset=onset)
    return found, tuple(gates)
