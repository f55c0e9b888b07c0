"""Source headers as a scanner sends them, for analyses of `analysis_builder`."""

from io import BytesIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, MRSpectroscopyStorage

from phantoms.analysis_builder import FRAME_UID, STUDY_UID, coronal_grid

CHINESE_NAME = "Zhang^San=张^三"
LATIN_NAME = "Zhang^San"


def source_image(grid, role_number, number, *, charset="ISO_IR 192", index=0, **changes):
    """One MR image of a series, on slice `index` of `grid`."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    if charset is not None:
        dataset.SpecificCharacterSet = charset
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = f"1.2.156.112605.1.{role_number}.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = STUDY_UID
    dataset.SeriesInstanceUID = f"1.2.156.112605.2.{role_number}"
    dataset.FrameOfReferenceUID = FRAME_UID
    dataset.PositionReferenceIndicator = None
    dataset.PatientName = LATIN_NAME if charset in (None, "ISO_IR 100") else CHINESE_NAME
    dataset.PatientID = "TLE-0042 "
    dataset.IssuerOfPatientID = "RUIJIN"
    dataset.PatientBirthDate = "19900229"
    dataset.PatientSex = "F"
    dataset.PatientAge = "036Y"
    dataset.StudyDate = "20261120"
    dataset.StudyTime = "101500.250"
    dataset.AccessionNumber = "A17"
    dataset.StudyID = "S1"
    dataset.StudyDescription = "Head" if charset in (None, "ISO_IR 100") else "头颅平扫"
    dataset.ReferringPhysicianName = "Li^Si"
    dataset.Modality = "MR"
    dataset.Manufacturer = "UIH"
    dataset.ManufacturerModelName = "uMR Jupiter"
    dataset.SoftwareVersions = "R001"
    dataset.SeriesNumber = role_number
    dataset.SeriesDate = "20261120"
    dataset.SeriesTime = "102000"
    dataset.InstanceNumber = number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "UCA"]
    dataset.ScanningSequence = "SE"
    dataset.SequenceVariant = "SK"
    dataset.ScanOptions = None
    dataset.MRAcquisitionType = "2D"
    dataset.RepetitionTime = "6000"
    dataset.EchoTime = "6.5"
    dataset.EchoTrainLength = "64"
    dataset.FlipAngle = "120"
    dataset.ImagingFrequency = "210800000"
    dataset.MagneticFieldStrength = "5"
    dataset.PatientPosition = "HFS"
    dataset.BodyPartExamined = "HEAD"
    affine = grid.affine
    _, row_mm, column_mm = grid.spacing_mm
    position = affine[:3, 3] + index * affine[:3, 0]
    orientation = [*(affine[:3, 2] / column_mm), *(affine[:3, 1] / row_mm)]
    dataset.ImagePositionPatient = [f"{v:.6f}" for v in position]
    dataset.ImageOrientationPatient = [f"{v:.8f}" for v in orientation]
    dataset.PixelSpacing = [f"{row_mm:.6g}", f"{column_mm:.6g}"]
    dataset.SliceThickness = f"{grid.slice_thickness_mm:g}"
    dataset.Rows, dataset.Columns = grid.shape[1:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(2 * grid.shape[1] * grid.shape[2])
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return as_received(dataset)


def as_received(dataset):
    """Write and read a data set, so that it has passed through bytes as real ones have."""
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


def sources(grid=None, *, charset="ISO_IR 192", **changes):
    """Sources by role: eight CEST images for each slice, a B0 and a B1 map."""
    grid = grid or coronal_grid()
    slices = range(grid.shape[0])

    def series(role_number, count):
        return tuple(
            source_image(grid, role_number, k * count + n + 1, charset=charset, index=k, **changes)
            for k in slices
            for n in range(count)
        )

    return {"cest_source": series(5, 8), "b0_map": series(6, 1), "b1_map": series(7, 1)}


_OF_PIXELS = (
    *("PixelData", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated"),
    *("BitsStored", "HighBit", "PixelRepresentation"),
)


def spectra_sources(grid=None, *, charset="ISO_IR 192", instances=2, **changes):
    """Headers of a MEGA-PRESS series under its role, without the spectra themselves.

    As in the reference encoding they state a plane, although they are no images.
    """
    grid = grid or coronal_grid()
    made = []
    for number in range(1, instances + 1):
        dataset = source_image(grid, 11, number, charset=charset, **changes)
        for keyword in _OF_PIXELS:
            delattr(dataset, keyword)
        dataset.SOPClassUID = MRSpectroscopyStorage
        dataset.file_meta.MediaStorageSOPClassUID = MRSpectroscopyStorage
        made.append(as_received(dataset))
    return {"mrs_mega": tuple(made)}
