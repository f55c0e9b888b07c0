"""Shares of grey matter, white matter and fluid from a label map in a NIfTI or MGZ file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from cestle.anatomy.slab import slab_average
from cestle.cest.tissue import TissueClass, TissueFractions
from cestle.dicom.label_map_reader import load_labels
from cestle.errors import ProtocolError
from cestle.geometry import Grid

TISSUE_SCHEMES: Final[Mapping[str, Mapping[TissueClass, tuple[int, ...]]]] = {
    "freesurfer": {
        TissueClass.GREY: (3, 42, 10, 11, 12, 17, 18, 26, 49, 50, 51, 53, 54, 58),
        TissueClass.WHITE: (2, 41),
        TissueClass.FLUID: (4, 5, 14, 15, 24, 43, 44),
    },
    "fluid-grey-white": {
        TissueClass.FLUID: (1,),
        TissueClass.GREY: (2,),
        TissueClass.WHITE: (3,),
    },
}
"""Numbers of each tissue, by the name of the scheme."""

DEFAULT_TISSUE_SCHEME: Final = "freesurfer"


def read_tissue_fractions(path: Path, *, scheme: str, target: Grid) -> TissueFractions:
    """Share of each tissue in the voxels of the CEST series.

    Parameters
    ----------
    path
        Labels drawn on an image of the same session; the file states no Frame of Reference, so
        it is taken to be that of `target`.
    scheme
        One of `TISSUE_SCHEMES`.
    target
        Grid of the CEST series.

    Raises
    ------
    ProtocolError
        When the scheme is not known, or the file is no label map or holds no tissue inside the
        slices.
    GeometryError
        When the place of the file is not known for certain.
    """
    if scheme not in TISSUE_SCHEMES:
        raise ProtocolError(
            f"the label scheme {scheme[:40]!r} of the tissue map is not known; name one of "
            f"{', '.join(TISSUE_SCHEMES)}."
        )
    labels, affine = load_labels(path)
    slices, rows, columns = labels.shape
    source = Grid(
        shape=(slices, rows, columns),
        affine=affine,
        frame_of_reference_uid=target.frame_of_reference_uid,
        slice_thickness_mm=float(np.linalg.norm(affine[:3, 0])),
    )
    shares = {
        tissue.value: np.clip(
            slab_average(np.isin(labels, numbers).astype(np.float64), source, target), 0.0, 1.0
        )
        for tissue, numbers in TISSUE_SCHEMES[scheme].items()
    }
    if not any(share.any() for share in shares.values()):
        raise ProtocolError(
            f"the tissue map holds no label of the scheme {scheme} inside the CEST slices; give "
            "the map of this session's T1 and its scheme."
        )
    return TissueFractions(**shares)
