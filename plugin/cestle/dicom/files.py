"""From paths to headers: what is DICOM, what is not, and the pixels behind a header.

Messages count files or name UIDs; a file name may be the name of a person, so none is repeated.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import MediaStorageDirectoryStorage

from cestle.dicom.facts import UNDECODABLE, plain_text
from cestle.errors import HeaderError, InputError

_LARGEST_VOXELS: Final = 512 * 1024 * 1024
# What MONOCHROME1 inverts is the display, not the values (PS3.3 C.7.6.3.1.2).
_GREYSCALE: Final = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredObject:
    """A DICOM file and its header.

    Parameters
    ----------
    path
        The file.
    header
        All elements before the pixels.
    """

    path: Path
    header: Dataset


@dataclass(frozen=True, kw_only=True)
class FolderContent:
    """What was found: the objects, each SOP Instance UID once, and how many files were not used.

    Parameters
    ----------
    objects
        In the order of their SOP Instance UIDs, so that the order of the files plays no part.
    not_dicom
        Number of files that are no DICOM objects.
    duplicates
        Number of files that repeat an instance.
    """

    objects: tuple[StoredObject, ...]
    not_dicom: int
    duplicates: int


def files_below(folder: Path) -> tuple[Path, ...]:
    """All files in a folder and its subfolders, sorted.

    Raises
    ------
    InputError
        When the folder does not exist, is no folder or holds no file.
    """
    if not folder.is_dir():
        found = "a file" if folder.is_file() else "nothing"
        raise InputError(f"{found} was found where a folder of DICOM files was expected.")
    files = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    if not files:
        raise InputError(
            "the folder is empty; a folder with the DICOM files of one study was expected."
        )
    return files


def read_objects(files: Iterable[Path]) -> FolderContent:
    """Read the headers of all DICOM files among `files`.

    Raises
    ------
    InputError
        When no file is DICOM, or two different objects have the same SOP Instance UID.
    """
    found: dict[str, StoredObject] = {}
    not_dicom = duplicates = total = 0
    for path in files:
        total += 1
        header = read_header(path)
        if header is None:
            not_dicom += 1
            continue
        uid = plain_text(header, "SOPInstanceUID")
        if uid in found:
            _require_repeat(found[uid], StoredObject(path=path, header=header), uid)
            duplicates += 1
            continue
        found[uid] = StoredObject(path=path, header=header)
    if not found:
        raise InputError(
            f"none of the {total} file(s) is a DICOM object; a folder with the DICOM files of "
            "one study was expected."
        )
    objects = tuple(found[uid] for uid in sorted(found))
    return FolderContent(objects=objects, not_dicom=not_dicom, duplicates=duplicates)


def _require_repeat(first: StoredObject, second: StoredObject, uid: str) -> None:
    if first.path.read_bytes() == second.path.read_bytes():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same = _read(first.path, pixels=True) == _read(second.path, pixels=True)
    if not same:
        raise InputError(
            f"two different objects have the same SOP Instance UID {uid}; remove the one that "
            "is not meant."
        )


def read_header(path: Path) -> Dataset | None:
    """Header of a DICOM file without its pixels; None when the file is no DICOM object."""
    try:
        header = _read(path, pixels=False)
    except (InvalidDicomError, *UNDECODABLE):
        return None
    sop_class = plain_text(header, "SOPClassUID")
    if not sop_class or not plain_text(header, "SOPInstanceUID"):
        return None
    return None if sop_class == MediaStorageDirectoryStorage else header


def _read(path: Path, *, pixels: bool) -> Dataset:
    with warnings.catch_warnings():
        # Values that break the standard (dates '***', text that is too long) are met on real
        # scanners; what is needed of them is checked where it is used.
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path, stop_before_pixels=not pixels, defer_size=None)


def read_whole(path: Path) -> Dataset:
    """All of an object, pixels included.

    Raises
    ------
    HeaderError
        When the file cannot be read to its end.
    """
    try:
        return _read(path, pixels=True)
    except (InvalidDicomError, *UNDECODABLE) as fault:
        raise HeaderError(
            f"an object cannot be read to its end ({type(fault).__name__}); a complete file was "
            "expected. Send it again."
        ) from fault


def read_frames(stored: StoredObject) -> npt.NDArray[Any]:
    """Stored values of all frames, shape (frames, rows, columns).

    Raises
    ------
    HeaderError
        When the pixels are truncated, not single-channel, too large or cannot be decoded.
    """
    dataset = read_whole(stored.path)
    uid = plain_text(dataset, "SOPInstanceUID")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape = _checked_shape(dataset, uid)
            pixels = dataset.pixel_array
            _require_stored_bits(dataset, uid)
    except (RuntimeError, *UNDECODABLE) as fault:
        raise HeaderError(
            f"the pixels of instance {uid} cannot be decoded ({type(fault).__name__}); send it "
            "as Explicit VR Little Endian."
        ) from fault
    return np.reshape(pixels, shape)


def largest_stored(dataset: Dataset) -> int | None:
    """Largest stored value that integer pixels can have; None for other pixels (PS3.5 8.1.1)."""
    bits = _integer(dataset, "BitsStored", default=0)
    signed = _integer(dataset, "PixelRepresentation", default=0) == 1
    return int(2 ** (bits - signed) - 1) if bits > 0 else None


def _checked_shape(dataset: Dataset, uid: str) -> tuple[int, int, int]:
    """Shape after holding it against the bytes, before anything is allocated (PS3.3 C.7.6.3)."""
    rows, columns, bits = (
        _integer(dataset, name, default=0) for name in ("Rows", "Columns", "BitsAllocated")
    )
    frames = _integer(dataset, "NumberOfFrames", default=1)
    if min(rows, columns, frames) < 1 or bits not in {8, 16, 32}:
        raise HeaderError(
            f"instance {uid} states {frames} frames of {rows}×{columns} with {bits} bits; an "
            "image with 8, 16 or 32 bits was expected. Send it again from the scanner."
        )
    meaning = plain_text(dataset, "PhotometricInterpretation").upper()
    colour = _integer(dataset, "SamplesPerPixel", default=1) != 1
    if colour or meaning not in _GREYSCALE:
        raise HeaderError(
            f"instance {uid} is a colour picture; a greyscale image was expected. Send the image "
            "itself, not a picture of it."
        )
    if frames * rows * columns > _LARGEST_VOXELS:
        raise HeaderError(
            f"instance {uid} states {frames}×{rows}×{columns} voxels; at most "
            f"{_LARGEST_VOXELS} are read. Check the header."
        )
    name = next((one for one in ("PixelData", "FloatPixelData") if one in dataset), None)
    if name is None:
        raise HeaderError(f"instance {uid} has no pixels; an image was expected. Send it again.")
    syntax = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is not None and syntax.is_transfer_syntax and syntax.is_compressed:
        return frames, rows, columns
    expected = frames * rows * columns * bits // 8
    found = len(dataset[name].value)
    if found < expected:
        raise HeaderError(
            f"the pixels of instance {uid} are truncated: {found} bytes found, {expected} "
            "expected. Send the instance again."
        )
    return frames, rows, columns


def _require_stored_bits(dataset: Dataset, uid: str) -> None:
    """Refuse 16-bit values beyond BitsStored: decoding would cut them off (PS3.5 8.1.1)."""
    stored = _integer(dataset, "BitsStored", default=16)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_compressed or "PixelData" not in dataset:
        return
    if _integer(dataset, "BitsAllocated", default=0) != 16 or stored >= 16:
        return
    order = "<" if syntax.is_little_endian else ">"
    signed = _integer(dataset, "PixelRepresentation", default=0) == 1
    values = np.frombuffer(dataset.PixelData, dtype=f"{order}{'i' if signed else 'u'}2")
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if signed else (0, 1 << stored)
    beyond = int(np.count_nonzero((values < low) | (values >= high)))
    if beyond or _integer(dataset, "HighBit", default=stored - 1) != stored - 1:
        raise HeaderError(
            f"instance {uid} states {stored} stored bits, but {beyond} of its values need more or "
            "lie in other bits; values within them were expected. Send it again from the scanner."
        )


def _integer(dataset: Dataset, keyword: str, *, default: int) -> int:
    text = plain_text(dataset, keyword)
    try:
        return int(text) if text else default
    except ValueError:
        return 0
