"""One spectroscopy object: its header checked, its bytes turned into FIDs.

Nothing is decided here on sign, order or polarity of an FID: `cestle.mrs.preparation` does that
on the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag

from cestle.dicom.facts import element_of, finite_numbers, plain_text, value_texts
from cestle.errors import HeaderError, ProtocolError
from cestle.mrs.series import MegaSeries
from cestle.physics import Complex, Real

SPECTROSCOPY: Final = "1.2.840.10008.5.1.4.1.1.4.2"
"""SOP class UID of MR Spectroscopy Storage."""

DEFAULT_TRANSMITTER_PPM: Final = 4.7
"""Chemical shift of water at body temperature, to within 0.05 ppm."""

LEAST_POINTS: Final = 1024
"""Fewer points do not tell the lines apart."""

WIDTH_HZ: Final = (1000.0, 10000.0)
"""Spectral widths of proton spectra in the brain [Hz]."""

PROTON_MHZ: Final = (20.0, 1000.0)
"""Proton frequencies of magnets that people lie in, with room to spare [MHz]."""

_SHARED: Final = "SharedFunctionalGroupsSequence"
_PER_FRAME: Final = "PerFrameFunctionalGroupsSequence"
_BYTES_PER_POINT: Final = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class SpectraReading:
    """Spectra as read, and what there is to say about the reading.

    Parameters
    ----------
    series
        The spectra; whether they are edited at all is not checked.
    notes
        What was left aside or looks odd, for the log and the report.
    """

    series: MegaSeries
    notes: tuple[str, ...]


def identified(dataset: Dataset) -> str:
    """Words for an object in a message."""
    return f"spectroscopy instance {plain_text(dataset, 'SOPInstanceUID') or '(no UID)'}"


def items_of(dataset: Dataset, tag: str | int) -> Sequence[Dataset]:
    """Items of a sequence; none when it is absent or no sequence."""
    element = element_of(dataset, Tag(tag))
    if element is None or element.VR != "SQ":
        return ()
    items: Sequence[Dataset] = element.value
    return items


def numbers_of(dataset: Dataset, keyword: str) -> Real | None:
    """Numbers of a top-level element; None unless all its values are finite numbers."""
    tag = tag_for_keyword(keyword)
    element = None if tag is None else element_of(dataset, Tag(tag))
    texts = None if element is None else value_texts(element)
    return None if texts is None else finite_numbers(texts)


def number_of(dataset: Dataset, keyword: str) -> float | None:
    """First number of a top-level element."""
    found = numbers_of(dataset, keyword)
    return None if found is None else float(found[0])


def frame_numbers(dataset: Dataset, frame: int, macro: str, keyword: str) -> Real | None:
    """Numbers of a functional group macro: those of the frame, else the shared ones."""
    for groups, index in ((_PER_FRAME, frame), (_SHARED, 0)):
        items = items_of(dataset, groups)
        inner = items_of(items[index], macro) if index < len(items) else ()
        found = numbers_of(inner[0], keyword) if inner else None
        if found is not None:
            return found
    return None


def frame_number(dataset: Dataset, frame: int, macro: str, keyword: str) -> float | None:
    """First number of a functional group macro."""
    found = frame_numbers(dataset, frame, macro, keyword)
    return None if found is None else float(found[0])


def frame_count(dataset: Dataset) -> int:
    """Number of frames that the header states; 1 when it states none.

    Raises
    ------
    HeaderError
        When it states no positive whole number.
    """
    if not plain_text(dataset, "NumberOfFrames"):
        return 1
    count = number_of(dataset, "NumberOfFrames")
    if count is None or count < 1 or count != int(count):
        raise HeaderError(
            f"{identified(dataset)} has an unusable NumberOfFrames; a positive whole number was "
            "expected. Send it again from the scanner."
        )
    return int(count)


def require_fids(dataset: Dataset, *, conformant: bool = True) -> None:
    """Refuse what is no FID of one voxel of protons.

    Parameters
    ----------
    dataset
        The object.
    conformant
        Whether representation and domain must be stated (type 1, PS3.3 C.8.14.4); a private
        encoding that fixes both may leave them out.

    Raises
    ------
    ProtocolError
        For other nuclei, spectra instead of FIDs, magnitudes, and grids of voxels.
    HeaderError
        When the header does not say which, or the object is stored big-endian.
    """
    name = identified(dataset)
    if dataset.original_encoding[1] is False:
        raise HeaderError(
            f"{name} is stored big-endian; Explicit VR Little Endian was expected. Send it so."
        )
    _require_protons(dataset)
    for keyword, wanted, meaning in (
        ("DataRepresentation", "COMPLEX", "complex pairs"),
        ("SignalDomainColumns", "TIME", "the FID itself"),
    ):
        found = plain_text(dataset, keyword).upper()
        if not found and conformant:
            raise HeaderError(
                f"{name} has no {keyword}; {wanted} was expected. Send it again from the scanner."
            )
        if found not in {"", wanted}:
            raise ProtocolError(
                f"{name} has {keyword} {found[:16]}; {wanted}, {meaning}, was expected. Export "
                "the raw FIDs."
            )
    _require_one_voxel(dataset)


def _require_protons(dataset: Dataset) -> None:
    nucleus = next(
        (
            text.upper()
            for text in map(lambda k: plain_text(dataset, k), ("ResonantNucleus", "ImagedNucleus"))
            if text
        ),
        "",
    )
    if not nucleus:
        raise HeaderError(
            f"{identified(dataset)} does not name its nucleus; ResonantNucleus 1H was expected. "
            "Send it with its whole header."
        )
    if nucleus not in {"1H", "H1"}:
        raise ProtocolError(
            f"{identified(dataset)} is a spectrum of {nucleus[:16]}; 1H was expected. Send the "
            "proton spectra."
        )


def _require_one_voxel(dataset: Dataset) -> None:
    grid = [number_of(dataset, k) for k in ("Rows", "Columns", "DataPointRows")]
    kind = plain_text(dataset, "MRSpectroscopyAcquisitionType").upper()
    if any(count not in {None, 1.0} for count in grid) or kind not in {"", "SINGLE_VOXEL"}:
        rows, columns, lines = ("?" if count is None else f"{count:g}" for count in grid)
        raise ProtocolError(
            f"{identified(dataset)} holds {rows}×{columns} voxels of {lines} line(s) "
            f"({kind or 'type not stated'}); a single voxel was expected. Spectroscopic imaging "
            "is not analysed."
        )


def stated_points(dataset: Dataset) -> tuple[int | None, tuple[str, ...]]:
    """Points of an FID as the header states them, and a note when it contradicts itself."""
    stored = number_of(dataset, "DataPointColumns")
    acquired = number_of(dataset, "SpectroscopyAcquisitionDataColumns")
    if acquired is None:
        acquired = frame_number(
            dataset, 0, "MRSpectroscopyFOVGeometrySequence", "SpectroscopyAcquisitionDataColumns"
        )
    points = stored if stored is not None else acquired
    if points is None:
        return None, ()
    if acquired is not None and acquired != points:
        note = f"the header states {points:g} stored and {acquired:g} acquired points"
        return int(points), (note,)
    return int(points), ()


def spectroscopy_data(dataset: Dataset) -> object:
    """Value of (5600,0020); None when it is absent."""
    element = element_of(dataset, Tag("SpectroscopyData"))
    return None if element is None else element.value


def decoded_fids(content: object, *, frames: int, points: int | None, name: str) -> Complex:
    """FIDs of a byte string of little-endian float32 pairs (re, im), shape (frame, point).

    Parameters
    ----------
    content
        Value of the element.
    frames
        How many FIDs it must hold.
    points
        How many points each must have; None when the header does not say.
    name
        Words for the element in a message.

    Raises
    ------
    HeaderError
        When there are no bytes, more or fewer than stated, or they hold no finite numbers.
    ProtocolError
        When an FID is too short to tell the lines apart.
    """
    found = len(content) if isinstance(content, bytes | bytearray) else 0
    if not isinstance(content, bytes | bytearray) or not found:
        raise HeaderError(
            f"{name} holds no data; FIDs of float32 pairs were expected. Send it again from the "
            "scanner."
        )
    expected = found if points is None else frames * points * _BYTES_PER_POINT
    if found != expected or found % (frames * _BYTES_PER_POINT):
        raise HeaderError(
            f"{name} holds {found} bytes; {frames} FID(s) of {points or 'equal'} complex float32 "
            f"points, {expected} bytes, were expected. Send it again from the scanner."
        )
    stored = np.frombuffer(content, dtype="<f4").reshape(frames, -1, 2)
    _require_signal(stored, name)
    pairs = stored.astype(np.float64)
    if pairs.shape[1] < LEAST_POINTS:
        raise ProtocolError(
            f"{name} has {pairs.shape[1]} points; at least {LEAST_POINTS} were expected. Export "
            "the whole FID."
        )
    fids: Complex = pairs[..., 0] + 1j * pairs[..., 1]
    return fids


def _require_signal(pairs: npt.NDArray[np.float32], name: str) -> None:
    unusable = np.flatnonzero(~np.isfinite(pairs).all(axis=(1, 2)))
    if len(unusable):
        raise HeaderError(
            f"{name} holds values that are no finite numbers in FID {unusable[0] + 1}; numbers "
            "were expected. Send it again from the scanner."
        )
    empty = np.flatnonzero(~pairs.any(axis=(1, 2)))
    if len(empty):
        raise HeaderError(
            f"{name} holds nothing but zeros in FID {empty[0] + 1} of {len(pairs)}, as an aborted "
            "scan leaves them; signal was expected. Send a complete scan."
        )
