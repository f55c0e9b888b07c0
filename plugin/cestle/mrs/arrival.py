"""What arrived, brought into one form: checked, one coil, and with the sign of the standard."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from cestle.errors import InputError, ProtocolError
from cestle.mrs.coils import coil_weights, combine
from cestle.mrs.fid_sign import decide_sign
from cestle.mrs.series import MegaProtocol, MegaSeries
from cestle.mrs.spectrum import ppm_axis, to_spectrum
from cestle.mrs.water import WATER_PPM
from cestle.physics import Complex

LEAST_POINTS: Final = 1024
LEAST_DURATION_S: Final = 0.2
"""Shorter FIDs do not resolve lines of a few Hz [s]."""

_AVERAGED_FIDS: Final = 2
_LEAST_TRANSIENTS: Final = 4
_WATER_REACH_PPM: Final = 0.5
_SAME: Final = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrived:
    """One FID per transient, in the convention ppm = transmitter + f / f0.

    Parameters
    ----------
    fids
        Shape (transient, point) [a.u.].
    water
        Mean unsuppressed water, shape (point,); None when there is none of use [a.u.].
    difference
        The scanner's own, shape (point,); None when there is none [a.u.].
    decisions, notes
        What was decided on the data, and what could not be done.
    """

    fids: Complex
    water: Complex | None
    difference: Complex | None
    decisions: tuple[str, ...]
    notes: tuple[str, ...]


def receive(series: MegaSeries) -> Arrived:
    """Check a series, combine its coils and turn its FIDs to the sign of the standard.

    Raises
    ------
    InputError
        When there is nothing that could be measured in it.
    """
    _require_protocol(series.protocol)
    _require_numbers(series)
    _require_fids(series)
    weights = coil_weights(series.fids, _filled(series.water), series.protocol)
    fids = combine(series.fids, weights)
    sign = decide_sign(fids, series.protocol)
    water, notes = _mean_water(series, weights)
    difference = series.difference
    if difference is not None and difference.shape != fids.shape[1:]:
        difference = None
        notes = (*notes, "the scanner's difference does not have the shape of the FIDs")
    how = "conjugated against the standard" if sign.conjugated else "as the standard says"
    coils = len(weights)
    return Arrived(
        fids=_turned(fids, conjugate=sign.conjugated),
        water=None if water is None else _turned(water, conjugate=sign.conjugated),
        difference=None if difference is None else _turned(difference, conjugate=sign.conjugated),
        decisions=(
            f"sign of the FID: {how} (metabolites over the mirrored range {sign.ratio:.0f} : 1)",
            *((f"coils: {coils} combined",) if coils > 1 else ()),
        ),
        notes=notes,
    )


def _turned(fids: Complex, *, conjugate: bool) -> Complex:
    return fids.conj() if conjugate else fids


def _require_protocol(protocol: MegaProtocol) -> None:
    for name, value in (("frequency", protocol.frequency_mhz), ("dwell time", protocol.dwell_s)):
        if not (np.isfinite(value) and value > 0.0):
            raise InputError(f"the {name} of the series is {value:g}; expected a positive number.")
    if not np.isfinite(protocol.transmitter_ppm):
        raise InputError("the chemical shift of the transmitter is not a finite number.")


def _require_numbers(series: MegaSeries) -> None:
    parts = (
        ("metabolite FIDs", series.fids),
        ("water reference", series.water),
        ("scanner's difference", series.difference),
    )
    for name, values in parts:
        if values is not None and not np.all(np.isfinite(values)):
            raise InputError(
                f"the {name} hold values that are not finite; expected numbers throughout; "
                "export the series again."
            )


def _require_fids(series: MegaSeries) -> None:
    fids, protocol = series.fids, series.protocol
    if fids.ndim != 3:
        raise InputError(f"FIDs have {fids.ndim} axes; expected transient, coil and point.")
    count, coils, points = fids.shape
    if count == 0 and series.difference is not None:
        raise ProtocolError(
            "only the difference of edit ON and OFF arrived: creatine cancels in it, so that "
            "GABA+/Cr and Glx/Cr are not computable; send edit ON and edit OFF as well."
        )
    if count == 0 or coils == 0:
        raise InputError("the series holds no FID; expected edit ON and edit OFF.")
    if len(series.labels) != count:
        raise InputError(
            f"there are {len(series.labels)} labels for {count} FIDs; expected one each."
        )
    if points < LEAST_POINTS or points * protocol.dwell_s < LEAST_DURATION_S:
        raise InputError(
            f"the FIDs have {points} points over {1e3 * points * protocol.dwell_s:.0f} ms; "
            f"expected at least {LEAST_POINTS} points and {1e3 * LEAST_DURATION_S:.0f} ms."
        )
    if not np.any(fids):
        raise InputError("all FIDs are zero; export the series again.")
    _require_states(series)


def _require_states(series: MegaSeries) -> None:
    fids = series.fids
    if series.averaged and len(fids) != _AVERAGED_FIDS:
        raise ProtocolError(
            f"there are {len(fids)} averages; expected one of edit ON and one of edit OFF."
        )
    if not series.averaged and len(fids) < _LEAST_TRANSIENTS:
        raise ProtocolError(
            f"there are {len(fids)} transients; expected at least two of each edit state."
        )
    apart = np.abs(fids[1:] - fids[:1]).max()
    if apart <= _SAME * np.abs(fids).max():
        raise ProtocolError("all FIDs are the same; expected edit ON to differ from edit OFF.")


def _filled(water: Complex | None) -> Complex | None:
    return water if water is not None and water.size and np.any(water) else None


def _mean_water(series: MegaSeries, weights: Complex) -> tuple[Complex | None, tuple[str, ...]]:
    """Combined and averaged water, or None and why there is none."""
    lost = "; water width and eddy currents cannot be measured"
    given = series.water
    if given is None:
        return None, (f"there is no water reference{lost}",)
    if given.ndim != 3 or given.shape[1:] != series.fids.shape[1:]:
        return None, (f"the water reference does not have the shape of the FIDs{lost}",)
    if _filled(given) is None:
        return None, (f"the water reference is empty{lost}",)
    water = combine(given, weights)
    # phase cycling must not cancel it
    turn = water @ water[np.argmax(np.linalg.norm(water, axis=1))].conj()
    mean = np.mean(water * np.exp(-1j * np.angle(turn))[:, None], axis=0)
    if not _is_water(mean, series.protocol):
        return None, (f"the strongest line of the water reference is not water{lost}",)
    return mean, ()


def _is_water(fid: Complex, protocol: MegaProtocol) -> bool:
    axis = ppm_axis(len(fid), protocol)
    place = axis[np.argmax(np.abs(to_spectrum(fid)))]
    # the sign of the FID may still be either
    mirrored = 2.0 * protocol.transmitter_ppm - place
    away = min(abs(place - WATER_PPM), abs(mirrored - WATER_PPM))
    return float(away) <= _WATER_REACH_PPM
