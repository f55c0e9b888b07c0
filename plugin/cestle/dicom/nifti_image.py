"""Images as NIfTI files, for programs that read nothing else."""

from pathlib import Path
from typing import Final

import nibabel as nib
import numpy as np

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
