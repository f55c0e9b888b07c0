"""How a spectrum was acquired, as its header says it, with guards against impossible values."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.tag import Tag

from cestle.dicom.facts import element_of, plain_text, value_texts
from cestle.dicom.spectroscopy_object import (
    DEFAULT_TRANSMITTER_PPM,
    PROTON_MHZ,
    WIDTH_HZ,
    frame_number,
    identified,
    number_of,
)
from cestle.errors import HeaderError, ProtocolError
from cestle.mrs.series import MegaProtocol

_HERTZ_ABOVE: Final = 1e5  # no scanner has 100 GHz, so larger numbers are Hz
_SAME_MS: Final = 0.05


def protocol_of(
    dataset: Dataset, frames: Sequence[int] = (0,)
) -> tuple[MegaProtocol, tuple[str, ...]]:
    """How the given frames of an object were acquired, and notes on the header.

    Parameters
    ----------
    dataset
        The object.
    frames
        Indices of the frames that count, from 0.

    Raises
    ------
    HeaderError
        When frequency or spectral width is missing or impossible.
    ProtocolError
        When frames differ in TE or TR.
    """
    transmitter_ppm, notes = _transmitter_ppm(dataset)
    software = element_of(dataset, Tag("SoftwareVersions"))
    versions = None if software is None else value_texts(software)
    protocol = MegaProtocol(
        frequency_mhz=_frequency_mhz(dataset),
        dwell_s=1.0 / _spectral_width_hz(dataset),
        transmitter_ppm=transmitter_ppm,
        echo_time_ms=_time_ms(dataset, frames, "MREchoSequence", "EffectiveEchoTime", "EchoTime"),
        repetition_time_ms=_time_ms(
            dataset,
            frames,
            "MRTimingAndRelatedParametersSequence",
            "RepetitionTime",
            "RepetitionTime",
        ),
        sequence_name=plain_text(dataset, "SequenceName")
        or plain_text(dataset, "PulseSequenceName"),
        manufacturer=plain_text(dataset, "Manufacturer"),
        model=plain_text(dataset, "ManufacturerModelName"),
        software=", ".join(versions or ()),
    )
    return protocol, notes + _first_order_note(dataset)


def _frequency_mhz(dataset: Dataset) -> float:
    """Transmitter frequency [MHz]; UIH writes ImagingFrequency in Hz."""
    candidates = (
        number_of(dataset, "TransmitterFrequency"),
        frame_number(dataset, 0, "MRImagingModifierSequence", "TransmitterFrequency"),
        number_of(dataset, "ImagingFrequency"),
    )
    found = next((value for value in candidates if value is not None and value > 0.0), None)
    if found is None:
        raise HeaderError(
            f"{identified(dataset)} has no usable TransmitterFrequency; a frequency in MHz was "
            "expected. Send it with its whole header."
        )
    mhz = found / 1e6 if found > _HERTZ_ABOVE else found
    low, high = PROTON_MHZ
    if not low <= mhz <= high:
        raise HeaderError(
            f"{identified(dataset)} has a transmitter frequency of {mhz:g} MHz; {low:g} to "
            f"{high:g} MHz was expected for protons. Send it again from the scanner."
        )
    return mhz


def _spectral_width_hz(dataset: Dataset) -> float:
    width = number_of(dataset, "SpectralWidth")
    low, high = WIDTH_HZ
    if width is None or not low * 0.999 <= width <= high * 1.001:
        found = "no usable SpectralWidth" if width is None else f"a SpectralWidth of {width:g} Hz"
        raise HeaderError(
            f"{identified(dataset)} has {found}; {low:g} to {high:g} Hz was expected. Send it with "
            "its whole header."
        )
    return width


def _transmitter_ppm(dataset: Dataset) -> tuple[float, tuple[str, ...]]:
    found = number_of(dataset, "ChemicalShiftReference")
    if found is None:
        return DEFAULT_TRANSMITTER_PPM, ()
    if not 0.0 < found < 10.0:
        note = (
            f"ChemicalShiftReference {found:g} ppm was not used, {DEFAULT_TRANSMITTER_PPM} ppm was"
        )
        return DEFAULT_TRANSMITTER_PPM, (note,)
    return found, ()


def _time_ms(
    dataset: Dataset, frames: Sequence[int], macro: str, keyword: str, top_level: str
) -> float | None:
    """A time that must be the same in all frames [ms].

    (0018,9082) counts only inside its macro: at the top level of UIH objects it is no TE.
    """
    values = [frame_number(dataset, frame, macro, keyword) for frame in frames]
    found = [value for value in values if value is not None and value > 0.0]
    if not found:
        value = number_of(dataset, top_level)
        return value if value is not None and value > 0.0 else None
    if max(found) - min(found) > _SAME_MS:
        raise ProtocolError(
            f"the frames of {identified(dataset)} have a {top_level} from {min(found):g} to "
            f"{max(found):g} ms; one was expected. Send one acquisition."
        )
    return found[0]


def _first_order_note(dataset: Dataset) -> tuple[str, ...]:
    element = element_of(dataset, Tag("FirstOrderPhaseCorrectionAngle"))
    content = None if element is None else element.value
    if not isinstance(content, bytes) or not content or len(content) % 4:
        return ()
    largest = float(np.max(np.abs(np.frombuffer(content, dtype="<f4"))))
    if largest == 0.0:
        return ()
    return (
        f"the header states a first-order phase correction of up to {largest:g} degrees; the FIDs "
        "were read as they are",
    )
