"""Regions from label maps in NIfTI or MGZ files.

Numbers alone never decide what a label means: 48 is the left hippocampus of one tool and the
right one of another.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import numpy.typing as npt
from nibabel.filebasedimages import ImageFileError

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.dicom.region_grids import cut_to_size
from cestle.errors import GeometryError, NoRegionError, ProtocolError
from cestle.geometry import Grid
from cestle.physics import Real
from cestle.study.roles import LabelScheme

_SUFFIXES: Final = (".nii.gz", ".nii", ".mgz", ".mgh")
_RAS_TO_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_AFFINE_MM: Final = 0.1


def is_label_map(path: Path) -> bool:
    """Whether the name of a file is that of a NIfTI or MGZ image."""
    return path.name.lower().endswith(_SUFFIXES)


def read_label_map(
    path: Path,
    *,
    schemes: Sequence[LabelScheme],
    scheme_name: str | None,
    reference: Grid | None,
    source: RegionSource | None = None,
) -> tuple[Region, ...]:
    """Hippocampus and amygdala of a label map.

    Parameters
    ----------
    path
        The file. A JSON file of the same name beside it may hold ``{"label_scheme": "…"}``,
        which counts before `scheme_name`, and ``tool``, ``version`` and
        ``frame_of_reference_uid`` of the image that it was made from.
    schemes
        Known schemes.
    scheme_name
        Name of the scheme; None when only the JSON file may tell.
    reference
        Grid of the image that the labels were drawn on; its Frame of Reference is taken over,
        since the file has none.
    source
        Where the labels come from; None for what the JSON file says.

    Raises
    ------
    ProtocolError
        When the scheme is not declared or unknown, or the file is no label map.
    NoRegionError
        When the file holds none of the labels.
    GeometryError
        When the file has no trustworthy place, no image is there to belong to, it was made from
        an image of another Frame of Reference, or a region lies outside that image.
    """
    stated = texts_beside(path)
    scheme = _scheme(stated.get("label_scheme") or scheme_name, schemes)
    if reference is None:
        raise GeometryError(
            "a label map was given but the study has neither T1 nor CEST series; send the image "
            "that it was drawn on."
        )
    _require_same_image(stated.get("frame_of_reference_uid"), reference)
    labels, affine = load_labels(path)
    source = source or RegionSource(
        form=RegionForm.LABEL_MAP,
        creation="unknown",
        identifier="file",
        tool=" ".join(stated[key] for key in ("tool", "version") if key in stated),
    )
    regions = []
    for label, structure, side in scheme.labels:
        inside = np.argwhere(labels == label)
        if len(inside) == 0:
            continue
        fraction, grid = cut_to_size(
            *_box(labels, label, inside, affine, reference.frame_of_reference_uid)
        )
        region = Region(structure=structure, side=side, fraction=fraction, grid=grid, source=source)
        _require_inside(region, reference)
        regions.append(region)
    if not regions:
        raise _no_labels(scheme)
    return tuple(regions)


def require_labels(path: Path, *, schemes: Sequence[LabelScheme], scheme_name: str | None) -> None:
    """Check that a file is a label map of a known scheme with regions in it.

    Raises
    ------
    ProtocolError
        When the scheme is not declared or unknown, or the file is no label map.
    NoRegionError
        When the file holds none of the labels.
    GeometryError
        When its place is not known for certain.
    """
    scheme = _scheme(declared_scheme(path) or scheme_name, schemes)
    labels, _ = load_labels(path)
    if not np.isin(labels, [label for label, _, _ in scheme.labels]).any():
        raise _no_labels(scheme)


def _no_labels(scheme: LabelScheme) -> NoRegionError:
    numbers = ", ".join(str(label) for label, _, _ in scheme.labels)
    return NoRegionError(
        f"the label map holds none of the labels {numbers} of scheme {scheme.name}; name the "
        "scheme that it was made with."
    )


def declared_scheme(path: Path) -> str | None:
    """Name of the scheme in the JSON file beside a label map; None where there is none.

    Raises
    ------
    ProtocolError
        When that file cannot be read.
    """
    return texts_beside(path).get("label_scheme")


def _scheme(name: str | None, schemes: Sequence[LabelScheme]) -> LabelScheme:
    known = {scheme.name: scheme for scheme in schemes}
    if name is None:
        raise ProtocolError(
            "a label map does not say which numbers it uses; put a JSON file of the same name "
            f'beside it with {{"label_scheme": "…"}}, one of {", ".join(sorted(known))}.'
        )
    if name not in known:
        raise ProtocolError(
            f"the label scheme {name[:40]!r} is not known; one of {', '.join(sorted(known))} was "
            "expected. Add it to classify/label_schemes.yaml."
        )
    return known[name]


def _require_same_image(frame_of_reference_uid: str | None, reference: Grid) -> None:
    if frame_of_reference_uid not in (None, reference.frame_of_reference_uid):
        raise GeometryError(
            f"a label map was made from an image of the Frame of Reference "
            f"{frame_of_reference_uid}, the image of this study has "
            f"{reference.frame_of_reference_uid or 'none'}; give the label map of this study's T1."
        )


def texts_beside(path: Path) -> dict[str, str]:
    """The texts of the JSON file of the same name; empty without one.

    Raises
    ------
    ProtocolError
        When it cannot be read.
    """
    stem = path.name
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    beside = path.with_name(stem + ".json")
    if not beside.is_file():
        return {}
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ProtocolError(
            "the JSON file beside a label map cannot be read; "
            '{"label_scheme": "…"} was expected. Correct it.'
        ) from fault
    if not isinstance(content, dict):
        return {}
    return {str(key): text for key, text in content.items() if isinstance(text, str) and text}


def load_labels(path: Path) -> tuple[npt.NDArray[np.int32], Real]:
    """Labels in (slice, row, column) order, and the LPS affine of that order.

    Raises
    ------
    ProtocolError
        When the file is no image of whole numbers.
    GeometryError
        When its place is not known for certain.
    """
    try:
        image: Any = nib.load(path)
        data = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError) as fault:
        raise ProtocolError(
            f"a label map cannot be read ({type(fault).__name__}); a NIfTI or MGZ file was "
            "expected."
        ) from fault
    data = np.squeeze(data)
    whole = data.dtype.kind in "iub" or np.array_equal(data, np.rint(data))
    if data.ndim != 3 or not whole:
        raise ProtocolError("a label map is not a 3D image of whole numbers; labels were expected.")
    affine = _RAS_TO_LPS @ trusted_affine(image, "a label map")
    # NIfTI counts (column, row, slice); a Grid counts the other way round.
    swapped = affine[:, [2, 1, 0, 3]]
    return np.transpose(data, (2, 1, 0)).astype(np.int32), swapped


def trusted_affine(image: Any, what: str) -> Real:
    """The sform when it is set, else the qform; both must agree where both are set.

    Parameters
    ----------
    image
        As nibabel loads it.
    what
        What messages call it.

    Raises
    ------
    GeometryError
        When neither is set, or they differ.
    """
    if not hasattr(image, "get_sform"):
        return np.asarray(image.affine, dtype=np.float64)
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if not sform_code and not qform_code:
        raise GeometryError(
            f"{what} has neither sform nor qform, so its place is unknown; write it with the "
            "geometry of its T1."
        )
    if sform_code and qform_code:
        extent = np.array(image.shape[:3], dtype=np.float64) - 1
        corners = np.array(np.meshgrid(*[[0.0, e] for e in extent])).reshape(3, -1)
        corners = np.vstack([corners, np.ones(corners.shape[1])])
        apart = float(np.max(np.linalg.norm(((sform - qform) @ corners)[:3], axis=0)))
        if apart > _SAME_AFFINE_MM:
            raise GeometryError(
                f"sform and qform of {what} differ by {apart:.1f} mm; one place was "
                "expected. Write it again with one geometry."
            )
    return np.asarray(sform if sform_code else qform, dtype=np.float64)


def _box(
    labels: npt.NDArray[np.int32],
    label: int,
    inside: npt.NDArray[np.int64],
    affine: Real,
    frame_of_reference_uid: str,
) -> tuple[Real, Grid]:
    first, last = inside.min(axis=0), inside.max(axis=0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    fraction = (labels[box] == label).astype(np.float64)
    moved = np.array(affine)
    moved[:3, 3] = affine[:3, :3] @ first + affine[:3, 3]
    shape = fraction.shape
    grid = Grid(
        shape=(shape[0], shape[1], shape[2]),
        affine=moved,
        frame_of_reference_uid=frame_of_reference_uid,
        slice_thickness_mm=float(np.linalg.norm(affine[:3, 0])),
    )
    return fraction, grid


def _require_inside(region: Region, reference: Grid) -> None:
    index = reference.to_index(region.centroid_lps_mm)
    margin = 20.0 / np.array(reference.spacing_mm)
    low, high = -margin, np.array(reference.shape) - 1 + margin
    if np.any(index < low) or np.any(index > high):
        raise GeometryError(
            f"{region.name} of the label map lies outside the image that it should belong to; "
            "give the label map of this study's T1."
        )
