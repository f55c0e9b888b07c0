"""A site's own table of ellipses for the built-in atlas, from label maps and their T1s.

People are told apart by their number in the order of their folders' names; the names, which may be
those of patients, stand in no message and in no file.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

import cestle
from cestle.anatomy.atlas import (
    LEAST_PEOPLE,
    AtlasTemplate,
    FittedTable,
    LabelledLobes,
    fit_and_judge,
    follow_head,
    labelled_lobes,
    require_both_sides,
)
from cestle.anatomy.regions import Region, RegionForm
from cestle.config.atlas import (
    SPACE,
    EllipseFile,
    load_atlas_template,
    numbers_sha256,
)
from cestle.config.classification import load_rules
from cestle.config.templates import TemplateFolder
from cestle.dicom.files import files_below
from cestle.dicom.label_map_reader import declared_scheme, is_label_map
from cestle.dicom.nifti_image import read_nifti
from cestle.dicom.regions import read_regions
from cestle.dicom.study_reader import midline_x_mm, read_study
from cestle.errors import CestleError, GeometryError, InputError, NumericalError
from cestle.measurement import Structure
from cestle.study.inputs import ScalarImage
from cestle.study.roles import RuleSet

LEAST_OVERLAP: Final = 0.4
"""Of the shipped table with any region: below, T1 and labels are hardly of one head."""

MOST_LOSS: Final = 0.01
"""By how much one structure may be worse where the mean is better."""

_Made = TypeVar("_Made")
_NAME: Final = re.compile(r"[\x21-\x7e]{1,16}")
_T1: Final = "t1"
_LABELS: Final = "labels"
_OBJECTS: Final = "names and codes in DICOM objects"
_PLACEHOLDER_UID: Final = "2.25.1"
"""Frame of Reference of a T1 that has none; it stands in nothing that is written."""
_DIGITS: Final = 4
_LONGEST: Final = 48


@dataclass(frozen=True, kw_only=True, eq=False)
class _Person:
    """A T1 and what was drawn on it."""

    anatomy: ScalarImage
    regions: tuple[Region, ...]
    scheme: str


def site_table(
    folder: Path,
    *,
    label_scheme: str | None,
    name: str,
    made_on: date,
    progress: Callable[[str], None],
) -> EllipseFile:
    """Fit a table, judge it on people that it does not know, and refuse one that is no better.

    Parameters
    ----------
    folder
        Holds one folder for each person: the T1 as DICOM files or as ``t1`` in NIfTI or MGZ, and
        the regions as DICOM objects or as ``labels`` in NIfTI or MGZ.
    label_scheme
        Numbers of label maps that have no JSON file beside them.
    name
        Version of the table.
    made_on
        Date that it states.
    progress
        Told of each step.

    Raises
    ------
    InputError
        When there are fewer than ten people, one cannot be used, two are the same, or the table
        is not better than the shipped one.
    """
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    if len(folders) < LEAST_PEOPLE:
        raise InputError(
            f"{len(folders)} folders of people were found, at least {LEAST_PEOPLE} were expected: "
            "one for each, with T1 and label map. Fewer do not say what is usual at a site."
        )
    template = load_atlas_template()
    if name == template.model.version or not _NAME.fullmatch(name):
        raise InputError(
            f"the name {name[:40]!r} cannot be that of the table; 1 to 16 printable ASCII "
            f"characters without spaces, other than the shipped table's {template.model.version!r},"
            " were expected. Give another one with --name."
        )
    rules = load_rules(TemplateFolder.default())
    everyone = {
        f"person {number} of {len(folders)}": path for number, path in enumerate(folders, start=1)
    }
    seen: dict[str, str] = {}
    schemes: set[str] = set()

    def check(who: str) -> None:
        person = _read(everyone[who], rules, label_scheme)
        _require_sound(person)
        _require_new(person, who, seen)
        schemes.add(person.scheme)

    def align(who: str) -> LabelledLobes:
        # read once more, since all T1s together would not fit the memory
        return _aligned(_read(everyone[who], rules, label_scheme), template)

    _for_each(everyone, check, "reading", progress)
    if len(schemes) > 1:
        raise InputError(
            f"the label maps follow {' and '.join(sorted(schemes))}; one table needs one protocol. "
            "Give the people of one."
        )
    people = _for_each(everyone, align, "aligning", progress)
    progress("fitting the ellipses, with each person left out once")
    try:
        fitted = fit_and_judge(people, template.model)
    except NumericalError as fault:
        raise InputError(str(fault)) from fault
    file = _file(fitted, template, scheme=next(iter(schemes)), name=name, made_on=made_on)
    _require_better(file)
    return file


def _for_each(
    everyone: Iterable[str],
    work: Callable[[str], _Made],
    what: str,
    progress: Callable[[str], None],
) -> list[_Made]:
    """What is made of each person; all that cannot be used are named at once.

    Raises
    ------
    InputError
        With one sentence for each person that cannot be used.
    """
    made, faults = [], []
    for who in everyone:
        progress(f"{what} {who}")
        try:
            made.append(work(who))
        except CestleError as fault:
            faults.append(f"{who} (folders by name): {fault}")
    if faults:
        raise InputError("; ".join(faults))
    return made


def overlap_lines(file: EllipseFile) -> tuple[str, ...]:
    """What a table is worth, one line for each structure."""
    made = file.calibration
    if made is None:
        return ()
    return tuple(
        f"{structure}: Dice {one.left_one_out:.3f} in people left out, {one.before:.3f} by table "
        f"{made.before} ({made.people} people)"
        for structure, one in made.overlap.items()
    )


def _read(folder: Path, rules: RuleSet, label_scheme: str | None) -> _Person:
    files = files_below(folder)
    labels = _named(files, _LABELS)
    t1 = _named(files, _T1)
    if t1 is not None:
        return _read_files(t1, labels, rules, label_scheme)
    inputs = read_study(
        [path for path in files if not is_label_map(path) and path.suffix.lower() != ".json"],
        rules,
        roi_files=() if labels is None else (labels,),
        label_scheme=label_scheme,
    ).inputs
    why = "; ".join(line for _, line in inputs.missing)
    if inputs.anatomy is None:
        raise InputError(f"no 3D T1 was found ({why or 'no reason'}); send T1 and label map.")
    if inputs.regions_refused or not inputs.regions:
        raise InputError(inputs.regions_refused or f"no regions were found ({why}).")
    return _Person(
        anatomy=inputs.anatomy,
        regions=inputs.regions,
        scheme=_OBJECTS if labels is None else declared_scheme(labels) or str(label_scheme),
    )


def _named(files: Sequence[Path], stem: str) -> Path | None:
    """The NIfTI or MGZ file of a name; None without one."""
    found = [one for one in files if is_label_map(one) and one.name.lower().split(".")[0] == stem]
    if len(found) > 1:
        raise InputError(f"{len(found)} files {stem} were found, one was expected; keep one.")
    return found[0] if found else None


def _read_files(t1: Path, labels: Path | None, rules: RuleSet, label_scheme: str | None) -> _Person:
    if labels is None:
        raise InputError(
            f"a T1 without a label map; {_LABELS}.nii.gz or .mgz was expected beside it."
        )
    anatomy = read_nifti(t1, frame_of_reference_uid=_PLACEHOLDER_UID)
    regions, _ = read_regions(
        (),
        (labels,),
        anatomy=anatomy.grid,
        cest=None,
        midline_x_mm=midline_x_mm(anatomy, None),
        schemes=rules.label_schemes,
        label_scheme=label_scheme,
    )
    scheme = declared_scheme(labels) or label_scheme
    return _Person(anatomy=anatomy, regions=regions, scheme=str(scheme))


def _require_new(person: _Person, who: str, seen: dict[str, str]) -> None:
    """Refuse a T1 or a label map that was there already, however it is stored."""
    contents = [("T1", [(person.anatomy.values, person.anatomy.grid.affine)])]
    contents.append(("label map", [(one.fraction, one.grid.affine) for one in person.regions]))
    for what, arrays in contents:
        digest = hashlib.sha256(what.encode())
        for values, affine in arrays:
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
            digest.update((np.round(affine, 3) + 0.0).tobytes())
        before = seen.setdefault(digest.hexdigest(), who)
        if before != who:
            raise InputError(f"the {what} is that of {before}; give each person once.")


def _require_sound(person: _Person) -> None:
    """Refuse what is missing, was drawn on another image, or by the atlas itself."""
    require_both_sides(person.regions)
    for region in person.regions:
        if region.source.form is RegionForm.ATLAS or region.source.tool.startswith(SPACE):
            raise InputError(
                "the regions were drawn by the built-in atlas itself; regions that a person or "
                "another program drew were expected."
            )
        own, t1 = region.grid.frame_of_reference_uid, person.anatomy.grid.frame_of_reference_uid
        if own != t1:
            raise GeometryError(
                f"{region.name} stands in the Frame of Reference {own}, the T1 in {t1}; regions "
                "drawn on this T1 were expected."
            )


def _aligned(person: _Person, template: AtlasTemplate) -> LabelledLobes:
    warp = follow_head(person.anatomy.values, person.anatomy.grid, template)
    if warp.failed_steps:
        raise InputError(
            f"the template does not come closer to the T1 (step of {warp.failed_steps[0]}); leave "
            "this person out."
        )
    lobes = labelled_lobes(person.regions, warp)
    (structure, side), least = min(lobes.overlap(template.model).items(), key=lambda pair: pair[1])
    if least < LEAST_OVERLAP:
        raise InputError(
            f"the {side} {structure} and the shipped table overlap by {least:.2f}, at least "
            f"{LEAST_OVERLAP:g} was expected. Check that T1 and label map are of one head and the "
            "label is whole, or leave this person out."
        )
    return lobes


def _file(
    fitted: FittedTable, template: AtlasTemplate, *, scheme: str, name: str, made_on: date
) -> EllipseFile:
    structures = {
        str(structure): (
            [float(one) for one in sections.y_range],
            [[float(number) for number in row] for row in sections.rows],
        )
        for structure, sections in fitted.structures.items()
    }
    before = template.model
    return EllipseFile.model_validate(
        {
            "schema": "cestle-mtl-ellipses/1",
            "version": name,
            "space": SPACE,
            "source": f"Measured from label maps of {fitted.people} people of this site by cestle "
            "roi-calibrate. No image and no label voxel is contained.",
            "softness": before.softness,
            "structures": {
                key: {"y_range": y_range, "rows": rows}
                for key, (y_range, rows) in structures.items()
            },
            "calibration": {
                "people": fitted.people,
                "label_scheme": scheme[:_LONGEST],
                "date": made_on.isoformat(),
                "software": f"cestle {cestle.__version__}",
                "before": before.version,
                "overlap": {
                    str(structure): {
                        "left_one_out": round(fitted.overlap[structure], _DIGITS),
                        "before": round(fitted.overlap_before[structure], _DIGITS),
                    }
                    for structure in Structure
                },
                "numbers_sha256": numbers_sha256(before.softness, structures),
            },
        }
    )


def _require_better(file: EllipseFile) -> None:
    made = file.calibration
    if made is None:
        return
    gains = [one.left_one_out - one.before for one in made.overlap.values()]
    if sum(gains) <= 0.0 or min(gains) < -MOST_LOSS:
        raise InputError(
            f"the table is not better than the shipped one: {'; '.join(overlap_lines(file))}. "
            "Nothing was written; keep the shipped table, or give more people of one protocol."
        )
