"""The whole GluCEST analysis with registration and uncertainty: time and memory."""

import resource

import numpy as np

from benchmarks.coverage import fields_of, rician
from benchmarks.timing import milliseconds, row
from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.inputs import StudyInputs

REGION_SLICES = 14


def lines():
    """One slice as simulated, and a volume of 40 such slices, 14 of which meet the regions."""
    study = simulate(SimulationSettings(seed=1, snr=None, t1_mm=4.0))
    images, fields = rician(study, reference=study, snr=60.0, draw=0), fields_of(study)
    yield row("analysis of one slice", _measure(images, fields, study, 1, runs=3), "≤ 1500 ms")
    yield row("analysis of 40 slices", _measure(images, fields, study, 40, runs=1), "≤ 30000 ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield f"peak memory of this process: {peak:.0f} MiB  goal ≤ 1024"


def _measure(images, fields, study, slices, *, runs):
    grid = Grid(
        shape=(slices, *images.grid.shape[1:]),
        affine=images.grid.affine,
        frame_of_reference_uid="",
        slice_thickness_mm=images.grid.slice_thickness_mm,
    )
    source = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="phantom")
    inputs = StudyInputs(
        study_instance_uid="1.2.3",
        saturation=SaturationImages(
            signal=np.repeat(images.signal, slices, axis=1),
            offsets_ppm=images.offsets_ppm,
            grid=grid,
            f0_mhz=images.f0_mhz,
        ),
        fields=FieldMaps(
            b0_shift_ppm=np.repeat(fields.b0_shift_ppm, slices, axis=0),
            relative_b1=np.repeat(fields.relative_b1, slices, axis=0),
            grid=grid,
        ),
        vendor_map=None,
        anatomy=None,
        regions=tuple(
            Region(
                structure=structure,
                side=side,
                fraction=_share(study.fractions[f"{structure}_{side}"], slices),
                grid=grid,
                source=source,
            )
            for structure in Structure
            for side in Side
        ),
        onset_side=None,
    )
    provenance = Provenance(software_version="", templates_version="", revision=1)
    return milliseconds(lambda: analyse_study(inputs, AnalysisSettings(), provenance), runs=runs)


def _share(fraction, slices):
    """Shares of a region that spans 14 slices of a volume, as 42 mm in slices of 3 mm do."""
    share = np.repeat(fraction, slices, axis=0)
    if slices > REGION_SLICES:
        first = (slices - REGION_SLICES) // 2
        share[:first] = share[first + REGION_SLICES :] = 0.0
    return share
