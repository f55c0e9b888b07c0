"""MEGA-PRESS as United Imaging stores it: the scanner's averages in private elements.

What is known of these objects comes from a program that reads them and from one list of elements
of a 3 T PRESS spectrum; they have the attributes of classic images at top level and, as far as
seen, no functional groups.
"""

from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from cestle.dicom.simulated.headers import PRIVATE_CREATOR, PRIVATE_GROUP, decimal
from cestle.dicom.simulated.spectroscopy_object import SEQUENCE_NAME, Measurement, stored_fids
from cestle.mrs.series import EditState
from cestle.physics import Real

CREATOR: Final = "Spectroscopy Private Header"
"""Private creator of the elements (0065,FFxx)."""

_BLOCK: Final = 0xFF
_CORNER: Final = 0x01
_EDGES: Final = 0x02
_SIZE: Final = 0x04
_FIELD_OF_VIEW: Final = 0x05
_NORMAL: Final = 0x06
_WATER: Final = 0x07
_STATES: Final = {EditState.ON: 0x10, EditState.OFF: 0x11}
_DISPLAYED_POSITION: Final = 0x0F
_LETTERS: Final = (("R", "L"), ("A", "P"), ("F", "H"))


def uih_object(measurement: Measurement) -> Dataset:
    """The one object of a measurement; what the series lacks is absent from it."""
    series = measurement.series
    dataset = measurement.dataset()
    dataset.NumberOfFrames = 1
    dataset.SequenceName = SEQUENCE_NAME
    dataset.EchoTime = decimal(measurement.echo_time_ms)
    dataset.RepetitionTime = decimal(measurement.repetition_time_ms)
    dataset.FlipAngle = "90"
    if series.averages is not None:
        dataset.NumberOfAverages = str(series.averages)
    dataset.SpectroscopyAcquisitionDataColumns = measurement.points
    dataset.ChemicalShiftReference = series.protocol.transmitter_ppm
    _add_plane(dataset, measurement)
    _add_private(dataset, measurement)
    if series.difference is not None:
        dataset.SpectroscopyData = stored_fids(series.difference)
    return dataset


def _add_plane(dataset: Dataset, measurement: Measurement) -> None:
    """Image Plane module of the voxel; its position is the edge of the pixel, not its centre."""
    first, second = measurement.voxel.edges_mm[:2]
    corner = measurement.voxel.centre_mm - 0.5 * (first + second)
    directions, sizes = measurement.directions, measurement.sizes_mm
    dataset.ImagePositionPatient = [decimal(value) for value in corner]
    dataset.ImageOrientationPatient = [decimal(value) for value in directions[:2].ravel()]
    dataset.PixelSpacing = [decimal(sizes[1]), decimal(sizes[0])]
    dataset.SliceThickness = decimal(sizes[2])


def _add_private(dataset: Dataset, measurement: Measurement) -> None:
    series, edges = measurement.series, measurement.voxel.edges_mm
    normal = measurement.directions[2]
    image = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    along_normal = float(measurement.voxel.centre_mm @ normal)
    image.add_new(_DISPLAYED_POSITION, "SH", displayed_position(normal, along_normal))
    dataset.add_new((PRIVATE_GROUP, _BLOCK), "LO", CREATOR)
    block = dataset.private_block(PRIVATE_GROUP, CREATOR)
    corner = measurement.voxel.centre_mm - 0.5 * edges.sum(axis=0)
    block.add_new(_CORNER, "DS", [decimal(value) for value in corner])
    block.add_new(_EDGES, "DS", [decimal(value) for value in edges.ravel()])
    sizes = [decimal(value) for value in measurement.sizes_mm]
    block.add_new(_SIZE, "DS", sizes)
    block.add_new(_FIELD_OF_VIEW, "DS", sizes)
    # the list of elements that is public shows an empty fourth value
    block.add_new(_NORMAL, "DS", [*(decimal(value) for value in normal), ""])
    if series.water is not None:
        block.add_new(_WATER, "OF", stored_fids(series.water.mean(axis=0)[0]))
    for label, fid in zip(series.labels, series.fids[:, 0], strict=True):
        if label is not None:
            block.add_new(_STATES[label], "OF", stored_fids(fid))


def displayed_position(normal: Real, mm: float) -> str:
    """Distance along the normal with the letter of the side to which it points, as ``R28.1``."""
    axis = int(np.abs(normal).argmax())
    positive = (mm >= 0.0) == (normal[axis] >= 0.0)
    return f"{_LETTERS[axis][int(positive)]}{abs(mm):.1f}"
