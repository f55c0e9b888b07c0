"""The tables of PS3.3 that highdicom carries: which attributes an object must and may have.

They are of a newer edition than the dictionaries of the validators in the distributions, and are
in memory already, because highdicom builds its objects after them.
"""

from collections.abc import Iterator, Set
from functools import lru_cache
from typing import Any, Final, NamedTuple

from highdicom import _standard_utils
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.uid import UID, MRImageStorage

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


class ModuleContent(NamedTuple):
    """A module of an object: its name, its usage (M, C or U), keywords of what is in it."""

    name: str
    usage: str
    attributes: tuple[str, ...]


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


def module_contents(dataset: Dataset) -> tuple[ModuleContent, ...]:
    """Which modules of its definition an object fills, and with what.

    Mandatory modules are told always, others when the object has an attribute of them that no
    module told before has.
    """
    iod = _standard_utils.get_sop_class_iod_map()[str(dataset.SOPClassUID)]
    modules = _standard_utils.get_iod_module_map()[iod]
    keywords = {element.keyword for element in dataset}
    held = {row["key"]: _present(row["key"], keywords) for row in modules}
    told = {k for row in modules if row["usage"] == "M" for k in held[row["key"]]}
    found = []
    for row in modules:
        attributes = held[row["key"]]
        if row["usage"] == "M" or attributes - told:
            told |= attributes
            found.append(
                ModuleContent(
                    name=_spoken(row["key"]),
                    usage=row["usage"],
                    attributes=tuple(sorted(attributes)),
                )
            )
    return tuple(found)


_ABBREVIATIONS: Final = frozenset({"mr", "sc", "sop", "sr", "voi", "lut", "icc"})


def _spoken(key: str) -> str:
    """Name of a module from its key, such as ``MR Image`` from ``mr-image``."""
    words = (word.upper() if word in _ABBREVIATIONS else word.title() for word in key.split("-"))
    return " ".join(words)


def _present(module: str, present: Set[str]) -> set[str]:
    rows = _standard_utils.get_module_attribute_map().get(module, ())
    return {row["keyword"] for row in rows if not row["path"]} & present


def uid_name(uid: str) -> str:
    """Name of a UID of PS3.6."""
    return UID(uid).name


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
