"""What can be checked before the node starts: configuration, templates, calibration."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from cestle.config.atlas import load_ellipse_table
from cestle.config.classification import load_rules
from cestle.config.node import AnalysisSection, NodeConfig, load_node_config
from cestle.config.reporting import SeriesFile
from cestle.config.template_files import template_faults
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError
from cestle.service.processing import analysis_settings

_FAULTY: Final = 2
_OWN_NAME: Final = "cestle: "


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
    faults += template_faults(folder)
    section = AnalysisSection() if config is None else config.analysis
    faults += _table_faults(section)
    try:
        analysis_settings(section, folder)
        faults += _scheme_faults(section, folder)
        faults += [] if config is None else _object_faults(config, folder)
    except ConfigError as fault:
        faults.append(str(fault))
    return tuple(dict.fromkeys(faults))


def check_apart(config_file: Path) -> None:
    """The same in a process of its own, so that a node does not keep what the check loads.

    Raises
    ------
    ConfigError
        With every fault that was found.
    """
    command = [
        *(sys.executable, "-m", "cestle", "check", "--settings-only"),
        *("--config", str(config_file)),
    ]
    done = subprocess.run(  # noqa: S603  our own program
        command, capture_output=True, text=True, check=False
    )
    if done.returncode == _FAULTY:
        lines = [line.removeprefix(_OWN_NAME) for line in done.stderr.splitlines() if line]
        raise ConfigError("; ".join(lines))


def _table_faults(section: AnalysisSection) -> list[str]:
    """A site's table of ellipses that cannot be used."""
    table = section.regions.ellipse_table_file
    if table is None:
        return []
    try:
        load_ellipse_table(table)
    except ConfigError as fault:
        return [f"analysis.regions.ellipse_table_file: {fault}"]
    return []


def _scheme_faults(section: AnalysisSection, folder: TemplateFolder) -> list[str]:
    """A label scheme of the plug-in that nothing is known of."""
    named = section.regions.plugin_scheme
    known = sorted(scheme.name for scheme in load_rules(folder).label_schemes)
    if not named or named in known:
        return []
    return [
        f"analysis.regions.plugin_scheme is {named[:40]!r}, one of {', '.join(known)} was "
        "expected; add it to classify/label_schemes.yaml"
    ]


def _object_faults(config: NodeConfig, folder: TemplateFolder) -> list[str]:
    """Objects that a destination is to get although they are not made."""
    rules = folder.load_as("objects/series.yaml", SeriesFile).objects
    return [
        f"destination '{one.name}' is to get {product}, which {folder.path('objects/series.yaml')} "
        "does not enable; enable it there or take it from objects"
        for one in config.destinations
        for product in one.objects
        if not rules[product].enabled
    ]
