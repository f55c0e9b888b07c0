"""What a MEGA-PRESS acquisition is, before and after its preparation."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from cestle.physics import Complex, Real


class EditState(StrEnum):
    """Where the editing pulse was."""

    ON = "on"
    OFF = "off"


@dataclass(frozen=True, kw_only=True, eq=False)
class Voxel:
    """The volume of interest.

    Parameters
    ----------
    centre_mm
        Patient coordinates, LPS, shape (3,) [mm].
    edges_mm
        The three edge vectors as rows, LPS, shape (3, 3) [mm].
    frame_of_reference_uid
        (0020,0052) that the coordinates belong to, empty when the file states none.
    """

    centre_mm: Real
    edges_mm: Real
    frame_of_reference_uid: str = ""


@dataclass(frozen=True, kw_only=True)
class MegaProtocol:
    """How it was acquired; None where neither header nor configuration says it.

    Parameters
    ----------
    frequency_mhz
        Transmitter frequency of the header [MHz].
    dwell_s
        Time between two points [s].
    transmitter_ppm
        Chemical shift at the transmitter frequency, 4.7 where the header says nothing [ppm].
    echo_time_ms, repetition_time_ms
        TE and TR [ms].
    edit_on_ppm, edit_off_ppm
        Centres of the editing pulse [ppm].
    sequence_name, manufacturer, model, software
        Words of the header for the MRSinMRS table; empty where it has none.
    """

    frequency_mhz: float
    dwell_s: float
    transmitter_ppm: float
    echo_time_ms: float | None
    repetition_time_ms: float | None
    edit_on_ppm: float | None = None
    edit_off_ppm: float | None = None
    sequence_name: str = ""
    manufacturer: str = ""
    model: str = ""
    software: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class MegaSeries:
    """FIDs as they arrived: neither sign, order nor polarity has been decided yet.

    Parameters
    ----------
    fids
        Shape (transient, coil, point), in the order of acquisition; one coil when they were
        combined on the scanner. Empty first axis when only a difference arrived [a.u.].
    labels
        What the file says of each transient; None where it says nothing.
    averaged
        Whether each FID is an average made by the scanner (then there are two).
    averages
        Acquisitions behind all FIDs together; None where nothing states it.
    water
        Unsuppressed water, shape (transient, coil, point); None when there is none [a.u.].
    difference
        The scanner's own difference, shape (point,); None when there is none [a.u.].
    protocol
        How it was acquired.
    voxel
        Where; None without geometry.
    source
        Which encoding it came in, in words for the report.
    """

    fids: Complex
    labels: tuple[EditState | None, ...]
    averaged: bool
    averages: int | None
    water: Complex | None
    difference: Complex | None
    protocol: MegaProtocol
    voxel: Voxel | None
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class EditedSpectra:
    """Prepared FIDs of both states, and those that they are means of.

    All are in the convention ppm = transmitter_ppm + f / f0 with an ascending FFT axis, combined
    over coils, aligned, referenced to creatine at 3.027 ppm, phased, polarity set so that creatine
    is positive in both states, residual water removed, neither filtered nor zero-filled.

    Parameters
    ----------
    on, off
        Weighted mean of each state, shape (point,) [a.u.].
    transients_on, transients_off
        Kept transients of each state with the same corrections, shape (transient, point); None
        for averages made by the scanner.
    weights_on, weights_off
        Weight of each kept transient, sum 1; None for averages.
    pairs
        Indices into `transients_on` and `transients_off` of neighbours in time, shape (pair, 2),
        the units of the bootstrap; None for averages.
    protocol
        How it was acquired.
    """

    on: Complex
    off: Complex
    transients_on: Complex | None
    transients_off: Complex | None
    weights_on: Real | None
    weights_off: Real | None
    pairs: npt.NDArray[np.int64] | None
    protocol: MegaProtocol

    @property
    def difference(self) -> Complex:
        """ON minus OFF, the full difference, never halved."""
        return self.on - self.off


@dataclass(frozen=True, kw_only=True)
class TransientReport:
    """What happened to one transient.

    Parameters
    ----------
    state
        Edit state as decided on the data.
    frequency_hz, phase_deg
        What was found against the first reference and taken away [Hz], [degrees].
    rejected
        Why it was left out of the mean; None when it was kept.
    """

    state: EditState
    frequency_hz: float
    phase_deg: float
    rejected: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedMega:
    """Prepared spectra with what was decided and done on the way.

    Parameters
    ----------
    spectra
        Ready for the fit.
    water
        Unsuppressed water, averaged and combined over coils, in the convention of `spectra`,
        before eddy-current correction, shape (point,); None when there is none [a.u.].
    transients
        In the order of acquisition; empty for averages made by the scanner.
    scanner_difference
        Correlation of the scanner's own difference with ours, −1…1; None when it sent none.
    decisions
        Sign of the FID, order and polarity of the states, with the confidence, in words.
    notes
        What could not be checked or corrected, in words.
    """

    spectra: EditedSpectra
    water: Complex | None
    transients: tuple[TransientReport, ...]
    scanner_difference: float | None
    decisions: tuple[str, ...]
    notes: tuple[str, ...]
