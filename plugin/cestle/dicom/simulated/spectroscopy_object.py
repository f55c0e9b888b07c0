"""What spectroscopy objects of all encodings share: equipment, voxel, acquisition, FIDs."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRSpectroscopyStorage

from cestle.dicom.simulated.headers import SeriesHeader, StudyHeader
from cestle.errors import ConfigError
from cestle.mrs.series import MegaSeries, Voxel
from cestle.physics import GAMMA_BAR_MHZ_PER_T, Complex, Real

SERIES_NUMBER: Final = 600
WATER_SERIES_NUMBER: Final = 601
IMAGE_TYPE: Final = ["ORIGINAL", "PRIMARY", "SPECTROSCOPY", "NONE"]
SEQUENCE_NAME: Final = "svs_mega"

_AFTER_S: Final = 600.0
_WATER_AFTER_S: Final = 1200.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement:
    """A measurement with all that its headers state.

    Parameters
    ----------
    series
        The FIDs.
    header
        The study.
    frame_of_reference_uid
        Frame of Reference in which the voxel lies.
    voxel
        The voxel.
    echo_time_ms, repetition_time_ms
        TE and TR [ms].
    """

    series: MegaSeries
    header: StudyHeader
    frame_of_reference_uid: str
    voxel: Voxel
    echo_time_ms: float
    repetition_time_ms: float

    @classmethod
    def of(
        cls, series: MegaSeries, header: StudyHeader, frame_of_reference_uid: str
    ) -> "Measurement":
        """The measurement of `series`.

        Raises
        ------
        ConfigError
            When the series does not say where or with what timing it was acquired.
        """
        protocol = series.protocol
        if series.voxel is None or None in (protocol.echo_time_ms, protocol.repetition_time_ms):
            raise ConfigError(
                "the measurement lacks its voxel, TE or TR, which every header states; simulate "
                "it with them."
            )
        return cls(
            series=series,
            header=header,
            frame_of_reference_uid=frame_of_reference_uid,
            voxel=series.voxel,
            echo_time_ms=float(protocol.echo_time_ms or 0.0),
            repetition_time_ms=float(protocol.repetition_time_ms or 0.0),
        )

    @property
    def points(self) -> int:
        """Points of a FID."""
        return int(self.series.fids.shape[-1])

    @property
    def sizes_mm(self) -> Real:
        """Lengths of the edges of the voxel, shape (3,) [mm]."""
        sizes: Real = np.linalg.norm(self.voxel.edges_mm, axis=1)
        return sizes

    @property
    def directions(self) -> Real:
        """Unit vectors along the edges, as rows, shape (3, 3)."""
        directions: Real = self.voxel.edges_mm / self.sizes_mm[:, None]
        return directions

    def began(self, number: int = 0, *, water: bool = False) -> datetime.datetime:
        """When transient `number` was acquired."""
        after_s = _WATER_AFTER_S if water else _AFTER_S
        passed = datetime.timedelta(seconds=after_s + 1e-3 * self.repetition_time_ms * number)
        return self.header.encoding.started + passed

    def dataset(self, number: int = 1, *, water: bool = False) -> Dataset:
        """Instance `number` of the series: all of the header but what an encoding adds."""
        series = SeriesHeader(
            study=self.header,
            number=WATER_SERIES_NUMBER if water else SERIES_NUMBER,
            description=f"{SEQUENCE_NAME} water reference" if water else "MEGA-PRESS hippocampus",
            sequence_name=SEQUENCE_NAME,
            after_s=_WATER_AFTER_S if water else _AFTER_S,
            instances=1,
            physics={},
        )
        dataset = series.dataset(number, sop_class_uid=MRSpectroscopyStorage)
        protocol = self.series.protocol
        dataset.ImageType = IMAGE_TYPE
        dataset.FrameOfReferenceUID = self.frame_of_reference_uid
        dataset.MagneticFieldStrength = f"{protocol.frequency_mhz / GAMMA_BAR_MHZ_PER_T:.3f}"
        dataset.SpectralWidth = 1.0 / protocol.dwell_s
        dataset.TransmitterFrequency = protocol.frequency_mhz
        dataset.ResonantNucleus = "1H"
        dataset.Rows = dataset.Columns = 1
        dataset.DataPointRows = 1
        dataset.DataPointColumns = self.points
        dataset.DataRepresentation = "COMPLEX"
        dataset.SignalDomainColumns = "TIME"
        return dataset


def stored_fids(fids: Complex) -> bytes:
    """FIDs of shape (…, point) as float pairs of real and imaginary part (PS3.3 C.8.14.4.1)."""
    pairs = np.stack([fids.real, fids.imag], axis=-1)
    return pairs.astype("<f4").tobytes()


def item(**content: Any) -> Dataset:
    """A sequence item from the values of its elements."""
    made = Dataset()
    for keyword, value in content.items():
        setattr(made, keyword, value)
    return made


def group(**macros: dict[str, Any]) -> Dataset:
    """A functional group item from the content of each macro's one item."""
    return item(**{keyword: [item(**content)] for keyword, content in macros.items()})


def number_list(values: Sequence[float] | Real) -> list[float]:
    """Plain numbers."""
    return [float(value) for value in values]
