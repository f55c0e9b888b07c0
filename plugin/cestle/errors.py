"""Every error that cestle raises on purpose.

::

    CestleError
    ├── ConfigError            node.toml or a template cannot be used
    ├── InputError             what arrived cannot be used
    │   ├── HeaderError        an element is missing, unreadable or contradicts another
    │   ├── GeometryError      grids that must agree do not
    │   ├── ProtocolError      the acquisition is not the one that the rules describe
    │   └── LateralityError    the stated side contradicts the geometry
    ├── NumericalError         a computation has no trustworthy answer
    ├── ConformanceError       no object of a study fits the standard
    ├── SpoolError             the store cannot keep an instance safely
    └── DeliveryError          a destination did not take an object

A message says what was found, what was expected and what to do. It may name UIDs, never a
person. Errors that reach a DIMSE handler carry the status to answer with.
"""

from typing import ClassVar


class CestleError(Exception):
    """Base of all errors raised on purpose."""

    dimse_status: ClassVar[int] = 0xC000
    """DIMSE status a C-STORE handler answers with (PS3.4 table B.2-1)."""


class ConfigError(CestleError):
    """The configuration or a template cannot be used."""


class InputError(CestleError):
    """What arrived cannot be used."""


class HeaderError(InputError):
    """An element is missing, unreadable or contradicts another one."""

    dimse_status = 0xA900


class GeometryError(InputError):
    """Grids that must agree do not."""


class ProtocolError(InputError):
    """The acquisition is not the one that the rules describe."""


class NoRegionError(ProtocolError):
    """An object with regions holds none of the structures that are measured."""


class LateralityError(InputError):
    """The stated side contradicts the geometry."""


class NumericalError(CestleError):
    """A computation has no trustworthy answer."""


class ConformanceError(CestleError):
    """No object of a study fits the standard, so that nothing can be sent."""


class SpoolError(CestleError):
    """The store cannot keep an instance safely."""

    dimse_status = 0xA700


class DeliveryError(CestleError):
    """A destination did not take an object.

    Parameters
    ----------
    message
        What was found, what was expected, what to do.
    permanent
        True when a repeat cannot help, so that no retry is made.
    limited
        True when a few repeats may help, but the destination is there and answers.
    """

    def __init__(self, message: str, *, permanent: bool, limited: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.limited = limited
