"""The objects against the current edition of the standard, in the tables that highdicom carries.

They are newer than the dictionary of dciodvfy and need no program.
"""

import json
import pkgutil
from datetime import datetime

import pytest

from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.identity import OutputIdentity
from cestle.dicom.outputs import build_outputs
from phantoms import mega_builder as mega
from phantoms.source_builder import sources, spectra_sources

CREATED = datetime(2026, 11, 23, 8, 30, 5)  # noqa: DTZ001  wall clock of the site
STANDARD_EXTENDED = {
    "glucest_map": {"RescaleIntercept", "RescaleSlope", "RescaleType"},
}
"""Root attributes beyond the object's definition, on purpose."""

CONTENT_MODULE = "sr-document-content"
"""Describes nested items as if they stood at the root, so it cannot be checked this way."""


def table(name):
    """One of the tables of the standard."""
    return json.loads(pkgutil.get_data("highdicom", f"_standard/{name}.json"))


SOP_CLASSES, IODS, MODULES = (
    table(name) for name in ("sop_class_iod_map", "iod_module_map", "module_attribute_map")
)


def root_attributes(module):
    """Root attributes of a module with their type."""
    return {a["keyword"]: a["type"] for a in MODULES.get(module, ()) if not a["path"]}


@pytest.fixture(scope="module")
def objects():
    templates = load_template_set(TemplateFolder.default())
    identity = OutputIdentity(origin="test", revision=1, created=CREATED)
    analysis = mega.analysis(anatomy=mega.anatomy())
    return build_outputs(analysis, sources() | spectra_sources(), templates, identity)


def test_required_attributes_are_there(objects):
    """Each type 1 attribute of a mandatory module is filled, each type 2 attribute present."""
    for item in objects:
        modules = IODS[SOP_CLASSES[item.dataset.SOPClassUID]]
        for module in (m["key"] for m in modules if m["usage"] == "M"):
            if module == CONTENT_MODULE:
                continue
            for keyword, kind in root_attributes(module).items():
                if kind in ("1", "2"):
                    assert keyword in item.dataset, (item.product, module, keyword)
                if kind == "1":
                    assert not item.dataset[keyword].is_empty, (item.product, keyword)


def test_no_attribute_is_foreign(objects):
    """No root attribute is outside the modules of the object, apart from the listed ones."""
    for item in objects:
        allowed = STANDARD_EXTENDED.get(item.product, set())
        for module in IODS[SOP_CLASSES[item.dataset.SOPClassUID]]:
            allowed |= set(root_attributes(module["key"]))
        assert {element.keyword for element in item.dataset} - allowed == set(), item.product
