"""MEGA-PRESS as United Imaging writes it: one average for each state, in private elements.

Evidence: wtclarke/spec2nii (`uih.py`, pull request #186), which reads the same elements. No
file of a 5T scanner has been seen; each element is tested for presence.
"""

from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom.spectroscopy_header import protocol_of
from cestle.dicom.spectroscopy_object import (
    SpectraReading,
    decoded_fids,
    identified,
    number_of,
    require_fids,
    spectroscopy_data,
    stated_points,
)
from cestle.dicom.spectroscopy_voxel import read_voxel
from cestle.dicom.uih import spectroscopy_element
from cestle.errors import HeaderError, ProtocolError
from cestle.mrs.series import EditState, MegaSeries
from cestle.physics import Complex

WATER: Final = 0x07
UNKNOWN: Final = 0x08
EDIT_ON: Final = 0x10
EDIT_OFF: Final = 0x11

SOURCE: Final = "averages of the scanner in the private elements of United Imaging"


def has_states(dataset: Dataset) -> bool:
    """Whether an object holds edit-ON or edit-OFF of its own."""
    found = (spectroscopy_element(dataset, number) for number in (EDIT_ON, EDIT_OFF))
    return any(element is not None for element in found)


def read_uih_spectra(dataset: Dataset) -> SpectraReading:
    """Edit-ON, edit-OFF, water and difference of one object.

    Parameters
    ----------
    dataset
        The object. Without edit-ON and edit-OFF what is left is the difference.

    Raises
    ------
    HeaderError
        When an FID is damaged or not of the stated length, or nothing is there.
    ProtocolError
        When one state is there without the other, or it is no FID of protons in one voxel.
    """
    require_fids(dataset, conformant=False)
    points, notes = stated_points(dataset)
    on, off = (_private_fid(dataset, number, points) for number in (EDIT_ON, EDIT_OFF))
    if (on is None) != (off is None):
        found, absent = ("edit-ON", "edit-OFF") if off is None else ("edit-OFF", "edit-ON")
        raise ProtocolError(
            f"{identified(dataset)} holds {found} without {absent}; both were expected. Send it "
            "with all its private elements."
        )
    difference, more = _difference(dataset, points, required=on is None)
    water, even_more = _water(dataset, points)
    protocol, header_notes = protocol_of(dataset)
    voxel, voxel_notes = read_voxel(dataset)
    fids = [fid for fid in (on, off) if fid is not None]
    _require_one_length(dataset, [*fids, *(fid for fid in (difference, water) if fid is not None)])
    series = MegaSeries(
        fids=_stacked(fids, difference),
        labels=(EditState.ON, EditState.OFF) if fids else (),
        averaged=True,
        averages=_averages(dataset),
        water=None if water is None else water[np.newaxis, np.newaxis],
        difference=difference,
        protocol=protocol,
        voxel=voxel,
        source=SOURCE,
    )
    all_notes = (*notes, *more, *even_more, *_unknown_note(dataset), *header_notes, *voxel_notes)
    return SpectraReading(series=series, notes=all_notes)


def _private_fid(dataset: Dataset, number: int, points: int | None) -> Complex | None:
    element = spectroscopy_element(dataset, number)
    if element is None:
        return None
    name = f"element (0065,xx{number:02X}) of {identified(dataset)}"
    fid: Complex = decoded_fids(element.value, frames=1, points=points, name=name)[0]
    return fid


def _difference(
    dataset: Dataset, points: int | None, *, required: bool
) -> tuple[Complex | None, tuple[str, ...]]:
    """(5600,0020): for MEGA-PRESS the scanner's own difference."""
    content = spectroscopy_data(dataset)
    if not content and not required:
        return None, ("the scanner's own difference is not there",)
    if isinstance(content, bytes) and content and not required and not any(content):
        return None, ("the scanner's own difference holds nothing but zeros",)
    name = f"SpectroscopyData of {identified(dataset)}"
    return decoded_fids(content, frames=1, points=points, name=name)[0], ()


def _water(dataset: Dataset, points: int | None) -> tuple[Complex | None, tuple[str, ...]]:
    element = spectroscopy_element(dataset, WATER)
    content = None if element is None else element.value
    if not isinstance(content, bytes) or not any(content):
        return None, ("no unsuppressed water came with the spectra",)
    return _private_fid(dataset, WATER, points), ()


def _unknown_note(dataset: Dataset) -> tuple[str, ...]:
    if spectroscopy_element(dataset, UNKNOWN) is None:
        return ()
    return ("element (0065,xx08) was not used: its meaning is not known",)


def _require_one_length(dataset: Dataset, fids: list[Complex]) -> None:
    lengths = sorted({len(fid) for fid in fids})
    if len(lengths) > 1:
        raise HeaderError(
            f"the FIDs of {identified(dataset)} have {lengths[0]} to {lengths[-1]} points; one "
            "length was expected. Send it again from the scanner."
        )


def _stacked(fids: list[Complex], difference: Complex | None) -> Complex:
    """Shape (transient, coil, point); no transients when only a difference is there."""
    if fids:
        return np.stack(fids)[:, np.newaxis]
    return np.empty((0, 1, 0 if difference is None else len(difference)), dtype=np.complex128)


def _averages(dataset: Dataset) -> int | None:
    found = number_of(dataset, "NumberOfAverages")
    return int(found) if found is not None and found >= 1 else None
