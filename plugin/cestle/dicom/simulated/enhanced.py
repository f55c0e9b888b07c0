"""The saturation images as one Enhanced MR object: all slices, all offsets."""

import datetime

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from cestle.dicom.simulated.headers import (
    PRIVATE_CREATOR,
    PRIVATE_GROUP,
    SEQUENCE_DISPLAY_NAME,
    SeriesHeader,
    StudyHeader,
    add_pixels,
    decimal,
    orientation,
    pixel_spacing,
    position,
)
from cestle.dicom.simulated.images import (
    CEST_PHYSICS,
    CEST_SERIES_NUMBER,
    contrast_label,
    stored_signal,
)
from cestle.phantom.study import SimulatedStudy
from cestle.physics import GAMMA_BAR_MHZ_PER_T
from cestle.protocol import JUPITER_5T_GLUCEST

_FRAME_TYPE = ["ORIGINAL", "PRIMARY", "M", "NONE"]


def enhanced_cest(study: SimulatedStudy, header: StudyHeader) -> Dataset:
    """One multi-frame object; each frame has its offset in (0065,102D) and its comment.

    Frames are ordered by image, then slice (PS3.3 A.36.2).
    """
    series = SeriesHeader(
        study=header,
        number=CEST_SERIES_NUMBER,
        description="GluCEST",
        sequence_name="fse_glucest",
        after_s=300.0,
        instances=1,
        physics={},
    )
    dataset = series.dataset(1, sop_class_uid=EnhancedMRImageStorage)
    pixels = stored_signal(study)
    images, slices = pixels.shape[:2]
    add_pixels(dataset, pixels.reshape(-1, *pixels.shape[2:]))
    del dataset.WindowCenter, dataset.WindowWidth, dataset.AcquisitionDate, dataset.AcquisitionTime
    dataset.NumberOfFrames = images * slices
    dataset.FrameOfReferenceUID = study.cest_grid.frame_of_reference_uid
    _add_description(dataset, header, slices=slices, images=images)
    _add_pulse_sequence(dataset)
    _add_dimensions(dataset, header)
    dataset.SharedFunctionalGroupsSequence = [_shared(study, header, dataset)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _frame(study, header, image=image, number=number)
        for image in range(images)
        for number in range(slices)
    ]
    return dataset


def _add_description(dataset: Dataset, header: StudyHeader, *, slices: int, images: int) -> None:
    started = header.encoding.started + datetime.timedelta(seconds=300)
    dataset.ImageType = _FRAME_TYPE
    dataset.AcquisitionDateTime = f"{started:%Y%m%d%H%M%S.%f}"
    dataset.AcquisitionDuration = JUPITER_5T_GLUCEST.repetition_s * slices * images
    dataset.AcquisitionNumber = 1
    dataset.AcquisitionContextSequence = []
    dataset.ContentQualification = "RESEARCH"
    dataset.ResonantNucleus = "1H"
    dataset.KSpaceFiltering = "NONE"
    dataset.MagneticFieldStrength = f"{header.f0_mhz / GAMMA_BAR_MHZ_PER_T:.3f}"
    dataset.ApplicableSafetyStandardAgency = "IEC"
    dataset.PixelPresentation = "MONOCHROME"
    dataset.VolumetricProperties = "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.ComplexImageComponent = "MAGNITUDE"
    dataset.AcquisitionContrast = "UNKNOWN"
    dataset.PresentationLUTShape = "IDENTITY"


def _add_pulse_sequence(dataset: Dataset) -> None:
    dataset.PulseSequenceName = "fse_glucest"
    dataset.MRAcquisitionType = "2D"
    dataset.EchoPulseSequence = "SPIN"
    dataset.MultipleSpinEcho = "YES"
    dataset.MultiPlanarExcitation = "NO"
    dataset.PhaseContrast = "NO"
    dataset.TimeOfFlightContrast = "NO"
    dataset.SteadyStatePulseSequence = "NONE"
    dataset.EchoPlanarPulseSequence = "NO"
    dataset.SaturationRecovery = "NO"
    dataset.SpectrallySelectedSuppression = "NONE"
    dataset.OversamplingPhase = "NONE"
    dataset.GeometryOfKSpaceTraversal = "RECTILINEAR"
    dataset.RectilinearPhaseEncodeReordering = "CENTRIC"
    dataset.SegmentedKSpaceTraversal = "SINGLE"
    dataset.NumberOfKSpaceTrajectories = 1


def _add_dimensions(dataset: Dataset, header: StudyHeader) -> None:
    organization = Dataset()
    organization.DimensionOrganizationUID = header.uid("dimension organization", "CEST")
    dataset.DimensionOrganizationSequence = [organization]
    dataset.DimensionIndexSequence = []
    for keyword_tag, label in ((0x00209128, "Image"), (0x00209057, "Slice")):
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer = keyword_tag
        index.FunctionalGroupPointer = 0x00209111
        index.DimensionDescriptionLabel = label
        dataset.DimensionIndexSequence.append(index)


def _shared(study: SimulatedStudy, header: StudyHeader, dataset: Dataset) -> Dataset:
    grid = study.cest_grid
    rows, columns = grid.shape[1:]
    return _group(
        PixelMeasuresSequence={
            "PixelSpacing": pixel_spacing(grid),
            "SliceThickness": decimal(grid.slice_thickness_mm),
            "SpacingBetweenSlices": decimal(grid.spacing_mm[0]),
        },
        PlaneOrientationSequence={"ImageOrientationPatient": orientation(grid)},
        FrameAnatomySequence={
            "FrameLaterality": "U",
            "AnatomicRegionSequence": [_code("12738006", "SCT", "Brain")],
        },
        MRImageFrameTypeSequence={
            "FrameType": _FRAME_TYPE,
            "PixelPresentation": dataset.PixelPresentation,
            "VolumetricProperties": dataset.VolumetricProperties,
            "VolumeBasedCalculationTechnique": dataset.VolumeBasedCalculationTechnique,
            "ComplexImageComponent": dataset.ComplexImageComponent,
            "AcquisitionContrast": dataset.AcquisitionContrast,
        },
        MRTimingAndRelatedParametersSequence={
            "RepetitionTime": CEST_PHYSICS["RepetitionTime"],
            "FlipAngle": CEST_PHYSICS["FlipAngle"],
            "EchoTrainLength": CEST_PHYSICS["EchoTrainLength"],
            "RFEchoTrainLength": int(CEST_PHYSICS["EchoTrainLength"]),
            "GradientEchoTrainLength": 0,
            "SpecificAbsorptionRateSequence": [
                _item(
                    SpecificAbsorptionRateDefinition="IEC_HEAD",
                    SpecificAbsorptionRateValue=2.1,
                )
            ],
            "GradientOutputType": "DB_DT",
            "GradientOutput": 0.5,
            "OperatingModeSequence": [
                _item(OperatingModeType="RF", OperatingMode="IEC_NORMAL"),
            ],
        },
        MRFOVGeometrySequence={
            "InPlanePhaseEncodingDirection": "ROW",
            "MRAcquisitionFrequencyEncodingSteps": columns,
            "MRAcquisitionPhaseEncodingStepsInPlane": rows,
            "PercentSampling": "100",
            "PercentPhaseFieldOfView": "100",
        },
        MREchoSequence={"EffectiveEchoTime": float(CEST_PHYSICS["EchoTime"])},
        MRModifierSequence={
            "InversionRecovery": "NO",
            "FlowCompensation": "NONE",
            "Spoiling": "NONE",
            "T2Preparation": "NO",
            "SpectrallySelectedExcitation": "NONE",
            "SpatialPresaturation": "NONE",
            "PartialFourier": "NO",
            "ParallelAcquisition": "NO",
        },
        MRImagingModifierSequence={
            "MagnetizationTransfer": "OFF_RESONANCE",
            "BloodSignalNulling": "NO",
            "Tagging": "NONE",
            "TransmitterFrequency": header.f0_mhz,
            "PixelBandwidth": CEST_PHYSICS["PixelBandwidth"],
        },
        MRReceiveCoilSequence={
            "ReceiveCoilName": "HEAD48",
            "ReceiveCoilManufacturerName": "UIH",
            "ReceiveCoilType": "MULTICOIL",
            "QuadratureReceiveCoil": "NO",
            "MultiCoilDefinitionSequence": [
                _item(MultiCoilElementName="E1", MultiCoilElementUsed="YES"),
            ],
        },
        MRTransmitCoilSequence={
            "TransmitCoilName": "HEAD-TX",
            "TransmitCoilManufacturerName": "UIH",
            "TransmitCoilType": "VOLUME",
        },
        MRAveragesSequence={"NumberOfAverages": "1"},
    )


def _frame(study: SimulatedStudy, header: StudyHeader, *, image: int, number: int) -> Dataset:
    slices = study.cest_grid.shape[0]
    repetition_s = JUPITER_5T_GLUCEST.repetition_s
    begun_s = 300.0 + repetition_s * (image * slices + number)
    moment = header.encoding.started + datetime.timedelta(seconds=begun_s)
    label = contrast_label(study, image)
    group = _group(
        FrameContentSequence={
            "FrameAcquisitionNumber": 1,
            "FrameReferenceDateTime": f"{moment:%Y%m%d%H%M%S.%f}",
            "FrameAcquisitionDateTime": f"{moment:%Y%m%d%H%M%S.%f}",
            "FrameAcquisitionDuration": 1000.0 * repetition_s,
            "StackID": "1",
            "InStackPositionNumber": number + 1,
            "TemporalPositionIndex": image + 1,
            "DimensionIndexValues": [image + 1, number + 1],
            "FrameComments": label,
        },
        PlanePositionSequence={"ImagePositionPatient": position(study.cest_grid, number)},
        PixelValueTransformationSequence={
            "RescaleIntercept": "0",
            "RescaleSlope": "1",
            "RescaleType": "US",
        },
        FrameVOILUTSequence={"WindowCenter": "8000", "WindowWidth": "16000"},
    )
    block = group.private_block(PRIVATE_GROUP, PRIVATE_CREATOR, create=True)
    block.add_new(SEQUENCE_DISPLAY_NAME, "ST", label)
    return group


def _group(**macros: dict[str, object]) -> Dataset:
    """A functional group item from the content of each macro's one item."""
    group = Dataset()
    for keyword, content in macros.items():
        setattr(group, keyword, [_item(**content)])
    return group


def _item(**content: object) -> Dataset:
    item = Dataset()
    for keyword, value in content.items():
        setattr(item, keyword, value)
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
