"""The command that writes what is generated from code and templates."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Document(StrEnum):
    """What can be written."""

    SCHEMAS = "schemas"
    CONFORMANCE_STATEMENT = "conformance-statement"


def export(
    what: Annotated[Document, typer.Argument(help="What to write.")],
    out: Annotated[Path, typer.Argument(help="Folder for the schemas, file for the statement.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="node.toml of the site; the defaults without.")
    ] = None,
) -> int:
    """Write the JSON Schemas of the templates, or the DICOM conformance statement."""
    from cestle.service.documents import write_schemas, write_statement

    written = write_schemas(out) if what is Document.SCHEMAS else write_statement(out, config)
    typer.echo("\n".join(str(path) for path in written))
    return 0
