"""The command that fetches a study from an archive."""

from typing import Annotated

import typer

from cestle.cli.options import ConfigFile


def pull(
    config: ConfigFile,
    accession: Annotated[
        str, typer.Option("--accession", help="Accession number of the study.")
    ] = "",
    study: Annotated[str, typer.Option("--study", help="Study Instance UID instead.")] = "",
    source: Annotated[
        str, typer.Option("--from", help="Name of the archive; needed where there are several.")
    ] = "",
) -> int:
    """Fetch a study, or what is missing of it, from an archive; the node then processes it."""
    from cestle.cli.progress import transfers
    from cestle.config.node import load_node_config
    from cestle.service.logs import configure_logging
    from cestle.service.pulling import plan_pull
    from cestle.service.pulling import pull as run

    node = load_node_config(config)
    configure_logging("warning")
    plan = plan_pull(node, accession=accession, study_instance_uid=study, source=source)
    typer.echo(plan.study_instance_uid)
    if not plan.series:
        typer.echo(f"all {plan.whole} series are here already", err=True)
        return 0
    with transfers(len(plan.series)) as told:
        failed = run(
            node,
            plan,
            lambda series, now: told(
                series.series_instance_uid, series.modality, now.done + now.failed, now.remaining
            ),
        )
    if failed:
        typer.echo(
            f"cestle: archive '{plan.archive.name}' could not send {failed} instances; see its "
            "log, then fetch once more",
            err=True,
        )
        return 1
    typer.echo(f"{len(plan.series)} series are here; cestle status shows the study", err=True)
    return 0
