"""The DICOM conformance statement: facts of code, configuration and templates, in one text.

What objects contain is looked up in objects, made of a small simulated study, and not written
down a second time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import jinja2
from pydantic import BaseModel

import cestle
from cestle.config.classification import load_rules
from cestle.config.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from cestle.config.node import AnalysisSection, NodeConfig
from cestle.config.reporting import ReportRow, TemplateSet, load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.assembly import OutputObject
from cestle.dicom.gate import REQUIRED_MARKS
from cestle.dicom.identity import MANUFACTURER, MODEL, OutputIdentity
from cestle.dicom.outputs import build_outputs
from cestle.dicom.simulated import write_study
from cestle.dicom.standard import (
    STANDARD_EXTENDED,
    ModuleContent,
    module_contents,
    uid_name,
)
from cestle.dicom.study_header import CHARACTER_SETS
from cestle.dicom.study_reader import read_study
from cestle.errors import CestleError, HeaderError, SpoolError
from cestle.net.commitment import SAME_ASSOCIATION_SECONDS
from cestle.net.contexts import (
    ACCEPTED_STORAGE,
    COMMITMENT,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    REPORT_CLASSES,
    UNCOMPRESSED,
    VERIFICATION,
)
from cestle.net.performed_steps import PERFORMED_STEP, STATUSES
from cestle.net.retrieval import FIND, GET, MODALITIES, MOVE
from cestle.net.sender import ACKNOWLEDGED, MAY_PASS
from cestle.net.server import (
    HANDSHAKE_SECONDS,
    LONGEST_PDU_BYTES,
    MAXIMUM_PDU_BYTES,
    NEGOTIATION_SECONDS,
)
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service.commitment import MOST_RESENDS
from cestle.service.processing import analysis_settings
from cestle.service.workflow import MOST_REFUSALS
from cestle.study.analysis import Provenance, analyse_study

TEMPLATE: Final = "conformance/statement.md.j2"
_SECTIONS: Final = ("node.", "peers", "destinations", "archives", "study.", "tls.")
"""Parts of the configuration that concern the network."""
_SAMPLE: Final = SimulationSettings(snr=None, t1_mm=4.0, matrix=64, pixel_mm=3.4)
_SAMPLE_TIME: Final = datetime(2026, 1, 1)  # noqa: DTZ001  stands in no statement


@dataclass(frozen=True, kw_only=True)
class ObjectFacts:
    """What the statement says of one kind of object.

    Parameters
    ----------
    product
        Name in the series rules.
    description
        SeriesDescription.
    enabled
        Whether it is made as the templates stand.
    sop_class_uid, sop_class_name
        Its SOP class.
    modality
        Modality.
    modules
        What it contains; empty for one that the sample study does not give.
    """

    product: str
    description: str
    enabled: bool
    sop_class_uid: str
    sop_class_name: str
    modality: str
    modules: tuple[ModuleContent, ...]


def statement_text(
    folder: TemplateFolder,
    config: NodeConfig | None = None,
    sample: Sequence[OutputObject] | None = None,
) -> str:
    """The statement as Markdown.

    Parameters
    ----------
    folder
        The templates; a site's own are spoken of where they are given.
    config
        The site's configuration; None for the defaults.
    sample
        What `sample_objects` gives; None to have it made.

    Raises
    ------
    ConfigError
        When a template cannot be used.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  Markdown for people, of our own facts
    )
    source = folder.path(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(
        _facts(folder, config, sample_objects(folder) if sample is None else sample)
    )


def _facts(
    folder: TemplateFolder, config: NodeConfig | None, sample: Sequence[OutputObject]
) -> dict[str, Any]:
    templates = load_template_set(folder)
    return {
        "version": cestle.__version__,
        "manufacturer": MANUFACTURER,
        "model": MODEL,
        "templates": templates,
        "implementation_class_uid": IMPLEMENTATION_CLASS_UID,
        "implementation_version_name": IMPLEMENTATION_VERSION_NAME,
        "objects": _object_facts(templates, sample),
        "report_classes": {uid: uid_name(uid) for uid in REPORT_CLASSES.values()},
        "accepted": ACCEPTED_STORAGE,
        "uncompressed": UNCOMPRESSED,
        "sent_syntaxes": (EXPLICIT_LITTLE, IMPLICIT_LITTLE),
        "verification": VERIFICATION,
        "commitment": COMMITMENT,
        "report_seconds": f"{SAME_ASSOCIATION_SECONDS:g}",
        "most_resends": MOST_RESENDS,
        "most_refusals": MOST_REFUSALS,
        "passing": [f"{status:04X}" for status in sorted(MAY_PASS)],
        "performed_step": PERFORMED_STEP,
        "find": FIND,
        "move": MOVE,
        "get": GET,
        "modalities": MODALITIES,
        "step_statuses": {f"{code:04X}": words for code, words in STATUSES.items()},
        "uid_name": uid_name,
        "extended": {
            uid_name(uid): sorted(keywords) for uid, keywords in STANDARD_EXTENDED.items()
        },
        "character_sets": CHARACTER_SETS,
        "marks": REQUIRED_MARKS,
        "rows": _rows(templates),
        "codes": _codes(templates),
        "keys": [pair for pair in _keys(NodeConfig, config) if pair[0].startswith(_SECTIONS)],
        "statuses": _statuses(),
        "taken": [f"{status:04X}" for status in sorted(ACKNOWLEDGED)],
        "maximum_pdu_bytes": MAXIMUM_PDU_BYTES,
        "longest_pdu_bytes": LONGEST_PDU_BYTES,
        "negotiation_seconds": NEGOTIATION_SECONDS,
        "handshake_seconds": HANDSHAKE_SECONDS,
    }


def _object_facts(templates: TemplateSet, sample: Sequence[OutputObject]) -> list[ObjectFacts]:
    """One entry for each product, in sending order."""
    made = {one.product: one for one in sample}
    # A study without spectra has no page of them; it is a capture like the colour page.
    made.setdefault("mrs_page", made["secondary_capture"])
    return [
        ObjectFacts(
            product=product,
            description=rule.description,
            enabled=rule.enabled,
            sop_class_uid=str(made[product].dataset.SOPClassUID),
            sop_class_name=uid_name(str(made[product].dataset.SOPClassUID)),
            modality=str(made[product].dataset.Modality),
            modules=module_contents(made[product].dataset),
        )
        for product, rule in templates.series.objects.items()
    ]


def sample_objects(folder: TemplateFolder) -> tuple[OutputObject, ...]:
    """Every object of a small simulated study, whatever is enabled.

    Parameters
    ----------
    folder
        The templates.
    """
    templates = load_template_set(folder)
    rules = {
        name: rule.model_copy(update={"enabled": True})
        for name, rule in templates.series.objects.items()
    }
    everything = replace(templates, series=templates.series.model_copy(update={"objects": rules}))
    with TemporaryDirectory() as name:
        files = write_study(simulate(_SAMPLE), Path(name) / "study")
        study = read_study(files, load_rules(folder))
    provenance = Provenance(
        software_version=cestle.__version__, templates_version=templates.label, revision=1
    )
    settings = analysis_settings(AnalysisSection(), folder)
    analysis = analyse_study(study.inputs, settings, provenance)
    identity = OutputIdentity(origin="statement", revision=1, created=_SAMPLE_TIME)
    return build_outputs(analysis, study.sources, everything, identity).objects


def _rows(templates: TemplateSet) -> list[tuple[str, str, str, str]]:
    """Rows of the report: group, code, unit, where the number stands in the results."""
    report = templates.report
    groups: list[tuple[str, list[ReportRow]]] = [
        ("region (TID 1411)", report.region_groups.rows),
        ("call (TID 1501)", report.call_group.rows),
        ("spectroscopy (TID 1501)", [*report.mrs_group.rows, *report.mrs_group.quality_rows]),
    ]
    found = [
        (name, row.name, templates.codes.get(row.unit).value, row.source)
        for name, rows in groups
        for row in rows
    ]
    indices = [
        ("index (TID 1501)", group.index, "{ratio}", f"{group.block}.{group.index}.value")
        for group in report.index_groups
    ]
    return [
        (group, _code_text(templates, code), unit, source)
        for group, code, unit, source in [*found, *indices]
    ]


def _code_text(templates: TemplateSet, name: str) -> str:
    code = templates.codes.get(name)
    return f'({code.value}, {code.scheme}, "{code.meaning}")'


def _codes(templates: TemplateSet) -> list[tuple[str, str, str]]:
    """Every code: value, scheme, meaning, sorted."""
    codes = (templates.codes.get(name) for name in templates.codes.names())
    return sorted({(code.scheme, code.value, code.meaning) for code in codes})


def _keys(
    model: type[BaseModel], values: BaseModel | None = None, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Keys of the configuration with their defaults, or with the values of a site."""
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        value = default if values is None else getattr(values, name)
        if inner is None and values is None and field.is_required():
            yield f"{prefix}{name}", "to be set"
        elif inner is None:
            yield f"{prefix}{name}", _shown(value)
        elif isinstance(value, tuple):
            for number, one in enumerate(value):
                yield from _keys(inner, one, f"{prefix}{name}[{number}].")
        else:
            section = value if isinstance(value, BaseModel) else None
            yield from _keys(inner, section, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation; None where it is a plain value."""
    arguments = getattr(annotation, "__args__", (annotation,))
    models = [one for one in arguments if isinstance(one, type) and issubclass(one, BaseModel)]
    return models[0] if models else None


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    return "none" if value in (None, "") else str(value)


def _statuses() -> Mapping[str, str]:
    """Statuses that a C-STORE is answered with, and when."""
    return {
        "0000": "the instance is safe on disk",
        "0124": "the association was not admitted",
        f"{SpoolError.dimse_status:04X}": "the disk is full or cannot be written; send again",
        f"{HeaderError.dimse_status:04X}": "the data set is not the one that was announced",
        f"{CestleError.dimse_status:04X}": "the data set cannot be parsed; it is kept aside",
    }
