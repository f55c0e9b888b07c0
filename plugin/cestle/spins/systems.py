"""Chemical shifts and couplings of the metabolites of brain at 37 °C and pH 7.

Values are those of Govindaraju et al., GABA those of Near et al. A few words on what is left out:
protons that exchange with water within milliseconds (OH, NH of creatine, glutathione and NAAG) are
not simulated, the amide of NAA is, since its coupling to the 4.38 ppm proton is resolved and the
OFF pulse reaches it. The amide protons of glutamine are two singlets: no coupling to the chain is
resolved, so that they leave the signals below 5 ppm as they are.

References
----------
Govindaraju V et al. NMR Biomed 2000;13:129-153.
doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V; corrigendum 2015,
doi:10.1002/nbm.3336
Near J et al. Magn Reson Med 2013;70:1183-1191. doi:10.1002/mrm.24572
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from cestle.physics import Real

GOVINDARAJU: Final = "Govindaraju 2000 doi:10.1002/1099-1492(200005)13:3<129::AID-NBM619>3.0.CO;2-V"
NEAR: Final = "Near 2013 doi:10.1002/mrm.24572"


@dataclass(frozen=True, kw_only=True)
class OtherNucleus:
    """A nucleus that is coupled to protons and that no pulse touches.

    Parameters
    ----------
    name
        Isotope.
    spin
        Its spin quantum number.
    coupling_hz
        Coupling to each proton of the group [Hz].
    """

    name: str
    spin: float
    coupling_hz: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class SpinGroup:
    """Protons that are coupled to each other and to no other proton.

    Parameters
    ----------
    shift_ppm
        Chemical shift of each proton [ppm].
    coupling_hz
        Couplings by the indices of the two protons [Hz].
    copies
        How often the group occurs; a methyl group without partners is one proton with 3.
    others
        Nuclei of other isotopes.
    """

    shift_ppm: tuple[float, ...]
    coupling_hz: Mapping[tuple[int, int], float] = field(default_factory=dict)
    copies: int = 1
    others: tuple[OtherNucleus, ...] = ()

    @property
    def protons(self) -> int:
        """Protons, all copies together."""
        return self.copies * len(self.shift_ppm)

    def coupling_matrix(self) -> Real:
        """Symmetric matrix of couplings, shape (proton, proton) [Hz]."""
        matrix = np.zeros((len(self.shift_ppm), len(self.shift_ppm)))
        for (one, other), coupling in self.coupling_hz.items():
            matrix[one, other] = matrix[other, one] = coupling
        return matrix


@dataclass(frozen=True, kw_only=True)
class SpinSystem:
    """A metabolite as groups of coupled protons.

    Parameters
    ----------
    name
        Short name, also that of the basis.
    groups
        Groups that are not coupled to each other.
    source
        Where the values are from.
    """

    name: str
    groups: tuple[SpinGroup, ...]
    source: str

    @property
    def protons(self) -> int:
        """Protons that are simulated."""
        return sum(group.protons for group in self.groups)


def _singlet(shift_ppm: float, protons: int) -> SpinGroup:
    return SpinGroup(shift_ppm=(shift_ppm,), copies=protons)


def _aspartyl(shift_ppm: tuple[float, ...], couplings: tuple[float, float, float]) -> SpinGroup:
    """CH-CH2 with the couplings to the first, to the second, and between those two protons."""
    near, far, geminal = couplings
    return SpinGroup(shift_ppm=shift_ppm, coupling_hz={(0, 1): near, (0, 2): far, (1, 2): geminal})


def _glutamyl(shift_ppm: tuple[float, ...], couplings: tuple[float, ...]) -> SpinGroup:
    """CH-CH2-CH2; couplings in the order of the pairs below."""
    pairs = ((0, 1), (0, 2), (1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))
    return SpinGroup(shift_ppm=shift_ppm, coupling_hz=dict(zip(pairs, couplings, strict=True)))


def _all_pairs(
    geminal: tuple[float, float], cross: tuple[float, ...]
) -> dict[tuple[int, int], float]:
    """Couplings of CH2-CH2: within each pair, then 0-2, 0-3, 1-2, 1-3."""
    return {
        (0, 1): geminal[0],
        (2, 3): geminal[1],
        **dict(zip(((0, 2), (0, 3), (1, 2), (1, 3)), cross, strict=True)),
    }


_GABA = SpinSystem(
    name="GABA",
    groups=(
        SpinGroup(
            shift_ppm=(2.2840, 2.2840, 1.8880, 1.8880, 3.0130, 3.0130),
            coupling_hz={
                (0, 1): -15.938,
                (0, 2): 7.678,
                (0, 3): 6.980,
                (1, 2): 6.980,
                (1, 3): 7.678,
                (2, 3): -15.000,
                (2, 4): 8.510,
                (2, 5): 6.503,
                (3, 4): 6.503,
                (3, 5): 8.510,
                (4, 5): -14.062,
            },
        ),
    ),
    source=NEAR,
)

_GLU = SpinSystem(
    name="Glu",
    groups=(
        _glutamyl(
            (3.7433, 2.0375, 2.1200, 2.3378, 2.3520),
            (7.331, 4.651, -14.849, 6.413, 8.406, 8.478, 6.875, -15.915),
        ),
    ),
    source=GOVINDARAJU,
)

_GLN = SpinSystem(
    name="Gln",
    groups=(
        _glutamyl(
            (3.7530, 2.1290, 2.1090, 2.4320, 2.4540),
            (5.847, 6.500, -14.504, 9.165, 6.347, 6.324, 9.209, -15.371),
        ),
        _singlet(6.816, 1),
        _singlet(7.529, 1),
    ),
    source=GOVINDARAJU,
)

_GSH = SpinSystem(
    name="GSH",
    groups=(
        _singlet(3.769, 2),
        _aspartyl((4.5608, 2.9264, 2.9747), (7.09, 4.71, -14.06)),
        _glutamyl(
            (3.769, 2.159, 2.146, 2.510, 2.560),
            (6.34, 6.36, -15.48, 6.7, 7.6, 7.6, 6.7, -15.92),
        ),
    ),
    source=GOVINDARAJU,
)

_NAA = SpinSystem(
    name="NAA",
    groups=(
        _singlet(2.008, 3),
        SpinGroup(
            shift_ppm=(4.3817, 2.6727, 2.4863, 7.8205),
            coupling_hz={(0, 1): 3.861, (0, 2): 9.821, (1, 2): -15.592, (0, 3): 6.400},
        ),
    ),
    source=GOVINDARAJU,
)

_NAAG = SpinSystem(
    name="NAAG",
    groups=(
        _singlet(2.042, 3),
        _aspartyl((4.607, 2.721, 2.519), (4.412, 9.515, -15.910)),
        _glutamyl(
            (4.128, 1.881, 2.049, 2.190, 2.180),
            (8.42, 4.61, -14.28, 6.09, 10.56, 11.11, 4.90, -15.28),
        ),
    ),
    source=GOVINDARAJU,
)

_GPC = SpinSystem(
    name="GPC",
    groups=(
        _singlet(3.212, 9),
        SpinGroup(
            shift_ppm=(3.605, 3.672, 3.903, 3.871, 3.946),
            coupling_hz={
                (0, 1): -14.78,
                (0, 2): 5.77,
                (1, 2): 4.53,
                (2, 3): 5.77,
                (2, 4): 4.53,
                (3, 4): -14.78,
            },
            others=(OtherNucleus(name="31P", spin=0.5, coupling_hz=(0, 0, 0, 6.03, 6.03)),),
        ),
        SpinGroup(
            shift_ppm=(4.312, 4.312, 3.659, 3.659),
            coupling_hz=_all_pairs((-9.32, -9.32), (3.10, 5.90, 5.90, 3.10)),
            others=(
                OtherNucleus(name="14N", spin=1.0, coupling_hz=(2.67, 2.67, 0, 0)),
                OtherNucleus(name="31P", spin=0.5, coupling_hz=(6.03, 6.03, 0, 0)),
            ),
        ),
    ),
    source=GOVINDARAJU,
)

_PCH = SpinSystem(
    name="PCh",
    groups=(
        _singlet(3.208, 9),
        SpinGroup(
            shift_ppm=(4.2805, 4.2805, 3.6410, 3.6410),
            coupling_hz=_all_pairs((-14.89, -14.19), (2.284, 7.231, 7.326, 2.235)),
            others=(
                OtherNucleus(name="14N", spin=1.0, coupling_hz=(2.680, 2.772, 0, 0)),
                OtherNucleus(name="31P", spin=0.5, coupling_hz=(6.298, 6.249, 0, 0)),
            ),
        ),
    ),
    source=GOVINDARAJU,
)

_MINS = SpinSystem(
    name="mIns",
    groups=(
        SpinGroup(
            shift_ppm=(3.5217, 4.0538, 3.5217, 3.6144, 3.2690, 3.6144),
            coupling_hz={
                (0, 1): 2.889,
                (0, 5): 9.998,
                (1, 2): 3.006,
                (2, 3): 9.997,
                (3, 4): 9.485,
                (4, 5): 9.482,
            },
        ),
    ),
    source=GOVINDARAJU,
)

_TAU = SpinSystem(
    name="Tau",
    groups=(
        SpinGroup(
            shift_ppm=(3.4206, 3.4206, 3.2459, 3.2459),
            coupling_hz=_all_pairs((-12.438, -12.930), (6.742, 6.464, 6.403, 6.792)),
        ),
    ),
    source=GOVINDARAJU,
)

_LAC = SpinSystem(
    name="Lac",
    groups=(
        SpinGroup(
            shift_ppm=(4.0974, 1.3142, 1.3142, 1.3142),
            coupling_hz={(0, 1): 6.933, (0, 2): 6.933, (0, 3): 6.933},
        ),
    ),
    source=GOVINDARAJU,
)

_ASP = SpinSystem(
    name="Asp",
    groups=(_aspartyl((3.8914, 2.8011, 2.6533), (3.647, 9.107, -17.426)),),
    source=GOVINDARAJU,
)

_CR = SpinSystem(name="Cr", groups=(_singlet(3.027, 3), _singlet(3.913, 2)), source=GOVINDARAJU)
_PCR = SpinSystem(name="PCr", groups=(_singlet(3.029, 3), _singlet(3.930, 2)), source=GOVINDARAJU)

METABOLITES: Final[Mapping[str, SpinSystem]] = MappingProxyType(
    {
        system.name: system
        for system in (
            _GABA,
            _GLU,
            _GLN,
            _GSH,
            _NAA,
            _NAAG,
            _CR,
            _PCR,
            _GPC,
            _PCH,
            _MINS,
            _TAU,
            _ASP,
            _LAC,
        )
    }
)
"""All that a basis holds, in the order of its files."""
