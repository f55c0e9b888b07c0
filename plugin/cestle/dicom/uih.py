"""Private elements and habits of United Imaging, each with its evidence.

Evidence: 194 public images of a uMR 770 (3T, software R002, neurolabusc/dcm_qa_uih) and the
notes of dcm2niix. Nothing here comes from a uMR Jupiter.
"""

from typing import Final

import numpy as np
from pydicom import DataElement, Dataset

from cestle.dicom.facts import (
    finite_numbers,
    plain_text,
    private_element,
    private_key,
    value_texts,
)
from cestle.errors import HeaderError
from cestle.physics import Real
from cestle.study.facts import InstanceFacts

CREATOR: Final = "Image Private Header"
"""Private creator of group 0065 in images."""

SEQUENCE_DISPLAY_NAME: Final = private_key(0x0065, 0x2D, CREATOR)
"""ST: the one label that varied between the volumes of a diffusion series."""

SCALE_FACTOR: Final = private_key(0x0065, 0x2F, CREATOR)
"""FL: for internal use, no rescale; constant within each series seen (0.397 and 340)."""

_TILE_COUNT: Final = 0x50
_TILE_SEQUENCE: Final = 0x51


def is_tiled(facts: InstanceFacts) -> bool:
    """Whether the image is a VFRAME: one file per volume, its slices laid out as tiles."""
    return any(value.upper() == "VFRAME" for value in facts.all("ImageType"))


def tile_layout(count: int) -> tuple[int, int]:
    """Rows and columns of tiles: columns = ⌈√n⌉, rows = ⌈n / columns⌉ (20 tiles: 4 by 5)."""
    columns = int(np.ceil(np.sqrt(count)))
    return int(np.ceil(count / columns)), columns


def tile_positions(header: Dataset, facts: InstanceFacts) -> tuple[Real, ...]:
    """Position of the first pixel of each tile, in the order of the tiles, LPS [mm].

    Tiles follow the items of (0065,xx51) row by row: in the public series the correlation of
    neighbouring tiles is 0.9 in this order, and the brain narrows towards the head as the
    positions rise. The file has no ImagePositionPatient of its own. Each position agrees with
    the centre in (0065,xx15) when that is taken as the pixel with index n/2.

    Raises
    ------
    HeaderError
        When the number of items, (0065,xx50) and the size of the image do not fit together.
    """
    uid = facts.sop_instance_uid
    try:
        block = header.private_block(0x0065, CREATOR)
        items = list(block[_TILE_SEQUENCE].value)
        declared = float(str(block[_TILE_COUNT].value))
    except (KeyError, ValueError, TypeError) as fault:
        raise HeaderError(
            f"tiled image {uid} lacks its tile positions in group 0065; send it with its private "
            "elements, best as Explicit VR Little Endian."
        ) from fault
    positions = [item.get("ImagePositionPatient") for item in items]
    rows, columns = tile_layout(max(len(items), 1))
    fits = facts.rows % rows == 0 and facts.columns % columns == 0
    if declared != len(items) or not fits or any(one is None for one in positions):
        raise HeaderError(
            f"tiled image {uid} of {facts.rows}×{facts.columns} states {declared:g} tiles and "
            f"describes {len(items)}; a position for each tile was expected. Send it again."
        )
    return tuple(np.array([float(x) for x in position], dtype=np.float64) for position in positions)


SPECTROSCOPY_CREATOR: Final = "Spectroscopy Private Header"
"""Private creator of group 0065 in spectra, beside that of images."""


def spectroscopy_element(dataset: Dataset, number: int) -> DataElement | None:
    """Element (0065,xx``number``) of the spectroscopy block; None when it is absent.

    Evidence: the header of a 3T PRESS spectrum in wtclarke/spec2nii#1, and the elements that
    spec2nii reads. The block was at FF there; its creator says where it is.
    """
    return private_element(dataset, 0x0065, SPECTROSCOPY_CREATOR, number)


def spectroscopy_numbers(dataset: Dataset, number: int) -> Real | None:
    """Numbers of an element of the spectroscopy block, shape (n,); None unless all are finite.

    Empty values at the end are dropped: the normal of the public header has one.
    """
    element = spectroscopy_element(dataset, number)
    texts = list((None if element is None else value_texts(element)) or ())
    while texts and not texts[-1]:
        texts.pop()
    return finite_numbers(texts)


def is_uih(dataset: Dataset) -> bool:
    """Whether a scanner of United Imaging made an object."""
    maker = plain_text(dataset, "Manufacturer").lower()
    model = plain_text(dataset, "ManufacturerModelName").lower()
    return maker.startswith(("uih", "united imaging")) or "umr" in model
