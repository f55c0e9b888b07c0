"""Images as NIfTI files, for programs that write or read nothing else."""

from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from cestle.dicom.label_map_reader import texts_beside, trusted_affine
from cestle.errors import ProtocolError
from cestle.geometry import Grid
from cestle.study.inputs import ScalarImage

_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(image: ScalarImage, path: Path) -> None:
    """Write an image with its place, and nothing of the patient.

    Parameters
    ----------
    image
        What to write; values are stored as 32 bit floating point numbers.
    path
        Name of the file, ending in ``.nii`` or ``.nii.gz``.
    """
    # NIfTI counts (column, row, slice); a Grid counts the other way round.
    affine = _LPS_TO_RAS @ image.grid.affine[:, [2, 1, 0, 3]]
    values = np.transpose(image.values, (2, 1, 0)).astype(np.float32)
    made = nib.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    # A qform holds no shear; NIfTI demands nothing more than one trustworthy place.
    made.set_sform(affine, code=1)  # type: ignore[no-untyped-call]
    made.set_qform(affine, code=1, strip_shears=True)  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    nib.save(made, path)


def read_nifti(path: Path, *, frame_of_reference_uid: str) -> ScalarImage:
    """Read an image of one volume with its place.

    Parameters
    ----------
    path
        A NIfTI or MGZ file.
    frame_of_reference_uid
        Stands for the Frame of Reference where the JSON file beside the image names none.

    Raises
    ------
    ProtocolError
        When the file is no such image.
    GeometryError
        When its place is not known for certain.
    """
    try:
        image: Any = nib.load(path)
        values = np.squeeze(np.asanyarray(image.dataobj))
    except (ImageFileError, OSError, EOFError, ValueError) as fault:
        raise ProtocolError(
            f"an image cannot be read ({type(fault).__name__}); a NIfTI or MGZ file was expected."
        ) from fault
    if values.ndim != 3 or values.dtype.kind not in "iuf":
        raise ProtocolError(
            f"an image has {values.ndim} dimensions of {values.dtype}; one volume of numbers was "
            "expected."
        )
    affine = (_LPS_TO_RAS @ trusted_affine(image, "an image"))[:, [2, 1, 0, 3]]
    turned = np.transpose(values, (2, 1, 0)).astype(np.float64)
    slices, rows, columns = turned.shape
    grid = Grid(
        shape=(slices, rows, columns),
        affine=affine,
        frame_of_reference_uid=texts_beside(path).get(
            "frame_of_reference_uid", frame_of_reference_uid
        ),
        slice_thickness_mm=float(np.linalg.norm(affine[:3, 0])),
    )
    return ScalarImage(values=turned, grid=grid)
