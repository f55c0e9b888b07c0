"""Expected acquisitions, as named presets that state their source."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class CestProtocol:
    """A GluCEST acquisition.

    Parameters
    ----------
    name
        Name by which configuration and reports call it.
    offsets_ppm
        Saturation offsets relative to water, repeats included, in acquisition order [ppm].
    target_offset_ppm
        Offset of the amine resonance and, negated, of its reference [ppm].
    b1_rms_ut
        Root-mean-square amplitude of the saturation pulse [µT].
    saturation_s
        Duration of the saturation pulse [s].
    repetition_s
        Repetition time [s].
    source
        Where the numbers are from.
    """

    name: str
    offsets_ppm: tuple[float, ...]
    target_offset_ppm: float
    b1_rms_ut: float
    saturation_s: float
    repetition_s: float
    source: str


JUPITER_5T_GLUCEST: Final = CestProtocol(
    name="jupiter_5t_glucest",
    offsets_ppm=(-3.0, 3.0, -3.4, 3.4, -2.6, 2.6, -3.0, 3.0),
    target_offset_ppm=3.0,
    b1_rms_ut=4.0,
    saturation_s=1.0,
    repetition_s=6.0,
    source=(
        "GluCEST with one square continuous-wave pulse and 2D single-shot fast spin echo, "
        "uMR Jupiter 5T; offsets, amplitude and durations as published for 24 people with "
        "temporal lobe epilepsy and 25 controls. The acquisition order is an example."
    ),
)
