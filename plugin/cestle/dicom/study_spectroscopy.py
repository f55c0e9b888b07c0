"""Which spectra of a study are analysed, and why none is.

Nothing here raises on what arrived: spectra never keep a study from its GluCEST map. Two
acquisitions that could both be meant, such as one on each side, are a question and not a choice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset

from cestle.dicom.facts import plain_text
from cestle.dicom.nifti_mrs import NiftiSpectra, read_nifti_mrs, require_same_patient
from cestle.dicom.spectroscopy import PRIVATE_CLASSES, read_mega_series, with_water
from cestle.dicom.spectroscopy_object import SpectraReading, frame_count
from cestle.dicom.spectroscopy_uih import has_states
from cestle.errors import InputError
from cestle.mrs.series import MegaSeries
from cestle.study.facts import InstanceFacts
from cestle.study.inputs import NO_SPECTRA
from cestle.study.roles import Classified, EditingRule, Role

_SAME_MAGNET: Final = 1e-3
_SIEMENS_SPECTRUM: Final = "(0029,08)|SIEMENS CSA NON-IMAGE"


@dataclass(frozen=True, kw_only=True, eq=False)
class StudySpectra:
    """The spectra of a study.

    Parameters
    ----------
    mega
        The acquisition to analyse; None when there is none.
    missing
        Why there is none; empty when there is one.
    sources
        By role name, the objects that were used, or that could not be.
    notes
        For the log and the report.
    """

    mega: MegaSeries | None
    missing: str
    sources: dict[str, tuple[Dataset, ...]]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Candidate:
    """An acquisition that may be meant, and how to read it."""

    name: str
    datasets: tuple[Dataset, ...]
    read: Callable[[], SpectraReading]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """A candidate that could be read."""

    candidate: _Candidate
    reading: SpectraReading


def read_study_spectra(
    found: Sequence[tuple[Classified, Dataset]],
    files: Sequence[Path] = (),
    *,
    f0_mhz: float | None = None,
) -> StudySpectra:
    """Read the MEGA-PRESS of a study.

    Parameters
    ----------
    found
        All classified objects of the study with their headers.
    files
        NIfTI-MRS files that lie beside them.
    f0_mhz
        Transmitter frequency of the CEST series [MHz]; None when there is none.
    """
    spectra = [pair for pair in found if pair[0].role is Role.MRS_MEGA]
    water = [pair for pair in found if pair[0].role is Role.MRS_WATER]
    nifti, nifti_water, faults = _read_files(files, found)
    candidates = [*_dicom_candidates(spectra), *nifti]
    sources: dict[str, tuple[Dataset, ...]] = {}
    if spectra:
        sources[Role.MRS_MEGA.value] = tuple(dataset for _, dataset in spectra)
    if not candidates:
        why = "; ".join(faults) or _unsupported(found) or NO_SPECTRA
        return StudySpectra(mega=None, missing=why, sources=sources, notes=())
    readable, more_faults = _readable(candidates, f0_mhz)
    faults += more_faults
    chosen = _one_of(readable)
    if isinstance(chosen, str):
        why = chosen or "; ".join(faults)
        return StudySpectra(mega=None, missing=why, sources=sources, notes=())
    notes = [f"spectra left aside: {fault}" for fault in faults]
    notes += [f"spectra: {note}" for note in chosen.reading.notes]
    mega, water_used, more = _with_water(chosen.reading.series, water, nifti_water)
    if chosen.candidate.datasets:
        sources[Role.MRS_MEGA.value] = chosen.candidate.datasets
    if water_used:
        sources[Role.MRS_WATER.value] = water_used
    notes += [f"spectra: {note}" for note in more]
    return StudySpectra(mega=mega, missing="", sources=sources, notes=tuple(notes))


def _readable(
    candidates: Sequence[_Candidate], f0_mhz: float | None
) -> tuple[list[_Read], list[str]]:
    """The candidates that can be read, and why the others cannot."""
    readable: list[_Read] = []
    faults: list[str] = []
    for candidate in candidates:
        try:
            reading = candidate.read()
            _require_same_magnet(reading.series, f0_mhz)
            readable.append(_Read(candidate=candidate, reading=reading))
        except InputError as fault:
            faults.append(str(fault))
    return readable, faults


def _dicom_candidates(spectra: Sequence[tuple[Classified, Dataset]]) -> list[_Candidate]:
    """One candidate for each object that holds a whole acquisition, and for each other series."""
    return [_dicom_candidate(group) for group in _grouped(spectra)]


def _grouped(
    pairs: Sequence[tuple[Classified, Dataset]],
) -> list[list[tuple[Classified, Dataset]]]:
    """Objects of one acquisition together."""
    groups: dict[str, list[tuple[Classified, Dataset]]] = {}
    for classified, dataset in pairs:
        facts = classified.facts
        key = facts.sop_instance_uid if _is_whole(dataset) else facts.series_instance_uid
        groups.setdefault(key, []).append((classified, dataset))
    return list(groups.values())


def _is_whole(dataset: Dataset) -> bool:
    try:
        return has_states(dataset) or frame_count(dataset) > 1
    except InputError:
        return True  # by itself it is refused by itself


def _dicom_candidate(group: Sequence[tuple[Classified, Dataset]]) -> _Candidate:
    rule = group[0][0].rule
    editing = EditingRule() if rule is None or rule.editing is None else rule.editing
    datasets = tuple(dataset for _, dataset in group)
    return _Candidate(
        name=f"series {group[0][0].facts.series_instance_uid}",
        datasets=datasets,
        read=lambda: read_mega_series(datasets, editing=editing),
    )


def _read_files(
    files: Sequence[Path], found: Sequence[tuple[Classified, Dataset]]
) -> tuple[list[_Candidate], list[MegaSeries], list[str]]:
    """Candidates and water among NIfTI-MRS files, and what is wrong with the others."""
    candidates: list[_Candidate] = []
    water: list[MegaSeries] = []
    faults: list[str] = []
    patient_id = plain_text(found[0][1], "PatientID") if found else ""
    for path in files:
        try:
            spectra = read_nifti_mrs(path)
            require_same_patient(spectra, patient_id)
        except InputError as fault:
            faults.append(str(fault))
            continue
        if spectra.water_suppressed:
            candidates.append(_nifti_candidate(spectra))
        else:
            water.append(spectra.reading.series)
    return candidates, water, faults


def _nifti_candidate(spectra: NiftiSpectra) -> _Candidate:
    def read() -> SpectraReading:
        series = spectra.reading.series
        if len(series.fids) < 2:
            raise InputError(
                "a NIfTI-MRS file holds one FID; edit-ON and edit-OFF were expected. Give the file "
                "of the MEGA-PRESS acquisition."
            )
        note = "from a NIfTI-MRS file, taken as this study's because it lies beside its images"
        return replace(spectra.reading, notes=(note, *spectra.reading.notes))

    return _Candidate(name="a NIfTI-MRS file", datasets=(), read=read)


def _require_same_magnet(series: MegaSeries, f0_mhz: float | None) -> None:
    """Refuse spectra of another field strength than the CEST series."""
    found = series.protocol.frequency_mhz
    if f0_mhz is not None and abs(found - f0_mhz) > _SAME_MAGNET * f0_mhz:
        raise InputError(
            f"the spectra were acquired at {found:.3f} MHz, the CEST series at {f0_mhz:.3f} MHz; "
            "one scanner was expected. Send the spectra of this examination."
        )


def _one_of(readable: Sequence[_Read]) -> _Read | str:
    """The one acquisition to analyse, or the question that is open; empty when there is none."""
    if not readable:
        return ""
    whole = [one for one in readable if len(one.reading.series.fids)]
    if len(whole) == 1 or len(readable) == 1:
        return (whole or list(readable))[0]
    options = "; ".join(_described(one) for one in readable)
    return (
        f"{len(readable)} MEGA-PRESS acquisitions could be meant ({options}); which one is to be "
        "analysed? Tell them apart by a rule, or remove the others."
    )


def _described(one: _Read) -> str:
    voxel = one.reading.series.voxel
    if voxel is None:
        return f"{one.candidate.name}, place unknown"
    x, y, z = (float(value) for value in np.round(voxel.centre_mm, 1))
    side = "left" if x > 0.0 else "right"
    return f"{one.candidate.name}, voxel at {x:g}, {y:g}, {z:g} mm, to the {side}"


def _with_water(
    mega: MegaSeries, water: Sequence[tuple[Classified, Dataset]], files: Sequence[MegaSeries]
) -> tuple[MegaSeries, tuple[Dataset, ...], tuple[str, ...]]:
    """The spectra with the one water series that belongs to them, its objects, and notes."""
    groups = [tuple(dataset for _, dataset in group) for group in _grouped(water)]
    if mega.water is not None or not (groups or files):
        return mega, (), ()
    tried = [(with_water(mega, group), group) for group in groups]
    tried += [(with_water(mega, series), ()) for series in files]
    fitting = [one for one in tried if one[0][0].water is not None]
    if len(fitting) > 1:
        note = f"{len(fitting)} water series fit to the spectra, so none was used"
        return mega, (), (note,)
    if fitting:
        (merged, notes), datasets = fitting[0]
        return merged, datasets, notes
    return mega, (), tuple(dict.fromkeys(note for (_, notes), _ in tried for note in notes))


def _unsupported(found: Sequence[tuple[Classified, Dataset]]) -> str:
    """Words for spectra in classes that are received but not read; empty when there are none."""
    classes = [one.facts.sop_class_uid for one, _ in found if is_private_spectrum(one.facts)]
    if not classes:
        return ""
    kinds = ", ".join(f"{PRIVATE_CLASSES[uid]}, {uid}" for uid in sorted(set(classes)))
    return (
        f"{len(classes)} spectroscopy object(s) are of a private class ({kinds}), which is not "
        "supported; MR Spectroscopy Storage was expected. Export the spectra in that class."
    )


def is_private_spectrum(facts: InstanceFacts) -> bool:
    """Whether an object of a private class holds a spectrum; Siemens keeps others there too."""
    if facts.sop_class_uid not in PRIVATE_CLASSES:
        return False
    siemens = PRIVATE_CLASSES[facts.sop_class_uid] == "Siemens"
    kind = facts.first(_SIEMENS_SPECTRUM) or ""
    return not siemens or kind.upper().startswith("SPEC")
