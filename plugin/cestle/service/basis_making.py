"""Basis files of the MEGA-PRESS fit, from settings over the simulation to the file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cestle.config.basis import (
    BASIS_SCHEMA,
    HIGHEST_PPM,
    LOWEST_PPM,
    BasisFile,
    MetabolitePart,
    lines_table,
)
from cestle.errors import InputError
from cestle.mrs.basis import LineList
from cestle.spins.lines import Resonances
from cestle.spins.megapress import MegaPress, Slices
from cestle.spins.pulses import Pulse, PulseShape, full_width_hz
from cestle.spins.systems import GOVINDARAJU, METABOLITES, NEAR, SpinSystem

BASIS_VERSION: Final = "1"
"""Raised with every change of a number in a basis."""

SLICE_WIDTH_HZ: Final = 1360.0

_LONGEST_ID: Final = 64


class EditingShape(StrEnum):
    """Shapes of the editing pulse."""

    GAUSS = "gauss"
    SINC_GAUSS = "sinc-gauss"


class Localisation(StrEnum):
    """How slice selection is modelled."""

    IDEAL = "ideal"
    SLICES = "slices"


@dataclass(frozen=True, kw_only=True)
class BasisRecipe:
    """All that a basis depends on.

    Parameters
    ----------
    id
        Name of the basis in configuration and reports.
    preference
        Place among those that fit a measurement, the lowest first.
    frequency_mhz
        Proton frequency [MHz].
    echo_time_ms
        TE [ms].
    first_echo_ms
        Twice the time from the excitation to the first refocusing pulse [ms].
    edit_on_ppm, edit_off_ppm
        Centres of the editing pulse [ppm].
    pulse, pulse_ms
        Editing pulse: shape, and duration [ms].
    localisation
        How slice selection is modelled.
    slice_width_hz
        Width of the refocusing pulses where there are slices [Hz].
    """

    id: str
    preference: int = 100
    frequency_mhz: float
    echo_time_ms: float
    first_echo_ms: float = 12.0
    edit_on_ppm: float = 1.9
    edit_off_ppm: float = 7.5
    pulse: EditingShape = EditingShape.GAUSS
    pulse_ms: float = 14.0
    localisation: Localisation = Localisation.SLICES
    slice_width_hz: float = SLICE_WIDTH_HZ

    def __post_init__(self) -> None:
        """Refuse what a basis file cannot state.

        Raises
        ------
        InputError
            When the name has blanks, or a number is out of its range.
        """
        if not 0 < len(self.id) <= _LONGEST_ID or not all("!" <= sign <= "~" for sign in self.id):
            raise InputError(
                f"the basis is called {self.id!r}; give a --name of 1 to {_LONGEST_ID} ASCII "
                "characters without blanks."
            )
        for state, centre_ppm in (("ON", self.edit_on_ppm), ("OFF", self.edit_off_ppm)):
            if not LOWEST_PPM <= centre_ppm <= HIGHEST_PPM:
                raise InputError(
                    f"edit {state} is at {centre_ppm:g} ppm; give a shift from {LOWEST_PPM:g} to "
                    f"{HIGHEST_PPM:g} ppm."
                )
        for what, duration_ms in (
            ("the first echo", self.first_echo_ms),
            ("the editing pulse", self.pulse_ms),
        ):
            if not duration_ms > 0.0:
                raise InputError(f"{what} lasts {duration_ms:g} ms; give a duration above 0.")

    def sequence(self) -> MegaPress:
        """The sequence that is simulated.

        Raises
        ------
        InputError
            When it cannot be played out.
        """
        slices = self.localisation is Localisation.SLICES
        return MegaPress(
            frequency_mhz=self.frequency_mhz,
            echo_time_s=1e-3 * self.echo_time_ms,
            first_echo_s=1e-3 * self.first_echo_ms,
            editing=Pulse(shape=PulseShape(self.pulse), duration_s=1e-3 * self.pulse_ms),
            slices=Slices(width_hz=self.slice_width_hz) if slices else None,
        )

    @property
    def command(self) -> str:
        """The command that makes the file."""
        words = [
            "cestle simulate-basis",
            f"--frequency-mhz {self.frequency_mhz:g}",
            f"--echo-time-ms {self.echo_time_ms:g}",
            f"--first-echo-ms {self.first_echo_ms:g}",
            f"--edit-on-ppm {self.edit_on_ppm:g}",
            f"--edit-off-ppm {self.edit_off_ppm:g}",
            f"--pulse {self.pulse}",
            f"--pulse-ms {self.pulse_ms:g}",
            f"--localisation {self.localisation}",
        ]
        if self.localisation is Localisation.SLICES:
            words.append(f"--slice-hz {self.slice_width_hz:g}")
        return " ".join([*words, f"--preference {self.preference}", f"--name {self.id}"])


def _shipped(
    field: str, pulse: EditingShape, pulse_ms: float, localisation: Localisation, preference: int
) -> BasisRecipe:
    frequency_mhz, echo_time_ms = {"5t": (210.8, 72.0), "3t": (127.79, 68.0)}[field]
    shape = pulse.replace("-", "")
    return BasisRecipe(
        id=f"mega_press_{field}_te{echo_time_ms:g}_{shape}{pulse_ms:g}_{localisation}",
        preference=preference,
        frequency_mhz=frequency_mhz,
        echo_time_ms=echo_time_ms,
        pulse=pulse,
        pulse_ms=pulse_ms,
        localisation=localisation,
    )


_GAUSS, _SINC_GAUSS = EditingShape.GAUSS, EditingShape.SINC_GAUSS

SHIPPED: Final[Mapping[str, BasisRecipe]] = MappingProxyType(
    {
        recipe.id: recipe
        for recipe in (
            _shipped("5t", _GAUSS, 14.0, Localisation.SLICES, 0),
            _shipped("5t", _SINC_GAUSS, 14.0, Localisation.SLICES, 1),
            _shipped("5t", _GAUSS, 17.0, Localisation.SLICES, 2),
            _shipped("5t", _GAUSS, 14.0, Localisation.IDEAL, 3),
            _shipped("3t", _SINC_GAUSS, 14.0, Localisation.SLICES, 0),
            _shipped("3t", _GAUSS, 20.0, Localisation.SLICES, 1),
        )
    }
)
"""What `dicom_templates/basis/` holds."""


def make_basis(recipe: BasisRecipe, progress: Callable[[str], None] | None = None) -> BasisFile:
    """Simulate all metabolites.

    Parameters
    ----------
    recipe
        What for.
    progress
        Called with the name of each metabolite before its turn.

    Raises
    ------
    InputError
        When the sequence cannot be played out.
    """
    sequence = recipe.sequence()
    parts = {}
    for name, system in METABOLITES.items():
        if progress is not None:
            progress(name)
        parts[name] = _part(sequence, system, recipe)
    return BasisFile.model_validate(
        {
            "schema": BASIS_SCHEMA,
            "id": recipe.id,
            "version": BASIS_VERSION,
            "preference": recipe.preference,
            "frequency_mhz": recipe.frequency_mhz,
            "echo_time_ms": recipe.echo_time_ms,
            "first_echo_ms": recipe.first_echo_ms,
            "edit_on_ppm": recipe.edit_on_ppm,
            "edit_off_ppm": recipe.edit_off_ppm,
            "edit_pulse": str(recipe.pulse),
            "edit_pulse_ms": recipe.pulse_ms,
            "localisation": _localisation(recipe),
            "source": _source(recipe),
            "metabolites": parts,
        }
    )


def _part(sequence: MegaPress, system: SpinSystem, recipe: BasisRecipe) -> MetabolitePart:
    return MetabolitePart(
        protons=system.protons,
        edit_on=_table(sequence.resonances(system, edit_ppm=recipe.edit_on_ppm)),
        edit_off=_table(sequence.resonances(system, edit_ppm=recipe.edit_off_ppm)),
    )


def _table(lines: Resonances) -> str:
    return lines_table(LineList(shift_ppm=lines.shift_ppm, amplitude=lines.amplitude))


def _localisation(recipe: BasisRecipe) -> str:
    if recipe.localisation is Localisation.IDEAL:
        return "ideal refocusing everywhere, no slice displacement"
    return (
        f"two refocusing slices of {recipe.slice_width_hz:g} Hz with the displacement of each "
        "shift, relative to an uncoupled proton"
    )


def _source(recipe: BasisRecipe) -> str:
    width = full_width_hz(PulseShape(recipe.pulse), 1e-3 * recipe.pulse_ms)
    return (
        f"shifts and couplings: {GOVINDARAJU}; GABA: {NEAR}; editing pulse inverts {width:.0f} Hz "
        f"(FWHM), truncated at 1 %; no relaxation; made by: {recipe.command}"
    )
