"""MEGA-PRESS as standard MR Spectroscopy (PS3.3 A.36.3): many frames, or many objects.

The standard has no place for the editing state of a frame.
"""

from typing import Any, Final

from pydicom.dataset import Dataset

from cestle.dicom.simulated.headers import decimal
from cestle.dicom.simulated.spectroscopy_object import (
    IMAGE_TYPE,
    SEQUENCE_NAME,
    Measurement,
    group,
    item,
    number_list,
    stored_fids,
)
from cestle.physics import Complex

_TEMPORAL_POSITION: Final = 0x00209128
_STACK: Final = 0x00209056
_IN_STACK: Final = 0x00209057
_FRAME_CONTENT: Final = 0x00209111
_TIME_FORMAT: Final = "%Y%m%d%H%M%S.%f"


def multi_frame_object(measurement: Measurement) -> Dataset:
    """All transients in the order of acquisition, one frame each."""
    fids = measurement.series.fids[:, 0]
    return frames_object(measurement, fids, averages=1)


def water_object(measurement: Measurement) -> Dataset:
    """Unsuppressed water in a series of its own, one frame for each acquisition."""
    water = measurement.series.water
    fids = measurement.series.fids[:0, 0] if water is None else water[:, 0]
    dataset = frames_object(measurement, fids, averages=1, water=True)
    dataset.WaterReferenceAcquisition = "WATER_REFERENCE"
    dataset.SpectrallySelectedSuppression = "NONE"
    return dataset


def instance_objects(measurement: Measurement) -> list[Dataset]:
    """One object for each transient; only Instance Number says which came first."""
    fids = measurement.series.fids[:, 0]
    objects = []
    for number, fid in enumerate(fids, start=1):
        dataset = measurement.dataset(number)
        _as_siemens(dataset)
        _complete(dataset, measurement, fid[None, :], averages=1)
        _add_dimensions(dataset, measurement, (_STACK, _IN_STACK, _TEMPORAL_POSITION))
        dataset.AcquisitionDateTime = f"{measurement.began():{_TIME_FORMAT}}"
        frame = _frame(measurement, 0, water=False, index=[1, 1, 1])
        content = frame.FrameContentSequence[0]
        content.StackID, content.InStackPositionNumber = "1", 1
        dataset.PerFrameFunctionalGroupsSequence = [frame]
        objects.append(dataset)
    return objects


def frames_object(
    measurement: Measurement, fids: Complex, *, averages: int, water: bool = False
) -> Dataset:
    """One object with a frame for each FID of shape (frame, point)."""
    dataset = measurement.dataset(water=water)
    _complete(dataset, measurement, fids, averages=averages)
    _add_dimensions(dataset, measurement, (_TEMPORAL_POSITION,))
    dataset.AcquisitionDateTime = f"{measurement.began(water=water):{_TIME_FORMAT}}"
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame(measurement, number, water=water, index=[number + 1]) for number in range(len(fids))
    ]
    return dataset


def _as_siemens(dataset: Dataset) -> None:
    dataset.Manufacturer = "Siemens Healthineers"
    dataset.ManufacturerModelName = "MAGNETOM Example"
    dataset.SoftwareVersions = "syngo MR XA60"


def _complete(dataset: Dataset, measurement: Measurement, fids: Complex, *, averages: int) -> None:
    """Modules of the object, the shared functional groups, and the data."""
    for keyword in ("AcquisitionDate", "AcquisitionTime"):
        delattr(dataset, keyword)
    dataset.NumberOfFrames = len(fids)
    _add_description(dataset, measurement, len(fids))
    _add_pulse_sequence(dataset)
    dataset.VolumeLocalizationSequence = [
        item(
            SlabThickness=float(size),
            SlabOrientation=number_list(direction),
            MidSlabPosition=number_list(measurement.voxel.centre_mm),
        )
        for size, direction in zip(measurement.sizes_mm, measurement.directions, strict=True)
    ]
    dataset.SharedFunctionalGroupsSequence = [_shared(measurement, averages)]
    dataset.SpectroscopyData = stored_fids(fids)


def _add_description(dataset: Dataset, measurement: Measurement, frames: int) -> None:
    dataset.AcquisitionNumber = 1
    dataset.AcquisitionDuration = 1e-3 * measurement.repetition_time_ms * frames
    dataset.AcquisitionContextSequence = []
    dataset.ContentQualification = "RESEARCH"
    dataset.ApplicableSafetyStandardAgency = "IEC"
    dataset.KSpaceFiltering = "NONE"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "COMPLEX"
    dataset.AcquisitionContrast = "UNKNOWN"
    dataset.ChemicalShiftReference = measurement.series.protocol.transmitter_ppm
    dataset.VolumeLocalizationTechnique = "PRESS"
    dataset.Decoupling = "NO"
    dataset.TimeDomainFiltering = "NONE"
    dataset.NumberOfZeroFills = 0
    dataset.BaselineCorrection = "NONE"
    dataset.FrequencyCorrection = "NO"
    dataset.FirstOrderPhaseCorrection = "NO"
    dataset.WaterReferencedPhaseCorrection = "NO"


def _add_pulse_sequence(dataset: Dataset) -> None:
    dataset.MRSpectroscopyAcquisitionType = "SINGLE_VOXEL"
    dataset.PulseSequenceName = SEQUENCE_NAME
    dataset.EchoPulseSequence = "SPIN"
    dataset.MultipleSpinEcho = "NO"
    dataset.MultiPlanarExcitation = "NO"
    dataset.SteadyStatePulseSequence = "NONE"
    dataset.EchoPlanarPulseSequence = "NO"
    dataset.SpectrallySelectedSuppression = "WATER"
    dataset.GeometryOfKSpaceTraversal = "RECTILINEAR"
    dataset.RectilinearPhaseEncodeReordering = "LINEAR"
    dataset.SegmentedKSpaceTraversal = "SINGLE"
    dataset.NumberOfKSpaceTrajectories = 1


def _add_dimensions(dataset: Dataset, measurement: Measurement, pointers: tuple[int, ...]) -> None:
    uid = measurement.header.uid("dimension organization", dataset.SeriesNumber)
    dataset.DimensionOrganizationSequence = [item(DimensionOrganizationUID=uid)]
    dataset.DimensionIndexSequence = [
        item(
            DimensionOrganizationUID=uid,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=_FRAME_CONTENT,
        )
        for pointer in pointers
    ]


def _shared(measurement: Measurement, averages: int) -> Dataset:
    directions, sizes = measurement.directions, measurement.sizes_mm
    return group(
        PixelMeasuresSequence={
            "PixelSpacing": [decimal(sizes[1]), decimal(sizes[0])],
            "SliceThickness": decimal(sizes[2]),
        },
        PlanePositionSequence={
            "ImagePositionPatient": [decimal(value) for value in measurement.voxel.centre_mm]
        },
        PlaneOrientationSequence={
            "ImageOrientationPatient": [decimal(value) for value in directions[:2].ravel()]
        },
        FrameAnatomySequence={
            "FrameLaterality": "U",
            "AnatomicRegionSequence": [
                item(CodeValue="12738006", CodingSchemeDesignator="SCT", CodeMeaning="Brain")
            ],
        },
        MRSpectroscopyFrameTypeSequence={
            "FrameType": IMAGE_TYPE,
            "VolumetricProperties": "VOLUME",
            "VolumeBasedCalculationTechnique": "NONE",
            "ComplexImageComponent": "COMPLEX",
            "AcquisitionContrast": "UNKNOWN",
        },
        MRSpectroscopyFOVGeometrySequence={
            "SpectroscopyAcquisitionDataColumns": measurement.points,
            "SpectroscopyAcquisitionPhaseColumns": 1,
            "SpectroscopyAcquisitionPhaseRows": 1,
            "SpectroscopyAcquisitionOutOfPlanePhaseSteps": 1,
            "PercentSampling": "100",
            "PercentPhaseFieldOfView": "100",
        },
        MRTimingAndRelatedParametersSequence=_timing(measurement),
        MREchoSequence={"EffectiveEchoTime": measurement.echo_time_ms},
        MRModifierSequence={
            "InversionRecovery": "NO",
            "FlowCompensation": "NONE",
            "T2Preparation": "NO",
            "SpectrallySelectedExcitation": "NONE",
            "SpatialPresaturation": "NONE",
            "PartialFourier": "NO",
            "ParallelAcquisition": "NO",
        },
        MRReceiveCoilSequence={
            "ReceiveCoilName": "HEAD48",
            "ReceiveCoilManufacturerName": "UIH",
            "ReceiveCoilType": "MULTICOIL",
            "QuadratureReceiveCoil": "NO",
            "MultiCoilDefinitionSequence": [
                item(MultiCoilElementName="E1", MultiCoilElementUsed="YES")
            ],
        },
        MRTransmitCoilSequence={
            "TransmitCoilName": "HEAD-TX",
            "TransmitCoilManufacturerName": "UIH",
            "TransmitCoilType": "VOLUME",
        },
        MRAveragesSequence={"NumberOfAverages": str(averages)},
    )


def _timing(measurement: Measurement) -> dict[str, Any]:
    return {
        "RepetitionTime": decimal(measurement.repetition_time_ms),
        "FlipAngle": "90",
        "EchoTrainLength": "1",
        "RFEchoTrainLength": 1,
        "GradientEchoTrainLength": 0,
        "SpecificAbsorptionRateSequence": [
            item(
                SpecificAbsorptionRateDefinition="IEC_HEAD",
                SpecificAbsorptionRateValue=0.4,
            )
        ],
        "GradientOutputType": "DB_DT",
        "GradientOutput": 0.5,
        "OperatingModeSequence": [item(OperatingModeType="RF", OperatingMode="IEC_NORMAL")],
    }


def _frame(measurement: Measurement, number: int, *, water: bool, index: list[int]) -> Dataset:
    moment = f"{measurement.began(number, water=water):{_TIME_FORMAT}}"
    return group(
        FrameContentSequence={
            "FrameAcquisitionNumber": 1,
            "FrameReferenceDateTime": moment,
            "FrameAcquisitionDateTime": moment,
            "FrameAcquisitionDuration": measurement.repetition_time_ms,
            "TemporalPositionIndex": number + 1,
            "DimensionIndexValues": index,
        }
    )
