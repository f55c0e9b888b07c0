"""The self-test of the B0 map: wrong signs and scales found, and false alarms."""

from collections import Counter

from benchmarks.coverage import fields_of, rician
from cestle.cest.glucest import GluCestSettings
from cestle.cest.images import FieldMaps
from cestle.cest.selftest import check_b0_map
from cestle.phantom.study import SimulationSettings, simulate

SEEDS = range(1, 51)
FACTORS = {"right": 1.0, "sign flipped": -1.0, "half the scale": 0.5, "double the scale": 2.0}


def lines():
    """Verdicts by what was done to the map; B1 from 0.8 to 1.2, SNR 60."""
    verdicts = {name: Counter() for name in FACTORS}
    for seed in SEEDS:
        study = simulate(SimulationSettings(seed=seed, snr=None, b1_spread=0.2, t1_mm=4.0))
        images = rician(study, reference=study, snr=60.0, draw=0)
        fields = fields_of(study)
        for name, factor in FACTORS.items():
            maps = FieldMaps(
                b0_shift_ppm=fields.b0_shift_ppm * factor,
                relative_b1=fields.relative_b1,
                grid=fields.grid,
            )
            verdicts[name][check_b0_map(images, maps, GluCestSettings()).fit.value] += 1
    yield f"{len(SEEDS)} seeds; goal: wrong maps always found, no false alarm"
    for name, counts in verdicts.items():
        yield f"{name:<20}" + ", ".join(f"{word} {count}" for word, count in sorted(counts.items()))
