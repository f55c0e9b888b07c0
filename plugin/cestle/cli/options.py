"""Arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cestle.errors import InputError

ReadableFolder = Annotated[
    Path, typer.Argument(help="Folder of DICOM files.", exists=True, file_okay=False, readable=True)
]
ConfigFile = Annotated[Path, typer.Option("--config", help="The node's configuration, node.toml.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
StudyUid = Annotated[str, typer.Argument(help="Study Instance UID.")]


def require_one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not know.

    Raises
    ------
    InputError
        With what it knows.
    """
    if value not in known:
        raise InputError(f"{option} is {value}; give one of {', '.join(known)}.")
