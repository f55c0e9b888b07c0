"""Every template by its name: the model that it must fit, its schema, and all faults at once."""

import json
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final

from pydantic import BaseModel

from cestle.config.basis import BASIS_FOLDER, BasisFile, shipped_bases
from cestle.config.calibration import CalibrationFile, load_calibration
from cestle.config.classification import (
    FOLDER,
    LABEL_SCHEMES,
    ClassificationFile,
    LabelSchemesFile,
    load_rules,
)
from cestle.config.reporting import (
    ConceptsFile,
    PageFile,
    PrivateScheme,
    ReportTemplate,
    SeriesFile,
    TemplateSetFile,
    TextsFile,
    load_template_set,
    text_faults,
)
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError

_FILES: Final[dict[str, type[BaseModel]]] = {
    "template-set.yaml": TemplateSetFile,
    "codes/concepts.yaml": ConceptsFile,
    "codes/99CESTLE.yaml": PrivateScheme,
    "sr/tle_report.yaml": ReportTemplate,
    "objects/series.yaml": SeriesFile,
    "page/layout.yaml": PageFile,
    "i18n/en.yaml": TextsFile,
    "i18n/zh-CN.yaml": TextsFile,
    LABEL_SCHEMES: LabelSchemesFile,
}
_FOLDERS: Final[dict[str, type[BaseModel]]] = {
    FOLDER.rstrip("/"): ClassificationFile,
    "calibration": CalibrationFile,
    BASIS_FOLDER: BasisFile,
}
"""Folders in which a site may name files as it likes."""

SCHEMAS: Final[dict[str, type[BaseModel]]] = {
    "template-set": TemplateSetFile,
    "concepts": ConceptsFile,
    "private-scheme": PrivateScheme,
    "report": ReportTemplate,
    "series": SeriesFile,
    "page": PageFile,
    "texts": TextsFile,
    "classification": ClassificationFile,
    "label-schemes": LabelSchemesFile,
    "calibration": CalibrationFile,
    "basis": BasisFile,
}
"""Models by the name of their file in ``schema/``."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def model_of(relative: str) -> type[BaseModel] | None:
    """The model of a template; None for a name that cestle does not read."""
    return _FILES.get(relative) or _FOLDERS.get(PurePosixPath(relative).parent.as_posix())


def template_faults(folder: TemplateFolder) -> tuple[str, ...]:
    """Every fault of all templates in force, each with the file that it is in.

    What one file says of another is looked at only when each of them is sound by itself.
    """
    alone = {name: fault for name in folder.names() if (fault := _fault_of(folder, name))}
    faults = list(alone.values())
    for start, check in _between(folder):
        if not any(name.startswith(start) for name in alone):
            faults += _raised_by(check)
    return tuple(faults)


def schema_file_name(name: str) -> str:
    """File name of a schema."""
    return f"{name}.schema.json"


def schema_text(name: str) -> str:
    """The JSON Schema of a kind of template, for editors; equal models give equal text."""
    schema: dict[str, Any] = {"$schema": _DIALECT}
    schema |= SCHEMAS[name].model_json_schema(by_alias=True)
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _fault_of(folder: TemplateFolder, name: str) -> str | None:
    model = model_of(name)
    if model is None:
        return (
            f"{folder.path(name)}: cestle reads no template of this name; compare it with those "
            "that are shipped"
        )
    return next(iter(_raised_by(lambda: folder.load_as(name, model))), None)


def _between(
    folder: TemplateFolder,
) -> list[tuple[tuple[str, ...], Callable[[], object]]]:
    """Checks of several files together, each with the files that must be sound before."""
    outputs = tuple(name for name in _FILES if not name.startswith(FOLDER))
    calibrations = [name for name in folder.names() if name.startswith("calibration/")]
    return [
        (outputs, lambda: load_template_set(folder)),
        (("i18n/",), lambda: _raise_all(text_faults(folder))),
        ((FOLDER,), lambda: load_rules(folder)),
        ((f"{BASIS_FOLDER}/",), lambda: shipped_bases(folder)),
        (
            ("calibration/",),
            lambda: [load_calibration(folder.path(name)) for name in calibrations],
        ),
    ]


def _raise_all(faults: tuple[str, ...]) -> None:
    if faults:
        raise ConfigError("; ".join(faults))


def _raised_by(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except ConfigError as fault:
        return [str(fault)]
    return []
