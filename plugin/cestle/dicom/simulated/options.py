"""Ways in which a synthetic study can be encoded."""

import datetime
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cestle.errors import ConfigError

_PYTHON_CODECS: Final = {
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO_IR 100": "latin-1",
}


class CestForm(StrEnum):
    """How the saturation images say which offset they have."""

    ONE_SERIES = "one series, offset in (0065,102D)"
    SERIES_PER_IMAGE = "one series for each image, offset in its name"
    UNLABELLED = "one series without any offset"
    ENHANCED = "one multi-frame object"


class B0Unit(StrEnum):
    """Unit of the stored B0 map."""

    HZ = "Hz"
    PPM = "ppm"
    PPM_1000 = "ppm*1000"


class B1Unit(StrEnum):
    """Unit of the stored B1 map."""

    PERCENT = "percent"
    RELATIVE = "relative"
    DEGREE = "degree"


class RegionObject(StrEnum):
    """Object that carries the four regions."""

    SEG_ON_T1 = "DICOM SEG on the T1"
    SEG_ON_CEST = "DICOM SEG on the CEST slices"
    STRUCTURE_SET = "RTSTRUCT on the T1"
    LABEL_MAP = "NIfTI label map on the T1"


class SpectroscopyForm(StrEnum):
    """How a MEGA-PRESS measurement is stored.

    ``uih``
        one object with the averages of the scanner in private elements of United Imaging;
    ``frames``
        standard, one frame for each transient;
    ``instances``
        standard, one object for each transient, which only Instance Number puts in order, as
        Siemens XA60 writes it;
    ``philips``
        one object whose frames are marked as water, ON or OFF in private elements of Philips.
    """

    UIH = "uih"
    FRAMES = "frames"
    INSTANCES = "instances"
    PHILIPS = "philips"


NOMINAL_FLIP_DEG: Final = 90.0
"""Flip angle that 100 % stands for where the B1 map is in degrees [degrees]."""


@dataclass(frozen=True, kw_only=True)
class EncodingOptions:
    """How to write a synthetic study; the defaults are the reference encoding.

    Parameters
    ----------
    cest, b0_unit, b1_unit
        Form of the series.
    vendor_map
        Whether the scanner's own map is there.
    regions
        Objects that carry the regions; may be empty.
    spectroscopy
        How MEGA-PRESS is stored, where there is any.
    character_set
        Specific Character Set (0008,0005): ISO_IR 192, GB18030, GBK or ISO_IR 100.
    patient_name, patient_id
        Any text, to try hostile ones.
    started
        Date and time of the study.
    """

    cest: CestForm = CestForm.ONE_SERIES
    b0_unit: B0Unit = B0Unit.HZ
    b1_unit: B1Unit = B1Unit.PERCENT
    vendor_map: bool = False
    regions: tuple[RegionObject, ...] = (RegionObject.SEG_ON_T1,)
    spectroscopy: SpectroscopyForm = SpectroscopyForm.UIH
    character_set: str = "ISO_IR 192"
    patient_name: str = "Synthetic^Head"
    patient_id: str = "SYNTHETIC-1"
    started: datetime.datetime = datetime.datetime(2026, 1, 15, 9, 30)  # noqa: DTZ001 - DICOM times are local

    def __post_init__(self) -> None:
        codec = _PYTHON_CODECS.get(self.character_set)
        if codec is None:
            raise ConfigError(
                f"the character set {self.character_set!r} is not known, one of "
                f"{', '.join(_PYTHON_CODECS)} was expected; choose one of them."
            )
        try:
            f"{self.patient_name}{self.patient_id}".encode(codec)
        except UnicodeEncodeError as fault:
            raise ConfigError(
                f"the patient's name or ID has characters that {self.character_set} cannot hold; "
                "choose ISO_IR 192."
            ) from fault


REFERENCE_ENCODING: Final = EncodingOptions()
"""What `cestle simulate` writes."""
