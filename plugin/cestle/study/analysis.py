"""From `StudyInputs` to `StudyAnalysis`: the one place that knows the order of the steps."""

from dataclasses import dataclass

from cestle.anatomy.regions import Region
from cestle.cest.images import GluCestMap
from cestle.physics import Real
from cestle.study.inputs import StudyInputs
from cestle.study.results import StudyResults


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyAnalysis:
    """Everything that pictures and DICOM objects are made from.

    Parameters
    ----------
    inputs
        What was analysed.
    glucest
        The map; None when it could not be computed.
    regions
        The regions on the grid of `glucest`, as used for the means.
    underlay
        Anatomy on the grid of `glucest`, averaged over the slab when it comes from the T1,
        otherwise the S(−3 ppm) image; None without a map. Shape of the grid [a.u.].
    underlay_name
        What `underlay` is, in words.
    results
        All numbers.
    """

    inputs: StudyInputs
    glucest: GluCestMap | None
    regions: tuple[Region, ...]
    underlay: Real | None
    underlay_name: str
    results: StudyResults
