"""The truth about a simulated MEGA-PRESS measurement, by the definitions of the report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cestle.mrs.basis import MegaBasis
from cestle.mrs.series import EditState, Voxel
from cestle.phantom.composition import Composition
from cestle.phantom.instability import History
from cestle.phantom.lineshape import full_width_hz, height
from cestle.phantom.mega_settings import MegaSimulation
from cestle.phantom.voxel import hippocampal_voxel
from cestle.physics import Complex


@dataclass(frozen=True, kw_only=True, eq=False)
class MegaTruth:
    """The truth about a simulated measurement.

    Parameters
    ----------
    gaba_cr, glx_cr
        Area ratios by the definition of `cestle.mrs.result.CONVENTION`.
    mm_fraction
        Share of macromolecules in GABA+; None where there is no GABA+ [1].
    areas
        Areas that the ratios are made of: tcr, gaba, mm, glx [a.u. of the FIDs].
    fwhm_hz, naa_fwhm_hz
        Full widths at half maximum of the methyl lines of mean OFF, once all transients are
        aligned, or as the scanner's own average has them [Hz].
    water_fwhm_hz
        Of the unsuppressed water before any correction; None without water [Hz].
    snr
        Height over one standard deviation of the real part of the noise in the mean of all
        transients, without any filter: gaba in the full difference, tcr and naa in OFF; None
        without noise.
    history
        What each transient suffers, with its state.
    voxel
        Where.
    basis
        Basis that the metabolites came from.
    settings
        What was asked for.
    """

    gaba_cr: float
    glx_cr: float
    mm_fraction: float | None
    areas: Mapping[str, float]
    fwhm_hz: float
    naa_fwhm_hz: float
    water_fwhm_hz: float | None
    snr: Mapping[str, float] | None
    history: History
    voxel: Voxel
    basis: str
    settings: MegaSimulation

    @property
    def states(self) -> tuple[EditState, ...]:
        """Editing state of each transient."""
        return self.history.states

    @property
    def bad(self) -> Mapping[int, str]:
        """Why a transient is spoilt, by its number."""
        return self.history.bad

    @property
    def drift_hz(self) -> float:
        """Range of the frequency over the transients that are not spoilt [Hz]."""
        return self.history.drift_range_hz

    def to_json(self) -> dict[str, Any]:
        """The truth as JSON values."""
        return {
            "gaba_cr": self.gaba_cr,
            "glx_cr": self.glx_cr,
            "glx_gaba": self.glx_cr / self.gaba_cr if self.gaba_cr > 0.0 else None,
            "mm_fraction": self.mm_fraction,
            "areas": dict(self.areas),
            "fwhm_hz": self.fwhm_hz,
            "naa_fwhm_hz": self.naa_fwhm_hz,
            "water_fwhm_hz": self.water_fwhm_hz,
            "snr": None if self.snr is None else dict(self.snr),
            "drift_hz": self.drift_hz,
            "states": [str(state) for state in self.states],
            "frequency_hz": [round(float(one), 4) for one in self.history.frequency_hz],
            "phase_deg": [round(float(one), 3) for one in self.history.phase_deg],
            "bad": {str(number): reason for number, reason in self.bad.items()},
            "side": str(self.settings.side),
            "voxel": {
                "centre_lps_mm": self.voxel.centre_mm.tolist(),
                "edges_lps_mm": self.voxel.edges_mm.tolist(),
            },
            "basis": self.basis,
            "settings": asdict(self.settings),
        }


def truth_of(
    composition: Composition,
    past: History,
    settings: MegaSimulation,
    basis: MegaBasis,
    *,
    sigma: float,
    water: Complex | None,
) -> MegaTruth:
    """The truth about a measurement.

    Parameters
    ----------
    composition, past, settings, basis
        What it was made of.
    sigma
        Standard deviation of each channel of a point of one combined transient [a.u.].
    water
        Unsuppressed water without noise, shape (point,); None without water [a.u.].
    """
    areas = composition.areas
    plus = areas["gaba"] + areas["mm"]
    dwell_s = settings.dwell_s
    smear = _smear(composition, past, settings)
    creatine, naa = smear * composition.creatine, smear * composition.naa
    noise = sigma * np.sqrt(settings.points)
    kept = len(past.of(EditState.OFF))
    heights = {
        "gaba": height(smear * composition.gaba_plus) / np.sqrt(2.0),
        "tcr": height(creatine),
        "naa": height(naa),
    }
    scaled = {name: settings.scale * one for name, one in heights.items()}
    return MegaTruth(
        gaba_cr=plus / areas["tcr"],
        glx_cr=areas["glx"] / areas["tcr"],
        mm_fraction=areas["mm"] / plus if plus > 0.0 else None,
        areas={name: settings.scale * area for name, area in areas.items()},
        fwhm_hz=full_width_hz(creatine, dwell_s),
        naa_fwhm_hz=full_width_hz(naa, dwell_s),
        water_fwhm_hz=None if water is None else full_width_hz(water, dwell_s),
        snr=_ratios(scaled, noise / np.sqrt(kept)) if sigma > 0.0 else None,
        history=past,
        voxel=hippocampal_voxel(settings.side),
        basis=basis.settings.name,
        settings=settings,
    )


def _ratios(heights: Mapping[str, float], noise: float) -> dict[str, float]:
    return {name: float(one / noise) for name, one in heights.items()}


def _smear(composition: Composition, past: History, settings: MegaSimulation) -> Complex:
    """What an average by the scanner makes of a line at its place in phase, shape (point,)."""
    time_s = composition.axis.time_s
    if not settings.averaged:
        return np.ones(len(time_s), dtype=np.complex128)
    mean = past.factors(time_s)[past.of(EditState.OFF)].mean(axis=0)
    smear: Complex = mean * np.exp(-1j * np.angle(mean[0]))
    return smear
