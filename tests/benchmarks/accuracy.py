"""B0 methods on the phantom: error of the indices and of the voxels, noise-free, B1 nominal."""

import numpy as np

from cestle.anatomy.regions import Region, RegionForm, RegionSource
from cestle.cest.b0 import B0Method
from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.phantom.head import REGION_LABELS
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.analysis import AnalysisSettings, Provenance, analyse_study
from cestle.study.inputs import StudyInputs

INDICES = ("dai_glu_h_epi", "dai_glu_a_epi")
METHODS = [method for method in B0Method if method is not B0Method.NONE]
SEEDS = range(1, 13)


def lines():
    """A table of the methods over several field seeds."""
    yield f"noise-free, B1 nominal, B0 within ±0.3 ppm, {len(SEEDS)} seeds; goal: DAI ≤ 0.002"
    yield f"{'method':<14}{'DAI hippocampus':>24}{'DAI amygdala':>24}{'voxel [pp]':>12}"
    yield f"{'':<14}{'mean / max error':>24}{'mean / max error':>24}{'max error':>12}"
    errors = {method: [] for method in METHODS}
    for seed in SEEDS:
        study = simulate(
            SimulationSettings(
                seed=seed,
                snr=None,
                b1_spread=0.0,
                dai_hippocampus=0.02 * (seed % 5 - 2),
                dai_amygdala=0.02 * (seed % 3 - 1),
            )
        )
        for method in METHODS:
            errors[method].append(_errors(study, method))
    for method, rows in errors.items():
        table = np.abs(np.array(rows))
        mean, largest = table.mean(axis=0), table.max(axis=0)
        yield (
            f"{method:<14}{mean[0]:>15.4f} / {largest[0]:.4f}{mean[1]:>15.4f} / {largest[1]:.4f}"
            f"{largest[2]:>12.3f}"
        )


def _errors(study, method):
    settings = AnalysisSettings(glucest=GluCestSettings(b0_method=method))
    provenance = Provenance(software_version="", templates_version="", revision=1)
    analysis = analyse_study(inputs_of(study), settings, provenance)
    truth = study.truth["asymmetry"]["slice"]
    indices = [analysis.results.asymmetry.indices[name].value - truth[name] for name in INDICES]
    voxels = (analysis.glucest.percent - study.true_percent)[analysis.glucest.valid]
    return [*indices, np.max(np.abs(voxels))]


def inputs_of(study):
    """The simulated arrays as study inputs, without the way through DICOM."""
    source = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="phantom")
    f0_mhz = study.settings.f0_mhz
    return StudyInputs(
        study_instance_uid="1.2.3",
        saturation=SaturationImages(
            signal=study.signal,
            offsets_ppm=study.offsets_ppm,
            grid=study.cest_grid,
            f0_mhz=f0_mhz,
        ),
        fields=FieldMaps(
            b0_shift_ppm=study.b0_hz / f0_mhz,
            relative_b1=study.b1_percent / 100.0,
            grid=study.cest_grid,
        ),
        vendor_map=None,
        anatomy=None,
        regions=tuple(
            Region(
                structure=structure,
                side=side,
                fraction=(study.t1_labels == label).astype(float),
                grid=study.t1_grid,
                source=source,
            )
            for (structure, side), label in REGION_LABELS.items()
        ),
        onset_side=None,
    )
