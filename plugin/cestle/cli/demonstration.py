"""`cestle demo`."""

from pathlib import Path
from typing import Annotated

import typer

from cestle.cli.progress import steps


def demo(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for study, returned objects and pictures.")
    ] = Path("demo-out"),
) -> int:
    """Show the whole loop on this machine: simulated scanner, node, PACS stand-in.

    Exit code 0 only when every object came back and the numbers agree with the truth.
    """
    from cestle.service.demo import run_demo

    with steps() as progress:
        outcome = run_demo(out, progress)
    typer.echo(f"{'':<20}{'truth':>9}{'report in PACS':>17}{'± SE':>9}")
    for one in outcome.comparisons:
        measured = "missing" if one.measured is None else f"{one.measured:+.4f}"
        error = "" if one.standard_error is None else f"{one.standard_error:.4f}"
        verdict = "agrees" if one.agrees else "DISAGREES"
        typer.echo(f"{one.name:<20}{one.truth:>+9.4f}{measured:>17}{error:>9}  {verdict}")
    typer.echo(f"{'call':<20}{outcome.expected_call:>9}{outcome.call or 'missing':>17}")
    came, made = outcome.objects
    typer.echo(f"{came} of {made} objects came back, {outcome.seconds:.1f} s after the last image")
    typer.echo(f"pictures in {out / 'pictures'}, DICOM objects in {out / 'dicom'}")
    if not outcome.agrees:
        typer.echo("cestle: what came back does not agree with the truth", err=True)
    return 0 if outcome.agrees else 1
