"""Structure, side and maker of a region, from codes first and names second."""

import re
from typing import Final

from pydicom import Dataset

from cestle.dicom.facts import plain_text
from cestle.errors import LateralityError
from cestle.measurement import Side, Structure

# SNOMED CT codes, and the older SRT codes of the same concepts (PS3.16 annex L, CID 244).
_STRUCTURE_CODES: Final = {
    ("SCT", "5366008"): Structure.HIPPOCAMPUS,
    ("SCT", "4958002"): Structure.AMYGDALA,
}
_SIDE_CODES: Final = {
    ("SCT", "7771000"): Side.LEFT,
    ("SCT", "24028007"): Side.RIGHT,
    ("SRT", "G-A101"): Side.LEFT,
    ("SRT", "G-A100"): Side.RIGHT,
}

_NOT_HIPPOCAMPUS: Final = re.compile(r"para[ _-]?hippo|海马旁|fissure", re.IGNORECASE)
_STRUCTURE_NAMES: Final = {
    Structure.HIPPOCAMPUS: re.compile(r"hippo|海马|海馬", re.IGNORECASE),
    Structure.AMYGDALA: re.compile(r"amygd|杏仁", re.IGNORECASE),
}
_SIDE_NAMES: Final = {
    Side.LEFT: re.compile(
        r"(?<!c)left(?!over)|左|(?:^|[^a-z])(?:l|lt|lh)(?:[^a-z]|$)|^l(?=hippo|amygd)",
        re.IGNORECASE,
    ),
    Side.RIGHT: re.compile(
        r"(?<![bfpw])right|右|(?:^|[^a-z])(?:r|rt|rh)(?:[^a-z]|$)|^r(?=hippo|amygd)", re.IGNORECASE
    ),
}


def structure_from_name(name: str) -> Structure | None:
    """Structure that a name such as ``L_Hippocampus`` or ``右侧杏仁核`` speaks of."""
    if _NOT_HIPPOCAMPUS.search(name):
        return None
    found = [one for one, pattern in _STRUCTURE_NAMES.items() if pattern.search(name)]
    return found[0] if len(found) == 1 else None


def side_from_name(name: str) -> Side | None:
    """The side that a name speaks of; None when it names none, or both."""
    found = [side for side, pattern in _SIDE_NAMES.items() if pattern.search(name)]
    return found[0] if len(found) == 1 else None


def _codes(item: Dataset, keyword: str) -> list[tuple[str, str, str]]:
    return [
        (
            str(code.get("CodingSchemeDesignator", "")).upper(),
            str(code.get("CodeValue", "")),
            str(code.get("CodeMeaning", "")),
        )
        for code in item.get(keyword) or []
    ]


def structure_of_segment(segment: Dataset) -> Structure | None:
    """Structure of an item of the Segment Sequence (PS3.3 C.8.20.4), by code, then by name."""
    codes = _codes(segment, "SegmentedPropertyTypeCodeSequence")
    codes += _codes(segment, "AnatomicRegionSequence")
    for scheme, value, _ in codes:
        if (scheme, value) in _STRUCTURE_CODES:
            return _STRUCTURE_CODES[scheme, value]
    names = [meaning for _, _, meaning in codes] + [str(segment.get("SegmentLabel", ""))]
    return next((one for one in map(structure_from_name, names) if one is not None), None)


def side_of_segment(segment: Dataset) -> Side | None:
    """Side of an item of the Segment Sequence, by laterality code, then by name.

    Raises
    ------
    LateralityError
        When code and name, or two names, say different sides.
    """
    coded: set[Side] = set()
    names = [str(segment.get("SegmentLabel", "")), str(segment.get("SegmentDescription", ""))]
    for keyword, modifier in (
        ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
        ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    ):
        names += [meaning for _, _, meaning in _codes(segment, keyword)]
        holders = [segment, *(segment.get(keyword) or [])]
        for holder in holders:
            for scheme, value, meaning in _codes(holder, modifier):
                side = _SIDE_CODES.get((scheme, value)) or side_from_name(meaning)
                if side is not None:
                    coded.add(side)
    named = {side for side in map(side_from_name, names) if side is not None}
    if len(coded | named) > 1:
        raise LateralityError(
            f"segment {segment.get('SegmentNumber')} is coded and named with different sides; "
            "one side was expected. Correct the segmentation."
        )
    return next(iter(coded | named), None)


def equipment(dataset: Dataset) -> str:
    """Model and software version that an object states; its maker where it states no model."""
    name = plain_text(dataset, "ManufacturerModelName") or plain_text(dataset, "Manufacturer")
    versions = dataset.get("SoftwareVersions")
    first = versions if isinstance(versions, str) else next(iter(versions or ()), "")
    return f"{name} {first}".strip()
