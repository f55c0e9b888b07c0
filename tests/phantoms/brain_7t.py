"""A real brain, measured at 7T, as a study in the reference encoding.

The z-spectrum of 57 offsets (cest-sources/CEST_EVAL, in `shared/data/cest-7t-brain`) is sampled at
the eight offsets of the protocol. It was acquired at 0.9 µT, where the contrast is negative: the
point is the way through the node, the geometry and the B0 correction, not the size of GluCEST.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from scipy.interpolate import PchipInterpolator
from scipy.io import loadmat

from cestle.protocol import JUPITER_5T_GLUCEST

F0_MHZ = 297.18
UID_ROOT = "1.2.826.0.1.3680043.8.498.7"
SPACING_MM = 1.72


@dataclass(frozen=True, kw_only=True, eq=False)
class Brain7T:
    """The measured arrays, all of shape (rows, columns) but for the z-spectrum.

    Parameters
    ----------
    zspectrum
        Water signal over the unsaturated signal, shape (offsets, rows, columns).
    offsets_ppm
        Rising, shape (offsets,).
    unsaturated
        Unsaturated signal [a.u.].
    b0_shift_ppm, relative_b1
        Fields.
    brain
        Voxels with tissue.
    """

    zspectrum: np.ndarray
    offsets_ppm: np.ndarray
    unsaturated: np.ndarray
    b0_shift_ppm: np.ndarray
    relative_b1: np.ndarray
    brain: np.ndarray

    def signal_at(self, offset_ppm):
        """Signal at an offset that may vary over the voxels, monotone cubic [a.u.]."""
        curve = PchipInterpolator(self.offsets_ppm, self.zspectrum[:, self.brain], axis=0)
        wanted = np.broadcast_to(offset_ppm, self.brain.shape)[self.brain]
        interval = np.searchsorted(self.offsets_ppm, wanted) - 1
        step = wanted - self.offsets_ppm[interval]
        z = np.zeros(len(wanted))
        for coefficient in curve.c:
            z = z * step + coefficient[interval, np.arange(len(wanted))]
        signal = np.zeros(self.brain.shape)
        signal[self.brain] = z * self.unsaturated[self.brain]
        return signal

    def direct_glucest(self):
        """100·(S(−3) − S(+3))/S(−3) read off the full z-spectrum at the voxel's own water [%]."""
        negative = self.signal_at(-3.0 + self.b0_shift_ppm)
        positive = self.signal_at(3.0 + self.b0_shift_ppm)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.brain, 100.0 * (negative - positive) / negative, np.nan)


def load(path: Path) -> Brain7T:
    """Read the MATLAB file."""
    content = loadmat(path, squeeze_me=True, struct_as_record=False)
    unsaturated = content["M0_stack"][:, :, 0].astype(float)
    brain = (unsaturated > 0.2 * unsaturated.max()) & (content["B1map"] > 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(unsaturated > 0, content["Mz_stack"].transpose(2, 0, 1) / unsaturated, 0.0)
    return Brain7T(
        zspectrum=z,
        offsets_ppm=content["P"].SEQ.w.astype(float),
        unsaturated=unsaturated,
        b0_shift_ppm=content["dB0_stack_ext"],
        relative_b1=content["B1map"],
        brain=brain,
    )


def write_study(brain: Brain7T, folder: Path) -> str:
    """Write the study and return its Study Instance UID."""
    folder.mkdir(parents=True)
    peak = max(brain.signal_at(offset).max() for offset in (-3.4, 3.4))
    offsets = JUPITER_5T_GLUCEST.offsets_ppm
    for number, offset in enumerate(offsets, start=1):
        pixels = np.rint(brain.signal_at(offset) * 20000.0 / peak).astype(np.uint16)
        repeat = 1 + offsets[: number - 1].count(offset)
        image = _image("GluCEST", series=1, number=number, count=len(offsets), pixels=pixels)
        image.private_block(0x0065, "Image Private Header", create=True).add_new(
            0x2D, "ST", f"fse_glucest_{offset:+.1f}ppm#{repeat}"
        )
        _save(image, folder / f"cest{number}.dcm")
    b0_hz = np.rint(np.where(brain.brain, brain.b0_shift_ppm * F0_MHZ, 0.0)).astype(np.int16)
    _save(_image("B0Map", series=2, number=1, count=1, pixels=b0_hz), folder / "b0.dcm")
    b1_percent = np.rint(np.where(brain.brain, brain.relative_b1 * 100.0, 0.0)).astype(np.uint16)
    _save(_image("B1Map", series=3, number=1, count=1, pixels=b1_percent), folder / "b1.dcm")
    return f"{UID_ROOT}.1"


def _image(description, *, series, number, count, pixels):
    rows, columns = pixels.shape
    image = Dataset()
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = f"{UID_ROOT}.1.{series}.{number}"
    image.StudyInstanceUID = f"{UID_ROOT}.1"
    image.SeriesInstanceUID = f"{UID_ROOT}.1.{series}"
    image.FrameOfReferenceUID = f"{UID_ROOT}.2"
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    image.Modality = "MR"
    image.Manufacturer = "UIH"
    image.ManufacturerModelName = "uMR Jupiter"
    image.PatientName = "Brain^Seven"
    image.PatientID = "B7T"
    image.PatientBirthDate = ""
    image.PatientSex = "O"
    image.StudyDate = image.SeriesDate = image.ContentDate = "20260101"
    image.StudyTime = image.SeriesTime = image.ContentTime = f"12{series:02d}{number:02d}"
    image.StudyID = "1"
    image.AccessionNumber = ""
    image.ReferringPhysicianName = ""
    image.SeriesDescription = description
    image.SeriesNumber = series
    image.InstanceNumber = number
    image.PositionReferenceIndicator = ""
    image.PatientPosition = "HFS"
    image.BodyPartExamined = "BRAIN"
    image.ScanningSequence = "SE"
    image.SequenceVariant = "MTC"
    image.ScanOptions = ""
    image.MRAcquisitionType = "2D"
    image.RepetitionTime = 6000.0
    image.EchoTime = 6.5
    image.EchoTrainLength = 64
    image.FlipAngle = 120.0
    image.ImagingFrequency = F0_MHZ * 1e6
    image.SliceThickness = 11.0
    image.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    image.ImagePositionPatient = [
        -SPACING_MM * (columns - 1) / 2,
        -SPACING_MM * (rows - 1) / 2,
        0.0,
    ]
    image.PixelSpacing = [SPACING_MM, SPACING_MM]
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit = 15
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.add_new(0x00540081, "US", count)
    image.PixelData = pixels.tobytes()
    return image


def _save(image, path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
    image.save_as(path, enforce_file_format=True)
