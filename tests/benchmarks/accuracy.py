"""Error of the indices on the phantom, every method beside every other.

The scored phantom is never the model behind the shipped B1 calibration: other water, semisolid
and amines (`cestle.phantom.tissues` against `cestle.phantom.calibration`), and two further
chemistries. Noise-free rows show the error of a method, noisy rows what is left of it.
"""

from dataclasses import replace

import numpy as np

from benchmarks.slices import (
    CHEMISTRIES,
    SEQUENCE,
    index_errors,
    make,
    noisy,
    published,
    shares_from_t1,
    voxel_errors,
)
from cestle.cest.b0 import B0Method
from cestle.cest.b1 import B1Method, TissueCurve
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps
from cestle.cest.tissue import TissueClass
from cestle.config.calibration import load_calibration
from cestle.config.templates import shipped_templates_dir
from cestle.phantom.calibration import b1_curves

SEEDS = range(1, 11)
DRAWS = 4
GOAL_DRAWS = 20
NOMINAL = (1.0, 1.0)
SPREAD = (0.7, 1.2)
SHIPPED = shipped_templates_dir() / "calibration" / "jupiter_5t_glucest_model.yaml"
NO, T1, TRUE = "no shares", "shares from the T1", "true shares"
HEADER = f"{'method':<40}{'noise-free':>18}{'SNR 60':>18}{'voxel GM / WM [pp]':>22}"


def lines():
    """Tables of the B0 methods, of the B1 methods, and of the goals."""
    yield f"mean |error| of (L−R)/(L+R), hippocampus / amygdala; {len(SEEDS)} field seeds"
    for chemistry in CHEMISTRIES:
        yield ""
        yield f"B0 within ±0.3 ppm, B1 = 1, chemistry: {chemistry.name}; goal noise-free 0.002"
        yield HEADER
        for method in B0Method:
            settings = GluCestSettings(b0_method=method)
            yield _row(str(method), chemistry, NOMINAL, settings)
        yield _row(
            "pooled, tissue shares known",
            chemistry,
            NOMINAL,
            GluCestSettings(b0_method=B0Method.POOLED),
            shares=TRUE,
        )
    for chemistry in CHEMISTRIES:
        yield ""
        yield f"B1 from 0.7 to 1.2, B0 pooled, chemistry: {chemistry.name}"
        yield HEADER
        for name, settings, shares in _b1_variants(chemistry):
            yield _row(name, chemistry, SPREAD, settings, shares=shares)
    yield from _share_errors()
    yield from _goals()
    yield from _field_map_noise()


def _share_errors():
    """How far the shares from the T1 are from the truth of the slice."""
    one, found = make(1), shares_from_t1()
    brain = one.tissue.grey + one.tissue.white + one.tissue.fluid
    structures = sum(one.regions.values())
    yield ""
    yield "shares from a T1 of 0.8 mm, 2 % noise, 40 % shading, against the truth"
    yield f"{'tissue':<10}{'mean |error| brain':>20}{'structures':>14}{'bias structures':>18}"
    for tissue in TissueClass:
        error = found.of(tissue) - one.tissue.of(tissue)
        yield (
            f"{tissue!s:<10}{np.average(np.abs(error), weights=brain):>20.3f}"
            f"{np.average(np.abs(error), weights=structures):>14.3f}"
            f"{np.average(error, weights=structures):>+18.3f}"
        )


def _goals():
    """Rows of the numeric goals that noise decides, for the shipped file."""
    yield ""
    yield f"shipped model file, B1 from 0.7 to 1.2, chemistry: phantom; {GOAL_DRAWS} draws by SNR"
    for snr, goal in ((100.0, "0.006 / 0.008"), (60.0, "0.009 / 0.012"), (30.0, "0.017 / 0.022")):
        for method, shares in (
            (B0Method.QUADRATIC, NO),
            (B0Method.POOLED, NO),
            (B0Method.POOLED, T1),
        ):
            errors = []
            for seed in SEEDS:
                one = make(seed, b1=SPREAD)
                for draw in range(GOAL_DRAWS):
                    settings = _shipped(B1Method.CALIBRATION, b0_method=method)
                    rough = noisy(one, snr, 100 * seed + draw)
                    errors.append(_errors(rough, settings, shares=shares))
            words = f"{method!s}, {shares}"
            yield f"SNR {snr:<6g}{words:<32}{_pair(errors):>18}   goal {goal}"


def _field_map_noise():
    """What smoothing of the B0 map gains when the map is noisy."""
    yield ""
    yield "noise of the B0 map, images noise-free, B1 = 1, B0 pooled"
    for hertz in (1.0, 3.0, 6.0):
        found = {False: [], True: []}
        for seed in SEEDS:
            one = make(seed)
            generator = np.random.default_rng([seed, 0xB0])
            noise = generator.normal(scale=hertz / one.images.f0_mhz, size=one.images.grid.shape)
            fields = FieldMaps(
                b0_shift_ppm=one.fields.b0_shift_ppm + noise,
                relative_b1=one.fields.relative_b1,
                grid=one.fields.grid,
            )
            for smooth, errors in found.items():
                settings = GluCestSettings(b0_method=B0Method.POOLED, smooth_b0=smooth)
                errors.append(_errors(replace(one, fields=fields), settings))
        as_is, smoothed = (_pair(found[smooth]) for smooth in (False, True))
        yield f"{hertz:g} Hz        as it is {as_is:>18}   smoothed {smoothed:>18}"


def _b1_variants(chemistry):
    """Name, settings and where tissue shares come from."""
    plain = GluCestSettings(b0_method=B0Method.POOLED)
    site = _site_calibration(chemistry)
    yield "none", plain, NO
    yield "divide", replace(plain, b1_method=B1Method.DIVIDE), NO
    for shares, words in ((NO, ""), (T1, ", shares from T1"), (TRUE, ", true shares")):
        yield f"additive, model file{words}", _shipped(B1Method.ADDITIVE), shares
        yield f"calibration, model file{words}", _shipped(B1Method.CALIBRATION), shares
        for method in (B1Method.ADDITIVE, B1Method.CALIBRATION):
            settings = replace(plain, b1_method=method, b1_calibration=site)
            yield f"{method}, site file{words}", settings, shares


def _shipped(method, b0_method=B0Method.POOLED):
    return GluCestSettings(
        b0_method=b0_method, b1_method=method, b1_calibration=load_calibration(SHIPPED)
    )


def _site_calibration(chemistry):
    """A calibration without error of the chemistry that is scored."""
    shipped = load_calibration(SHIPPED)
    curves = b1_curves(
        (chemistry.grey, chemistry.white, published.CEREBROSPINAL_FLUID),
        shipped.relative_b1,
        target_ppm=shipped.target_offset_ppm,
        sequence=SEQUENCE,
    )
    tissues = (TissueClass.GREY, TissueClass.WHITE, TissueClass.FLUID)
    return replace(
        shipped,
        name="site",
        curves={
            tissue: TissueCurve(
                negative=curve.nominal_negative * curve.negative,
                positive=curve.nominal_positive * curve.positive,
            )
            for tissue, curve in zip(tissues, curves, strict=True)
        },
    )


def _row(name, chemistry, b1, settings, *, shares=NO):
    clean, rough, voxels = [], [], []
    for seed in SEEDS:
        one = make(seed, b1=b1, chemistry=chemistry)
        clean.append(_errors(one, settings, shares=shares))
        voxels.append(voxel_errors(one, _map(one, settings, shares=shares)))
        rough += [
            _errors(noisy(one, 60.0, 100 * seed + draw), settings, shares=shares)
            for draw in range(DRAWS)
        ]
    grey, white = np.max(np.array(voxels), axis=0)
    return f"{name:<40}{_pair(clean):>18}{_pair(rough):>18}{grey:>14.3f} / {white:.3f}"


def _errors(one, settings, *, shares=NO):
    return index_errors(one, _map(one, settings, shares=shares))


def _map(one, settings, *, shares=NO):
    fractions = {NO: None, T1: shares_from_t1(), TRUE: one.tissue}[shares]
    return compute_glucest(one.images, one.fields, settings, tissue_fractions=fractions)


def _pair(errors):
    hippocampus, amygdala = np.mean(np.abs(np.array(errors)), axis=0)
    return f"{hippocampus:.4f} / {amygdala:.4f}"
