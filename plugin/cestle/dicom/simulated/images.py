"""Classic MR series: saturation images, field maps, the scanner's own map, the T1."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from cestle.dicom.simulated.headers import SeriesHeader, StudyHeader, add_pixels, add_place
from cestle.dicom.simulated.options import NOMINAL_FLIP_DEG, B0Unit, B1Unit, CestForm
from cestle.geometry import Grid
from cestle.phantom.study import SimulatedStudy
from cestle.physics import Real
from cestle.protocol import JUPITER_5T_GLUCEST

Unsigned = npt.NDArray[np.uint16]
Signed = npt.NDArray[np.int16]

CEST_SERIES_NUMBER: Final = 300
T1_SERIES_NUMBER: Final = 200

CEST_PHYSICS: Final[dict[str, Any]] = {
    "ScanningSequence": "SE",
    "MRAcquisitionType": "2D",
    "RepetitionTime": str(round(JUPITER_5T_GLUCEST.repetition_s * 1000)),
    "EchoTime": "6.5",
    "EchoTrainLength": "64",
    "FlipAngle": "120",
    "PixelBandwidth": "600",
}
_FIELD_MAP_PHYSICS: Final[dict[str, Any]] = {
    "ScanningSequence": "GR",
    "MRAcquisitionType": "2D",
    "RepetitionTime": "40",
    "EchoTime": "3.06",
    "EchoTrainLength": "1",
    "FlipAngle": "20",
    "PixelBandwidth": "500",
}
_T1_PHYSICS: Final[dict[str, Any]] = {
    "ScanningSequence": ["GR", "IR"],
    "MRAcquisitionType": "3D",
    "RepetitionTime": "7.7",
    "EchoTime": "3.1",
    "InversionTime": "900",
    "EchoTrainLength": "176",
    "FlipAngle": "8",
    "PixelBandwidth": "250",
}

# The fluid is brightest at about 0.75 of pure water; so nothing reaches 65535.
_SIGNAL_SCALE: Final = 25_000.0
_T1_SCALE: Final = 1000.0


def offset_text(offset_ppm: float) -> str:
    """An offset as names carry it, such as ``-3.0ppm``."""
    return f"{offset_ppm:+.1f}ppm"


def contrast_label(study: SimulatedStudy, image: int) -> str:
    """(0065,102D) of saturation image `image`; repeats are counted from #1."""
    offsets = np.asarray(study.offsets_ppm)
    same = np.flatnonzero(offsets == offsets[image])
    repeat = f"#{int(np.flatnonzero(same == image)[0]) + 1}" if len(same) > 1 else ""
    return f"fse_glucest_{offset_text(float(offsets[image]))}{repeat}"


def stored_signal(study: SimulatedStudy) -> Unsigned:
    """Saturation images as stored, shape (images, slices, rows, columns)."""
    return _unsigned(study.signal * _SIGNAL_SCALE)


def cest_series(study: SimulatedStudy, header: StudyHeader) -> Iterator[list[Dataset]]:
    """The saturation images as one series or as one series for each image."""
    pixels = stored_signal(study)
    slices = study.cest_grid.shape[0]
    split = header.encoding.cest is CestForm.SERIES_PER_IMAGE
    labelled = header.encoding.cest is CestForm.ONE_SERIES
    together: list[Dataset] = []
    for image in range(len(pixels)):
        offset = float(study.offsets_ppm[image])
        begun_s = JUPITER_5T_GLUCEST.repetition_s * image * slices
        series = SeriesHeader(
            study=header,
            number=CEST_SERIES_NUMBER + image if split else CEST_SERIES_NUMBER,
            description=f"GluCEST {offset_text(offset)}" if split else "GluCEST",
            sequence_name="fse_glucest",
            after_s=300.0 + (begun_s if split else 0.0),
            instances=slices if split else slices * len(pixels),
            physics=CEST_PHYSICS,
        )
        label = contrast_label(study, image) if labelled else ""
        members = [
            _image(
                series.classic(
                    number + 1 if split else image * slices + number + 1,
                    label=label,
                    repetition=image,
                    delay_s=JUPITER_5T_GLUCEST.repetition_s * number + (0.0 if split else begun_s),
                ),
                study.cest_grid,
                number,
                pixels[image, number],
            )
            for number in range(slices)
        ]
        if split:
            yield members
        together += members
    if not split:
        yield together


def t1_series(study: SimulatedStudy, header: StudyHeader) -> list[Dataset]:
    """The 3D T1, one object for each slice."""
    pixels = _unsigned(study.t1 * _T1_SCALE)
    series = SeriesHeader(
        study=header,
        number=T1_SERIES_NUMBER,
        description="t1_gre_fsp_3d",
        sequence_name="gre_fsp",
        after_s=0.0,
        instances=len(pixels),
        physics=_T1_PHYSICS,
    )
    return [
        _image(series.classic(number + 1), study.t1_grid, number, plane)
        for number, plane in enumerate(pixels)
    ]


@dataclass(frozen=True, kw_only=True)
class _Unit:
    """How stored numbers are to be understood: UCUM code, meaning, stored × slope = value."""

    code: str
    meaning: str
    slope: float


_HERTZ: Final = _Unit(code="Hz", meaning="hertz", slope=1.0)
_PPM: Final = _Unit(code="[ppm]", meaning="parts per million", slope=0.001)


def b0_series(study: SimulatedStudy, header: StudyHeader) -> list[Dataset]:
    """The B0 map: frequency of the voxel's water minus the transmitter, signed."""
    ppm = study.b0_hz / study.settings.f0_mhz
    values, unit = {
        B0Unit.HZ: (study.b0_hz, _HERTZ),
        B0Unit.PPM: (ppm / _PPM.slope, _PPM),
        B0Unit.PPM_1000: (1000.0 * ppm, None),
    }[header.encoding.b0_unit]
    stored = np.clip(np.rint(values), -32768, 32767).astype(np.int16)
    members = _map_series(study, header, stored, number=400, description="B0Map")
    if unit is not None:
        for dataset in members:
            _declare(dataset, unit)
    return members


def b1_series(study: SimulatedStudy, header: StudyHeader) -> list[Dataset]:
    """The B1 map; the reference encoding stores percent of nominal."""
    relative = study.b1_percent / 100.0
    values, slope = {
        B1Unit.PERCENT: (study.b1_percent, None),
        B1Unit.RELATIVE: (1000.0 * relative, 0.001),
        B1Unit.DEGREE: (10.0 * NOMINAL_FLIP_DEG * relative, 0.1),
    }[header.encoding.b1_unit]
    members = _map_series(study, header, _unsigned(values), number=401, description="B1Map")
    if slope is not None:
        for dataset in members:
            _rescale(dataset, slope, "US")
    return members


def vendor_series(study: SimulatedStudy, header: StudyHeader) -> list[Dataset]:
    """The scanner's own map, percent times 100."""
    stored = _unsigned(100.0 * study.vendor_percent)
    return _map_series(study, header, stored, number=402, description="GluCEST_Map")


def _map_series(
    study: SimulatedStudy,
    header: StudyHeader,
    stored: Unsigned | Signed,
    *,
    number: int,
    description: str,
) -> list[Dataset]:
    series = SeriesHeader(
        study=header,
        number=number,
        description=description,
        sequence_name="fse_glucest" if description.startswith("GluCEST") else "gre_fieldmap",
        after_s=600.0 + number,
        instances=len(stored),
        physics=CEST_PHYSICS if description.startswith("GluCEST") else _FIELD_MAP_PHYSICS,
    )
    return [
        _image(series.classic(index + 1), study.cest_grid, index, plane)
        for index, plane in enumerate(stored)
    ]


def _image(dataset: Dataset, grid: Grid, number: int, pixels: Unsigned | Signed) -> Dataset:
    add_place(dataset, grid, number)
    add_pixels(dataset, pixels)
    return dataset


def _unsigned(values: Real) -> Unsigned:
    stored: Unsigned = np.clip(np.rint(values), 0, 65535).astype(np.uint16)
    return stored


def _rescale(dataset: Dataset, slope: float, rescale_type: str) -> None:
    dataset.RescaleIntercept = "0"
    dataset.RescaleSlope = f"{slope:g}"
    dataset.RescaleType = rescale_type


def _declare(dataset: Dataset, unit: _Unit) -> None:
    """Rescale and the equal Real World Value Mapping (PS3.3 C.7.6.16.2.11)."""
    _rescale(dataset, unit.slope, "HZ" if unit.code == "Hz" else "US")
    code = Dataset()
    code.CodeValue = unit.code
    code.CodingSchemeDesignator = "UCUM"
    code.CodeMeaning = unit.meaning
    mapping = Dataset()
    mapping.LUTExplanation = mapping.LUTLabel = "B0"
    mapping.MeasurementUnitsCodeSequence = [code]
    mapping.add_new("RealWorldValueFirstValueMapped", "SS", -32768)
    mapping.add_new("RealWorldValueLastValueMapped", "SS", 32767)
    mapping.RealWorldValueIntercept = 0.0
    mapping.RealWorldValueSlope = unit.slope
    dataset.RealWorldValueMappingSequence = [mapping]
