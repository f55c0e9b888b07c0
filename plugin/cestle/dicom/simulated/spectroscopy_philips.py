"""MEGA-PRESS as Philips stores it: frames marked as water, ON or OFF in private elements.

The marks follow a program that reads them; no file has been seen. Acquisition Contrast is
``SPECTROSCOPY``, which is no value of the standard but stands in the Philips file that is public.
"""

from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from cestle.dicom.simulated.spectroscopy_object import Measurement
from cestle.dicom.simulated.spectroscopy_standard import frames_object
from cestle.mrs.series import EditState

_GROUP: Final = 0x2005
_CREATORS: Final = {
    0x13: "Philips MR Imaging DD 004",
    0x14: "Philips MR Imaging DD 005",
    0x15: "Philips MR Imaging DD 006",
}
_FRAMES: Final = 0x140F
_EDITED: Final = 0x1597
_WATER_MIX: Final = 0x1304
_STATE: Final = 0x1598
_AVERAGES_CREATOR: Final = "Philips Imaging DD 001"
_AVERAGES: Final = 0x88


def philips_object(measurement: Measurement) -> Dataset:
    """All transients, then the unsuppressed water, in one object."""
    series = measurement.series
    water = series.fids[:0] if series.water is None else series.water
    fids = np.concatenate([series.fids[:, 0], water[:, 0]])
    dataset = frames_object(measurement, fids, averages=1)
    dataset.Manufacturer = "Philips Medical Systems"
    dataset.ManufacturerModelName = "Example"
    dataset.SoftwareVersions = ["5.7.1", "5.7.1.2"]
    dataset.WaterReferencedPhaseCorrection = "YES" if len(water) else "NO"
    dataset.AcquisitionContrast = "SPECTROSCOPY"
    frame_type = dataset.SharedFunctionalGroupsSequence[0].MRSpectroscopyFrameTypeSequence[0]
    frame_type.AcquisitionContrast = "SPECTROSCOPY"
    # transients are stored one by one; this counts them, as the public file does
    averages = dataset.private_block(0x2001, _AVERAGES_CREATOR, create=True)
    averages.add_new(_AVERAGES, "DS", str(len(series.fids)))
    _claim(dataset)
    dataset.add_new((_GROUP, _EDITED), "CS", "Y")
    marks = [_mark(label) for label in series.labels] + [_mark(None, water=True)] * len(water)
    dataset.add_new((_GROUP, _FRAMES), "SQ", marks)
    return dataset


def _mark(label: EditState | None, *, water: bool = False) -> Dataset:
    mark = Dataset()
    _claim(mark)
    mark.add_new((_GROUP, _WATER_MIX), "SS", int(water))
    if label is not None:
        mark.add_new((_GROUP, _STATE), "CS", "1" if label is EditState.ON else "0")
    return mark


def _claim(dataset: Dataset) -> None:
    """Reserve the blocks where Philips has them."""
    for block, creator in _CREATORS.items():
        dataset.add_new((_GROUP, block), "LO", creator)
