"""Broad signals under the metabolites: macromolecules, lipid, and a smooth remainder.

Macromolecules have several components of unequal width under each peak, as measurements of
edited macromolecules show them; a fit with one Gaussian per peak is told something else. Those at
3.0, 0.93 and, faintly, 3.75 ppm appear in the difference because their coupling partners near
1.7 to 2.2 ppm are edited; those partners are saturated by the edit-ON pulse, which leaves negative
signals in the difference. Amounts at TE 72 ms are relative to the creatine methyl; no measurement
at 5 T is published, so they are estimates.

References
----------
Cudalbu C et al. NMR Biomed 2021;34:e4393. doi:10.1002/nbm.4393 (positions)
Craven AR et al. Magn Reson Med 2024. doi:10.1002/mrm.30158 (shape and share of the edited signal)
"""

from typing import Final

import numpy as np

from cestle.phantom.signals import Axis, Pair
from cestle.physics import Complex

# centre [ppm], area in OFF, what the edit-ON pulse leaves of it, width [ppm]
_GROUPS: Final = (
    (0.92, 0.100, 1.00, 0.10),
    (1.21, 0.050, 1.00, 0.09),
    (1.39, 0.090, 0.90, 0.12),
    (1.67, 0.060, 0.15, 0.12),
    (2.04, 0.110, 0.00, 0.14),
    (2.26, 0.060, 0.60, 0.13),
    (2.56, 0.020, 1.00, 0.10),
    (2.70, 0.020, 1.00, 0.08),
    (2.98, 0.030, 1.00, 0.10),
    (3.21, 0.030, 1.00, 0.11),
    (3.62, 0.030, 1.00, 0.10),
    (3.75, 0.045, 1.00, 0.10),
    (3.86, 0.030, 1.00, 0.10),
    (4.03, 0.030, 1.00, 0.10),
)
# peaks of the difference: centre, area over that at 3.0 ppm, components (share, shift, width)
_THREE: Final = ((0.60, -0.015, 0.075), (0.28, 0.045, 0.060), (0.12, -0.085, 0.095))
_EDITED: Final = (
    (2.99, 1.00, _THREE),
    (0.92, 1.50, ((0.68, -0.010, 0.085), (0.32, 0.055, 0.110))),
    (3.75, 0.06, ((0.70, 0.000, 0.080), (0.30, 0.050, 0.100))),
)
_T2_S: Final = 0.030
_LIPID_T2_S: Final = 0.050
_ECHO_S: Final = 0.072
_LIPID: Final = (
    (1.29, 1.00, 0.10),
    (0.89, 0.35, 0.12),
    (1.59, 0.10, 0.12),
    (2.04, 0.12, 0.12),
    (2.25, 0.10, 0.12),
    (2.77, 0.05, 0.10),
    (5.33, 0.10, 0.10),
)


def unedited(axis: Axis, generator: np.random.Generator, *, echo_time_s: float) -> Pair:
    """Macromolecules of OFF, and of ON what its editing pulse leaves of them."""
    echo = np.exp((_ECHO_S - echo_time_s) / _T2_S)
    on = np.zeros(len(axis.time_s), dtype=np.complex128)
    off = on.copy()
    for centre_ppm, area, kept, width_ppm in _GROUPS:
        line = axis.line(
            centre_ppm + generator.normal(scale=0.006),
            area=echo * area * generator.uniform(0.8, 1.2),
            width_ppm=width_ppm * generator.uniform(0.85, 1.15),
            t2_s=_T2_S,
        )
        off += line
        on += kept * line
    return Pair(on=on, off=off)


def co_edited(axis: Axis, generator: np.random.Generator) -> tuple[Complex, Complex]:
    """Difference signal of the macromolecules whose partners are edited.

    Returns
    -------
        The peak at 3.0 ppm, of area 1, and the others in proportion, each of shape (point,).
    """
    peaks: list[Complex] = []
    for centre_ppm, area, components in _EDITED:
        share = np.array([part[0] for part in components]) * generator.uniform(
            0.85, 1.15, size=len(components)
        )
        share *= area * (1.0 if not peaks else generator.uniform(0.85, 1.15)) / share.sum()
        peak = np.zeros(len(axis.time_s), dtype=np.complex128)
        for part, (_, shift_ppm, width_ppm) in zip(share, components, strict=True):
            peak += axis.line(
                centre_ppm + shift_ppm + generator.normal(scale=0.006),
                area=part,
                width_ppm=width_ppm * generator.uniform(0.9, 1.1),
                t2_s=_T2_S,
            )
        peaks.append(peak)
    return peaks[0], np.sum(peaks[1:], axis=0)


def lipid(axis: Axis, generator: np.random.Generator) -> Complex:
    """Fat from outside of the voxel with 1 at 1.3 ppm, in a phase and a field of its own."""
    phase = np.exp(1j * generator.uniform(-np.pi, np.pi))
    shift_ppm = generator.normal(scale=0.035)
    signal = np.zeros(len(axis.time_s), dtype=np.complex128)
    for centre_ppm, area, width_ppm in _LIPID:
        signal += axis.line(
            centre_ppm + shift_ppm, area=area * phase, width_ppm=width_ppm, t2_s=_LIPID_T2_S
        )
    return signal


def remainder(axis: Axis, generator: np.random.Generator) -> Pair:
    """Smooth baseline of a few very broad lines, mostly but not wholly equal in both states."""
    on = np.zeros(len(axis.time_s), dtype=np.complex128)
    off = on.copy()
    for centre_ppm in generator.uniform(0.3, 4.3, size=5):
        area, extra = generator.normal(scale=(0.25, 0.05))
        phase = np.exp(1j * generator.normal(scale=0.4))
        wave = phase * axis.line(
            centre_ppm, area=1.0, width_ppm=generator.uniform(0.5, 1.6), t2_s=np.inf
        )
        off += area * wave
        on += (area + extra) * wave
    return Pair(on=on, off=off)


def rolling(axis: Axis, generator: np.random.Generator) -> Pair:
    """Slow waves over the whole spectrum, of amplitude 1, as an echo in the first points makes."""
    index = np.arange(len(axis.time_s))
    on = np.zeros(len(index), dtype=np.complex128)
    off = on.copy()
    for centre in generator.uniform(2.5, 8.0, size=2):
        bump = np.exp(-0.5 * ((index - centre) / 0.9) ** 2)
        bump = bump / bump.sum() * np.exp(1j * generator.uniform(-np.pi, np.pi)) / np.sqrt(2.0)
        off += bump
        on += bump * (1.0 + 0.15 * generator.normal() + 0.15j * generator.normal())
    return Pair(on=on, off=off)
