"""Where the tissue shares of a study come from, and whether they may be used."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from cestle.anatomy.tissue_segmentation import segment_tissues
from cestle.cest.images import SaturationImages
from cestle.cest.tissue import TissueFractions
from cestle.cest.tissue_match import match_tissues
from cestle.errors import GeometryError, NumericalError
from cestle.geometry import Grid
from cestle.study.inputs import StudyInputs

LARGEST_DISPLACEMENT_MM: Final = 2.0
"""In-plane distance of shares from the images beyond which they are not used: by a voxel the
index changes by no more than noise does, by two voxels it doubles the error of B1."""
LEAST_EXPLAINED: Final = 0.4
"""Share of the variance of the images that shares must explain at their best place."""
_CERTAIN_GAIN: Final = 0.02


class TissueOrigin(StrEnum):
    """Where shares come from."""

    NONE = "none"
    T1 = "t1"
    GIVEN = "given"


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyTissue:
    """The tissue shares of a study.

    Parameters
    ----------
    fractions
        Shares on the grid of the saturation images; None when there are none to be used.
    origin
        Where they come from.
    reason
        Why there are none; empty where there are, or where nobody asked for them.
    """

    fractions: TissueFractions | None
    origin: TissueOrigin
    reason: str

    @classmethod
    def none(cls, reason: str) -> Self:
        """No shares, with the reason."""
        return cls(fractions=None, origin=TissueOrigin.NONE, reason=reason)

    def placed_on(self, images: SaturationImages) -> Self:
        """These shares if they lie where the images show the tissues, otherwise none.

        Parameters
        ----------
        images
            As they go into the map, after registration.
        """
        if self.fractions is None:
            return self
        match = match_tissues(images, self.fractions)
        if match is None:
            return self.none("the CEST slices hold too little tissue to see whether shares fit")
        if match.best_explained < LEAST_EXPLAINED:
            return self.none(
                f"the tissue shares explain {match.best_explained:.0%} of the CEST images, at "
                f"least {LEAST_EXPLAINED:.0%} were expected; check that T1 and CEST are of one "
                "examination"
            )
        gain = match.best_explained - match.explained
        if match.displacement_mm > LARGEST_DISPLACEMENT_MM and gain > _CERTAIN_GAIN:
            return self.none(
                f"the tissue shares lie {match.displacement_mm:.1f} mm beside the CEST images, at "
                f"most {LARGEST_DISPLACEMENT_MM:g} mm were expected; the head moved between T1 "
                "and CEST"
            )
        return self


NO_TISSUE: Final = StudyTissue.none("")
"""Nobody asked for shares."""


def tissue_of_study(inputs: StudyInputs, grid: Grid, *, from_t1: bool) -> StudyTissue:
    """Shares that were given, otherwise those of the T1.

    Parameters
    ----------
    inputs
        What the study offers.
    grid
        Grid of the saturation images.
    from_t1
        Whether the T1 may be segmented.
    """
    if inputs.tissue is not None:
        return StudyTissue(fractions=inputs.tissue, origin=TissueOrigin.GIVEN, reason="")
    if not from_t1:
        return NO_TISSUE
    if inputs.anatomy is None:
        return StudyTissue.none("there is no 3D T1 to tell the tissues apart; send it")
    try:
        found = segment_tissues(inputs.anatomy.values, inputs.anatomy.grid, grid)
    except (GeometryError, NumericalError) as fault:
        return StudyTissue.none(str(fault))
    fractions = TissueFractions(grey=found.grey, white=found.white, fluid=found.fluid)
    return StudyTissue(fractions=fractions, origin=TissueOrigin.T1, reason="")
