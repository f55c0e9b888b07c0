"""The commands that make calibration files: of B1, and of the built-in atlas."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cestle.cli.progress import steps
from cestle.errors import InputError


def calibrate_b1(
    out: Annotated[Path, typer.Option("--out", help="The calibration file to write (YAML).")],
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER…",
            help="One folder of DICOM files for each B1 level of a session.",
            exists=True,
            file_okay=False,
            readable=True,
        ),
    ] = None,
    model: Annotated[
        bool, typer.Option("--model", help="Compute the file from the Bloch-McConnell model.")
    ] = False,
    level: Annotated[
        list[float] | None,
        typer.Option(
            "--level",
            help="Factor on the B1 map of each folder, in their order, where the map does not "
            "show the level; may be repeated.",
            min=0.1,
            max=3.0,
        ),
    ] = None,
    tissue_map: Annotated[
        list[Path] | None,
        typer.Option(
            "--tissue-map",
            help="Label map (NIfTI) of grey, white and fluid, one for each session. Without it "
            "the regions in the folders are the one tissue.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    label_scheme: Annotated[
        str, typer.Option("--label-scheme", help="Numbers of the tissue map.")
    ] = "freesurfer",
    name: Annotated[
        str, typer.Option("--name", help="Name of the calibration in reports.")
    ] = "site-measured",
) -> int:
    """Make a B1 calibration from sessions at several B1 levels, or from the model.

    Acquire the CEST series, B0 map and B1 map of one volunteer at 60, 80, 100 and 120 % of the
    B1 reference, without moving and with one receiver gain.
    """
    from cestle.config.calibration import calibration_text
    from cestle.service.calibrating import Acquisition, measured_file, model_file

    if model == bool(folders):
        raise InputError(
            "give the folders of the B1 levels, or --model for the computed file, and not both."
        )
    if out.exists():
        raise InputError(f"{out} exists; name a new file, so that no calibration is lost.")
    with steps() as progress:
        if model:
            progress("computing the curves")
            file = model_file()
        else:
            progress("reading the B1 levels and fitting the curves")
            acquisition = Acquisition(
                folders=tuple(folders or ()),
                levels=tuple(level or ()),
                tissue_maps=tuple(tissue_map or ()),
                label_scheme=label_scheme,
            )
            today = datetime.now(UTC).astimezone().date()
            file = measured_file(acquisition, id=name, made_on=today)
    out.write_text(calibration_text(file), encoding="utf-8")
    low, high = file.relative_b1[0], file.relative_b1[-1]
    typer.echo(f"{out}: {', '.join(file.tissues)}; relative B1 {low:g} to {high:g}")
    return 0


def roi_calibrate(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Holds one folder for each person, at least ten: the T1 as DICOM files or "
            "t1.nii.gz (.mgz), and the regions as SEG or labels.nii.gz (.mgz).",
            exists=True,
            file_okay=False,
            readable=True,
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The table to write (YAML).")],
    label_scheme: Annotated[
        str | None,
        typer.Option(
            "--label-scheme", help="Numbers of the label maps that have no JSON file beside them."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="Name of the table in results, up to 16 characters.")
    ] = "site",
) -> int:
    """Fit the ellipses of the built-in atlas to a site's own label maps.

    The table is judged on people that it was not fitted on, and written only when it is better
    there than the shipped one. It holds counts and numbers, nothing of any person.
    """
    from cestle.config.atlas import table_text
    from cestle.service.atlas_calibrating import overlap_lines, site_table

    if out.exists():
        raise InputError(f"{out} exists; name a new file, so that no table is lost.")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is no folder; name a file in one that exists.")
    today = datetime.now(UTC).astimezone().date()
    with steps() as progress:
        file = site_table(
            folder, label_scheme=label_scheme, name=name, made_on=today, progress=progress
        )
    out.write_text(table_text(file), encoding="utf-8")
    typer.echo("\n".join((*overlap_lines(file), str(out))))
    return 0
