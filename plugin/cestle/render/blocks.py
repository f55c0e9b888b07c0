"""Blocks of text and the quality light, which every page has."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, kw_only=True)
class TextBlock:
    """A heading and its lines."""

    title: str
    lines: tuple[str, ...]


class Light(StrEnum):
    """State of the quality light; its word stands beside it, so that colour is not needed."""

    PASS = "pass"  # noqa: S105 the word of the state
    WARN = "warn"
    FAIL = "fail"
    NONE = "none"
