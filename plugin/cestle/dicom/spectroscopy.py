"""MEGA-PRESS spectra from DICOM objects of several encodings.

=====================  ===========================================================
United Imaging         one object: averages of both states, water and difference in
                       private elements
standard, many frames  one object: one frame for each FID (PS3.3 A.36.3)
standard, one frame    one object for each FID, as Siemens XA60 writes it
Philips                one object: frames marked as water, edit-ON or edit-OFF
=====================  ===========================================================

FIDs are handed on as they are stored: their sign, order and polarity are found on the data by
`cestle.mrs.preparation`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom.facts import plain_text
from cestle.dicom.spectroscopy_object import (
    SPECTROSCOPY,
    SpectraReading,
    frame_count,
    identified,
)
from cestle.dicom.spectroscopy_standard import read_standard_spectra
from cestle.dicom.spectroscopy_uih import has_states, read_uih_spectra
from cestle.dicom.spectroscopy_voxel import SAME_PLACE_MM, distance_mm
from cestle.dicom.uih import is_uih
from cestle.errors import InputError, ProtocolError
from cestle.mrs.series import MegaSeries, Voxel
from cestle.physics import Complex
from cestle.study.roles import EditingRule

PRIVATE_CLASSES: Final = {
    "1.3.12.2.1107.5.9.1": "Siemens",
    "1.3.46.670589.11.0.0.12.1": "Philips",
    "1.3.46.670589.11.0.0.12.2": "Philips",
}
"""Private SOP classes that may hold spectra; received and kept, but not read."""

_NAMES: Final = ("SequenceName", "PulseSequenceName", "SeriesDescription", "ProtocolName")
_SAME_DWELL: Final = 1e-3
_SAME_FREQUENCY: Final = 1e-4


def read_mega(
    objects: Sequence[Dataset],
    *,
    water: Sequence[Dataset] = (),
    editing: EditingRule | None = None,
) -> MegaSeries:
    """Read one MEGA-PRESS acquisition.

    Parameters
    ----------
    objects
        Its objects, in any order.
    water
        Objects of a separate acquisition of unsuppressed water.
    editing
        What the site's rule knows beyond the header.

    Raises
    ------
    InputError
        When an object cannot be used, is no MEGA-PRESS, or the objects are not of one acquisition.
    """
    return read_mega_series(objects, water=water, editing=editing).series


def read_mega_series(
    objects: Sequence[Dataset],
    *,
    water: Sequence[Dataset] = (),
    editing: EditingRule | None = None,
) -> SpectraReading:
    """As `read_mega`, with notes on the reading."""
    reading = read_spectra(objects)
    series = reading.series
    _require_mega(series, objects[0])
    if editing is not None:
        series = with_editing(series, editing, name=identified(objects[0]))
    notes = reading.notes
    if water:
        series, more = with_water(series, water)
        notes = (*notes, *more)
    return SpectraReading(series=series, notes=notes)


def read_spectra(objects: Sequence[Dataset]) -> SpectraReading:
    """Read the spectra of one acquisition, edited or not.

    Parameters
    ----------
    objects
        Its objects, in any order.

    Raises
    ------
    InputError
        When there is none, or one cannot be used.
    """
    if not objects:
        raise InputError("no spectroscopy object was given; at least one was expected.")
    for dataset in objects:
        require_readable_class(dataset)
    patients = {plain_text(dataset, "PatientID") for dataset in objects}
    if len(patients) > 1:
        raise InputError(
            f"{len(patients)} patients found among the spectroscopy objects; one was expected. "
            "Give the objects of one study."
        )
    if any(has_states(dataset) for dataset in objects) or _is_single_uih(objects):
        if len(objects) > 1:
            raise ProtocolError(
                f"{len(objects)} spectroscopy objects hold averages of their own; one acquisition "
                "was expected. Choose one."
            )
        return read_uih_spectra(objects[0])
    return read_standard_spectra(objects)


def require_readable_class(dataset: Dataset) -> None:
    """Refuse private classes of spectra, and what is no spectrum.

    Raises
    ------
    ProtocolError
        With the class, and what to export instead.
    """
    sop_class = plain_text(dataset, "SOPClassUID")
    if sop_class == SPECTROSCOPY:
        return
    maker = PRIVATE_CLASSES.get(sop_class)
    found = f"the private class {sop_class} of {maker}" if maker else f"class {sop_class}"
    raise ProtocolError(
        f"{identified(dataset)} is of {found}, which is not supported; MR Spectroscopy Storage "
        "was expected. Export the spectra in that class."
    )


def _is_single_uih(objects: Sequence[Dataset]) -> bool:
    """Whether there is one FID alone from United Imaging: then it is the scanner's difference."""
    return len(objects) == 1 and is_uih(objects[0]) and frame_count(objects[0]) == 1


def _require_mega(series: MegaSeries, dataset: Dataset) -> None:
    """Refuse spectra that cannot be edit-ON and edit-OFF, nor the difference of the two."""
    count = len(series.fids)
    named = any("mega" in plain_text(dataset, keyword).lower() for keyword in _NAMES)
    if count >= 2 or (count == 0 and series.difference is not None and named):
        return
    raise ProtocolError(
        f"{identified(dataset)} holds {count} FID(s) of metabolites; edit-ON and edit-OFF were "
        "expected. Send the MEGA-PRESS series with both states."
    )


def with_editing(series: MegaSeries, editing: EditingRule, *, name: str) -> MegaSeries:
    """The series with what the site's rule knows of the protocol.

    Raises
    ------
    ProtocolError
        When the transmitter frequency is not that of the site's scanner.
    """
    protocol = series.protocol
    allowed = editing.f0_range_mhz
    if allowed is not None and not allowed[0] <= protocol.frequency_mhz <= allowed[1]:
        raise ProtocolError(
            f"{name} has a transmitter frequency of {protocol.frequency_mhz:.3f} MHz; "
            f"{allowed[0]:g} to {allowed[1]:g} MHz was expected by the rule. Send spectra of this "
            "scanner, or adapt the rule."
        )
    on, off = protocol.edit_on_ppm, protocol.edit_off_ppm
    known = replace(
        protocol,
        edit_on_ppm=editing.edit_on_ppm if on is None else on,
        edit_off_ppm=editing.edit_off_ppm if off is None else off,
    )
    return replace(series, protocol=known)


def with_water(
    series: MegaSeries, water: Sequence[Dataset] | MegaSeries
) -> tuple[MegaSeries, tuple[str, ...]]:
    """The series with unsuppressed water of a separate acquisition, and notes.

    Water that cannot be used, is of another voxel or was sampled otherwise is left aside: it
    would give the width of another place.
    """
    if series.water is not None:
        return series, ("a separate water series was not used: water came with the spectra",)
    try:
        found = water if isinstance(water, MegaSeries) else read_spectra(water).series
    except InputError as fault:
        return series, (f"the water series was not used: {fault}",)
    reason = _unlike(series, found)
    if reason:
        return series, (f"the water series was not used: {reason}",)
    return replace(series, water=_water_fids(found)), ("water is from a series of its own",)


def _unlike(series: MegaSeries, water: MegaSeries) -> str:
    """In what water differs from the spectra; empty when it belongs to them."""
    a, b = series.protocol, water.protocol
    if series_points(series) != series_points(water):
        return f"it has {series_points(water)} points, the spectra {series_points(series)}"
    if abs(a.dwell_s - b.dwell_s) > _SAME_DWELL * a.dwell_s:
        return (
            f"its spectral width is {1.0 / b.dwell_s:g} Hz, that of the spectra {1 / a.dwell_s:g}"
        )
    if abs(a.frequency_mhz - b.frequency_mhz) > _SAME_FREQUENCY * a.frequency_mhz:
        return f"its frequency is {b.frequency_mhz:g} MHz, that of the spectra {a.frequency_mhz:g}"
    if _frames_differ(series.voxel, water.voxel):
        return "it stands in another Frame of Reference"
    if distance_mm(series.voxel, water.voxel) > SAME_PLACE_MM:
        return f"its voxel is {distance_mm(series.voxel, water.voxel):.1f} mm away"
    return ""


def _frames_differ(a: Voxel | None, b: Voxel | None) -> bool:
    if a is None or b is None:
        return False
    both = {a.frame_of_reference_uid, b.frame_of_reference_uid}
    return len(both - {""}) > 1


def series_points(series: MegaSeries) -> int:
    """Points of an FID of the series."""
    return int(series.fids.shape[-1])


def _water_fids(series: MegaSeries) -> Complex:
    """The FIDs of a water series, shape (transient, coil, point): those marked, else all."""
    if series.water is not None:
        return series.water
    if series.difference is not None:
        return series.difference[np.newaxis, np.newaxis]
    return series.fids
