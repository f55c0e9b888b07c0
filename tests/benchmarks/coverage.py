"""How often the 95 % interval of an index holds the truth, and what the null case is called."""

import dataclasses
import functools

import numpy as np

from benchmarks.accuracy import SHIPPED, SPREAD
from benchmarks.slices import CHEMISTRIES, make, noisy, shares_from_t1
from benchmarks.slices import index_errors as slice_errors
from cestle.anatomy.sampling import region_statistic
from cestle.biomarkers.asymmetry import directional_asymmetry_epi
from cestle.biomarkers.lateralization import PAPER_RULE
from cestle.cest.b1 import B1Method, correction_error
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.registration import register
from cestle.cest.uncertainty import UncertaintySettings, error_budget
from cestle.config.calibration import load_calibration
from cestle.measurement import Estimate
from cestle.phantom.motion import random_motion
from cestle.phantom.study import SimulationSettings, simulate
from cestle.study.confidence import Confidence, with_motion

SEEDS = range(1, 9)
ALONE, MANY, FEW = 60, 40, 8
REGIONS = ("hippocampus_left", "hippocampus_right", "amygdala_left", "amygdala_right")
INDICES = {
    "dai_glu_h_epi": ("hippocampus_left", "hippocampus_right"),
    "dai_glu_a_epi": ("amygdala_left", "amygdala_right"),
}
EVALUATE = functools.partial(compute_glucest, settings=GluCestSettings())
HALF = 1.959963984540054
MOTION = 0.25


def lines():
    """Coverage at rest, with motion and with B1, and the null case."""
    yield f"{len(SEEDS)} field seeds; goal at rest 90–97 %; 480 draws tell 95 % within ±1 %"
    yield f"{'':<44}{'hippocampus':>24}{'amygdala':>24}"
    yield f"{'interval from':<44}" + 2 * f"{'noise':>12}{'as stated':>12}"
    rows = [row for seed in SEEDS for row in _noise_alone(seed)]
    yield _line(f"at rest, as acquired, SNR 60, {ALONE} draws", rows)
    for snr, draws in ((60.0, MANY), (30.0, FEW)):
        rows = [row for seed in SEEDS for row in _rows(seed, snr, draws)]
        yield _line(f"at rest, registered, SNR {snr:g}, {draws} draws", rows)
    rows = [row for seed in SEEDS for row in _rows(seed, 60.0, FEW, motion=MOTION)]
    yield _line(f"{MOTION} mm and ° rms, registered, SNR 60, {FEW} draws", rows)
    pooled = []
    for chemistry in CHEMISTRIES:
        rows = [row for seed in SEEDS for row in _b1_rows(seed, chemistry)]
        pooled += rows
        yield _line(f"B1 0.7–1.2, shares of T1, {chemistry.name}", rows)
    yield _line("B1 0.7–1.2, all three chemistries", pooled)
    yield from _null()


def _noise_alone(seed):
    """Error and noise term of both indices at rest, many draws at little cost."""
    one = make(seed)
    pairs = [[one.regions[name] for name in pair] for pair in INDICES.values()]
    for draw in range(ALONE):
        rough = noisy(one, 60.0, 1000 * seed + draw)
        glucest = EVALUATE(rough.images, rough.fields)
        errors = slice_errors(rough, glucest)
        noise = [_index_noise(glucest, pair) for pair in pairs]
        yield [[error, size, size, 0.0] for error, size in zip(errors, noise, strict=True)]


def _index_noise(glucest, pair):
    """Standard error of (L − R)/(L + R) from the standard errors of independent voxels."""
    sides = [
        region_statistic(glucest.percent, glucest.standard_error, glucest.valid, fraction)
        for fraction in pair
    ]
    means = [Estimate(value=side.mean, standard_error=side.standard_error) for side in sides]
    return directional_asymmetry_epi(*means).standard_error


def _line(words, rows):
    """Coverage of the interval from noise alone, and of that which the product states."""
    table = np.array(rows)
    held = 100.0 * np.mean(np.abs(table[..., 0, None]) < HALF * table[..., 1:3], axis=0)
    return f"{words:<44}" + "".join(f"{value:>10.1f} %" for value in held.ravel())


def _null():
    rows = np.array([row for seed in SEEDS for row in _rows(seed, 60.0, FEW, null=True)])
    # the score itself: error plus the true index of the slice
    score, half = rows[:, 0, 0] + rows[:, 0, 3], HALF * rows[:, 0, 1:3]
    within = np.abs(score[:, None] - PAPER_RULE.cutoff) < half
    share = 100.0 * within.mean(axis=0)
    yield (
        f"equal hippocampi, SNR 60: indeterminate in {share[0]:.1f} % (noise), {share[1]:.1f} % "
        "(as stated); goal ≥ 90 %"
    )


def _rows(seed, snr, draws, *, null=False, motion=0.0):
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
    rest = study = simulate(asked)
    if motion:
        moves = random_motion(seed, images=8, rms_mm=motion, rms_deg=motion)
        study = simulate(asked, motion=moves)
    for draw in range(draws):
        found = register(rician(study, reference=rest, snr=snr, draw=draw))
        uncertainty = error_budget(
            found.images,
            fields_of(rest),
            evaluate=EVALUATE,
            regions=rest.fractions,
            indices=INDICES,
            settings=with_motion(UncertaintySettings(), found),
        )
        truth = rest.truth["asymmetry"]["slice"]
        errors = index_errors(found.images, rest)
        yield _stated(errors, uncertainty, [truth[name] for name in INDICES])


def _b1_rows(seed, chemistry):
    """The same with B1 that runs over the brain, corrected by the shipped file."""
    one, shares = make(seed, b1=SPREAD, chemistry=chemistry), shares_from_t1()
    calibration = load_calibration(SHIPPED)
    settings = GluCestSettings(b1_method=B1Method.CALIBRATION, b1_calibration=calibration)
    evaluate = functools.partial(compute_glucest, settings=settings)
    sizes = UncertaintySettings(
        b1_calibration_error=correction_error(calibration, tissue_known=True),
        motion_row_mm=0.0,
        motion_column_mm=0.0,
        motion_deg=0.0,
    )
    for draw in range(FEW):
        rough = noisy(one, 60.0, 100 * seed + draw)
        uncertainty = error_budget(
            rough.images,
            rough.fields,
            evaluate=evaluate,
            regions=rough.regions,
            indices=INDICES,
            settings=sizes,
            tissue=shares,
        )
        glucest = evaluate(rough.images, rough.fields, tissue_fractions=shares)
        yield _stated(slice_errors(rough, glucest), uncertainty, (0.0, 0.0))


def _stated(errors, uncertainty, truths):
    """Error, noise, the standard error that the product states, and truth of each index.

    It states all terms but the place of the region.
    """
    budgets = [uncertainty.indices[name] for name in INDICES]
    return [
        [error, budget.noise, Confidence(budgets={"index": budget}).standard_error("index"), truth]
        for error, budget, truth in zip(errors, budgets, truths, strict=True)
    ]


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
