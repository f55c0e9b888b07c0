"""The tables of PS3.3 that highdicom carries: which attributes an object must and may have.

They are of a newer edition than the dictionaries of the validators in the distributions, and are
in memory already, because highdicom builds its objects after them.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from highdicom import _standard_utils
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.uid import MRImageStorage

STANDARD_EXTENDED: Final = {
    str(MRImageStorage): frozenset({"RescaleIntercept", "RescaleSlope", "RescaleType"})
}
"""Root attributes beyond an object's definition, on purpose (PS3.2 3.11.1)."""

_CONTENT_TREE: Final = "sr-document-content"
"""Describes content items of any depth as if they stood at the root; other checks read the tree."""

_FUNCTIONAL_GROUPS: Final = (
    ("SharedFunctionalGroupsSequence",),
    ("PerFrameFunctionalGroupsSequence",),
)
"""Which macro stands in which of the two is the object's choice; inside a macro, types hold."""


class _Attribute(NamedTuple):
    keyword: str
    kind: str
    path: tuple[str, ...]
    mandatory: bool


def is_part_of(sop_class_uid: str, keyword: str) -> bool:
    """Whether an object of this class may have the attribute at its root."""
    return keyword in _root_keywords(sop_class_uid)


def standard_faults(dataset: Dataset) -> tuple[str, ...]:
    """What an object lacks or has too much of, by the definition of its SOP class.

    Parameters
    ----------
    dataset
        A finished object.

    Returns
    -------
        One line for each attribute of type 1 that is absent or empty, of type 2 that is absent,
        at the root and inside sequences, and for each root attribute outside the definition;
        empty when there is nothing to object to.
    """
    sop_class = str(dataset.SOPClassUID)
    if not _attributes(sop_class):
        return (f"SOP class {sop_class} is not in the tables of the standard",)
    missing = [fault for one in _attributes(sop_class) for fault in _missing(dataset, one)]
    allowed = _root_keywords(sop_class) | STANDARD_EXTENDED.get(sop_class, frozenset())
    foreign = [
        f"{keyword_for_tag(element.tag) or element.tag} is no attribute of this object"
        for element in dataset
        if element.keyword not in allowed
    ]
    return tuple(dict.fromkeys((*missing, *foreign)))


def nested_elements(dataset: Dataset) -> Iterator[DataElement]:
    """All elements inside the sequences of a data set, at any depth."""
    for element in dataset:
        if element.VR == "SQ":
            items: Any = element.value
            for item in items or ():
                yield from _elements(item)


def _elements(item: Dataset) -> Iterator[DataElement]:
    for element in item:
        if element.VR != "SQ":
            yield element
        else:
            inner: Any = element.value
            for one in inner or ():
                yield from _elements(one)


@lru_cache(maxsize=16)
def _attributes(sop_class_uid: str) -> tuple[_Attribute, ...]:
    iod = _standard_utils.get_sop_class_iod_map().get(sop_class_uid)
    modules = _standard_utils.get_iod_module_map().get(iod or "", [])
    table = _standard_utils.get_module_attribute_map()
    return tuple(
        _Attribute(
            keyword=row["keyword"],
            kind=row["type"],
            path=tuple(row["path"]),
            mandatory=module["usage"] == "M",
        )
        for module in modules
        if module["key"] != _CONTENT_TREE
        for row in table.get(module["key"], ())
    )


@lru_cache(maxsize=16)
def _root_keywords(sop_class_uid: str) -> frozenset[str]:
    iod = _standard_utils.get_sop_class_iod_map().get(sop_class_uid)
    table = _standard_utils.get_module_attribute_map()
    return frozenset(
        row["keyword"]
        for module in _standard_utils.get_iod_module_map().get(iod or "", [])
        for row in table.get(module["key"], ())
        if not row["path"]
    )


def _missing(dataset: Dataset, attribute: _Attribute) -> Iterator[str]:
    """Places where an attribute is absent although its type demands it."""
    if attribute.kind not in ("1", "2") or attribute.path in _FUNCTIONAL_GROUPS:
        return
    if not attribute.path and not attribute.mandatory:
        return
    for item in _items(dataset, attribute.path):
        absent = attribute.keyword not in item
        if absent or (attribute.kind == "1" and item[attribute.keyword].is_empty):
            where = " > ".join((*attribute.path, attribute.keyword))
            yield f"{where} (type {attribute.kind}) is {'absent' if absent else 'empty'}"


def _items(dataset: Dataset, path: tuple[str, ...]) -> Iterator[Dataset]:
    """All data sets at the end of a path of sequences."""
    if not path:
        yield dataset
    elif path[0] in dataset:
        for item in dataset[path[0]].value or ():
            yield from _items(item, path[1:])
