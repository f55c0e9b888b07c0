"""B1 calibration files, from the model or from sessions at several B1 levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

import numpy as np

from cestle.anatomy.slab import region_on_grid
from cestle.cest.b0 import B0Method, correct_side
from cestle.cest.b1_fit import B1Session, FittedCurves, fit_curves
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.tissue import BACKGROUND, TissueClass, classes_from_images
from cestle.cest.zspectrum import split_sides
from cestle.config.calibration import CalibrationFile, TissuePart
from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.study_reader import read_study
from cestle.dicom.tissue_map_reader import read_tissue_fractions
from cestle.errors import InputError
from cestle.geometry import require_same_grid
from cestle.phantom.bloch_mcconnell import SaturationSequence
from cestle.phantom.calibration import MODEL_SOURCE, b1_curves, model_tissues
from cestle.physics import Bool, Real
from cestle.protocol import JUPITER_5T_GLUCEST, CestProtocol
from cestle.study.inputs import StudyInputs

MODEL_F0_MHZ: Final = 210.8
MODEL_DATE: Final = date(2026, 11, 23)
"""Date of the model's constants; the file must not depend on the day it is made."""

_MODEL_RANGE: Final = (0.4, 1.6)
_MODEL_POINTS: Final = 25
_DIGITS: Final = 5
_ECHO_S: Final = 0.0065
_INTRAVOXEL_HZ: Final = 2.0
_PURE_SHARE: Final = 0.95
_PURE_REGION: Final = 0.8
_MAX_B0_SHIFT_PPM: Final = 0.4


@dataclass(frozen=True, kw_only=True)
class Acquisition:
    """What a measured calibration is made from.

    Parameters
    ----------
    folders
        One folder of DICOM files for each B1 level, each with its CEST series and field maps.
    levels
        Factor on the B1 map of each folder, for scanners whose map does not show the level at
        which the saturation was played out; empty when the maps do.
    tissue_maps
        One NIfTI or MGZ file of tissue labels for each session, in the order in which the
        sessions appear among `folders`; empty to use the regions as the only tissue.
    label_scheme
        What the labels mean.
    """

    folders: tuple[Path, ...]
    levels: tuple[float, ...] = ()
    tissue_maps: tuple[Path, ...] = ()
    label_scheme: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Level:
    """One CEST study of a session."""

    inputs: StudyInputs
    images: SaturationImages
    fields: FieldMaps
    relative_b1: Real


def measured_file(
    acquisition: Acquisition,
    *,
    id: str,
    made_on: date,
    protocol: CestProtocol = JUPITER_5T_GLUCEST,
) -> CalibrationFile:
    """The calibration that images at several B1 levels give.

    Studies of one Frame of Reference are one session: one head, not moved. All must be acquired
    with one receiver gain, which is not known and would be taken for an effect of B1.

    Parameters
    ----------
    acquisition
        The images.
    id
        Name of the file's content.
    made_on
        Date that it states.
    protocol
        What the site acquires.

    Raises
    ------
    InputError
        When images, maps, tissues or levels are missing or do not fit.
    """
    if len(acquisition.levels) not in (0, len(acquisition.folders)):
        raise InputError(
            f"{len(acquisition.levels)} levels were given for {len(acquisition.folders)} folders; "
            "give one for each folder, in their order, or none."
        )
    factors = acquisition.levels or (1.0,) * len(acquisition.folders)
    sessions: dict[str, list[_Level]] = {}
    for folder, factor in zip(acquisition.folders, factors, strict=True):
        level = _read_level(folder, factor)
        sessions.setdefault(level.images.grid.frame_of_reference_uid, []).append(level)
    maps = acquisition.tissue_maps
    if len(maps) not in (0, len(sessions)):
        raise InputError(
            f"{len(maps)} tissue maps were given for {len(sessions)} sessions; give one for each "
            "session, in their order, or none."
        )
    masks = [
        _masks(levels[0], maps[number] if maps else None, acquisition.label_scheme)
        for number, levels in enumerate(sessions.values())
    ]
    fitted = fit_curves([_session(levels, protocol) for levels in sessions.values()], masks)
    everything = [level for levels in sessions.values() for level in levels]
    file = _file(
        id=id,
        provenance="measured",
        how_made=_how_measured(fitted, len(everything)),
        made_on=made_on,
        subjects=len(sessions),
        f0_mhz=everything[0].images.f0_mhz,
        protocol=protocol,
        relative_b1=fitted.relative_b1,
        parts={tissue.value: _part(fitted, tissue) for tissue in fitted.curves},
    )
    for level in everything:
        file.calibration().require_protocol(
            protocol, f0_mhz=level.images.f0_mhz, offsets_ppm=level.images.offsets_ppm
        )
    return file


def _read_level(folder: Path, factor: float) -> _Level:
    inputs = read_study(files_below(folder), load_rules(TemplateFolder.default())).inputs
    fields = inputs.fields
    if inputs.saturation is None or fields is None or fields.relative_b1 is None:
        why = "; ".join(f"{name}: {line}" for name, line in inputs.missing)
        raise InputError(
            f"{folder} lacks CEST images, B0 map or B1 map, all of which every B1 level needs "
            f"({why or 'no B1 map was found'})."
        )
    return _Level(
        inputs=inputs,
        images=inputs.saturation,
        fields=fields,
        relative_b1=factor * fields.relative_b1,
    )


def _session(levels: Sequence[_Level], protocol: CestProtocol) -> B1Session:
    negative, positive, valid = [], [], []
    first = levels[0].images.grid
    for number, level in enumerate(levels, start=1):
        require_same_grid(
            first, level.images.grid, name_a="B1 level 1", name_b=f"B1 level {number}"
        )
        below, above = split_sides(level.images)
        classes = classes_from_images(below, above)
        shift, target = level.fields.b0_shift_ppm, protocol.target_offset_ppm
        pair = [
            correct_side(side, target + sign * shift, B0Method.POOLED, classes=classes).signal
            for side, sign in ((below, -1.0), (above, 1.0))
        ]
        negative.append(pair[0])
        positive.append(pair[1])
        with np.errstate(invalid="ignore"):
            usable = (np.abs(shift) <= _MAX_B0_SHIFT_PPM) & (level.relative_b1 > 0.0)
            usable &= (classes != BACKGROUND) & (pair[0] > 0.0) & (pair[1] > 0.0)
        valid.append(usable)
    return B1Session(
        negative=np.stack(negative),
        positive=np.stack(positive),
        relative_b1=np.stack([level.relative_b1 for level in levels]),
        valid=np.stack(valid),
    )


def _masks(level: _Level, tissue_map: Path | None, label_scheme: str) -> Mapping[TissueClass, Bool]:
    """Voxels of each tissue: nearly pure ones of the label map, or those of the regions."""
    grid = level.images.grid
    if tissue_map is not None:
        fractions = read_tissue_fractions(tissue_map, scheme=label_scheme, target=grid)
        return {tissue: fractions.of(tissue) >= _PURE_SHARE for tissue in TissueClass}
    if not level.inputs.regions:
        raise InputError(
            "neither a tissue map nor regions were found, so no tissue is known; add "
            "--tissue-map FILE or the regions to the first folder of the session."
        )
    share = np.zeros(grid.shape)
    for region in level.inputs.regions:
        share += region_on_grid(region, grid).fraction
    return {TissueClass.GREY: share >= _PURE_REGION}


def _how_measured(fitted: FittedCurves, levels: int) -> str:
    counts = ", ".join(f"{count} of {tissue}" for tissue, count in fitted.voxels.items())
    return f"cubic of ln S over B1 from {levels} CEST series; voxels: {counts}"


def _part(fitted: FittedCurves, tissue: TissueClass) -> TissuePart:
    curve = fitted.curves[tissue]
    nominal = int(np.argmin(np.abs(fitted.relative_b1 - 1.0)))
    return TissuePart(
        nominal_negative=_rounded(float(curve.negative[nominal])),
        nominal_positive=_rounded(float(curve.positive[nominal])),
        negative_ratio=_listed(curve.negative / curve.negative[nominal]),
        positive_ratio=_listed(curve.positive / curve.positive[nominal]),
    )


def model_file(protocol: CestProtocol = JUPITER_5T_GLUCEST) -> CalibrationFile:
    """The calibration that the Bloch-McConnell model gives for a protocol."""
    sequence = SaturationSequence(
        b1_rms_ut=protocol.b1_rms_ut,
        saturation_s=protocol.saturation_s,
        repetition_s=protocol.repetition_s,
        echo_s=_ECHO_S,
        f0_mhz=MODEL_F0_MHZ,
        intravoxel_hz=_INTRAVOXEL_HZ,
    )
    target = protocol.target_offset_ppm
    tissues = model_tissues(target_ppm=target, sequence=sequence)
    grid = np.round(np.linspace(*_MODEL_RANGE, _MODEL_POINTS), 6)
    curves = b1_curves(tuple(tissues.values()), grid, target_ppm=target, sequence=sequence)
    parts = {}
    for name, curve in zip(tissues, curves, strict=True):
        parts[name] = TissuePart(
            nominal_negative=_rounded(curve.nominal_negative),
            nominal_positive=_rounded(curve.nominal_positive),
            negative_ratio=_listed(curve.negative),
            positive_ratio=_listed(curve.positive),
        )
    return _file(
        id="jupiter_5t_glucest-model",
        provenance="model",
        how_made=MODEL_SOURCE,
        made_on=MODEL_DATE,
        subjects=0,
        f0_mhz=MODEL_F0_MHZ,
        protocol=protocol,
        relative_b1=grid,
        parts=parts,
    )


def _file(
    *,
    id: str,
    provenance: str,
    how_made: str,
    made_on: date,
    subjects: int,
    f0_mhz: float,
    protocol: CestProtocol,
    relative_b1: Real,
    parts: Mapping[str, TissuePart],
) -> CalibrationFile:
    return CalibrationFile.model_validate(
        {
            "id": id,
            "version": "1",
            "provenance": provenance,
            "how_made": how_made,
            "date": made_on.isoformat(),
            "subjects": subjects,
            "f0_mhz": f0_mhz,
            "b1_rms_ut": protocol.b1_rms_ut,
            "saturation_s": protocol.saturation_s,
            "repetition_s": protocol.repetition_s,
            "offsets_ppm": tuple(sorted(set(protocol.offsets_ppm))),
            "target_offset_ppm": protocol.target_offset_ppm,
            "tissue": next(iter(parts)),
            "relative_b1": _listed(relative_b1),
            "tissues": dict(parts),
        }
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _listed(values: Real) -> tuple[float, ...]:
    return tuple(_rounded(float(value)) for value in values)
