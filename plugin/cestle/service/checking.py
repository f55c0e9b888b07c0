"""What can be checked before the node starts: configuration, templates, calibration."""

from collections.abc import Callable
from pathlib import Path

from cestle.config.classification import load_rules
from cestle.config.node import AnalysisSection, NodeConfig, load_node_config
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.service.processing import analysis_settings


def check_all(config_file: Path | None) -> tuple[str, ...]:
    """Every fault that can be found without starting anything; empty when all is in order."""
    faults: list[str] = []
    config: NodeConfig | None = None
    if config_file is not None:
        try:
            config = load_node_config(config_file)
        except ConfigError as fault:
            faults.append(str(fault))
    folder = TemplateFolder.default(None if config is None else config.templates.overlay_dir)
    checks: list[Callable[[], object]] = [
        lambda: load_rules(folder),
        lambda: load_template_set(folder),
    ]
    section = AnalysisSection() if config is None else config.analysis
    checks.append(lambda: analysis_settings(section, folder))
    for check in checks:
        try:
            check()
        except ConfigError as fault:
            faults.append(str(fault))
    return tuple(faults)
