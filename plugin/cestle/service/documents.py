"""Files that are generated from code and templates, and go stale when these change."""

from pathlib import Path

from cestle.config.node import NodeConfig, load_node_config
from cestle.config.template_files import SCHEMAS, schema_file_name, schema_text
from cestle.config.templates import TemplateFolder
from cestle.service.conformance import statement_text


def write_schemas(folder: Path) -> tuple[Path, ...]:
    """Write the JSON Schema of each kind of template, for editors.

    Parameters
    ----------
    folder
        Where; made when it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in SCHEMAS:
        path = folder / schema_file_name(name)
        path.write_text(schema_text(name), encoding="utf-8")
        written.append(path)
    return tuple(written)


def write_statement(file: Path, config_file: Path | None) -> tuple[Path, ...]:
    """Write the conformance statement.

    Parameters
    ----------
    file
        Where.
    config_file
        Configuration of the site that it is to speak of; None for the defaults.

    Raises
    ------
    ConfigError
        When the configuration or a template cannot be used.
    """
    config: NodeConfig | None = None
    if config_file is not None:
        config = load_node_config(config_file)
    folder = TemplateFolder.default(None if config is None else config.templates.overlay_dir)
    file.write_text(statement_text(folder, config), encoding="utf-8")
    return (file,)
