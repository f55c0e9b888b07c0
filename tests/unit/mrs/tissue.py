"""Prepared MEGA-PRESS spectra of a synthetic tissue that the fit's model does not describe.

Macromolecules are asymmetric and made of several Gaussians, the line is skewed, metabolites decay
at different rates, a smooth baseline and the foot of the water line lie below, and the basis may
be another one than the fit's. Areas are known.
"""

from dataclasses import dataclass, field

import numpy as np

from cestle.mrs.series import EditedSpectra, MegaProtocol

CONCENTRATIONS = {
    "GABA": 1.4,
    "Glu": 9.0,
    "Gln": 3.0,
    "GSH": 1.2,
    "NAA": 10.0,
    "NAAG": 1.5,
    "Cr": 4.5,
    "PCr": 4.0,
    "GPC": 1.1,
    "PCh": 0.6,
    "mIns": 6.0,
    "Tau": 1.5,
    "Asp": 2.0,
    "Lac": 0.5,
}
WIDTH_HZ = {"NAA": 1.4, "NAAG": 1.4, "Cr": 2.4, "PCr": 2.4, "GPC": 1.6, "PCh": 1.6}
"""Natural linewidths; 3.4 Hz for all others."""
OFF_MACROMOLECULES = (
    (0.91, 0.11, 0.06),
    (1.21, 0.13, 0.03),
    (1.39, 0.11, 0.05),
    (1.67, 0.13, 0.04),
    (2.04, 0.15, 0.07),
    (2.26, 0.14, 0.04),
    (2.56, 0.12, 0.015),
    (2.99, 0.12, 0.04),
    (3.21, 0.12, 0.02),
    (3.75, 0.20, 0.05),
    (3.98, 0.15, 0.03),
)
"""Shift [ppm], width [ppm], area relative to the tCr methyl."""
EDITED_3PPM = ((2.93, 0.10, 0.22), (2.99, 0.07, 0.38), (3.04, 0.09, 0.30), (3.12, 0.08, 0.10))
EDITED_09PPM = ((0.90, 0.09, 0.6), (0.96, 0.08, 0.4))
INVERTED = ((1.39, 0.12, 0.01), (1.67, 0.15, 0.06), (2.04, 0.17, 0.06), (2.26, 0.14, 0.03))


@dataclass(frozen=True, kw_only=True)
class Tissue:
    """What is in the voxel and how it is measured."""

    concentrations: dict = field(default_factory=lambda: dict(CONCENTRATIONS))
    mm_fraction: float = 0.55
    mm_over_09: float = 0.75
    broadening_hz: float = 5.0
    natural: float = 1.0
    skew: float = 0.3
    baseline: float = 0.1
    water_foot: float = 0.3
    lipid: float = 0.0
    noise: float = 0.004
    gain: float = 0.0
    phase_rad: float = 0.01
    shift_hz: float = 0.2
    transients: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Area ratios of the full difference over the tCr methyl of OFF."""

    gaba_cr: float
    glx_cr: float
    mm_fraction: float


def protocol(frequency_mhz=210.8, dwell_s=5e-4, te=72.0):
    """An acquisition at 5T."""
    return MegaProtocol(
        frequency_mhz=frequency_mhz,
        dwell_s=dwell_s,
        transmitter_ppm=4.7,
        echo_time_ms=te,
        repetition_time_ms=3000.0,
        edit_on_ppm=1.9,
        edit_off_ppm=7.5,
    )


def measured(basis, tissue=Tissue(), acquisition=None, points=2048):
    """Prepared spectra of both states, with what is true of them."""
    acquisition = acquisition or protocol(basis.settings.frequency_mhz)
    time = np.arange(points) * acquisition.dwell_s
    rng = np.random.default_rng(tissue.seed)
    content = tissue.concentrations
    envelope = _envelope(time, tissue)
    on = np.zeros(points, dtype=np.complex128)
    off = np.zeros(points, dtype=np.complex128)
    for name, amount in content.items():
        decay = amount * np.exp(-np.pi * tissue.natural * WIDTH_HZ.get(name, 3.4) * time)
        on += decay * basis.on[name].fid(points, acquisition)
        off += decay * basis.off[name].fid(points, acquisition)
    cr = sum(content[n] * basis.off[n].within(2.9, 3.1).area for n in ("Cr", "PCr"))
    gaba = content["GABA"] * _edited(basis, "GABA", 2.8, 3.2)
    glx = sum(content[n] * _edited(basis, n, 3.6, 3.9) for n in ("Glu", "Gln"))
    mm = tissue.mm_fraction / (1.0 - tissue.mm_fraction) * max(gaba, 0.0)
    edited = _lines(EDITED_3PPM, time, acquisition) * mm
    if mm > 0.0:
        edited += _lines(EDITED_09PPM, time, acquisition) * mm / tissue.mm_over_09
        edited -= cr * _lines(INVERTED, time, acquisition)
        off += cr * _lines(OFF_MACROMOLECULES, time, acquisition)
        on += cr * _lines(OFF_MACROMOLECULES, time, acquisition)
    on, off = (on + edited) * envelope, off * envelope
    broad = _baseline(rng, time, acquisition, tissue) * 0.05 * cr
    lipid = tissue.lipid * cr * _lipid(time, acquisition)
    on += broad + 1.3 * lipid
    off += lipid + 2.0 * _baseline(rng, time, acquisition, tissue) * 0.05 * cr
    on *= (1.0 + tissue.gain) * np.exp(1j * tissue.phase_rad + 2j * np.pi * tissue.shift_hz * time)
    return _noisy(rng, on, off, tissue, cr, acquisition), Truth(
        gaba_cr=(gaba + mm) / cr, glx_cr=glx / cr, mm_fraction=tissue.mm_fraction
    )


def _edited(basis, name, low, high):
    return basis.on[name].within(low, high).area - basis.off[name].within(low, high).area


def _envelope(time, tissue):
    width = tissue.broadening_hz
    core = np.exp(-((np.pi * width * time) ** 2) / (4.0 * np.log(2.0)))
    side = np.exp(-np.pi * 1.2 * width * time + 2j * np.pi * 0.7 * width * time)
    shape = (1.0 - tissue.skew) * core + tissue.skew * side
    # the maximum of the line is the reference of all shifts
    return shape * np.exp(-2j * np.pi * 0.12 * width * (tissue.skew / 0.3) * time)


def _lines(table, time, acquisition):
    total = np.zeros(len(time), dtype=np.complex128)
    for shift, width_ppm, area in table:
        frequency = (shift - acquisition.transmitter_ppm) * acquisition.frequency_mhz
        width = 0.8 * width_ppm * acquisition.frequency_mhz
        decay = np.exp(-((np.pi * width * time) ** 2) / (4.0 * np.log(2.0)) - time / 0.04)
        total += area * decay * np.exp(2j * np.pi * frequency * time)
    return total


def _baseline(rng, time, acquisition, tissue):
    places = ((0.6, 1.0), (1.5, 1.2), (2.6, 1.2), (3.4, 1.0), (4.2, 1.0))
    table = [(ppm, width, tissue.baseline * rng.normal()) for ppm, width in places]
    total = _lines(table, time, acquisition) * 10.0
    water = np.exp(-np.pi * 20.0 * time + 2j * np.pi * rng.normal(0.0, 5.0) * time)
    frequency = (4.7 - acquisition.transmitter_ppm) * acquisition.frequency_mhz
    phase = np.exp(2j * np.pi * rng.uniform())
    return total + tissue.water_foot * phase * water * np.exp(2j * np.pi * frequency * time)


def _lipid(time, acquisition):
    return _lines(((0.90, 0.12, 0.4), (1.28, 0.15, 1.0), (2.05, 0.15, 0.1)), time, acquisition)


def _noisy(rng, on, off, tissue, cr, acquisition):
    count = tissue.transients
    scale = tissue.noise * cr
    if count is None:
        shape = (2, len(on))
        noise = scale * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
        return EditedSpectra(
            on=on + noise[0],
            off=off + noise[1],
            transients_on=None,
            transients_off=None,
            weights_on=None,
            weights_off=None,
            pairs=None,
            protocol=acquisition,
        )
    shape = (2, count, len(on))
    noise = scale * np.sqrt(count) * (rng.normal(size=shape) + 1j * rng.normal(size=shape))
    ons, offs = on + noise[0], off + noise[1]
    weights = np.full(count, 1.0 / count)
    return EditedSpectra(
        on=ons.mean(axis=0),
        off=offs.mean(axis=0),
        transients_on=ons,
        transients_off=offs,
        weights_on=weights,
        weights_off=weights,
        pairs=np.stack([np.arange(count)] * 2, axis=1),
        protocol=acquisition,
    )
