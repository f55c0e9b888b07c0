"""The header facts that decisions rest on, without pixels and without the person."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

PRIVATE_KEY: Final = re.compile(r"\((?P<group>[0-9A-Fa-f]{4}),(?P<element>[0-9A-Fa-f]{2})\)\|.+")
"""Form of the key of a private element: group, element within its block, creator."""


@dataclass(frozen=True, kw_only=True)
class InstanceFacts:
    """What one instance, or one frame of a multi-frame MR object, says about itself.

    Parameters
    ----------
    sop_instance_uid, sop_class_uid, series_instance_uid, study_instance_uid
        The identifiers; the SOP Instance UID is the only key of an instance.
    frame
        Number of the frame, from 1, when the facts are those of one frame; None for the
        instance as a whole.
    patient_key
        Keyed hash of the patient identifiers: tells patients apart without naming them.
    number_of_frames
        Frames of the instance; 1 for a classic image.
    rows, columns
        Size of a stored frame; 0 for an object without pixels.
    values
        Decoded values by element: ``EchoTime``, ``(0065,2D)|Image Private Header``, or for the
        items of a sequence ``RealWorldValueMappingSequence.RealWorldValueSlope``. Elements of
        functional groups stand under their own keyword, as if the frame were a classic image.
        Elements that identify the person are left out.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    frame: int | None
    patient_key: str
    number_of_frames: int
    rows: int
    columns: int
    values: Mapping[str, tuple[str, ...]] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def all(self, element: str) -> tuple[str, ...]:
        """All values of `element`; empty when it is absent or empty."""
        return self.values.get(element, ())

    def first(self, element: str) -> str | None:
        """First value of `element` that is not empty, None when there is none."""
        return next((value for value in self.all(element) if value), None)

    def number(self, element: str) -> float | None:
        """First value of `element` as a number, None when there is none."""
        text = self.first(element)
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            return None

    @property
    def declared_instances(self) -> int | None:
        """Instances of the series as (0054,0081) states it, None when it does not.

        The standard defines this element for PET only. United Imaging writes the number of
        instances of an MR series there (6 of 6 public series agree).
        """
        count = self.number("NumberOfSlices")
        return None if count is None or count < 1 or count != int(count) else int(count)
