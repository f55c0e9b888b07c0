"""Spectroscopy objects made by hand with pydicom, element by element."""

from io import BytesIO

import numpy as np
import pydicom
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SPECTROSCOPY = "1.2.840.10008.5.1.4.1.1.4.2"
UIH_CREATOR = "Spectroscopy Private Header"
POINTS = 1024

# The box of a public 3T header (wtclarke/spec2nii#1), with the place along its normal that the
# scanner displays: R28.1.
PUBLIC_CORNER = (-38.0938034, -3.35821962, -4.38352728)
PUBLIC_EDGES = (
    *(0.085478887, 28.747551, 19.9642429),
    *(-0.00103385642, 5.70408869, -8.21360874),
    *(19.9999409, -0.0389400013, -0.0295599997),
)
PUBLIC_NORMAL = (-0.99999702, 0.00194700004, 0.00147799996)
PUBLIC_DISPLAYED_MM = 28.1

LEFT_BOX = ((20.0, -15.0, -25.0), (20.0, 0.0, 0.0, 0.0, 30.0, 0.0, 0.0, 0.0, 15.0))
"""Corner and edges of a box whose centre is at x = +30, so in the patient's left half."""


def noise(seed, *, points=POINTS):
    """Complex numbers that float32 holds exactly, shape (point,)."""
    generator = np.random.default_rng(seed)
    pairs = generator.standard_normal((points, 2)).astype("<f4").astype(float)
    return pairs[:, 0] + 1j * pairs[:, 1]


def packed(*fids):
    """FIDs as little-endian float32 pairs (re, im)."""
    pairs = np.stack([np.stack([fid.real, fid.imag], axis=-1) for fid in fids])
    return pairs.astype("<f4").tobytes()


def item(**values):
    """A sequence item."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def spectrum(number=1, *, points=POINTS, **changes):
    """What all spectroscopy objects of one acquisition share; None removes an element."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = {
        "SOPClassUID": SPECTROSCOPY,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.5.{number}",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.3",
        "PatientID": "PLANTED-4711",
        "PatientName": "Planted^Person",
        "Modality": "MR",
        "Manufacturer": "Vendor",
        "ManufacturerModelName": "Model",
        "SoftwareVersions": ["V1", "V2"],
        "SeriesDescription": "mega_press",
        "InstanceNumber": number,
        "Rows": 1,
        "Columns": 1,
        "NumberOfFrames": 1,
        "DataPointRows": 1,
        "DataPointColumns": points,
        "DataRepresentation": "COMPLEX",
        "SignalDomainColumns": "TIME",
        "SpectralWidth": 2000.0,
        "TransmitterFrequency": 210.8,
        "ResonantNucleus": "1H",
    } | changes
    for keyword, value in values.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def uih_mega(number=1, *, box=LEFT_BOX, creator=UIH_CREATOR, private=None, **changes):
    """One averaged acquisition of United Imaging.

    `private` replaces elements of the private block by number; None there removes one.
    """
    fids = {0x07: noise(7), 0x08: noise(8), 0x10: noise(10), 0x11: noise(11)}
    values = {
        "Manufacturer": "UIH",
        "ManufacturerModelName": "uMR Jupiter",
        "SequenceName": "svs_mega",
        "NumberOfFrames": None,
        "EchoTime": 72,
        "RepetitionTime": 3000,
        "NumberOfAverages": 160,
        "SpectroscopyData": packed(noise(20)),
    }
    dataset = spectrum(number, **(values | changes))
    block = dataset.private_block(0x0065, creator, create=True)
    elements = {n: ("OF", packed(fid)) for n, fid in fids.items()}
    if box is not None:
        elements[0x01] = ("DS", [f"{x:.9g}" for x in box[0]])
        elements[0x02] = ("DS", [f"{x:.9g}" for x in box[1]])
    elements |= private or {}
    for n, element in elements.items():
        if element is not None:
            block.add_new(n, *element)
    return dataset


def macros(**changes):
    """Functional groups: TE 68, TR 2000, one average each."""
    group = item(
        MREchoSequence=[item(EffectiveEchoTime=68.0)],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime=2000)],
        MRAveragesSequence=[item(NumberOfAverages=1)],
    )
    for keyword, value in changes.items():
        setattr(group, keyword, value)
    return group


def slabs(centre=(20.0, -10.0, 5.0), sizes=(20.0, 30.0, 25.0)):
    """Three slabs along the axes."""
    return [
        item(
            SlabThickness=size,
            SlabOrientation=[float(k == axis) for k in range(3)],
            MidSlabPosition=list(centre),
        )
        for axis, size in enumerate(sizes)
    ]


def frames(fids, **changes):
    """One object with a frame for each FID."""
    values = {
        "NumberOfFrames": len(fids),
        "SharedFunctionalGroupsSequence": [macros()],
        "PerFrameFunctionalGroupsSequence": [item(StackID=str(n)) for n in range(len(fids))],
        "VolumeLocalizationSequence": slabs(),
        "SpectroscopyData": packed(*fids),
    }
    return spectrum(**(values | changes))


def instances(fids, *, start=1, **changes):
    """One object for each FID, as Siemens XA60 writes single transients."""
    return [
        frames([fid], **({"number": number} | changes))
        for number, fid in enumerate(fids, start=start)
    ]


def philips(fids, marks, **changes):
    """Frames of Philips; a mark is "ON", "OFF" or "water", None for metabolites without a state."""
    values = {
        "Manufacturer": "Philips Medical Systems",
        "AcquisitionContrast": "SPECTROSCOPY",
        "VolumeLocalizationSequence": [
            item(
                SlabThickness=15.0,
                SlabOrientation=[0.85, -4.70, -0.35],
                MidSlabPosition=[6.07, 15.2, 3.96],
            )
        ],
    }
    dataset = frames(fids, **(values | changes))
    dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
    dataset.add_new((0x2001, 0x1088), "DS", "128")
    for number, creator in enumerate(("001", "002", "003", "004", "005", "006"), start=0x10):
        dataset.add_new((0x2005, number), "LO", f"Philips MR Imaging DD {creator}")
    edited = any(mark in {"ON", "OFF"} for mark in marks)
    dataset.add_new((0x2005, 0x1597), "CS", "Y" if edited else "N")
    described = []
    for mark in marks:
        inner = Dataset()
        inner.add_new((0x2005, 0x0013), "LO", "Philips MR Imaging DD 004")
        inner.add_new((0x2005, 0x1304), "SS", int(mark == "water"))
        inner.add_new((0x2005, 0x0015), "LO", "Philips MR Imaging DD 006")
        if mark in {"ON", "OFF"}:
            inner.add_new((0x2005, 0x1598), "CS", "1" if mark == "ON" else "0")
        described.append(inner)
    dataset.add_new((0x2005, 0x140F), "SQ", described)
    return dataset


def through_file(dataset, syntax=ExplicitVRLittleEndian):
    """The data set written with a transfer syntax and read again."""
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(BytesIO(buffer.getvalue()))
