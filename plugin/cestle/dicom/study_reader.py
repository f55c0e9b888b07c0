"""From the files of one study to `StudyInputs`.

An input that is absent or cannot be used becomes a line in `StudyInputs.missing`; what makes the
study as a whole unusable, or leaves a question that only a person can answer, raises. Spectra
never raise, and images that raise do not take usable spectra with them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from pydicom import Dataset

from cestle.anatomy.regions import Region
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.tissue import TissueFractions
from cestle.dicom.facts import facts_from_dataset, plain_text
from cestle.dicom.fieldmaps import (
    read_b0_ppm,
    read_relative_b1,
    read_vendor_map,
    require_plausible_b0,
    require_plausible_b1,
)
from cestle.dicom.files import FolderContent, StoredObject, read_objects
from cestle.dicom.images import Slice, in_order_of, read_values, rescale, slices_of, stack
from cestle.dicom.label_map_reader import is_label_map
from cestle.dicom.nifti_mrs import is_nifti_mrs
from cestle.dicom.regions import REGION_CLASSES, read_regions
from cestle.dicom.saturation import SaturationReading, read_saturation
from cestle.dicom.study_spectroscopy import read_study_spectra
from cestle.dicom.tissue_map_reader import DEFAULT_TISSUE_SCHEME, read_tissue_fractions
from cestle.errors import (
    GeometryError,
    InputError,
    LateralityError,
    NoRegionError,
    ProtocolError,
)
from cestle.geometry import Grid, grid_difference_mm, require_same_grid
from cestle.measurement import Side
from cestle.physics import Bool, Real
from cestle.study.inputs import ScalarImage, StudyInputs
from cestle.study.roles import Classified, Role, RuleSet, classify

_T = TypeVar("_T")

_FOREGROUND: Final = 0.3
_SAME_GRID_MM: Final = 0.05

# Words for a missing role: what it is, and what to do.
_WORDS: Final = {
    Role.CEST_SOURCE: "CEST source series",
    Role.B0_MAP: "B0 map",
    Role.B1_MAP: "B1 map",
    Role.T1_3D: "3D T1 series",
    Role.ROI: "region of interest",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadStudy:
    """A study as read.

    Parameters
    ----------
    inputs
        What the analysis gets.
    sources
        By role name, the headers of the objects that `inputs` were made from, as received.
    classified
        Every image and frame with its role and the reason.
    notes
        What was left aside, and how offsets became known; for the log and the report.
    """

    inputs: StudyInputs
    sources: Mapping[str, tuple[Dataset, ...]]
    classified: tuple[Classified, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sorted:
    """Classified objects of one study, all and by role."""

    pairs: tuple[tuple[Classified, StoredObject], ...]
    by_role: Mapping[Role, tuple[tuple[Classified, StoredObject], ...]]

    @property
    def classified(self) -> tuple[Classified, ...]:
        """Every image and frame with its role."""
        return tuple(classified for classified, _ in self.pairs)


class _Collector:
    """Collects the missing lines, sources and notes of one reading."""

    def __init__(self) -> None:
        self.missing: list[tuple[str, str]] = []
        self.sources: dict[str, tuple[Dataset, ...]] = {}
        self.notes: list[str] = []
        self.regions_refused = ""
        self.region_notes: list[str] = []

    def attempt(self, role: Role, read: Callable[[], _T]) -> _T | None:
        """Run a reader; an input that does not fit becomes a missing line."""
        try:
            return read()
        except (ProtocolError, GeometryError) as fault:
            self.missing.append((role.value, str(fault)))
            if role is Role.ROI and not isinstance(fault, NoRegionError):
                self.regions_refused = str(fault)
            return None

    def absent(self, role: Role) -> None:
        """Note that nothing has this role."""
        words = _WORDS[role]
        self.missing.append(
            (
                role.value,
                f"no {words} was found; no series matches a rule for {role.value}. Send it, or "
                "adapt the classification rules.",
            )
        )

    def used(self, role: Role, slices: Sequence[Slice]) -> None:
        """Keep the headers of what was used, each object once."""
        headers = {one.facts.sop_instance_uid: one.stored.header for one in slices}
        self.sources[role.value] = tuple(headers.values())


def read_study(
    files: Sequence[Path],
    rules: RuleSet,
    *,
    roi_files: Sequence[Path] = (),
    onset_side: Side | None = None,
    label_scheme: str | None = None,
    tissue_map: Path | None = None,
    tissue_scheme: str = DEFAULT_TISSUE_SCHEME,
) -> ReadStudy:
    """Read one study.

    Parameters
    ----------
    files
        The files of the study, in any order.
    rules
        Which image plays which role.
    roi_files
        Regions named by a person: SEG, RTSTRUCT, or a NIfTI or MGZ label map. When given, regions
        among `files` are not used.
    onset_side
        Known side of seizure onset.
    label_scheme
        Scheme of label maps that have no JSON file beside them.
    tissue_map, tissue_scheme
        Label map of grey matter, white matter and fluid that a person named, and its scheme.

    Raises
    ------
    InputError
        When there is no DICOM object, more than one study or patient, pixels are truncated, two
        candidates for one role cannot be told apart, or the tissue map cannot be used.
    LateralityError
        When the side of a region contradicts the geometry.
    """
    if not files:
        raise InputError("no files were given; the DICOM files of one study were expected.")
    label_maps = tuple(path for path in roi_files if is_label_map(path))
    roi_objects = tuple(path for path in roi_files if not is_label_map(path))
    spectra_files = tuple(path for path in files if is_nifti_mrs(path))
    content = read_objects(_besides(files, spectra_files))
    sorted_study = _sort(content.objects, rules)
    study_uid, patient_key = _one_study(sorted_study.classified)
    rois = _chosen_rois(sorted_study, roi_objects, label_maps)
    _require_owner(rois, patient_key=patient_key, study_uid=study_uid)
    _require_one_issuer([*content.objects, *rois])
    found = [(one, stored.header) for one, stored in sorted_study.pairs]
    collect = _Collector()
    try:
        images = _read_images(sorted_study, rois, label_maps, rules, collect, label_scheme)
        saturation = images.saturation
        f0_mhz = None if saturation is None else saturation.f0_mhz
        spectra = read_study_spectra(found, spectra_files, f0_mhz=f0_mhz)
    except LateralityError:
        raise
    except InputError as fault:
        # What makes the images unusable leaves spectra as good as they are.
        spectra = read_study_spectra(found, spectra_files)
        if spectra.mega is None:
            raise
        images, collect = _Images(), _Collector()
        collect.missing.append((Role.CEST_SOURCE.value, str(fault)))
    if spectra.missing:
        collect.missing.append((Role.MRS_MEGA.value, spectra.missing))
    inputs = StudyInputs(
        study_instance_uid=study_uid,
        saturation=images.saturation,
        fields=images.fields,
        vendor_map=images.vendor_map,
        anatomy=images.anatomy,
        regions=images.regions,
        onset_side=onset_side,
        tissue=_tissue(tissue_map, tissue_scheme, images.saturation),
        regions_refused=collect.regions_refused,
        region_notes=tuple(collect.region_notes),
        missing=tuple(collect.missing),
        mega=spectra.mega,
    )
    return ReadStudy(
        inputs=inputs,
        sources=collect.sources | spectra.sources,
        classified=sorted_study.classified,
        notes=(
            *_content_notes(content),
            *collect.notes,
            *collect.region_notes,
            *spectra.notes,
        ),
    )


def _tissue(
    tissue_map: Path | None, scheme: str, saturation: SaturationImages | None
) -> TissueFractions | None:
    if tissue_map is None or saturation is None:
        return None
    return read_tissue_fractions(tissue_map, scheme=scheme, target=saturation.grid)


def _besides(files: Sequence[Path], spectra: Sequence[Path]) -> tuple[Path, ...]:
    """The files that are no NIfTI-MRS; those name no study, so they cannot be alone."""
    others = tuple(path for path in files if path not in set(spectra))
    if not others:
        raise InputError(
            f"{len(spectra)} NIfTI-MRS file(s) were found and no DICOM object; the DICOM files of "
            "the study were expected beside them, since only they name the patient."
        )
    return others


def _content_notes(content: FolderContent) -> tuple[str, ...]:
    notes = []
    if content.not_dicom:
        notes.append(f"{content.not_dicom} file(s) are no DICOM objects and were not used")
    if content.duplicates:
        notes.append(f"{content.duplicates} file(s) repeat an instance")
    return tuple(notes)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Images:
    """All that is read from images; nothing where there is none."""

    saturation: SaturationImages | None = None
    fields: FieldMaps | None = None
    vendor_map: ScalarImage | None = None
    anatomy: ScalarImage | None = None
    regions: tuple[Region, ...] = ()


def _read_images(
    study: _Sorted,
    rois: Sequence[StoredObject],
    label_maps: Sequence[Path],
    rules: RuleSet,
    collect: _Collector,
    label_scheme: str | None,
) -> _Images:
    """Read the images of a study; what does not fit becomes a missing line.

    Raises
    ------
    InputError
        When pixels are damaged, or a question only a person can answer is left.
    """
    saturation = _read_saturation(study, collect)
    fields = _read_fields(study, saturation, collect)
    vendor_map = _read_vendor_map(study, saturation, collect)
    anatomy = _read_anatomy(study, rois, collect)
    regions = _read_regions(
        rois,
        label_maps,
        rules,
        collect,
        anatomy=anatomy,
        saturation=saturation,
        cest_grid=_cest_grid(saturation, vendor_map),
        label_scheme=label_scheme,
    )
    return _Images(
        saturation=saturation,
        fields=fields,
        vendor_map=vendor_map,
        anatomy=anatomy,
        regions=regions,
    )


def classify_objects(
    objects: Sequence[StoredObject], rules: RuleSet
) -> tuple[tuple[Classified, StoredObject], ...]:
    """Every image and frame with its role, beside the object that holds it."""
    return tuple(
        (classify(facts, rules), stored)
        for stored in objects
        for facts in facts_from_dataset(stored.header)
    )


def _sort(objects: Sequence[StoredObject], rules: RuleSet) -> _Sorted:
    pairs = classify_objects(objects, rules)
    by_role: dict[Role, list[tuple[Classified, StoredObject]]] = {}
    for classified, stored in pairs:
        by_role.setdefault(classified.role, []).append((classified, stored))
    return _Sorted(
        pairs=pairs,
        by_role={role: tuple(found) for role, found in by_role.items()},
    )


def _one_study(classified: Sequence[Classified]) -> tuple[str, str]:
    patients = {one.facts.patient_key for one in classified}
    if len(patients) > 1:
        raise InputError(
            f"{len(patients)} patients found among the files; one was expected. Give the files "
            "of one study."
        )
    studies = sorted({one.facts.study_instance_uid for one in classified})
    if len(studies) > 1:
        raise InputError(
            f"{len(studies)} studies found ({', '.join(studies[:3])}); one was expected. Give the "
            "files of one study."
        )
    return studies[0], patients.pop()


def _chosen_rois(
    study: _Sorted,
    roi_objects: Sequence[Path],
    label_maps: Sequence[Path],
) -> tuple[StoredObject, ...]:
    if not roi_objects:
        found = {stored.path: stored for _, stored in study.by_role.get(Role.ROI, ())}
        return () if label_maps else tuple(found.values())
    content = read_objects(roi_objects)
    if content.not_dicom:
        raise InputError(
            f"{content.not_dicom} of {len(roi_objects)} region files can be read neither as DICOM "
            "nor as a label map; a SEG, an RTSTRUCT, NIfTI or MGZ was expected."
        )
    for stored in content.objects:
        sop_class = str(stored.header.SOPClassUID)
        if sop_class not in REGION_CLASSES:
            raise InputError(
                f"a region file is an object of class {sop_class}; a SEG, an RTSTRUCT or a label "
                "map was expected."
            )
    return content.objects


def _require_one_issuer(objects: Sequence[StoredObject]) -> None:
    """Refuse equal IDs of two hospitals; an object without an issuer contradicts none."""
    issuers = {plain_text(stored.header, "IssuerOfPatientID") for stored in objects} - {""}
    if len(issuers) > 1:
        raise InputError(
            f"the patient ID has {len(issuers)} issuers among the files, which may be "
            f"{len(issuers)} patients; one was expected. Correct the study in the archive and "
            "send it again."
        )


def _require_owner(rois: Sequence[StoredObject], *, patient_key: str, study_uid: str) -> None:
    """Refuse regions of another patient or another examination."""
    for stored in rois:
        for facts in facts_from_dataset(stored.header):
            if facts.patient_key != patient_key:
                raise InputError(
                    "a region file belongs to another patient than the study; give the regions of "
                    "this patient."
                )
            if facts.study_instance_uid != study_uid:
                raise InputError(
                    f"a region file belongs to study {facts.study_instance_uid}, the images to "
                    f"{study_uid}; give the regions that were drawn on this study."
                )


def _slices(study: _Sorted, role: Role) -> tuple[Slice, ...]:
    return tuple(
        one
        for classified, stored in study.by_role.get(role, ())
        for one in slices_of(classified, stored)
    )


def _read_saturation(study: _Sorted, collect: _Collector) -> SaturationImages | None:
    slices = _slices(study, Role.CEST_SOURCE)
    if not slices:
        collect.absent(Role.CEST_SOURCE)
        return None
    reading: SaturationReading | None = collect.attempt(
        Role.CEST_SOURCE, lambda: read_saturation(slices)
    )
    if reading is None:
        collect.used(Role.CEST_SOURCE, slices)
        return None
    collect.used(Role.CEST_SOURCE, reading.slices)
    collect.notes.extend((reading.evidence, *reading.notes))
    return reading.images


def _inside(saturation: SaturationImages) -> Bool:
    """Voxels with signal: the head, without most of the skull."""
    mean_image = saturation.signal.mean(axis=0)
    inside: Bool = mean_image > _FOREGROUND * np.percentile(mean_image, 99.0)
    return inside


def _read_fields(
    study: _Sorted, saturation: SaturationImages | None, collect: _Collector
) -> FieldMaps | None:
    b0_slices, b1_slices = _slices(study, Role.B0_MAP), _slices(study, Role.B1_MAP)
    for role, slices in ((Role.B0_MAP, b0_slices), (Role.B1_MAP, b1_slices)):
        if not slices:
            collect.absent(role)
        elif saturation is None:
            collect.missing.append(
                (role.value, f"the {_WORDS[role]} is not used without a CEST source series.")
            )
    if saturation is None:
        return None
    inside, grid = _inside(saturation), saturation.grid

    def read_b0() -> Real:
        chosen = _one_candidate(b0_slices, Role.B0_MAP, grid)
        volume, values = read_b0_ppm(chosen, f0_mhz=saturation.f0_mhz)
        values, own = in_order_of(values, volume.grid, grid)
        require_same_grid(grid, own, name_a="the CEST series", name_b="the B0 map")
        require_plausible_b0(values[inside], chosen)
        collect.used(Role.B0_MAP, volume.slices)
        return values

    def read_b1() -> Real:
        chosen = _one_candidate(b1_slices, Role.B1_MAP, grid)
        volume, values = read_relative_b1(chosen)
        values, own = in_order_of(values, volume.grid, grid)
        require_same_grid(grid, own, name_a="the CEST series", name_b="the B1 map")
        require_plausible_b1(values[inside], chosen)
        collect.used(Role.B1_MAP, volume.slices)
        return values

    b0_shift_ppm = collect.attempt(Role.B0_MAP, read_b0) if b0_slices else None
    relative_b1 = collect.attempt(Role.B1_MAP, read_b1) if b1_slices else None
    if b0_shift_ppm is None:
        return None
    return FieldMaps(b0_shift_ppm=b0_shift_ppm, relative_b1=relative_b1, grid=grid)


def _one_candidate(slices: Sequence[Slice], role: Role, grid: Grid | None) -> tuple[Slice, ...]:
    """The one series that plays a role, told apart from others by the grid of the CEST series.

    Raises
    ------
    InputError
        When several series could be meant.
    """
    candidates: dict[tuple[str, str], list[Slice]] = {}
    for one in slices:
        rule = one.classified.rule
        key = (one.facts.series_instance_uid, "" if rule is None else rule.name)
        candidates.setdefault(key, []).append(one)
    if len(candidates) == 1:
        return tuple(slices)
    if grid is not None:
        fitting = [group for group in candidates.values() if _has_grid(group, grid, role)]
        if len(fitting) == 1:
            return tuple(fitting[0])
    series = ", ".join(sorted(uid for uid, _ in candidates))
    raise InputError(
        f"{len(candidates)} series could be the {_WORDS[role]} ({series}); which one is to be "
        "used? Remove the others, or tell them apart by a rule."
    )


def _has_grid(slices: Sequence[Slice], grid: Grid, role: Role) -> bool:
    try:
        own = stack(slices, name=f"the {_WORDS[role]}").grid
    except InputError:
        return False
    return own.shape == grid.shape and grid_difference_mm(own, grid) <= _SAME_GRID_MM


def _read_vendor_map(
    study: _Sorted, saturation: SaturationImages | None, collect: _Collector
) -> ScalarImage | None:
    slices = _slices(study, Role.CEST_MAP_VENDOR)
    if not slices:
        return None
    series = {one.facts.series_instance_uid for one in slices}
    if len(series) > 1:
        raise InputError(
            f"{len(series)} series could be the vendor's GluCEST map ({', '.join(sorted(series))});"
            " which one is to be used? Remove the others, or tell them apart by a rule."
        )

    def read() -> ScalarImage:
        volume, values, known = read_vendor_map(slices)
        collect.used(Role.CEST_MAP_VENDOR, volume.slices)
        return ScalarImage(values=values, grid=volume.grid, unit_known=known)

    vendor_map = collect.attempt(Role.CEST_MAP_VENDOR, read)
    if vendor_map is not None and saturation is not None:
        collect.notes.append("source images and the vendor's map are both there")
    return vendor_map


def _read_anatomy(
    study: _Sorted, rois: Sequence[StoredObject], collect: _Collector
) -> ScalarImage | None:
    slices = _slices(study, Role.T1_3D)
    if not slices:
        collect.absent(Role.T1_3D)
        return None
    chosen = _drawn_on(slices, rois)

    def read() -> ScalarImage:
        one_series = _one_candidate(chosen, Role.T1_3D, None)
        _require_all_slices(one_series)
        volume = stack(one_series, name="the T1")
        scalings = {i: rescale(one.facts) for i, one in enumerate(volume.slices)}
        values = read_values(volume.slices, scalings)
        collect.used(Role.T1_3D, volume.slices)
        return ScalarImage(values=values, grid=volume.grid)

    return collect.attempt(Role.T1_3D, read)


def _drawn_on(slices: Sequence[Slice], rois: Sequence[StoredObject]) -> tuple[Slice, ...]:
    """The slices of the one series that the regions refer to; all when they refer to none."""
    series = {one.facts.series_instance_uid for one in slices}
    referenced = set().union(*(_referenced_series(stored.header) for stored in rois)) & series
    if len(series) > 1 and len(referenced) == 1:
        return tuple(one for one in slices if one.facts.series_instance_uid in referenced)
    return tuple(slices)


def _referenced_series(header: Dataset) -> set[str]:
    found = {
        str(item.SeriesInstanceUID)
        for item in header.get("ReferencedSeriesSequence") or []
        if "SeriesInstanceUID" in item
    }
    for frame in header.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for series in study.get("RTReferencedSeriesSequence") or []:
                found.add(str(series.get("SeriesInstanceUID", "")))
    return found


def _require_all_slices(slices: Sequence[Slice]) -> None:
    instances = {one.facts.sop_instance_uid for one in slices}
    declared = max((one.facts.declared_instances or 0) for one in slices)
    if declared > len(instances):
        raise ProtocolError(
            f"{len(instances)} of {declared} images of the T1 series arrived, as its "
            "NumberOfSlices says; send the whole series."
        )


def _cest_grid(saturation: SaturationImages | None, vendor_map: ScalarImage | None) -> Grid | None:
    if saturation is not None:
        return saturation.grid
    return None if vendor_map is None else vendor_map.grid


def _read_regions(
    rois: Sequence[StoredObject],
    label_maps: Sequence[Path],
    rules: RuleSet,
    collect: _Collector,
    *,
    anatomy: ScalarImage | None,
    saturation: SaturationImages | None,
    cest_grid: Grid | None,
    label_scheme: str | None,
) -> tuple[Region, ...]:
    if not rois and not label_maps:
        collect.absent(Role.ROI)
        return ()

    def read() -> tuple[Region, ...]:
        regions, notes = read_regions(
            rois,
            label_maps,
            anatomy=None if anatomy is None else anatomy.grid,
            cest=cest_grid,
            midline_x_mm=midline_x_mm(anatomy, saturation),
            schemes=rules.label_schemes,
            label_scheme=label_scheme,
        )
        collect.region_notes.extend(notes)
        return regions

    regions = collect.attempt(Role.ROI, read)
    if regions is None:
        return ()
    used = {region.source.identifier for region in regions}
    headers = tuple(stored.header for stored in rois if str(stored.header.SOPInstanceUID) in used)
    if headers:
        collect.sources[Role.ROI.value] = headers
    return regions


def midline_x_mm(anatomy: ScalarImage | None, saturation: SaturationImages | None) -> float | None:
    """Where the middle of the head is, x in LPS [mm]: the mean over voxels with signal."""
    if anatomy is not None:
        values, grid = anatomy.values, anatomy.grid
    elif saturation is not None:
        values, grid = saturation.signal.mean(axis=0), saturation.grid
    else:
        return None
    # Every other voxel will do, and a whole-head T1 is large.
    coarse = values[::2, ::2, ::2] if values.shape[0] > 1 else values[:, ::2, ::2]
    inside = coarse > _FOREGROUND * np.percentile(coarse, 99.0)
    if not inside.any():
        return None
    step = np.array([2.0 if values.shape[0] > 1 else 1.0, 2.0, 2.0])
    return float(grid.to_lps(np.argwhere(inside).mean(axis=0) * step)[0])
