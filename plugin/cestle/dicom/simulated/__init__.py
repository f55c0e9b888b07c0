"""Writes a synthetic study as DICOM files, in the reference encoding and its variants."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from cestle.dicom.simulated.enhanced import enhanced_cest
from cestle.dicom.simulated.headers import StudyHeader
from cestle.dicom.simulated.images import (
    b0_series,
    b1_series,
    cest_series,
    t1_series,
    vendor_series,
)
from cestle.dicom.simulated.options import (
    REFERENCE_ENCODING,
    B0Unit,
    B1Unit,
    CestForm,
    EncodingOptions,
    RegionObject,
    SpectroscopyForm,
)
from cestle.dicom.simulated.regions import (
    cest_masks,
    segmentation,
    structure_set,
    t1_masks,
    write_label_map,
)
from cestle.dicom.simulated.spectroscopy import as_stored, spectroscopy_series
from cestle.phantom.megapress import SimulatedMega
from cestle.phantom.study import SimulatedStudy

__all__ = [
    "REFERENCE_ENCODING",
    "B0Unit",
    "B1Unit",
    "CestForm",
    "EncodingOptions",
    "RegionObject",
    "SpectroscopyForm",
    "as_stored",
    "write_study",
]

LABEL_MAP_NAME = "labels.nii.gz"
TRUTH_NAME = "truth.json"


def write_study(
    study: SimulatedStudy,
    folder: Path,
    *,
    encoding: EncodingOptions = REFERENCE_ENCODING,
    mega: SimulatedMega | None = None,
) -> list[Path]:
    """Write `study` below `folder`, each series into a folder of its own.

    Equal settings in equal encodings give equal files. Besides the DICOM files the folder gets
    ``truth.json`` and, where asked for, ``labels.nii.gz``.

    Parameters
    ----------
    study
        The study.
    folder
        Made when absent.
    encoding
        Form of the objects.
    mega
        A MEGA-PRESS measurement of the same head, made with the settings of `as_stored`; its truth
        stands under ``mrs`` in the truth of the study.

    Returns
    -------
        The DICOM files, in the order in which a scanner would send them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, members in _series(study, encoding, mega):
        place = folder / name
        place.mkdir(exist_ok=True)
        for number, dataset in enumerate(members, start=1):
            path = place / f"{number:04d}.dcm"
            dataset.save_as(path, enforce_file_format=True)
            written.append(path)
    if RegionObject.LABEL_MAP in encoding.regions:
        write_label_map(study, folder / LABEL_MAP_NAME)
    facts = study.truth if mega is None else {**study.truth, "mrs": mega.truth.to_json()}
    truth = json.dumps(facts, indent=1, ensure_ascii=False)
    (folder / TRUTH_NAME).write_text(truth + "\n", encoding="utf-8")
    return written


def _series(
    study: SimulatedStudy, encoding: EncodingOptions, mega: SimulatedMega | None
) -> Iterator[tuple[str, Sequence[Dataset]]]:
    """Folder name and objects of each series."""
    header = StudyHeader.of(study, encoding, mega)
    t1 = t1_series(study, header)
    yield "t1", t1
    cest: list[Dataset] = []
    if encoding.cest is CestForm.ENHANCED:
        cest = [enhanced_cest(study, header)]
        yield "cest", cest
    else:
        groups = list(cest_series(study, header))
        for rank, members in enumerate(groups, start=1):
            yield ("cest" if len(groups) == 1 else f"cest_{rank}"), members
        cest = [dataset for members in groups for dataset in members]
    yield "b0", b0_series(study, header)
    yield "b1", b1_series(study, header)
    if encoding.vendor_map:
        yield "vendor", vendor_series(study, header)
    if mega is not None:
        frame_of_reference_uid = study.cest_grid.frame_of_reference_uid
        yield from spectroscopy_series(mega.series, header, frame_of_reference_uid)
    if RegionObject.SEG_ON_T1 in encoding.regions:
        yield "seg_t1", [segmentation(header, t1, t1_masks(study), drawn_on="T1")]
    if RegionObject.SEG_ON_CEST in encoding.regions:
        # The classic images of the first offset, or the one multi-frame object.
        slices = study.cest_grid.shape[0]
        masks = cest_masks(study)
        yield "seg_cest", [segmentation(header, cest[:slices], masks, drawn_on="CEST")]
    if RegionObject.STRUCTURE_SET in encoding.regions:
        yield "rtstruct", [structure_set(header, t1, study)]
