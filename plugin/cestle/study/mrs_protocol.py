"""The MRSinMRS table: the minimum that a spectroscopy result says of how it was made.

Items and order follow doi:10.1002/nbm.4484. What neither header nor analysis knows is None, so
that the report says "not stated" instead of a default.
"""

from typing import Final

import numpy as np

from cestle.mrs.result import MegaAnalysis, MegaResult
from cestle.mrs.series import MegaProtocol, MegaSeries, Voxel
from cestle.study.mrs_result import ProtocolItem

PROTOCOL_KEYS: Final = (
    *("hardware_scanner", "hardware_software", "hardware_frequency"),
    *("acquisition_sequence", "acquisition_editing", "acquisition_timing", "acquisition_voxel"),
    *(
        "acquisition_place",
        "acquisition_content",
        "acquisition_averages",
        "acquisition_sampling",
        "acquisition_water",
    ),
    *("acquisition_encoding", "analysis_software", "analysis_model", "analysis_basis"),
    *("quality_snr", "quality_linewidth", "quality_transients"),
)
"""Items of the table, in order."""

_TESLA_PER_MHZ: Final = 1.0 / 42.577478518
"""Proton frequency of one tesla, CODATA 2018."""


def reporting_table(
    series: MegaSeries,
    analysis: MegaAnalysis,
    content: str | None,
    software_version: str,
) -> tuple[ProtocolItem, ...]:
    """Fill the table.

    Parameters
    ----------
    series
        What was acquired.
    analysis
        What was made of it.
    content
        What the voxel holds, in words; None where it is not known.
    software_version
        Version of this software.
    """
    protocol, result = series.protocol, analysis.result
    values = {
        "hardware_scanner": " ".join(w for w in (protocol.manufacturer, protocol.model) if w),
        "hardware_software": protocol.software,
        "hardware_frequency": f"1H {protocol.frequency_mhz:.3f} MHz "
        f"({protocol.frequency_mhz * _TESLA_PER_MHZ:.2f} T)",
        "acquisition_sequence": protocol.sequence_name,
        "acquisition_editing": _editing(protocol),
        "acquisition_timing": _timing(protocol),
        "acquisition_voxel": _size(series.voxel),
        "acquisition_place": _place(series.voxel),
        "acquisition_content": content,
        "acquisition_averages": None if series.averages is None else f"{series.averages} (ON+OFF)",
        "acquisition_sampling": _sampling(series),
        "acquisition_water": "acquired" if series.water is not None else "not sent",
        "acquisition_encoding": series.source,
        "analysis_software": f"cestle {software_version}",
        "analysis_model": result.model,
        "analysis_basis": result.basis,
        "quality_snr": _measured(result, "snr", "GABA+ {:.1f}"),
        "quality_linewidth": _linewidth(result),
        "quality_transients": _transients(result),
    }
    return tuple(ProtocolItem(key=key, value=values[key] or None) for key in PROTOCOL_KEYS)


def _editing(protocol: MegaProtocol) -> str | None:
    if protocol.edit_on_ppm is None or protocol.edit_off_ppm is None:
        return None
    return f"ON {protocol.edit_on_ppm:g} ppm, OFF {protocol.edit_off_ppm:g} ppm"


def _timing(protocol: MegaProtocol) -> str:
    parts = (("TE", protocol.echo_time_ms), ("TR", protocol.repetition_time_ms))
    return ", ".join(f"{name} {value:g} ms" for name, value in parts if value is not None)


def _size(voxel: Voxel | None) -> str | None:
    if voxel is None:
        return None
    lengths = np.linalg.norm(voxel.edges_mm, axis=1)
    volume_ml = abs(float(np.linalg.det(voxel.edges_mm))) / 1000.0
    return " x ".join(f"{length:.1f}" for length in lengths) + f" mm ({volume_ml:.1f} mL)"


def _place(voxel: Voxel | None) -> str | None:
    if voxel is None:
        return None
    parts = (
        f"{abs(x):.1f} {positive if x >= 0.0 else negative}"
        for x, negative, positive in zip(voxel.centre_mm, "RAF", "LPH", strict=True)
    )
    return "centre " + ", ".join(parts) + " mm"


def _sampling(series: MegaSeries) -> str:
    held = series.fids if series.fids.size or series.difference is None else series.difference
    return f"{held.shape[-1]} points, {1.0 / series.protocol.dwell_s:.0f} Hz"


def _measured(result: MegaResult, name: str, form: str) -> str | None:
    gate = result.gate(name)
    return None if gate is None or gate.value is None else form.format(gate.value)


def _linewidth(result: MegaResult) -> str:
    parts = (
        _measured(result, "metabolite_fwhm", "tCr {:.1f} Hz"),
        _measured(result, "water_fwhm", "water {:.1f} Hz"),
    )
    return ", ".join(part for part in parts if part is not None)


def _transients(result: MegaResult) -> str:
    if result.transients_used is None:
        return "averages of the scanner, single transients not available"
    text = f"{result.transients_used} used, {result.transients_rejected or 0} rejected"
    count = len(result.transients_left_out)
    return f"{text}, {count} of these by a person" if count else text
