"""What the page says of the source of the regions. Pure."""

from collections.abc import Mapping
from typing import Final

from cestle.anatomy.regions import RegionClass
from cestle.measurement import Estimate, Structure
from cestle.study.region_origin import (
    EXPECTED_OVERLAP,
    PreviousResult,
    RegionsResult,
    StructureOrigin,
    differences,
)

REGION_TEXT_KEYS: Final = frozenset(
    {
        *(f"structure_{structure}" for structure in Structure),
        *(f"regions_{one.lower()}" for one in RegionClass),
        *("regions_tool_unknown", "confidence_high", "confidence_low", "call_preliminary"),
        *("unverified_note", "previous_line", "previous_index", "previous_change"),
        *("budget_region", "method_error_unverified"),
    }
)
"""Keys of the texts that this module asks for."""


def source_lines(result: RegionsResult, text: Mapping[str, str]) -> tuple[str, ...]:
    """One line for each structure: who or what drew it."""
    return tuple(
        _source_line(structure, origin, text) for structure, origin in result.structures.items()
    )


def _source_line(structure: Structure, origin: StructureOrigin, text: Mapping[str, str]) -> str:
    return text[f"regions_{origin.region_class.lower()}"].format(
        structure=text[f"structure_{structure}"],
        tool=origin.tools or text["regions_tool_unknown"],
        overlap=f"{EXPECTED_OVERLAP[structure]:.2f}",
        confidence=text["confidence_low" if origin.doubts else "confidence_high"],
    )


def unverified_note(result: RegionsResult, text: Mapping[str, str]) -> str:
    """What stands at the pictures of unverified outlines; empty where there are none."""
    if not result.unverified:
        return ""
    names = ", ".join(text[f"structure_{one}"] for one in result.unverified)
    return text["unverified_note"].format(structures=names)


def previous_line(
    previous: PreviousResult, indices: Mapping[str, Estimate | None], text: Mapping[str, str]
) -> str:
    """The result set before beside this one."""
    changes = differences(previous, indices)
    shown = []
    for name in ("dai_glu_h_epi", "dai_glu_a_epi"):
        if name not in previous.indices:
            continue
        key = "previous_change" if name in changes else "previous_index"
        shown.append(
            text[key].format(
                index=text[f"name_{name}"],
                value=_signed(previous.indices[name]),
                change=_signed(changes.get(name, 0.0)),
            )
        )
    classes = ", ".join(
        f"{text[f'structure_{structure}']} {one}" for structure, one in previous.classes.items()
    )
    return text["previous_line"].format(
        revision=previous.revision,
        classes=classes or "–",
        indices="; ".join(shown) or text["not_available"],
    )


def _signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")
