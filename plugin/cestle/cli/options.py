"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

ReadableFolder = Annotated[
    Path, typer.Argument(help="Folder of DICOM files.", exists=True, file_okay=False, readable=True)
]
ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration, node.toml.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
StudyUid = Annotated[str, typer.Argument(help="Study Instance UID.")]
