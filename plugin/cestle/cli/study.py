"""Commands that work on a folder: process, inspect, learn."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cestle.cli.options import JsonFlag, ReadableFolder
from cestle.cli.progress import steps
from cestle.measurement import Side

if TYPE_CHECKING:
    from cestle.config.node import AnalysisSection, TemplatesSection
    from cestle.study.results import StudyResults


def process(
    folder: ReadableFolder,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="node.toml with [analysis] and [templates].")
    ] = None,
    roi: Annotated[
        list[Path] | None,
        typer.Option("--roi", help="Label map (NIfTI) outside the folder; may be repeated."),
    ] = None,
    label_scheme: Annotated[
        str | None,
        typer.Option("--label-scheme", help="Numbers of the label maps, such as freesurfer."),
    ] = None,
    onset_side: Annotated[
        Side | None, typer.Option("--onset-side", help="Known side of seizure onset.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Analyse a folder of DICOM files.

    Exit code 0 complete, 3 partial with reasons, 2 bad input, 1 a fault of ours.
    """
    from cestle.dicom.files import files_below
    from cestle.service.processing import EXIT_CODES, ProcessRequest
    from cestle.service.processing import process as run

    analysis, templates = _sections(config)
    created = datetime.now(UTC).astimezone()
    request = ProcessRequest(
        files=files_below(folder),
        out_dir=out,
        created=created,
        # each run states its own time, so it must not share UIDs with another run
        origin=f"process {created.isoformat()}",
        roi_files=tuple(roi or ()),
        label_scheme=label_scheme,
        onset_side=onset_side,
        analysis=analysis,
        templates=templates,
    )
    with steps() as progress:
        results = run(request, progress)
    if as_json:
        typer.echo(json.dumps(results.to_json(), indent=1))
    else:
        typer.echo("\n".join(summary_lines(results)))
    for reason in results.reasons:
        typer.echo(f"cestle: {reason}", err=True)
    return EXIT_CODES[results.status]


def inspect(folder: ReadableFolder, as_json: JsonFlag = False) -> int:
    """Show each series with its role, the reason, and every element that varies inside it."""
    from cestle.config.classification import load_rules
    from cestle.config.templates import TemplateFolder
    from cestle.dicom.files import files_below
    from cestle.dicom.inspection import inspect_files

    report = inspect_files(files_below(folder), load_rules(TemplateFolder.default()))
    typer.echo(json.dumps(report.to_json(), indent=1) if as_json else report.to_text())
    return 0


def learn(folder: ReadableFolder) -> int:
    """Draft classification rules (YAML) from one example study, for a site to edit."""
    from cestle.config.classification import load_rules
    from cestle.config.templates import TemplateFolder
    from cestle.dicom.files import files_below
    from cestle.dicom.inspection import learn_rules

    typer.echo(learn_rules(files_below(folder), load_rules(TemplateFolder.default())))
    return 0


def summary_lines(results: "StudyResults") -> list[str]:
    """The numbers of a study as a few lines of text."""
    lines = [f"{'region':<20}{'mean %':>10}{'± SE':>8}{'voxels':>9}{'valid':>8}"]
    for name, region in results.glucest.rois.items():
        if region is None:
            lines.append(f"{name:<20}{'—':>10}")
            continue
        error = "" if region.standard_error is None else f"{region.standard_error:.2f}"
        lines.append(
            f"{name:<20}{region.mean:>10.2f}{error:>8}{region.voxels:>9.1f}"
            f"{region.valid_fraction:>8.0%}"
        )
    for name, index in results.asymmetry.indices.items():
        if index is not None:
            interval = "" if index.ci95 is None else "  95 % {:+.4f} … {:+.4f}".format(*index.ci95)
            lines.append(f"{name:<20}{index.value:>+10.4f}{interval}")
    call = results.lateralization
    lines.append(f"call {call.call.value} by {call.rule}: {'; '.join(call.reasons)}")
    lines.append(f"status {results.status.value} · research use only, not for diagnosis")
    return lines


def _sections(config: Path | None) -> "tuple[AnalysisSection, TemplatesSection]":
    from cestle.config.node import AnalysisSection, TemplatesSection, load_node_config

    if config is None:
        return AnalysisSection(), TemplatesSection()
    node: Any = load_node_config(config)
    return node.analysis, node.templates
