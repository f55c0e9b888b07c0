"""Headers as a uMR Jupiter is thought to write them: patient, study, series, geometry."""

import dataclasses
import datetime
import json
import uuid
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    MRImageStorage,
)

from cestle.dicom.simulated.options import EncodingOptions
from cestle.geometry import Grid
from cestle.phantom.mega_settings import mega_settings_json
from cestle.phantom.megapress import SimulatedMega
from cestle.phantom.study import SimulatedStudy, settings_json
from cestle.physics import GAMMA_BAR_MHZ_PER_T

PRIVATE_GROUP: Final = 0x0065
PRIVATE_CREATOR: Final = "Image Private Header"
SEQUENCE_DISPLAY_NAME: Final = 0x2D
"""Element (0065,xx2D) that labels each contrast of a series."""

_REPETITION_INDEX: Final = 0x2C
_SCALE_FACTOR: Final = 0x2F
_WRITER: Final = UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, 'cestle synthetic scanner').int}")


@dataclass(frozen=True, kw_only=True)
class StudyHeader:
    """What all objects of one synthetic study share.

    Parameters
    ----------
    encoding
        How the study is written.
    fingerprint
        Text that fixes all identifiers: settings and encoding of the study.
    f0_mhz
        Transmitter frequency [MHz].
    """

    encoding: EncodingOptions
    fingerprint: str
    f0_mhz: float

    @classmethod
    def of(
        cls, study: SimulatedStudy, encoding: EncodingOptions, mega: SimulatedMega | None = None
    ) -> "StudyHeader":
        """Header of `study`; equal studies in equal encodings get equal identifiers."""
        options = json.dumps(dataclasses.asdict(encoding), sort_keys=True, default=str)
        fingerprint = f"{settings_json(study.settings)} {options}"
        if mega is not None:
            fingerprint += f" {mega_settings_json(mega.truth.settings)} {mega.truth.basis}"
        return cls(
            encoding=encoding,
            fingerprint=fingerprint,
            f0_mhz=study.settings.f0_mhz,
        )

    def uid(self, *names: object) -> UID:
        """A UUID-derived UID (PS3.5 B.2) for the entity called by `names`."""
        text = " ".join([*map(str, names), self.fingerprint])
        return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}")

    def dataset(self, sop_class_uid: UID, sop_instance_uid: UID) -> Dataset:
        """An object with the patient and the study, and no series yet."""
        encoding = self.encoding
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = sop_class_uid
        dataset.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
        dataset.file_meta.ImplementationClassUID = _WRITER
        dataset.file_meta.ImplementationVersionName = "SYNTHETIC"
        dataset.SpecificCharacterSet = encoding.character_set
        dataset.SOPClassUID = sop_class_uid
        dataset.SOPInstanceUID = sop_instance_uid
        dataset.StudyDate = f"{encoding.started:%Y%m%d}"
        dataset.StudyTime = f"{encoding.started:%H%M%S}"
        dataset.AccessionNumber = ""
        dataset.ReferringPhysicianName = ""
        dataset.StudyDescription = "GluCEST temporal lobe"
        dataset.PatientName = encoding.patient_name
        dataset.PatientID = encoding.patient_id
        dataset.PatientBirthDate = "19900401"
        dataset.PatientSex = "O"
        dataset.PatientWeight = "70"
        dataset.StudyInstanceUID = self.uid("study")
        dataset.StudyID = "1"
        return dataset


@dataclass(frozen=True, kw_only=True)
class SeriesHeader:
    """A series of the scanner.

    Parameters
    ----------
    study
        The study that it is part of.
    number, description
        (0020,0011) and (0008,103E).
    sequence_name
        (0018,0024).
    after_s
        When it began, after the start of the study [s].
    instances
        Number of its objects, which UIH states in (0054,0081).
    physics
        Values of the MR Image module by keyword.
    """

    study: StudyHeader
    number: int
    description: str
    sequence_name: str
    after_s: float
    instances: int
    physics: dict[str, Any]

    @property
    def uid(self) -> UID:
        """(0020,000E)."""
        return self.study.uid("series", self.number)

    def instance_uid(self, number: int) -> UID:
        """(0008,0018) of an instance."""
        return self.study.uid("instance", self.number, number)

    def dataset(
        self, number: int, *, delay_s: float = 0.0, sop_class_uid: UID = MRImageStorage
    ) -> Dataset:
        """Instance `number` of the series, from 1, without geometry and pixels.

        It was acquired `delay_s` after the start of the series.
        """
        dataset = self.study.dataset(sop_class_uid, self.instance_uid(number))
        started = self.study.encoding.started + datetime.timedelta(seconds=self.after_s)
        dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = dataset.StudyDate
        dataset.SeriesTime = f"{started:%H%M%S}"
        acquired = started + datetime.timedelta(seconds=delay_s)
        dataset.ContentTime = dataset.AcquisitionTime = f"{acquired:%H%M%S.%f}"
        dataset.Modality = "MR"
        dataset.Manufacturer = "UIH"
        dataset.ManufacturerModelName = "uMR Jupiter"
        dataset.InstitutionName = "Phantom Institute"
        dataset.DeviceSerialNumber = "500001"
        dataset.SoftwareVersions = "V10"
        dataset.SeriesDescription = dataset.ProtocolName = self.description
        dataset.SeriesInstanceUID = self.uid
        dataset.SeriesNumber = self.number
        dataset.InstanceNumber = number
        dataset.BodyPartExamined = "HEAD"
        dataset.PatientPosition = "HFS"
        dataset.PositionReferenceIndicator = ""
        return dataset

    def classic(
        self, number: int, *, label: str = "", repetition: int = 0, delay_s: float = 0.0
    ) -> Dataset:
        """Instance `number` with the MR Image module as UIH fills it.

        Parameters
        ----------
        number
            Instance Number, from 1.
        label
            (0065,102D), the name of the contrast; none when empty.
        repetition
            (0065,102C), index of the contrast.
        delay_s
            When it was acquired, after the start of the series [s].
        """
        dataset = self.dataset(number, delay_s=delay_s)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
        dataset.ComplexImageComponent = "MAGNITUDE"
        dataset.SequenceName = self.sequence_name
        dataset.SequenceVariant = "SK"
        dataset.ScanOptions = ""
        dataset.NumberOfAverages = "1"
        # Hertz, where the standard says megahertz: so UIH writes it.
        dataset.ImagingFrequency = str(round(self.study.f0_mhz * 1e6))
        dataset.ImagedNucleus = "1H"
        dataset.MagneticFieldStrength = f"{self.study.f0_mhz / GAMMA_BAR_MHZ_PER_T:.3f}"
        dataset.NumberOfSlices = self.instances
        for keyword, value in self.physics.items():
            setattr(dataset, keyword, value)
        block = dataset.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
        block.add_new(_REPETITION_INDEX, "IS", str(repetition))
        block.add_new(_SCALE_FACTOR, "FL", 1.0)
        if label:
            block.add_new(SEQUENCE_DISPLAY_NAME, "ST", label)
        return dataset


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 6.2, DS)."""
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return text if len(text) <= 16 else f"{value:.8e}"


def position(grid: Grid, number: int) -> list[str]:
    """Image Position (Patient) of slice `number` of `grid`."""
    return [decimal(value) for value in grid.to_lps(np.array([float(number), 0.0, 0.0]))]


def orientation(grid: Grid) -> list[str]:
    """Image Orientation (Patient) of `grid`: direction of a row, then of a column."""
    along_row = grid.affine[:3, 2] / grid.spacing_mm[2]
    along_column = grid.affine[:3, 1] / grid.spacing_mm[1]
    return [decimal(value) for value in (*along_row, *along_column)]


def pixel_spacing(grid: Grid) -> list[str]:
    """Pixel Spacing of `grid`: between rows, between columns."""
    return [decimal(grid.spacing_mm[1]), decimal(grid.spacing_mm[2])]


def add_place(dataset: Dataset, grid: Grid, number: int) -> None:
    """Image Plane module of slice `number`."""
    normal = np.cross(grid.affine[:3, 2], grid.affine[:3, 1])
    normal /= np.linalg.norm(normal)
    corner = grid.to_lps(np.array([float(number), 0.0, 0.0]))
    dataset.FrameOfReferenceUID = grid.frame_of_reference_uid
    dataset.ImagePositionPatient = position(grid, number)
    dataset.ImageOrientationPatient = orientation(grid)
    dataset.PixelSpacing = pixel_spacing(grid)
    dataset.SliceThickness = decimal(grid.slice_thickness_mm)
    dataset.SpacingBetweenSlices = decimal(grid.spacing_mm[0])
    dataset.SliceLocation = decimal(float(corner @ normal))


def add_pixels(dataset: Dataset, pixels: npt.NDArray[np.uint16] | npt.NDArray[np.int16]) -> None:
    """Image Pixel module for one frame (rows, columns) or several (frames, rows, columns)."""
    signed = np.issubdtype(pixels.dtype, np.signedinteger)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(signed)
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    low, high = int(pixels.min()), int(pixels.max())
    dataset.WindowCenter = str((low + high) // 2)
    dataset.WindowWidth = str(max(high - low, 1))
    dataset.PixelData = pixels.astype("<i2" if signed else "<u2").tobytes()
