"""MR Spectroscopy Storage as the standard has it: frames of one object, or an object for each.

In the public series of single transients InstanceNumber is the only element that tells their
order, so it must be different in each and leave no gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom import spectroscopy_philips as philips
from cestle.dicom.facts import plain_text
from cestle.dicom.spectroscopy_header import protocol_of
from cestle.dicom.spectroscopy_object import (
    SpectraReading,
    decoded_fids,
    frame_count,
    frame_number,
    identified,
    number_of,
    require_fids,
    spectroscopy_data,
    stated_points,
)
from cestle.dicom.spectroscopy_voxel import SAME_PLACE_MM, distance_mm, read_voxel
from cestle.errors import GeometryError, HeaderError, ProtocolError
from cestle.mrs.series import EditState, MegaProtocol, MegaSeries, Voxel
from cestle.physics import Complex

WATER_REFERENCE: Final = "WATER_REFERENCE"
"""Value of (0018,9297) in an object that holds unsuppressed water (PS3.3 C.8.14.1.4)."""

_SAME_FREQUENCY: Final = 1e-5
_SAME_DWELL: Final = 1e-4
_SAME_MS: Final = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    """One FID, shape (point,), with what its file says of it."""

    fid: Complex
    water: bool
    state: EditState | None
    averages: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Object:
    """One object, read; `name` are words for it in a message."""

    name: str
    frames: tuple[_Frame, ...]
    protocol: MegaProtocol
    voxel: Voxel | None
    notes: tuple[str, ...]

    @property
    def is_water(self) -> bool:
        """Whether all its FIDs are unsuppressed water."""
        return all(frame.water for frame in self.frames)


def read_standard_spectra(datasets: Sequence[Dataset]) -> SpectraReading:
    """FIDs of one object with many frames, or of one object for each FID.

    Parameters
    ----------
    datasets
        The objects of one acquisition, in any order.

    Raises
    ------
    HeaderError, ProtocolError, GeometryError
        When an object cannot be used, the order is not known, or the objects are not of one
        acquisition.
    """
    ordered = _in_order(datasets)
    objects = [_read_object(dataset) for dataset in ordered]
    first = next((one for one in objects if not one.is_water), objects[0])
    for one in objects:
        _require_one_acquisition(first, one)
    frames = [frame for one in objects for frame in one.frames]
    metabolites = [frame for frame in frames if not frame.water]
    water = [frame for frame in frames if frame.water]
    series = MegaSeries(
        fids=_stacked(metabolites, points=len(frames[0].fid)),
        labels=tuple(frame.state for frame in metabolites),
        averaged=len(metabolites) == 2,
        averages=_averages(ordered[0], metabolites),
        water=_stacked(water, points=0) if water else None,
        difference=None,
        protocol=first.protocol,
        voxel=first.voxel,
        source=_source(ordered),
    )
    notes = dict.fromkeys(note for one in objects for note in one.notes)
    return SpectraReading(series=series, notes=(*notes, *_drift_notes(objects)))


def _in_order(datasets: Sequence[Dataset]) -> list[Dataset]:
    if len(datasets) == 1:
        return list(datasets)
    series = plain_text(datasets[0], "SeriesInstanceUID")
    numbers = [number_of(dataset, "InstanceNumber") for dataset in datasets]
    known = sorted(number for number in numbers if number is not None)
    if len(set(known)) < len(datasets):
        raise ProtocolError(
            f"{len(datasets)} spectra of series {series} do not each have an InstanceNumber of "
            "their own, which alone tells their order; send the series as the scanner numbered it."
        )
    span = int(known[-1] - known[0]) + 1
    if span != len(datasets):
        raise ProtocolError(
            f"{len(datasets)} spectra of series {series} are numbered {known[0]:g} to "
            f"{known[-1]:g}, so {span - len(datasets)} between them did not arrive; send the whole "
            "series."
        )
    return [dataset for _, dataset in sorted(zip(numbers, datasets, strict=True), key=_first)]


def _first(pair: tuple[float | None, Dataset]) -> float:
    return pair[0] or 0.0


def _read_object(dataset: Dataset) -> _Object:
    require_fids(dataset)
    count = frame_count(dataset)
    points, notes = stated_points(dataset)
    name = identified(dataset)
    if points is None:
        raise HeaderError(
            f"{name} does not state its number of points; DataPointColumns was expected. Send it "
            "with its whole header."
        )
    fids = decoded_fids(
        spectroscopy_data(dataset), frames=count, points=points, name=f"SpectroscopyData of {name}"
    )
    frames = tuple(_frames(dataset, fids))
    kept = [index for index, frame in enumerate(frames) if not frame.water]
    protocol, header_notes = protocol_of(dataset, kept or range(count))
    voxel, voxel_notes = read_voxel(dataset)
    return _Object(
        name=name,
        frames=frames,
        protocol=protocol,
        voxel=voxel,
        notes=(*notes, *header_notes, *voxel_notes),
    )


def _frames(dataset: Dataset, fids: Complex) -> list[_Frame]:
    count = len(fids)
    whole = plain_text(dataset, "WaterReferenceAcquisition").upper() == WATER_REFERENCE
    if philips.is_philips(dataset):
        marks = philips.frame_marks(dataset, count)
    else:
        marks = (philips.FrameMark(water=False, state=None),) * count
    return [
        _Frame(
            fid=fid,
            water=whole or mark.water,
            state=mark.state,
            averages=_frame_averages(dataset, index),
        )
        for index, (fid, mark) in enumerate(zip(fids, marks, strict=True))
    ]


def _frame_averages(dataset: Dataset, frame: int) -> int | None:
    found = frame_number(dataset, frame, "MRAveragesSequence", "NumberOfAverages")
    found = number_of(dataset, "NumberOfAverages") if found is None else found
    return int(found) if found is not None and found >= 1.0 else None


def _averages(dataset: Dataset, metabolites: Sequence[_Frame]) -> int | None:
    """Acquisitions behind all FIDs together; None when one frame does not say."""
    counts = [frame.averages for frame in metabolites]
    stated = [count for count in counts if count is not None]
    total = sum(stated) if len(stated) == len(counts) and counts else None
    if philips.is_philips(dataset) and len(metabolites) <= 2:
        return max((count for count in (total, philips.averages(dataset)) if count), default=None)
    return total


def _stacked(frames: Sequence[_Frame], *, points: int) -> Complex:
    """Shape (transient, coil, point)."""
    if not frames:
        return np.empty((0, 1, points), dtype=np.complex128)
    return np.stack([frame.fid for frame in frames])[:, np.newaxis]


def _require_one_acquisition(a: _Object, b: _Object) -> None:
    """Refuse objects that differ in what one acquisition has in common."""
    if a is b:
        return
    if len(a.frames) > 1 or len(b.frames) > 1:
        raise ProtocolError(
            f"{a.name} and {b.name} stand in one series with {len(a.frames)} and {len(b.frames)} "
            "frames; one object with all frames, or one frame in each, was expected."
        )
    if len(a.frames[0].fid) != len(b.frames[0].fid) or _apart(
        a.protocol.dwell_s, b.protocol.dwell_s, _SAME_DWELL * a.protocol.dwell_s
    ):
        raise ProtocolError(
            f"{a.name} and {b.name} stand in one series but differ in points or spectral width; "
            "one acquisition was expected. Send them as series of their own."
        )
    _require_one_protocol(a, b)
    if distance_mm(a.voxel, b.voxel) > SAME_PLACE_MM:
        raise GeometryError(
            f"{a.name} and {b.name} stand in one series but their voxels are "
            f"{distance_mm(a.voxel, b.voxel):.1f} mm apart; one voxel was expected."
        )


def _require_one_protocol(a: _Object, b: _Object) -> None:
    one, other = a.protocol, b.protocol
    compared = (
        (
            "transmitter frequency",
            one.frequency_mhz,
            other.frequency_mhz,
            _SAME_FREQUENCY * one.frequency_mhz,
        ),
        ("EchoTime", one.echo_time_ms, other.echo_time_ms, _SAME_MS),
        ("RepetitionTime", one.repetition_time_ms, other.repetition_time_ms, _SAME_MS),
    )
    for words, first, second, tolerance in compared:
        if _apart(first, second, tolerance) and not b.is_water:
            raise ProtocolError(
                f"{a.name} and {b.name} stand in one series but differ in {words} "
                f"({first or 0:g} and {second or 0:g}); one acquisition was expected."
            )


def _apart(one: float | None, other: float | None, tolerance: float) -> bool:
    return abs((one or 0.0) - (other or 0.0)) > tolerance


def _drift_notes(objects: Sequence[_Object]) -> tuple[str, ...]:
    frequencies = [one.protocol.frequency_mhz for one in objects]
    span_hz = 1e6 * (max(frequencies) - min(frequencies))
    if span_hz < 0.5:
        return ()
    return (
        f"the transmitter was moved by up to {span_hz:.1f} Hz between the spectra; the frequency "
        "of the first was used",
    )


def _source(datasets: Sequence[Dataset]) -> str:
    if len(datasets) > 1:
        return "MR Spectroscopy, one instance for each FID"
    if philips.is_philips(datasets[0]):
        return "MR Spectroscopy of Philips, frames told apart by its private elements"
    return "MR Spectroscopy, one frame for each FID"
