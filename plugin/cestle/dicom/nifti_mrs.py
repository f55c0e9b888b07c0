"""MEGA-PRESS from NIfTI-MRS files, for work without a scanner.

NIfTI-MRS (doi:10.1002/mrm.29418) counts frequencies the other way round than DICOM (PS3.3
C.8.14.4.1), so its values are conjugated here, once.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from cestle.dicom.spectroscopy_object import (
    DEFAULT_TRANSMITTER_PPM,
    LEAST_POINTS,
    PROTON_MHZ,
    WIDTH_HZ,
    SpectraReading,
)
from cestle.errors import HeaderError, InputError, ProtocolError
from cestle.mrs.series import EditState, MegaProtocol, MegaSeries, Voxel
from cestle.physics import Complex

_SUFFIXES: Final = (".nii", ".nii.gz")
_EXTENSION_CODE: Final = 44
_SCANNER_SPACE: Final = 1
_SECONDS: Final = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_MILLIMETRES: Final = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}
_UNLOCALISED_MM: Final = 1000.0
_LARGEST_VALUES: Final = 256 * 1024 * 1024
_AXES: Final = ("DIM_COIL", "DIM_DYN", "DIM_EDIT")
_DEFAULT_TAGS: Final = {4: "DIM_COIL", 5: "DIM_DYN", 6: "DIM_INDIRECT_0"}
_STATES: Final = {"ON": EditState.ON, "OFF": EditState.OFF}
_RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0])


@dataclass(frozen=True, kw_only=True, eq=False)
class NiftiSpectra:
    """A NIfTI-MRS file, read.

    Parameters
    ----------
    reading
        The spectra and notes.
    water_suppressed
        False only where the file says so.
    patient_id
        As the file states it, empty when it does not; never to be logged.
    """

    reading: SpectraReading
    water_suppressed: bool
    patient_id: str


def is_nifti_mrs(path: Path) -> bool:
    """Whether a file is NIfTI with the intent of NIfTI-MRS."""
    if not path.name.lower().endswith(_SUFFIXES):
        return False
    try:
        header: Any = nib.load(path).header
    except (ImageFileError, OSError, EOFError, ValueError):
        return False
    intent = header.get_intent()[2] if hasattr(header, "get_intent") else ""
    return bool(str(intent).startswith("mrs_v"))


def read_nifti_mrs(path: Path) -> NiftiSpectra:
    """Read one NIfTI-MRS file.

    Raises
    ------
    HeaderError
        When the file is damaged or lacks what the format requires.
    ProtocolError
        When it holds no FIDs of protons in one voxel, or axes that are not known here.
    """
    try:
        image: Any = nib.load(path)
        if np.prod([int(n) for n in image.shape]) > _LARGEST_VALUES:
            raise HeaderError("a NIfTI-MRS file states an impossible size; check its header.")
        data = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError) as fault:
        raise HeaderError(
            f"a NIfTI-MRS file cannot be read ({type(fault).__name__}); a complete file was "
            "expected. Convert it again."
        ) from fault
    meta = _metadata(image)
    fids, labels = _fids(data, meta)
    on_ppm, off_ppm = _pulses(meta)
    voxel, notes = _voxel(image)
    series = MegaSeries(
        fids=fids,
        labels=labels,
        averaged=len(fids) == 2,
        averages=None,
        water=None,
        difference=None,
        protocol=MegaProtocol(
            frequency_mhz=_frequency_mhz(meta),
            dwell_s=_dwell_s(image),
            transmitter_ppm=_transmitter_ppm(meta),
            echo_time_ms=_milliseconds(meta, "EchoTime"),
            repetition_time_ms=_milliseconds(meta, "RepetitionTime"),
            edit_on_ppm=on_ppm,
            edit_off_ppm=off_ppm,
            sequence_name=_text(meta, "SequenceName"),
            manufacturer=_text(meta, "Manufacturer"),
            model=_text(meta, "ManufacturersModelName"),
            software=_text(meta, "SoftwareVersions"),
        ),
        voxel=voxel,
        source="NIfTI-MRS",
    )
    return NiftiSpectra(
        reading=SpectraReading(series=series, notes=notes),
        water_suppressed=meta.get("WaterSuppressed") is not False,
        patient_id=_text(meta, "PatientID"),
    )


def _metadata(image: Any) -> Mapping[str, Any]:
    for extension in image.header.extensions:
        if extension.get_code() != _EXTENSION_CODE:
            continue
        try:
            found = json.loads(extension.content.rstrip(b"\0 ").decode("utf-8"))
        except ValueError as fault:
            raise HeaderError(
                "the header extension of a NIfTI-MRS file is no JSON text; the metadata of the "
                "format were expected. Convert the spectra again."
            ) from fault
        if isinstance(found, dict):
            return found
    raise HeaderError(
        "a NIfTI-MRS file has no header extension with code 44; the metadata of the format were "
        "expected. Convert the spectra again."
    )


def _fids(
    data: npt.NDArray[Any], meta: Mapping[str, Any]
) -> tuple[Complex, tuple[EditState | None, ...]]:
    """FIDs in the order of acquisition, shape (transient, coil, point), and their labels."""
    if data.ndim < 4 or data.shape[:3] != (1, 1, 1) or not np.iscomplexobj(data):
        raise ProtocolError(
            f"a NIfTI-MRS file holds {data.dtype} of shape {data.shape}; complex FIDs of a single "
            "voxel were expected. Spectroscopic imaging is not analysed."
        )
    if data.shape[3] < LEAST_POINTS:
        raise ProtocolError(
            f"a NIfTI-MRS file has {data.shape[3]} points; at least {LEAST_POINTS} were expected."
        )
    tags = [_tag(meta, axis) if data.shape[axis] > 1 else "" for axis in range(4, data.ndim)]
    unknown = sorted({tag for tag in tags if tag} - set(_AXES))
    if unknown or len({tag for tag in tags if tag}) < sum(bool(tag) for tag in tags):
        raise ProtocolError(
            f"a NIfTI-MRS file has the dimensions {', '.join(tag for tag in tags if tag)}; each of "
            f"{', '.join(_AXES)} at most once was expected. Average or split the others first."
        )
    arranged = _arranged(data, tags)
    if not np.all(np.isfinite(arranged)) or not np.all(arranged.any(axis=(2, 3))):
        raise HeaderError(
            "a NIfTI-MRS file holds values that are no finite numbers, or an FID of zeros; signal "
            "was expected. Convert the spectra again."
        )
    dynamics, states = arranged.shape[:2]
    labels = _labels(meta, tags, dynamics=dynamics, states=states)
    fids: Complex = arranged.conj().reshape(dynamics * states, *arranged.shape[2:])
    return fids, labels


def _arranged(data: npt.NDArray[Any], tags: Sequence[str]) -> Complex:
    """Shape (dynamic, state, coil, point): the states alternate in time."""
    found = np.asarray(data[0, 0, 0], dtype=np.complex128)
    order = [1 + tags.index(tag) if tag in tags else None for tag in ("DIM_DYN", "DIM_EDIT")]
    order.append(1 + tags.index("DIM_COIL") if "DIM_COIL" in tags else None)
    kept = [axis for axis in order if axis is not None]
    single = [axis for axis in range(1, found.ndim) if axis not in kept]
    arranged = np.transpose(found, (*kept, *single, 0))
    shape = tuple(1 if axis is None else found.shape[axis] for axis in order)
    return arranged.reshape(*shape, found.shape[0])


def _tag(meta: Mapping[str, Any], axis: int) -> str:
    return str(meta.get(f"dim_{axis + 1}") or _DEFAULT_TAGS[axis])


def _labels(
    meta: Mapping[str, Any], tags: Sequence[str], *, dynamics: int, states: int
) -> tuple[EditState | None, ...]:
    """EditCondition of each FID, where it is stated along one of the axes."""
    unknown = (None,) * (dynamics * states)
    for tag, count in (("DIM_EDIT", states), ("DIM_DYN", dynamics)):
        if tag not in tags:
            continue
        header = meta.get(f"dim_{5 + tags.index(tag)}_header")
        names = header.get("EditCondition") if isinstance(header, dict) else None
        if not isinstance(names, list) or len(names) != count:
            continue
        found = [_STATES.get(str(name).upper()) for name in names]
        if tag == "DIM_EDIT":
            return tuple(found) * dynamics
        return tuple(state for state in found for _ in range(states))
    return unknown


def _pulses(meta: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Centres of the editing pulse of the conditions called ON and OFF [ppm]."""
    pulses = meta.get("EditPulse")
    if not isinstance(pulses, dict):
        return None, None
    named = {str(name).upper(): pulse for name, pulse in pulses.items() if isinstance(pulse, dict)}
    on, off = (_number(named.get(name, {}).get("PulseOffset")) for name in ("ON", "OFF"))
    return on, off


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        return None
    return float(value)


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value


def _frequency_mhz(meta: Mapping[str, Any]) -> float:
    nucleus = str(_first(meta.get("ResonantNucleus")) or "").upper()
    if nucleus != "1H":
        raise ProtocolError(
            f"a NIfTI-MRS file states the nucleus {nucleus[:16] or '(none)'}; 1H was expected. "
            "Give the proton spectra."
        )
    found = _number(_first(meta.get("SpectrometerFrequency")))
    low, high = PROTON_MHZ
    if found is None or not low <= found <= high:
        raise HeaderError(
            f"a NIfTI-MRS file states a SpectrometerFrequency of {found}; {low:g} to {high:g} MHz "
            "was expected. Convert the spectra again."
        )
    return found


def _dwell_s(image: Any) -> float:
    unit = image.header.get_xyzt_units()[1]
    dwell = float(image.header["pixdim"][4]) * _SECONDS.get(unit, 1.0)
    low, high = WIDTH_HZ
    if not np.isfinite(dwell) or dwell <= 0.0 or not low * 0.999 <= 1.0 / dwell <= high * 1.001:
        raise HeaderError(
            f"a NIfTI-MRS file states a dwell time of {dwell:g} s; {1.0 / high:g} to {1.0 / low:g} "
            "s was expected. Convert the spectra again."
        )
    return dwell


def _transmitter_ppm(meta: Mapping[str, Any]) -> float:
    found = _number(meta.get("SpecFreqChemShift"))
    return found if found is not None and 0.0 < found < 10.0 else DEFAULT_TRANSMITTER_PPM


def _milliseconds(meta: Mapping[str, Any], key: str) -> float | None:
    found = _number(meta.get(key))
    return None if found is None or found <= 0.0 else round(1e3 * found, 6)


def _text(meta: Mapping[str, Any], key: str) -> str:
    value = _first(meta.get(key))
    return value if isinstance(value, str) else ""


def _voxel(image: Any) -> tuple[Voxel | None, tuple[str, ...]]:
    """The voxel by the qform, which counts from the centre of the first voxel; RAS to LPS.

    An sform counts only without a qform and in the space of the scanner: it may also place the
    voxel in a standard brain.
    """
    place, code = image.get_qform(coded=True)
    if not code:
        place, code = image.get_sform(coded=True)
        code = code if code == _SCANNER_SPACE else 0
    if not code:
        return None, ("the NIfTI-MRS file states no place, so that of the voxel is not known",)
    scale = _MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    affine = np.asarray(place, dtype=np.float64)[:3] * scale
    edges = (_RAS_TO_LPS @ affine[:, :3]).T
    lengths = np.linalg.norm(edges, axis=1)
    if np.any(lengths >= _UNLOCALISED_MM) or np.any(lengths <= 0.0):
        return None, ("the NIfTI-MRS file is not localised, so the place is not known",)
    return Voxel(centre_mm=_RAS_TO_LPS @ affine[:, 3], edges_mm=edges), ()


def require_same_patient(spectra: NiftiSpectra, patient_id: str) -> None:
    """Refuse spectra that name another patient than the study.

    Raises
    ------
    InputError
        When both name a patient, and not the same.
    """
    if spectra.patient_id.strip() and spectra.patient_id.strip() != patient_id.strip():
        raise InputError(
            "a NIfTI-MRS file belongs to another patient than the study; give the spectra of this "
            "patient."
        )
