"""MEGA-PRESS measurements as DICOM objects, in all encodings that the reader knows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom.dataset import Dataset

from cestle.dicom.simulated.headers import StudyHeader
from cestle.dicom.simulated.options import SpectroscopyForm
from cestle.dicom.simulated.spectroscopy_object import Measurement
from cestle.dicom.simulated.spectroscopy_philips import philips_object
from cestle.dicom.simulated.spectroscopy_standard import (
    instance_objects,
    multi_frame_object,
    water_object,
)
from cestle.dicom.simulated.spectroscopy_uih import uih_object
from cestle.errors import ConfigError
from cestle.mrs.series import MegaSeries
from cestle.phantom.mega_settings import Labelling, MegaSimulation


def as_stored(settings: MegaSimulation, form: SpectroscopyForm) -> MegaSimulation:
    """`settings` with what a scanner of that encoding does to FIDs before it stores them.

    United Imaging stores averages, its difference, and FIDs that turn against the standard; the
    others store transients that turn with it. All combine the coils.
    """
    plain = replace(settings, coils=1, averaged=False, conjugated=False, difference_scale=None)
    if form is SpectroscopyForm.UIH:
        return replace(
            plain, averaged=True, conjugated=True, difference_scale=1.0, labelling=Labelling.TRUE
        )
    marked = form is SpectroscopyForm.PHILIPS
    return replace(plain, labelling=Labelling.TRUE if marked else Labelling.NONE)


def spectroscopy_series(
    series: MegaSeries, header: StudyHeader, frame_of_reference_uid: str
) -> Iterator[tuple[str, Sequence[Dataset]]]:
    """Folder name and objects of each series of a measurement.

    Parameters
    ----------
    series
        FIDs as they are to be stored.
    header
        The study.
    frame_of_reference_uid
        Frame of Reference in which the voxel lies.

    Raises
    ------
    ConfigError
        When the encoding cannot hold them.
    """
    form = header.encoding.spectroscopy
    _require_storable(series, form)
    measurement = Measurement.of(series, header, frame_of_reference_uid)
    if form is SpectroscopyForm.UIH:
        yield "mrs", [uih_object(measurement)]
        return
    if form is SpectroscopyForm.PHILIPS:
        yield "mrs", [philips_object(measurement)]
        return
    if form is SpectroscopyForm.FRAMES:
        yield "mrs", [multi_frame_object(measurement)]
    else:
        yield "mrs", instance_objects(measurement)
    if series.water is not None:
        yield "mrs_water", [water_object(measurement)]


def _require_storable(series: MegaSeries, form: SpectroscopyForm) -> None:
    if series.fids.shape[1] != 1:
        raise ConfigError(
            f"the measurement has {series.fids.shape[1]} coils, but DICOM holds one combined "
            "signal; simulate one coil."
        )
    if series.averaged != (form is SpectroscopyForm.UIH):
        held = "averages" if form is SpectroscopyForm.UIH else "transients"
        raise ConfigError(
            f"the encoding {form.value} holds {held}, and the measurement has none; simulate it "
            "with the settings that as_stored gives."
        )
    marked = form in (SpectroscopyForm.UIH, SpectroscopyForm.PHILIPS)
    if marked and any(label is None for label in series.labels):
        raise ConfigError(
            f"the encoding {form.value} names the state of each FID, and the measurement does "
            "not; simulate it with labels."
        )
