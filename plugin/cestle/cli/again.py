"""Commands that ask for a result again: in the same way, in another way, or at once."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cestle.cli.options import ConfigFile, StudyUid


class Onset(StrEnum):
    """Side of seizure onset."""

    LEFT = "left"
    RIGHT = "right"


Reason = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def reprocess(
    study: StudyUid,
    config: ConfigFile,
    reason: Reason,
    roi: Annotated[
        list[Path] | None,
        typer.Option("--roi", help="Regions to use: SEG, RTSTRUCT or label map; repeatable."),
    ] = None,
    label_scheme: Annotated[
        str | None, typer.Option("--label-scheme", help="Numbers that label maps use.")
    ] = None,
    onset_side: Annotated[
        Onset | None, typer.Option("--onset-side", help="Known side of seizure onset.")
    ] = None,
    b0_method: Annotated[
        str | None, typer.Option("--b0-method", help="As b0_method of the configuration.")
    ] = None,
    b1_method: Annotated[
        str | None, typer.Option("--b1-method", help="As b1_method of the configuration.")
    ] = None,
    registration: Annotated[
        bool | None,
        typer.Option("--registration/--no-registration", help="Register the images, or not."),
    ] = None,
    mrs_method: Annotated[
        str | None, typer.Option("--mrs-method", help="As method of [analysis.mrs].")
    ] = None,
    drop_transients: Annotated[
        str | None,
        typer.Option(
            "--drop-transients",
            help="Transients to leave out, as the page of the spectra counts: 1,4-7; none: none.",
        ),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Drop what was asked for earlier.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="Begin at once, with what there is.")] = False,
) -> int:
    """Ask for a result again; what is not named here stays as it was asked for before.

    With nothing changed the same objects are sent again, otherwise a new revision is made whose
    report names the one before.
    """
    from cestle.config.node import load_node_config
    from cestle.config.options import StudyOptions
    from cestle.mrs.selection import read_numbers
    from cestle.service.operate import Wish
    from cestle.service.operate import reprocess as run

    wanted = {
        "onset_side": None if onset_side is None else onset_side.value,
        "b0_method": b0_method,
        "b1_method": b1_method,
        "registration": registration,
        "mrs_method": mrs_method,
        "drop_transients": None if drop_transients is None else read_numbers(drop_transients),
        "forget": forget,
    }
    wish = Wish(
        reason=reason,
        options=StudyOptions.checked(wanted),
        roi_files=tuple(roi or ()),
        label_scheme=label_scheme,
        at_once=now,
    )
    run(load_node_config(config), study, wish)
    typer.echo("asked for; cestle status shows what becomes of it", err=True)
    return 0


def run_now(
    study: StudyUid,
    config: ConfigFile,
    reason: Reason = "run now",
) -> int:
    """Process a study at once, with what there is, instead of waiting for more."""
    from cestle.config.node import load_node_config
    from cestle.service.operate import Wish
    from cestle.service.operate import reprocess as run

    run(load_node_config(config), study, Wish(reason=reason, at_once=True))
    typer.echo("asked for; cestle status shows what becomes of it", err=True)
    return 0
