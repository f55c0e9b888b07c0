"""Transients that a person leaves out, by their numbers on the page of the spectra."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from cestle.errors import InputError, ProtocolError
from cestle.mrs.series import MegaSeries

LEFT_OUT: Final = "left out by a person"
"""Why such a transient was rejected."""

_RANGE: Final = re.compile(r"(?P<first>[0-9]{1,5})(?:-(?P<last>[0-9]{1,5}))?")


def read_numbers(text: str) -> tuple[int, ...]:
    """Numbers from a list such as ``1,4-7``; none from ``none``.

    Raises
    ------
    InputError
        When the text is no such list.
    """
    if text.strip().lower() == "none":
        return ()
    numbers: set[int] = set()
    for part in text.split(","):
        found = _RANGE.fullmatch(part.strip())
        first = int(found["first"]) if found else 0
        last = int(found["last"] or first) if found else 0
        if not 1 <= first <= last:
            raise InputError(
                f"'{text[:80]}' is no list of transients, expected numbers from 1 and rising "
                "ranges, such as 1,4-7, as the page of the spectra counts them"
            )
        numbers.update(range(first, last + 1))
    return tuple(sorted(numbers))


def numbers_text(numbers: Sequence[int]) -> str:
    """Rising numbers as a short list, such as ``1,4-7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


def require_transients(numbers: Sequence[int], series: MegaSeries | None) -> None:
    """Check that a series has the transients that are to be left out.

    Parameters
    ----------
    numbers
        From 1, in the order of acquisition.
    series
        The acquisition; None when there is none.

    Raises
    ------
    ProtocolError
        When it has not.
    """
    if not numbers:
        return
    if series is None or series.averaged or len(series.fids) == 0:
        what = "no readable spectra" if series is None else "averages made by the scanner"
        raise ProtocolError(
            f"transients {numbers_text(numbers)} are to be left out, but the study holds {what}; "
            "single transients were expected. Ask for it without them."
        )
    if max(numbers) > len(series.fids):
        raise ProtocolError(
            f"transients {numbers_text(numbers)} are to be left out, but the series has "
            f"{len(series.fids)}; numbers from 1 to {len(series.fids)} were expected. Look them "
            "up on the page of the spectra."
        )


def without(series: MegaSeries, numbers: Sequence[int]) -> MegaSeries:
    """The series with nothing in these transients, so that no step hears them.

    Raises
    ------
    ProtocolError
        When the series does not have them.
    """
    require_transients(numbers, series)
    if not numbers:
        return series
    fids = series.fids.copy()
    fids[np.array(numbers) - 1] = 0.0
    return replace(series, fids=fids)
