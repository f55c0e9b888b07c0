"""Phantom slices for scoring: one head, many fields, any tissue constants, truth beside them."""

from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from cestle.anatomy.tissue_segmentation import segment_tissues
from cestle.cest.images import FieldMaps, SaturationImages
from cestle.cest.tissue import TissueFractions
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.phantom import tissues as published
from cestle.phantom.fields import head_fields
from cestle.phantom.head import REGION_LABELS, Head, Label, fractions_on
from cestle.phantom.spectra import mixed_signals
from cestle.phantom.study import (
    SimulationSettings,
    cest_grid,
    saturation_sequence,
    simulate,
)
from cestle.phantom.tissues import with_contrast
from cestle.protocol import JUPITER_5T_GLUCEST

SETTINGS = SimulationSettings()
SEQUENCE = saturation_sequence(SETTINGS)
CONTRAST = {Structure.HIPPOCAMPUS: 9.0, Structure.AMYGDALA: 8.5}
STRUCTURES = {"h": Structure.HIPPOCAMPUS, "a": Structure.AMYGDALA}


@dataclass(frozen=True, kw_only=True)
class Chemistry:
    """Tissue constants of a scoring phantom."""

    name: str
    grey: object
    white: object


def _changed(tissue, *, solid, t2, amines_per_s, amines):
    """`tissue` with its semisolid, T2 and amines changed by factors, the exchange set."""
    pools = tuple(
        replace(pool, exchange_per_s=amines_per_s, fraction=amines * pool.fraction)
        if pool.name == "other amines"
        else pool
        for pool in tissue.pools
    )
    semisolid = replace(tissue.semisolid, fraction=solid * tissue.semisolid.fraction)
    return replace(tissue, pools=pools, t2_s=t2 * tissue.t2_s, semisolid=semisolid)


CHEMISTRIES = (
    Chemistry(name="phantom", grey=published.GREY_MATTER, white=published.WHITE_MATTER),
    Chemistry(
        name="less MT, slower",
        grey=_changed(published.GREY_MATTER, solid=0.75, t2=1.2, amines_per_s=3500.0, amines=0.45),
        white=_changed(
            published.WHITE_MATTER, solid=0.75, t2=1.2, amines_per_s=3500.0, amines=0.45
        ),
    ),
    Chemistry(
        name="more MT, faster",
        grey=_changed(published.GREY_MATTER, solid=1.3, t2=0.85, amines_per_s=8000.0, amines=1.6),
        white=_changed(published.WHITE_MATTER, solid=1.3, t2=0.85, amines_per_s=8000.0, amines=1.6),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """One phantom slice and what is true of it."""

    images: SaturationImages
    fields: FieldMaps
    tissue: TissueFractions
    regions: dict
    true_percent: np.ndarray
    shares: np.ndarray


@cache
def geometry():
    """Grid and label shares of the one head."""
    grid = cest_grid(SETTINGS)
    return grid, fractions_on(grid, Head())


@cache
def shares_from_t1():
    """Tissue shares from a T1 of 0.8 mm with noise and 40 % of shading, not from the truth."""
    grid, _ = geometry()
    study = simulate(replace(SETTINGS, t1_mm=0.8))
    ramps = [np.linspace(-0.5, 0.5, size) for size in study.t1.shape]
    shading = ramps[0][:, None, None] + ramps[1][:, None] ** 2 + 0.5 * ramps[2]
    low, high = shading.min(), shading.max()
    t1 = study.t1 * (1.0 - 0.4 * (shading - low) / (high - low))
    # the T1 of another session would be refused; here it is of this head
    place = replace(study.t1_grid, frame_of_reference_uid=grid.frame_of_reference_uid)
    found = segment_tissues(t1, place, grid)
    return TissueFractions(grey=found.grey, white=found.white, fluid=found.fluid)


@cache
def _places(grid: Grid):
    index = np.indices(grid.shape, dtype=np.float64)
    return grid.to_lps(np.moveaxis(index, 0, -1))


@cache
def _tissues(chemistry, dai_h, dai_a):
    """Tissue of each label, the structures at the contrast and asymmetry asked for."""
    found = {
        Label.SCALP: replace(chemistry.white, name="scalp", proton_density=0.35),
        Label.FLUID: published.CEREBROSPINAL_FLUID,
        Label.GREY: chemistry.grey,
        Label.WHITE: chemistry.white,
    }
    for structure, t1_s, dai in (
        (Structure.HIPPOCAMPUS, 1.45, dai_h),
        (Structure.AMYGDALA, 1.43, dai_a),
    ):
        base = replace(chemistry.grey, name=str(structure), t1_s=t1_s)
        for side, sign in ((Side.LEFT, 1.0), (Side.RIGHT, -1.0)):
            found[REGION_LABELS[structure, side]] = with_contrast(
                base,
                CONTRAST[structure] * (1.0 + sign * dai),
                target_ppm=JUPITER_5T_GLUCEST.target_offset_ppm,
                sequence=SEQUENCE,
            )
    return found


@lru_cache(maxsize=64)
def make(seed, *, b1=(1.0, 1.0), chemistry=CHEMISTRIES[0], b0_range_ppm=0.3, b1_scale=1.0):
    """A noise-free slice with B1 running from the first to the second value over the brain."""
    grid, shares = geometry()
    tissues = _tissues(chemistry, 0.02 * (seed % 5 - 2), 0.02 * (seed % 3 - 1))
    mixture = [(tissue, shares[label]) for label, tissue in tissues.items()]
    fields = head_fields(seed, b0_range_ppm=b0_range_ppm, b1_spread=0.5 * (b1[1] - b1[0]))
    places = _places(grid)
    shift = fields.b0_shift_ppm(places)
    relative = (fields.relative_b1(places) - 1.0 + 0.5 * (b1[0] + b1[1])) * b1_scale
    offsets = np.array(JUPITER_5T_GLUCEST.offsets_ppm)
    common = {"sequence": SEQUENCE}
    clean = mixed_signals(
        mixture, offsets_ppm=offsets, b0_shift_ppm=shift, relative_b1=relative, **common
    )
    pair = mixed_signals(
        mixture,
        offsets_ppm=np.array([-3.0, 3.0]),
        b0_shift_ppm=np.zeros(grid.shape),
        relative_b1=np.ones(grid.shape),
        **common,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        true_percent = 100.0 * (pair[0] - pair[1]) / pair[0]
    structures = list(REGION_LABELS.values())
    return Slice(
        images=SaturationImages(
            signal=clean, offsets_ppm=offsets, grid=grid, f0_mhz=SETTINGS.f0_mhz
        ),
        fields=FieldMaps(b0_shift_ppm=shift, relative_b1=relative, grid=grid),
        tissue=TissueFractions(
            grey=shares[Label.GREY] + shares[structures].sum(axis=0),
            white=shares[Label.WHITE],
            fluid=shares[Label.FLUID],
        ),
        regions={
            f"{structure}_{side}": shares[label]
            for (structure, side), label in REGION_LABELS.items()
        },
        true_percent=true_percent,
        shares=shares,
    )


def noisy(one, snr, seed):
    """`one` with Rician noise; SNR is that of S(−3 ppm) in the structures."""
    clean = one.images.signal
    weight = sum(one.regions.values())
    reference = int(np.argmin(np.abs(one.images.offsets_ppm + 3.0)))
    level = np.average(clean[reference], weights=weight)
    generator = np.random.default_rng([seed, 0x5EED])
    channels = generator.normal(scale=level / snr, size=(2, *clean.shape))
    signal = np.hypot(clean + channels[0], channels[1])
    images = SaturationImages(
        signal=signal,
        offsets_ppm=one.images.offsets_ppm,
        grid=one.images.grid,
        f0_mhz=one.images.f0_mhz,
    )
    return replace(one, images=images)


def index_errors(one, glucest):
    """Error of the hippocampal and the amygdalar index (L−R)/(L+R) of a map."""
    return [_index(one, glucest, s) - _true_index(one, s) for s in STRUCTURES.values()]


def voxel_errors(one, glucest):
    """Largest error in nearly pure grey and white matter within the mask [pp]."""
    error = np.abs(glucest.percent - one.true_percent)
    return [
        float(np.max(error[glucest.valid & (share > 0.95)]))
        for share in (one.tissue.grey, one.tissue.white)
    ]


def _index(one, glucest, structure):
    means = []
    for side in Side:
        weight = one.regions[f"{structure}_{side}"] * glucest.valid
        means.append(np.average(np.nan_to_num(glucest.percent), weights=weight))
    return (means[0] - means[1]) / (means[0] + means[1])


def _true_index(one, structure):
    means = []
    for side in Side:
        weight = one.regions[f"{structure}_{side}"]
        means.append(np.average(np.nan_to_num(one.true_percent), weights=weight))
    return (means[0] - means[1]) / (means[0] + means[1])
