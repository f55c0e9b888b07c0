"""What is measured: sides, structures, and values with their uncertainty."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAD_TO_SD: Final = 1.482602218505602
"""Standard deviation of a normal distribution over its median absolute deviation."""


class Side(StrEnum):
    """The patient's side, never the side of the picture."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def other(self) -> "Side":
        """The opposite side."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Structure(StrEnum):
    """Structures of the medial temporal lobe that are measured."""

    HIPPOCAMPUS = "hippocampus"
    AMYGDALA = "amygdala"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A measured value and how sure we are of it.

    Parameters
    ----------
    value
        The estimate, in the unit that its name states.
    standard_error
        Standard error from image noise, same unit; None where it cannot be known.
    """

    value: float
    standard_error: float | None

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Nominal 95 % interval, value ± 1.96 standard errors."""
        if self.standard_error is None:
            return None
        half = 1.959963984540054 * self.standard_error
        return (self.value - half, self.value + half)
