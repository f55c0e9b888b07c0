"""From FIDs as they arrived to spectra that can be fitted: the order of the steps.

Follows the consensus on preprocessing (Near et al., doi:10.1002/nbm.4257): coils, then corrupted
transients and drift, eddy currents, mean, residual water, and ON aligned to OFF before they are
subtracted; neither filter nor zero filling.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cestle.errors import ProtocolError
from cestle.mrs.alignment import Alignment, AlignmentSettings, align
from cestle.mrs.arrival import receive
from cestle.mrs.averaging import mean_of, neighbours, weights_of
from cestle.mrs.band import moved
from cestle.mrs.comparison import compare
from cestle.mrs.eddy import eddy_phase, without_eddies
from cestle.mrs.pairing import pair
from cestle.mrs.referencing import Turn, creatine_fit, reference
from cestle.mrs.rejection import RejectionSettings, reasons_to_reject
from cestle.mrs.selection import LEFT_OUT, numbers_text, without
from cestle.mrs.series import (
    EditedSpectra,
    EditState,
    MegaProtocol,
    MegaSeries,
    PreparedMega,
    TransientReport,
)
from cestle.mrs.singlets import SearchSettings, Whereabouts, in_phase, locate
from cestle.mrs.states import States, decide_states
from cestle.mrs.steadying import quarters, steadied
from cestle.mrs.water import WaterModes, WaterSettings
from cestle.physics import Bool, Complex, Real

LEAST_KEPT: Final = 2
"""Fewest transients of a state that a mean is made of."""
MOST_LOST: Final = 0.25
"""Share of the transients of a state beyond which the loss is noted."""
MOST_UNEVEN: Final = 0.1
"""Difference of the kept numbers over the larger one beyond which it is noted."""

_FAINT: Final = 0.1
_TURNED_DEG: Final = 45.0
_WORSE: Final = 1.03


@dataclass(frozen=True, kw_only=True)
class PreparationSettings:
    """Settings of the steps.

    Parameters
    ----------
    search
        How far creatine, choline and NAA are sought.
    alignment
        When the registration ends.
    rejection
        When a transient is an outlier.
    water
        How residual water is described.
    left_out
        Transients that a person leaves out, numbered from 1 in the order of acquisition.
    """

    search: SearchSettings = field(default_factory=SearchSettings)
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)
    rejection: RejectionSettings = field(default_factory=RejectionSettings)
    water: WaterSettings = field(default_factory=WaterSettings)
    left_out: tuple[int, ...] = ()


def prepare(
    series: MegaSeries,
    settings: PreparationSettings = PreparationSettings(),
) -> PreparedMega:
    """Prepare a MEGA-PRESS series for the fit.

    Parameters
    ----------
    series
        As read: sign, order and polarity are decided here, on the data.
    settings
        Settings of the steps.

    Raises
    ------
    InputError
        When numbers are missing or not finite, or FIDs too short.
    ProtocolError
        When sign or order cannot be told, the file contradicts the data, only a difference
        arrived, or a transient that is to be left out does not exist.
    NumericalError
        When creatine does not stand out of the noise.
    """
    series = without(series, settings.left_out)
    arrived = receive(series)
    protocol = series.protocol
    where = locate(arrived.fids, protocol, settings.search)
    states = decide_states(naa_over_creatine(where), series.labels)
    near = in_phase(arrived.fids, protocol, where)
    on, off = (
        _Group.of(near, where, np.flatnonzero(chosen), series, settings)
        for chosen in (states.edit_on, ~states.edit_on)
    )
    eddies, eddy_notes = _eddies(off.mean, arrived.water, protocol)
    on, off = on.without_eddies(eddies), off.without_eddies(eddies)
    on, off = on.without_water(protocol, settings), off.without_water(protocol, settings)
    creatine = creatine_fit(off.mean, protocol)
    absolute = reference(creatine)
    on, off = on.turned(absolute, protocol), off.turned(absolute, protocol)
    relative = pair(on.mean, off.mean, protocol, creatine)
    on = on.turned(relative, protocol)
    theirs = None if arrived.difference is None else without_eddies(arrived.difference, eddies)
    correlation, comparison = _compared(theirs, where, on, off, protocol)
    return PreparedMega(
        spectra=_spectra(on, off, series),
        water=arrived.water,
        transients=() if series.averaged else _reports(where, on, off),
        scanner_difference=correlation,
        decisions=(*arrived.decisions, states.sentence, _polarity(where, states)),
        notes=(
            *_left_out(settings.left_out),
            *arrived.notes,
            *eddy_notes,
            *_losses(on, off, series),
            *comparison,
        ),
    )


def naa_over_creatine(where: Whereabouts) -> Real:
    """NAA in phase with creatine over the median creatine, NaN where hardly any signal is.

    Parameters
    ----------
    where
        What was found in each transient.

    Returns
    -------
        Shape (transient,).
    """
    size = np.abs(where.creatine)
    heard = (size > 0.0) & (where.signal > _FAINT * np.median(where.signal))
    ratio: Real = np.full(len(size), np.nan)
    if np.any(heard):
        ratio[heard] = (where.naa[heard] * where.creatine[heard].conj()).real / size[heard]
        ratio[heard] /= np.median(size[heard])
    return ratio


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """The FIDs of one edit state and what was taken from them so far.

    `places` are all of them in the order of acquisition, `fids` and `weights` those kept.
    """

    places: npt.NDArray[np.int64]
    reasons: tuple[str | None, ...]
    frequency_hz: Real
    phase_rad: Real
    fids: Complex
    weights: Real

    @classmethod
    def of(
        cls,
        near: Complex,
        where: Whereabouts,
        places: npt.NDArray[np.int64],
        series: MegaSeries,
        settings: PreparationSettings,
    ) -> "_Group":
        """Align, reject, and align again without what was rejected."""
        fids, protocol = near[places], series.protocol
        heard = np.any(fids, axis=1)
        _require_enough(heard, series)
        first = align(fids, protocol, settings.alignment, kept=heard)
        aligned = moved(fids, protocol.dwell_s, first.frequency_hz, first.phase_rad)
        found_poor = reasons_to_reject(aligned, first, protocol, settings.rejection)
        reasons = tuple(
            LEFT_OUT if place + 1 in settings.left_out else reason
            for place, reason in zip(places, found_poor, strict=True)
        )
        kept = np.array([reason is None for reason in reasons])
        _require_enough(kept, series)
        found = align(fids, protocol, settings.alignment, kept=kept)
        frequency, phase = found.frequency_hz.copy(), found.phase_rad.copy()
        frequency[kept], phase[kept] = _steadied(where, places, found, kept)
        return cls(
            places=places,
            reasons=reasons,
            frequency_hz=frequency,
            phase_rad=phase,
            fids=moved(fids[kept], protocol.dwell_s, frequency[kept], phase[kept]),
            weights=weights_of(found.misfit[kept]),
        )

    @property
    def mean(self) -> Complex:
        return mean_of(self.fids, self.weights)

    @property
    def kept_rows(self) -> npt.NDArray[np.int64]:
        """Rows of the kept ones within the group."""
        return np.flatnonzero([reason is None for reason in self.reasons])

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """Places of the kept ones in the order of acquisition."""
        return self.places[self.kept_rows]

    def turned(self, turn: Turn, protocol: MegaProtocol) -> "_Group":
        """With a common frequency and phase taken away."""
        count = len(self.fids)
        return replace(
            self,
            frequency_hz=self.frequency_hz + turn.frequency_hz,
            phase_rad=self.phase_rad + turn.phase_rad,
            fids=moved(
                self.fids,
                protocol.dwell_s,
                np.full(count, turn.frequency_hz),
                np.full(count, turn.phase_rad),
            ),
        )

    def without_eddies(self, phase: Real) -> "_Group":
        return replace(self, fids=without_eddies(self.fids, phase))

    def without_water(self, protocol: MegaProtocol, settings: PreparationSettings) -> "_Group":
        modes = WaterModes.of(self.mean, protocol, settings.water)
        return replace(self, fids=modes.taken_from(self.fids))


def _steadied(
    where: Whereabouts, places: npt.NDArray[np.int64], found: Alignment, kept: Bool
) -> tuple[Real, Real]:
    """Frequency and phase of the kept ones, relative to where they were located, steadied."""
    located = where.frequency_hz[places][kept], np.angle(where.creatine[places][kept])
    frequency = located[0] + found.frequency_hz[kept]
    turn = np.exp(1j * (located[1] + found.phase_rad[kept]))
    centre = np.angle(turn.sum())
    phase = np.angle(turn * np.exp(-1j * centre))
    cycle = quarters(phase)
    values = steadied(np.stack([frequency, phase - cycle], axis=1), found.covariance[kept])
    return values[:, 0] - located[0], values[:, 1] + cycle + centre - located[1]


def _require_enough(kept: Bool, series: MegaSeries) -> None:
    if kept.sum() < (1 if series.averaged else LEAST_KEPT):
        raise ProtocolError(
            f"{int(kept.sum())} of {len(kept)} FIDs of one edit state are of use; expected at "
            f"least {LEAST_KEPT}, or one average."
        )


def _eddies(
    off: Complex, water: Complex | None, protocol: MegaProtocol
) -> tuple[Real, tuple[str, ...]]:
    """Phase that eddy currents left; zeros where there is no water or creatine suffers from it."""
    none = np.zeros(len(off))
    if water is None:
        return none, ()
    phase = eddy_phase(water, protocol)
    before, after = (
        creatine_fit(fid, protocol).misfit for fid in (off, without_eddies(off, phase))
    )
    if after > _WORSE * before:
        return none, (
            "the phase of the water reference distorts creatine; eddy currents were left",
        )
    return phase, ()


def _compared(
    theirs: Complex | None, where: Whereabouts, on: _Group, off: _Group, protocol: MegaProtocol
) -> tuple[float | None, tuple[str, ...]]:
    """The scanner's difference with what was taken from OFF on the whole taken away."""
    if theirs is None:
        return None, ()
    frequency = np.median(where.frequency_hz[off.kept] + off.frequency_hz[off.kept_rows])
    turn = np.sum(np.exp(1j * (np.angle(where.creatine[off.kept]) + off.phase_rad[off.kept_rows])))
    same = moved(theirs[None], protocol.dwell_s, np.array([frequency]), np.array([np.angle(turn)]))
    found = compare(same[0], on.mean - off.mean, protocol)
    return found.correlation, (found.sentence,)


def _spectra(on: _Group, off: _Group, series: MegaSeries) -> EditedSpectra:
    single = series.averaged
    return EditedSpectra(
        on=on.mean,
        off=off.mean,
        transients_on=None if single else on.fids,
        transients_off=None if single else off.fids,
        weights_on=None if single else on.weights,
        weights_off=None if single else off.weights,
        pairs=None if single else neighbours(on.kept, off.kept),
        protocol=series.protocol,
    )


def _reports(where: Whereabouts, on: _Group, off: _Group) -> tuple[TransientReport, ...]:
    found: dict[int, TransientReport] = {}
    for state, group in ((EditState.ON, on), (EditState.OFF, off)):
        frequency = where.frequency_hz[group.places] + group.frequency_hz
        phase = np.angle(where.creatine[group.places] * np.exp(1j * group.phase_rad))
        for row, place in enumerate(group.places):
            found[int(place)] = TransientReport(
                state=state,
                frequency_hz=float(frequency[row]),
                phase_deg=float(np.degrees(phase[row])),
                rejected=group.reasons[row],
            )
    return tuple(found[place] for place in sorted(found))


def _polarity(where: Whereabouts, states: States) -> str:
    """Whether ON is stored with the sign of OFF, from creatine of both."""
    on, off = where.creatine[states.edit_on], where.creatine[~states.edit_on]
    count = min(len(on), len(off))
    # neighbours share the phase cycle, if there is one
    apart = np.degrees(np.angle(np.sum(on[:count] * off[:count].conj())))
    how = "turned against OFF"
    if not _TURNED_DEG < abs(apart) < 180.0 - _TURNED_DEG:
        how = "inverted against OFF" if abs(apart) > _TURNED_DEG else "as OFF"
    return f"polarity: ON is stored {how} (creatine {apart:+.0f}°); creatine set positive in both"


def _left_out(numbers: tuple[int, ...]) -> tuple[str, ...]:
    if not numbers:
        return ()
    noun = "transient was" if len(numbers) == 1 else "transients were"
    return (f"{len(numbers)} {noun} left out by a person: {numbers_text(numbers)}",)


def _losses(on: _Group, off: _Group, series: MegaSeries) -> tuple[str, ...]:
    if series.averaged:
        return (
            "averages made by the scanner: drift, corrupted transients and the spread between "
            "transients cannot be checked",
        )
    notes = []
    for name, group in (("ON", on), ("OFF", off)):
        lost = len(group.places) - len(group.kept)
        if lost > MOST_LOST * len(group.places):
            notes.append(f"{lost} of {len(group.places)} transients of {name} were rejected")
    counts = sorted((len(on.kept), len(off.kept)))
    if counts[1] - counts[0] > MOST_UNEVEN * counts[1]:
        notes.append(f"{len(on.kept)} transients of ON stand against {len(off.kept)} of OFF")
    return tuple(notes)
