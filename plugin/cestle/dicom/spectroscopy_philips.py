"""What Philips says of each frame of a spectroscopy object: water, and the state of editing.

Evidence: a public two-frame PRESS spectrum of an Achieva (release 3), and wtclarke/spec2nii
(`philips_dcm.py`) for the marks of editing, of which no file has been seen.
"""

from dataclasses import dataclass
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.tag import Tag

from cestle.dicom.facts import (
    element_of,
    finite_numbers,
    plain_text,
    private_element,
    value_texts,
)
from cestle.dicom.spectroscopy_object import identified, items_of
from cestle.errors import HeaderError
from cestle.mrs.series import EditState

_GROUP: Final = 0x2005
_FRAMES: Final = ("Philips MR Imaging DD 005", 0x140F)
_WATER: Final = ("Philips MR Imaging DD 004", 0x1304)
_EDITED: Final = ("Philips MR Imaging DD 006", 0x1597)
_STATE: Final = ("Philips MR Imaging DD 006", 0x1598)
_AVERAGES: Final = ("Philips Imaging DD 001", 0x1088)
_STATES: Final = {"1": EditState.ON, "0": EditState.OFF}


@dataclass(frozen=True, kw_only=True)
class FrameMark:
    """Whether a frame is unsuppressed water, and its state of editing where that is stated."""

    water: bool
    state: EditState | None


def is_philips(dataset: Dataset) -> bool:
    """Whether a scanner of Philips made an object."""
    return plain_text(dataset, "Manufacturer").lower().startswith("philips")


def frame_marks(dataset: Dataset, frames: int) -> tuple[FrameMark, ...]:
    """Marks of all frames of an object of Philips, in their order.

    Raises
    ------
    HeaderError
        When several frames are not marked one by one, so that water could pass for a spectrum.
    """
    place = _element(dataset, _GROUP, _FRAMES)
    items = [] if place is None else items_of(dataset, int(place.tag))
    if frames == 1 and not items:
        return (FrameMark(water=False, state=None),)
    if len(items) != frames:
        raise HeaderError(
            f"{identified(dataset)} has {frames} frames but describes {len(items)} in its private "
            "elements, which alone tell water from metabolites. Send it with its private elements, "
            "as Explicit VR Little Endian."
        )
    edited = _text(dataset, _EDITED).upper() == "Y"
    return tuple(
        FrameMark(
            water=_text(item, _WATER) not in {"", "0"},
            state=_STATES.get(_text(item, _STATE)) if edited else None,
        )
        for item in items
    )


def averages(dataset: Dataset) -> int | None:
    """Averages behind a spectrum: (0018,0083) of a public file says 1 where this says 128."""
    found = finite_numbers([_text(dataset, _AVERAGES, group=0x2001)])
    return int(found[0]) if found is not None and found[0] >= 1.0 else None


def _text(dataset: Dataset, place: tuple[str, int], *, group: int = _GROUP) -> str:
    element = _element(dataset, group, place)
    texts = None if element is None else value_texts(element)
    return texts[0] if texts else ""


def _element(dataset: Dataset, group: int, place: tuple[str, int]) -> DataElement | None:
    """An element by its creator; by its usual number where no creator claims that block.

    Items of a private sequence seldom repeat the creators of all their elements.
    """
    creator, usual = place
    found = private_element(dataset, group, creator, usual & 0xFF)
    claimed = element_of(dataset, Tag(group, usual >> 8)) is not None
    return found if found is not None or claimed else element_of(dataset, Tag(group, usual))
