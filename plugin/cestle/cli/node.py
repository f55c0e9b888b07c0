"""Commands that run and operate a node."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cestle.cli.options import ConfigFile, JsonFlag, StudyUid

if TYPE_CHECKING:
    from cestle.service.status import StepStatus, StudyStatus


class Part(StrEnum):
    """The part of the node that a process is."""

    ALL = "all"
    RECEIVE = "receive"
    WORK = "work"


def serve(
    config: ConfigFile,
    role: Annotated[Part, typer.Option("--role", help="What this process does.")] = Part.ALL,
) -> int:
    """Run the node until it is told to stop (SIGTERM or Ctrl-C)."""
    from cestle.config.node import load_node_config
    from cestle.service.checking import check_apart
    from cestle.service.node import Role
    from cestle.service.node import serve as run

    node = load_node_config(config)
    if role is not Part.RECEIVE:
        check_apart(config)
    run(node, role=Role(role.value))
    return 0


def status(
    config: ConfigFile,
    study: Annotated[str | None, typer.Argument(help="Study Instance UID; all without.")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Show what the node holds, and why a study waits or was set aside."""
    from cestle.config.node import load_node_config
    from cestle.service.status import list_studies, study_status

    node = load_node_config(config)
    found = list_studies(node) if study is None else (study_status(node, study),)
    if as_json:
        trees = [one.to_json() for one in found]
        typer.echo(json.dumps(trees if study is None else trees[0], indent=1))
    elif not found:
        typer.echo("no study was received yet", err=True)
    else:
        typer.echo("\n".join(line for one in found for line in _study_lines(one)))
    return 0


def reprocess(
    study: StudyUid,
    config: ConfigFile,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
) -> int:
    """Ask for a new revision of a study; its report names the one before."""
    from cestle.config.node import load_node_config
    from cestle.service.operate import reprocess as run

    run(load_node_config(config), study, reason=reason)
    typer.echo("asked for; cestle status shows the new revision", err=True)
    return 0


class Again(StrEnum):
    """The step from which a revision is done again."""

    COMPUTE = "compute"
    DELIVER = "deliver"


def retry(
    config: ConfigFile,
    study: Annotated[str | None, typer.Argument(help="Study Instance UID; all without.")] = None,
    step: Annotated[
        Again | None,
        typer.Option("--from", help="Do the latest revision again from here, whatever its state."),
    ] = None,
    destination: Annotated[
        str, typer.Option("--destination", help="With --from deliver: only to this one.")
    ] = "",
) -> int:
    """Try again what was parked, failed or could not be delivered."""
    from cestle.config.node import load_node_config
    from cestle.service.operate import Step
    from cestle.service.operate import retry as run

    asked = run(
        load_node_config(config),
        study,
        step=None if step is None else Step(step.value),
        destination=destination,
    )
    typer.echo("\n".join(asked) if asked else "nothing is set aside", err=not asked)
    return 0


def echo(
    destination: Annotated[str, typer.Argument(help="Name of a destination.")], config: ConfigFile
) -> int:
    """C-ECHO to a destination."""
    from cestle.config.node import load_node_config
    from cestle.service.operate import echo as run

    seconds = run(load_node_config(config), destination)
    typer.echo(f"{destination} answered in {1000.0 * seconds:.0f} ms")
    return 0


def check(
    config: Annotated[
        Path | None, typer.Option("--config", help="The node's configuration, node.toml.")
    ] = None,
) -> int:
    """Check configuration and templates, and list every fault with its file."""
    from cestle.config.templates import TemplateFolder
    from cestle.service.checking import check_all

    faults = check_all(config)
    for fault in faults:
        typer.echo(f"cestle: {fault}", err=True)
    if faults:
        return 2
    folder = TemplateFolder.default()
    what = "templates" if config is None else "configuration and templates"
    typer.echo(f"{what} are in order ({len(folder.names())} template files)")
    return 0


def _step_line(step: "StepStatus") -> str:
    took = "goes on" if step.seconds is None else f"{step.seconds:.1f} s"
    times = f", attempt {step.attempts}" if step.attempts > 1 else ""
    return f"{step.name}  {took}{times}" + (f": {step.note}" if step.note else "")


def _study_lines(study: "StudyStatus") -> list[str]:
    reason = f": {study.reason}" if study.reason else ""
    lines = [
        f"{study.study_instance_uid}  {study.state}{reason}",
        f"  {study.instances} instances, last {study.last_arrival}"
        + (f", {study.conflicts} conflicting" if study.conflicts else "")
        + (f", {study.cleaned} removed by age" if study.cleaned else ""),
    ]
    for revision in study.revisions:
        why = f": {revision.reason}" if revision.reason else ""
        gone = f", results removed {revision.cleaned}" if revision.cleaned else ""
        lines.append(
            f"  revision {revision.number}  {revision.state}{gone}{why}  ({revision.cause})"
        )
        lines += [f"    {_step_line(step)}" for step in revision.steps]
        for delivery in revision.deliveries:
            left = f": {delivery.reason}" if delivery.reason else ""
            lines.append(
                f"    {delivery.destination}  {delivery.state}  "
                f"{delivery.sent} of {delivery.planned} sent{left}"
            )
    return lines
