"""What a simulated MEGA-PRESS measurement is to be."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from cestle.errors import ConfigError
from cestle.measurement import Side
from cestle.mrs.series import EditState
from cestle.phantom.metabolites import HippocampalTissue


class Labelling(StrEnum):
    """What the file says about the editing state of each FID."""

    NONE = "nothing"
    TRUE = "the truth"
    SWAPPED = "ON where it is OFF"


@dataclass(frozen=True, kw_only=True)
class MegaSimulation:
    """Settings of `simulate_mega`; the defaults are a quiet measurement.

    Parameters
    ----------
    seed
        Fixes all that is drawn: noise, shapes of line, macromolecules and baseline, histories.
    side
        Hippocampus in the voxel.
    transients
        Acquisitions of both states together.
    points, dwell_s
        Length of a FID, and time between its points [s].
    transmitter_ppm
        Chemical shift at the transmitter frequency [ppm].
    repetition_time_ms
        TR [ms]; TE, frequency and editing pulses are those of the basis.
    tissue
        Concentrations.
    gaba_cr, glx_cr
        Area ratios as the report defines them, met exactly by scaling GABA with its
        macromolecules, and glutamate with glutamine; None for those of the tissue.
    mm_fraction
        Share of macromolecules in GABA+ [1].
    fwhm_hz
        Full width at half maximum of the creatine methyl, without drift [Hz].
    asymmetry
        Of the field distribution in the voxel; 0 symmetric, 1 a long tail [1].
    water_extra_hz
        Width of the water line beyond what field and T2 make [Hz].
    individuality
        Scale of the small differences between metabolites, in shift and T2 [1].
    baseline, lipid, roll
        Smooth baseline [1 = usual]; area of the fat at 1.3 ppm over that of the creatine methyl;
        height of slow waves over the height of the creatine methyl.
    residual_water
        Residual over unsuppressed water [1].
    eddy_hz
        Frequency shift by eddy currents at the start of the acquisition [Hz].
    tcr_snr
        Height of the creatine methyl over the standard deviation of the real part of the noise,
        both in the mean of all OFF spectra without any filter; None for no noise.
    offset_hz
        Frequency of the first transient beyond what the header says [Hz].
    drift_hz
        Linear change of the frequency from the first to the last transient [Hz].
    walk_hz
        Standard deviation, at the last transient, of a random walk of the frequency [Hz].
    jumps
        Number of the transient, from 0, and change of the frequency from there on [Hz].
    frequency_noise_hz, phase_noise_deg
        Standard deviation from transient to transient [Hz], [degrees].
    phase_deg
        Phase of the receiver; None to draw one [degrees].
    phase_drift_deg
        Linear change of the phase from the first to the last transient [degrees].
    phase_cycle_deg
        Steps of a phase cycle that the receiver does not follow; all transients of a step are one
        ON and one OFF [degrees].
    moved, spikes
        Number of transients spoilt by motion, and by spikes of the receiver.
    first
        State of the first transient.
    block
        Number of transients after which the state changes; 1 is interleaved.
    coils
        Receiver elements that are stored; 1 when the scanner combines them.
    averaged
        Whether the scanner stores one average for each state and no transients.
    conjugated
        Whether FIDs turn against the standard, exp(−i 2π f t) for positive f.
    on_inverted
        Whether ON is stored with the opposite sign.
    labelling
        What is said about the state of each FID.
    water_transients
        Unsuppressed water acquisitions; 0 for none.
    difference_scale
        Factor on the scanner's own ON − OFF: 1, −1, 0.5 …; None when it stores none.
    scale
        Area of the creatine methyl in OFF [a.u.].
    """

    seed: int = 1
    side: Side = Side.LEFT
    transients: int = 160
    points: int = 2048
    dwell_s: float = 0.0005
    transmitter_ppm: float = 4.7
    repetition_time_ms: float = 3000.0
    tissue: HippocampalTissue = HippocampalTissue.HEALTHY
    gaba_cr: float | None = None
    glx_cr: float | None = None
    mm_fraction: float = 0.57
    fwhm_hz: float = 7.0
    asymmetry: float = 0.5
    water_extra_hz: float = 0.5
    individuality: float = 1.0
    baseline: float = 1.0
    lipid: float = 0.1
    roll: float = 0.0
    residual_water: float = 0.003
    eddy_hz: float = 0.0
    tcr_snr: float | None = 250.0
    offset_hz: float = 0.0
    drift_hz: float = 0.0
    walk_hz: float = 0.0
    jumps: tuple[tuple[int, float], ...] = ()
    frequency_noise_hz: float = 0.0
    phase_noise_deg: float = 0.0
    phase_deg: float | None = None
    phase_drift_deg: float = 0.0
    phase_cycle_deg: tuple[float, ...] = (0.0,)
    moved: int = 0
    spikes: int = 0
    first: EditState = EditState.ON
    block: int = 1
    coils: int = 1
    averaged: bool = False
    conjugated: bool = False
    on_inverted: bool = False
    labelling: Labelling = Labelling.NONE
    water_transients: int = 2
    difference_scale: float | None = None
    scale: float = 100.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises
        ------
        ConfigError
            When a value is outside its limits, or the states would not be equally many.
        """
        for name, low, high in _LIMITS:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(
                    f"{name} is {value:g}, {low:g} to {high:g} was expected; "
                    "choose a value within these limits."
                )
        if self.transients % (2 * self.block):
            raise ConfigError(
                f"{self.transients} transients in blocks of {self.block} leave one state with "
                "more; choose a multiple of twice the block."
            )
        if self.moved + self.spikes > self.transients // 2:
            raise ConfigError(
                f"{self.moved + self.spikes} of {self.transients} transients are to be spoilt, at "
                "most half of them was expected; spoil fewer."
            )
        if any(not 0 < number < self.transients for number, _ in self.jumps):
            raise ConfigError(
                f"a jump of the frequency lies outside of the {self.transients} transients; "
                f"choose numbers from 1 to {self.transients - 1}."
            )
        if not self.phase_cycle_deg:
            raise ConfigError("the phase cycle has no step; give (0,) for no cycle.")


_LIMITS: Final = (
    ("seed", 0, 2**32 - 1),
    ("transients", 2, 4096),
    ("points", 256, 16384),
    ("dwell_s", 1e-4, 1e-3),
    ("transmitter_ppm", 0.0, 8.0),
    ("repetition_time_ms", 500.0, 20_000.0),
    ("gaba_cr", 0.0, 2.0),
    ("glx_cr", 0.0, 2.0),
    ("mm_fraction", 0.0, 0.95),
    ("fwhm_hz", 1.0, 40.0),
    ("asymmetry", 0.0, 2.0),
    ("water_extra_hz", 0.0, 40.0),
    ("individuality", 0.0, 10.0),
    ("baseline", 0.0, 100.0),
    ("lipid", 0.0, 100.0),
    ("roll", 0.0, 10.0),
    ("residual_water", 0.0, 1.0),
    ("eddy_hz", -50.0, 50.0),
    ("tcr_snr", 1.0, 1e6),
    ("offset_hz", -100.0, 100.0),
    ("drift_hz", -100.0, 100.0),
    ("walk_hz", 0.0, 50.0),
    ("frequency_noise_hz", 0.0, 20.0),
    ("phase_noise_deg", 0.0, 180.0),
    ("phase_deg", -360.0, 360.0),
    ("phase_drift_deg", -720.0, 720.0),
    ("moved", 0, 4096),
    ("spikes", 0, 4096),
    ("block", 1, 4096),
    ("coils", 1, 128),
    ("water_transients", 0, 64),
    ("difference_scale", -1e6, 1e6),
    ("scale", 1e-9, 1e9),
)


def mega_settings_json(settings: MegaSimulation) -> str:
    """Settings as one line of JSON with sorted keys, to derive identifiers from."""
    return json.dumps(asdict(settings), sort_keys=True)
