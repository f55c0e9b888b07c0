"""How often the 95 % interval of an index holds the truth, and what the null case is called."""

import dataclasses
import functools

import numpy as np

from cestle.biomarkers.lateralization import PAPER_RULE
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.registration import register
from cestle.cest.uncertainty import UncertaintySettings, error_budget
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.confidence import Confidence

SEEDS = range(1, 9)
DRAWS = 10
REGIONS = ("hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right")
INDICES = {
    "dai_glu_h_epi": ("hippocampus_left", "hippocampus_right"),
    "dai_glu_a_epi": ("amygdala_left", "amygdala_right"),
}
EVALUATE = functools.partial(compute_glucest, settings=GluCestSettings())
HALF = 1.959963984540054


def lines():
    """Coverage at two noise levels, and the null case."""
    yield f"static phantom, registered, {len(SEEDS)} seeds × {DRAWS} draws; goal 90–97 %"
    yield f"{'':<26}{'hippocampus':>24}{'amygdala':>24}"
    yield f"{'interval from':<26}{'noise':>12}{'as stated':>12}{'noise':>12}{'as stated':>12}"
    for snr in (60.0, 30.0):
        rows = np.array([row for seed in SEEDS for row in _rows(seed, snr, null=False)])
        held = 100.0 * np.mean(np.abs(rows[..., 0, None]) < HALF * rows[..., 1:3], axis=0)
        yield f"SNR {snr:<22g}" + "".join(f"{value:>10.1f} %" for value in held.ravel())
    rows = np.array([row for seed in SEEDS for row in _rows(seed, 60.0, null=True)])
    # the score itself: error plus the true index of the slice
    score, half = rows[:, 0, 0] + rows[:, 0, 3], HALF * rows[:, 0, 1:3]
    within = np.abs(score[:, None] - PAPER_RULE.cutoff) < half
    share = 100.0 * within.mean(axis=0)
    yield (
        f"equal hippocampi, SNR 60: indeterminate in {share[0]:.1f} % (noise), {share[1]:.1f} % "
        "(as stated); goal ≥ 90 %"
    )


def _rows(seed, snr, *, null):
    """Error, noise term, stated standard error and truth of both indices for each draw."""
    asked = SimulationSettings(
        seed=seed,
        snr=None,
        b1_spread=0.0,
        t1_mm=4.0,
        dai_hippocampus=0.0 if null else 0.02 * (seed % 5 - 2),
        dai_amygdala=0.0 if null else 0.02 * (seed % 3 - 1),
    )
    if null:
        asked = dataclasses.replace(asked, roll_deg=0.0, yaw_deg=0.0)
    study = simulate(asked)
    for draw in range(DRAWS):
        images = register(rician(study, reference=study, snr=snr, draw=draw)).images
        uncertainty = error_budget(
            images,
            fields_of(study),
            evaluate=EVALUATE,
            regions=study.fractions,
            indices=INDICES,
            settings=UncertaintySettings(),
        )
        budgets = [uncertainty.indices[name] for name in INDICES]
        yield [
            [error, budget.noise, _stated(budget), study.truth["asymmetry"]["slice"][name]]
            for error, budget, name in zip(
                index_errors(images, study), budgets, INDICES, strict=True
            )
        ]


def _stated(budget):
    """The standard error that the product states: all terms but the place of the region."""
    return Confidence(budgets={"index": budget}).standard_error("index")


def fields_of(study):
    """The field maps of a phantom."""
    return FieldMaps(
        b0_shift_ppm=study.b0_hz / study.settings.f0_mhz,
        relative_b1=study.b1_percent / 100.0,
        grid=study.cest_grid,
    )


def rician(study, *, reference, snr, draw):
    """Images of a phantom with Rician noise, S(−3) of the structures at rest over it `snr`."""
    weight = np.sum([reference.fractions[name] for name in REGIONS], axis=0)
    sigma = np.average(reference.signal[0], weights=weight) / snr
    generator = np.random.default_rng([study.settings.seed, draw])
    in_phase = study.signal + generator.normal(scale=sigma, size=study.signal.shape)
    signal = np.hypot(in_phase, generator.normal(scale=sigma, size=study.signal.shape))
    return SaturationImages(
        signal=signal,
        offsets_ppm=study.offsets_ppm,
        grid=study.cest_grid,
        f0_mhz=study.settings.f0_mhz,
    )


def index_errors(images, study):
    """Measured minus true index of hippocampus and amygdala."""
    glucest = EVALUATE(images, fields_of(study))
    percent = np.nan_to_num(glucest.percent)
    means = {
        name: np.average(percent, weights=share * glucest.valid)
        for name, share in study.fractions.items()
    }
    truth = study.truth["asymmetry"]["slice"]
    return [
        (means[left] - means[right]) / (means[left] + means[right]) - truth[name]
        for name, (left, right) in INDICES.items()
    ]
