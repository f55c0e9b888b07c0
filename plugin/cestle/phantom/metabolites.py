"""What a spectrum of the hippocampus is made of, with relaxation times at 5 T.

==================  =========================  ==============================================
quantity            value                      source
==================  =========================  ==============================================
GABA, Glu, Gln,     1.4, 9, 3 and 8.5 mM       usual values of grey matter
Cr + PCr
other metabolites   see the table              within the ranges of the adult hippocampus;
                                               they only have to look right
T2                  Cr 130 ms, NAA 200 ms,     between published values at 3 T and 7 T, where
                    choline 190 ms, GABA       those exist; the rest are estimates. No
                    85 ms, Glu 135 ms          relaxometry at 5 T is published
T1                  1.2 to 1.5 s               likewise; at TR 3 s they hardly matter
==================  =========================  ==============================================

The sclerotic hippocampus has lost neurons and gained glia: less NAA and glutamate, more
myo-inositol and choline, some lactate. Its numbers are an example, not a finding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np


class HippocampalTissue(StrEnum):
    """State of the hippocampus in the voxel."""

    HEALTHY = "healthy"
    SCLEROTIC = "sclerotic"


@dataclass(frozen=True, kw_only=True)
class Metabolite:
    """How much there is, and how it relaxes.

    Parameters
    ----------
    concentration_mm
        Concentration [mM].
    t1_s, t2_s
        Relaxation times [s].
    """

    concentration_mm: float
    t1_s: float
    t2_s: float

    def weight(self, *, echo_time_s: float, repetition_time_s: float) -> float:
        """Signal of a proton at the start of the acquisition, concentration included [mM]."""
        recovered = 1.0 - np.exp(-repetition_time_s / self.t1_s)
        return float(self.concentration_mm * recovered * np.exp(-echo_time_s / self.t2_s))


_T1_T2_S: Final = {
    "GABA": (1.30, 0.085),
    "Glu": (1.25, 0.135),
    "Gln": (1.30, 0.140),
    "GSH": (0.90, 0.110),
    "NAA": (1.45, 0.200),
    "NAAG": (1.20, 0.150),
    "Cr": (1.45, 0.130),
    "PCr": (1.45, 0.130),
    "GPC": (1.25, 0.190),
    "PCh": (1.25, 0.190),
    "mIns": (1.25, 0.150),
    "Tau": (1.80, 0.130),
    "Asp": (1.30, 0.100),
    "Lac": (1.50, 0.200),
}

_CONCENTRATION_MM: Final = {
    HippocampalTissue.HEALTHY: {
        "GABA": 1.4, "Glu": 9.0, "Gln": 3.0, "GSH": 1.4, "NAA": 9.0, "NAAG": 1.2, "Cr": 4.5,
        "PCr": 4.0, "GPC": 1.1, "PCh": 0.7, "mIns": 7.0, "Tau": 1.5, "Asp": 1.5, "Lac": 0.6,
    },
    HippocampalTissue.SCLEROTIC: {
        "GABA": 1.2, "Glu": 7.0, "Gln": 3.4, "GSH": 1.6, "NAA": 5.8, "NAAG": 0.9, "Cr": 4.7,
        "PCr": 4.1, "GPC": 1.4, "PCh": 0.9, "mIns": 9.5, "Tau": 1.7, "Asp": 1.3, "Lac": 1.6,
    },
}  # fmt: skip


def metabolites(tissue: HippocampalTissue) -> Mapping[str, Metabolite]:
    """The metabolites of a tissue by the name that a basis gives them."""
    found = {}
    for name, concentration_mm in _CONCENTRATION_MM[tissue].items():
        t1_s, t2_s = _T1_T2_S[name]
        found[name] = Metabolite(concentration_mm=concentration_mm, t1_s=t1_s, t2_s=t2_s)
    return MappingProxyType(found)
