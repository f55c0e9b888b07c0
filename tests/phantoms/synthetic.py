"""Synthetic studies that several tests share, made once."""

from functools import cache

from cestle.anatomy.regions import Region
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.phantom.study import SimulatedStudy, SimulationSettings, simulate
from cestle.study.inputs import ScalarImage, StudyInputs

COARSE_T1_MM = 3.0
"""Voxel size that keeps the T1 small where a test does not look at it."""


@cache
def noise_free(**changes: float) -> SimulatedStudy:
    """A study without noise on a coarse T1; do not write to its arrays."""
    return simulate(SimulationSettings(**{"snr": None, "t1_mm": COARSE_T1_MM, **changes}))


def inputs_of(study: SimulatedStudy, regions: tuple[Region, ...]) -> StudyInputs:
    """What the readers would hand over of a study, with regions of the caller's."""
    return StudyInputs(
        study_instance_uid="1.2.3.4",
        saturation=SaturationImages(
            signal=study.signal,
            offsets_ppm=study.offsets_ppm,
            grid=study.cest_grid,
            f0_mhz=study.settings.f0_mhz,
        ),
        fields=FieldMaps(
            b0_shift_ppm=study.b0_hz / study.settings.f0_mhz,
            relative_b1=study.b1_percent / 100.0,
            grid=study.cest_grid,
        ),
        vendor_map=None,
        anatomy=ScalarImage(values=study.t1, grid=study.t1_grid),
        regions=regions,
        onset_side=None,
    )
