"""Commands that run and operate a node."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cestle.cli.options import ConfigFile, JsonFlag

if TYPE_CHECKING:
    from cestle.service.status import DestinationStatus, StepStatus, StudyStatus


class Part(StrEnum):
    """The part of the node that a process is."""

    ALL = "all"
    RECEIVE = "receive"
    WORK = "work"


def serve(
    config: ConfigFile,
    role: Annotated[Part, typer.Option("--role", help="What this process does.")] = Part.ALL,
    web_port: Annotated[
        int | None,
        typer.Option("--web-port", min=0, max=65535, help="In place of [web] port."),
    ] = None,
    worker_name: Annotated[
        str | None, typer.Option("--worker-name", help="In place of [engine] worker_name.")
    ] = None,
) -> int:
    """Run the node until it is told to stop (SIGTERM or Ctrl-C)."""
    from cestle.config.node import load_node_config
    from cestle.service.checking import check_apart
    from cestle.service.node import Role
    from cestle.web.serving import serve as run

    node = load_node_config(config)
    if web_port is not None:
        node = node.model_copy(update={"web": node.web.model_copy(update={"port": web_port})})
    if worker_name is not None:
        engine = node.engine.model_copy(update={"worker_name": worker_name})
        node = node.model_copy(update={"engine": engine})
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
    """See whether a destination answers: C-ECHO, or a web request."""
    from cestle.config.node import load_node_config
    from cestle.service.operate import echo as run

    seconds = run(load_node_config(config), destination)
    typer.echo(f"{destination} answered in {1000.0 * seconds:.0f} ms")
    return 0


def destinations(config: ConfigFile, as_json: JsonFlag = False) -> int:
    """Show the state of each destination and what waits for it."""
    from cestle.config.node import load_node_config
    from cestle.service.status import list_destinations

    found = list_destinations(load_node_config(config))
    if as_json:
        typer.echo(json.dumps([one.to_json() for one in found], indent=1))
    else:
        typer.echo("\n".join(line for one in found for line in _destination_lines(one)))
    return 0


def check(
    config: Annotated[
        Path | None, typer.Option("--config", help="The node's configuration, node.toml.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Ask each destination by C-ECHO as well.")
    ] = False,
    settings_only: Annotated[
        bool, typer.Option("--settings-only", help="Only configuration and templates.")
    ] = False,
) -> int:
    """Check configuration, templates and machine, and list every fault in a line."""
    from cestle.config.node import load_node_config
    from cestle.config.templates import TemplateFolder
    from cestle.service.checking import check_all

    faults = list(check_all(config))
    what = "templates" if config is None else "configuration and templates"
    if config is not None and not faults and not settings_only:
        from cestle.service.preflight import machine_remarks

        what = "configuration, templates and machine"
        remarks = machine_remarks(load_node_config(config), network=network)
        faults = [one.text for one in remarks if one.fault]
        for one in remarks:
            if not one.fault:
                typer.echo(f"cestle: warning: {one.text}", err=True)
    for fault in faults:
        typer.echo(f"cestle: {fault}", err=True)
    if faults:
        return 2
    typer.echo(f"{what} are in order ({len(TemplateFolder.default().names())} template files)")
    return 0


def audit(
    config: ConfigFile,
    verify: Annotated[
        bool, typer.Option("--verify", help="Verify the chain instead of printing it.")
    ] = False,
    head: Annotated[
        str, typer.Option("--head", help="A hash noted earlier, to be found (with --verify).")
    ] = "",
    since: Annotated[str, typer.Option("--since", help="From this date or time (UTC) on.")] = "",
    as_json: JsonFlag = False,
) -> int:
    """Print the audit trail, one entry a line, or verify that none was changed or removed."""
    from cestle.config.node import load_node_config
    from cestle.service.auditing import read_trail, verify_trail

    node = load_node_config(config)
    if verify or head:
        last = verify_trail(node, noted=head)
        found = {"entries": last.seq, "head": last.hash}
        text = f"{last.seq} entries, none changed or removed; head {last.hash}"
        typer.echo(json.dumps(found) if as_json else text)
        return 0
    for entry in read_trail(node, since=since):
        tree = entry.to_json()
        if as_json:
            typer.echo(json.dumps(tree))
            continue
        where = f"@{entry.source}" if entry.source else ""
        about = " ".join(f"{key}={value}" for key, value in tree["detail"].items() if value != "")
        typer.echo(
            f"{entry.seq} {entry.time} {entry.event} outcome={entry.outcome} "
            f"{entry.actor}{where} {entry.study} {about}".rstrip()
        )
    return 0


def _step_line(step: "StepStatus") -> str:
    took = "goes on" if step.seconds is None else f"{step.seconds:.1f} s"
    times = f", attempt {step.attempts}" if step.attempts > 1 else ""
    return f"{step.name}  {took}{times}" + (f": {step.note}" if step.note else "")


def _destination_lines(destination: "DestinationStatus") -> list[str]:
    state = {"closed": "in use", "open": "down", "half_open": "being tried"}[destination.state]
    if destination.down_since:
        state += f" since {destination.down_since}"
    if destination.next_look:
        state += f", next look at {destination.next_look}"
    lines = [
        f"{destination.name}  {state}  ({destination.address})",
        f"  {destination.waiting} deliveries waiting, {destination.committing} not yet committed"
        + (f", the oldest of {destination.oldest}" if destination.oldest else ""),
        f"  last success {destination.last_success or 'never'}, last echo "
        f"{destination.last_echo or 'never'}",
    ]
    return lines + ([f"  {destination.reason}"] if destination.reason else [])


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
        lines.append(f"  revision {revision.number}  {revision.state}{gone}{why}")
        before = "" if revision.predecessor is None else f", replaces {revision.predecessor}"
        lines.append(f"    {revision.created}{before}: {revision.cause}")
        lines += [f"    with {words}" for words in revision.asked_for]
        if revision.repeated:
            lines.append(f"    again: {revision.repeated}")
        lines += [f"    {_step_line(step)}" for step in revision.steps]
        for delivery in revision.deliveries:
            left = f": {delivery.reason}" if delivery.reason else ""
            kept = f", {delivery.committed} committed" if delivery.committed else ""
            lines.append(
                f"    {delivery.destination}  {delivery.state}  "
                f"{delivery.sent} of {delivery.planned} sent{kept}{left}"
            )
    return lines
